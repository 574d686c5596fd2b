"""`clipsim cache`: what it says of the cache, and what it leaves of it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli.conftest import Clipsim
from fake_encoder import FakeEncoder

from clipsim.cache.database import Database
from clipsim.cache.vectors import FileKeys, VectorNamespace
from clipsim.files import FileStamp

VECTORS = 1000


@pytest.fixture
def filled(cache_folder: Path) -> Path:
    """The cache of a run on many pictures with long names; its file."""
    database = Database(cache_folder)
    space = VectorNamespace(database, b"k" * 32)
    contents = [hashlib.sha256(str(number).encode()).digest() for number in range(VECTORS)]
    names = [f"/{'long/' * 300}{number}.jpg" for number in range(VECTORS)]
    stamp = FileStamp(1, 2, 3, 4, 5)
    records = [(name, stamp, FileKeys(content, content)) for name, content in zip(names, contents, strict=True)]
    space.add({content: np.full(128, 0.5, np.float32) for content in contents}, records)
    database.close()
    return database.path


def size(database: Path) -> int:
    """Bytes of the database and its journal."""
    return sum(path.stat().st_size for path in (database, database.with_name(f"{database.name}-wal")) if path.exists())


def test_info_counts_what_there_is(clipsim: Clipsim, filled: Path) -> None:
    """The file's place and size, and the number of vectors, in words or as JSON."""
    told = clipsim("cache", "info")
    record = json.loads(clipsim("cache", "info", "--json").out)

    assert told.out.splitlines()[0] == str(filled)
    assert "1,000 vectors in 1 set (" in told.out
    assert "1,000 known files" in told.out
    assert (record["vectors"], record["files"], record["bytes"]) == (VECTORS, VECTORS, size(filled))


def test_info_names_the_models(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """With the numbers of their images and texts, and the day of the last use."""
    clipsim("rank", colours, "-t", "red", "-t", "blue")
    lines = clipsim("cache", "info").out.splitlines()
    record = json.loads(clipsim("cache", "info", "--json").out)

    assert lines[2] == "clipsim-mini, fp32: 3 images, 2 texts"
    assert lines[3] == f"last used on {record['latest']}; some not since {record['oldest']}"
    assert record["models"] == [{"model": "clipsim-mini", "precision": "fp32", "images": 3, "texts": 2}]


def test_clear_removes_everything(clipsim: Clipsim, filled: Path) -> None:
    """What is left is an empty database."""
    done = clipsim("cache", "clear")

    assert done.err == "clipsim: note: 1,000 vectors removed\n"
    assert json.loads(clipsim("cache", "info", "--json").out)["files"] == 0
    assert size(filled) < 200_000


def test_prune_reaches_the_size_and_keeps_what_fits(clipsim: Clipsim, filled: Path) -> None:
    """What is known of files goes with their vectors, else a quarter of this size could never be reached."""
    assert size(filled) > 2_000_000
    done = clipsim("cache", "prune", "--max-size", "1MB")
    left = json.loads(clipsim("cache", "info", "--json").out)

    assert done.status == 0
    assert size(filled) <= 1_000_000
    assert 200 < left["vectors"] < VECTORS
    assert left["files"] == left["vectors"]
    (removed,) = re.findall(r"([\d,]+) vectors removed", done.err)
    assert int(removed.replace(",", "")) == VECTORS - left["vectors"]


def test_prune_keeps_what_was_used_lately(clipsim: Clipsim, filled: Path) -> None:
    """All of it was used today."""
    clipsim("cache", "prune", "--older-than", "1.5d")

    assert json.loads(clipsim("cache", "info", "--json").out)["vectors"] == VECTORS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prune"], "give --older-than AGE, --max-size SIZE or both"),
        (["prune", "--older-than", "soon"], "'soon': an age is written like 12h, 30d or 8w"),
        (["prune", "--older-than", "3m"], "'3m': an age is written like"),
        (["prune", "--max-size", "1PB"], "'1PB': a size is written like 500MB or 2GB"),
        (["prune", "--max-size", "-1"], "'-1': a size is written like"),
    ],
)
def test_wrong_usage(clipsim: Clipsim, arguments: list[str], message: str) -> None:
    """One line and status 2."""
    done = clipsim("cache", *arguments)

    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("clipsim: error: ")
    assert message in done.err


def test_a_cache_that_cannot_be_used_is_status_1(clipsim: Clipsim, cache_folder: Path) -> None:
    """A file is in its place."""
    cache_folder.touch()
    done = clipsim("cache", "info")

    assert (done.status, done.out) == (1, "")
    assert str(cache_folder) in done.err
    assert done.err.count("\n") == 1
