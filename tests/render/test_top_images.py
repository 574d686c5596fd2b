"""Tests of `render.top_images`: the best images of each text, in every format."""

from __future__ import annotations

import io
import json

import numpy as np
from rich.console import Console

from clipsim.render.table import build_top_images_table, format_top_images_csv, format_top_images_lines
from clipsim.results.rank import ImageScores, ModelRecord, RankResult

MODEL = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax")


def result_of(*cosines: tuple[float, float]) -> RankResult:
    """Images a.png, b.png, … against the texts maze and cat."""
    scores = tuple(
        ImageScores(
            f"pictures/{chr(97 + number)}.png",
            np.array(pair, np.float32),
            np.array([0.5, 0.5]),
            int(np.argmax(pair)),
        )
        for number, pair in enumerate(cosines)
    )
    return RankResult(MODEL, "cpu", "fp32", "torch", (), ("maze", "cat"), scores, (), ())


RESULT = result_of((0.25, 0.5), (0.75, 0.125), (0.5, 0.25))


def test_each_text_has_its_best_images_best_first() -> None:
    """A line of JSON a text; equals keep the order given."""
    lines = [json.loads(line) for line in format_top_images_lines(RESULT, 2).splitlines()]

    assert [line["text"] for line in lines] == ["maze", "cat"]
    assert [image["image"] for image in lines[0]["images"]] == ["pictures/b.png", "pictures/c.png"]
    assert lines[1]["images"][0] == {"image": "pictures/a.png", "similarity": 0.5, "probability": 0.5}
    assert [scores.image for scores in result_of((0.5, 0), (0.5, 0)).top_images(0, 2)] == [
        "pictures/a.png",
        "pictures/b.png",
    ]


def test_csv_has_a_line_a_pair_grouped_by_text() -> None:
    """With the header of the other CSV."""
    assert format_top_images_csv(RESULT, 1) == (
        "image,text,similarity,probability\npictures/b.png,maze,0.75,0.5\npictures/a.png,cat,0.5,0.5\n"
    )


def test_the_table_names_each_text_once() -> None:
    """Places are counted, names are whole where that is asked for, and no best text is spoken of."""
    title, table, legend = build_top_images_table(RESULT, 5, 100, whole_names=True)
    console = Console(file=io.StringIO(), width=100)
    console.print(title, table, legend)
    drawn = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO

    assert drawn.count("maze") == 1
    assert drawn.count("pictures/b.png") == 2
    assert "The best 3 of 3 images for each text" in drawn
    assert "*" not in drawn


def test_a_row_a_pair_for_data_frames() -> None:
    """Plain Python values."""
    rows = RESULT.to_rows()

    assert len(rows) == 6
    assert rows[0] == {
        "image": "pictures/a.png", "index": None, "text": "maze", "similarity": 0.25, "probability": 0.5,
        "best": False,
    }  # fmt: skip
    assert rows[1]["best"] is True
