"""Tests of `render`: exact bytes for the formats, and tables that fit and stay whole."""

from __future__ import annotations

import csv
import io
import json
import os

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from clipsim.render.csv import csv_header, format_csv
from clipsim.render.json import format_json, format_json_line
from clipsim.render.table import build_table
from clipsim.scoring.records import ImageFailure, ImageScores, ModelRecord, RankResult

NASTY = ["[red]x[/red].png", "a\x1b[2Jb\n.png", "猫の写真.png", "😀.png", "rtl\u202egpj.exe", "caf\udce9.png", "[/]"]


def result_of(images: list[str], texts: list[str], head: str = "softmax") -> RankResult:
    """A result with made-up scores: image i is best described by text i, as far as there is one."""
    rng = np.random.default_rng(0)
    scores = []
    for number, image in enumerate(images):
        similarity = rng.uniform(-0.1, 0.3, len(texts)).astype(np.float32)
        similarity[number % len(texts)] = 0.35
        shares = None if len(texts) == 1 and head == "softmax" else np.full(len(texts), 1 / len(texts))
        scores.append(ImageScores(image, similarity, shares, number % len(texts)))
    bias = -10.0 if head == "sigmoid" else None
    model = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, bias, head)
    return RankResult(model, "cpu", "fp32", "torch", (), tuple(texts), tuple(scores), (), ())


def draw(result: RankResult, width: int, top: int | None = None) -> list[str]:
    """The lines of the table."""
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(build_table(result, width, top))
    return capture.get().splitlines()


SCORES = ImageScores("a,b.png", np.array([0.25, 0.3], np.float32), np.array([0.1, 0.9]), 1)


def test_a_json_line() -> None:
    """Best first, on one line."""
    expected = (
        '{"image": "a,b.png", "best": "cat", "scores": [{"text": "cat", "similarity": 0.3, "probability": 0.9}, '
        '{"text": "maze", "similarity": 0.25, "probability": 0.1}]}\n'
    )
    assert format_json_line(SCORES, ["maze", "cat"]) == expected
    assert len(json.loads(format_json_line(SCORES, ["maze", "cat"], top=1))["scores"]) == 1


def test_a_failure_as_a_json_line() -> None:
    """A failed input has a line of its own."""
    assert format_json_line(ImageFailure("x", "no such file"), ["maze"]) == '{"image": "x", "error": "no such file"}\n'


def test_csv() -> None:
    """A row a pair, in the order of the texts; with `top`, the best first."""
    assert csv_header() == "image,text,similarity,probability\n"
    assert format_csv(SCORES, ["maze", "cat"]) == '"a,b.png",maze,0.25,0.1\n"a,b.png",cat,0.3,0.9\n'
    assert format_csv(SCORES, ["maze", "cat"], top=1) == '"a,b.png",cat,0.3,0.9\n'


def test_json_gives_every_name_back() -> None:
    """Names survive json.loads unchanged, bytes that are not UTF-8 included, and none can act on a terminal."""
    text = format_json(result_of(NASTY, ["maze", "cat"]))

    assert json.loads(text)["images"] == NASTY
    assert os.fsencode(json.loads(text)["images"][5]) == b"caf\xe9.png"
    assert "猫の写真.png" in text
    assert not any(mark in text for mark in "\x1b\u202e\x9b")
    text.encode("utf-8")  # no lone surrogate is left in it


def test_a_column_an_image_while_they_fit() -> None:
    """Two images stand side by side on 80 columns, the best marked."""
    lines = draw(result_of(["images/maze.jpg", "images/cat.jpg"], ["maze", "cat"]), 80)

    assert lines[0] == "ViT-B-32 · openai · cpu · fp32"
    assert lines[1].split() == ["maze.jpg", "cat.jpg"]
    assert lines[3].split()[:3] == ["maze", "*", "0.3500"]
    assert "softmax, scale 100" in " ".join(lines[5:])


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("images", [1, 2, 7, 40])
@pytest.mark.parametrize("texts", [1, 2, 5, 30])
@pytest.mark.parametrize("top", [None, 2])
def test_tables_fit(width: int, images: int, texts: int, top: int | None) -> None:
    """Nothing is wider than the terminal, and every image and every number is whole."""
    names = [f"some/folder/picture_with_a_long_name_{number:03d}.jpeg" for number in range(images)]
    result = result_of(names, [f"a photo of thing number {number}" for number in range(texts)])
    lines = draw(result, width, top)

    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    assert text.count("0.3500") >= images
    for number in range(images):
        assert images == 1 or f"{number:03d}" in text


@pytest.mark.parametrize("width", [80, 160])
def test_names_cannot_break_the_table(width: int) -> None:
    """Markup is text, controls are escaped, and all rows are equally wide."""
    lines = draw(result_of(NASTY, NASTY[:2]), width)
    text = "\n".join(lines)

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]" in text
    rule = next(line for line in lines if set(line.strip()) == {"─"})
    rows = lines[lines.index(rule) + 1 :][: 2 if width == 160 else len(NASTY)]
    assert {cell_len(row) for row in rows} == {cell_len(rule)}


def test_wide_characters_cost_two_cells() -> None:
    """Names and texts in CJK are cut by what they take, and no number is ever cut."""
    names = [f"東京タワーの写真と夜景の素晴らしい眺め{number}.jpg" for number in range(4)]
    for texts in (["cat", "dog"], ["猫がいる部屋の写真とても長い", "dog", "bird"]):
        for width in (60, 80, 100):
            lines = draw(result_of(names, texts), width)
            assert max(map(cell_len, lines)) <= width
            assert not any("…" in cell for line in lines for cell in line.split() if cell[:2] in ("0.", "-0", "*"))
            assert "\n".join(lines).count("0.3500") == 4


def test_names_stay_different() -> None:
    """Labels that would come out alike are shown from where they differ, whatever else is in the table."""
    names = [f"holiday_2024_beach_IMG_000{n}_edited_final_version_for_print.jpg" for n in (1, 2, 3)]
    lines = draw(result_of([*names, "x.jpg"], ["maze", "cat"]), 80)

    assert len({line.split()[0] for line in lines[3:7]}) == 4


def test_what_was_asked_for_is_shown() -> None:
    """--top 5 on a narrow terminal gives five lines an image; without it, what is left out is said."""
    result = result_of(
        [f"picture {number}.jpg" for number in range(7)], [f"a text of some length {n}" for n in range(9)]
    )

    assert sum("%" in line and "text" in line for line in draw(result, 80, top=5)) == 35
    assert "(--top 9 shows all)" in " ".join(draw(result, 80))


def test_a_carriage_return_in_a_name_is_quoted() -> None:
    """The CSV reads back as it was."""
    text = format_csv(ImageScores("c\rd\n.png", SCORES.similarity, SCORES.probabilities, 1), ["a\rb", "cat"])
    rows = [row[:2] for row in csv.reader(io.StringIO(text, newline=""))]

    assert rows == [["c\rd\n.png", "a\rb"], ["c\rd\n.png", "cat"]]


def test_the_caption_says_what_the_probability_is() -> None:
    """Softmax, sigmoid and a single text each have their sentence."""
    sigmoid = " ".join(draw(result_of(["a.png"], ["x", "y"], head="sigmoid"), 160))
    single = " ".join(draw(result_of(["a.png"], ["x"]), 160))

    assert "each pair by itself (sigmoid, scale 100, bias -10)" in sigmoid
    assert "a single text has no probability" in single
    assert "%" not in single
