"""A path → the SHA-256 of its file and its `FileStamp`; names that are not UTF-8; atomic writes and safe copies."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

CHUNK_BYTES = 1 << 20
_FILE_ADDRESS = "file://"
_SURROGATES = re.compile("[\udc80-\udcff]")  # how Python carries bytes that are not UTF-8
# A file may change twice within one tick of the clock that stamps it. FAT's ticks are 2 s.
CLOCK_TICK = 2_000_000_000  # nanoseconds
# What `os.link` raises on file systems without hard links, such as FAT, and for a file that has too many.
_NO_HARD_LINK = frozenset((errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK))


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
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
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


def rename_new(source: str, target: str) -> None:
    """Rename a file within a file system, never over another one.

    At every moment the file has one of both names, or both. Raises FileExistsError where the target exists, OSError
    with `errno.EXDEV` for another file system.
    """
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


def copy_new(source: str, draft: str) -> str:
    """Copy a file's content, mode and times to a new file; the SHA-256 of the content. Nothing is left on OSError.

    Raises FileExistsError where the draft exists.
    """
    digest = hashlib.sha256()
    with open(source, "rb", buffering=0) as file, open(draft, "xb", buffering=0) as copy:
        try:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                write_all(copy.fileno(), chunk)
            with suppress(PermissionError):  # of file systems without modes, such as FAT
                shutil.copystat(source, draft)
            os.fsync(copy.fileno())
        except OSError:
            os.unlink(draft)
            raise
    return digest.hexdigest()


def write_new(draft: str, content: bytes) -> None:
    """Write a new file, on the disk when this returns. Nothing is left on OSError.

    Raises FileExistsError where the draft exists.
    """
    with open(draft, "xb", buffering=0) as file:
        try:
            write_all(file.fileno(), content)
            os.fsync(file.fileno())
        except OSError:
            os.unlink(draft)
            raise


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte to a descriptor. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
