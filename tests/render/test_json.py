"""Tests of `render.json`: exact bytes of JSON, JSON lines and CSV, and names that read back as they were."""

from __future__ import annotations

import csv
import io
import json
import os

import numpy as np
import pytest
from made_results import NASTY_NAMES, make_result, make_scores

from clipsim.errors import UNSAFE, Failure
from clipsim.render.json import csv_header, format_csv, format_json, format_json_line, to_json
from clipsim.results.rank import ImageScores


def test_a_result_has_a_key_a_line() -> None:
    """One object, whose lists are on the lines of their keys."""
    text = format_json(make_result(["a.png"], ["maze", "cat"]))

    assert text.startswith('{\n  "schema": "clipsim.rank/1",\n  "model": {"name": "ViT-B-32", "pretrained": "openai",')
    assert '\n  "texts": ["maze", "cat"],\n  "images": ["a.png"],\n  "indices": [null],\n' in text
    assert '\n  "similarity": [[0.35], [' in text
    assert text.endswith('\n  "best": [0],\n  "errors": [],\n  "warnings": []\n}\n')
    assert json.loads(text) == make_result(["a.png"], ["maze", "cat"]).to_dict()


def test_a_json_line_has_the_best_text_first() -> None:
    """All texts, or the `top` best."""
    expected = (
        '{"image": "a,b.png", "index": null, "best": "cat", '
        '"scores": [{"text": "cat", "similarity": 0.3, "probability": 0.9}, '
        '{"text": "maze", "similarity": 0.25, "probability": 0.1}]}\n'
    )
    scores = make_scores("a,b.png")

    assert format_json_line(scores, ["maze", "cat"]) == expected
    assert format_json_line(scores, ["maze", "cat"], top=1) == expected.partition(', {"text": "maze"')[0] + "]}\n"


def test_a_json_line_without_probabilities() -> None:
    """With one text they are null."""
    scores = ImageScores("a.png", np.array([0.1234567891], np.float32), None, 0, index=7)

    assert format_json_line(scores, ["maze"]) == (
        '{"image": "a.png", "index": 7, "best": "maze", '
        '"scores": [{"text": "maze", "similarity": 0.1234568, "probability": null}]}\n'
    )


def test_a_failure_as_a_json_line() -> None:
    """A failed input has a line of its own."""
    line = format_json_line(Failure("x", "no such file", 3), ["maze"])

    assert line == '{"image": "x", "index": 3, "error": "no such file"}\n'


def test_names_survive() -> None:
    """`json.loads` gives every name back, with bytes that are not UTF-8; none can act on a terminal."""
    text = format_json(make_result(NASTY_NAMES, ["maze", "cat"]))

    assert json.loads(text)["images"] == NASTY_NAMES
    assert os.fsencode(json.loads(text)["images"][5]) == b"caf\xe9.png"
    assert "猫の写真.png" in text
    assert not UNSAFE.search(text.replace("\n", ""))
    text.encode("utf-8")  # no lone surrogate is left in it

    for name in NASTY_NAMES:
        line = format_json_line(make_scores(name), ["maze", "cat"])
        assert line.count("\n") == 1
        assert json.loads(line)["image"] == name


def test_numbers_that_json_does_not_know_are_refused() -> None:
    """NaN is not JSON; no score is ever one."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json([float("nan")])


def test_a_row_a_pair() -> None:
    """In the order of the texts; with `top`, the best first."""
    scores = make_scores("a,b.png")

    assert csv_header() == "image,text,similarity,probability\n"
    assert format_csv(scores, ["maze", "cat"]) == '"a,b.png",maze,0.25,0.1\n"a,b.png",cat,0.3,0.9\n'
    assert format_csv(scores, ["maze", "cat"], top=1) == '"a,b.png",cat,0.3,0.9\n'
    assert format_csv(scores, ["maze", "cat"], top=2).startswith('"a,b.png",cat,')


def test_a_probability_that_says_nothing_is_an_empty_field() -> None:
    """As with one text."""
    assert format_csv(ImageScores("a.png", np.array([0.25], np.float32), None, 0), ["maze"]) == "a.png,maze,0.25,\n"


def test_names_read_back_as_they_were() -> None:
    """Also those with line ends, quotes and carriage returns."""
    for name in (*NASTY_NAMES, "c\rd\n.png", 'say "x".png', " blank "):
        text = csv_header() + format_csv(make_scores(name), ["a\rb", "cat"])
        rows = list(csv.DictReader(io.StringIO(text, newline="")))

        assert [(row["image"], row["text"]) for row in rows] == [(name, "a\rb"), (name, "cat")]
        assert [float(row["probability"]) for row in rows] == [0.1, 0.9]
