"""The nodes of a Ray cluster → encoders on those that can run, and shards → encoders, until every shard is made.

This runs in a process of its own (`ray_process`), which is Ray's driver. Ray starts the encoders, keeps the cores and
GPUs of each for it, and says when one died. This module judges every node by itself and gives out the shards.
"""

from __future__ import annotations

import pickle
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from clipsim.errors import (
    ClipsimError,
    ClusterLostError,
    DatasetError,
    MissingPackageError,
    install_command,
    pluralise,
    printable,
)
from clipsim.store.layout import DatasetInfo, VectorInfo
from clipsim.tasks.embed_shards import PACKAGES
from clipsim.tasks.ray_nodes import Demand, Node, Share, divide
from clipsim.tasks.shard_workers import WorkerOptions, find_difference

LOCAL = "local"  # the address with which Ray starts on this machine
OBJECT_STORE_BYTES = 200_000_000  # of Ray on this machine; only shards' numbers and failures go through it
NODE_SECONDS = 2.0  # between two looks at which nodes there are
PATIENCE_SECONDS = 60.0  # without an encoder that can make a shard, until that is said
JOIN_SECONDS = 60.0  # in which another node must join where all that worked were lost
MAX_LINE = 400
_LOG_PREFIX = re.compile(r"^\[\d[^\]]*\] (\(\w+\) )?\S+:\d+: +")


@dataclass(frozen=True)
class ClusterRequest:
    """What the process of a run asks of a cluster.

    `versions` are those that every node must have, `variables` its environment. `digest` is the model's; `precision`
    that of the vectors, None where the nodes decide.
    """

    address: str
    demand: Demand
    options: WorkerOptions
    versions: Mapping[str, str]
    variables: Mapping[str, str]
    digest: str
    precision: str | None = None


@dataclass(frozen=True)
class ClusterWork:
    """The shards that are to be made, of the data set that `info` describes as `clipsim.json` does."""

    info: str
    shards: tuple[int, ...]


@dataclass(frozen=True)
class Message:
    """What happens on a cluster: a kind, and what belongs to it.

    "loaded": Ray is imported; "connected"; "described": the vectors; "notice": a line; "made": a shard and its outcome;
    "done": all shards were; "failed": the error that ends the run; "bug": a traceback.
    """

    kind: str
    value: Any = None


Emit = Callable[[Message], None]


def connect(ray: Any, address: str) -> None:
    """Connect to a cluster, or start Ray on this machine.

    A cluster that exists has its resources already, and a job its runtime environment: neither is given one.
    """
    settings: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        settings |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        ray.init(**settings)
    except Exception as error:
        raise DatasetError(f"Ray: {summarise(str(error)) or type(error).__name__}") from error


