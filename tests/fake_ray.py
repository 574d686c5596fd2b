"""A stand-in for the part of Ray that clipsim uses, in one process: nodes that come, go and differ, and their actors.

What is sent to an actor, and what it answers, is pickled. Nothing runs until `wait`.
"""

from __future__ import annotations

import io
import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from importlib.machinery import ModuleSpec
from queue import Empty, SimpleQueue
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import clipsim
from clipsim.tasks.ray_cluster import Message, serve


class WorkerDied(BaseException):
    """What a test raises inside a worker where its process would be killed: no code of a worker sees it."""


class NoRoom(BaseException):
    """More was asked of a node than it has: the encoder would wait for ever."""


class RayError(Exception):
    """`ray.exceptions.RayError`."""


class RayTaskError(RayError):
    """`ray.exceptions.RayTaskError`: a method raised."""


class RaySystemError(RayError):
    """`ray.exceptions.RaySystemError`: the cluster does not answer."""


class RayActorError(RayError):
    """`ray.exceptions.RayActorError`: the process of an actor has ended."""


class PlainUnpickler(pickle.Unpickler):
    """Reads an answer where clipsim may not be: with Ray's client, that is the head of the cluster."""

    def find_class(self, module: str, name: str) -> Any:
        """An answer has no objects but Python's own."""
        raise ModuleNotFoundError(module)


def sent(value: Any) -> Any:
    """What another process gets."""
    return pickle.loads(pickle.dumps(value))


@dataclass(eq=False)
class FakeNode:
    """A machine: what it offers, the versions of packages that differ there (None: not installed), and its actors."""

    name: str
    resources: dict[str, float]
    versions: dict[str, str | None] = field(default_factory=dict)
    alive: bool = True

    @property
    def record(self) -> dict[str, Any]:
        """What `ray.nodes()` says of it."""
        return {
            "NodeID": f"id of {self.name}", "NodeManagerHostname": self.name, "NodeManagerAddress": "",
            "Alive": self.alive, "Resources": self.resources if self.alive else {},
        }  # fmt: skip

    @contextmanager
    def packages(self) -> Iterator[None]:
        """Have the versions of this machine in this process."""

        def version(package: str) -> str:
            found = self.versions[package] if package in self.versions else installed(package)
            if found is None:
                raise metadata.PackageNotFoundError(package)
            return found

        installed = metadata.version
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metadata, "version", version)
            own = self.versions.get("clipsim", clipsim.__version__)
            if own is None:
                patch.setitem(sys.modules, "clipsim", None)
            else:
                patch.setattr(clipsim, "__version__", own)
            yield


