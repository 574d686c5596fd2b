"""A path → the SHA-256 of its file and its `FileStamp`; names as they are kept; renames, copies and locks of files.

What differs between systems is asked here: how a file is renamed, locked and named; and what stores and web servers
answer when a request fails: `make_request` makes one, again where that may help, and finds the kind of its failure.
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
import re
import shutil
import stat
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from clipsim.errors import ClipsimError

CHUNK_BYTES = 1 << 20
_FILE_ADDRESS = "file://"
# How Python carries the bytes of a name that is not UTF-8; on Windows, those parts of one that are not UTF-16.
_SURROGATES = re.compile(r"[\ud800-\udfff]" if sys.platform == "win32" else r"[\udc80-\udcff]")
# A file may change twice within one tick of the clock that stamps it. FAT's ticks are 2 s.
CLOCK_TICK = 2_000_000_000  # nanoseconds
BINARY: int = getattr(os, "O_BINARY", 0)  # of `os.open`: on Windows, text would be given other line ends
# What `os.link` raises on file systems without hard links, such as FAT, and for a file that has too many.
_NO_HARD_LINK = frozenset((errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK))
RETRY_SECONDS = (0.01, 0.05, 0.2, 0.5)  # for which Windows is asked again, while a virus scanner has a file open


def current_folder() -> str | None:
    """The folder that relative names start from now; None where it has been removed."""
    with suppress(OSError):
        return os.getcwd()
    return None


def escape_name(name: str) -> str:
    r"""A name that is not UTF-8 as a `file://` address, whose bytes are percent-encoded; others as they are.

    Also a name that begins like such an address, so that `unescape_name` always gives the very name back.

    >>> escape_name("caf\udce9 1.jpg"), escape_name("café.jpg"), unescape_name("file://caf%E9%201.jpg")
    ('file://caf%E9%201.jpg', 'café.jpg', 'caf\udce9 1.jpg')
    """
    if not (_SURROGATES.search(name) or name.startswith(_FILE_ADDRESS)):
        return name
    return _FILE_ADDRESS + quote_from_bytes(os.fsencode(name))


def unescape_name(name: str) -> str:
    """The name that `escape_name` was given."""
    if not name.startswith(_FILE_ADDRESS):
        return name
    return os.fsdecode(unquote_to_bytes(name.removeprefix(_FILE_ADDRESS)))


def fold_name(name: str) -> str:
    """What two names of files have in common where a file system takes the one for the other.

    Windows and macOS take capital letters for small ones, macOS also an accented letter of two code points for one.

    >>> fold_name("Caf\u00e9.JPG") == fold_name("cafe\u0301.jpg")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


class FileStamp(NamedTuple):
    """A file's size, times (ns), inode and device: where they are equal, the file has not changed."""

    size: int
    mtime: int
    ctime: int  # the last write, even where mtime was set to another time afterwards
    inode: int
    device: int

    @classmethod
    def of(cls, stat_result: os.stat_result) -> FileStamp:
        """The stamp of a file from what `os.stat` returned."""
        return cls(
            stat_result.st_size,
            stat_result.st_mtime_ns,
            stat_result.st_ctime_ns,
            stat_result.st_ino,
            stat_result.st_dev,
        )

    def is_settled(self, when: int) -> bool:
        """Whether the last change was so long before `when` (ns) that a later change cannot have the same times."""
        return max(self.mtime, self.ctime) + CLOCK_TICK < when


def write_atomically(path: Path, text: str) -> None:
    """Make or replace a text file in one step: written beside it in UTF-8, then renamed. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        rename_over(str(draft), str(path))
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise


def digest_stream(file: BinaryIO) -> str:
    """The SHA-256 of the rest of an open file, in hex. Raises OSError."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def digest_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hex. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        return digest_stream(file)


def digest_files(paths: Iterable[Path]) -> dict[Path, str]:
    """The SHA-256 of each file's content, in hex. Raises OSError."""
    return {path: digest_file(path) for path in paths}


