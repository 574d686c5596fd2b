"""Tests of `render.preview`: the bytes that a terminal gets for an image, and tables with one in each row."""

from __future__ import annotations

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from made_results import make_result
from pages import HOSTILE_NAMES
from pictures import saved
from PIL import Image
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table

from clipsim.render.preview import (
    CHUNK,
    COLUMNS,
    ROWS,
    HalfBlocks,
    InlineImage,
    build_preview_table,
    build_preview_top_images,
    iterm_escapes,
    kitty_escapes,
)
from clipsim.render.table import TableParts
from clipsim.results.rank import RankResult


def draw(content: RenderableType, *, terminal: bool = True) -> str:
    """What a console of 60 columns writes, in 24-bit colours where it is a terminal."""
    out = io.StringIO()
    Console(
        file=out, width=60, force_terminal=terminal, color_system="truecolor" if terminal else None, _environ={}
    ).print(content)
    return out.getvalue()


def table_of(*contents: RenderableType) -> Table:
    """A table with an image in each row, and a word beside it."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for content in contents:
        table.add_row(content, "name")
    return table


def png(width: int, height: int) -> bytes:
    """A PNG file of noise, so that it is as long as its pixels need."""
    rng = np.random.default_rng(0)
    return saved(Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)), "PNG")


def test_half_blocks_are_two_pixels_a_cell() -> None:
    """The upper one in the colour of the character, the lower one behind it; an odd last line has none behind."""
    image = Image.new("RGB", (2, 3), "red")
    image.putpixel((1, 1), (0, 0, 255))
    image.putpixel((0, 2), (10, 20, 30))

    assert draw(HalfBlocks(saved(image, "PPM"))) == (
        "\x1b[38;2;255;0;0;48;2;255;0;0m▀\x1b[0m\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0m\n"
        "\x1b[38;2;10;20;30m▀\x1b[0m\x1b[38;2;255;0;0m▀\x1b[0m\n"
        "\n"
    )


def test_half_blocks_keep_their_place_in_a_table() -> None:
    """A narrow image and a wide one leave the names below each other."""
    lines = draw(
        table_of(*(HalfBlocks(saved(Image.new("RGB", size, "red"), "PPM")) for size in ((4, 16), (16, 4)))),
        terminal=False,
    ).splitlines()

    assert [line.index("name") for line in lines if "name" in line] == [COLUMNS + 3] * 2
    assert [line.count("▀") for line in lines] == [4] * 8 + [0] + [16] * 2 + [0]


@pytest.mark.parametrize(
    ("size", "bound"), [((192, 144), "c=16"), ((144, 192), "r=8"), ((192, 192), "c=16"), ((9, 1), "c=16")]
)
def test_kitty(size: tuple[int, int], bound: str) -> None:
    """Chunks of at most 4096 bytes, the first with all keys: shown, as PNG, without an answer, the cursor kept."""
    file = png(*size)
    chunks = list(kitty_escapes(file))
    parts = [re.fullmatch(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", chunk) for chunk in chunks]
    keys, data = zip(*(part.groups() for part in parts if part), strict=True)

    assert len(keys) == len(chunks)
    assert base64.b64decode("".join(data)) == file
    assert all(len(part) == CHUNK for part in data[:-1])
    assert keys[0] == f"a=T,f=100,q=2,C=1,{bound},m={int(len(chunks) > 1)}"
    assert list(keys[1:]) == ["m=1"] * (len(chunks) - 2) + ["m=0"] * (len(chunks) > 1)


@pytest.mark.parametrize(("size", "bound"), [((192, 144), "width=16;height=auto"), ((100, 192), "width=auto;height=8")])
def test_iterm(size: tuple[int, int], bound: str) -> None:
    """One escape with the length of the file and its bounds in cells."""
    file = png(*size)

    assert list(iterm_escapes(file)) == [
        f"\x1b]1337;File=inline=1;size={len(file)};{bound};preserveAspectRatio=1;doNotMoveCursor=1:"
        + base64.b64encode(file).decode()
        + "\x07"
    ]


@pytest.mark.parametrize("protocol", ["kitty", "iterm"])
def test_an_image_is_drawn_over_its_cell(protocol: str) -> None:
    """Once its lines are there: back to their first column and line, and afterwards to where the cursor was."""
    file = png(8, 8)
    draw_it = "".join(kitty_escapes(file) if protocol == "kitty" else iterm_escapes(file))
    lines = draw(table_of(InlineImage(file, protocol), InlineImage(file, protocol))).split("\n")
    placed = f"\x1b7\x1b[{ROWS}A\x1b[{COLUMNS}D{draw_it}\x1b8"

    assert len(lines) == 2 * (ROWS + 1) + 1
    for place in (ROWS, 2 * ROWS + 1):
        before, _, after = lines[place].partition(placed)
        assert before == " " * (1 + COLUMNS)
        assert after.strip() == ""
    assert "".join(lines).count("\x1b7") == 2


def test_off_a_terminal_no_escape_is_written() -> None:
    """Only the blank cell is left."""
    assert "\x1b" not in draw(table_of(InlineImage(png(8, 8), "kitty")), terminal=False)


THUMBNAIL = saved(Image.new("RGB", (16, 10), "red"), "PPM")


def with_thumbnails(images: list[str], texts: list[str]) -> RankResult:
    """A result with a red thumbnail for each image."""
    result = make_result(images, texts)
    return dataclasses.replace(
        result, scores=tuple(dataclasses.replace(image, thumbnail=THUMBNAIL) for image in result.scores)
    )


def draw_parts(parts: TableParts, width: int) -> list[str]:
    """The lines of title, table and caption."""
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get().splitlines()


def test_an_image_the_name_and_the_scores() -> None:
    """Best first, the best one marked."""
    result = with_thumbnails(["images/a.png", "images/b.png"], ["maze", "cat"])
    lines = draw_parts(build_preview_table(result, HalfBlocks, 80), 80)

    assert lines[0] == "ViT-B-32 · openai · cpu · fp32"
    assert lines[1].split() == ["▀" * COLUMNS, "a.png"]
    assert lines[2].split() == ["▀" * COLUMNS, "maze", "*", "0.3500", "50.0%"]
    assert lines[3].split()[1] == "cat"
    assert [line.split() for line in lines[4:6]] == [["▀" * COLUMNS]] * 2
    assert lines[6].strip() == ""
    assert lines[7].split() == ["▀" * COLUMNS, "b.png"]
    assert "Each image's texts, best first: the cosine similarity" in " ".join(lines[-3:])


def test_as_many_texts_as_fit_beside_an_image() -> None:
    """Unless more are asked for; what is left out is said."""
    result = with_thumbnails(["a.png"], [f"text {number}" for number in range(20)])

    plain = draw_parts(build_preview_table(result, HalfBlocks, 100), 100)
    assert sum("%" in line and "text" in line for line in plain) == ROWS - 1
    assert "The best 7 of 20 texts for each image (--top 20 shows all)" in " ".join(plain)
    asked = draw_parts(build_preview_table(result, HalfBlocks, 100, 20), 100)
    assert sum("%" in line and "text" in line for line in asked) == 20
    assert "shows all" not in " ".join(asked)


@pytest.mark.parametrize("width", [50, 80, 160])
def test_names_fit_and_cannot_break_the_table(width: int) -> None:
    """Whatever they are, no line is wider than the terminal and no number is cut."""
    names = [f"{'long ' * 30}{name}" for name in HOSTILE_NAMES]
    lines = draw_parts(build_preview_table(with_thumbnails(names, names[:2]), HalfBlocks, width), width)

    assert max(map(cell_len, lines)) <= width
    assert "\n".join(lines).count("0.3500") == len(names)
    assert not any(mark in "".join(lines) for mark in "\x1b\u202e")


def test_an_image_without_a_thumbnail() -> None:
    """Has an empty cell."""
    lines = draw_parts(build_preview_table(make_result(["a.png"], ["maze", "cat"]), HalfBlocks, 80), 80)

    assert lines[1].index("a.png") == COLUMNS + 4


def test_the_best_images_of_each_text() -> None:
    """With their place, in groups by text, the same image as often as it is among them."""
    result = with_thumbnails(["a.png", "b.png", "c.png"], ["maze", "cat"])
    lines = draw_parts(build_preview_top_images(result, HalfBlocks, 2, 80), 80)
    entries = [line.replace("▀", "").split() for line in lines if "%" in line and "texts" not in line]

    assert [entry[:2] for entry in entries] == [["1.", "maze"], ["2.", "maze"], ["1.", "cat"], ["2.", "cat"]]
    assert entries[0][2:] == ["0.3500", "50.0%"]
    assert "The best 2 of 3 images for each text" in " ".join(lines)
