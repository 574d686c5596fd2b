"""Addresses of object stores and web servers → streams, through fsspec; local paths are opened too."""

from __future__ import annotations

import io
import os
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes

from clipsim.errors import (
    TRANSIENT_KINDS,
    ImageError,
    TransientError,
    UsageError,
    first_line,
    printable,
    requires,
)
from clipsim.files import Answer, RequestError, find_kind, make_request
from clipsim.inputs.sources import EMPTY_FOLDER, Source, open_regular

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]+://")
_WEB = re.compile(r"https?://", re.IGNORECASE)
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_VERSION = re.compile(r"(\?versionid=[^/]*|#\d{10,})\Z", re.IGNORECASE)  # other `?` and `#` are characters of a key
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_TAR = re.compile(r"\.tar(\.(gz|bz2|xz|zst))?|\.tgz", re.IGNORECASE)
DEFAULT_TIMEOUT = 60  # seconds
# Stores of which one listing has all that is below a folder, and whose client libraries raise an error for an object
# that is cut short.
OBJECT_STORES = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"))
WHOLE_OBJECT_BYTES = 32_000_000
_FILE_URL = re.compile(r"(file|local)://", re.IGNORECASE)
_LOCAL_HOST = re.compile(r"localhost(?=/)", re.IGNORECASE)


def is_url(name: str) -> bool:
    r"""Whether a name is an address rather than a path; `file://` addresses are paths, see `as_path`.

    >>> is_url("s3://bucket/a.jpg"), is_url(r"C:\a.jpg"), is_url("file:///a.jpg")
    (True, False, False)
    """
    return _URL.match(name) is not None and _FILE_URL.match(name) is None


def is_web(url: str) -> bool:
    """Whether an address is one of a web server."""
    return _WEB.match(url) is not None


def as_path(name: str) -> str:
    """A `file://` address as the path it stands for, its percent-encoded bytes decoded; other names as they are.

    >>> as_path("file:///data/a%20b.jpg"), as_path("file://localhost/data/a.jpg"), as_path("100%25.jpg")
    ('/data/a b.jpg', '/data/a.jpg', '100%25.jpg')
    """
    if (scheme := _FILE_URL.match(name)) is None:
        return name
    path = name[scheme.end() :]
    if scheme[1].lower() == "local":  # fsspec's, which encodes nothing
        return path
    path = os.fsdecode(unquote_to_bytes(os.fsencode(_LOCAL_HOST.sub("", path, count=1))))
    return path[1:] if os.path.splitdrive(path[1:])[0] else path  # file:///C:/a.jpg


def open_location(name: str, *, sequential: bool = False) -> BinaryIO:
    """Open a path or an address as a seekable stream of bytes.

    Of an address, only what is asked for is fetched, a request a read; with `sequential`, large blocks ahead. Raises
    ImageError, naming the cause but not the name, and MissingPackageError for an address without fsspec.
    """
    if not is_url(name):
        return open_regular(as_path(name))
    filesystem, path = find_filesystem("open", name)

    def open_stream() -> tuple[Any, int]:
        opened = filesystem.open(path, "rb", cache_type="readahead" if sequential else "none")
        return opened, opened.seek(0, os.SEEK_END)

    try:
        opened, size = request("open", open_stream)
    except ImageError as error:
        if error.kind == "not_found" and not is_web(name):
            _confirm_missing(filesystem, path)
        raise
    window = Window(cast(BinaryIO, _RepeatedReads(opened)), 0, size)
    return io.BufferedReader(window) if sequential else cast(BinaryIO, window)


def open_part(name: str, offset: int, size: int) -> BinaryIO:
    """`size` bytes of a path or an address as a stream, for an address with one request for each read.

    Raises ImageError, naming the cause but not the name, and MissingPackageError for an address without fsspec.
    """
    stream = Ranges(name) if is_url(name) else open_regular(as_path(name))
    return cast(BinaryIO, Window(cast(BinaryIO, stream), offset, size))


