"""The files of a group of images → which are kept, which are copies of those, and which of the copies may go."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from clipsim.errors import ImageError
from clipsim.files import digest_stream
from clipsim.images.copies import CopyCheck, ImageHeader, could_be_copies, read_header
from clipsim.inputs.expand import identify_stat
from clipsim.inputs.sources import FileSource, Source
from clipsim.tasks.keep_rules import KeepRules

MAX_KEPT_COMPARED = 4  # kept images of a group that another one is compared with: the nearest

Distance = Callable[[int, int], float]
ChooseNear = Callable[[int, list[int]], list[int]]


@dataclass(frozen=True)
class FileState:
    """A file as it is now: what names it, how it is seen, and the header of its image where it is one."""

    identity: object
    names: int  # hard links
    is_link: bool
    bytes: int
    modified: int
    header: ImageHeader | None

    def rank(self) -> tuple[float, ...]:
        """What orders the files of a group, the best first: pixels, lossless, what RGB lacks, bytes, age."""
        header = self.header
        if header is None:
            return (0, 0, 0, -self.bytes, self.modified)
        more = header.frames + header.alpha + header.deep
        return (-header.pixels, header.loss, -more, -self.bytes, self.modified)


@dataclass(frozen=True)
class ArrangedGroup:
    """The rows of a group, the best first.

    `copy_of` has for each row that is a copy by content the row of the kept one. Of these, `removable` are files whose
    removal frees space and loses nothing; `changed` is the number of those that are not what was compared.
    """

    rows: list[int]
    copy_of: dict[int, int]
    removable: frozenset[int]
    changed: int


def arrange(
    rows: Sequence[int],
    sources: Sequence[Source],
    digests: Sequence[bytes | None],
    distance: Distance | None,
    keep: KeepRules,
    choose_near: ChooseNear = lambda _, kept: kept,
) -> ArrangedGroup:
    """Look at the files of a group, and decide which are kept: those that come first by `keep`.

    `digests` are those of the files that were compared: a file with other content now is neither kept nor removable.
    `distance` tells how far two images are apart, infinite for those that are surely different; without it only
    files of the same bytes are copies. It is asked for a row and those of the kept ones that `choose_near` gives.
    """
    existing = {row: file for row in rows if (file := _inspect_file(sources[row])) is not None}
    ranked = sorted(existing, key=lambda row: (*keep(sources[row].name, existing[row]), row))
    kept: list[int] = []
    kept_bytes: dict[bytes | None, int] = {}
    copy_of: dict[int, int] = {}
    unchanged: dict[int, bool] = {}
    with closing(CopyCheck()) as check:
        for row in ranked:
            same = None if digests[row] is None else kept_bytes.get(digests[row])
            if same is None and distance is not None:
                possible_kept = choose_near(row, kept)
                near = sorted(
                    (apart, other) for other in possible_kept if (apart := distance(other, row)) < float("inf")
                )
                candidates = [other for _, other in near[:MAX_KEPT_COMPARED]]
                same = next(
                    (
                        other
                        for other in candidates
                        if _are_copies(check, existing[other], existing[row], sources[other], sources[row])
                    ),
                    None,
                )
            if same is None:
                kept.append(row)
                kept_bytes[digests[row]] = row
            else:
                copy_of[row] = same
    for row in {*copy_of, *copy_of.values()}:
        unchanged[row] = _is_unchanged(sources[row], digests[row])
    possible = [
        row
        for row, other in copy_of.items()
        if unchanged[row]
        and unchanged[other]
        and not existing[row].is_link
        and existing[row].identity != existing[other].identity
    ]
    listed = Counter(existing[row].identity for row in possible)
    removable = frozenset(row for row in possible if listed[existing[row].identity] >= existing[row].names)
    gone = [row for row in rows if row not in existing]
    return ArrangedGroup([*ranked, *gone], copy_of, removable, sum(not same for same in unchanged.values()))


def _inspect_file(source: Source) -> FileState | None:
    """The file of a source; None for what is not a regular file on this machine, or is not there any more."""
    if not isinstance(source, FileSource):
        return None
    stat_result = source.stat()
    if stat_result is None or not stat.S_ISREG(stat_result.st_mode):
        return None
    header = None
    with suppress(ImageError):
        header = read_header(source)
    try:
        is_link = os.path.islink(source.name)  # noqa: PTH114 (a Path raises for odd names)
        identity = identify_stat(source.name, stat_result, hard_links=True)
    except (OSError, ValueError):
        return None
    return FileState(identity, stat_result.st_nlink, is_link, stat_result.st_size, stat_result.st_mtime_ns, header)


def _are_copies(check: CopyCheck, kept: FileState, file: FileState, kept_source: Source, source: Source) -> bool:
    if kept.header is None or file.header is None or not could_be_copies(kept.header, file.header):
        return False
    with suppress(ImageError):
        return check.is_copy(kept_source, source)
    return False


def _is_unchanged(source: Source, digest: bytes | None) -> bool:
    """Whether a file has the content that was compared."""
    with suppress(ImageError, OSError), source.open() as stream:
        return digest is not None and digest_stream(stream) == digest.hex()
    return False
