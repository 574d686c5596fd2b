"""`clipsim overview`: groups in every format, names alone, and how a run ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Clipsim
from fake_encoder import FakeEncoder
from PIL import Image

WORDS = ("-t", "red", "-t", "blue")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five red images and two blue ones in the folder `photos`, of the current folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for colour, count in (("red", 5), ("blue", 2)):
        for number in range(count):
            Image.new("RGB", (30 + number, 20), colour).save(folder / f"{colour}{number}.png")
    monkeypatch.chdir(tmp_path)


def test_table(clipsim: Clipsim, colour_model: FakeEncoder, photos: None) -> None:
    """A group a row, with its share, its words and its typical images; a sentence explains it."""
    done = clipsim("overview", "photos", *WORDS, "-q")
    lines = done.out.splitlines()

    assert (done.status, done.err) == (0, "")
    assert "7 images" in lines[0]
    assert lines[3].split() == ["1", "71.4%", "5", "red", "photos/red0.png"]
    assert [line.split() for line in lines if "blue0" in line] == [["2", "28.6%", "2", "blue", "photos/blue0.png"]]
    assert "fit a group better than all other images" in done.out
    assert "silhouette" in done.out


def test_json_and_names(clipsim: Clipsim, colour_model: FakeEncoder, photos: None) -> None:
    """The object of the schema; with -l the typical images alone."""
    record = json.loads(clipsim("overview", "photos", *WORDS, "--json").out)
    names = clipsim("overview", "photos", *WORDS, "-l").out.splitlines()

    assert record["schema"] == "clipsim.overview/1"
    assert (record["images"], record["texts"], record["seed"]) == (7, 2, 0)
    assert [(group["size"], group["words"][0]["text"]) for group in record["groups"]] == [(5, "red"), (2, "blue")]
    assert names == [image["image"] for group in record["groups"] for image in group["images"]]
    assert len(names) == 5


def test_page(clipsim: Clipsim, colour_model: FakeEncoder, photos: None) -> None:
    """With the thumbnails of the typical images."""
    page = clipsim("overview", "photos", *WORDS, "--format", "html").out

    assert page.startswith("<!DOCTYPE html>")
    assert page.count("data:image/webp") == 5


def test_the_current_folder(clipsim: Clipsim, colour_model: FakeEncoder, photos: None) -> None:
    """Where none is named; a text file may have the words, and filters leave images out."""
    Path("words.txt").write_text("blue\nred\n")
    done = clipsim("overview", "--text-file", "words.txt", "--exclude", "red0.png", "--groups", "2", "--json")

    assert "clipsim: note: looking at the current folder\n" in done.err
    assert [group["size"] for group in json.loads(done.out)["groups"]] == [4, 2]


def test_skipped_images(clipsim: Clipsim, colour_model: FakeEncoder, photos: None) -> None:
    """Status 3 where some cannot be used, 1 where none can."""
    Path("broken.png").write_bytes(b"no image")
    some = clipsim("overview", "photos", "broken.png", *WORDS, "-l")
    none = clipsim("overview", "broken.png", *WORDS)

    assert (some.status, len(some.out.splitlines())) == (3, 5)
    assert (none.status, none.out) == (1, "")
    assert "skipped: broken.png" in none.err
