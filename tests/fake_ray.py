"""A stand-in for the part of Ray that clipsim uses, in one process: what is sent is pickled, actors die and restart."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest


class WorkerDied(BaseException):
    """What a test raises inside a worker where its process would be killed: no code of a worker sees it."""


def sent(value: Any) -> Any:
    """What another process gets."""
    return pickle.loads(pickle.dumps(value))


@dataclass
class FakeRay:
    """Ray as the tests find it: the machines that it has, and what was asked of it."""

    resources: list[dict[str, float]] = field(default_factory=lambda: [{"CPU": 4.0}])
    initialized: bool = False
    init_error: Exception | None = None
    settings: dict[str, Any] = field(default_factory=dict)  # of `init`
    init_thread: threading.Thread | None = None
    stops: int = 0
    asked: dict[str, Any] = field(default_factory=dict)  # the resources of each function or class
    pool: Any = None
    deaths: int = 0
    progress_bars: Any = None  # whether Ray showed its bars while it worked
    context: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(enable_progress_bars=True))

    def is_initialized(self) -> bool:
        """Whether this process is connected."""
        return self.initialized

    def init(self, **settings: Any) -> None:
        """Start, or connect."""
        if self.init_error is not None:
            raise self.init_error
        self.settings, self.init_thread, self.initialized = settings, threading.current_thread(), True

    def shutdown(self) -> None:
        """Disconnect."""
        self.initialized = False
        self.stops += 1

    def nodes(self) -> list[dict[str, Any]]:
        """The machines, and one that has gone."""
        alive = [{"Alive": True, "Resources": resources} for resources in self.resources]
        return [*alive, {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]

    def remote(self, **resources: Any) -> Callable[[Callable[..., Any]], Any]:
        """A function that runs elsewhere."""

        def decorate(function: Callable[..., Any]) -> Any:
            self.asked[function.__name__] = resources
            return SimpleNamespace(remote=lambda *arguments: (sent(function), sent(arguments)))

        return decorate

    def get(self, task: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
        """The result of a task."""
        function, arguments = task
        return sent(function(*arguments))

    def from_items(self, items: list[dict[str, Any]], *, override_num_blocks: int) -> FakeDataset:
        """A data set of rows."""
        assert override_num_blocks == len(items)
        return FakeDataset(self, items)

    def pool_strategy(self, *, size: int, max_tasks_in_flight_per_actor: int) -> tuple[int, int]:
        """`ActorPoolStrategy`."""
        return size, max_tasks_in_flight_per_actor


@dataclass
class FakeDataset:
    """Rows, and the class that maps them."""

    ray: FakeRay
    items: list[dict[str, Any]]
    make: Callable[[], Any] | None = None

    def map_batches(
        self, kind: type, *, batch_size: int, fn_constructor_args: Sequence[Any], compute: Any, **resources: Any
    ) -> FakeDataset:
        """The same rows through objects of a class, one for each actor of the pool."""
        assert batch_size == 1
        self.ray.asked[kind.__name__], self.ray.pool = resources, compute
        return FakeDataset(self.ray, self.items, lambda: sent(kind)(*sent(tuple(fn_constructor_args))))

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """The rows of all batches, the last one first: Ray promises no order. An actor that dies is another's work."""
        assert self.make is not None
        actors = [self.make() for _ in range(self.ray.pool[0])]
        self.ray.progress_bars = self.ray.context.enable_progress_bars
        for number, item in enumerate(reversed(self.items)):
            batch = {name: np.array([value]) for name, value in item.items()}
            while True:
                try:
                    columns = sent(actors[number % len(actors)](sent(batch)))
                    break
                except WorkerDied:
                    self.ray.deaths += 1
                    actors[number % len(actors)] = self.make()
            yield {name: values[0] for name, values in columns.items()}


def install_fake_ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """Let `import ray.data` give the stand-in."""
    fake = FakeRay()
    module, data = ModuleType("ray"), ModuleType("ray.data")
    for name in ("is_initialized", "init", "shutdown", "nodes", "remote", "get"):
        setattr(module, name, getattr(fake, name))
    vars(data).update(
        from_items=fake.from_items,
        ActorPoolStrategy=fake.pool_strategy,
        DataContext=SimpleNamespace(get_current=lambda: fake.context),
    )
    vars(module)["data"] = data
    monkeypatch.setitem(sys.modules, "ray", module)
    monkeypatch.setitem(sys.modules, "ray.data", data)
    return fake
