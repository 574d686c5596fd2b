"""Tests of `api.search` and `api.places`: the same answers as a plain NumPy computation, from folders and data sets."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from raw_files import make_dng

import clipsim
from clipsim.errors import DatasetError, ImageError, NoInputError, TextError, UsageError
from clipsim.inputs.sources import FileSource
from clipsim.results.base import ModelRecord
from clipsim.store.layout import read_dataset_info
from clipsim.tasks.search import SearchRequest
from clipsim.tasks.search_targets import recorded_model
from clipsim.vectors.similarity import unit_rows

if TYPE_CHECKING:
    from conftest import Machine
    from numpy.typing import NDArray

    from clipsim.results.search import QueryMatches

TEXTS = {"red": (1, 0, 0), "lime": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Forty pictures of one colour each, in two folders."""
    rng = np.random.default_rng(8)
    for number, colour in enumerate(rng.integers(1, 256, (40, 3)).tolist()):
        folder = tmp_path / "pictures" / f"half{number // 20}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), tuple(colour)).save(folder / f"{number:02d}.png")
    return tmp_path / "pictures"


def vector_of(path: str | Path) -> NDArray[np.float64]:
    """The unit vector that the model of colours has for an image of one colour."""
    with Image.open(path) as image:
        red, green, blue = image.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    return vector(red / 255, green / 255, blue / 255)


def vector(*colour: float) -> NDArray[np.float64]:
    """The unit vector of a colour."""
    values = np.array([*colour, 0.1])
    return values / np.linalg.norm(values)  # type: ignore[no-any-return]


def expected(paths: list[str], query: NDArray[np.float64], top: int) -> list[tuple[str, float]]:
    """The best pictures and their cosines."""
    query = query / np.linalg.norm(query)
    found = [(path, float(vector_of(path) @ query)) for path in paths]
    return sorted(found, key=lambda pair: -pair[1])[:top]


def assert_matches(answer: QueryMatches, wanted: list[tuple[str, float]]) -> None:
    """Names, order, ranks and cosines, within what the encoder's own mean of float32 pixels leaves."""
    assert [(match.rank, match.image) for match in answer.results] == [
        (rank, name) for rank, (name, _) in enumerate(wanted, start=1)
    ]
    np.testing.assert_allclose([match.similarity for match in answer.results], [cos for _, cos in wanted], atol=1e-4)


def names_below(folder: Path) -> list[str]:
    """All pictures, in order."""
    return sorted(map(str, folder.rglob("*.png")))


@pytest.mark.parametrize("place", ["folder", "vectors", "both"])
def test_texts_and_images_with_plus_and_minus(machine: Machine, pictures: Path, tmp_path: Path, place: str) -> None:
    """Each query's best pictures are those of a plain computation; an image of the query comes first."""
    pytest.importorskip("pyarrow")
    paths = names_below(pictures)
    where: list[Path] = [pictures]
    with clipsim.open(batch_size=7) as session:
        if place == "vectors":
            session.embed(pictures, tmp_path / "vectors", dtype="fp32", shard_size=9)
            where = [tmp_path / "vectors"]
        elif place == "both":
            session.embed(pictures / "half0", tmp_path / "vectors", dtype="fp32", shard_size=9)
            where = [tmp_path / "vectors", pictures / "half1"]
        result = session.search(
            where, ["red", "lime"], images=[paths[3], paths[30]], plus=["blue"], minus=["white"], weight=0.5, top=5
        )
    change = 0.5 * vector(0, 0, 1) - 0.5 * vector(1, 1, 1)

    assert result.searched == 40
    assert [(query.text, query.image) for query in result.queries] == [
        ("red", None), ("lime", None), (None, paths[3]), (None, paths[30])
    ]  # fmt: skip
    assert all((query.plus, query.minus) == (("blue",), ("white",)) for query in result.queries)
    for query, colour in zip(result.queries, ("red", "lime"), strict=False):
        assert_matches(query, expected(paths, vector(*TEXTS[colour]) + change, 5))
    for query, own in zip(result.queries[2:], (paths[3], paths[30]), strict=True):
        others = [path for path in paths if path != own]
        first, rest = query.results[0], expected(others, vector_of(own) + change, 4)
        assert (first.image, first.same, first.rank) == (own, "file", 1)
        assert first.similarity == pytest.approx(expected([own], vector_of(own) + change, 1)[0][1], abs=1e-4)
        assert_matches(query, [(own, first.similarity), *rest])
        assert {match.same for match in query.results[1:]} == {None}