def summarise(text: str) -> str:
    r"""What a long message of Ray says, in a line: its last line, or all of it where versions are listed.

    >>> summarise("Ray has much to say\n\nno cluster here\n")
    'no cluster here'
    >>> summarise("Version mismatch: The cluster was started with:\n    Ray: 2.40\nThis process with:\n    Ray: 2.50")
    'Version mismatch: The cluster was started with: Ray: 2.40 This process with: Ray: 2.50'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(" ".join(lines) if text.startswith("Version mismatch") else lines[-1] if lines else "", MAX_LINE)


def make_worker_class() -> type:
    """The class of the encoders on the nodes.

    It is made in a function so that Ray sends its code, not its name: it answers on a node without clipsim, too, and
    its methods import what they need.
    """

    class ShardWorker:
        def start(self, packages: dict[str, tuple[str, str]], variables: dict[str, str], options: bytes) -> Any:
            """Compare the versions of packages and load the model: ("described", its vectors), or what is wrong."""
            import os
            import pickle
            from importlib import metadata

            os.environ.update(variables)
            problems = []
            for name, (package, expected) in packages.items():
                try:
                    if name == "clipsim":
                        import clipsim

                        version = clipsim.__version__
                    else:
                        version = metadata.version(package)
                except ImportError:
                    problems.append(f"{name} is not installed")
                    continue
                if version.partition("+")[0] != expected.partition("+")[0]:
                    problems.append(f"{name} {version}, not {expected}")
            if problems:
                return "unusable", ", ".join(problems)
            from clipsim.tasks.shard_workers import ShardEncoder, describe_error

            try:
                self.encoder = ShardEncoder(pickle.loads(options))
            except Exception as error:
                return "unusable", describe_error(error)
            return "described", pickle.dumps(self.encoder.vectors)  # Ray's client reads it where clipsim may not be

        def make(self, info: str | None, shard: int) -> Any:
            """Make a shard: ("made", its outcome), or what is wrong. The first has the record of the data set."""
            if info is not None:
                from clipsim.errors import ClipsimError
                from clipsim.tasks.shard_workers import describe_error

                try:
                    self.encoder.begin(info)
                    self.encoder.check_inputs(shard)
                except ClipsimError as error:
                    return "unusable", describe_error(error)
            return "made", self.encoder.make(shard)

    return ShardWorker


@dataclass(eq=False)
class _Encoder:
    """An encoder on a node, and the shard that it makes; without `vectors` it is still loading the model.

    `begun` says whether it has the record of the data set.
    """

    node: Node
    share: Share
    actor: Any
    vectors: VectorInfo | None = None
    shard: int | None = None
    begun: bool = False


class Cluster:
    """The encoders on the nodes of a cluster that is connected.

    Nodes that join later get encoders too; a node that cannot run is named, once, and left out. Raises DatasetError
    where no node can run, and ClusterLostError where the cluster no longer answers.
    """

    def __init__(self, ray: Any, request: ClusterRequest, emit: Emit, stopped: threading.Event) -> None:
        self._ray, self._request, self._emit, self._stopped = ray, request, emit, stopped
        self._actor_class = ray.remote(make_worker_class())
        self._nodes: dict[str, Node] = {}
        self._excluded: dict[str, str] = {}  # nodes by their ids, and why
        self._failed_starts = Counter[str]()
        self._noticed = set[str]()
        self._encoders: list[_Encoder] = []
        self._pending: dict[Any, _Encoder] = {}  # by the reference of what they are doing
        self._shards: deque[int] = deque()
        self._info = ""
        self._expected: VectorInfo | None = None
        self._looked = 0.0
        self._worked = time.monotonic()  # when there last was an encoder that could make a shard

    def describe(self) -> VectorInfo:
        """What the vectors of the data set will depend on: those of the first encoder that suits.

        Where the precision is open, GPUs decide it, as they compute most of the shards.
        """
        self._look(first=True)
        while not self._stopped.is_set():
            suitable = [encoder for encoder in self._encoders if encoder.vectors is not None]
            on_gpus = [encoder for encoder in suitable if encoder.share.gpus]
            waiting = self._request.precision is None and any(encoder.share.gpus for encoder in self._pending.values())
            if on_gpus or (suitable and not waiting):
                self._expected = (on_gpus or suitable)[0].vectors
                assert self._expected is not None
                return self._expected
            self._step(idle=True)
        raise ClusterLostError("the run was ended")

    def make(self, work: ClusterWork) -> None:
        """Have all shards made, each in a message."""
        self._info, self._expected = work.info, DatasetInfo.from_json(work.info)
        self._shards.extend(work.shards)
        for encoder in list(self._encoders):
            self._judge(encoder)
        while not self._stopped.is_set():
            self._give()
            if not self._shards and all(encoder.shard is None for encoder in self._encoders):
                return
            self._step(idle=all(encoder.vectors is None for encoder in self._encoders))

    def _step(self, *, idle: bool) -> None:
        """Wait until an encoder is done with something, and look now and then which nodes there are.

        With `idle`, none can make a shard now.
        """
        if not self._pending and not self._wait_for_nodes():
            work = "make the shards that are left" if self._info else "run the model"
            reasons = [f"{node.name}: {self._excluded[id]}" for id, node in self._nodes.items() if id in self._excluded]
            raise DatasetError(
                f"no node of the Ray cluster can {work}",
                hint="; ".join(reasons) or "none has cores or GPUs for an encoder",
            )
        if not idle:
            self._worked = time.monotonic()
        elif time.monotonic() > self._worked + PATIENCE_SECONDS:
            self._notice("no shard is being made: the nodes may be busy with other work")
        with self._answering():
            ready, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=NODE_SECONDS)
        for reference in ready:
            self._receive(self._pending.pop(reference), reference)
        if time.monotonic() >= self._looked + NODE_SECONDS:
            self._look()

    def _wait_for_nodes(self) -> bool:
        """See which nodes there are, for a while where those that worked were lost; whether one has an encoder now."""
        deadline = time.monotonic() + (JOIN_SECONDS if self._info else 0)
        self._look()
        while not self._pending and time.monotonic() < deadline and not self._stopped.wait(NODE_SECONDS):
            self._notice(f"no node is left; others that join within {JOIN_SECONDS:g} seconds go on")
            self._look()
        return bool(self._pending)

    def _look(self, *, first: bool = False, without: Node | None = None) -> None:
        """See which nodes there are, and start encoders on those that have none, but not on the node `without`."""
        with self._answering():
            records = self._ray.nodes()
        self._looked = time.monotonic()
        known, self._nodes = self._nodes, {}
        for record in records:
            if record["Alive"]:
                self._nodes[record["NodeID"]] = Node.from_record(record)
        for node in known.values():
            if node.id not in self._nodes and node.id not in self._excluded:
                self._notice(f"{node.name} is no longer there; others make its shards")
        for encoder in [encoder for encoder in self._encoders if encoder.node.id not in self._nodes]:
            if encoder not in self._pending.values():  # else what it was doing fails next
                self._remove(encoder)
        demand = self._request.demand
        used = {encoder.node.id for encoder in self._encoders} | self._excluded.keys()
        used |= set() if without is None else {without.id}
        free = [node for node in self._nodes.values() if node.id not in used]
        if demand.device.partition(":")[0] == "cuda":
            for node in [node for node in free if not node.gpus and node.cpus]:
                self._exclude(node, "it has no GPU")
        room = None if demand.maximum is None else max(0, demand.maximum - len(self._encoders))
        minimum = demand.minimum if first else 0
        for node, share in divide(free, replace(demand, minimum=minimum, maximum=room)):
            self._start(node, share)
        if len(self._encoders) < minimum:
            self._notice(f"there is room for {len(self._encoders)} of {pluralise(minimum, 'encoder')} by now")

    def _start(self, node: Node, share: Share) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        request = self._request
        options = replace(request.options, run=replace(request.options.run, workers=share.threads))
        packages = {name: (PACKAGES.get(name, name), version) for name, version in request.versions.items()}
        with self._answering():
            actor = self._actor_class.options(
                num_cpus=share.cpus,
                num_gpus=share.gpus,
                max_restarts=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node.id, soft=False),
            ).remote()
            reference = actor.start.remote(packages, dict(request.variables), pickle.dumps(options))
        encoder = _Encoder(node, share, actor)
        self._encoders.append(encoder)
        self._pending[reference] = encoder

    def _receive(self, encoder: _Encoder, reference: Any) -> None:
        """Take what an encoder answers, or see that it died."""
        from ray.exceptions import RayError, RaySystemError, RayTaskError

        try:
            answer = self._ray.get(reference)
        except RayTaskError as error:
            if encoder.vectors is None:
                self._exclude(encoder.node, summarise(str(error)))
                return
            answer = "made", {"done": 0, "failures": [], "error": summarise(str(error))}
        except RaySystemError as error:
            raise lost(error) from error
        except RayError:
            self._bury(encoder)
            return
        except Exception as error:
            raise lost(error) from error
        kind, value = answer
        if kind == "made":
            shard, encoder.shard = encoder.shard, None
            self._emit(Message("made", (shard, value)))
        elif kind == "described":
            encoder.vectors = pickle.loads(value)
            self._judge(encoder)
        else:
            encoder.begun = False
            self._exclude(encoder.node, value)

    def _judge(self, encoder: _Encoder) -> None:
        """Leave out the node of an encoder whose vectors may not be put beside the others."""
        vectors = encoder.vectors
        if vectors is None:
            return
        request = self._request
        expected = self._expected or replace(
            vectors, digest=request.digest, precision=request.precision or vectors.precision
        )
        if (difference := find_difference(expected, vectors)) is not None:
            self._exclude(encoder.node, difference)

    def _bury(self, encoder: _Encoder) -> None:
        """Give the shard of an encoder that died to others, and start another one where its node is there."""
        node = encoder.node
        self._remove(encoder)
        if encoder.vectors is None:
            # that a node was lost is known only after its processes have ended, so this is tried once more
            self._failed_starts[node.id] += 1
            self._look(without=node)
            if node.id not in self._nodes or node.id in self._excluded:
                return
            if self._failed_starts[node.id] > 1:
                self._exclude(node, "its process ended while it loaded the model")
            else:
                self._start(node, encoder.share)
            return
        shared = node.id in {other.node.id for other in self._encoders}
        self._look()  # starts another one where it was the only one
        if shared and node.id in self._nodes and node.id not in self._excluded:
            self._start(node, encoder.share)

    def _remove(self, encoder: _Encoder) -> None:
        """End an encoder; its shard is another's."""
        self._encoders.remove(encoder)
        self._pending = {reference: other for reference, other in self._pending.items() if other is not encoder}
        if encoder.shard is not None:
            self._shards.appendleft(encoder.shard)
        with self._answering():
            self._ray.kill(encoder.actor)

    def _exclude(self, node: Node, reason: str) -> None:
        """Start no more encoders on a node, name it, and end those that have not made a shard of the data set."""
        if node.id not in self._excluded:
            self._excluded[node.id] = reason
            self._notice(f"{node.name} is not used: {reason}")
        for encoder in [encoder for encoder in self._encoders if encoder.node.id == node.id and not encoder.begun]:
            self._remove(encoder)

    def _give(self) -> None:
        """Give each encoder that has nothing to do a shard."""
        for encoder in self._encoders:
            if self._shards and encoder.vectors is not None and encoder.shard is None:
                encoder.shard = self._shards.popleft()
                with self._answering():
                    reference = encoder.actor.make.remote(None if encoder.begun else self._info, encoder.shard)
                encoder.begun = True
                self._pending[reference] = encoder

    def _notice(self, text: str) -> None:
        """Send a notice, once."""
        if text not in self._noticed:
            self._noticed.add(text)
            self._emit(Message("notice", printable(text, MAX_LINE)))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn what Ray raises where the cluster no longer answers into one error."""
        try:
            yield
        except ClipsimError:
            raise
        except Exception as error:
            raise lost(error) from error


def lost(error: BaseException | str) -> ClusterLostError:
    """The error for a cluster that no longer answers, with the first sentence of what Ray raised or wrote at last.

    >>> lost("[2026-11-30 03:22:03,890 E 20 21] gcs_rpc_client.h:196: Failed to connect to GCS. It may have …").message
    'the Ray cluster was lost: Failed to connect to GCS'
    """
    line = _LOG_PREFIX.sub("", summarise(str(error))).partition(". ")[0] or type(error).__name__
    return ClusterLostError(
        f"the Ray cluster was lost: {line}", hint="what is there stays, and the same command goes on from it"
    )


def serve(receive: Callable[[], Any], emit: Emit, stopped: threading.Event) -> None:
    """Answer a `ClusterRequest` and a `ClusterWork`, which `receive` returns, None where the run has ended."""
    try:
        import ray
    except ImportError as error:
        emit(Message("failed", MissingPackageError(f"Ray cannot be imported: {error}", hint=install_command("ray"))))
        return
    emit(Message("loaded"))
    request = receive()
    if request is None:
        return
    try:
        connect(ray, request.address)
        emit(Message("connected"))
        cluster = Cluster(ray, request, emit, stopped)
        emit(Message("described", cluster.describe()))
        if (work := receive()) is not None:
            cluster.make(work)
            emit(Message("done"))
    except ClipsimError as error:  # before Ray, which may be lost, is asked to end
        emit(Message("failed", error))
    finally:
        ray.shutdown()
