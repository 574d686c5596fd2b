"""A folder on this machine or in an object store → files that are written completely or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipsim.errors import DatasetError, first_line, printable, requires, system_cause
from clipsim.files import Answer, RequestError, lock_file, make_request, rename_over

# Stores whose objects are made by one request, completely or not at all, and have no folders to create.
_OBJECT_STORES = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci"))
_STORE_NAMES = ("s3", "gs", "az", "abfs", "oss", "oci")
SCRATCH = ".clipsim/tmp-"
DigestFile = Callable[[Path], str]  # a file of this machine → its SHA-256 in hex; raises OSError


class Folder(ABC):
    """Files by their names relative to the folder, such as "img_emb/img_emb_0000.npy".

    Every method raises DatasetError, naming the folder by its `label`, where the system or the store refuses. What a
    subclass does for each of them raises the errors of the system or of the store's library.
    """

    label: str
    _refusal: type[Exception]  # the base of what the system, or the store's library, raises

    def list_names(self, below: str = "") -> list[str]:
        """The names of what is directly in the folder, or in a folder within it."""
        with suppress(_NoSuchFileError), self._errors("read"):
            return self._request(lambda: self._list_names(below))
        return []

    def sizes(self, below: str) -> dict[str, int]:
        """The files directly in a folder within it, and how many bytes each has."""
        with suppress(_NoSuchFileError), self._errors("read"):
            return self._request(lambda: self._sizes(below))
        return {}

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        with suppress(_NoSuchFileError), self._errors("read"):
            return self._request(lambda: self._read(name))
        return None

    def digest(self, name: str, digest: DigestFile) -> str | None:
        """The SHA-256 of a file in hex, by `digest` where it is on this machine; None where there is none."""
        with suppress(_NoSuchFileError), self._errors("read"):
            return self._request(lambda: self._digest(name, digest))
        return None

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file in one step."""
        with self._errors("write to"):
            self._request(lambda: self._write(name, content))

    def publish(self, made: Path, name: str) -> None:
        """Move a complete file from a `scratch` folder to its name, in one step."""
        with self._errors("write to"):
            self._request(lambda: self._publish(made, name))

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it, if it is there."""
        with suppress(_NoSuchFileError), self._errors("write to"):
            self._request(lambda: self._remove(name))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder on this machine, for files that are not complete yet."""
        with self._errors("write to"):
            folder = self._make_scratch()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold an exclusive lock, which the system releases when the process ends; nothing where there are no locks.

        Raises DatasetError where another process holds it.
        """
        yield

    @abstractmethod
    def _list_names(self, below: str) -> list[str]: ...

    @abstractmethod
    def _sizes(self, below: str) -> dict[str, int]: ...

    @abstractmethod
    def _read(self, name: str) -> bytes: ...

    @abstractmethod
    def _digest(self, name: str, digest: DigestFile) -> str: ...

    @abstractmethod
    def _write(self, name: str, content: bytes) -> None: ...

    @abstractmethod
    def _publish(self, made: Path, name: str) -> None: ...

    @abstractmethod
    def _remove(self, name: str) -> None: ...

    @abstractmethod
    def _make_scratch(self) -> Path: ...

    def _request(self, call: Callable[[], Answer]) -> Answer:
        """What a call of the system or of the store's library returns."""
        return call()

    @abstractmethod
    def _cause(self, error: Exception) -> str:
        """What a message says of an error of the system or of the store's library."""

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except DatasetError:
            raise
        except self._refusal as error:
            missing = isinstance(error, FileNotFoundError) or getattr(error, "kind", None) == "not_found"
            kind = _NoSuchFileError if missing else DatasetError
            raise kind(f"{self.label}: cannot {verb} it: {self._cause(error)}") from error


class _NoSuchFileError(DatasetError):
    """The file to read or remove does not exist."""


