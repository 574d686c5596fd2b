"""Files and what is to become of them → a plan without clashes of names, and its steps, each recorded before it begins.

Nothing is lost at whatever moment a run ends: a file is complete under one of its names before the other is removed,
and no step writes over a file that was not read before.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from clipsim.errors import Failure, ImageError, pluralise, printable
from clipsim.files import (
    CLOCK_TICK,
    FileStamp,
    copy_new,
    digest_file,
    fold_name,
    remove_file,
    rename_new,
    rename_over,
    sync_folder,
    write_new,
)
from clipsim.inputs.sources import FileSource, Source
from clipsim.options import OnError
from clipsim.results.base import ModelResult
from clipsim.results.plans import Action, FileStep, PlanResult
from clipsim.results.search import DuplicatesResult
from clipsim.tasks.journals import Entry, Journal, new_token
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.sidecars import ImageFolders, rename_sidecar

Answer: TypeAlias = ModelResult | DuplicatesResult
MAX_NAME_BYTES = 255  # of usual file systems
CHANGED = "it has changed since it was looked at"
_FATAL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO))  # further steps would fail as well


@dataclass(frozen=True)
class Operation:
    """A step that was planned, with what must still be so when it is carried out.

    `stamp` is that of the source, `digest` the SHA-256 it must have, where that is known, and `keeper_digest` that of
    the file which stays in its place. `content` is what a sidecar will hold, and `before` what it holds. `image` is the
    source whose sidecar this is, and `arrived` says that the target is there already, since a move was cut short.
    """

    step: FileStep
    stamp: FileStamp | None = None
    digest: str | None = None
    keeper_digest: str | None = None
    link: str | None = None
    content: bytes | None = None
    before: bytes | None = None
    image: str | None = None
    arrived: bool = False


@dataclass(frozen=True)
class FilePlan:
    """A plan as it is shown, and its operations, one for each step.

    `failures` are those of its errors that were found while it was made.
    """

    result: PlanResult
    operations: tuple[Operation, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the caller should know."""
        return self.result.warnings


@dataclass(frozen=True)
class Placement:
    """A file that is to have a name in a folder: the folder, and what the plan says of the file."""

    source: Source
    folder: str
    labels: tuple[str, ...] = ()
    similarity: float | None = None
    probability: float | None = None
    keeper: str | None = None
    digest: str | None = None
    keeper_digest: str | None = None


def make_plan(
    command: str,
    action: Action,
    placements: Iterable[Placement],
    answer: Answer,
    left: Iterable[str] = (),
) -> FilePlan:
    """Choose a name for each file that no other file has or gets.

    `answer` is what chose the images: its model, errors and warnings are those of the plan. An image's XMP sidecars go
    with it. A file that is in its folder already, or whose copy or link is there, is `left` too. One without a file of
    its own is an error, and so is a symbolic link that would be moved.
    """
    operations, left, failures = list[Operation](), list(left), list[Failure]()
    names, folders = TargetNames(), ImageFolders()
    for placement in placements:
        source = placement.source
        try:
            stamp = look_at(source, moves=action == "move")
        except ImageError as error:
            failures.append(Failure(source.name, str(error), source.index))
            continue
        planned = _place(action, placement, stamp, names, folders.find_sidecars(source.name))
        operations += planned
        if not planned:
            left.append(source.name)
    return finish_plan(command, operations, answer, left, failures)


def finish_plan(
    command: str,
    operations: Sequence[Operation],
    answer: Answer,
    left: Iterable[str],
    failures: Sequence[Failure],
) -> FilePlan:
    """The plan of operations that are ready; `failures` are the images that cannot be planned for."""
    shown = PlanResult(
        command=command,
        model=answer.model,
        steps=tuple(operation.step for operation in operations),
        left=tuple(left),
        errors=(*answer.errors, *failures),
        warnings=answer.warnings,
    )
    return FilePlan(shown, tuple(operations), tuple(failures))


def look_at(source: Source, *, moves: bool = False) -> FileStamp:
    """The stamp of a source's file. Raises ImageError where it has none, and with `moves` for a symbolic link."""
    if not isinstance(source, FileSource):
        raise ImageError("it is not a file of its own")
    stat_result = source.stat()
    if stat_result is None:
        raise ImageError("no such file")
    if not stat.S_ISREG(stat_result.st_mode):
        raise ImageError("not a regular file")
    if moves and os.path.islink(source.name):
        raise ImageError("a symbolic link, which is not moved; name the file that it leads to")
    return FileStamp.of(stat_result)


