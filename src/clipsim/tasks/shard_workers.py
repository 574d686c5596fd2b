"""Shards → their files, in processes other than that of the run: what a worker is sent, opens, makes and reports."""

from __future__ import annotations

import json
import os
import platform
import threading
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.process import parent_process
from pathlib import Path
from typing import Any, NoReturn

from clipsim.embedding.embedder import Embedder
from clipsim.errors import TRANSIENT_KINDS, ClipsimError, DatasetError, DeviceLostError, Failure, printable
from clipsim.options import ModelOptions, RunOptions
from clipsim.store.folders import Folder, open_folder
from clipsim.store.layout import STATE_FOLDER, DatasetInfo, VectorInfo
from clipsim.store.plan import read_plan
from clipsim.tasks.embed_shards import ShardWork, container, describe_vectors

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
    """A loaded model and a folder to make shards in; `vectors` says what its vectors depend on."""

    def __init__(self, options: WorkerOptions) -> None:
        self._folder, self._retried = open_folder(options.output), options.retried
        self._embedder = options.open_embedder()
        self.vectors = describe_vectors(self._embedder)
        self._info: DatasetInfo | None = None

    def begin(self, text: str) -> None:
        """Read the record of the data set. Raises DatasetError where vectors of this machine would differ from it."""
        info = DatasetInfo.from_json(text)
        if (difference := find_difference(info, self.vectors)) is not None:
            raise DatasetError(difference)
        self._info = info

    def check_inputs(self, shard: int) -> None:
        """Raise DatasetError where this machine has not the folder of vectors, or none of the folders of the inputs.

        Every shard would fail here at once, and none would be left for machines that have them.
        """
        assert self._info is not None
        try:
            records = read_plan(self._folder, shard, self._info.plan[shard])
        except DatasetError as error:
            raise DatasetError(f"the folder of vectors cannot be used there: {error}") from error
        # of files that were there when they were listed
        folders = {Path(container(record)).absolute().parent for record in records if "stamp" in record}
        if folders and not any(map(os.path.isdir, folders)):
            raise DatasetError(f"the inputs are not there: no folder {printable(str(min(folders)))}")

    def make(self, shard: int) -> dict[str, Any]:
        """Make one shard of the data set that was begun; its outcome."""
        if self._info is None:
            raise ValueError("no data set was begun")
        return make_shard(self._embedder, self._folder, self._info, shard, self._retried)


def find_difference(expected: VectorInfo, own: VectorInfo) -> str | None:
    """Why the vectors of a worker may not be put beside others; None where they may.

    The device and the engine, which only round, may be others.
    """
    if own.digest != expected.digest:
        return f"its model has another digest: {own.digest}, not {expected.digest}"
    if own.precision != expected.precision:
        return f"it computes in {own.precision}, not {expected.precision}"
    here, there = (json.loads(json.dumps(vectors.preprocessing)) for vectors in (own, expected))
    differences = [
        f"{name} {here[name]}, not {there[name]}"
        for name in sorted(here.keys() & there.keys())  # an earlier version may have recorded fewer
        if here[name] != there[name]
    ]
    return f"it prepares images in another way: {'; '.join(differences)}" if differences else None


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
    try:
        while (tries := _count_try(folder, shard)) <= MAX_TRIES:
            try:
                made = _try_shard(embedder, folder, info, shard, retried)
                folder.remove(tries_name(shard))
                return {**made, "error": None, "node": platform.node()}
            except DeviceLostError:  # every further shard would fail here; another worker starts in a new process
                end_process()
            except Exception as caught:  # whatever it is, the other shards are made
                error = describe_error(caught)
                if embedder.run_options.raises:
                    break
    except Exception as caught:  # tries that cannot be counted would never end
        error = error or describe_error(caught)
    return {"done": 0, "failures": [], "error": error or f"its worker died {tries - 1} times"}


def end_process() -> NoReturn:
    """End a worker's process at once, as if it had been killed: Ray makes up for that, but not for an orderly end."""
    os._exit(1)


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, in the middle of whatever it does.

    A process that is killed cannot end its own, which would go on writing beside those of the next run.
    """
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        end_process()

    threading.Thread(target=wait, name="end with the parent", daemon=True).start()


def describe_error(error: Exception) -> str:
    """An error in a worker, in one line; those that are not clipsim's have the name of their class.

    >>> describe_error(OSError("no space left")), describe_error(DatasetError("out: no space left"))
    ('OSError: no space left', 'out: no space left')
    """
    kind = "" if isinstance(error, ClipsimError) else f"{type(error).__name__}: "
    return printable(f"{kind}{error}", 400)


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


def forget_tries(folder: Folder, shards: Iterable[int]) -> None:
    """Let the tries of earlier runs not count. A store is asked once what there is, not for each shard."""
    counted = set(folder.list_names(STATE_FOLDER))
    for name in map(tries_name, shards):
        if name.removeprefix(f"{STATE_FOLDER}/") in counted:
            folder.remove(name)


def _count_try(folder: Folder, shard: int) -> int:
    """Note that a shard is being tried; how many times it has been, this one included."""
    tries = int(folder.read(tries_name(shard)) or b"0") + 1
    folder.write(tries_name(shard), str(tries).encode())
    return tries
