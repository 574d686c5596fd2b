"""Tests of `session.encoding`: vectors and cosines of pairs, a row an input, whatever is passed."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Machine
from PIL import Image

import clipsim

UNTYPED: Any = clipsim  # for calls that a type checker refuses
OPTIONS: dict[str, Any] = {"model": "clipsim-mini"}


@pytest.fixture
def session(machine: Machine) -> Iterator[clipsim.Session]:
    """A session of an encoder of colours."""
    with clipsim.open("clipsim-mini") as session:
        yield session


@pytest.fixture
def paths(colours: Path) -> list[str]:
    """Red, blue, red again and green."""
    return [str(colours / f"{name}.png") for name in ("red", "blue", "red", "green")]


def test_images_become_unit_vectors_in_order(session: clipsim.Session, paths: list[str]) -> None:
    """A row an image, of the type and length that arithmetic with cosines needs."""
    vectors = session.encode_images(paths)

    assert vectors.shape == (4, 4)
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    assert vectors[:, :3].argmax(axis=1).tolist() == [0, 2, 0, 1]
    assert (vectors[0] == vectors[2]).all()
    assert (clipsim.encode_images(paths, **OPTIONS) == vectors).all()


def test_vectors_are_those_that_embed_writes(session: clipsim.Session, colours: Path, tmp_path: Path) -> None:
    """In the same order."""
    pytest.importorskip("pyarrow")
    session.embed(colours, tmp_path / "vectors", dtype="fp32")

    written = np.load(tmp_path / "vectors" / "img_emb" / "img_emb_0000.npy")
    assert np.abs(session.encode_images(colours) - written).max() < 1e-6


def test_the_cosines_are_those_of_rank(session: clipsim.Session, paths: list[str]) -> None:
    """With templates, too."""
    for templates in ((), ("a {} thing", "all {}")):
        texts = session.encode_texts(["red", "blue"], templates=templates)
        ranked = session.rank(paths, ["red", "blue"], templates=templates)
        assert np.abs(texts @ session.encode_images(paths).T - ranked.similarity).max() < 1e-6


def test_one_image_and_none(session: clipsim.Session, paths: list[str], colours: Path) -> None:
    """The number of dimensions is two whatever is passed; a folder stands for its images, sorted."""
    assert session.encode_images(paths[0]).shape == (1, 4)
    assert session.encode_images([]).shape == session.encode_texts([]).shape == (0, 4)
    assert session.encode_images(colours)[:, :3].argmax(axis=1).tolist() == [2, 1, 0]


def test_a_repeated_text_has_a_row_each_time(session: clipsim.Session) -> None:
    """So that labels line up with rows; blanks at both ends are still removed, with a warning."""
    with pytest.warns(clipsim.ClipsimWarning, match="blanks removed"):
        vectors = session.encode_texts(["red", "blue", " red"])

    assert (vectors[0] == vectors[2]).all()
    assert vectors.shape == (3, 4)
    assert (clipsim.encode_texts(["red", "blue"], **OPTIONS) == vectors[:2]).all()


def test_an_image_that_cannot_be_used_raises_or_keeps_its_row(session: clipsim.Session, paths: list[str]) -> None:
    """Rows are never left out, whatever a session was opened with."""
    paths.insert(1, "missing.png")

    with pytest.raises(clipsim.ImageError, match=r"missing\.png: no such file"):
        session.encode_images(paths)
    with pytest.warns(clipsim.ClipsimWarning, match=r"1 image could not be used, and its row is NaN: missing\.png"):
        vectors = session.encode_images(paths, on_error="nan")
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True, False, False, False]
    with clipsim.open("clipsim-mini", on_error="nan") as lenient:
        assert np.array_equal(lenient.encode_images(paths), vectors, equal_nan=True)
        with pytest.raises(clipsim.ImageError):
            lenient.encode_images(paths, on_error="raise")
    assert np.array_equal(clipsim.encode_images(paths, on_error="nan", **OPTIONS), vectors, equal_nan=True)
    with pytest.raises(clipsim.ImageError):
        clipsim.encode_images(paths, **OPTIONS)
    with pytest.raises(clipsim.UsageError, match="on_error='skip': not 'raise' or 'nan', which keep the rows"):
        UNTYPED.encode_images(paths, on_error="skip", **OPTIONS)


def test_images_of_a_generator_are_not_kept(machine: Machine) -> None:
    """Of two hundred, a few batches are in memory at a time."""
    alive: list[weakref.ref[Image.Image]] = []
    most = 0

    def images() -> Iterator[Image.Image]:
        nonlocal most
        for number in range(200):
            image = Image.new("RGB", (30, 20), (number + 1, 0, 0))
            alive.append(weakref.ref(image))
            most = max(most, sum(one() is not None for one in alive))
            yield image

    with clipsim.open("clipsim-mini", batch_size=4, workers=2, cache=False) as session:
        assert session.encode_images(images()).shape == (200, 4)
    assert most <= 16


def test_what_a_generator_raises_reaches_the_caller(session: clipsim.Session, paths: list[str]) -> None:
    """As it is; the session goes on."""

    def images() -> Iterator[str]:
        yield paths[0]
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        session.encode_images(images())
    assert session.encode_images(paths[0]).shape == (1, 4)


def test_pairs_are_scored_row_by_row(session: clipsim.Session, paths: list[str]) -> None:
    """The first image with the first text; a repeated text is encoded once."""
    texts = ["red", "red", "red", "lime"]
    scores = session.score_pairs(iter(paths), texts)

    assert scores.shape == (4,)
    assert scores.dtype == np.float32
    whole = session.rank(paths, ["red", "lime"]).similarity
    assert np.abs(scores - [whole[0, 0], whole[0, 1], whole[0, 2], whole[1, 3]]).max() < 1e-6
    assert (clipsim.score_pairs(paths, texts, **OPTIONS) == scores).all()
    assert session.score_pairs([], []).shape == (0,)


@pytest.mark.parametrize(
    ("images", "texts", "message"),
    [
        (4, ["red"], "texts: 4 images and 1 text; give a text for each image"),
        (1, ["red", "blue"], "texts: 1 image and 2 texts"),
        (0, ["red"], "texts: 0 images and 1 text"),
    ],
)
def test_pairs_that_do_not_match(
    session: clipsim.Session, paths: list[str], images: int, texts: list[str], message: str
) -> None:
    """More or fewer images than texts, in a list; in a generator it shows later."""
    with pytest.raises(clipsim.UsageError, match=message):
        session.score_pairs(paths[:images], texts)
    with pytest.raises(clipsim.UsageError, match="image"):
        session.score_pairs(iter(paths[:images]), texts)


def test_a_pair_without_its_image(session: clipsim.Session, paths: list[str]) -> None:
    """NaN, or an error."""
    scores = session.score_pairs([paths[0], "missing.png"], ["red", "blue"], on_error="nan")
    assert np.isnan(scores).tolist() == [False, True]
    with pytest.raises(clipsim.ImageError):
        session.score_pairs([paths[0], "missing.png"], ["red", "blue"])


def test_progress_is_reported(session: clipsim.Session, paths: list[str]) -> None:
    """The stage, what is done and of how many; of a generator the number is not known."""
    steps: list[clipsim.Progress] = []
    session.encode_images([*paths, "missing.png"], on_error="nan", progress=steps.append)
    assert [(step.stage, step.done, step.total) for step in steps] == [
        ("loading the model", 0, None),
        ("encoding", 5, 5),
    ]
    assert steps[-1].failures[0].image == "missing.png"

    steps.clear()
    session.encode_images(iter(paths), progress=steps.append)
    assert [step.total for step in steps] == [None, None]

    steps.clear()
    session.encode_texts(["red", "blue"], progress=steps.append)
    assert [(step.stage, step.done, step.total) for step in steps][-1] == ("encoding texts", 2, 2)


def test_progress_may_end_the_work(session: clipsim.Session, paths: list[str]) -> None:
    """By raising; and what cannot be called is refused before anything is done."""

    def cancel(_: clipsim.Progress) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        session.encode_images(paths, progress=cancel)
    with pytest.raises(clipsim.UsageError, match=r"progress=5: not a function that takes a clipsim\.Progress"):
        UNTYPED.rank(paths, "red", progress=5, **OPTIONS)


def test_the_facts_of_the_model(session: clipsim.Session) -> None:
    """What probabilities are computed with."""
    assert (session.model.embed_dim, session.model.logit_scale, session.model.head) == (4, 10.0, "softmax")
    assert repr(session) == "Session('clipsim-mini/bundled', device='cpu', precision='fp32')"


def test_vectors_are_the_bundled_models_own() -> None:
    """As OpenCLIP computes them itself, to 1e-5."""
    torch = pytest.importorskip("torch")
    import open_clip

    folder = Path(clipsim.__file__).with_name("mini") / "model"
    rng = np.random.default_rng(3)
    images = [Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)) for _ in range(12)]
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    with torch.no_grad():
        pixels = torch.stack([preprocess(image) for image in images])
        expected = model.encode_image(pixels, normalize=True).numpy()
        expected_texts = model.encode_text(tokenizer(["a cat", "a maze"]), normalize=True).numpy()

    with clipsim.open("clipsim-mini", batch_size=5) as session:
        assert np.abs(session.encode_images(images) - expected).max() < 1e-5
        assert np.abs(session.encode_texts(["a cat", "a maze"]) - expected_texts).max() < 1e-5


def test_a_label_of_several_words_has_one_row(machine: Machine) -> None:
    """The mean of its words, as `rank` compares images with."""
    with clipsim.open("clipsim-mini") as session:
        labels = session.encode_texts({"warm": ["red", "orange"], "blue": "blue"}, templates="a {} thing")
        words = session.encode_texts(["red", "orange", "blue"], templates="a {} thing")
    mean = words[0] + words[1]

    assert labels.shape == (2, words.shape[1])
    assert np.allclose(labels[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert np.array_equal(labels[1], words[2])