def _place(
    action: Action, placement: Placement, stamp: FileStamp, names: TargetNames, sidecars: Sequence[str]
) -> list[Operation]:
    """What gives a file and its sidecars their names; nothing where it has its name, or its copy or link is there."""
    name, folder = placement.source.name, placement.folder
    if _real_folder(name) == os.path.realpath(folder):
        names.reserve(folder, os.path.basename(name))
        return []
    link = _link_text(name, folder) if action == "link" else None
    extra = max((len(os.fsencode(sidecar)) - len(os.fsencode(name)) for sidecar in sidecars), default=0)
    for target in names.candidates(folder, os.path.basename(name), max(0, extra)):
        arrived = action == "move" and _has_arrived(target, name, stamp)
        if os.path.lexists(target) and not arrived:
            if _holds_already(action, target, name, stamp, link):
                return []
            continue
        beside = {sidecar: rename_sidecar(sidecar, name, target) for sidecar in sidecars}
        if not any(os.path.lexists(new) for new in beside.values()) and names.reserve_all(folder, beside.values()):
            break
    step = FileStep(
        action, name, target, placement.labels, placement.similarity, placement.probability, placement.keeper
    )
    operations = [Operation(step, stamp, placement.digest, placement.keeper_digest, link, arrived=arrived)]
    for sidecar, new in beside.items():
        with suppress(ImageError):  # one that is no file of its own stays where it is
            stamp = look_at(FileSource(sidecar), moves=action == "move")
            link = _link_text(sidecar, folder) if action == "link" else None
            operations.append(Operation(FileStep(action, sidecar, new), stamp, link=link, image=name))
    return operations


def _holds_already(action: Action, target: str, name: str, stamp: FileStamp, link: str | None) -> bool:
    """Whether a copy or link that is to be made is there."""
    try:
        if action == "link":
            return os.path.islink(target) and os.readlink(target) == link
        if action != "copy" or os.path.islink(target):
            return False
        return os.stat(target).st_size == stamp.size and digest_file(Path(target)) == digest_file(Path(name))
    except OSError:
        return False


def _has_arrived(target: str, name: str, stamp: FileStamp) -> bool:
    """Whether a move of the file to this name was cut short before its old name was removed.

    The target is then the very file, or on another file system a whole copy with its time.
    """
    try:
        there = os.lstat(target)
        if not stat.S_ISREG(there.st_mode):
            return False
        if there.st_dev == stamp.device:
            return there.st_ino == stamp.inode
        same = there.st_size == stamp.size and abs(there.st_mtime_ns - stamp.mtime) < CLOCK_TICK
        return same and digest_file(Path(target)) == digest_file(Path(name))
    except OSError:
        return False


def _real_folder(name: str) -> str:
    return os.path.realpath(os.path.dirname(name) or ".")


def _link_text(name: str, folder: str) -> str:
    """What a symbolic link in a folder says: an absolute name as it is, a relative one as seen from the folder."""
    if os.path.isabs(name):
        return name
    path = os.path.join(_real_folder(name), os.path.basename(name))
    try:
        return os.path.relpath(path, os.path.realpath(folder))
    except ValueError:  # on another drive of Windows
        return path


class TargetNames:
    """Names in folders, each offered once; also where a file system takes two that `fold_name` does not tell apart."""

    def __init__(self) -> None:
        self._taken: defaultdict[str, set[str]] = defaultdict(set)
        self._next: dict[tuple[str, str], int] = {}

    def reserve(self, folder: str, name: str) -> bool:
        """Take a name; False where it is taken."""
        taken = self._taken[os.path.realpath(folder)]
        if fold_name(name) in taken:
            return False
        taken.add(fold_name(name))
        return True

    def reserve_all(self, folder: str, paths: Iterable[str]) -> bool:
        """Take the names of several paths in a folder; False where one of them is taken."""
        return all(self.reserve(folder, os.path.basename(path)) for path in paths)

    def candidates(self, folder: str, name: str, extra: int = 0) -> Iterator[str]:
        """Paths in the folder, the name itself first, then with a number after its stem; each is then taken.

        `extra` bytes are left for the ends of sidecars.
        """
        number = self._next.get((folder, name), 1)
        while True:
            candidate = name if number == 1 else number_name(name, number, MAX_NAME_BYTES - extra)
            number += 1
            if self.reserve(folder, candidate):
                self._next[folder, name] = number
                yield os.path.join(folder, candidate)


