"""Addresses of object stores and web servers → listings and streams, through fsspec; local paths are opened too."""

from __future__ import annotations

import io
import os
import posixpath
import re
from collections.abc import Callable, Iterator
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
from clipsim.inputs.paths import has_image_suffix, is_left_out
from clipsim.inputs.shards import choose_shards, leave_out_sidecars
from clipsim.inputs.sources import Source, open_regular

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]+://")
_WEB = re.compile(r"https?://", re.IGNORECASE)
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_TAR = re.compile(r"\.tar(\.(gz|bz2|xz|zst))?|\.tgz", re.IGNORECASE)
_PATTERN = re.compile(r"[*\[]")  # a question mark begins a query
DEFAULT_TIMEOUT = 60  # seconds
_FLAT_STORES = frozenset(
    ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
)  # one listing has all that is below a folder
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

    A pattern without a match, and what does not exist, is given back as it is, so that opening it says why. Web servers
    have no listings, and what a chain of filesystems lists has no address of its own. Raises TransientError, naming the
    address, where a listing is refused or fails, since a run that went on would leave its images out, and
    MissingPackageError without fsspec.
    """
    filesystem_of = _filesystem_of()
    names: list[str] = []
    if "::" not in url and not _WEB.match(url) and (_PATTERN.search(url) or not file_suffix(url)):
        try:
            filesystem, path = _request("list", lambda: filesystem_of(url))
            names = _match(filesystem, path) if _PATTERN.search(path) else _find_below(filesystem, path)
            names = [str(filesystem.unstrip_protocol(name)) for name in sorted(names)]
        except TransientError as error:
            raise TransientError(f"{printable(url)}: {error}", kind=error.kind) from error
        except ImageError:  # opening it later says what is wrong
            names = []
    yield from names or [url]


def _find_below(filesystem: Any, folder: str) -> list[str]:
    """The images below a folder of a store, or the shards; nothing where there is no such folder."""
    if _FLAT_STORES.isdisjoint(_protocols(filesystem)):
        names = _list_below(filesystem, folder)
    else:
        names = _request("list", lambda: filesystem.find(folder))
    below = [name for name in names if not _is_hidden(name, folder)]
    return list(filter(has_image_suffix, below)) or choose_shards(below)


def _match(filesystem: Any, pattern: str) -> list[str]:
    """The files whose names match a pattern, of a store's own form of paths, without hidden ones."""
    root = pattern[: cast("re.Match[str]", _PATTERN.search(pattern)).start()].rpartition("/")[0]
    depth = None if "**" in pattern else pattern[len(root) :].strip("/").count("/") + 1
    if depth is None and not _FLAT_STORES.isdisjoint(_protocols(filesystem)):
        names = _request("list", lambda: filesystem.find(root))
    else:
        names = _list_below(filesystem, root, depth)
    from fsspec.utils import glob_translate

    matches = re.compile(glob_translate(pattern)).match
    return leave_out_sidecars([name for name in names if matches(name) and not name.rpartition("/")[2].startswith(".")])


def _list_below(filesystem: Any, folder: str, depth: int | None = None, *, listed: bool = False) -> Iterator[str]:
    """The files below a folder, up to some levels.

    Raises ImageError where one of the folders is refused; fsspec's own walk would leave it out.
    """
    try:
        entries = _request("list", lambda: filesystem.ls(folder, detail=True))
    except ImageError as error:
        if listed and error.kind == "not_found":
            raise TransientError(f"'{printable(folder)}' was listed, and is not found") from error
        raise
    for entry in entries:
        name = str(entry["name"]).rstrip("/")
        if entry["type"] != "directory":
            yield name
        elif name != folder.rstrip("/") and depth != 1:
            yield from _list_below(filesystem, name, None if depth is None else depth - 1, listed=True)


def _protocols(filesystem: Any) -> set[str]:
    protocols = filesystem.protocol
    return {protocols} if isinstance(protocols, str) else set(protocols)


def open_location(name: str, *, sequential: bool = False) -> BinaryIO:
    """Open a path or an address as a seekable stream of bytes.

    Of an address, only what is asked for is fetched, a request a read; with `sequential`, large blocks ahead. Raises
    ImageError, naming the cause but not the name, and MissingPackageError for an address without fsspec.
    """
    if not is_url(name):
        return open_regular(as_path(name))
    filesystem_of = _filesystem_of()
    filesystem, path = _request("open", lambda: filesystem_of(name))
    is_web = _WEB.match(name) is not None

    def open_stream() -> tuple[Any, int]:
        opened = filesystem.open(path, "rb", cache_type="readahead" if sequential else "none")
        return opened, opened.seek(0, os.SEEK_END)

    try:
        opened, size = _request("open", open_stream)
    except ImageError as error:
        if error.kind == "not_found" and not is_web:
            _confirm_missing(filesystem, path)
        raise
    window = Window(cast(BinaryIO, _RepeatedReads(opened)), 0, size)
    return io.BufferedReader(window) if sequential else cast(BinaryIO, window)


def _confirm_missing(filesystem: Any, path: str) -> None:
    """Ask a store once more for what it did not find. Raises TransientError where it has it, or does not say."""
    filesystem.invalidate_cache()
    try:
        _request("find", lambda: filesystem.info(path))
    except ImageError as error:
        if error.kind == "not_found":
            return
        raise
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

        return _request("read", read)

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


def _request(verb: str, call: Callable[[], Answer]) -> Answer:
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
