"""Whole runs with the cache, repeated and killed: the same numbers, without torch where nothing is new."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from conftest import HOMES
from PIL import Image

import clipsim
from clipsim.cache.database import FILE

IMAGES = Path(__file__).parents[2] / "images"
TEXTS = ("-t", "maze", "-t", "cat", "-t", "dog")
WATCHED = (
    "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr)); "
    "from clipsim import files; files.CLOCK_TICK = 0; "  # files that have just been written are not read again
    "from clipsim.cli import main; main()"
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Copies of four drawn pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("maze1", "cat1", "dog1", "chessboard"):
        shutil.copy(IMAGES / f"{name}.jpeg", folder)
    return folder


def rank(home: Path, *arguments: str | Path) -> tuple[Any, set[str], str]:
    """Run `clipsim rank … --json`: what it printed, which modules it loaded, and its messages."""
    command = [sys.executable, "-c", WATCHED, "rank", *map(str, arguments), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | dict.fromkeys(HOMES, str(home)), timeout=300
    )
    messages, _, loaded = done.stderr.partition("LOADED")
    assert done.returncode == 0, messages
    return json.loads(done.stdout), set(loaded.split()), messages


def test_a_repeated_run_needs_no_torch_and_prints_the_same(pictures: Path, tmp_path: Path) -> None:
    """So do a run over some of the files, and one over copies of them."""
    cold, loaded, messages = rank(tmp_path, pictures, *TEXTS)
    assert "torch" in loaded

    warm, loaded, messages_again = rank(tmp_path, pictures, *TEXTS)
    assert (warm, messages_again) == (cold, messages)
    assert loaded & {"torch", "open_clip", "torchvision", "PIL", "pydantic"} == set()

    part, loaded, _ = rank(tmp_path, pictures / "dog1.jpeg", "-t", "dog", "-t", "maze")
    assert "torch" not in loaded
    column = cold["images"].index(str(pictures / "dog1.jpeg"))
    expected = [cold["similarity"][row][column] for row in (2, 0)]
    assert [row[0] for row in part["similarity"]] == pytest.approx(expected, abs=1e-6)

    shutil.copytree(pictures, tmp_path / "copies")  # which are new, so they are read, but not decoded
    copies, loaded, _ = rank(tmp_path, tmp_path / "copies", *TEXTS)
    assert copies["similarity"] == cold["similarity"]
    assert "torch" not in loaded


def test_killed_in_the_middle(pictures: Path, cache_folder: Path, tmp_path: Path) -> None:
    """Two runs at once, killed while they wait for more paths; what is served then is what a new run computes."""
    for number in range(60):
        Image.effect_noise((40 + number, 60), 80).convert("RGB").save(pictures / f"n{number:03}.png")
    paths = b"".join(os.fsencode(path) + b"\n" for path in sorted(pictures.iterdir()))
    env = os.environ | dict.fromkeys(HOMES, str(tmp_path))
    command = [sys.executable, "-m", "clipsim", "rank", "-", *TEXTS, "--batch-size", "2", "--format", "jsonl"]
    runs = [
        subprocess.Popen(command, env=env, stdin=PIPE, stdout=PIPE, stderr=subprocess.DEVNULL, bufsize=0) for _ in "ab"
    ]
    for process in runs:
        assert process.stdin is not None
        process.stdin.write(paths)
    for process, lines in zip(runs, (1, 30), strict=True):
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline()
    for process in runs:
        process.kill()
        process.communicate()

    check = sqlite3.connect(cache_folder / FILE)
    assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert check.execute("SELECT count(*) FROM vectors").fetchone()[0] >= 30
    check.close()
    served = clipsim.rank(pictures, ["maze", "cat", "dog"], model="clipsim-mini")
    fresh = clipsim.rank(pictures, ["maze", "cat", "dog"], model="clipsim-mini", cache=False)
    assert served.similarity == pytest.approx(fresh.similarity, abs=1e-5)
