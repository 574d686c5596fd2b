"""Tests of plans whose process is killed (−9): each original is there once, and `clipsim undo` gives back the tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_trees import contents, snapshot
from PIL import Image
from process.programs import COLOURS

from clipsim.tasks import undo
from clipsim.tasks.xmp import EMPTY, add_keywords

MOMENTS = 20
PROGRAM = Path(__file__).with_name("killed_runs.py")
LABELS = ("-t", "red", "-t", "blue")
COMMANDS = {
    "sort": ("sort", "photos", *LABELS, "--move-to", "sorted"),
    "sort across file systems": ("sort", "photos", *LABELS, "--move-to", "{other}/MOMENT"),
    "tag": ("tag", "photos", *LABELS, "--xmp"),
    "duplicates": ("duplicates", "photos", "--exact-files", "--move-to", "extra"),
    "hard links": ("duplicates", "photos", "--exact-files", "--link"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`tree/photos` with pictures, copies of two of them, a sidecar, and a name that is not UTF-8."""
    photos = tmp_path / "tree" / "photos"
    photos.mkdir(parents=True)
    for name in ("red", "blue", "navy"):
        Image.new("RGB", (40, 24), name).save(photos / f"{name}.png")
    Image.new("RGB", (30, 24), "maroon").save(os.fsencode(photos) + b"/caf\xe9.png", "PNG")
    (photos / "more").mkdir()
    for name in ("red", "blue"):
        shutil.copy(photos / f"{name}.png", photos / "more" / f"{name}.png")
    (photos / "red.png.xmp").write_bytes(add_keywords(EMPTY, ["mine"]))
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        path.chmod(0o640)
        os.utime(path, ns=(1_000_000_000, 2_000_000_000 + number))
    return tmp_path


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    place = shared / f"clipsim-test-{os.getpid()}"
    place.mkdir()
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_plan_that_is_killed(folder: Path, name: str, request: pytest.FixtureRequest) -> None:
    """At twenty moments, from the first change to the last, in the middle of a write too."""
    other = request.getfixturevalue("other") if "{other}" in str(COMMANDS[name]) else folder
    command = [argument.format(other=other) for argument in COMMANDS[name]]
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, other, str(MOMENTS), *command, "--yes", "-q"],
        env=os.environ | COLOURS, capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    moments = json.loads(done.stdout)["moments"]
    assert len(moments) == MOMENTS
    before, originals = snapshot(folder / "tree"), contents(folder / "tree" / "photos")
    originals.pop((folder / "tree" / "photos" / "red.png.xmp").read_bytes())  # a merged sidecar is in the journal
    for moment in map(str, ["whole", *moments]):
        tree = folder / moment / "tree"
        held = contents(tree, *([other / moment] if other != folder else []))
        assert set(originals) <= set(held), moment
        if name in ("sort", "tag", "duplicates"):
            assert {content: len(held[content]) for content in originals} == {
                content: len(inodes) for content, inodes in originals.items()
            }, moment
        for journal in (folder / moment / "state").rglob("*.jsonl"):
            if b"\n" in journal.read_bytes():  # else it was killed before anything was touched
                assert undo.run(str(journal)).errors == (), moment
        assert snapshot(tree) == before, moment
        assert [path for path in (other / moment).rglob("*") if path.is_file() and other != folder] == [], moment