class LocalFolder(Folder):
    """A folder on this machine; files are flushed to the disk, then renamed into place."""

    _refusal = OSError

    def __init__(self, path: str) -> None:
        self.path, self.label = Path(path), printable(path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold an exclusive lock on the folder, except on Windows and where a network file system has no locks."""
        if sys.platform == "win32":  # which opens no folder
            yield
            return
        with self._errors("write to"):
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                lock_file(descriptor, wait=False)
            except BlockingIOError:
                raise DatasetError(f"{self.label}: another process is writing to it") from None
            yield
        finally:
            os.close(descriptor)

    def _list_names(self, below: str) -> list[str]:
        return [entry.name for entry in (self.path / below).iterdir()]

    def _sizes(self, below: str) -> dict[str, int]:
        with os.scandir(self.path / below) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def _read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def _digest(self, name: str, digest: DigestFile) -> str:
        return digest(self.path / name)

    def _write(self, name: str, content: bytes) -> None:
        with self.scratch() as folder:
            made = folder / "file"
            made.write_bytes(content)
            self.publish(made, name)

    def _publish(self, made: Path, name: str) -> None:
        target = self.path / name
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        rename_over(str(made), str(target))

    def _remove(self, name: str) -> None:
        path = self.path / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
            return
        path.unlink()
        if path.parent != self.path:
            with suppress(OSError):  # there are other files in it
                path.parent.rmdir()

    def _make_scratch(self) -> Path:
        """A folder within this one, so that files are moved into place by renaming."""
        prefix = self.path / SCRATCH
        prefix.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=prefix.name, dir=prefix.parent))

    def _cause(self, error: Exception) -> str:
        return system_cause(error)


class StoreFolder(Folder):
    """A folder in an object store, by its address; one request writes an object, completely or not at all.

    Object stores have no locks: two processes that make the same shard write the same objects.
    """

    _refusal = Exception  # client libraries raise errors of their own

    def __init__(self, address: str) -> None:
        self.label = printable(address)
        with requires("remote", "object stores need fsspec"):
            from fsspec.core import url_to_fs
        with self._errors("open"):
            self._store, self._path = url_to_fs(address.rstrip("/"))
        protocols = self._store.protocol
        self._protocols = {protocols} if isinstance(protocols, str) else set(protocols)
        if self._protocols.isdisjoint({*_OBJECT_STORES, "memory"}):
            raise DatasetError(
                f"{self.label}: a data set needs a store that writes files in one step ({', '.join(_STORE_NAMES)}); "
                "write it into a folder of this machine, and copy that"
            )

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file to this machine, in bounded memory. Raises DatasetError where it cannot be read."""
        with self._errors("read"):
            self._request(lambda: self._store.get_file(self._object_path(name), str(target)))

    def _list_names(self, below: str) -> list[str]:
        self._store.invalidate_cache()
        entries = self._store.ls(self._object_path(below), detail=False)
        return [name for path in entries if (name := _last_part(path))]

    def _sizes(self, below: str) -> dict[str, int]:
        self._store.invalidate_cache()
        entries = self._store.ls(self._object_path(below), detail=True)
        return {_last_part(entry["name"]): int(entry["size"]) for entry in entries if entry["type"] == "file"}

    def _read(self, name: str) -> bytes:
        return bytes(self._store.cat_file(self._object_path(name)))

    def _digest(self, name: str, digest: DigestFile) -> str:  # noqa: ARG002 (of a file on this machine)
        return hashlib.sha256(self._read(name)).hexdigest()

    def _write(self, name: str, content: bytes) -> None:
        self._make_room(name)
        self._store.pipe_file(self._object_path(name), content)

    def _publish(self, made: Path, name: str) -> None:
        if "memory" in self._protocols:  # whose put_file makes an empty object first
            self._write(name, made.read_bytes())
        else:
            self._make_room(name)
            self._store.put_file(str(made), self._object_path(name))

    def _remove(self, name: str) -> None:
        self._store.rm(self._object_path(name), recursive=True)

    def _make_scratch(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="clipsim-"))

    def _make_room(self, name: str) -> None:
        """Create the folder of a file. Stores without folders are left out: they would create a mistyped bucket."""
        if _OBJECT_STORES.isdisjoint(self._protocols):
            self._store.makedirs(self._object_path(name).rpartition("/")[0], exist_ok=True)

    def _object_path(self, name: str) -> str:
        return f"{self._path}/{name}" if name else str(self._path)

    def _cause(self, error: Exception) -> str:
        if not isinstance(error, RequestError):
            return first_line(error, 160)
        return "no such object or bucket" if error.kind == "not_found" else first_line(error.cause, 160) + error.tried

    def _request(self, call: Callable[[], Answer]) -> Answer:
        """What a call of the store's library returns, repeated where it is throttled or not answered."""
        return make_request(call)


def _last_part(path: object) -> str:
    return str(path).rstrip("/").rpartition("/")[2]


def is_store(location: str) -> bool:
    """Whether an address is one of an object store that can hold a data set.

    >>> is_store("s3://bucket/vectors"), is_store("https://host/vectors"), is_store("vectors")
    (True, False, False)
    """
    scheme, separator, _ = location.partition("://")
    return bool(separator) and scheme.lower() in {*_OBJECT_STORES, "memory"}


def open_folder(location: str) -> Folder:
    """The folder at a path, or at an address of an object store.

    Raises MissingPackageError without fsspec, DatasetError for a store that cannot write a file in one step.
    """
    return StoreFolder(location) if "://" in location else LocalFolder(location)
