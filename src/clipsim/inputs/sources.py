"""One input → `Source`: its name, a way to open it as a stream, and its file's `os.stat` record.

All later rooms take sources. `FileSource` is a path, `BytesSource` an image file in memory, `PillowSource` a PIL
image, `VectorSource` a vector in its place, `FailedSource` an input that is known to be unusable; `tars` and `urls`
define others.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from clipsim.errors import Failure, ImageError, TransientError, system_cause
from clipsim.files import BINARY

if TYPE_CHECKING:
    from PIL import Image


# Errors that pass: descriptors or memory in use, a network or server that cannot be reached.
_TRANSIENT = frozenset(
    (
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT, errno.ECONNRESET,
        errno.ECONNREFUSED, errno.ECONNABORTED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN,
        getattr(errno, "ESTALE", errno.ETIMEDOUT),
    )
)  # fmt: skip
EMPTY_FOLDER = "a directory without image files"


@dataclass(frozen=True, slots=True)
class Source:
    """One input; `caption` is the text that came with it, `facts` the other data as a JSON object.

    `index` is its position among all that the caller named, from 0, with folders and patterns expanded; None where
    inputs are not numbered.
    """

    name: str
    caption: str | None = field(default=None, kw_only=True)
    facts: str | None = field(default=None, kw_only=True)
    index: int | None = field(default=None, kw_only=True, compare=False, repr=False)

    def open(self) -> BinaryIO:
        """Open the content as a seekable stream. Raises ImageError, naming the cause but not the source."""
        raise NotImplementedError

    def stat(self) -> os.stat_result | None:
        """The current `os.stat` record of the file; None for other sources, and for a file that does not exist."""
        return None

    def decoded(self) -> Image.Image | None:
        """The image, if it is in memory already decoded."""
        return None


@dataclass(frozen=True, slots=True)
class FileSource(Source):
    """An image file; `name` is its path, as the user wrote it or as it was found."""

    def open(self) -> BinaryIO:
        """Open the file. Raises ImageError, naming the cause but not the path."""
        return open_regular(self.name)

    def stat(self) -> os.stat_result | None:
        """The file's current `os.stat` record; None where there is none."""
        try:
            return os.stat(self.name)  # noqa: PTH116 (called a million times; a Path costs more)
        except (OSError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class BytesSource(Source):
    """The content of an image file, in memory."""

    data: bytes = field(repr=False)

    def open(self) -> BinaryIO:
        """The content as a stream."""
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class PillowSource(Source):
    """A PIL image of the calling program."""

    image: Image.Image

    def open(self) -> BinaryIO:
        """Raise ImageError: there is no file."""
        raise ImageError("an image in memory, which has no file")

    def decoded(self) -> Image.Image:
        """The image itself."""
        return self.image


@dataclass(frozen=True, slots=True)
class VectorSource(Source):
    """The vector of an image that the calling program has computed before: an array of (d,) floats, of any length."""

    vector: Any = field(repr=False, compare=False)

    def open(self) -> BinaryIO:
        """Raise ImageError: there is no file."""
        raise ImageError("a vector, which has no file")


@dataclass(frozen=True, slots=True)
class FailedSource(Source):
    """An input that is known to be unusable before it is opened, such as a row of a table or the rest of a torn tar."""

    error: str

    def open(self) -> BinaryIO:
        """Raise ImageError with the known cause."""
        raise ImageError(self.error)


def number_sources(sources: Iterable[Source], first: int = 0) -> Iterator[Source]:
    """The sources with their positions as `index`, lazily."""
    for index, source in enumerate(sources, first):
        yield replace(source, index=index)


def find_missing(sources: Iterable[Source]) -> tuple[Failure, ...]:
    """The sources that are files and do not exist, without opening any; not where that cannot be found out."""
    missing = []
    for source in sources:
        if isinstance(source, FileSource):
            try:
                os.lstat(source.name)
            except FileNotFoundError:
                missing.append(Failure(source.name, "no such file", source.index))
            except (OSError, ValueError):
                continue
    return tuple(missing)


def reading_error(verb: str, error: BaseException) -> ImageError:
    """The ImageError, or TransientError, for a failure of the system to open or read something."""
    message = f"cannot {verb} it: {system_cause(error)}"
    if isinstance(error, OSError) and error.errno in _TRANSIENT:
        kind = "timed_out" if isinstance(error, TimeoutError) else "unavailable"
        return TransientError(f"{message}; to be tried again", kind=kind)
    kinds = {errno.EACCES: "denied", errno.EPERM: "denied", errno.EIO: "unavailable"}
    return ImageError(message, kind=kinds.get(getattr(error, "errno", None) or 0, "bad_image"))


def open_regular(path: str) -> BinaryIO:
    """Open a regular file and nothing else, so that a FIFO or a device cannot block a run.

    Raises ImageError, naming the cause but not the path.
    """
    try:
        # O_NONBLOCK: opening a FIFO without a writer must not wait
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | BINARY)
    except FileNotFoundError as error:
        cause = "a broken symbolic link" if os.path.islink(path) else "no such file"  # noqa: PTH114 (as above)
        raise ImageError(cause, kind="not_found") from error
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError) and os.path.isdir(path):  # noqa: PTH112 (Windows opens no folder)
            raise ImageError(EMPTY_FOLDER) from error
        raise reading_error("open", error) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise ImageError(EMPTY_FOLDER if stat.S_ISDIR(mode) else "not a regular file")
    return os.fdopen(descriptor, "rb")
