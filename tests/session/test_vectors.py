"""Tests of vectors in place of images and texts: the same scores, whatever holds the vectors, and clear refusals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Machine
from numpy.typing import NDArray

import clipsim

TEXTS = ["red", "lime", "blue"]
Array = NDArray[np.float32]


@pytest.fixture
def session(machine: Machine) -> Iterator[clipsim.Session]:
    """A session of an encoder of colours."""
    with clipsim.open("clipsim-mini") as session:
        yield session


@pytest.fixture
def paths(colours: Path) -> list[str]:
    """Red, green, blue."""
    return [str(colours / f"{name}.png") for name in ("red", "green", "blue")]


@pytest.fixture
def images(session: clipsim.Session, paths: list[str]) -> Array:
    """The vectors of the images."""
    return session.encode_images(paths)


@pytest.fixture
def texts(session: clipsim.Session) -> Array:
    """The vectors of the texts."""
    return session.encode_texts(TEXTS)


def as_tensor(array: Array) -> Any:
    """A tensor that needs a gradient."""
    return pytest.importorskip("torch").from_numpy(array).requires_grad_()


def spread(array: Array) -> Array:
    """The same rows, neither one after another in memory nor to be written to."""
    wide = np.repeat(array, 2, axis=0)[::2]
    wide.flags.writeable = False
    return wide


HOLDERS: dict[str, Callable[[Array], Any]] = {
    "array": lambda array: array,
    "float16": lambda array: array.astype(np.float16),
    "float64, of other lengths": lambda array: array.astype(np.float64) * [[0.5], [3], [200]],
    "not contiguous": spread,
    "by column": np.asfortranarray,
    "masked": np.ma.masked_array,
    "tensor": as_tensor,
    "list of arrays": list,
    "list of tensors": lambda array: list(as_tensor(array)),
    "generator": lambda array: (row for row in array),
    "tuple": tuple,
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_vectors_rank_as_their_images_and_texts_do(
    session: clipsim.Session, paths: list[str], images: Array, texts: Array, holder: str
) -> None:
    """The same cosines and probabilities to 1e-6, or to what half precision holds."""
    expected, tolerance = session.rank(paths, TEXTS), 1e-3 if holder == "float16" else 1e-6
    hold = HOLDERS[holder]
    for first, second in ((hold(images), TEXTS), (paths, hold(texts)), (hold(images), hold(texts))):
        result = session.rank(first, second)
        assert np.abs(result.similarity - expected.similarity).max() <= tolerance
        assert result.probabilities is not None
        assert expected.probabilities is not None
        assert np.abs(result.probabilities - expected.probabilities).max() <= 10 * tolerance
        assert (result.best, result.indices) == (expected.best, expected.indices)
    batches = list(session.rank_batches(hold(images), hold(texts)))
    assert np.abs(batches[0].similarity - expected.similarity).max() <= tolerance


def test_what_has_no_name_has_a_number(session: clipsim.Session, images: Array, texts: Array) -> None:
    """Counted from 1; a mapping gives names, which `sort_by` and results know."""
    result = session.rank(images, texts, sort_by="text 3")
    assert result.texts == ("text 1", "text 2", "text 3")
    assert result.images[0] == "image 3"

    named = session.rank(
        dict(zip(["r.png", Path("g.png"), "b.png"], images, strict=True)),
        dict(zip(TEXTS, texts, strict=True)),
        sort_by="blue",
    )
    assert (named.texts, named.images) == (tuple(TEXTS), ("b.png", "g.png", "r.png"))
    assert named.indices == (2, 1, 0)


def test_one_vector(session: clipsim.Session, images: Array, texts: Array) -> None:
    """An array of one dimension is one image, or one text."""
    result = session.rank(images[1], texts[0])
    assert (result.images, result.texts) == (("image 1",), ("text 1",))
    assert session.rank([images[1], images[2]], TEXTS).best == (1, 2)


def test_vectors_and_files_in_one_list(session: clipsim.Session, paths: list[str], images: Array) -> None:
    """Each is what it is."""
    assert session.rank([paths[2], images[0]], TEXTS).images == (paths[2], "image 2")
    assert session.rank([paths[2], images[0]], TEXTS).best == (2, 0)


def test_a_column_of_vectors(session: clipsim.Session, paths: list[str], images: Array) -> None:
    """A series of pandas, of paths or of arrays."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": paths, "vector": list(images)})
    assert session.rank(frame["path"], TEXTS).best == session.rank(frame["vector"], TEXTS).best == (0, 1, 2)
    assert (session.encode_images(frame["path"]) == images).all()
    with pytest.raises(clipsim.UsageError, match=r"a table \(DataFrame\), not a list"):
        session.rank(frame, TEXTS)


