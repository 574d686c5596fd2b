"""Shards → their files, in processes other than that of the run: what a worker is sent, opens, makes and reports."""

from __future__ import annotations

import json
import os
import platform
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from clipsim.embedding.embedder import Embedder
from clipsim.errors import TRANSIENT_KINDS, ClipsimError, DatasetError, DeviceLostError, Failure, printable
from clipsim.options import ModelOptions, RunOptions
from clipsim.results.base import ModelRecord
from clipsim.store.folders import Folder, open_folder
from clipsim.store.layout import STATE_FOLDER, DatasetInfo, VectorInfo
from clipsim.tasks.embed_shards import ShardWork, describe_vectors

MAX_TRIES = 3


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker needs to know; relative names of files start at the folder `start`.

    `retried` are the kinds of failures of an earlier run that are tried again.
    """

    model: ModelOptions
    run: RunOptions
    output: str
    start: str
    retried: frozenset[str] = TRANSIENT_KINDS

    def open_embedder(self) -> Embedder:
        """Open the model for this process."""
        with suppress(OSError):  # on another machine, where names are absolute or addresses
            os.chdir(self.start)
        return Embedder(self.model, self.run, own_process=True)


class ShardEncoder:
    """A loaded model and a folder to make shards in; Ray calls it with the numbers of shards.

    `embedder` is the model, where it has been opened. Raises DatasetError where vectors of this machine would differ
    from those of the data set.
    """

    def __init__(self, options: WorkerOptions, info: str, embedder: Embedder | None = None) -> None:
        self._info = DatasetInfo.from_json(info)
        self._folder = open_folder(options.output)
        self._embedder, self._retried = embedder or options.open_embedder(), options.retried
        vectors = describe_vectors(self._embedder)
        for name in ("digest", "precision"):
            expected, own = getattr(self._info, name), getattr(vectors, name)
            if own != expected:
                raise DatasetError(f"a worker's model has another {name}: {own}, not {expected}")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the shards of a batch; their outcomes as JSON."""
        outcomes = [self.make(int(shard)) for shard in batch["shard"]]
        return {"shard": batch["shard"], "outcome": [json.dumps(outcome) for outcome in outcomes]}

    def make(self, shard: int) -> dict[str, Any]:
        """Make one shard; its outcome."""
        return make_shard(self._embedder, self._folder, self._info, shard, self._retried)


def write_description(embedder: Embedder) -> str:
    """What the vectors of a worker depend on, as JSON."""
    return json.dumps(asdict(describe_vectors(embedder)))


def read_description(described: str) -> VectorInfo:
    """What a worker has written of its vectors."""
    record = json.loads(described)
    record |= {"model": ModelRecord(**record["model"]), "warnings": tuple(record["warnings"])}
    return VectorInfo(**record)


def make_shard(
    embedder: Embedder,
    folder: Folder,
    info: DatasetInfo,
    shard: int,
    retried: frozenset[str] = TRANSIENT_KINDS,
) -> dict[str, Any]:
    """Make one shard, `MAX_TRIES` times at most where it fails; tries of workers that died count.

    Where the GPU has failed, the process ends: that counts as a worker that died.

    The result says how many inputs were done, which of them failed, and the error of a shard that could not be made.
    """
    error: str | None = None
    while (tries := _count_try(folder, shard)) <= MAX_TRIES:
        try:
            made = _try_shard(embedder, folder, info, shard, retried)
            folder.remove(tries_name(shard))
            return {**made, "error": None, "node": platform.node()}
        except DeviceLostError:  # every further shard would fail here; Ray starts another worker in a new process
            end_process()
        except Exception as caught:  # whatever it is, the other shards are made
            kind = "" if isinstance(caught, ClipsimError) else f"{type(caught).__name__}: "
            error = f"{kind}{printable(str(caught), 400)}"
            if embedder.run_options.raises:
                break
    return {"done": 0, "failures": [], "error": error or f"its worker died {tries - 1} times"}


def end_process() -> NoReturn:
    """End a worker's process at once, as if it had been killed: Ray makes up for that, but not for an orderly end."""
    os._exit(1)


def read_failures(outcome: dict[str, Any]) -> tuple[Failure, ...]:
    """The failed inputs of a shard's outcome."""
    return tuple(Failure(image, error, kind=kind) for image, error, kind in outcome["failures"])


def _try_shard(
    embedder: Embedder, folder: Folder, info: DatasetInfo, shard: int, retried: frozenset[str]
) -> dict[str, Any]:
    counts: list[int] = []
    failures: list[tuple[str, str, str]] = []

    def on_batch(count: int, failed: tuple[Failure, ...]) -> None:
        counts.append(count)
        failures.extend((failure.image, failure.error, failure.kind) for failure in failed)

    with closing(ShardWork(embedder, folder, info, shard, retried=retried)) as work:
        work.run(lambda: None, on_batch)
    return {"done": sum(counts), "failures": failures}


def tries_name(shard: int) -> str:
    """The name of the file that counts the tries of a shard."""
    return f"{STATE_FOLDER}/tries_{shard:04d}"


def _count_try(folder: Folder, shard: int) -> int:
    """Note that a shard is being tried; how many times it has been, this one included."""
    tries = int(folder.read(tries_name(shard)) or b"0") + 1
    folder.write(tries_name(shard), str(tries).encode())
    return tries