def number_name(name: str, number: int, max_bytes: int = MAX_NAME_BYTES) -> str:
    """A file name with a number after its stem, which is cut where the name would be too long.

    >>> number_name("IMG_1.jpg", 2)
    'IMG_1 (2).jpg'
    """
    stem, suffix = os.path.splitext(name)
    end = f" ({number}){suffix}"
    while stem and len(os.fsencode(stem + end)) > max_bytes:
        stem = stem[:-1]
    return stem + end


def apply(
    plan: FilePlan, journal: Journal, on_error: OnError = "skip", progress: ProgressCallback = ignore_progress
) -> PlanResult:
    """Carry out a plan; the result with what was done and what was not.

    Each file is looked at again just before it is touched. A step that fails changes nothing and is an error of the
    result. Raises ImageError for a full disk, and for the first failure where `on_error` is not "skip"; DataError where
    the journal cannot be written.
    """
    steps, errors = list[FileStep](), list(plan.result.errors)
    folders, failed = FolderMaker(journal), set[str]()
    for number, operation in enumerate(plan.operations, start=1):
        failures = []
        step = operation.step
        try:
            if operation.image in failed:
                raise ImageError("left with its image")
            _carry_out(operation, journal, folders)
            step = replace(step, done=True)
        except (ImageError, OSError) as error:
            cause = str(error) if isinstance(error, ImageError) else error.strerror or str(error)
            if isinstance(error, FileExistsError):  # between the last look and the step
                cause = f"{step.target} exists by now"
            failures.append(Failure(step.source, printable(cause)))
            failed.add(step.source)
            if on_error != "skip" or (isinstance(error, OSError) and error.errno in _FATAL):
                done = f"{sum(step.done for step in steps):,} of {pluralise(len(plan.operations), 'step')} carried out"
                raise ImageError(
                    f"{printable(step.source)}: {printable(cause)}; {done}",
                    hint=journal.hint,
                ) from error
        steps.append(step)
        errors += failures
        progress(Progress("changing files", number, len(plan.operations), tuple(failures)))
    return replace(plan.result, steps=tuple(steps), errors=tuple(errors), applied=True, journal=str(journal.path))


class FolderMaker:
    """Makes the folders that are missing, each of them recorded before."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def make(self, folder: str) -> None:
        """Make a folder and those above it. Raises OSError, and ImageError for the name of another file."""
        if os.path.isdir(folder):
            return
        self.make(os.path.dirname(folder))
        if os.path.lexists(folder):
            raise ImageError(f"{printable(folder)} exists and is not a folder")
        self._journal.write(Entry(action="mkdir", source=folder, target=folder))
        with suppress(FileExistsError):  # another run has made it meanwhile
            os.mkdir(folder)


def _carry_out(operation: Operation, journal: Journal, folders: FolderMaker) -> None:
    """Check what a step rests on, record it, and do it. Raises ImageError or OSError, and then nothing has changed."""
    action = operation.step.action
    if action == "write":
        _write_sidecar(operation, journal)
        return
    locate = os.path.realpath if action == "hardlink" else os.path.abspath  # a link to a symbolic link is none
    target = locate(operation.step.target or "")
    entry = _make_entry(operation, target)
    if action != "hardlink":
        folders.make(os.path.dirname(target))
        if os.path.lexists(target) and not entry.arrived:
            raise ImageError(f"{printable(target)} exists by now")
    with journal.recorded(entry):
        if action == "copy":
            copy_file(entry.source, target, entry.draft(target), entry.sha256)
        elif entry.arrived:
            _finish_move(entry)
        elif action == "move":
            move_file(entry.source, target, entry.draft(target), entry.sha256)
        elif action == "link":
            os.symlink(entry.link or "", target)
        else:
            draft = entry.draft(entry.source)
            os.link(target, draft)
            with discarded_on_error(draft):
                replace_file(draft, entry.source)


def _finish_move(entry: Entry) -> None:
    """Remove the old name of a file that has its new one, or whose whole copy has it."""
    before = FileStamp.of(os.lstat(entry.source))
    if not _has_arrived(entry.target, entry.source, before) or FileStamp.of(os.lstat(entry.source)) != before:
        raise ImageError(CHANGED)
    sync_folder(os.path.dirname(entry.target))
    remove_file(entry.source)


def _make_entry(operation: Operation, target: str) -> Entry:
    """The journal's entry for a step with an image, after the image and the one that stays were looked at again."""
    step, digest = operation.step, ""
    source = os.path.abspath(step.source)
    try:
        stat_result = os.stat(source)
        if operation.stamp is None or not _is_same(FileStamp.of(stat_result), operation.stamp):
            raise ImageError(CHANGED)
        if step.action in ("move", "hardlink") and os.path.islink(source):
            raise ImageError(CHANGED)
        if step.action != "link":
            digest = digest_file(Path(source))
    except OSError as error:  # of this file alone, so that the run goes on
        raise ImageError(CHANGED if error.errno == errno.ENOENT else f"cannot read it: {error.strerror}") from error
    if digest and digest != (operation.digest or digest):
        raise ImageError(CHANGED)
    if step.keeper is not None:
        _check_keeper(step.keeper, stat_result, operation.keeper_digest)
    return Entry(
        action=step.action,
        source=source,
        target=target,
        token=new_token(),
        sha256=digest,
        size=stat_result.st_size,
        link=operation.link,
        arrived=operation.arrived,
        mode=stat.S_IMODE(stat_result.st_mode),
        times=(stat_result.st_atime_ns, stat_result.st_mtime_ns),
        owner=(stat_result.st_uid, stat_result.st_gid),
    )


