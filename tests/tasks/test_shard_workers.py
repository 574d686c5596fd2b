"""Tests of `tasks.shard_workers`: what a worker of Ray or of a device does with a shard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clipsim
from clipsim.errors import DatasetError
from clipsim.options import ModelOptions, RunOptions
from clipsim.store.folders import LocalFolder
from clipsim.store.layout import DatasetInfo, read_dataset_info
from clipsim.tasks.embed_shards import ShardWork
from clipsim.tasks.shard_workers import MAX_TRIES, ShardEncoder, WorkerOptions, forget_tries, make_shard, tries_name

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
    encoder = ShardEncoder(options)
    encoder.begin(facts.to_json())
    outcome = encoder.make(1)

    assert outcome["error"] is None
    assert outcome["failures"][0][1] == "an empty file"
    assert (folder.path / "metadata" / "metadata_0001.parquet").exists()
    assert folder.read(tries_name(1)) is None
    assert encoder.vectors.precision == "fp32"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "other"}, "its model has another digest: a model of colours, not other"),
        ({"precision": "fp16"}, "it computes in fp32, not fp16"),
        ({"preprocessing": {"exact": True, "later": 1}}, "it prepares images in another way: exact False, not True"),
    ],
)
def test_a_worker_that_differs(
    made: tuple[LocalFolder, DatasetInfo],
    options: WorkerOptions,
    monkeypatch: Any,
    change: dict[str, Any],
    message: str,
) -> None:
    """Its vectors would not be comparable."""
    monkeypatch.chdir(options.start)
    with pytest.raises(DatasetError, match=message):
        ShardEncoder(options).begin(replace(made[1], **change).to_json())


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


def test_tries_that_cannot_be_counted(made: tuple[LocalFolder, DatasetInfo], monkeypatch: pytest.MonkeyPatch) -> None:
    """The shard is not tried, and its outcome says why."""
    folder, facts = made

    def fail(self: LocalFolder, name: str, content: bytes) -> None:
        raise DatasetError("out: cannot write to it: the disk is full")

    monkeypatch.setattr(LocalFolder, "write", fail)
    with clipsim.open(cache=False) as session:
        assert make_shard(session.embedder, folder, facts, 1)["error"] == "out: cannot write to it: the disk is full"


def test_tries_of_earlier_runs(made: tuple[LocalFolder, DatasetInfo], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those that were counted are removed: each is a request to a store."""
    folder, _ = made
    folder.write(tries_name(7), b"3")
    removed: list[str] = []
    monkeypatch.setattr(LocalFolder, "_remove", lambda self, name: removed.append(name))
    forget_tries(folder, range(1000))
    assert removed == [tries_name(7)]


def test_a_shard_whose_workers_die(made: tuple[LocalFolder, DatasetInfo]) -> None:
    """Each death has left a try behind; the fourth worker gives up at once."""
    folder, facts = made
    folder.write(tries_name(1), str(MAX_TRIES).encode())
    with clipsim.open(cache=False) as session:
        assert make_shard(session.embedder, folder, facts, 1)["error"] == "its worker died 3 times"
    assert not (folder.path / "metadata" / "metadata_0001.parquet").exists()
