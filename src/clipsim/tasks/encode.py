"""Images and texts → their unit vectors, and the cosine of each pair: what a Python caller goes on to compute with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector
from clipsim.errors import Failure, UsageError, pluralise, printable
from clipsim.inputs.sources import Source
from clipsim.options import OnError
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import TextVectors, make_text_vectors
from clipsim.vectors.similarity import Vectors, pair_cosines, unit_rows


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of an answer, in the order of the images; those of the `failures` are NaN."""

    vectors: Vectors
    failures: tuple[Failure, ...]


def encode_images(
    embedder: Embedder, sources: Iterable[Source], progress: ProgressCallback = ignore_progress, *, on_error: OnError
) -> Rows:
    """The unit vectors of images, (n, embed_dim), which are read as they are needed and not kept.

    Raises ImageError for the first image that cannot be used, with an `on_error` of "raise".
    """
    blocks, failures = list[Vectors](), list[Failure]()
    for rows in _stream(embedder, sources, progress, on_error):
        blocks.append(rows.vectors)
        failures += rows.failures
    vectors = np.concatenate(blocks) if blocks else np.zeros((0, embedder.facts.embed_dim), np.float32)
    return Rows(vectors, tuple(failures))


def encode_texts(
    embedder: Embedder,
    texts: Sequence[str],
    templates: Sequence[str] = (),
    progress: ProgressCallback = ignore_progress,
    *,
    words: Sequence[Sequence[str]] | None = None,
) -> TextVectors:
    """The vectors of texts, each the mean over its words and the templates. Raises TextError for a long text."""
    progress(Progress("loading the model", 0, None, notices=embedder.notices))
    if not texts:
        return TextVectors(np.zeros((0, embedder.facts.embed_dim), np.float32), ())
    return make_text_vectors(embedder, texts, templates, progress, words=words)


def score_pairs(
    embedder: Embedder,
    sources: Iterable[Source],
    text_vectors: Vectors,
    progress: ProgressCallback = ignore_progress,
    *,
    on_error: OnError,
) -> tuple[NDArray[np.float32], tuple[Failure, ...]]:
    """The cosine of each image with the unit vector in its row, and the images that have none.

    Raises UsageError where there are more or fewer images than vectors, ImageError as `encode_images` does.
    """
    total = len(text_vectors)
    if isinstance(sources, Sequence):
        _check_counts(len(sources), total)
    scores, failures, done = np.full(total, np.nan, np.float32), list[Failure](), 0
    for rows in _stream(embedder, sources, progress, on_error):
        start, done = done, done + len(rows.vectors)
        if done > total:
            raise UsageError(
                f"more than {pluralise(total, 'image')} for {pluralise(total, 'text')}", parameter="images"
            )
        scores[start:done] = pair_cosines(rows.vectors, text_vectors[start:done])
        failures += rows.failures
    _check_counts(done, total)
    return scores, tuple(failures)


def _check_counts(images: int, texts: int) -> None:
    if images != texts:
        counts = f"{pluralise(images, 'image')} and {pluralise(texts, 'text')}"
        raise UsageError(f"{counts}; give a text for each image", parameter="texts")


def _stream(
    embedder: Embedder, sources: Iterable[Source], progress: ProgressCallback, on_error: OnError
) -> Iterator[Rows]:
    progress(Progress("loading the model", 0, None, notices=embedder.notices))
    total, done = len(sources) if isinstance(sources, Sequence) else None, 0
    with closing(embedder.open_pipeline(sources)) as pipeline:
        for batch in embedder.embed_images(pipeline, on_error=on_error):
            good = [row for row, outcome in enumerate(batch) if isinstance(outcome, ImageVector)]
            vectors = np.full((len(batch), embedder.facts.embed_dim), np.nan, np.float32)
            if good:
                features = [outcome.features for outcome in batch if isinstance(outcome, ImageVector)]
                vectors[good] = unit_rows(np.stack(features))
            failures = tuple(outcome for outcome in batch if isinstance(outcome, Failure))
            done += len(batch)
            progress(Progress("encoding", done, total, failures))
            yield Rows(vectors, failures)


def describe_failures(failures: Sequence[Failure]) -> str:
    """What a caller should know of rows that are NaN: how many, and the first of them.

    >>> describe_failures([Failure("a.jpg", "no such file", 3)])
    '1 image could not be used, and its row is NaN: a.jpg: no such file'
    """
    rows = "its row is NaN" if len(failures) == 1 else "their rows are NaN"
    first = f"{printable(failures[0].image)}: {failures[0].error}"
    more = f" (and {len(failures) - 1:,} more)" if len(failures) > 1 else ""
    return f"{pluralise(len(failures), 'image')} could not be used, and {rows}: {first}{more}"
