"""Addresses of object stores and web servers → listings and streams, through fsspec; local paths are opened too."""

from __future__ import annotations

import io
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes

from clipsim.errors import ImageError, MissingPackageError, TransientError, UsageError, first_line, printable, requires
from clipsim.inputs.paths import has_image_suffix, is_left_out
from clipsim.inputs.shards import choose_shards, leave_out_sidecars
from clipsim.inputs.sources import Source, open_regular, reading_error

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]+://")
_WEB = re.compile(r"https?://", re.IGNORECASE)
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_TAR = re.compile(r"\.tar(\.(gz|bz2|xz|zst))?|\.tgz", re.IGNORECASE)
_PATTERN = re.compile(r"[*\[]")  # a question mark begins a query
DEFAULT_TIMEOUT = 60  # seconds
# Names in the families of errors of aiohttp, asyncio, botocore and fsspec.
_PASSING = frozenset(
    (
        "TimeoutError",
        "ConnectionError",
        "ClientConnectionError",
        "ClientPayloadError",
        "HTTPClientError",
        "FSTimeoutError",
    )
)
_FILE_URL = re.compile(r"(file|local)://", re.IGNORECASE)
_LOCAL_HOST = re.compile(r"localhost(?=/)", re.IGNORECASE)


def is_url(name: str) -> bool:
    r"""Whether a name is an address rather than a path; `file://` addresses are paths, see `as_path`.

    >>> is_url("s3://bucket/a.jpg"), is_url(r"C:\a.jpg"), is_url("file:///a.jpg")
    (True, False, False)
    """
    return _URL.match(name) is not None and _FILE_URL.match(name) is None


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


def find_urls(url: str) -> Iterator[str]:
    """What an address stands for: a pattern its matches, a folder the images below it, sorted; else itself.

    A folder without images stands for the shards below it, see `choose_shards`.

    A pattern without a match, and whatever cannot be listed, is given back as it is, so that opening it says why.
    Web servers have no listings, and what a chain of filesystems lists has no address of its own. Raises
    MissingPackageError without fsspec.
    """
    filesystem_of = _filesystem_of()
    names: list[str] = []
    if "::" not in url and not _WEB.match(url) and (_PATTERN.search(url) or not file_suffix(url)):
        with suppress(Exception):  # of any client library; opening it later says what is wrong
            filesystem, path = filesystem_of(url)
            if _PATTERN.search(path):
                matches = (name for name in filesystem.glob(path) if not name.rpartition("/")[2].startswith("."))
                names = leave_out_sidecars(list(matches))
            elif filesystem.isdir(path):
                below = [name for name in filesystem.find(path) if not _is_hidden(name, path)]
                names = list(filter(has_image_suffix, below)) or choose_shards(below)
            names = [str(filesystem.unstrip_protocol(name)) for name in sorted(names)]
    yield from names or [url]


def open_location(name: str, *, sequential: bool = False) -> BinaryIO:
    """Open a path or an address as a seekable stream of bytes.

    Of an address, only what is asked for is fetched, a request a read; with `sequential`, large blocks ahead. Raises
    ImageError, naming the cause but not the name, and MissingPackageError for an address without fsspec.
    """
    if not is_url(name):
        return open_regular(as_path(name))
    filesystem_of = _filesystem_of()
    with _translated("open"):
        filesystem, path = filesystem_of(name)
        opened = filesystem.open(path, "rb", cache_type="readahead" if sequential else "none")
        size = opened.seek(0, os.SEEK_END)
    window = Window(opened, 0, size)
    return io.BufferedReader(window) if sequential else cast(BinaryIO, window)


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
        return open_location(self.name)


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
        with _translated("read"):
            self._stream.seek(self._start + self._position)
            data = self._stream.read(count)
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


@contextmanager
def _translated(verb: str) -> Iterator[None]:
    """Turn whatever a client library raises into one ImageError."""
    try:
        yield
    except (ImageError, MissingPackageError, UsageError):
        raise
    except Exception as error:
        cause: BaseException = error
        while isinstance(cause, FileNotFoundError) and cause.__cause__ is not None:  # fsspec's, for whatever happened
            cause = cause.__cause__
        status = getattr(cause, "status", None)
        if isinstance(cause, FileNotFoundError) or status in (404, 410):
            raise ImageError("no such file") from error
        message = first_line(cause)
        kind = "" if isinstance(cause, ImportError) else f"{type(cause).__name__}: "
        if _is_transient(cause, status):
            raise TransientError(f"cannot {verb} it: {kind}{message}; to be tried again") from error
        raise ImageError(f"cannot {verb} it: {kind}{message}") from error


def _is_transient(error: BaseException, status: object) -> bool:
    """Whether a client library's error says that a server is down, busy or does not answer."""
    if isinstance(status, int) and status:
        return status >= 500 or status in (408, 425, 429)
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & _PASSING) or isinstance(reading_error("open", error), TransientError)


def _filesystem_of() -> Callable[[str], tuple[Any, str]]:
    with requires("remote", "addresses (s3://, https://, …) need fsspec"):
        from fsspec.core import url_to_fs

    def find(url: str) -> tuple[Any, str]:
        filesystem_and_path: tuple[Any, str] = url_to_fs(url, **(_web_options() if _WEB.match(url) else {}))
        return filesystem_and_path

    return find


def _web_options() -> dict[str, Any]:
    """The limits of the time that a web server may take to answer, and to send the next bytes."""
    try:
        from aiohttp import ClientTimeout
    except ImportError:
        return {}  # fsspec says what is missing
    seconds = read_timeout()
    return {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)}}


def read_timeout() -> float:
    """The seconds that a server may be silent: `CLIPSIM_TIMEOUT`, 60 unless set. Raises UsageError for no number."""
    text = os.environ.get("CLIPSIM_TIMEOUT") or str(DEFAULT_TIMEOUT)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UsageError(f"CLIPSIM_TIMEOUT is a number of seconds, not '{printable(text, 40)}'")
    return seconds


def _is_hidden(name: str, folder: str) -> bool:
    """Whether the name of a file below a folder has a hidden part or a system folder in it."""
    below = name[len(folder.rstrip("/")) :]
    return any(map(is_left_out, below.split("/")))


def file_suffix(name: str) -> str:
    """The suffix of a path or address in lower case, without what a query adds.

    >>> file_suffix("data/part.TAR"), file_suffix("https://host/t.csv?key=1")
    ('.tar', '.csv')
    """
    plain = name.partition("?")[0].partition("#")[0] if is_url(name) else name
    return posixpath.splitext(plain)[1].lower()


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