def open_object(url: str) -> BinaryIO:
    """Open an image at an address: one of an object store with one request, if it has at most `WHOLE_OBJECT_BYTES`.

    Raises ImageError as `open_location` does.
    """
    filesystem, path = find_filesystem("open", url)
    if OBJECT_STORES.isdisjoint(find_protocols(filesystem)):
        return open_location(url)
    try:
        data = bytes(request("read", lambda: filesystem.cat_file(path, start=0, end=WHOLE_OBJECT_BYTES + 1)))
    except ImageError as error:
        if error.kind == "not_found":
            _confirm_missing(filesystem, path)
        if error.kind != "bad_image":  # a store refuses a range of an empty object
            raise
        return open_location(url)
    return io.BytesIO(data) if len(data) <= WHOLE_OBJECT_BYTES else open_location(url)


def find_protocols(filesystem: Any) -> set[str]:
    """The schemes of a file system of fsspec."""
    protocols = filesystem.protocol
    return {protocols} if isinstance(protocols, str) else set(protocols)


class Ranges:
    """An object of a store whose parts are read with one request each; nothing is asked of it before."""

    def __init__(self, url: str) -> None:
        self._filesystem, self._path = find_filesystem("open", url)
        self._confirms, self._position = not is_web(url), 0

    def seek(self, position: int) -> None:
        """Set the position."""
        self._position = position

    def read(self, count: int) -> bytes:
        """The next `count` bytes, all of them. Raises ImageError."""

        def read() -> bytes:
            data = bytes(self._filesystem.cat_file(self._path, start=self._position, end=self._position + count))
            if len(data) != count:
                raise ConnectionError(f"{len(data):,} of {count:,} bytes were sent")
            return data

        try:
            return request("read", read)
        except ImageError as error:
            if error.kind == "not_found" and self._confirms:
                _confirm_missing(self._filesystem, self._path)
            raise

    def close(self) -> None:
        """Nothing: there is no connection."""


def _confirm_missing(filesystem: Any, path: str) -> None:
    """Ask a store once more for what it did not find.

    Raises TransientError where it has it, or does not say, and ImageError for a folder.
    """
    filesystem.invalidate_cache()
    try:
        answer = request("find", lambda: filesystem.info(path))
    except ImageError as error:
        if error.kind == "not_found":
            return
        raise
    if answer.get("type") == "directory":
        raise ImageError(EMPTY_FOLDER, kind="not_found")
    raise TransientError("not found when it was opened, although the store has it; to be tried again")


class _RepeatedReads:
    """A stream of a store, whose reads are made again where they fail; a part that is cut short is a failure."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._position = stream, 0

    def seek(self, position: int) -> None:
        """Set the position."""
        self._position = position

    def read(self, count: int) -> bytes:
        """The next `count` bytes, all of them. Raises ImageError."""

        def read() -> bytes:
            self._stream.seek(self._position)
            data = bytes(self._stream.read(count))
            if len(data) < count:
                raise ConnectionError(f"{len(data):,} of {count:,} bytes were sent")
            return data

        return request("read", read)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def join_location(base: str, name: str) -> str:
    """A path or address as a table at `base` means it: relative to the table's folder.

    >>> join_location("data/table.csv", "images/a.jpg"), join_location("s3://bucket/t.csv", "a.jpg")
    ('data/images/a.jpg', 's3://bucket/a.jpg')
    >>> join_location("data/table.csv", "/images/a.jpg"), join_location("data/table.csv", "s3://bucket/a.jpg")
    ('/images/a.jpg', 's3://bucket/a.jpg')
    """
    if is_url(name) or _FILE_URL.match(name):
        return name
    if is_url(base):
        return f"{base.rpartition('/')[0]}/{name.lstrip('/')}"
    return os.path.join(os.path.dirname(as_path(base)), name)  # noqa: PTH118, PTH120 (keeps names without a leading ./)


@dataclass(frozen=True, slots=True)
class UrlSource(Source):
    """An image at an address; `name` is the address."""

    def open(self) -> BinaryIO:
        """Open it. Raises ImageError, naming the cause but not the address."""
        return open_object(self.name)


class Window(io.RawIOBase):
    """`size` bytes of another stream, from `start` on, as a stream that owns the other; nothing is read ahead.

    Any failure of the other stream is raised as an ImageError.
    """

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream, self._start, self._size = stream, start, size
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in the window."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position, as in any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, fewer at the end of the window."""
        left = max(0, self._size - self._position)
        count = left if size is None or size < 0 else min(size, left)
        if not count:
            return b""
        try:
            self._stream.seek(self._start + self._position)
            data = self._stream.read(count)
        except ImageError:
            raise
        except Exception as error:
            raise _translate("read", RequestError(find_kind(error), 1, error)) from error
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        """The rest."""
        return self.read()

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or the beginning of it."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the other stream too."""
        if not self.closed:
            self._stream.close()
        super().close()


