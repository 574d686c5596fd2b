"""A process that Ray starts: opens the model once, then makes one shard after the other. Imports no Ray."""

from __future__ import annotations

import json
import os
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from typing import Any

from clipsim.api.shard_work import ShardWork, describe_vectors
from clipsim.embedding.session import Session
from clipsim.errors import ClipsimError, DatasetError, printable
from clipsim.options import ModelOptions, RunOptions
from clipsim.store.folders import Folder, open_folder
from clipsim.store.layout import STATE_FOLDER, DatasetFacts

MAX_TRIES = 3


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker needs to know; relative names of files start at the folder `start`."""

    model: ModelOptions
    run: RunOptions
    output: str
    start: str

    def open_session(self) -> Session:
        """Open the model for this process."""
        with suppress(OSError):  # on another machine, where names are absolute or addresses
            os.chdir(self.start)
        return Session(self.model, self.run, own_process=True)


class ShardEncoder:
    """A loaded model and a folder to make shards in; Ray calls it with the numbers of shards.

    Raises DatasetError where vectors of this machine would differ from those of the data set.
    """

    def __init__(self, options: WorkerOptions, facts: str) -> None:
        self._facts = DatasetFacts.from_json(facts)
        self._folder = open_folder(options.output)
        self._session = options.open_session()
        found = describe_vectors(self._session)
        for name in ("digest", "precision"):
            there, here = getattr(self._facts, name), getattr(found, name)
            if there != here:
                raise DatasetError(f"a worker's model has another {name}: {here}, not {there}")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the shards of a batch; their outcomes as JSON."""
        outcomes = [make_shard(self._session, self._folder, self._facts, int(shard)) for shard in batch["shard"]]
        return {"shard": batch["shard"], "outcome": [json.dumps(outcome) for outcome in outcomes]}


def make_shard(session: Session, folder: Folder, facts: DatasetFacts, shard: int) -> dict[str, Any]:
    """Make one shard, `MAX_TRIES` times at most where it fails; tries of workers that died count.

    The result says how many inputs were done, which of them failed, and the error of a shard that could not be made.
    """
    error: str | None = None
    while (tries := _count_try(folder, shard)) <= MAX_TRIES:
        done = 0
        failures: list[tuple[str, str]] = []
        try:
            work = ShardWork(session, folder, facts, shard)
            with closing(work), closing(work.run()) as steps:
                for count, failed in steps:
                    done += count
                    failures += [(failure.path, failure.error) for failure in failed]
            folder.remove(tries_name(shard))
            return {"done": done, "failures": failures, "error": None}
        except Exception as caught:  # whatever it is, the other shards are made
            kind = "" if isinstance(caught, ClipsimError) else f"{type(caught).__name__}: "
            error = f"{kind}{printable(str(caught), 400)}"
            if session.run_options.raises:
                break
    return {"done": 0, "failures": [], "error": error or f"its worker died {tries - 1} times"}


def describe_worker(options: WorkerOptions) -> tuple[str | None, str | None]:
    """What the vectors of a worker depend on, as JSON, or the error of its model."""
    try:
        with options.open_session() as session:
            return json.dumps(asdict(describe_vectors(session))), None
    except ClipsimError as error:
        return None, str(error)


def tries_name(shard: int) -> str:
    """The name of the file that counts the tries of a shard."""
    return f"{STATE_FOLDER}/tries_{shard:04d}"


def _count_try(folder: Folder, shard: int) -> int:
    """Note that a shard is being tried; how many times it has been, this one included."""
    tries = int(folder.read(tries_name(shard)) or b"0") + 1
    folder.write(tries_name(shard), str(tries).encode())
    return tries
