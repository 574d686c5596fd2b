"""A folder on this machine or in an object store → files that are written completely or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from clipsim.errors import DatasetError, first_line, printable, requires

# Stores whose objects are made by one request, completely or not at all, and have no folders to create.
_OBJECT_STORES = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci"))
_STORE_NAMES = ("s3", "gs", "az", "abfs", "oss", "oci")
SCRATCH = ".clipsim/tmp-"
DigestFile = Callable[[Path], str]  # a file of this machine → its SHA-256 in hex; raises OSError


class Folder(Protocol):
    """Files by their names relative to the folder, such as "img_emb/img_emb_0000.npy".

    Every method raises DatasetError, naming the folder, where the system or the store refuses.
    """

    label: str

    def list_names(self, below: str = "") -> list[str]:
        """The names of what is directly in the folder, or in a folder within it."""
        ...

    def sizes(self, below: str) -> dict[str, int]:
        """The files directly in a folder within it, and how many bytes each has."""
        ...

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        ...

    def digest(self, name: str, digest: DigestFile) -> str | None:
        """The SHA-256 of a file in hex, by `digest` where it is on this machine; None where there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file in one step."""
        ...

    def publish(self, made: Path, name: str) -> None:
        """Move a complete file from a `scratch` folder to its name, in one step."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it, if it is there."""
        ...

    def scratch(self) -> Any:
        """A context with a temporary folder on this machine, for files that are not complete yet."""
        ...

    def lock(self) -> Any:
        """A context that holds an exclusive lock, where the system has locks."""
        ...


class LocalFolder:
    """A folder on this machine."""

    def __init__(self, path: str) -> None:
        self.path, self.label = Path(path), printable(path)

    def list_names(self, below: str = "") -> list[str]:
        """The names of what is directly in the folder, or in a folder within it."""
        try:
            with self._errors("read"):
                return [entry.name for entry in (self.path / below).iterdir()]
        except _NoSuchFileError:
            return []

    def sizes(self, below: str) -> dict[str, int]:
        """The files directly in a folder within it, and how many bytes each has."""
        try:
            with self._errors("read"), os.scandir(self.path / below) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
        except _NoSuchFileError:
            return {}

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            with self._errors("read"):
                return (self.path / name).read_bytes()
        except _NoSuchFileError:
            return None

    def digest(self, name: str, digest: DigestFile) -> str | None:
        """The SHA-256 of a file in hex, by `digest`; None where there is none."""
        try:
            with self._errors("read"):
                return digest(self.path / name)
        except _NoSuchFileError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file in one step."""
        with self.scratch() as folder:
            made = folder / "file"
            with self._errors("write to"):
                made.write_bytes(content)
            self.publish(made, name)

    def publish(self, made: Path, name: str) -> None:
        """Flush a complete file to the disk, then rename it into place."""
        target = self.path / name
        with self._errors("write to"):
            with made.open("rb+") as file:
                os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            made.replace(target)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it."""
        path = self.path / name
        with suppress(_NoSuchFileError), self._errors("write to"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
                if path.parent != self.path:
                    with suppress(OSError):  # there are other files in it
                        path.parent.rmdir()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder within this one, so that files are moved into place by renaming."""
        scratch_path = self.path / SCRATCH
        with self._errors("write to"):
            scratch_path.parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=scratch_path.name, dir=scratch_path.parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold an exclusive lock, which the system releases when the process ends.

        Raises DatasetError where another process holds it.
        """
        if sys.platform == "win32":
            yield
            return
        import fcntl

        with self._errors("write to"):
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY)
        try:
            with suppress(OSError):  # some network file systems have no locks
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise DatasetError(f"{self.label}: another process is writing to it") from None
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise _NoSuchFileError(f"{self.label}: cannot {verb} it: {error.strerror}") from error
        except OSError as error:
            raise DatasetError(f"{self.label}: cannot {verb} it: {error.strerror or error}") from error


class StoreFolder:
    """A folder in an object store, by its address; one request writes an object, completely or not at all."""

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

    def list_names(self, below: str = "") -> list[str]:
        """The names of what is directly in the folder, or in a folder within it."""
        try:
            with self._errors("read"):
                self._store.invalidate_cache()
                entries = self._store.ls(self._object_path(below), detail=False)
        except _NoSuchFileError:
            return []
        return [name for path in entries if (name := _last_part(path))]

    def sizes(self, below: str) -> dict[str, int]:
        """The objects directly below a name, and how many bytes each has."""
        try:
            with self._errors("read"):
                self._store.invalidate_cache()
                entries = self._store.ls(self._object_path(below), detail=True)
        except _NoSuchFileError:
            return {}
        return {_last_part(entry["name"]): int(entry["size"]) for entry in entries if entry["type"] == "file"}

    def read(self, name: str) -> bytes | None:
        """The content of an object; None where there is none."""
        try:
            with self._errors("read"):
                return bytes(self._store.cat_file(self._object_path(name)))
        except _NoSuchFileError:
            return None

    def digest(self, name: str, digest: DigestFile) -> str | None:  # noqa: ARG002 (of a file on this machine)
        """The SHA-256 of an object in hex, which is read for it; None where there is none."""
        content = self.read(name)
        return None if content is None else hashlib.sha256(content).hexdigest()

    def write(self, name: str, content: bytes) -> None:
        """Make or replace an object."""
        with self._errors("write to"):
            self._make_room(name)
            self._store.pipe_file(self._object_path(name), content)

    def publish(self, made: Path, name: str) -> None:
        """Make or replace an object by a complete file."""
        with self._errors("write to"):
            self._make_room(name)
            if "memory" in self._protocols:  # whose put_file makes an empty object first
                self._store.pipe_file(self._object_path(name), made.read_bytes())
            else:
                self._store.put_file(str(made), self._object_path(name))

    def remove(self, name: str) -> None:
        """Remove an object, or all that are below a name."""
        with suppress(_NoSuchFileError), self._errors("write to"):
            self._store.rm(self._object_path(name), recursive=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder on this machine, from which complete files are uploaded."""
        with self._errors("write to"):
            folder = Path(tempfile.mkdtemp(prefix="clipsim-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Do nothing: object stores have no locks. Two processes that make the same shard write the same objects."""
        yield

    def _make_room(self, name: str) -> None:
        """Create the folder of a file. Stores without folders are left out: they would create a mistyped bucket."""
        if _OBJECT_STORES.isdisjoint(self._protocols):
            self._store.makedirs(self._object_path(name).rpartition("/")[0], exist_ok=True)

    def _object_path(self, name: str) -> str:
        return f"{self._path}/{name}" if name else str(self._path)

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise _NoSuchFileError(f"{self.label}: cannot {verb} it: no such object or bucket") from error
        except Exception as error:  # client libraries raise errors of their own
            raise DatasetError(f"{self.label}: cannot {verb} it: {first_line(error, 160)}") from error


class _NoSuchFileError(DatasetError):
    """The file to read or remove does not exist."""


def _last_part(path: object) -> str:
    return str(path).rstrip("/").rpartition("/")[2]


def open_folder(location: str) -> Folder:
    """The folder at a path, or at an address of an object store.

    Raises MissingPackageError without fsspec, DatasetError for a store that cannot write a file in one step.
    """
    return StoreFolder(location) if "://" in location else LocalFolder(location)
