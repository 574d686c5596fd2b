"""Tests of `store.plan`: which inputs make up which shard, and what becomes of them when others are named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipsim.errors import DatasetError
from clipsim.store.folders import LocalFolder
from clipsim.store.layout import ShardPlan
from clipsim.store.plan import (
    Inputs,
    OnInputs,
    PlanUpdate,
    read_plan,
    settle_plan,
    sources_name,
    update_plan,
    write_plan,
)


def records(*names: str) -> Iterator[dict[str, Any]]:
    """Records of files."""
    return ({"kind": "file", "name": name} for name in names)


def ignore(_: int) -> None:
    """Count nothing."""


GONE = Inputs(lambda name: name.removeprefix("./"), lambda _: None)
THERE = Inputs(GONE.locate, lambda record: record)


def write_new(
    folder: LocalFolder, named: Iterator[dict[str, Any]], on_inputs: OnInputs = ignore
) -> tuple[ShardPlan, ...]:
    """Write a new plan, and put it into its place."""
    plan = write_plan(folder, named, 2, on_inputs)
    settle_plan(folder, plan)
    return plan


def update(
    folder: LocalFolder, named: Iterator[dict[str, Any]], known: tuple[ShardPlan, ...], inputs: Inputs = GONE
) -> PlanUpdate:
    """Name other inputs, and put what is staged into its place."""
    result = update_plan(folder, named, 2, known, ignore, inputs)
    settle_plan(folder, result.shards)
    return result


def read_shard(folder: LocalFolder, shard: int) -> list[dict[str, Any]]:
    """The records in the file of a shard."""
    return [json.loads(line) for line in (folder.path / sources_name(shard)).read_text().splitlines()]


def names(folder: LocalFolder) -> list[str]:
    """The names of each shard, as one word."""
    shards = len([name for name in folder.list_names(".clipsim") if name.startswith("sources")])
    return ["".join(record["name"] for record in read_shard(folder, shard)) for shard in range(shards)]


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """A folder of a data set."""
    return LocalFolder(str(tmp_path))


@pytest.fixture
def known(folder: LocalFolder) -> tuple[ShardPlan, ...]:
    """The plan of five inputs in shards of two."""
    counts: list[int] = []
    plan = write_new(folder, records("a", "b", "c", "d", "e"), counts.append)
    assert counts == [2, 4, 5]
    return plan


def test_a_plan(folder: LocalFolder, known: tuple[ShardPlan, ...]) -> None:
    """Each shard has the next inputs."""
    assert names(folder) == ["ab", "cd", "e"]
    assert read_plan(folder, 1, known[1]) == list(records("c", "d"))
    assert [shard.sources for shard in known] == [2, 2, 1]


def test_the_same_inputs_again(folder: LocalFolder, known: tuple[ShardPlan, ...]) -> None:
    """Nothing differs, and nothing is written."""
    before = (folder.path / sources_name(0)).stat().st_mtime_ns

    assert update(folder, records("a", "b", "c", "d", "e"), known) == PlanUpdate(known)
    assert update(folder, records("c", "./b", "a", "e", "d"), known) == PlanUpdate(known)
    assert (folder.path / sources_name(0)).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("named", "inputs", "expected", "counts"),
    [
        ("abcdef", GONE, ["ab", "cd", "e", "f"], (1, 0, 0, 0)),
        ("axbcydezfg", GONE, ["ab", "cd", "e", "xy", "zf", "g"], (5, 0, 0, 0)),
        ("abxde", GONE, ["ab", "d", "e", "x"], (1, 0, 1, 0)),
        ("abxde", THERE, ["ab", "cd", "e", "x"], (1, 0, 0, 1)),
        ("ab", GONE, ["ab", "", ""], (0, 0, 3, 0)),
        ("x", THERE, ["ab", "cd", "e", "x"], (1, 0, 0, 5)),
        ("x", GONE, ["", "", "", "x"], (1, 0, 5, 0)),
    ],
)
def test_other_inputs(
    folder: LocalFolder,
    known: tuple[ShardPlan, ...],
    named: str,
    inputs: Inputs,
    expected: list[str],
    counts: tuple[int, ...],
) -> None:
    """What is new makes further shards; what is not there any more is left out; the rest keeps its shard."""
    result = update(folder, records(*named), known, inputs)

    assert names(folder) == expected
    assert (result.added, result.changed, result.removed, result.kept) == counts
    assert update(folder, records(*named), result.shards, inputs).shards == result.shards


def test_inputs_that_have_changed(folder: LocalFolder, known: tuple[ShardPlan, ...]) -> None:
    """A caption, a place in a tar or a time that has changed stays in its shard, under the name it had."""
    changed = [*records("a"), {"kind": "file", "name": "./b", "caption": "new"}, *records("c", "d", "e")]

    assert update(folder, iter(changed), known).changed == 1
    assert read_shard(folder, 0) == [*records("a"), {"kind": "file", "name": "b", "caption": "new"}]


def test_one_image_in_several_rows(folder: LocalFolder) -> None:
    """Rows are told apart by their captions; a row that is gone is left out, although its image is there."""
    rows = [{"kind": "file", "name": "a", "caption": caption} for caption in "xyz"]
    known = write_new(folder, iter(rows))

    assert update(folder, iter(rows[::-1]), known, THERE) == PlanUpdate(known)
    assert update(folder, iter([rows[2], rows[0]]), known, THERE).removed == 1
    assert [read_shard(folder, shard) for shard in range(2)] == [rows[:1], rows[2:]]


def test_a_plan_that_was_interrupted(folder: LocalFolder, known: tuple[ShardPlan, ...]) -> None:
    """A new plan replaces it, and leaves nothing of a longer one."""
    update_plan(folder, records("x"), 2, known, ignore, GONE)
    write_new(folder, records("a", "x"))

    assert [path.name for path in (folder.path / ".clipsim").iterdir()] == ["sources_0000.jsonl"]


def test_an_update_that_was_interrupted(folder: LocalFolder, known: tuple[ShardPlan, ...]) -> None:
    """Until its digests are recorded the plan in use stays; once they are, the staged one takes its place."""
    result = update_plan(folder, records("x", "a", "b"), 2, known, ignore, GONE)
    staged = {path.name: path.read_bytes() for path in (folder.path / ".clipsim").glob("next*")}
    assert len(staged) == 3

    settle_plan(folder, known)
    assert names(folder) == ["ab", "cd", "e"]
    for name, content in staged.items():
        (folder.path / ".clipsim" / name).write_bytes(content)
    settle_plan(folder, result.shards)
    assert names(folder) == ["ab", "", "", "x"]
    assert not [name for name in folder.list_names(".clipsim") if name.startswith("next")]


def test_plans_that_are_lost(folder: LocalFolder, known: tuple[ShardPlan, ...]) -> None:
    """They are written again if the inputs are the same; a plan that is missing or damaged is not guessed."""
    (folder.path / sources_name(1)).unlink()
    with pytest.raises(DatasetError, match=r"sources_0001\.jsonl is missing or"):
        read_plan(folder, 1, known[1])
    update(folder, records("a", "b", "c", "d", "e"), known)
    assert names(folder) == ["ab", "cd", "e"]

    for damage, what in ((Path.unlink, "missing"), (lambda path: path.write_bytes(b"{"), "damaged")):
        damage(folder.path / sources_name(1))
        with pytest.raises(DatasetError, match=rf"sources_0001\.jsonl is {what}, and the inputs are not those"):
            update(folder, records("a", "b", "x", "d", "e"), known)
    (folder.path / sources_name(0)).write_bytes(b"{")
    with pytest.raises(DatasetError, match="damaged"):
        read_plan(folder, 0, known[0])


@pytest.mark.parametrize("seed", range(12))
def test_random_histories(folder: LocalFolder, seed: int) -> None:
    """After any sequence of runs, the plan has what was named last, each input once, and in the shard that it had."""
    rng = np.random.default_rng(seed)
    letters = "abcdefghijklmnop"
    plan = write_new(folder, records(*rng.permutation(list(letters))[: rng.integers(1, 9)]))
    for _ in range(5):
        before = names(folder)
        named = rng.permutation(list(letters))[: rng.integers(1, 15)]
        versions = [{"kind": "file", "name": str(name), "stamp": int(rng.integers(2))} for name in named]
        plan = update(folder, iter(versions), plan).shards
        after = names(folder)

        assert sorted("".join(after)) == sorted(named)
        for shard, (old, new) in enumerate(zip(before, after, strict=False)):
            assert new == "".join(name for name in old if name in named), shard
        stamps = {record["name"]: record["stamp"] for shard in range(len(plan)) for record in read_shard(folder, shard)}
        assert stamps == {record["name"]: record["stamp"] for record in versions}


def test_an_update_on_a_full_disk(folder: LocalFolder, known: tuple[ShardPlan, ...]) -> None:
    """The cause is one line; the plan in use stays."""

    def fill() -> Iterator[dict[str, Any]]:
        yield from records("x", "a")
        raise OSError(28, "No space left on device")

    with pytest.raises(DatasetError, match="cannot write to it: No space left on device"):
        update(folder, fill(), known)

    settle_plan(folder, known)
    assert names(folder) == ["ab", "cd", "e"]
