"""Tests of `store.lifecycle`: which inputs make up which shard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clipsim.errors import DatasetError
from clipsim.store.folders import LocalFolder
from clipsim.store.lifecycle import Plan, compare_plan, read_plan, sources_name, write_plan


def records(*names: str) -> Iterator[dict[str, Any]]:
    """Records of files."""
    return ({"kind": "file", "name": name} for name in names)


def ignore(_: int) -> None:
    """Count nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """A folder of a data set."""
    return LocalFolder(str(tmp_path))


@pytest.fixture
def known(folder: LocalFolder) -> Plan:
    """The plan of five inputs in shards of two."""
    counts: list[int] = []
    plan = write_plan(folder, records("a", "b", "c", "d", "e"), 2, counts.append)
    assert counts == [2, 4, 5]
    return plan


def test_a_plan(folder: LocalFolder, known: Plan) -> None:
    """Each shard has the next inputs."""
    assert [[record["name"] for record in read_plan(folder, shard)] for shard in range(3)] == [
        ["a", "b"], ["c", "d"], ["e"],
    ]  # fmt: skip
    assert known.sources == 5


def test_the_same_inputs_again(folder: LocalFolder, known: Plan) -> None:
    """Nothing differs, and nothing is written."""
    before = (folder.path / sources_name(0)).stat().st_mtime_ns
    counts: list[int] = []

    assert compare_plan(folder, records("a", "b", "c", "d", "e"), 2, known, counts.append) == known
    assert counts == [2, 4, 5]
    assert (folder.path / sources_name(0)).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("names", "difference"),
    [
        ("abxde", "input 3 was 'c', now it is 'x'"),
        ("abcdf", "input 5 was 'e', now it is 'f'"),
        ("abcdef", "input 6 was missing, now it is 'f'"),
        ("abcdefg", "input 6 was missing, now it is 'f'"),
        ("abc", "input 4 was 'd', now it is missing"),
        ("ab", "5 then, 2 now"),
    ],
)
def test_other_inputs(folder: LocalFolder, known: Plan, names: str, difference: str) -> None:
    """The first difference is named, and nothing is changed."""
    before = {path.name: path.read_bytes() for path in (folder.path / ".clipsim").iterdir()}

    with pytest.raises(DatasetError, match=difference):
        compare_plan(folder, records(*names), 2, known, ignore)
    assert {path.name: path.read_bytes() for path in (folder.path / ".clipsim").iterdir()} == before


def test_an_input_of_the_same_name(folder: LocalFolder, known: Plan) -> None:
    """A caption or a place in a tar that has changed makes another input."""
    changed = [*records("a"), {"kind": "file", "name": "b", "caption": "new"}, *records("c", "d", "e")]

    with pytest.raises(DatasetError, match="input 2, 'b', has changed"):
        compare_plan(folder, changed, 2, known, ignore)


def test_a_plan_that_was_interrupted(folder: LocalFolder, known: Plan) -> None:
    """A new plan replaces it, and leaves nothing of a longer one."""
    write_plan(folder, records("a", "x"), 2, ignore)

    assert [path.name for path in (folder.path / ".clipsim").iterdir()] == ["sources_0000.jsonl"]


def test_books_that_were_lost(folder: LocalFolder, known: Plan) -> None:
    """They are written again if the inputs are the same; a plan that is missing or damaged is not guessed."""
    (folder.path / sources_name(1)).unlink()
    with pytest.raises(DatasetError, match=r"sources_0001\.jsonl is missing"):
        read_plan(folder, 1)
    compare_plan(folder, records("a", "b", "c", "d", "e"), 2, known, ignore)
    assert [record["name"] for record in read_plan(folder, 1)] == ["c", "d"]

    (folder.path / sources_name(1)).unlink()
    with pytest.raises(DatasetError, match="other inputs"):
        compare_plan(folder, records("a", "b", "x", "d", "e"), 2, known, ignore)
    assert not (folder.path / sources_name(1)).exists()
    (folder.path / sources_name(0)).write_bytes(b"{")
    with pytest.raises(DatasetError, match="damaged"):
        read_plan(folder, 0)
