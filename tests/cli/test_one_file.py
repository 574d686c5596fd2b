"""Tests of one file under several names in `rank`, `search`, `evaluate` and `threshold`: it is one picture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_encoder import FakeEncoder
from PIL import Image

if TYPE_CHECKING:
    from cli.conftest import Clipsim

NOTICE = "names lead to a file that was named before; each file counts once"


@pytest.fixture
def linked(colours: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: `colours` with three pictures, a link and a hard link to one of them; a link to it."""
    (colours / "a link.png").symlink_to("red.png")
    (colours / "hard.png").hardlink_to(colours / "red.png")
    (colours.parent / "linked").symlink_to("colours")
    monkeypatch.chdir(colours.parent)
    return colours


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_rank(clipsim: Clipsim, colour_model: FakeEncoder, linked: Path, form: str) -> None:
    """A folder named three times has each of its files once, by the name that came first; a hard link is a picture."""
    ended = clipsim("rank", "colours", "./colours", linked, "linked/red.png", "-t", "red", "--format", form)
    lines = ended.out.splitlines()
    names = json.loads(ended.out)["images"] if form == "json" else [json.loads(line)["image"] for line in lines]

    assert names == [f"colours/{name}.png" for name in ("a link", "blue", "green", "hard")]
    assert f"12 {NOTICE}" in ended.err


def test_search(clipsim: Clipsim, colour_model: FakeEncoder, linked: Path) -> None:
    """A picture is in an answer once, be it named twice, in a folder of vectors, or in both; all others are found."""
    pytest.importorskip("pyarrow")
    named = clipsim("search", "colours", "linked", "-t", "red", "-l", "--top", "4")
    clipsim("embed", "colours", "-o", "vectors")
    clipsim("embed", "linked", "-o", "more")
    stored = clipsim("search", "vectors", "more", "./vectors", "colours", "-t", "red", "-l", "--top", "4")

    expected = {f"colours/{name}.png" for name in ("a link", "blue", "green", "hard")}
    assert set(named.out.splitlines()) == set(stored.out.splitlines()) == expected
    assert len(named.out.splitlines()) == len(stored.out.splitlines()) == 4
    assert NOTICE in named.err


def test_search_of_captions(clipsim: Clipsim, colour_model: FakeEncoder, linked: Path) -> None:
    """A picture with many captions has many rows in a folder of vectors, and still one place in an answer."""
    pytest.importorskip("pyarrow")
    rows = [f"colours/red.png,red {number}" for number in range(30)] + ["colours/blue.png,b", "colours/green.png,g"]
    Path("table.csv").write_text("\n".join(["image,caption", *rows]))
    clipsim("embed", "table.csv", "-o", "vectors")
    found = clipsim("search", "vectors", "-t", "red", "-l", "--top", "3").out.splitlines()

    assert len(found) == 3
    assert set(found) == {"colours/red.png", "colours/blue.png", "colours/green.png"}


def test_evaluate(clipsim: Clipsim, colour_model: FakeEncoder, linked: Path) -> None:
    """One file with two labels is named; with one label it counts once; captions of all its names are its own."""
    Path("labels.csv").write_text(
        "image,label\ncolours/red.png,red\n./colours/red.png,blue\nlinked/blue.png,blue\ncolours/blue.png,blue\n"
    )
    Path("captions.csv").write_text(
        "image,caption\ncolours/red.png,red\n./colours/red.png,a red one\nlinked/blue.png,blue\n"
    )
    labels = clipsim("evaluate", "labels.csv", "--json")
    captions = clipsim("evaluate", "captions.csv", "--json")

    assert labels.status == 3
    assert "./colours/red.png: the file has the label 'red' already, as colours/red.png" in labels.err
    assert json.loads(labels.out)["data"]["images"] == 2
    assert captions.status == 0
    assert json.loads(captions.out)["data"] | {"images": 2, "captions": 3} == json.loads(captions.out)["data"]


def test_evaluate_folders(clipsim: Clipsim, colour_model: FakeEncoder, linked: Path) -> None:
    """A link in the folder of another class is the same file with another label."""
    for name in ("red", "blue"):
        Path("classes", name).mkdir(parents=True)
        shutil.copy(linked / f"{name}.png", f"classes/{name}/1.png")
    Path("classes/red/0.png").symlink_to("../blue/1.png")
    ended = clipsim("evaluate", "classes", "--json")

    assert ended.status == 3
    assert "classes/red/0.png: the file has the label 'blue' already, as classes/blue/1.png" in ended.err


@pytest.mark.parametrize("other", ["./colours/red.png", "colours/a link.png", "linked", "colours/hard.png"])
def test_threshold(clipsim: Clipsim, colour_model: FakeEncoder, linked: Path, other: str) -> None:
    """A file that is a positive and a negative is refused, whatever its names."""
    ended = clipsim("threshold", "red", "--positives", "colours/red.png", "--negatives", other, "--recall", "0.5")

    assert ended.status == 2
    assert "is a positive and a negative, as colours/red.png" in ended.err


def test_threshold_counts_once(clipsim: Clipsim, colour_model: FakeEncoder, linked: Path) -> None:
    """The promise is about different pictures: a link or a repeat is not one more."""
    for number in range(9):
        Image.new("RGB", (40, 24), (200 + number, 0, 0)).save(f"colours/red{number}.png")
    ended = clipsim("threshold", "red", "--positives", "colours/red?.png", "--positives", "linked/red?.png", "--recall",
                    "0.9", "--json")  # fmt: skip

    assert ended.status == 0
    assert json.loads(ended.out)["thresholds"][0]["n"] == 9
    assert f"9 {NOTICE}" in ended.err