def request(verb: str, call: Callable[[], Answer]) -> Answer:
    """What a call of a client library returns; whatever it raises becomes one ImageError, with its kind."""
    try:
        return make_request(call)
    except ImportError as error:  # its words name the package
        raise TransientError(f"cannot {verb} it: {first_line(error)}") from error
    except RequestError as error:
        raise _translate(verb, error) from error


def _translate(verb: str, error: RequestError) -> ImageError:
    """The ImageError for a request that failed, with its kind."""
    if error.kind == "not_found":
        return ImageError("no such file", kind=error.kind)
    message = f"cannot {verb} it: {type(error.cause).__name__}: {first_line(error.cause)}{error.tried}"
    if error.kind in TRANSIENT_KINDS:
        return TransientError(f"{message}; to be tried again", kind=error.kind)
    return ImageError(message, kind=error.kind)


def find_filesystem(verb: str, url: str) -> tuple[Any, str]:
    """The file system of fsspec for an address, and the path within it.

    Raises ImageError, which names what was to be done by the `verb`, and MissingPackageError without fsspec.
    """
    import_fsspec()
    from fsspec.core import url_to_fs

    filesystem_and_path: tuple[Any, str] = request(
        verb, lambda: url_to_fs(url, **(_web_options() if is_web(url) else {}))
    )
    return filesystem_and_path


def import_fsspec() -> None:
    """Raise MissingPackageError where fsspec is not installed."""
    with requires("remote", "addresses (s3://, https://, …) need fsspec"):
        import fsspec.core  # noqa: F401


def _web_options() -> dict[str, Any]:
    """The limits of the time that a web server may take to answer, and to send the next bytes."""
    try:
        from aiohttp import ClientTimeout
    except ImportError:
        return {}  # fsspec says what is missing
    seconds = read_timeout()
    return {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)}}


def read_timeout(default: float = DEFAULT_TIMEOUT) -> float:
    """The seconds that a server may be silent: `CLIPSIM_TIMEOUT`, where it is set. Raises UsageError for no number."""
    text = os.environ.get("CLIPSIM_TIMEOUT") or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UsageError(f"CLIPSIM_TIMEOUT is a number of seconds, not '{printable(text, 40)}'")
    return seconds


def file_suffix(name: str) -> str:
    """The suffix of a path or address in lower case, without what a query or the version of an object adds.

    >>> file_suffix("data/part.TAR"), file_suffix("https://host/t.csv?key=1"), file_suffix("s3://bucket/#1/why?.tar")
    ('.tar', '.csv', '.tar')
    """
    if is_url(name):
        name = (_QUERY if is_web(name) or "::" in name else _VERSION).sub("", name)
    return posixpath.splitext(name)[1].lower()


def is_table(name: str) -> bool:
    """Whether a path or address is named like a table.

    >>> is_table("data/images.CSV"), is_table("data/images.jpg")
    (True, False)
    """
    return file_suffix(name) in TABLE_SUFFIXES


def is_tar(name: str) -> bool:
    """Whether a path or address is named like a tar, or like a compressed one, whose error says so.

    >>> is_tar("data/part.tar"), is_tar("data/part.tar.gz"), is_tar("data/part.gz")
    (True, True, False)
    """
    suffix = file_suffix(name)
    return _TAR.fullmatch(suffix) is not None or _TAR.fullmatch(file_suffix(name[: -len(suffix)]) + suffix) is not None
