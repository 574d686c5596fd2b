"""A program that uses all of the Python API, as its author would write it; a test checks its types and runs it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import clipsim

LABELS: dict[str, list[str]] = {"red": ["red", "scarlet"], "blue": ["blue"]}


def report(step: clipsim.Progress) -> None:
    """Check what a progress bar would show."""
    assert step.total is None or step.done <= step.total, step.stage


def read_images(folder: Path) -> Iterator[Image.Image]:
    """Images that are not kept."""
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            yield image.convert("RGB")


def show(result: clipsim.RankResult | clipsim.SearchResult | clipsim.OverviewResult) -> int:
    """The number of rows of a result."""
    frame = result.to_frame("pandas")
    page: str = result.to_html(thumbnails=False)
    assert type(result).from_dict(result.to_dict()).to_dict() == result.to_dict()
    return len(frame) + page.count("<nothing>")


def use_session(session: clipsim.Session, folder: Path, output: Path) -> list[int]:
    """Call each method once."""
    paths = sorted(folder.rglob("*.png"))
    images: NDArray[np.float32] = session.encode_images(paths, on_error="nan", progress=report)
    streamed = session.encode_images(read_images(folder), progress=report)
    texts = session.encode_texts(list(LABELS), templates=["a {} thing"])
    assert np.allclose(images, streamed, atol=1e-6)
    scale, dimensions = session.model.logit_scale, session.model.embed_dim
    logits = scale * images @ texts.T
    assert logits.shape == (len(paths), len(LABELS))
    assert images.shape[1] == dimensions

    ranked = session.rank(images, dict(zip(LABELS, texts, strict=True)), sort_by="red", progress=report)
    batches = sum(len(batch.images) for batch in session.rank_batches(paths, LABELS, on_error="skip"))
    best = [ranked.texts[index] for index in ranked.best if index is not None]
    pairs = session.score_pairs([paths[0], Image.new("RGB", (6, 4), "green"), images[0]], ["red", "lime", "blue"])
    found = session.search(folder, texts, images=images[:1], plus={"red": 0.5}, top=3, progress=report)
    again = session.search(dict(zip(map(str, paths), images, strict=True)), "red", min_similarity=-1.0)
    copies: clipsim.DuplicatesResult = session.duplicates(folder, min_similarity=0.99)
    overview = session.overview(folder, texts=list(LABELS), groups=2)
    written: clipsim.EmbedResult = session.embed(folder, output, dtype="fp32", progress=report)
    measured: clipsim.EvaluationResult = session.evaluate(folder, labels=LABELS)
    fitted: clipsim.Classifier = session.fit(folder, output.with_name("classifier.json"), labels=LABELS)
    by_examples = session.rank(images, classifier=fitted)
    assert by_examples.texts == fitted.labels
    limits: clipsim.ThresholdResult = session.threshold("red", [*paths[:9]], recall=0.5)
    passing = session.rank(paths, "red", thresholds=limits)
    changed: clipsim.CompareResult = clipsim.compare(passing, pickle.loads(pickle.dumps(passing)))
    failures: tuple[clipsim.Failure, ...] = passing.errors
    return [
        batches, len(best), len(pairs), len(found.queries), again.searched, copies.compared, overview.images,
        written.images or 0, len(measured.to_rows()), len(changed.to_rows()), len(failures), show(ranked), show(found),
    ]  # fmt: skip


def use_functions(image: clipsim.ImageInput, texts: clipsim.TextInputs) -> float:
    """Call what opens a model by itself, and catch what it raises."""
    try:
        clipsim.rank("missing.png", texts, model="clipsim-mini", on_error="raise")
    except clipsim.NoInputError as error:
        print(error.failures)
    except clipsim.ImageError as error:
        print(error.message, error.hint)
    result = clipsim.rank(image, texts, model="clipsim-mini", device="cpu", progress=report)
    vectors = clipsim.encode_images(image, model="clipsim-mini") @ clipsim.encode_texts("red", model="clipsim-mini").T
    score: np.float32 = clipsim.score_pairs(image, "red", model="clipsim-mini")[0]
    probabilities = result.probabilities
    assert probabilities is None or probabilities.shape == result.similarity.shape
    return float(vectors[0, 0]) + float(score) + float(result.similarity[0, 0])


def main(folder: Path, output: Path) -> list[int]:
    """All of it."""
    with clipsim.open("clipsim-mini", on_error="skip", batch_size=4) as session:
        numbers = use_session(session, folder, output)
    assert use_functions(Image.new("RGB", (8, 6), "red"), ["red", "blue"]) > 0
    return numbers
