"""`clipsim explain`: what speaks for each text, in every format, and how a run ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Clipsim
from fake_encoder import FakeEncoder
from PIL import Image

WORDS = ("-t", "red", "-t", "blue")


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A red thing on the left and a blue one on the right in `photo.png`, of the current folder."""
    image = Image.new("RGB", (60, 60), "white")
    image.paste("red", (8, 22, 24, 38))
    image.paste("blue", (36, 22, 52, 38))
    image.save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)


def test_table(clipsim: Clipsim, colour_model: FakeEncoder, photo: None) -> None:
    """A text a row; a text may stand behind the image."""
    done = clipsim("explain", "photo.png", *WORDS, "-q")
    lines = done.out.splitlines()

    assert (done.status, done.err) == (0, "")
    assert lines[0].endswith("photo.png")
    assert [line.split()[0] for line in lines if " x " in line and " y " in line][:2] == ["red", "blue"]
    assert clipsim("explain", "photo.png", "red", "blue", "-q").out == done.out


def test_json(clipsim: Clipsim, colour_model: FakeEncoder, photo: None) -> None:
    """The object of the schema, also by the suffix of a file."""
    record = json.loads(clipsim("explain", "photo.png", *WORDS, "--json").out)
    peaks = [one["peak"] for one in record["maps"]]

    assert record["schema"] == "clipsim.explain/1"
    assert (record["image"], record["width"], record["height"]) == ("photo.png", 60, 60)
    assert [len(row) for row in record["maps"][0]["heat"]] == [14] * 14
    assert peaks[0]["right"] <= 34
    assert peaks[1]["left"] >= 26
    assert clipsim("explain", "photo.png", *WORDS, "-o", "map.json", "-q").out == ""
    assert json.loads(Path("map.json").read_text()) == record


def test_png(clipsim: Clipsim, colour_model: FakeEncoder, photo: None) -> None:
    """By the suffix, or on standard output: the maps side by side."""
    done = clipsim("explain", "photo.png", *WORDS, "-o", "map.png", "-q")

    assert (done.status, done.out, done.err) == (0, "", "")
    with Image.open("map.png") as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (120, 60))
    printed = clipsim("explain", "photo.png", *WORDS, "--format", "png", "-q")
    assert printed.out.encode("utf-8", "surrogateescape") == Path("map.png").read_bytes()


def test_page(clipsim: Clipsim, colour_model: FakeEncoder, photo: None) -> None:
    """With the image in it."""
    page = clipsim("explain", "photo.png", *WORDS, "--format", "html").out

    assert page.startswith("<!DOCTYPE html>")
    assert page.count("data:image/webp") == 2
    assert page.count('class="peak"') == 2


def test_preview(clipsim: Clipsim, colour_model: FakeEncoder, photo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The maps are in the table of a terminal that shows images."""
    monkeypatch.setattr("clipsim.cli.explain.choose_preview", lambda *_: "blocks")
    out = clipsim("explain", "photo.png", *WORDS, "--preview", "blocks", "-q").out

    assert out.count("▀") > 100
    assert "drop" in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere.png", "-t", "red"], 1, "nowhere.png: no such file"),
        (["photo.png"], 2, "no text to explain"),
        (["photo.png", "-t", " "], 2, "--text"),
        (["photo.png", "--text-file", "nowhere.txt"], 1, "nowhere.txt"),
        (["photo.png", "-t", "one two three four five six"], 1, "has 6 words"),
        (["photo.png", "-t", "red", "--json", "--format", "png"], 2, "contradict"),
        (["photo.png", "-t", "red", "-o", "map.csv"], 2, "not csv"),
        (["-", "-t", "red", "--text-file", "-"], 2, "only once"),
        ([".", "-t", "red"], 2, "one image is explained at a time"),
        (["photo.png", "-t", "red", "--model", "nothing"], 1, "nothing"),
    ],
)
def test_what_ends_a_run(
    clipsim: Clipsim, colour_model: FakeEncoder, photo: None, arguments: list[str], status: int, message: str
) -> None:
    """One line says what to do; nothing is printed, and no file is left."""
    Image.new("RGB", (20, 20)).save("second.png")
    done = clipsim("explain", *arguments, "-q")

    assert (done.status, done.out) == (status, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert not Path("map.csv").exists()