def test_a_vector_without_direction_is_an_image_that_cannot_be_used(
    session: clipsim.Session, images: Array, texts: Array
) -> None:
    """As its rows of `encode_images` with "nan" are: skipped, kept or raised; among the texts it is an error."""
    images = np.array([images[0], images[1] * np.nan, images[2] * 0, [np.inf, 0, 0, 0]], np.float32)

    result = session.rank(images, texts)
    assert result.indices == (0,)
    assert [(failure.image, failure.error) for failure in result.errors] == [
        ("image 2", "a vector that is not finite"),
        ("image 3", "a vector of length zero"),
        ("image 4", "a vector that is not finite"),
    ]
    assert session.rank(images, texts, on_error="nan").best == (0, None, None, None)
    with pytest.raises(clipsim.ImageError, match="image 2: a vector that is not finite"):
        session.rank(images, texts, on_error="raise")
    for row in (1, 2, 3):
        with pytest.raises(clipsim.UsageError, match=f"texts: 'text {row + 1}' is not finite, or of length zero"):
            session.rank(images, np.vstack([texts[:row], images[row : row + 1]]))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.ones((3, 5)), "vectors of 5 numbers; those of clipsim-mini have 4"),
        (np.ones((3, 5), np.float16), "vectors of 5 numbers"),
        (np.ones(7), "vectors of 7 numbers"),
        (np.ones((3, 4), np.int64), r"type uint8; got \(3, 4\), int64; vectors are an \(n, d\) array of floats"),
        (np.ones((3, 4), np.uint8), "vectors are an"),
        (np.ones((3, 4), bool), "vectors are an"),
        (np.ones((3, 4), complex), "vectors are an"),
        (np.ones((8, 6, 3)), r"the shape \(h, w, 3\), in RGB, and the type uint8; got \(8, 6, 3\), float64$"),
        ([[0.1, 0.2, 0.3, 0.4]], "not of type list; vectors are an"),
        ([np.ones((3, 4))], r"got \(3, 4\), float64; vectors are an"),
        ({"a": [0.1, 0.2]}, r"a mapping \(dict\), not a list"),
        ({3: np.ones(4)}, "the name of a vector is a string, not int"),
    ],
)
def test_images_that_are_neither_images_nor_vectors(session: clipsim.Session, images: Any, message: str) -> None:
    """One line says what was passed, and what is taken."""
    with pytest.raises(clipsim.UsageError, match=message):
        session.rank(images, "red")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (np.ones((3, 5)), "texts: vectors of 5 numbers; those of clipsim-mini have 4"),
        (np.ones((3, 4), np.int64), r"texts: vectors of texts are an \(m, d\) array of floats; got \(3, 4\), int64"),
        (np.ones((2, 3, 4)), r"texts: vectors of texts are an \(m, d\) array of floats; got \(2, 3, 4\)"),
        (np.zeros((0, 4)), "texts: none given"),
        ([np.ones(4), "red"], "texts: vectors and something else"),
        (["red", np.ones(4)], "texts: number 2 is array"),
        ([np.ones(4), np.ones(5)], "texts: vectors of several lengths"),
        ({"red": np.ones(4), "blue": "blue"}, r"texts\['red'\]: number 1 is"),
        ({"red": np.ones(4), "blue": np.ones(3)}, "texts: vectors of several lengths"),
    ],
)
def test_texts_that_are_neither_texts_nor_vectors(
    session: clipsim.Session, paths: list[str], texts: Any, message: str
) -> None:
    """As for images, for rank and search."""
    for call in (session.rank, session.search):
        with pytest.raises(clipsim.UsageError, match=message if len(texts) else "none given|no query"):
            call(paths, texts)


def test_what_is_for_words_does_not_go_with_vectors(session: clipsim.Session, paths: list[str], texts: Array) -> None:
    """Templates and thresholds."""
    refused: list[dict[str, Any]] = [{"templates": "a {}"}, {"thresholds": "no.json"}]
    for options in refused:
        with pytest.raises(clipsim.UsageError, match="texts are vectors, and these are for words"):
            session.rank(paths, texts, **options)