def sync_folder(folder: str) -> None:
    """Make renames in a folder outlast a power failure, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def rename_over(source: str, target: str) -> None:
    """Rename a file or folder in one step; a file takes the place of an earlier one. Raises OSError.

    Windows refuses it for what is open elsewhere, and is asked again for a moment.
    """
    for seconds in RETRY_SECONDS if sys.platform == "win32" else ():
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(seconds)
    os.replace(source, target)


def rename_new(source: str, target: str) -> None:
    """Rename a file within a file system, never over another one.

    At every moment the file has one of both names, or both. Raises FileExistsError where the target exists, OSError
    with `errno.EXDEV` for another file system.
    """
    if sys.platform == "win32":  # where a file that is open keeps each of its names, and `os.rename` never replaces
        os.rename(source, target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINK:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # an empty file claims the name
        try:
            os.replace(source, target)
        except OSError:
            os.unlink(target)
            raise
    else:
        sync_folder(os.path.dirname(target))
        try:
            os.unlink(source)
        except OSError:
            os.unlink(target)
            raise


def remove_file(path: str) -> None:
    """Remove a file; on Windows also one that is marked as read-only, as the copy of such a file is. Raises OSError."""
    try:
        os.unlink(path)
    except PermissionError:
        if sys.platform != "win32":
            raise
        os.chmod(path, stat.S_IWRITE)
        os.unlink(path)


def copy_new(source: str, draft: str) -> str:
    """Copy a file's content, mode and times to a new file; the SHA-256 of the content. Nothing is left on OSError.

    Raises FileExistsError where the draft exists.
    """
    digest = hashlib.sha256()
    with open(source, "rb", buffering=0) as file, _new_file(draft) as copy:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            write_all(copy.fileno(), chunk)
    try:
        with suppress(PermissionError):  # of file systems without modes, such as FAT
            shutil.copystat(source, draft)  # of a closed file: closing it sets its time on Windows
    except OSError:
        os.unlink(draft)
        raise
    return digest.hexdigest()


def write_new(draft: str, content: bytes) -> None:
    """Write a new file, on the disk when this returns. Nothing is left on OSError.

    Raises FileExistsError where the draft exists.
    """
    with _new_file(draft) as file:
        write_all(file.fileno(), content)


@contextmanager
def _new_file(draft: str) -> Iterator[BinaryIO]:
    """A new file, on the disk at the end of the block; where that fails, it is removed once it is closed."""
    with open(draft, "xb", buffering=0) as file:
        try:
            yield file
            os.fsync(file.fileno())
        except OSError:
            file.close()  # Windows removes no open file
            os.unlink(draft)
            raise


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte to a descriptor. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def lock_file(descriptor: int, *, wait: bool) -> None:
    """Take the exclusive lock of an open file or folder, which the system releases when it is closed.

    It does nothing on Windows and on file systems without locks. Raises BlockingIOError where another process has the
    lock, unless it is to `wait` for it.
    """
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:  # a network file system without locks
        return


REQUEST_WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before a request is made again, each times a number from 0.5 to 1.5
MAX_FAILED_REQUESTS = 32  # in a row: from then on each request is made once, until one succeeds
_REPEATED_KINDS = frozenset(("throttled", "timed_out", "unavailable"))  # of the failures that may pass within a run
_DENIED, _NOT_FOUND = frozenset((400, 401, 402, 403, 407, 451)), frozenset((404, 410))
_THROTTLED, _TIMED_OUT = frozenset((425, 429, 503)), frozenset((408, 504))
# The codes of S3 and its like, which say more than the status: an expired token has status 400.
_CODES = {
    **dict.fromkeys(
        ("SlowDown", "ServiceUnavailable", "Throttling", "TooManyRequests", "RequestLimitExceeded"), "throttled"
    ),
    **dict.fromkeys(("RequestTimeout",), "timed_out"),
    **dict.fromkeys(("NoSuchKey", "NoSuchBucket"), "not_found"),
    "InvalidRange": "bad_image",
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AccessDenied"), "denied"),
}
# The names of errors of aiohttp, asyncio, botocore, fsspec, google-auth and azure-core.
_ERROR_NAMES = {
    **dict.fromkeys(("TimeoutError", "FSTimeoutError", "ReadTimeoutError", "ConnectTimeoutError"), "timed_out"),
    **dict.fromkeys(
        (
            "NoCredentialsError",
            "PartialCredentialsError",
            "CredentialRetrievalError",
            "TokenRetrievalError",
            "SSOTokenLoadError",
            "UnauthorizedSSOTokenError",
            "RefreshError",
            "DefaultCredentialsError",
            "ClientAuthenticationError",
        ),
        "denied",
    ),
}
Answer = TypeVar("Answer")


class RequestError(Exception):
    """A request to a store or web server failed: `kind` as of an ImageError, and how many times it was made.

    Its `__cause__` is the error of the client library.
    """

    def __init__(self, kind: str, attempts: int, cause: Exception) -> None:
        super().__init__(kind, attempts, cause)
        self.kind, self.attempts = kind, attempts
        self.cause = find_cause(cause)

    @property
    def tried(self) -> str:
        """How often it was made, as the end of a message; empty for once."""
        return f"; tried {self.attempts} times" if self.attempts > 1 else ""


class _Failures:
    """The number of requests of this process that failed in a row, although they were repeated."""

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0

    def add(self) -> None:
        with self._lock:
            self._count += 1

    def clear(self) -> None:
        if self._count:  # read without the lock: almost every request succeeds
            with self._lock:
                self._count = 0

    @property
    def too_many(self) -> bool:
        """Whether requests are not repeated for now."""
        return self._count >= MAX_FAILED_REQUESTS


_failures = _Failures()


def make_request(call: Callable[[], Answer]) -> Answer:
    """What a call of a client library returns, which is repeated after each of `REQUEST_WAITS` where that may help.

    Raises RequestError for what the library raises, but for an ImportError and clipsim's own errors.
    """
    attempts = 0
    while True:
        attempts += 1
        try:
            answer = call()
        except (ClipsimError, ImportError):
            raise
        except Exception as error:
            kind = find_kind(error)
            repeated = kind in _REPEATED_KINDS
            if repeated and attempts <= len(REQUEST_WAITS) and not _failures.too_many:
                time.sleep(REQUEST_WAITS[attempts - 1] * random.uniform(0.5, 1.5))
                continue
            if repeated:
                _failures.add()
            raise RequestError(kind, attempts, error) from error
        _failures.clear()
        return answer


def find_cause(error: BaseException) -> BaseException:
    """What led to the FileNotFoundError that fsspec raises, whatever happened; other errors as they are."""
    while isinstance(error, FileNotFoundError) and not isinstance(error.__cause__, LookupError | None):
        error = error.__cause__
    return error


def find_kind(error: BaseException) -> str:
    """The kind of an ImageError that an error of a client library amounts to.

    What is not known counts as "unavailable", since only what is known to be at fault for good is final.

    >>> find_kind(FileNotFoundError("s3://bucket/a.jpg")), find_kind(PermissionError()), find_kind(ConnectionError())
    ('not_found', 'denied', 'unavailable')
    """
    cause: BaseException | None = error
    while cause is not None:
        if kind := _kind_of_answer(cause):
            return kind
        cause = cause.__cause__
    cause = find_cause(error)
    for name in (base.__name__ for base in type(cause).__mro__):
        if name in _ERROR_NAMES:
            return _ERROR_NAMES[name]
    number = getattr(cause, "errno", None)
    if isinstance(cause, PermissionError):
        return "denied"
    if isinstance(cause, FileNotFoundError | NotADirectoryError):
        return "not_found"
    if number == errno.EBUSY:  # what s3fs makes of SlowDown
        return "throttled"
    final = (IsADirectoryError, ValueError, TypeError, NotImplementedError)
    return "bad_image" if isinstance(cause, final) else "unavailable"


def _kind_of_answer(error: BaseException) -> str | None:
    """The kind that the code or status of a server's answer means; None for an error without one."""
    response = getattr(error, "response", None)
    described = response.get("Error") if isinstance(response, dict) else None
    code = described.get("Code") if isinstance(described, dict) else None
    if code in _CODES:
        return _CODES[code]
    numbers = (getattr(error, name, None) for name in ("status", "status_code", "code"))
    status = next((number for number in numbers if isinstance(number, int) and 400 <= number < 600), None)
    if status is None:
        status = int(code) if isinstance(code, str) and code.isdecimal() else None
    if status is None:
        return None
    for kind, statuses in (
        ("denied", _DENIED),
        ("not_found", _NOT_FOUND),
        ("throttled", _THROTTLED),
        ("timed_out", _TIMED_OUT),
    ):
        if status in statuses:
            return kind
    return "unavailable" if status >= 500 else "bad_image"