@pytest.mark.parametrize("place", ["folder", "vectors"])
def test_copies_of_a_querys_image_come_first(
    machine: Machine, pictures: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file, also by another path, then the same bytes by any name; there are many of them."""
    pytest.importorskip("pyarrow")
    own = pictures / "half0" / "00.png"
    for number in range(12):
        (pictures / f"copy{number}.png").write_bytes(own.read_bytes())
    others = [path for path in names_below(pictures) if Path(path).read_bytes() != own.read_bytes()]
    monkeypatch.chdir(pictures)
    with clipsim.open() as session:
        if place == "vectors":
            session.embed(pictures, tmp_path / "vectors", dtype="fp32", shard_size=5)
        where = tmp_path / "vectors" if place == "vectors" else pictures
        (answer,) = session.search(where, images="half0/00.png", top=30).queries
        (red, _) = session.search(where, "red", images="half0/00.png", top=60).queries
        (second,) = session.search(where, images="half0/00.png", top=20, skip=10).queries

    assert [match.same for match in answer.results] == ["file", *["bytes"] * 12, *[None] * 17]
    assert answer.results[0].image == str(own)
    assert [match.image for match in answer.results[13:]] == [name for name, _ in expected(others, vector_of(own), 17)]
    assert [(match.rank, match.image) for match in second.results] == [
        (match.rank, match.image) for match in answer.results[10:]
    ]
    assert len(red.results) == 52


def test_a_picture_that_has_changed_since_is_known_by_its_path(
    machine: Machine, pictures: Path, tmp_path: Path
) -> None:
    """The vectors on the disk are of its earlier content; it is the query's own image all the same."""
    pytest.importorskip("pyarrow")
    own = pictures / "half0" / "00.png"
    with clipsim.open() as session:
        session.embed(pictures, tmp_path / "vectors")
        Image.open(own).point(lambda value: min(255, value + 1)).save(own)
        (answer,) = session.search(tmp_path / "vectors", images=os.path.relpath(own), top=60).queries

    assert len(answer.results) == 40
    assert (answer.results[0].image, answer.results[0].same) == (str(own), "file")
    assert {match.same for match in answer.results[1:]} == {None}


def test_each_addition_has_its_weight(machine: Machine, pictures: Path) -> None:
    """Texts and images, added and subtracted; those without a weight have that of all."""
    paths = names_below(pictures)
    with clipsim.open() as session:
        result = session.search(
            pictures, "red", plus={"blue": 0.25}, minus=["white"], plus_images={paths[3]: 2}, minus_images=paths[30],
            weight=0.5, top=40,
        )  # fmt: skip
        with pytest.raises(ImageError, match=r"none\.png: no such file"):
            session.search(pictures, "red", plus_images="none.png")
        for wrong in ({"plus": {"a": "much"}}, {"minus_images": {paths[0]: float("nan")}}, {"skip": -1}):
            with pytest.raises(UsageError, match="|".join(wrong)):
                session.search(pictures, "red", **wrong)
    target = vector(1, 0, 0) + 0.25 * vector(0, 0, 1) - 0.5 * vector(1, 1, 1)
    target = target + 2 * vector_of(paths[3]) - 0.5 * vector_of(paths[30])
    (query,) = result.queries

    assert_matches(query, expected(paths, target, 40))
    assert query.to_dict()["additions"] == [
        {"text": "blue", "image": None, "weight": 0.25}, {"text": None, "image": paths[3], "weight": 2.0},
        {"text": "white", "image": None, "weight": -0.5}, {"text": None, "image": paths[30], "weight": -0.5},
    ]  # fmt: skip
    assert query.label == f"red + 0.25 × blue + 2 × {paths[3]} − 0.5 × white − 0.5 × {paths[30]}"


@pytest.mark.parametrize("place", ["folder", "vectors"])
def test_the_rest_of_an_answer(machine: Machine, pictures: Path, tmp_path: Path, place: str) -> None:
    """What is skipped and what is shown are together the answer without skipping; its ranks go on."""
    pytest.importorskip("pyarrow")
    with clipsim.open() as session:
        if place == "vectors":
            session.embed(pictures, tmp_path / "vectors", dtype="fp32")
        where = tmp_path / "vectors" if place == "vectors" else pictures
        (whole,) = session.search(where, "red", top=40).queries
        (rest,) = session.search(where, "red", top=15, skip=30).queries
        (none,) = session.search(where, "red", skip=40).queries

    assert rest.results == whole.results[30:]
    assert rest.results[0].rank == 31
    assert none.results == ()


def test_templates_are_averaged(machine: Machine, pictures: Path) -> None:
    """As `rank` does, for the query and for what is added."""
    with clipsim.open() as session:
        templates = ["{}", "a {} thing", "red {}"]
        result = session.search(pictures, "blue", minus="lime", templates=templates, top=4)
    mean = [unit_rows(np.array([vector(*TEXTS[name]), vector(*TEXTS[name]), vector(1, 0, 0)]).mean(0)[None])[0]
            for name in ("blue", "lime")]  # fmt: skip

    assert_matches(result.queries[0], expected(names_below(pictures), mean[0].astype(float) - mean[1], 4))


@pytest.mark.parametrize("place", ["folder", "vectors"])
def test_only_some_names(machine: Machine, pictures: Path, tmp_path: Path, place: str) -> None:
    """Patterns choose among files and among vectors alike."""
    pytest.importorskip("pyarrow")
    with clipsim.open() as session:
        if place == "vectors":
            session.embed(pictures, tmp_path / "vectors", dtype="fp32")
        where = tmp_path / "vectors" if place == "vectors" else pictures
        result = session.search(where, "red", include=["half1/*"], exclude=["3?.png"], top=30)
        with pytest.raises(NoInputError):
            session.search(where, "red", include=["none"])
    paths = [str(pictures / "half1" / f"{number}.png") for number in range(20, 30)]

    assert result.searched == 10
    assert_matches(result.queries[0], expected(paths, vector(1, 0, 0), 30))


def test_a_text_may_have_several_words(machine: Machine, pictures: Path) -> None:
    """Their mean is what is searched for, with what is added to it; the answer has them."""
    texts = {"bright": ["red", "white"], "blue": "blue"}
    result = clipsim.search(pictures, texts, plus="lime", top=3, model="clipsim-mini")
    mean = vector(1, 0, 0) + vector(1, 1, 1)
    query = mean / np.linalg.norm(mean) + vector(0, 1, 0)

    assert [answer.text for answer in result.queries] == ["bright", "blue"]
    assert_matches(result.queries[0], expected(names_below(pictures), query, 3))
    assert_matches(result.queries[1], expected(names_below(pictures), vector(0, 0, 1) + vector(0, 1, 0), 3))
    assert [answer.words for answer in result.queries] == [("red", "white"), None]
    record = result.to_dict()
    assert record["queries"][0]["words"] == ["red", "white"]
    assert "words" not in record["queries"][1]
    assert clipsim.SearchResult.from_dict(record).queries[0].words == ("red", "white")


def test_a_least_similarity(machine: Machine, pictures: Path) -> None:
    """An answer may be empty; that is an answer."""
    with clipsim.open() as session:
        some = session.search(pictures, "red", min_similarity=0.8, top=40).queries[0].results
        none = session.search(pictures, "red", min_similarity=1.0)
    cosines = [cosine for _, cosine in expected(names_below(pictures), vector(1, 0, 0), 40)]

    assert len(some) == sum(cosine >= 0.8 for cosine in cosines)
    assert none.queries[0].results == ()
    assert none.searched == 40


def test_a_warm_folder_is_searched_without_its_pictures(machine: Machine, pictures: Path) -> None:
    """New and changed files are encoded, deleted ones left out, and nothing else is encoded again."""
    with clipsim.open() as session:
        session.search(pictures, "red")
    paths = names_below(pictures)
    old = 1_600_000_000
    for path in paths:
        os.utime(path, (old, old))
    with clipsim.open() as session:
        session.search(pictures, "red")  # notes the files' new times
    Path(paths[0]).unlink()
    Image.new("RGB", (30, 20), (255, 1, 1)).save(paths[1])
    Image.new("RGB", (30, 20), (254, 0, 0)).save(pictures / "new.png")
    with clipsim.open() as session:
        result = session.search(pictures, "red", top=2)

    assert [match.image for match in result.queries[0].results] == [str(pictures / "new.png"), paths[1]]
    assert result.searched == 40
    assert sum(machine.encoders[-1].image_batches) == 2


def test_inputs_that_cannot_be_used(machine: Machine, pictures: Path) -> None:
    """Among the pictures and among the queries; the others are searched."""
    (pictures / "half0" / "05.png").write_bytes(b"no picture")
    broken = str(pictures / "half0" / "05.png")
    with clipsim.open() as session:
        result = session.search([pictures, "none.png"], "red", images=[broken, str(pictures / "half0" / "06.png")])
        assert [failure.image for failure in result.errors] == [broken, broken, "none.png"]
        assert len(result.queries) == 2
        with pytest.raises(NoInputError, match=r"none of the inputs could be used: none\.png: no such file"):
            session.search("none.png", "red")
        with pytest.raises(NoInputError, match="plain text"):
            session.search(pictures, images=broken)
    with clipsim.open(on_error="fail") as session, pytest.raises(ImageError, match="plain text"):
        session.search(pictures, "red")


def test_pictures_in_memory(machine: Machine) -> None:
    """They are named by their place, and may be queries too."""
    images = [Image.new("RGB", (9, 6), colour) for colour in ("blue", "red", "navy")]
    with clipsim.open() as session:
        result = session.search(images, "blue", images=images[2], top=2)

    assert [[match.image for match in query.results] for query in result.queries] == [
        ["image 1", "image 3"], ["image 3", "image 1"]
    ]  # fmt: skip


def test_the_best_of_many_batches_are_named(machine: Machine, tmp_path: Path) -> None:
    """Names of what is no longer among the best are dropped, and none that is needed."""
    images = [Image.new("RGB", (3, 2), (255, 255 - number, 255 - number)) for number in range(250)]
    with clipsim.open(batch_size=3) as session:
        (answer,) = session.search(images, "red", top=3).queries

    assert [match.image for match in answer.results] == ["image 250", "image 249", "image 248"]


def test_vectors_of_another_model(machine: Machine, pictures: Path, tmp_path: Path) -> None:
    """They are refused, and the message says what to do; so are those of a model whose files have changed."""
    data_sets = pytest.importorskip("data_sets")
    vectors = data_sets.random_vectors(5, 4)
    data_sets.write_data_set(tmp_path / "other", vectors, digest="x", model=ModelRecord("ViT-B-32", "openai", *MODEL))
    data_sets.write_data_set(
        tmp_path / "old", vectors, digest="x", model=ModelRecord("clipsim-mini", "bundled", *MODEL)
    )
    with clipsim.open() as session:
        with pytest.raises(DatasetError, match="ViT-B-32/openai, not from clipsim-mini; give model='ViT-B-32/openai'"):
            session.search(tmp_path / "other", "red")
        with pytest.raises(DatasetError, match="have changed since its vectors were made; embed the images again"):
            session.search(tmp_path / "old", "red")

    assert recorded_model([str(pictures), str(tmp_path / "other")]) == "ViT-B-32/openai"
    assert recorded_model([str(tmp_path / "old")]) == "clipsim-mini"
    assert recorded_model([str(pictures)]) is None


def test_an_unfinished_data_set_is_searched_as_far_as_it_goes(machine: Machine, pictures: Path, tmp_path: Path) -> None:
    """With a notice."""
    pytest.importorskip("pyarrow")
    with clipsim.open("clipsim-mini") as session:
        session.embed(pictures, tmp_path / "vectors", shard_size=10)
        (tmp_path / "vectors" / "metadata" / "metadata_0003.parquet").unlink()
        facts = tmp_path / "vectors" / "clipsim.json"
        facts.write_text(replace(read_dataset_info(facts.parent), images=None).to_json())
        result = session.search(tmp_path / "vectors", "red")

    assert result.searched == 30
    assert result.warnings == (f"{tmp_path / 'vectors'}: unfinished, 3 of 4 shards are there",)


MODEL = (4, 64, 10.0, None, "softmax")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no query"),
        ({"texts": [" "]}, "texts: number 1 is empty"),
        ({"texts": ["x"], "plus": [""]}, "plus: number 1 is empty"),
        ({"texts": ["x"], "weight": float("nan")}, "weight=nan: not a number"),
        ({"texts": ["x"], "weight": "1"}, "weight='1': not a number"),
        ({"texts": ["x"], "top": 0}, "top=0: not a positive integer"),
        ({"texts": ["x"], "min_similarity": 1.5}, "from -1 to 1"),
        ({"texts": ["x"], "templates": "a photo"}, "has no {}"),
    ],
)
def test_what_cannot_be_asked(arguments: dict[str, object], message: str) -> None:
    """It is said before a model is opened."""
    with pytest.raises(UsageError, match=message):
        SearchRequest.check((), **arguments)  # type: ignore[arg-type]


