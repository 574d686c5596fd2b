"""Missing shards → their files, made by Ray Data on this machine or a cluster: one encoder for each accelerator.

Ray distributes the shards, restarts encoders that died and schedules their shards again. This package adds what Ray
does not have: which shards are missing, and files that are written completely or not at all. Only numbers of shards and
failures are sent between processes: a worker reads the plan and writes its shards in the folder of the data set, which
every worker must be able to reach.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsim.embedding.embedder import Embedder
from clipsim.errors import (
    ClipsimError,
    DatasetError,
    ImageError,
    MissingPackageError,
    Setting,
    UsageError,
    install_command,
    printable,
)
from clipsim.store.folders import Folder
from clipsim.store.layout import DatasetInfo, VectorInfo
from clipsim.tasks.embed_shards import OnShard
from clipsim.tasks.shard_workers import (
    ShardEncoder,
    WorkerOptions,
    read_description,
    read_failures,
    tries_name,
    write_description,
)

if TYPE_CHECKING:
    from clipsim.tasks.embed import EmbedRequest


MAX_CPU_SHARE = 8  # cores of an encoder on a CPU; more make a model hardly faster
OBJECT_STORE_BYTES = 200_000_000  # on this machine; only numbers of shards and failures go through it


@dataclass(frozen=True)
class Share:
    """The resources of one encoder, the threads that decode for it, and the number of encoders."""

    encoders: int
    cpus: int
    gpus: float
    threads: int

    @classmethod
    def of(cls, nodes: Sequence[dict[str, Any]], encoders: int | None, device: str) -> Share:
        """One encoder a GPU where there are any and the device allows it, else one for up to `MAX_CPU_SHARE` cores.

        `nodes` are the resources of each machine; a number of `encoders` divides the GPUs, or the cores, among them.
        Encoders on GPUs have the cores of their machine for decoding, which Ray is not asked to reserve.

        >>> Share.of([{"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0, "GPU": 2.0}], None, "auto")
        Share(encoders=4, cpus=0, gpus=1, threads=8)
        >>> Share.of([{"CPU": 16.0, "GPU": 1.0}], 4, "cuda")
        Share(encoders=4, cpus=0, gpus=0.25, threads=4)
        >>> Share.of([{"CPU": 16.0}, {"CPU": 4.0}], None, "auto")
        Share(encoders=5, cpus=4, gpus=0, threads=4)
        >>> Share.of([{"CPU": 2.0}], 2, "cpu")
        Share(encoders=2, cpus=1, gpus=0, threads=1)
        """
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        if gpus and device.partition(":")[0] in ("auto", "cuda"):
            on_one = max(1, -(-(encoders or 1) // gpus))  # encoders that share a GPU: none can have parts of two
            cores = [
                int(node.get("CPU", 0)) // (int(node["GPU"]) * on_one) for node in nodes if int(node.get("GPU", 0))
            ]
            share = 1 if on_one == 1 else math.floor(10_000 / on_one) / 10_000  # Ray counts ten-thousandths
            return cls(encoders or gpus, 0, share, max(1, min(cores)))
        cores = [count for node in nodes if (count := int(node.get("CPU", 0)))] or [1]
        cpus = min(*cores, MAX_CPU_SHARE) if encoders is None else max(1, min(*cores, sum(cores) // encoders))
        return cls(encoders or sum(count // cpus for count in cores), cpus, 0, cpus)


class RayRunner:
    """Runs shards on Ray: connects to a cluster, or starts Ray, with the first call, until `close`.

    Raises MissingPackageError without Ray, UsageError for the name of one GPU, and DatasetError for whatever ends a run
    on Ray.
    """

    def __init__(self, embedder: Embedder, folder: Folder, request: EmbedRequest) -> None:
        device = embedder.model_options.device
        if device not in ("auto", "cpu", "cpu:0", "cuda", "cuda:0", "mps", "mps:0"):
            raise UsageError(
                "Ray chooses the GPU of each worker, which sees no other and calls it cuda",
                parameter="device",
                value=device,
                hint=("leave out ", Setting("device", device), "; CUDA_VISIBLE_DEVICES says which GPUs Ray may use"),
            )
        run = replace(embedder.run_options, cache=False)  # the cache is on the machine that asks
        self._options = WorkerOptions(
            embedder.model_options, run, request.output, str(Path.cwd()), request.retried_kinds
        )
        self._folder, self._address, self._encoders = folder, request.ray_address, request.actors
        self._ray = _import_ray()
        self._share: Share | None = None
        self._restored = ExitStack()  # Ray's settings for the whole process, as they were
        self._started = False
        self.notices: list[str] = []

    def describe(self) -> VectorInfo:
        """What the vectors depend on, on a worker."""
        share = self._join()
        remote = self._ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_calls=1)(describe_worker)
        with _translated():
            described, error = self._ray.get(remote.remote(self._options))
        if error is not None:
            raise DatasetError(f"a worker of Ray cannot run the model: {error}")
        return read_description(described)

    def run(self, info: DatasetInfo, shards: Sequence[int], on_ready: Callable[[], None], on_shard: OnShard) -> None:
        """Make the shards in any order, each of them a batch; one that cannot be made is skipped with a notice.

        `on_ready` is called before the first worker begins; by then a worker has loaded the model.
        Raises ImageError for it where `on_error` is "raise".
        """
        share = self._join()
        on_ready()
        for shard in shards:
            self._folder.remove(tries_name(shard))
        options = replace(self._options, run=replace(self._options.run, workers=share.threads))
        with _translated():
            from ray.data import ActorPoolStrategy, from_items

            made = from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards)).map_batches(
                ShardEncoder,
                batch_size=1,
                fn_constructor_args=(options, info.to_json()),
                # when an encoder dies, only the shard that it is making is tried again
                compute=ActorPoolStrategy(size=min(share.encoders, len(shards)), max_tasks_in_flight_per_actor=1),
                **({"num_gpus": share.gpus} if share.gpus else {"num_cpus": share.cpus}),
            )
            for row in made.iter_rows():
                outcome = json.loads(row["outcome"])
                if outcome["error"] is None:
                    on_shard(outcome["done"], read_failures(outcome), outcome["node"])
                elif options.run.raises:
                    raise ImageError(outcome["error"])
                else:
                    self.notices.append(f"shard {row['shard']}: {outcome['error']}")

    def close(self) -> None:
        """Restore Ray's settings, disconnect from the cluster, and stop Ray if it was started here."""
        self._restored.close()
        if self._started:
            self._started = False
            self._ray.shutdown()
            self._thread.shutdown()

    def _join(self) -> Share:
        """Connect to the cluster or start Ray, unless the calling program has; the share of an encoder."""
        if self._share is not None:
            return self._share
        if not self._ray.is_initialized():
            variables = {name: value for name, value in os.environ.items() if name.startswith("CLIPSIM_")}
            settings: dict[str, Any] = {
                "address": self._address,
                "runtime_env": {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE", **variables}},
                "log_to_driver": False,
                "logging_level": "ERROR",
            }
            if self._address is None:
                settings |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
            # In the main thread Ray would replace the handler of SIGTERM. Its processes end with this thread.
            self._thread = ThreadPoolExecutor(1, "ray")
            self._started = True
            with _translated():
                self._thread.submit(self._ray.init, **settings).result()
        with _translated():
            from ray.data import DataContext

            context, logger = DataContext.get_current(), logging.getLogger("ray.data")
            self._restored.callback(setattr, context, "enable_progress_bars", context.enable_progress_bars)
            self._restored.callback(logger.setLevel, logger.level)
            context.enable_progress_bars = False
            logger.setLevel(logging.CRITICAL)  # failures are reported by `run`
            nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._share = Share.of(nodes, self._encoders, self._options.model.device)
        return self._share


def _import_ray() -> Any:
    try:
        import ray.data
    except ImportError as error:
        raise MissingPackageError(
            "needs Ray Data", parameter="runner", value="ray", hint=install_command("ray")
        ) from error
    return ray


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what Ray raises into one DatasetError."""
    try:
        yield
    except ClipsimError:
        raise
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise DatasetError(f"Ray: {printable(lines[-1].strip(), 400)}") from error


def describe_worker(options: WorkerOptions) -> tuple[str | None, str | None]:
    """What the vectors of a worker depend on, as JSON, or the error of its model."""
    try:
        with options.open_embedder() as embedder:
            return write_description(embedder), None
    except ClipsimError as error:
        return None, str(error)
