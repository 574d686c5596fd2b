"""Tests of `render.preview_table`: a picture in each row, with the name and the scores beside it."""

from __future__ import annotations

import dataclasses

import pytest
from pages import HOSTILE_NAMES
from pictures import saved
from PIL import Image
from results import make_result
from rich.cells import cell_len
from rich.console import Console

from clipsim.render.preview import COLUMNS, ROWS, HalfBlocks, build_preview_table, build_preview_top_images
from clipsim.render.table import TableParts
from clipsim.results.rank import RankResult

THUMBNAIL = saved(Image.new("RGB", (16, 10), "red"), "PPM")


def pictured(images: list[str], texts: list[str]) -> RankResult:
    """A result with a red picture for each image."""
    result = make_result(images, texts)
    return dataclasses.replace(
        result, scores=tuple(dataclasses.replace(image, thumbnail=THUMBNAIL) for image in result.scores)
    )


def draw(parts: TableParts, width: int) -> list[str]:
    """The lines of title, table and caption."""
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get().splitlines()


def test_a_picture_the_name_and_the_scores() -> None:
    """Best first, the best one marked."""
    result = pictured(["images/a.png", "images/b.png"], ["maze", "cat"])
    lines = draw(build_preview_table(result, HalfBlocks, 80), 80)

    assert lines[0] == "ViT-B-32 · openai · cpu · fp32"
    assert lines[1].split() == ["▀" * COLUMNS, "a.png"]
    assert lines[2].split() == ["▀" * COLUMNS, "maze", "*", "0.3500", "50.0%"]
    assert lines[3].split()[1] == "cat"
    assert [line.split() for line in lines[4:6]] == [["▀" * COLUMNS]] * 2
    assert lines[6].strip() == ""
    assert lines[7].split() == ["▀" * COLUMNS, "b.png"]
    assert "The texts of each image, best first: the cosine similarity" in " ".join(lines[-3:])


def test_as_many_texts_as_fit_beside_a_picture() -> None:
    """Unless more are asked for; what is left out is said."""
    result = pictured(["a.png"], [f"text {number}" for number in range(20)])

    plain = draw(build_preview_table(result, HalfBlocks, 100), 100)
    assert sum("%" in line and "text" in line for line in plain) == ROWS - 1
    assert "The best 7 of 20 texts for each image (--top 20 shows all)" in " ".join(plain)
    asked = draw(build_preview_table(result, HalfBlocks, 100, 20), 100)
    assert sum("%" in line and "text" in line for line in asked) == 20
    assert "shows all" not in " ".join(asked)


@pytest.mark.parametrize("width", [50, 80, 160])
def test_names_fit_and_cannot_break_the_table(width: int) -> None:
    """Whatever they are, no line is wider than the terminal and no number is cut."""
    names = [f"{'long ' * 30}{name}" for name in HOSTILE_NAMES]
    lines = draw(build_preview_table(pictured(names, names[:2]), HalfBlocks, width), width)

    assert max(map(cell_len, lines)) <= width
    assert "\n".join(lines).count("0.3500") == len(names)
    assert not any(mark in "".join(lines) for mark in "\x1b\u202e")


def test_an_image_without_a_thumbnail() -> None:
    """Has an empty cell."""
    lines = draw(build_preview_table(make_result(["a.png"], ["maze", "cat"]), HalfBlocks, 80), 80)

    assert lines[1].index("a.png") == COLUMNS + 4


def test_the_best_images_of_each_text() -> None:
    """With their place, in groups by text, the same picture as often as it is among them."""
    result = pictured(["a.png", "b.png", "c.png"], ["maze", "cat"])
    lines = draw(build_preview_top_images(result, HalfBlocks, 2, 80), 80)
    entries = [line.replace("▀", "").split() for line in lines if "%" in line and "texts" not in line]

    assert [entry[:2] for entry in entries] == [["1.", "maze"], ["2.", "maze"], ["1.", "cat"], ["2.", "cat"]]
    assert entries[0][2:] == ["0.3500", "50.0%"]
    assert "The best 2 of 3 images for each text" in " ".join(lines)