def test_what_can_only_be_refused_by_the_model(machine: Machine, pictures: Path) -> None:
    """Texts that are too long, and queries of which nothing is left."""
    with clipsim.open() as session:
        with pytest.raises(TextError, match="words"):
            session.search(pictures, "one two three four five six")
        with pytest.raises(UsageError, match="nothing is left of the query 'red'"):
            session.search(pictures, ["blue", "red"], minus="red")
        with pytest.raises(UsageError, match="not of type int"):
            session.search([3], "red")  # type: ignore[list-item]


def test_the_request_says_what_it_changed() -> None:
    """Blanks and repetitions, of all texts."""
    request = SearchRequest.check((), ["a", "a "], [FileSource("x")], plus=" b", minus=("c", "c"))

    assert request.texts == ("a",)
    assert [(added.text, added.weight) for added in request.additions] == [("b", 1.0), ("c", -1.0)]
    assert len(request.notices) == 4


def test_records_are_values(machine: Machine, pictures: Path) -> None:
    """Equal answers are equal and hash equally, and are shown in a line."""
    with clipsim.open() as session:
        first, second = session.search(pictures, "red"), session.search(pictures, "red")

    assert first == second
    assert hash(first) == hash(second)
    assert repr(first) == "SearchResult(model='clipsim-mini/bundled', searched=40, queries=1, errors=0)"
    assert repr(first.queries[0]) == "QueryMatches('red', results=10)"
    assert first.to_dict()["schema"] == "clipsim.search/1"


