"""An object store in memory that fails as a test wants it."""

from __future__ import annotations

import io
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem


class StatusError(Exception):
    """What a client library raises for an answer of a server."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


ERRORS: dict[str, Callable[[], Exception]] = {
    "not_found": lambda: FileNotFoundError("no such key"),
    "denied": lambda: PermissionError("the token has expired"),
    "throttled": lambda: StatusError(503),
    "timed_out": lambda: TimeoutError("no answer"),
    "unavailable": lambda: ConnectionResetError("reset by peer"),
}


class Faults:
    """What fails: `choose` gives the kind of failure of a request, by its operation and path; None for none.

    `made` counts the requests by operation and path, `failed` the failures by their kind.
    """

    def __init__(self) -> None:
        self.choose: Callable[[str, str], str | None] = lambda _operation, _path: None
        self.made = Counter[tuple[str, str]]()
        self.failed = Counter[str]()
        self._lock = threading.Lock()

    def check(self, operation: str, path: str) -> None:
        """Count a request, and raise its error if it is to fail."""
        with self._lock:
            self.made[operation, path] += 1
        if kind := self.choose(operation, path):
            with self._lock:
                self.failed[kind] += 1
            raise ERRORS[kind]()

    def fail_at_random(self, share: float) -> None:
        """Let this share of the requests fail in each way; what is there is only not found when it is opened."""

        def choose(operation: str, path: str) -> str | None:
            number = self.made[operation, path]
            draw = random.Random(f"{operation} {path} {number}").random()
            kind = next((kind for place, kind in enumerate(ERRORS) if draw < share * (place + 1)), None)
            return None if kind == "not_found" and operation != "open" else kind

        self.choose = choose


class FaultyStore(MemoryFileSystem):  # type: ignore[misc]
    """The store, `faulty://`."""

    protocol = "faulty"
    store: dict[str, Any] = {}  # noqa: RUF012 (of all instances, as its base class has it)
    pseudo_dirs = [""]  # noqa: RUF012
    faults = Faults()

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return str(super()._strip_protocol(str(path).replace("faulty://", "memory://")))

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        """List a folder."""
        self.faults.check("list", self._strip_protocol(path))
        return super().ls(path, detail=detail, **options)

    def info(self, path: str, **options: Any) -> Any:
        """Describe a file."""
        self.faults.check("find", self._strip_protocol(path))
        return super().info(path, **options)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """Read a part of a file with one request, which counts as one that opens and one that reads."""
        path = self._strip_protocol(path)
        self.faults.check("open", path)
        if path not in self.store:
            raise FileNotFoundError(path)
        content = self.store[path].getvalue()[start:end]
        return FaultyFile(self, path, content).read()

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "rb":
            return super()._open(path, mode, **options)
        self.faults.check("open", path)
        return FaultyFile(self, path, self.store[path].getvalue())


class FaultyFile(io.BytesIO):
    """An object that is read."""

    def __init__(self, store: FaultyStore, path: str, content: bytes) -> None:
        super().__init__(content)
        self._store, self._path = store, path

    def read(self, size: int | None = -1) -> bytes:
        """Read on; a connection that ends early gives less than was asked for."""
        try:
            self._store.faults.check("read", self._path)
        except ConnectionResetError:
            return super().read(size)[:-1]
        return super().read(size)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """What fails in `faulty://`, which is empty."""
    fsspec.register_implementation("faulty", FaultyStore, clobber=True)
    monkeypatch.setattr(FaultyStore, "store", {})
    monkeypatch.setattr(FaultyStore, "pseudo_dirs", [""])
    monkeypatch.setattr(FaultyStore, "faults", Faults())
    return FaultyStore.faults