@dataclass(eq=False)
class FakeActor:
    """An actor on a node, and the resources that it has."""

    ray: FakeRay
    node: FakeNode
    worker: Any
    resources: dict[str, float]
    dead: bool = False

    def __getattr__(self, name: str) -> Any:
        """A method, to be called by `remote`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return SimpleNamespace(remote=lambda *arguments: FakeTask(self, name, sent(arguments)))


@dataclass(eq=False)
class FakeTask:
    """A reference to what an actor does, and how that ended."""

    actor: FakeActor
    method: str
    arguments: tuple[Any, ...]
    ended: bool = False
    answer: Any = None
    error: Exception | None = None

    def run(self) -> None:
        """Do it, as far as the actor lives."""
        actor = self.actor
        self.ended = True
        if not actor.dead and actor.node.alive:
            try:
                actor.ray.on_task(actor.node, self.method, self.arguments)
                with actor.node.packages():
                    self.answer = sent(getattr(actor.worker, self.method)(*self.arguments))
            except WorkerDied:
                actor.dead = True
                actor.ray.deaths += 1
            except Exception as error:
                self.error = RayTaskError(f"ray::{self.method}\n  a traceback\n{type(error).__name__}: {error}")
        if actor.dead or not actor.node.alive:
            self.error = RayActorError("The actor died unexpectedly")


def no_task(node: FakeNode, method: str, arguments: tuple[Any, ...]) -> None:
    """Nothing happens before a task."""


@dataclass
class FakeRay:
    """Ray as the tests find it: the machines that it has, and what was asked of it."""

    machines: list[FakeNode] = field(default_factory=lambda: [FakeNode("here", {"CPU": 4.0})])
    initialized: bool = False
    init_error: Exception | None = None
    settings: dict[str, Any] = field(default_factory=dict)  # of `init`
    init_thread: threading.Thread | None = None
    stops: int = 0
    actors: list[FakeActor] = field(default_factory=list)  # all that there were
    deaths: int = 0
    on_task: Callable[[FakeNode, str, tuple[Any, ...]], None] = no_task  # called before each
    on_wait: Callable[[], None] = field(default_factory=lambda: lambda: None)
    on_look: Callable[[], None] = field(default_factory=lambda: lambda: None)
    patient: bool = True  # whether the run waits for Ray as long as it takes
    requests: list[Any] = field(default_factory=list)  # what the run sent to its process

    def is_initialized(self) -> bool:
        """Whether the calling program is connected."""
        return self.initialized

    def init(self, **settings: Any) -> None:
        """Start, or connect."""
        self.settings, self.init_thread = settings, threading.current_thread()
        if self.init_error is not None:
            raise self.init_error

    def shutdown(self) -> None:
        """Disconnect, which ends what was started."""
        self.stops += 1
        for actor in self.actors:
            actor.dead = True

    def get_runtime_context(self) -> Any:
        """What is known of a connection."""
        return SimpleNamespace(gcs_address="10.0.0.1:6379")

    def nodes(self) -> list[dict[str, Any]]:
        """The machines, and one that has gone."""
        self.on_look()
        gone = FakeNode("gone", {"CPU": 64.0, "GPU": 8.0}, alive=False)
        return [node.record for node in (*self.machines, gone)]

    def remote(self, kind: type) -> Any:
        """The class of an actor."""

        def make(*, num_cpus: float, num_gpus: float, max_restarts: int, scheduling_strategy: Any) -> Any:
            assert max_restarts == 0
            assert isinstance(num_cpus, int | float)  # Ray takes no numbers of NumPy
            node = next(node for node in self.machines if node.record["NodeID"] == scheduling_strategy.node_id)
            actor = FakeActor(self, node, kind(), {"CPU": num_cpus, "GPU": num_gpus})
            self.actors.append(actor)
            living = [one for one in self.actors if one.node is node and not one.dead]
            for name in ("CPU", "GPU"):
                if sum(one.resources[name] for one in living) > node.resources.get(name, 0) + 1e-3:
                    raise NoRoom(f"{node.name}: {name}")
            return actor

        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=lambda: make(**options)))

    def wait(self, tasks: list[FakeTask], *, num_returns: int, timeout: float) -> tuple[list[FakeTask], list[FakeTask]]:
        """Run the task of the node that has run the fewest, so that all of them get some."""
        assert num_returns == 1
        assert timeout > 0
        self.on_wait()
        counts = [sum(task.ended for task in self._tasks if task.actor.node is one.actor.node) for one in tasks]
        chosen = tasks[counts.index(min(counts))]
        self._tasks.append(chosen)
        chosen.run()
        return [chosen], [task for task in tasks if task is not chosen]

    def get(self, task: FakeTask) -> Any:
        """The answer of a task that has ended."""
        assert task.ended
        if task.error is not None:
            raise task.error
        PlainUnpickler(io.BytesIO(pickle.dumps(task.answer))).load()
        return task.answer

    def kill(self, actor: FakeActor) -> None:
        """End an actor."""
        actor.dead = True

    def __post_init__(self) -> None:
        """No task has been run."""
        self._tasks: list[FakeTask] = []

    def pool(self, *, alive: bool = False) -> dict[str, list[tuple[float, float]]]:
        """The cores and GPUs of each actor there was, by node."""
        pool: dict[str, list[tuple[float, float]]] = {}
        for actor in self.actors:
            if not (alive and actor.dead):
                pool.setdefault(actor.node.name, []).append((actor.resources["CPU"], actor.resources["GPU"]))
        return pool


class FakeProcess:
    """In place of `DriverProcess`: the same loop in a thread, so that what a test has patched is there."""

    def __init__(self, ray: FakeRay) -> None:
        self._ray = ray
        self._requests, self._messages = SimpleQueue[Any](), SimpleQueue[Message]()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            serve(self._requests.get, lambda message: self._messages.put(sent(message)), self._stopped)
        except SystemExit as end:  # as Ray ends its process
            self._messages.put(Message("ended", str(end)))
        except BaseException:
            self._messages.put(Message("bug", traceback.format_exc()))

    def send(self, value: Any) -> None:
        """Send a request."""
        self._ray.requests.append(sent(value))
        self._requests.put(self._ray.requests[-1])

    def receive(self, timeout: float | None = None) -> Message:
        """The next message."""
        if timeout is not None and not self._ray.patient:
            raise Empty
        return self._messages.get(timeout=60)

    def close(self, *, at_once: bool = False) -> None:
        """End the thread."""
        self._stopped.set()
        self._requests.put(None)
        self._thread.join()


def install_fake_ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """Let `import ray` give the stand-in, and the process of a run be a thread."""
    fake = FakeRay()
    module, exceptions = ModuleType("ray"), ModuleType("ray.exceptions")
    util, strategies = ModuleType("ray.util"), ModuleType("ray.util.scheduling_strategies")
    module.__spec__ = ModuleSpec("ray", None)
    names = ("is_initialized", "init", "shutdown", "get_runtime_context", "nodes", "remote", "wait", "get", "kill")
    vars(module).update({name: getattr(fake, name) for name in names})
    vars(exceptions).update(RayError=RayError, RayTaskError=RayTaskError, RaySystemError=RaySystemError)
    vars(strategies)["NodeAffinitySchedulingStrategy"] = check_affinity
    for one in (module, exceptions, util, strategies):
        monkeypatch.setitem(sys.modules, one.__name__, one)
    monkeypatch.setattr("clipsim.tasks.ray.DriverProcess", lambda: FakeProcess(fake))
    monkeypatch.setattr("clipsim.tasks.ray_cluster.NODE_SECONDS", 1e-9)  # look at the nodes at each step
    return fake


def check_affinity(*, node_id: str, soft: bool) -> Any:
    """`NodeAffinitySchedulingStrategy`."""
    assert not soft
    return SimpleNamespace(node_id=node_id)
