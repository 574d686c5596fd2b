"""Data sets and indexes after random damage, by the command line: the right answer, or the damage is named.

`DAMAGES` in the environment is the number of damages to each file.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from damages import damage, restore
from data_sets import random_vectors, write_data_set
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.results.base import ModelRecord

if TYPE_CHECKING:
    from cli.conftest import Clipsim, Ended

pytest.importorskip("pyarrow")

DAMAGES = int(os.environ.get("DAMAGES", "2"))
MINI = ModelRecord("clipsim-mini", "bundled", 4, 64, 10.0, None, "softmax")


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder; None for a folder."""
    paths = (path for path in folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in paths}


def values(folder: Path) -> dict[str, Any]:
    """As `contents`, but the values of JSON files, however they are spaced."""
    found: dict[str, Any] = dict(contents(folder))
    for name, content in found.items():
        if name.endswith(".json") and content is not None:
            with suppress(ValueError):
                found[name] = json.loads(content)
    return found


def files_in(folder: Path) -> list[Path]:
    """All files below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def assert_one_line_each(ended: Ended, what: str) -> None:
    """No traceback, only lines of clipsim, and an error exactly where nothing was done."""
    lines = ended.err.splitlines()
    assert all(line.startswith("clipsim: ") for line in lines), (what, ended)
    assert ended.status in (0, 1, 3), (what, ended)
    assert (ended.status == 1) == any(line.startswith("clipsim: error: ") for line in lines), (what, ended)


def queries(ended: Ended) -> Any:
    """What a search found, without the engine's rounding."""
    return json.loads(ended.out)["queries"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Eleven pictures of random colours with captions, one of them broken."""
    rng = np.random.default_rng(3)
    for number in range(11):
        colour = tuple(rng.integers(1, 256, 3).tolist())
        Image.new("RGB", (30 + number, 20), colour).save(tmp_path / f"{number:02}.png")
    (tmp_path / "05.png").write_bytes(b"x")
    lines = [f"{tmp_path / f'{number:02}.png'},{'red' if number % 2 else ''}\n" for number in range(11)]
    (tmp_path / "table.csv").write_text("image,caption\n" + "".join(lines))
    return tmp_path / "table.csv"


def test_a_damaged_data_set(clipsim: Clipsim, colour_model: FakeEncoder, table: Path, tmp_path: Path) -> None:
    """A search gives the right answer or names the file; the same `embed` makes what it was, or says that it cannot."""
    folder, whole = tmp_path / "out", tmp_path / "whole"
    embed = ("embed", table, "--captions", "--shard-size", "4", "-o", folder, "--json", "-q")
    search = ("search", folder, "-t", "red", "-t", "blue", "--image", tmp_path / "03.png", "--json", "-q")
    assert clipsim(*embed).status == 3
    shutil.copytree(folder, whole)
    expected, right = values(folder), queries(clipsim(*search))
    refused = named = 0
    for file in reversed(files_in(folder)):
        rng = random.Random(file.name)
        for _ in range(DAMAGES):
            done = damage(file, [path for path in files_in(folder) if path != file], rng)
            harmed = contents(folder)
            found = clipsim(*search)
            assert_one_line_each(found, done)
            if found.status == 1:
                named += 1
                assert found.out == "" or not any(query["results"] for query in queries(found)), (done, found)
                assert str(folder) in found.err, (done, found)
            else:
                assert queries(found) == right, (done, found)
            assert contents(folder) == harmed, done
            again = clipsim(*embed)
            assert_one_line_each(again, done)
            if again.status == 1:
                refused += 1
                assert contents(folder) == harmed or "a folder in its place" in done, (done, again)
            else:
                assert values(folder) == expected, (done, again)
            restore(folder, whole)
    assert named
    assert refused
    print(f"{DAMAGES} to each of {len(files_in(folder))} files: {named} named by search, {refused} refused by embed")


def test_a_damaged_index(clipsim: Clipsim, colour_model: FakeEncoder, tmp_path: Path) -> None:
    """It is not used, a notice says so, and the answer is that of all vectors; harmless damage changes nothing."""
    pytest.importorskip("faiss")
    folder, whole = tmp_path / "out", tmp_path / "whole"
    write_data_set(folder, random_vectors(1200, 4), digest="colours", model=MINI, shard_size=400)
    search = ("search", folder, "-t", "red", "-t", "navy", "--top", "20", "--json")
    right = queries(clipsim(*search))
    assert clipsim("index", folder, "--kind", "ivf").status == 0
    by_index = queries(clipsim(*search))
    shutil.copytree(folder, whole)
    used = unused = 0
    for file in files_in(folder / "index"):
        rng = random.Random(file.suffix)
        for _ in range(DAMAGES):
            done = damage(file, [path for path in files_in(folder) if path != file], rng)
            found = clipsim(*search)
            assert_one_line_each(found, done)
            if found.status == 1:  # what came in its place is missing from the data set
                assert "swapped" in done, (done, found)
            elif "searched by its index" in found.err:
                used += 1
                assert queries(found) == by_index, (done, found)
            else:
                unused += 1
                assert "is not used" in found.err, (done, found)
                assert queries(found) == right, (done, found)
            restore(folder, whole)
    assert unused
    print(f"{DAMAGES} to each file of an index: {unused} not used, {used} used")
