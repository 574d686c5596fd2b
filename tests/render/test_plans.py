"""Tests for `render.plans`: the table of a plan, the line below it, and ExifTool's CSV."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from clipsim.render.json import format_exiftool
from clipsim.render.plans import build_plan_table, summarise_plan
from clipsim.results.plans import FileStep, PlanResult

STEPS = tuple(
    FileStep("move", f"photos/{name}.jpg", f"sorted/cat/{name}.jpg", ("cat",), 0.25, 0.987)
    for name in ("a", "b\x1b[31m", os.fsdecode(b"caf\xe9"))
)
PLAN = PlanResult(command="sort", model=None, steps=STEPS, left=("x.jpg",))


def draw(result: PlanResult, width: int = 100) -> list[str]:
    """The lines of the table."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for part in build_plan_table(result):
        console.print(part)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_a_line_a_file() -> None:
    """With names that act on no terminal."""
    lines = draw(PLAN)
    assert lines[0] == "clipsim sort · 3 files"
    assert lines[1].split() == ["action", "image", "to", "label", "probability"]
    assert lines[3].split() == ["move", "photos/a.jpg", "sorted/cat/a.jpg", "cat", "98.7%"]
    assert r"photos/b\x1b[31m.jpg" in lines[4]
    assert r"photos/caf\xe9.jpg" in lines[5]


def test_long_names_are_shortened_where_there_is_no_room() -> None:
    """At their beginnings, which are alike most often; figures are whole."""
    steps = tuple(replace(step, source=f"{'very/' * 30}{number}.jpg") for number, step in enumerate(STEPS))
    lines = draw(replace(PLAN, steps=steps), 80)
    assert all(len(line) <= 80 for line in lines)
    assert [f"{number}.jpg" in lines[3 + number] for number in range(3)] == [True] * 3
    assert lines[3].endswith("98.7%")
    assert f"{'very/' * 30}0.jpg" in "".join(draw(replace(PLAN, steps=steps), 400))


def test_the_copy_that_stays_is_shown() -> None:
    """Beside the one that is moved; of a hard link it is the target."""
    step = replace(STEPS[0], labels=(), probability=None, keeper="photos/best.jpg")
    assert "photos/best.jpg" in draw(replace(PLAN, steps=(step,)))[3]
    link = replace(step, action="hardlink", target="photos/best.jpg")
    assert draw(replace(PLAN, steps=(link,)))[3].count("best") == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "3 files to move; 1 image left as it is. Nothing was changed; --yes carries it out."),
        ({"left": ()}, "3 files to move. Nothing was changed; --yes carries it out."),
        ({"steps": ()}, "Nothing to do; 1 image left as it is."),
        ({"applied": True, "steps": (replace(STEPS[0], done=True), STEPS[1])}, "1 of 2 files moved; 1 image left"),
        ({"command": "undo", "steps": (replace(STEPS[0], done=True),), "applied": True}, "1 of 1 step taken back."),
        ({"steps": (replace(STEPS[0], action="hardlink"),), "left": ()}, "1 file to replace by hard links. Nothing"),
    ],
)
def test_the_line_below_says_what_happens(change: dict[str, Any], line: str) -> None:
    """Or has happened."""
    assert summarise_plan(replace(PLAN, **change)).startswith(line)


def test_the_csv_of_exiftool() -> None:
    """A row an image; the keywords are joined as -sep separates them."""
    steps = (replace(STEPS[0], labels=("cat", 'a "b"')), replace(STEPS[1], source="x,\n.jpg"))
    rows = list(csv.reader(io.StringIO("".join(format_exiftool(replace(PLAN, steps=steps))))))
    assert rows == [
        ["SourceFile", "XMP-dc:Subject", "XMP-lr:HierarchicalSubject"],
        ["photos/a.jpg", 'cat, a "b"', 'cat, a "b"'],
        ["x,\n.jpg", "cat", "cat"],
    ]
