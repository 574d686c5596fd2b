"""Tests of `api.ray_worker`: what a process of Ray does with a shard, without Ray."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clipsim
from clipsim.errors import DatasetError
from clipsim.options import ModelOptions, RunOptions
from clipsim.store.folders import LocalFolder
from clipsim.store.layout import DatasetInfo, read_dataset_info
from clipsim.tasks.embed import ShardWork
from clipsim.tasks.ray import (
    MAX_TRIES,
    ShardEncoder,
    WorkerOptions,
    describe_worker,
    make_shard,
    tries_name,
)  # fmt: skip

if TYPE_CHECKING:
    from conftest import Machine

pytest.importorskip("pyarrow")


@pytest.fixture
def made(machine: Machine, colours: Path, tmp_path: Path) -> tuple[LocalFolder, DatasetInfo]:
    """A data set of three shards, of which the second is missing; and a broken picture in it."""
    (colours / "green.png").write_bytes(b"")
    with clipsim.open(cache=False) as session:
        session.embed(colours, tmp_path / "out", shard_size=1)
    (tmp_path / "out" / "metadata" / "metadata_0001.parquet").unlink()
    return LocalFolder(str(tmp_path / "out")), read_dataset_info(tmp_path / "out")


@pytest.fixture
def options(made: tuple[LocalFolder, DatasetInfo], tmp_path: Path) -> WorkerOptions:
    """The options of a worker in its own folder."""
    return WorkerOptions(ModelOptions(), RunOptions(cache=False), str(tmp_path / "out"), str(tmp_path))


def test_a_worker(made: tuple[LocalFolder, DatasetInfo], options: WorkerOptions, monkeypatch: Any) -> None:
    """It makes the shards it is given, and says how each went."""
    folder, facts = made
    monkeypatch.chdir(options.start)
    found = ShardEncoder(options, facts.to_json())({"shard": [1]})

    assert json.loads(found["outcome"][0])["error"] is None
    assert json.loads(found["outcome"][0])["failures"][0][1] == "an empty file"
    assert (folder.path / "metadata" / "metadata_0001.parquet").exists()
    assert folder.read(tries_name(1)) is None
    described, error = describe_worker(options)
    assert error is None
    assert json.loads(described or "")["precision"] == "fp32"


def test_another_model_on_a_worker(
    made: tuple[LocalFolder, DatasetInfo], options: WorkerOptions, monkeypatch: Any
) -> None:
    """Its vectors would not be comparable."""
    monkeypatch.chdir(options.start)
    with pytest.raises(DatasetError, match="another digest: a model of colours, not other"):
        ShardEncoder(options, replace(made[1], digest="other").to_json())


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_shard_that_fails(
    made: tuple[LocalFolder, DatasetInfo], monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """It is tried three times, and then named with its error."""
    folder, facts = made
    tries = []
    run = ShardWork.run

    def fail(self: ShardWork, *callbacks: Any) -> None:
        tries.append(self)
        if len(tries) <= failures:
            raise OSError("a disk that is away")
        run(self, *callbacks)

    monkeypatch.setattr(ShardWork, "run", fail)
    with clipsim.open(cache=False) as session:
        outcome = make_shard(session.embedder, folder, facts, 1)

    assert len(tries) == min(failures + 1, MAX_TRIES)
    assert outcome["error"] == (None if failures < MAX_TRIES else "OSError: a disk that is away")


def test_a_shard_whose_workers_die(made: tuple[LocalFolder, DatasetInfo]) -> None:
    """Each death has left a try behind; the fourth worker gives up at once."""
    folder, facts = made
    folder.write(tries_name(1), str(MAX_TRIES).encode())
    with clipsim.open(cache=False) as session:
        assert make_shard(session.embedder, folder, facts, 1)["error"] == "its worker died 3 times"
    assert not (folder.path / "metadata" / "metadata_0001.parquet").exists()