@pytest.mark.parametrize("place", ["folder", "vectors"])
def test_only_images_of_a_time(machine: Machine, pictures: Path, tmp_path: Path, place: str) -> None:
    """By the dates of the files, of a folder and of a data set, with names too."""
    pytest.importorskip("pyarrow")
    paths = names_below(pictures)
    for number, path in enumerate(paths):
        time = datetime(2000 + number, 6, 1).timestamp()
        os.utime(path, (time, time))
    with clipsim.open() as session:
        if place == "vectors":
            session.embed(pictures, tmp_path / "vectors", dtype="fp32", shard_size=9)
        where = tmp_path / "vectors" if place == "vectors" else pictures
        result = session.search(where, "red", after="2010", before="2030-06", top=40)
        half = session.search(where, "red", after="2010", before="2030-06", include="half0", top=40)
        own = session.search(where, images=paths[5], plus="blue", after="2010", top=40)
        with pytest.raises(NoInputError):
            session.search(where, "red", after="2050")

    assert result.searched == 20
    assert_matches(result.queries[0], expected(paths[10:30], vector(1, 0, 0), 40))
    assert half.searched == 10
    assert {match.same for match in own.queries[0].results} == {None}
    assert own.searched == 30


def make_pattern(seed: int) -> Image.Image:
    """An image of 96 × 64 pixels of coloured squares; all of them have the same squares, in another order."""
    order = np.random.default_rng(seed).permutation(24)
    squares = np.random.default_rng(7).integers(0, 256, (24, 3), np.uint8)[order].reshape(4, 6, 3)
    return Image.fromarray(squares).resize((96, 64), Image.Resampling.NEAREST)


