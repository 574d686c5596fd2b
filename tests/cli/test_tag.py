"""Tests of `clipsim tag`: sidecars that other programs read, and the CSV that ExifTool reads."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import set_state
from fake_encoder import FakeEncoder
from file_trees import snapshot

from clipsim.tasks.xmp import EMPTY, add_keywords

if TYPE_CHECKING:
    from cli.conftest import Clipsim


@pytest.fixture
def photos(tmp_path: Path, colours: Path, colour_model: FakeEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`photos` in the current folder: a red, a green and a blue picture, the blue one with a sidecar."""
    set_state(monkeypatch, tmp_path / "state")
    folder = tmp_path / "tree" / "photos"
    shutil.copytree(colours, folder)
    (folder / "blue.xmp").write_bytes(add_keywords(EMPTY, ["sea"]))
    monkeypatch.chdir(tmp_path / "tree")
    return folder


TAG = ("tag", "photos", "-t", "red", "-t", "green", "-t", "blue & navy")


def test_sidecars_are_planned_written_and_undone(clipsim: Clipsim, photos: Path) -> None:
    """The images stay as they are; a second run finds nothing to do."""
    before = snapshot(photos)
    done = clipsim(*TAG, "--xmp")
    assert (done.status, snapshot(photos)) == (0, before)
    assert [line.split()[:3] for line in done.out.splitlines()[3:6]] == [
        ["write", "photos/blue.png", "photos/blue.xmp"],
        ["write", "photos/green.png", "photos/green.png.xmp"],
        ["write", "photos/red.png", "photos/red.png.xmp"],
    ]
    result = json.loads(clipsim(*TAG, "--xmp", "--yes", "--json").out)
    assert [step["labels"] for step in result["steps"]] == [["blue & navy"], ["green"], ["red"]]
    after = snapshot(photos)
    assert {name: value for name, value in after.items() if name.endswith("png")} == {
        name: value for name, value in before.items() if name.endswith("png")
    }
    assert (photos / "blue.xmp").read_bytes() == add_keywords(add_keywords(EMPTY, ["sea"]), ["blue & navy"])
    again = clipsim(*TAG, "--xmp", "--yes", "-q")
    assert again.out.splitlines()[-1] == "Nothing to do; 3 images left as they are."
    assert clipsim("undo", result["journal"], "--yes").status == 0
    assert snapshot(photos) == before


def test_all_labels_that_fit(clipsim: Clipsim, photos: Path) -> None:
    """With a least probability."""
    done = clipsim(*TAG, "--xmp", "--json", "--min-probability", "0.000001")
    assert {len(step["labels"]) for step in json.loads(done.out)["steps"]} == {3}


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (TAG, "give either --xmp"),
        ((*TAG, "--xmp", "--format", "exiftool"), "give either --xmp"),
        ((*TAG, "--format", "exiftool", "--yes"), "without --yes"),
        (("tag", "photos", "-t", "a, b", "-t", "red", "--format", "exiftool"), "'a, b': a label for --format exiftool"),
    ],
)
def test_contradictions_are_wrong_usage(clipsim: Clipsim, arguments: tuple[str, ...], message: str) -> None:
    """In one line."""
    done = clipsim(*arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def exiftool(*arguments: str, input: str = "") -> str:
    """What ExifTool prints."""
    if shutil.which("exiftool") is None:
        pytest.skip("needs ExifTool (apt-get install libimage-exiftool-perl)")
    return subprocess.run(
        ["exiftool", *arguments], input=input, capture_output=True, encoding="utf-8", check=True, timeout=60
    ).stdout


def test_exiftool_reads_the_sidecars(clipsim: Clipsim, photos: Path) -> None:
    """New and merged ones; one that it wrote itself keeps what it holds."""
    exiftool(
        "-q", "-o", "photos/red.xmp", "-XMP-dc:Subject=old", "-XMP:Rating=4", "-XMP:Title=Ré <1>", "photos/red.png"
    )
    assert clipsim(*TAG, "--xmp", "--yes").status == 0
    fields = ("-j", "-Subject", "-HierarchicalSubject", "-Rating", "-Title")
    read = {
        Path(facts.pop("SourceFile")).name: facts for facts in json.loads(exiftool(*fields, "-ext", "xmp", "photos"))
    }
    assert read == {
        "blue.xmp": {"Subject": ["sea", "blue & navy"], "HierarchicalSubject": ["sea", "blue & navy"]},
        "green.png.xmp": {"Subject": "green", "HierarchicalSubject": "green"},
        "red.xmp": {"Subject": ["old", "red"], "HierarchicalSubject": "red", "Rating": 4, "Title": "Ré <1>"},
    }


def test_exiftool_reads_the_csv(clipsim: Clipsim, photos: Path) -> None:
    """And writes the keywords into the images, several of them one by one."""
    printed = clipsim(*TAG, "--format", "exiftool", "--min-probability", "0.000001", "-q").out
    assert printed.splitlines()[0] == "SourceFile,XMP-dc:Subject,XMP-lr:HierarchicalSubject"
    exiftool("-q", "-sep", ", ", "-csv=-", "-ext", "png", "photos", input=printed)
    (facts,) = json.loads(exiftool("-j", "-Subject", "photos/red.png"))
    assert facts["Subject"][0] == "red"
    assert sorted(facts["Subject"]) == ["blue & navy", "green", "red"]
