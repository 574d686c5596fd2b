"""Tests of `clipsim fit`, and of `--classifier` in the commands that take it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import set_state
from fake_encoder import FakeEncoder
from PIL import Image

if TYPE_CHECKING:
    from cli.conftest import Clipsim


@pytest.fixture
def kinds(tmp_path: Path, colour_model: FakeEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with six warm and six cold pictures in folders, whose names are no colours."""
    rng = np.random.default_rng(2)
    for name, base in (("warm", (200, 60, 30)), ("cold", (30, 90, 200))):
        folder = tmp_path / "tree" / "kinds" / name
        folder.mkdir(parents=True)
        for number in range(6):
            shade = tuple(int(value) for value in np.clip(base + rng.integers(-30, 30, 3), 0, 255))
            Image.new("RGB", (14, 9 + number), shade).save(folder / f"{number:02d}.png")
    set_state(monkeypatch, tmp_path / "state")
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "tree" / "kinds"


def test_the_table_and_the_file(clipsim: Clipsim, kinds: Path) -> None:
    """Accuracies, their difference and the verdict, and each label; the file is what --json prints."""
    done = clipsim("fit", "kinds", "-o", "c.json")
    lines = done.out.splitlines()

    assert done.status == 0
    assert lines[0].endswith("12 examples · 2 labels")
    assert lines[1].split() == ["words", "alone", "classifier", "gain", "p"]
    assert lines[3].split()[:4] == ["top1", "50.0", "%", "(25.4"]
    assert "+50.0 pp (" in lines[3]
    assert "Better than the words alone." in lines
    assert [line.split() for line in lines[-2:]] == [
        ["cold", "6", "100.0", "%", "100.0", "%"], ["warm", "6", "0.0", "%", "100.0", "%"],
    ]  # fmt: skip
    assert "classifier is written to c.json" in done.err
    printed = clipsim("fit", "kinds", "--json", "-q")
    assert json.loads(printed.out) == json.loads(Path("c.json").read_text())
    assert printed.err == ""


def test_it_says_where_it_is_no_better(clipsim: Clipsim, kinds: Path) -> None:
    """In the table, and as a notice with JSON; and that nothing is kept without --output."""
    kinds.joinpath("warm").rename("kinds/red")
    kinds.joinpath("cold").rename("kinds/blue")
    done = clipsim("fit", "kinds")

    assert done.status == 0
    assert "No better than the words alone by its interval." in done.out.splitlines()
    assert "the classifier is not kept; give --output FILE (-o)" in done.err
    assert "no better than the words alone by its interval" in clipsim("fit", "kinds", "--json").err


def test_one_example_a_label(clipsim: Clipsim, kinds: Path) -> None:
    """Nothing is measured, and nothing is said to be better."""
    done = clipsim("fit", "kinds", "--shots", "1")

    assert done.status == 0
    assert done.out.splitlines()[3].split()[-3:] == ["–", "–", "–"]
    assert "etter than the words" not in done.out
    assert "nothing can be cross-validated" in done.err


def test_rank_sort_tag_and_evaluate_take_it(clipsim: Clipsim, kinds: Path) -> None:
    """Its labels are the texts, the folders, the keywords and the classes."""
    clipsim("fit", "kinds", "-o", "c.json")
    ranked = clipsim("rank", "kinds", "--classifier", "c.json")
    assert ranked.status == 0
    assert "the label's vector, which a classifier has learnt from 12 examples" in " ".join(ranked.out.split())
    record = json.loads(clipsim("rank", "kinds", "--classifier", "c.json", "--json").out)
    assert record["texts"] == ["cold", "warm"]
    assert record["best"] == [0] * 6 + [1] * 6
    assert record["classifier"]["examples"] == 12
    lines = clipsim("rank", "kinds", "--classifier", "c.json", "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["best"] for line in lines] == ["cold"] * 6 + ["warm"] * 6

    plan = json.loads(clipsim("sort", "kinds", "--classifier", "c.json", "--copy-to", "to", "--json").out)
    assert {Path(step["target"]).parent.name for step in plan["steps"]} == {"cold", "warm"}
    tags = clipsim("tag", "kinds", "--classifier", "c.json", "--format", "exiftool").out.splitlines()
    assert [line.rpartition(",")[2] for line in tags[1:]] == ["cold"] * 6 + ["warm"] * 6

    measured = clipsim("evaluate", "kinds", "--classifier", "c.json")
    assert measured.status == 0
    assert "clipsim-mini [classifier]" in measured.out
    assert "12 of 12 images are examples that the classifier was made of" in measured.err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("rank", "kinds", "-t", "cat", "--classifier", "c.json"), 2, "--text: cannot be combined with a classifier"),
        (
            ("rank", "kinds", "--template", "a {}", "--classifier", "c.json"),
            2,
            "--template: cannot be combined with a classifier",
        ),
        (("sort", "kinds", "-t", "cat", "--classifier", "c.json", "--copy-to", "x"), 2, "--text: cannot be combined"),
        (("rank", "kinds", "--classifier", "none.json"), 1, "none.json: cannot read it: No such file"),
        (("rank", "kinds", "--classifier", "kinds/warm/00.png"), 1, "kinds/warm/00.png: not JSON"),
        (("fit", "kinds/warm"), 1, "expected a folder for each class"),
        (("fit", "kinds", "-o", "kinds/warm/00.png"), 1, "it is there and is no classifier"),
        (("fit", "kinds", "-o", "nowhere/c.json"), 1, "nowhere/c.json: cannot write the classifier"),
        (("fit", "kinds", "--shots", "0"), 2, "'0' is not a whole number from 1"),
    ],
)
def test_refusals_are_one_line(
    clipsim: Clipsim, kinds: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    """With the option and the cause."""
    clipsim("fit", "kinds", "-o", "c.json")
    done = clipsim(*arguments, "-q")

    assert done.status == status
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_an_image_that_cannot_be_used_is_skipped(clipsim: Clipsim, kinds: Path) -> None:
    """Named, counted, and the exit status says so; the classifier is made of the others."""
    (kinds / "warm" / "broken.png").write_bytes(b"not an image")
    done = clipsim("fit", "kinds", "-o", "c.json")

    assert done.status == 3
    assert "kinds/warm/broken.png" in done.err
    assert "1 of 13 inputs skipped" in done.err
    assert len(json.loads(Path("c.json").read_text())["errors"]) == 1