def test_a_raw_file_and_its_jpeg_are_copies_of_each_other(machine: Machine, tmp_path: Path) -> None:
    """Whatever they look like, by their names; the JPEG of another folder is not."""
    pytest.importorskip("rawpy")
    (tmp_path / "other").mkdir()
    (tmp_path / "shot.dng").write_bytes(make_dng(make_pattern(1)))
    make_pattern(2).save(tmp_path / "shot.jpg")
    make_pattern(3).save(tmp_path / "other" / "shot.jpg")
    with clipsim.open() as session:
        result = session.search(tmp_path, "red", unique=True).queries[0]

    assert sorted((Path(match.image).parent.name == "other", match.copies) for match in result.results) == [
        (False, 2), (True, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["folder", "vectors", "both"])
def test_one_of_several_copies(machine: Machine, tmp_path: Path, place: str) -> None:
    """The first stands for those of the same bytes, reduced and encoded again; not for those of the same colours."""
    pytest.importorskip("pyarrow")
    folder = tmp_path / "patterns"
    folder.mkdir()
    for seed in range(3):
        make_pattern(seed).save(folder / f"{seed}.png")
    (folder / "0-same.png").write_bytes((folder / "0.png").read_bytes())
    make_pattern(0).save(folder / "0-again.jpg", quality=92)
    make_pattern(0).resize((72, 48), Image.Resampling.BOX).save(folder / "0-small.png")
    make_pattern(1).resize((72, 48), Image.Resampling.BOX).save(folder / "1-small.png")
    with clipsim.open() as session:
        where: list[Path] = [folder]
        if place != "folder":
            session.embed(folder, tmp_path / "vectors", dtype="fp32", shard_size=3)
            where = [tmp_path / "vectors"] + ([folder] if place == "both" else [])
        plain = session.search(where, "red", top=20).queries[0]
        result = session.search(where, ["red", "blue"], unique=True)
        own = session.search(where, images=folder / "0.png", unique=True, exclude="*-again.jpg").queries[0]
        rest = session.search(where, "red", unique=True, skip=1, top=1).queries[0]
        groups = session.duplicates(where).groups

    assert len(plain.results) == 7
    assert {match.copies for match in plain.results} == {None}
    for query in result.queries:
        assert sorted((Path(match.image).stem[0], match.copies) for match in query.results) == [
            ("0", 4), ("1", 2), ("2", 1),
        ]  # fmt: skip
        assert [match.rank for match in query.results] == [1, 2, 3]
    assert (own.results[0].image, own.results[0].same, own.results[0].copies) == (str(folder / "0.png"), "file", 3)
    assert len(own.results) == 3
    assert rest.results == result.queries[0].results[1:2]
    assert sorted(len(group.images) for group in groups) == [2, 4]
