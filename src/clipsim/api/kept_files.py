"""A group of pictures that are alike → which file of it is best, which are copies of it, and which of those may go."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from clipsim.errors import ImageError
from clipsim.files import digest_stream, file_identity
from clipsim.images.copies import PictureFacts, could_be_copies, is_copy, read_facts
from clipsim.inputs.sources import FileSource, Source

MAX_KEPT_COMPARED = 4  # kept pictures of a group that another one is compared with: the nearest

Distance = Callable[[int, int], float]


@dataclass(frozen=True)
class FileNow:
    """A file as it is now: what names it, how it is seen, and the facts of its picture where it is one."""

    identity: tuple[object, ...]
    names: int  # hard links
    is_link: bool
    bytes: int
    modified: int
    facts: PictureFacts | None

    def rank(self) -> tuple[float, ...]:
        """What orders the files of a group, the best first: pixels, lossless, what RGB lacks, bytes, age."""
        facts = self.facts
        if facts is None:
            return (0, 0, 0, -self.bytes, self.modified)
        more = facts.frames + facts.alpha + facts.deep
        return (-facts.pixels, facts.loss, -more, -self.bytes, self.modified)


@dataclass(frozen=True)
class Arranged:
    """The rows of a group, the best first.

    `copy_of` has for each row that is a copy by content the row of the kept one. Of these, `removable` are files whose
    removal frees space and loses nothing; `changed` is the number of those that are not what was compared.
    """

    rows: list[int]
    copy_of: dict[int, int]
    removable: frozenset[int]
    changed: int


def arrange(
    rows: Sequence[int], sources: Sequence[Source], digests: Sequence[bytes | None], distance: Distance | None
) -> Arranged:
    """Look at the files of a group, and decide.

    `digests` are those of the files that were compared: a file with other content now is neither kept nor removable.
    `distance` tells how far two pictures are apart, infinite for those that are surely different; without it only
    files of the same bytes are copies.
    """
    files = {row: _look(sources[row]) for row in rows}
    there = sorted((row for row in rows if files[row] is not None), key=lambda row: (*_known(files, row).rank(), row))
    kept: list[int] = []
    copy_of: dict[int, int] = {}
    unchanged: dict[int, bool] = {}
    for row in there:
        same = next((other for other in kept if digests[row] is not None and digests[row] == digests[other]), None)
        if same is None and distance is not None:
            near = sorted((apart, other) for other in kept if (apart := distance(other, row)) < float("inf"))
            candidates = [other for _, other in near[:MAX_KEPT_COMPARED]]
            same = next((other for other in candidates if _copies(files, sources, other, row)), None)
        if same is None:
            kept.append(row)
        else:
            copy_of[row] = same
    for row in {*copy_of, *copy_of.values()}:
        unchanged[row] = _is_unchanged(sources[row], digests[row])
    possible = [
        row
        for row, other in copy_of.items()
        if unchanged[row]
        and unchanged[other]
        and not _known(files, row).is_link
        and _known(files, row).identity != _known(files, other).identity
    ]
    listed = Counter(_known(files, row).identity for row in possible)
    removable = frozenset(row for row in possible if listed[_known(files, row).identity] >= _known(files, row).names)
    gone = [row for row in rows if files[row] is None]
    return Arranged([*there, *gone], copy_of, removable, sum(not same for same in unchanged.values()))


def _known(files: dict[int, FileNow | None], row: int) -> FileNow:
    found = files[row]
    assert found is not None
    return found


def _look(source: Source) -> FileNow | None:
    """The file of a source; None for what is not a regular file on this machine, or is not there any more."""
    if not isinstance(source, FileSource):
        return None
    found = source.stat()
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    facts = None
    with suppress(ImageError):
        facts = read_facts(source)
    try:
        is_link = os.path.islink(source.name)  # noqa: PTH114 (a Path raises for odd names)
        identity = file_identity(source.name, found)
    except (OSError, ValueError):
        return None
    return FileNow(identity, found.st_nlink, is_link, found.st_size, found.st_mtime_ns, facts)


def _copies(files: dict[int, FileNow | None], sources: Sequence[Source], kept: int, row: int) -> bool:
    first, second = _known(files, kept).facts, _known(files, row).facts
    if first is None or second is None or not could_be_copies(first, second):
        return False
    with suppress(ImageError):
        return is_copy(sources[kept], sources[row])
    return False


def _is_unchanged(source: Source, digest: bytes | None) -> bool:
    """Whether a file has the content that was compared."""
    with suppress(ImageError, OSError), source.open() as stream:
        return digest is not None and digest_stream(stream) == digest.hex()
    return False
