"""An object store in memory with the calls of s3fs that list pages, which counts its requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

PAGE_KEYS = 1000


class Requests:
    """The requests that were made: the prefixes of pages, the objects asked for their size, ranges with their sizes."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.sizes: list[str] = []
        self.ranges: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        self.before_read: Callable[[str], None] = lambda _path: None

    def read(self, path: str, data: bytes) -> bytes:
        """Count a request for a range."""
        self.before_read(path)
        with self._lock:
            self.ranges.append((path, len(data)))
        return data

    @property
    def bytes(self) -> int:
        """How many bytes were read."""
        return sum(size for _, size in self.ranges)


class PagedStore(AbstractFileSystem):  # type: ignore[misc]
    """The store, `s3://`. `make_keys`, where it is set, gives the sorted keys of every bucket."""

    protocol = ("s3", "s3a")
    objects: ClassVar[dict[str, bytes]] = {}
    requests = Requests()
    make_keys: ClassVar[Any] = None

    def split_path(self, path: str) -> tuple[str, str, None]:
        """Bucket, key and version."""
        bucket, _, key = self._strip_protocol(path).partition("/")
        return bucket, key, None

    def call_s3(self, method: str, **arguments: Any) -> dict[str, Any]:
        """A page of a listing."""
        assert method == "list_objects_v2"
        prefix, delimiter = arguments["Prefix"], arguments.get("Delimiter")
        self.requests.pages.append(prefix)
        contents, prefixes = list[dict[str, Any]](), dict[str, None]()
        keys = self._keys(arguments)
        for key in keys:
            below, slash, _ = key[len(prefix) :].partition("/")
            if delimiter and slash:
                prefixes[f"{prefix}{below}/"] = None
            else:
                contents.append({"Key": key, "Size": 1, "ETag": '"0123456789abcdef"'})
            if len(contents) == PAGE_KEYS:
                break
        page: dict[str, Any] = {"Contents": contents, "IsTruncated": len(contents) == PAGE_KEYS}
        if prefixes:
            page["CommonPrefixes"] = [{"Prefix": one} for one in prefixes]
        if page["IsTruncated"]:
            last = contents[-1]["Key"]
            page["NextContinuationToken"] = (last, keys) if self.make_keys else last
        return page

    def _keys(self, arguments: dict[str, Any]) -> Iterator[str]:
        """The keys of a bucket with a prefix, from a token on."""
        token: Any = arguments.get("ContinuationToken")
        if (make_keys := type(self).make_keys) is not None:
            return iter(token[1] if token else make_keys())
        bucket = f"{arguments['Bucket']}/"
        keys = sorted(path.removeprefix(bucket) for path in self.objects if path.startswith(bucket))
        return (key for key in keys if key.startswith(arguments["Prefix"]) and key > (token or ""))

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """The size of an object."""
        path = self._strip_protocol(path)
        self.requests.sizes.append(path)
        if any(other.startswith(f"{path}/") for other in self.objects):
            return {"name": path, "size": 0, "type": "directory"}
        if path not in self.objects:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(self.objects[path]), "type": "file"}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """A part of an object."""
        path = self._strip_protocol(path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.requests.read(path, self.objects[path][start:end])

    def _open(self, path: str, mode: str = "rb", **options: Any) -> PagedFile:
        return PagedFile(self, path, mode, cache_type=options.get("cache_type", "none"))


class PagedFile(AbstractBufferedFile):  # type: ignore[misc]
    """An object that is read by ranges."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = self.fs.cat_file(self.path, start, end)
        return data


@pytest.fixture
def paged_store(monkeypatch: pytest.MonkeyPatch) -> type[PagedStore]:
    """The store `s3://`, which is empty."""
    fsspec.register_implementation("s3", PagedStore, clobber=True)
    for name, value in (("objects", {}), ("requests", Requests()), ("make_keys", None)):
        monkeypatch.setattr(PagedStore, name, value)
    return PagedStore