def test_vectors_are_searched_as_their_images_are(
    session: clipsim.Session, colours: Path, paths: list[str], images: Array, texts: Array
) -> None:
    """By texts and images, or the vectors of these."""
    expected = session.search(paths, TEXTS)
    named = dict(zip(paths, images, strict=True))
    for where, queries in ((named, TEXTS), (paths, dict(zip(TEXTS, texts, strict=True))), (named, texts)):
        result = session.search(where, queries)
        for found, query in zip(result.queries, expected.queries, strict=True):
            assert [match.image for match in found.results] == [match.image for match in query.results]
            for match, right in zip(found.results, query.results, strict=True):
                assert match.similarity == pytest.approx(right.similarity, abs=1e-6)
                assert match.index == right.index
    assert result.searched == 3

    by_image = session.search(images * 5, images=images[1], top=1).queries[0]
    assert by_image.image == "image 1"
    assert (by_image.results[0].image, by_image.results[0].index) == ("image 2", 1)
    with_additions = session.search(images, texts[0], plus="blue", minus={"red": 1}, top=1)
    assert with_additions.queries[0].label == "text 1 + blue − red"
    assert with_additions.queries[0].results[0].image == "image 3"


def test_an_image_of_a_query_is_found_by_its_name(session: clipsim.Session, paths: list[str], images: Array) -> None:
    """Among vectors that are named like files, the file of the query comes first, and is marked."""
    (answer,) = session.search(dict(zip(paths, images, strict=True)), images=paths[1]).queries
    assert (answer.results[0].image, answer.results[0].same) == (paths[1], "file")


def test_options_of_search_go_with_vectors(session: clipsim.Session, paths: list[str], images: Array) -> None:
    """What a search chooses by names, dates and copies."""
    named = dict(zip(paths, images, strict=True))
    assert session.search(named, "red", include="*blue*").searched == 1
    with pytest.raises(clipsim.UsageError, match="after: vectors have no dates"):
        session.search(named, "red", after="2020")
    (answer,) = session.search(np.vstack([images, images[:1]]), "red", unique=True).queries
    assert [match.copies for match in answer.results] == [2, 1, 1]
    assert len(session.search(images, "red", skip=1, top=1).queries[0].results) == 1
    assert session.search(images, "red", min_similarity=0.99).queries[0].results[0].image == "image 1"


def test_searched_vectors_without_direction(session: clipsim.Session, images: Array) -> None:
    """They are not found, and stand among the errors; or the first raises."""
    images = np.vstack([images, images[:1] * np.nan, images[:1] * 0])
    result = session.search(images, "red")

    assert result.searched == 3
    assert [failure.index for failure in result.errors] == [3, 4]
    assert {match.image for match in result.queries[0].results} == {"image 1", "image 2", "image 3"}
    with clipsim.open("clipsim-mini", on_error="raise") as strict, pytest.raises(clipsim.ImageError, match="image 4"):
        strict.search(images, "red")
    with pytest.raises(clipsim.NoInputError, match="no vectors"):
        session.search(images[:0], "red")
    with pytest.raises(clipsim.UsageError, match="where: vectors of 3 numbers"):
        session.search(images[:, :3], "red")


def test_many_vectors_are_searched_in_blocks(session: clipsim.Session) -> None:
    """Across their edges, as if all were compared at once."""
    vectors = np.random.default_rng(5).standard_normal((20_000, 4)).astype(np.float32)
    vectors[[0, 8191, 8192, 19_999]] = [1, 0, 0, 0]

    (answer,) = session.search(vectors, np.array([1.0, 0, 0, 0]), top=4).queries

    assert [match.index for match in answer.results] == [0, 8191, 8192, 19_999]


def test_other_methods_take_the_vectors_of_images(session: clipsim.Session, images: Array) -> None:
    """Groups of what is alike, thresholds, pairs, and the vectors themselves at length 1."""
    many = np.vstack([images] * 9)
    assert session.overview(many, texts=TEXTS).images == 27
    assert session.duplicates(many, pixels=False).compared == 27
    assert session.threshold("red", np.vstack([images[:1]] * 9), recall=0.5).thresholds[0].text == "red"
    assert np.abs(session.encode_images(images * 3) - images).max() < 1e-6
    assert (
        session.score_pairs(images, TEXTS).argmax() == session.score_pairs(images, session.encode_texts(TEXTS)).argmax()
    )


def test_arrays_need_no_torch(colours: Path, tmp_path: Path) -> None:
    """Once the facts of the model are in the cache, neither PyTorch is imported nor a model loaded."""
    script = (
        "import sys, numpy as np, clipsim\n"
        "vectors = np.eye(5, 128)\n"
        "with clipsim.open('clipsim-mini') as session:\n"
        "    if len(sys.argv) > 1: session.model\n"
        "    else:\n"
        "        print(session.rank(vectors, vectors[:2]).best[:2], session.search(vectors, vectors[2]).searched)\n"
        "        print('torch' in sys.modules, 'open_clip' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, "load"], check=True, timeout=300)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)

    assert done.stdout.splitlines() == ["(0, 1) 5", "False False"]
