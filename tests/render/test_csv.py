"""Tests of `render.csv`: exact bytes, and names that read back as they were."""

from __future__ import annotations

import csv
import io

import numpy as np
from results import NASTY_NAMES, make_scores

from clipsim.render.json import csv_header, format_csv
from clipsim.results.rank import ImageScores


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
