"""Tests of whole runs with the cache: the same numbers, without torch; never another file's or model's."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clipsim
from clipsim.cache.database import FILE

IMAGES = Path(__file__).parents[1] / "images"
TEXTS = ("-t", "maze", "-t", "cat", "-t", "dog")
WATCHED = (
    "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr)); "
    "from clipsim.cli import main; main()"
)
Rank = Callable[..., tuple[Any, set[str], str]]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Copies of four drawn pictures, older than the grain of any clock."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("maze1", "cat1", "dog1", "chessboard"):
        shutil.copy(IMAGES / f"{name}.jpeg", folder)
    return folder


@pytest.fixture
def rank(tmp_path: Path, cache_folder: Path) -> Rank:
    """Run `clipsim rank … --json`: what it printed, which modules it loaded, and what else it said."""

    def run_rank(*arguments: str | Path, status: int = 0) -> tuple[Any, set[str], str]:
        command = [sys.executable, "-c", WATCHED, "rank", *map(str, arguments), "--json"]
        env = os.environ | {"HOME": str(tmp_path), "CLIPSIM_CACHE_DIR": str(cache_folder)}
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
        said, _, loaded = done.stderr.partition("LOADED")
        assert done.returncode == status, said
        return (json.loads(done.stdout) if done.stdout else None), set(loaded.split()), said

    return run_rank


def test_nothing_new_needs_no_torch_and_says_nothing_different(rank: Rank, pictures: Path, tmp_path: Path) -> None:
    """The second run, a run over a part, and one over files of other names with the same content."""
    cold, loaded, said = rank(pictures, *TEXTS)
    assert "torch" in loaded

    warm, loaded, said_again = rank(pictures, *TEXTS)
    assert (warm, said_again) == (cold, said)
    assert loaded & {"torch", "open_clip", "torchvision", "PIL", "pydantic", "rich.table"} == set()

    part, loaded, _ = rank(pictures / "dog1.jpeg", "-t", "dog", "-t", "maze")
    assert "torch" not in loaded
    column = cold["images"].index(str(pictures / "dog1.jpeg"))
    expected = [cold["similarity"][row][column] for row in (2, 0)]
    assert [row[0] for row in part["similarity"]] == pytest.approx(expected, abs=1e-6)

    shutil.copytree(pictures, tmp_path / "copies")
    copies, loaded, _ = rank(tmp_path / "copies", *TEXTS)
    assert copies["similarity"] == cold["similarity"]
    assert "torch" not in loaded


def test_what_is_new_alone_is_computed(rank: Rank, pictures: Path) -> None:
    """A changed file gets the scores of its new content, whatever its times say; a broken one is still refused."""
    before, _, _ = rank(pictures, *TEXTS)
    target = pictures / "cat1.jpeg"
    stamp = target.stat()
    size = stamp.st_size
    new = (pictures / "maze1.jpeg").read_bytes()
    target.write_bytes((new + bytes(size))[:size] if len(new) <= size else new)
    os.utime(target, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (pictures / "broken.jpeg").write_bytes(b"\xff\xd8\xff nothing")

    after, _, _ = rank(pictures, *TEXTS, status=3)

    assert [Path(error["path"]).name for error in after["errors"]] == ["broken.jpeg"]
    columns = {Path(name).name: k for k, name in enumerate(after["images"])}
    plain, _, _ = rank(target, *TEXTS, "--no-cache")
    assert [row[columns["cat1.jpeg"]] for row in after["similarity"]] == pytest.approx(
        [row[0] for row in plain["similarity"]], abs=1e-5
    )
    assert after["texts"][after["best"][columns["cat1.jpeg"]]] == "maze"
    assert before["texts"][before["best"][before["images"].index(str(target))]] == "cat"


def test_precisions_do_not_mix(rank: Rank, pictures: Path) -> None:
    """What fp32 computed is nothing to bf16."""
    exact, _, _ = rank(pictures, *TEXTS)
    rough, loaded, _ = rank(pictures, *TEXTS, "--precision", "bf16")

    assert "torch" in loaded
    assert rough["precision"] == "bf16"
    assert rough["similarity"] != exact["similarity"]
    again, loaded, _ = rank(pictures, *TEXTS, "--precision", "fp32")
    assert again == exact
    assert "torch" not in loaded


def test_too_long_a_text_is_refused_although_its_cut_is_cached(rank: Rank, pictures: Path) -> None:
    """--truncate is part of what was asked."""
    long = "maze " * 100
    rank(pictures, "-t", long, "-t", "cat", "--truncate")
    _, _, said = rank(pictures, "-t", long, "-t", "cat", status=1)
    assert "shorten it" in said


def test_without_a_cache(rank: Rank, pictures: Path, cache_folder: Path) -> None:
    """--no-cache leaves nothing behind; a folder that cannot be used is one note."""
    cached, _, _ = rank(pictures, *TEXTS)
    shutil.rmtree(cache_folder)
    plain, _, _ = rank(pictures, *TEXTS, "--no-cache")
    assert plain == cached
    assert not cache_folder.exists()

    cache_folder.write_text("a file")
    refused, _, said = rank(pictures, *TEXTS)
    assert refused == cached
    assert said.count("no embedding cache in this run") == 1


def test_other_weights_in_the_same_place(pictures: Path, tmp_path: Path) -> None:
    """A model folder is known by what is in it."""
    model = tmp_path / "model"
    shutil.copytree(Path(clipsim.__file__).parent / "mini" / "model", model)
    first = clipsim.rank(pictures, ["maze", "cat"], model=model)
    weights = model / "open_clip_model.safetensors"
    data = bytearray(weights.read_bytes())
    place = len(data) // 2 & ~1
    data[place : place + 2] = b"\x00\x3c"  # another half-precision number
    data[-2000:] = bytes(2000)
    weights.write_bytes(data)

    second = clipsim.rank(pictures, ["maze", "cat"], model=model)

    assert (second.similarity == clipsim.rank(pictures, ["maze", "cat"], model=model, cache=False).similarity).all()
    assert (second.similarity != first.similarity).any()


def test_killed_at_any_moment_it_serves_what_is_true(pictures: Path, cache_folder: Path, tmp_path: Path) -> None:
    """Runs at once, killed with SIGKILL; afterwards the cached scores are those of a fresh computation."""
    from PIL import Image

    for number in range(120):
        Image.effect_noise((40 + number, 60), 80).convert("RGB").save(pictures / f"n{number:03}.png")
    env = os.environ | {"HOME": str(tmp_path), "CLIPSIM_CACHE_DIR": str(cache_folder)}
    command = [sys.executable, "-m", "clipsim", "rank", str(pictures), *TEXTS, "--batch-size", "2", "--json"]
    dice = random.Random(5)
    for _ in range(2):
        running = [
            subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in "ab"
        ]
        deadline = time.monotonic() + 60
        while not (cache_folder / FILE).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(dice.uniform(2, 6))
        for process in running:
            process.send_signal(signal.SIGKILL)
            process.wait()

    check = sqlite3.connect(cache_folder / FILE)
    assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    check.close()
    served = clipsim.rank(pictures, ["maze", "cat", "dog"], model="clipsim-mini")
    fresh = clipsim.rank(pictures, ["maze", "cat", "dog"], model="clipsim-mini", cache=False)
    assert served.similarity == pytest.approx(fresh.similarity, abs=1e-5)


def cache(cache_folder: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `clipsim cache …`."""
    env = os.environ | {"CLIPSIM_CACHE_DIR": str(cache_folder)}
    command = [sys.executable, "-m", "clipsim", "cache", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == status, done.stderr
    return done


def test_looking_at_it_and_emptying_it(pictures: Path, cache_folder: Path) -> None:
    """info, prune and clear; what is pruned first is what was used least lately."""
    clipsim.rank(pictures, ["maze", "cat"], model="clipsim-mini")
    found = json.loads(cache(cache_folder, "info", "--json").stdout)
    assert found["vectors"] == 6
    assert found["path"] == str(cache_folder / FILE)
    assert "6 vectors" in cache(cache_folder, "info").stdout

    database = sqlite3.connect(cache_folder / FILE)
    database.execute("UPDATE vectors SET used = used - 40 WHERE rowid IN (SELECT rowid FROM vectors LIMIT 2)")
    database.commit()
    database.close()
    assert "0 vectors removed" in cache(cache_folder, "prune", "--older-than", "60d").stderr
    assert "2 vectors removed" in cache(cache_folder, "prune", "--older-than", "30d").stderr
    assert "0 vectors removed" in cache(cache_folder, "prune", "--max-size", "100MB").stderr
    assert "4 vectors removed" in cache(cache_folder, "clear").stderr
    assert json.loads(cache(cache_folder, "info", "--json").stdout)["vectors"] == 0


def test_pruning_to_a_size(cache_folder: Path) -> None:
    """The file really becomes smaller, and keeps what was used last."""
    import numpy as np

    from clipsim.cache.database import Database
    from clipsim.cache.vectors import Space

    space = Space(Database(cache_folder), b"model")
    space.add({number.to_bytes(32, "big"): np.ones(512, np.float32) for number in range(2000)})
    space.database.write([("UPDATE vectors SET used = used - 9 WHERE rowid <= 1500", [()])])
    space.database.close()

    cache(cache_folder, "prune", "--max-size", "1.5MB")

    assert (cache_folder / FILE).stat().st_size <= 1_500_000
    left = Space(Database(cache_folder), b"model").find([number.to_bytes(32, "big") for number in range(2000)])
    assert set(left) <= {number.to_bytes(32, "big") for number in range(1000, 2000)}
    assert len(left) > 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prune",), "--older-than AGE"),
        (("prune", "--older-than", "3 fortnights"), "12h, 30d or 8w"),
        (("prune", "--max-size", "large"), "500MB or 2GB"),
    ],
)
def test_wrong_usage_of_the_cache_command(cache_folder: Path, arguments: tuple[str, ...], message: str) -> None:
    """One line, status 2."""
    assert message in cache(cache_folder, *arguments, status=2).stderr