def _is_same(now: FileStamp, before: FileStamp) -> bool:
    """Whether a file is what it was, though it may have got or lost a hard link, which changes its ctime."""
    return now._replace(ctime=0) == before._replace(ctime=0)


def _check_keeper(keeper: str, stat_result: os.stat_result, digest: str | None) -> None:
    """Raise ImageError unless the better copy is there, under a name of another file, as it was compared."""
    try:
        kept = os.stat(keeper)
        if not stat.S_ISREG(kept.st_mode) or os.path.samestat(kept, stat_result):
            raise ImageError(f"{printable(keeper)}, which was to stay, is no other file any more")
        if digest is None or digest_file(Path(keeper)) != digest:
            raise ImageError(f"{printable(keeper)}, which was to stay, has changed")
    except OSError as error:
        raise ImageError(f"{printable(keeper)}, which was to stay, cannot be read: {error.strerror}") from error


def _write_sidecar(operation: Operation, journal: Journal) -> None:
    """Write a new sidecar, or a merged one in place of the old one."""
    content, before = operation.content or b"", operation.before
    target = os.path.realpath(operation.step.target or "")
    mode = times = None
    if before is not None:
        stat_result = os.stat(target)
        mode, times = stat.S_IMODE(stat_result.st_mode), (stat_result.st_atime_ns, stat_result.st_mtime_ns)
    entry = Entry(
        action="write",
        source=os.path.abspath(operation.step.source),
        target=target,
        token=new_token(),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        mode=mode,
        times=times,
        before=before,
    )
    if before is None and os.path.lexists(target):
        raise ImageError(f"{printable(target)} exists by now")
    draft = entry.draft(target)
    with journal.recorded(entry):
        write_new(draft, content)
        with discarded_on_error(draft):
            if before is None or mode is None:
                rename_new(draft, target)
                return
            os.chmod(draft, mode)
            if Path(target).read_bytes() != before:
                raise ImageError(f"{printable(target)} has changed since it was read")
            replace_file(draft, target)


def replace_file(draft: str, target: str) -> None:
    """Put a complete draft in the place of a file."""
    rename_over(draft, target)
    sync_folder(os.path.dirname(target))


@contextmanager
def discarded_on_error(draft: str) -> Iterator[None]:
    """Remove a draft that does not get its name, or a copy whose original cannot be removed."""
    try:
        yield
    except (OSError, ImageError):
        with suppress(OSError):
            remove_file(draft)
        raise


def copy_file(source: str, target: str, draft: str, digest: str) -> None:
    """Copy a file whose SHA-256 is known to a new name, with its mode and times. Raises ImageError where it changed."""
    copied = copy_new(source, draft)
    with discarded_on_error(draft):
        if copied != digest or digest_file(Path(draft)) != digest:
            raise ImageError(CHANGED)
        rename_new(draft, target)


def move_file(source: str, target: str, draft: str, digest: str) -> None:
    """Move a file to a new name; to another file system as a copy that is verified before the file is removed."""
    try:
        rename_new(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        before = FileStamp.of(os.stat(source))
        copy_file(source, target, draft, digest)
        sync_folder(os.path.dirname(target))
        with discarded_on_error(target):
            if FileStamp.of(os.stat(source)) != before:
                raise ImageError(CHANGED) from error
            remove_file(source)
