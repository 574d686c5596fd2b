"""Missing shards → their files, made on the nodes of a Ray cluster, or by Ray on this machine.

Ray starts encoders where there are cores and GPUs for them, and says when one has died. This package adds what Ray does
not have: which shards are missing, which nodes compute the same vectors, and files that are written completely or not
at all. Only numbers of shards and failures are sent between processes: an encoder reads the plan and writes its shards
in the folder of the data set, which every node must be able to reach.

`ray_process` is the process that talks to Ray, `ray_cluster` what it does, `ray_nodes` how nodes are divided.
"""

from __future__ import annotations

import importlib.util
import os
import queue
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsim.embedding.embedder import Embedder
from clipsim.errors import (
    DatasetError,
    ImageError,
    MissingPackageError,
    Setting,
    UsageError,
    install_command,
    join_words,
    printable,
)
from clipsim.inputs.urls import read_timeout
from clipsim.store.folders import Folder
from clipsim.store.layout import DatasetInfo, VectorInfo
from clipsim.tasks.embed_shards import OnShard, installed_versions
from clipsim.tasks.ray_cluster import LOCAL, ClusterRequest, ClusterWork, Message, lost
from clipsim.tasks.ray_nodes import Demand
from clipsim.tasks.ray_process import DriverProcess
from clipsim.tasks.shard_workers import WorkerOptions, forget_tries, read_failures

if TYPE_CHECKING:
    from clipsim.tasks.embed import EmbedRequest

CONNECT_SECONDS = 25.0  # in which a cluster that exists must answer, unless `CLIPSIM_TIMEOUT` says another number


class RayRunner:
    """Runs shards on Ray: connects to a cluster, or starts Ray, with the first call, until `close`.

    `shards` is how many are missing; `precision` that of the vectors that are there, None where it is open. `on_notice`
    is called when a line was added to `notices`.
    Raises MissingPackageError without Ray, UsageError for the name of one GPU, ClusterLostError where a cluster stops
    answering, and DatasetError for whatever else ends a run on Ray.
    """

    def __init__(
        self,
        embedder: Embedder,
        folder: Folder,
        request: EmbedRequest,
        shards: int,
        precision: str | None,
        on_notice: Callable[[], None],
    ) -> None:
        device = embedder.model_options.device
        if device not in ("auto", "cpu", "cpu:0", "cuda", "cuda:0", "mps", "mps:0"):
            raise UsageError(
                "Ray chooses the GPU of each worker, which sees no other and calls it cuda",
                parameter="device",
                value=device,
                hint=("leave out ", Setting("device", device), "; CUDA_VISIBLE_DEVICES says which GPUs Ray may use"),
            )
        address = find_address(request.ray_address)
        check_packages(address)
        minimum, maximum = request.encoders
        self._request = ClusterRequest(
            address,
            Demand(device, min(minimum, shards), min(maximum or shards, shards), request.cpus_per_worker),
            WorkerOptions(
                embedder.model_options,
                replace(embedder.run_options, cache=False),  # the cache is on the machine that asks
                request.output,
                str(Path.cwd()),
                request.retried_kinds,
            ),
            installed_versions(),
            {
                "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
                **{name: value for name, value in os.environ.items() if name.startswith("CLIPSIM_")},
            },
            embedder.identity,
            embedder.model_options.precision or precision,
        )
        self._folder, self._on_notice, self._connected = folder, on_notice, False
        self._process: DriverProcess | None = None
        self.notices: list[str] = []

    def describe(self) -> VectorInfo:
        """What the vectors depend on, on the nodes."""
        self._process = DriverProcess()
        self._process.send(self._request)
        self._receive("loaded")
        timeout = read_timeout(CONNECT_SECONDS)
        self._receive("connected", timeout=None if self._request.address == LOCAL else timeout)
        self._connected = True
        vectors: VectorInfo = self._receive("described").value
        return vectors

    def run(self, info: DatasetInfo, shards: Sequence[int], on_ready: Callable[[], None], on_shard: OnShard) -> None:
        """Make the shards in any order, each of them a batch; one that cannot be made is skipped with a notice.

        `on_ready` is called before the first of them; by then a worker has loaded the model.
        Raises ImageError for it where `on_error` is "raise".
        """
        assert self._process is not None
        on_ready()
        forget_tries(self._folder, shards)
        self._process.send(ClusterWork(info.to_json(), tuple(shards)))
        while (message := self._receive("made", "done")).kind == "made":
            shard, outcome = message.value
            if outcome["error"] is None:
                on_shard(outcome["done"], read_failures(outcome), outcome["node"])
            elif self._request.options.run.raises:
                raise ImageError(outcome["error"])
            else:
                self.notices.append(f"shard {shard}: {outcome['error']}")

    def close(self) -> None:
        """Disconnect from the cluster, and stop Ray if it was started here."""
        if self._process is not None:
            self._process.close(at_once=not self._connected)
            self._process = None

    def _receive(self, *kinds: str, timeout: float | None = None) -> Message:
        """The next message of one of these kinds; notices are kept, and what ends a run is raised."""
        assert self._process is not None
        while True:
            try:
                message = self._process.receive(timeout)
            except queue.Empty:
                raise DatasetError(
                    f"no Ray cluster has answered within {timeout:g} seconds",
                    parameter="ray_address",
                    value=self._request.address,
                    hint="CLIPSIM_TIMEOUT=60 in the environment waits longer",
                ) from None
            if message.kind in kinds:
                return message
            if message.kind == "notice":
                self.notices.append(message.value)
                self._on_notice()
            elif message.kind == "failed":
                raise message.value
            elif message.kind == "ended":
                raise lost(message.value) if self._connected else DatasetError(f"Ray: {message.value}")
            else:
                raise RuntimeError(message.value)


def find_address(address: str | None) -> str:
    """The address of the cluster: as given, that of the calling program, or `RAY_ADDRESS`; else Ray starts here."""
    if address is not None:
        return address
    ray: Any = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        connected = getattr(ray.get_runtime_context(), "gcs_address", None)
        if connected is None:
            raise UsageError("this program is connected by Ray's client: name the cluster", parameter="ray_address")
        return str(connected)
    return os.environ.get("RAY_ADDRESS") or LOCAL


def check_packages(address: str) -> None:
    """Raise MissingPackageError where Ray, or its client for an address that needs it, is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise MissingPackageError("needs Ray", parameter="runner", value="ray", hint=install_command("ray"))
    if address.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        raise MissingPackageError(
            f"{printable(address)} is an address of Ray's client, which is not installed",
            hint=join_words(["pip", "install", "ray[client]"]),
        )
