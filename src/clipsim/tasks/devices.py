"""Missing shards → their files, made by a process for each of several devices of this machine, without Ray."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.processes import end_at_interrupts, start_process
from clipsim.errors import DatasetError, ImageError
from clipsim.machine import usable_cores
from clipsim.store.folders import Folder
from clipsim.store.layout import DatasetInfo, VectorInfo
from clipsim.tasks.embed_shards import OnShard
from clipsim.tasks.shard_workers import (
    ShardEncoder,
    WorkerOptions,
    describe_error,
    end_with_parent,
    forget_tries,
    read_failures,
)

if TYPE_CHECKING:
    from clipsim.tasks.embed import EmbedRequest

_context = multiprocessing.get_context("spawn")  # CUDA does not work in a process that was forked


@dataclass
class _Worker:
    """The process of a device, the connection to it, and the shard that it makes; None until it has its first.

    One that is `idle` has nothing to make, unless the process of another device ends.
    """

    options: WorkerOptions
    process: BaseProcess
    connection: Connection
    shard: int | None = None
    idle: bool = False

    @property
    def device(self) -> str:
        """Its name."""
        return self.options.model.device


class DevicesRunner:
    """Gives each process a shard as soon as it has made the one before; a process that ends is started again.

    How often a shard was tried is kept in the folder, as for Ray: one that ends its process three times is skipped.
    """

    def __init__(self, embedder: Embedder, folder: Folder, request: EmbedRequest) -> None:
        workers = embedder.run_options.workers or max(1, usable_cores() // len(request.devices))
        run = replace(embedder.run_options, workers=workers)
        self._folder = folder
        self._options = [
            WorkerOptions(
                replace(embedder.model_options, device=device),
                run,
                request.output,
                str(Path.cwd()),
                request.retried_kinds,
            )
            for device in request.devices
        ]
        self._workers: dict[Connection, _Worker] = {}
        self._rest: deque[int] = deque()
        self.notices: list[str] = []

    def describe(self) -> VectorInfo:
        """What the vectors depend on, by the process of the first device that can be used: this one loads no model.

        Its process stays, to make shards. Raises DatasetError where no device can be used.
        """
        while self._options:
            worker = self._start(self._options.pop(0))
            try:
                kind, answer = worker.connection.recv()
            except (EOFError, OSError):
                self._restart(worker)
                continue
            if kind == "described":
                return cast(VectorInfo, answer)
            self._leave_out(worker, answer)
        raise self._unusable()

    def close(self) -> None:
        """End the processes, also in the middle of a shard, whose files are written completely or not at all."""
        for worker in self._workers.values():
            worker.connection.close()
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join()
        self._workers.clear()

    def run(self, info: DatasetInfo, shards: Sequence[int], on_ready: Callable[[], None], on_shard: OnShard) -> None:
        """Make the shards in any order, each of them a batch; one that cannot be made is skipped with a notice.

        `on_ready` is called when the first process is ready. Raises ImageError for a shard that cannot be made where
        `on_error` is "raise", and DatasetError where no device can be used.
        """
        forget_tries(self._folder, shards)
        self._rest.extend(shards)
        described = info.to_json()
        for worker in self._workers.values():
            self._send(worker, described)
        for options in self._options[: max(0, len(shards) - len(self._workers))]:
            self._start(options)
        ready = False
        while not all(worker.idle for worker in self._workers.values()):
            for connection in wait(list(self._workers)):
                worker = self._workers[cast(Connection, connection)]
                try:
                    kind, answer = worker.connection.recv()
                except (EOFError, OSError):
                    self._restart(worker)
                    continue
                if kind == "unusable":
                    self._leave_out(worker, answer)
                    continue
                if kind == "described":
                    self._send(worker, described)
                    continue
                if not ready:
                    on_ready()
                    ready = True
                if kind == "made":
                    self._report(worker, answer, on_shard)
                self._give(worker)
        if self._rest:
            raise self._unusable()
        for worker in list(self._workers.values()):
            self._end(worker)

    def _start(self, options: WorkerOptions) -> _Worker:
        connection, other = _context.Pipe()
        name = f"embed on {options.model.device}"
        # not a daemon, which could not have processes that decode for it
        process = _context.Process(target=run_worker, args=(other, options), name=name)
        start_process(process)
        other.close()  # so that its end is read here
        worker = self._workers[connection] = _Worker(options, process, connection)
        return worker

    def _send(self, worker: _Worker, message: str | int | None) -> None:
        with suppress(OSError):  # that it has ended is read next
            worker.connection.send(message)

    def _give(self, worker: _Worker) -> None:
        """Let a process make the next shard, or wait where there is none."""
        worker.idle = not self._rest
        if self._rest:
            worker.shard = self._rest.popleft()
            self._send(worker, worker.shard)

    def _restart(self, worker: _Worker) -> None:
        """Start a process again that has ended, or let one that waits make its shard.

        One that ended before it had loaded the model is not started again, nor one that had nothing to make.
        """
        if worker.idle:
            self._end(worker)
        elif worker.shard is None:
            self._leave_out(worker, "its process ended while it loaded the model")
        else:
            self._end(worker)
            self._rest.appendleft(worker.shard)
            if idle := [other for other in self._workers.values() if other.idle]:
                self._give(idle[0])
            else:
                self._start(worker.options)

    def _leave_out(self, worker: _Worker, reason: str) -> None:
        self.notices.append(f"{worker.device} is not used: {reason}")
        self._end(worker)

    def _unusable(self) -> DatasetError:
        return DatasetError("none of the devices can be used", hint="; ".join(self.notices))

    def _end(self, worker: _Worker) -> None:
        del self._workers[worker.connection]
        self._send(worker, None)
        worker.connection.close()
        worker.process.join()

    def _report(self, worker: _Worker, outcome: dict[str, Any], on_shard: OnShard) -> None:
        if outcome["error"] is None:
            on_shard(outcome["done"], read_failures(outcome), worker.device)
        elif worker.options.run.raises:
            raise ImageError(outcome["error"])
        else:
            self.notices.append(f"shard {worker.shard}: {outcome['error']}")


def run_worker(connection: Connection, options: WorkerOptions) -> None:
    """The work of a process: open the model, describe its vectors, and make shards.

    It receives the description of the data set, and numbers of shards until one is None.
    """
    end_at_interrupts()
    end_with_parent()
    with suppress(EOFError, OSError):  # the process that asks has ended
        try:
            encoder = ShardEncoder(options)
            connection.send(("described", encoder.vectors))
            if (info := connection.recv()) is None:
                return
            encoder.begin(info)
        except Exception as error:
            connection.send(("unusable", describe_error(error)))
            return
        connection.send(("ready", None))
        while (shard := connection.recv()) is not None:
            connection.send(("made", encoder.make(shard)))
