"""Tests of `tasks.overview`: groups of what is alike, typical images, and the words that tell the groups apart."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import Machine
from PIL import Image

import clipsim
from clipsim.embedding.encode import ImageVector
from clipsim.errors import NoInputError, UsageError
from clipsim.inputs.arguments import make_sources
from clipsim.inputs.texts import read_texts
from clipsim.tasks.overview import VOCABULARY
from clipsim.vectors.groups import group_vectors
from clipsim.vectors.similarity import unit_rows
from training.draw.scene import EVALUATION_SEEDS, draw_picture


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """Twelve shades of red, six of blue, three of green, and a broken file."""
    folder = tmp_path / "shades"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, base, count in (("red", (220, 30, 30), 12), ("blue", (30, 30, 220), 6), ("green", (30, 200, 30), 3)):
        for number in range(count):
            shade = tuple(int(value) for value in np.clip(base + rng.integers(-25, 25, 3), 0, 255))
            Image.new("RGB", (20 + number, 12), shade).save(folder / f"{name}{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def kind_of(name: str) -> str:
    """The colour in the name of a file."""
    return Path(name).stem.rstrip("0123456789")


@pytest.mark.parametrize("groups", [None, 3])
def test_groups_words_and_typical_images(machine: Machine, shades: Path, groups: int | None) -> None:
    """The largest first, each with its share, its best word and three images; what cannot be used is an error."""
    with clipsim.open("clipsim-mini") as session:
        result = session.overview(shades, groups=groups, texts=["green", "red", "blue", "gray"])

    assert [(group.size, group.label) for group in result.groups] == [(12, "red"), (6, "blue"), (3, "green")]
    assert [round(group.share, 3) for group in result.groups] == [0.571, 0.286, 0.143]
    typical = [[kind_of(image.image) for image in group.images] for group in result.groups]
    assert typical == [["red"] * 3, ["blue"] * 3, ["green"] * 3]
    assert (result.images, result.texts, [Path(error.image).name for error in result.errors]) == (21, 4, ["broken.png"])
    assert result.groups[0].images[0].index == sorted(path.name for path in shades.iterdir()).index(
        Path(result.groups[0].images[0].image).name
    )


def test_a_word_that_fits_everything_is_nowhere_the_best(machine: Machine, tmp_path: Path) -> None:
    """Gray is nearer to light red and light blue than red and blue are, but tells nothing of either."""
    for name, colour in (("red", (255, 200, 200)), ("blue", (200, 200, 255))):
        for number in range(3):
            Image.new("RGB", (20 + number, 12), colour).save(tmp_path / f"{name}{number}.png")
    with clipsim.open("clipsim-mini") as session:
        nearest = session.rank(tmp_path / "red0.png", ["gray", "red", "blue"]).best
        result = session.overview(tmp_path, groups=2, texts=["gray", "red", "blue"])

    assert nearest == (0,)
    assert {group.label: kind_of(group.images[0].image) for group in result.groups} == {"red": "red", "blue": "blue"}
    assert all(word.difference is not None and word.difference > 0 for group in result.groups for word in group.words)


def test_one_group_has_the_nearest_words(machine: Machine, colours: Path) -> None:
    """There is nothing to hold it against."""
    with clipsim.open("clipsim-mini") as session:
        (group,) = session.overview(colours / "red.png", texts=["blue", "red"]).groups

    assert [(word.text, word.difference) for word in group.words] == [("red", None), ("blue", None)]
    assert (group.size, group.share) == (1, 1.0)


def test_a_second_run_computes_nothing(machine: Machine, shades: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vectors of images and of all words are in the cache."""
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", 0)
    results = []
    for _ in range(2):
        with clipsim.open("clipsim-mini") as session:
            results.append(session.overview(shades))

    assert results[0] == results[1]
    assert len(machine.encoders) == 1
    assert results[0].texts == len(read_texts(str(VOCABULARY)))


def test_vectors_of_embed_are_read(machine: Machine, shades: Path, tmp_path: Path) -> None:
    """The groups are those of the images themselves."""
    pytest.importorskip("pyarrow")
    with clipsim.open("clipsim-mini") as session:
        session.embed(shades, tmp_path / "vectors", dtype="fp32")
        read = session.overview(tmp_path / "vectors", texts=["red", "blue", "green"])
        computed = session.overview(shades, texts=["red", "blue", "green"])

    assert [(group.size, group.label) for group in read.groups] == [
        (group.size, group.label) for group in computed.groups
    ]


def test_more_groups_than_different_images(machine: Machine, colours: Path) -> None:
    """A notice says how many there are."""
    with clipsim.open("clipsim-mini") as session:
        result = session.overview(colours, groups=9, texts="red")

    assert len(result.groups) == 3
    assert "there are only 3 different images, and as many groups" in result.warnings


def test_more_groups_than_the_one_image(machine: Machine, colours: Path) -> None:
    """A notice says so in words of its own."""
    with clipsim.open("clipsim-mini") as session:
        result = session.overview(colours / "red.png", groups=2, texts="red")

    assert len(result.groups) == 1
    assert "all images are equal, and there is one group" in result.warnings


@pytest.mark.parametrize(
    ("values", "message"),
    [({"groups": 0}, "groups"), ({"groups": 1.5}, "groups"), ({"seed": -1}, "seed"), ({"texts": [" "]}, "texts")],
)
def test_wrong_values(machine: Machine, colours: Path, values: dict[str, object], message: str) -> None:
    """Before a model is opened."""
    with pytest.raises(UsageError, match=message):
        clipsim.overview(colours, **values)  # type: ignore[arg-type]
    assert machine.encoders == []


def test_nothing_usable(machine: Machine, tmp_path: Path) -> None:
    """The error says what is wrong with the first."""
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(NoInputError, match=r"broken\.png"):
        clipsim.overview(tmp_path / "broken.png", model="clipsim-mini")


def test_the_vocabulary_is_a_list_of_different_words() -> None:
    """One a line, stripped, none twice."""
    words = VOCABULARY.read_text(encoding="utf-8").splitlines()

    assert len(words) == len(set(words)) == 783
    assert all(word == word.strip() != "" for word in words)


KINDS = ("maze", "bar chart", "pie chart", "chessboard", "barcode", "circle", "map", "page of text")


def test_drawn_images_are_grouped_by_what_they_show() -> None:
    """The figures on the page of the command: images in the group of their kind, and the words of the groups."""
    images = [draw_picture(EVALUATION_SEEDS + 97 * number, kind).image for kind in KINDS for number in range(12)]
    with clipsim.open("clipsim-mini", cache=False) as session:
        result = session.overview(images, groups=len(KINDS))
        embedder = session.embedder
        with closing(embedder.open_pipeline(list(make_sources(images)))) as pipeline:
            outcomes = [outcome for batch in embedder.embed_images(pipeline) for outcome in batch]
    vectors = unit_rows(np.stack([outcome.features for outcome in outcomes if isinstance(outcome, ImageVector)]))
    grouping = group_vectors(lambda start, end: vectors[start:end], len(vectors), len(KINDS))
    kinds = np.repeat(np.arange(len(KINDS)), 12)
    right = sum(int(np.bincount(kinds[grouping.labels == group]).max()) for group in range(len(grouping.centres)))

    assert [group.size for group in result.groups] == grouping.sizes().tolist()
    assert right >= 94
    assert set(KINDS) == {group.label for group in result.groups}
