"""A journal → the files as they were: each step that was carried out is taken back, the last one first.

What is taken back follows from the files themselves, not from how far a run or an earlier undo came, so that both may
end at any moment. A file that is not what the journal says is left alone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from clipsim.errors import Failure, ImageError, printable
from clipsim.files import copy_new, digest_file, remove_file, write_new
from clipsim.results.plans import FileStep, PlanResult
from clipsim.tasks.file_plans import copy_file, discarded_on_error, move_file, replace_file
from clipsim.tasks.journals import Entry, lock_journal, read_journal
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress

Change = Callable[[], None]


def plan(path: str, progress: ProgressCallback = ignore_progress) -> PlanResult:
    """What `run` would take back now; the files are read, and nothing is changed.

    A step that cannot be taken back is an error of the result. Raises DataError for a file that is not a journal.
    """
    entries = read_journal(Path(path))
    steps, errors, leaving = list[FileStep](), list[Failure](), set[str]()
    for number, entry in enumerate(reversed(entries), start=1):
        failures = []
        leaving |= {entry.draft(entry.source), entry.draft(entry.target)} if entry.token else set()
        try:
            change = _undo_folder(entry, leaving) if entry.action == "mkdir" else _UNDO[entry.action](entry)
            if change is not None:
                steps.append(_describe(entry))
                if entry.action != "hardlink" and entry.before is None:
                    leaving.add(entry.target)
        except (ImageError, OSError) as error:
            failures.append(_fail(entry, error))
        errors += failures
        progress(Progress("reading", number, len(entries), tuple(failures)))
    return PlanResult(command="undo", model=None, steps=tuple(steps), journal=path, errors=tuple(errors))


def run(path: str, progress: ProgressCallback = ignore_progress) -> PlanResult:
    """Take back what a journal records; steps that were not carried out, or were taken back before, are none.

    A step that cannot be taken back is an error of the result. Raises DataError for a file that is not a journal.
    """
    with lock_journal(Path(path)):
        return _run(path, read_journal(Path(path)), progress)


def _run(path: str, entries: list[Entry], progress: ProgressCallback) -> PlanResult:
    steps, errors = [], list[Failure]()
    for number, entry in enumerate(reversed(entries), start=1):
        step, failures = _describe(entry), []
        try:
            change = _UNDO[entry.action](entry)
            if change is not None:
                change()
                steps.append(replace(step, done=True))
        except (ImageError, OSError) as error:
            failures.append(_fail(entry, error))
            steps.append(step)
        with suppress(OSError):
            _remove_drafts(entry)  # after the change, which tells by a draft that an empty file only claims a name
        errors += failures
        progress(Progress("undoing", number, len(entries), tuple(failures)))
    return PlanResult(command="undo", model=None, steps=tuple(steps), applied=True, journal=path, errors=tuple(errors))


def _describe(entry: Entry) -> FileStep:
    return FileStep(entry.action, entry.source, None if entry.action == "mkdir" else entry.target)


def _fail(entry: Entry, error: ImageError | OSError) -> Failure:
    cause = str(error) if isinstance(error, ImageError) else error.strerror or str(error)
    return Failure(entry.target, printable(cause))


def _remove_drafts(entry: Entry) -> None:
    """Remove what a run that was killed has left beside the files of a step."""
    if entry.token:
        for path in {entry.draft(entry.source), entry.draft(entry.target)}:
            with suppress(FileNotFoundError, NotADirectoryError):
                remove_file(path)


def _undo_folder(entry: Entry, leaving: Container[str] = ()) -> Change | None:
    """Remove a folder that was made, unless it holds anything but what is `leaving` it."""
    try:
        if any(os.path.join(entry.target, name) not in leaving for name in os.listdir(entry.target)):
            return None
    except OSError:
        return None
    return lambda: os.rmdir(entry.target)


def _undo_copy(entry: Entry) -> Change | None:
    """Remove the copy, as long as the original is there."""
    if not os.path.lexists(entry.target):
        return None
    if _is_claim(entry.target, entry) and os.path.lexists(entry.draft(entry.target)):
        return lambda: os.unlink(entry.target)
    if not _has_content(entry.target, entry.sha256):
        raise ImageError("the copy has changed since, and is left")
    if not _has_content(os.path.realpath(entry.source), entry.sha256) or _is_one_file(entry.source, entry.target):
        raise ImageError(f"its original {printable(entry.source)} is gone or has changed, so that the copy is left")
    return lambda: remove_file(entry.target)


def _undo_link(entry: Entry) -> Change | None:
    """Remove the symbolic link."""
    if not os.path.lexists(entry.target):
        return None
    if not os.path.islink(entry.target) or os.readlink(entry.target) != entry.link:
        raise ImageError("it is not the link that was made, and is left")
    return lambda: os.unlink(entry.target)


def _undo_move(entry: Entry) -> Change | None:
    """Move the file back, or finish a move that was cut short at either of its names."""
    if _is_claim(entry.target, entry) and _has_content(entry.source, entry.sha256):
        return lambda: os.unlink(entry.target)
    at_source = _has_content(entry.source, entry.sha256)
    if not _has_content(entry.target, entry.sha256):
        if at_source:
            return None
        raise ImageError("neither of its names has the file that was moved")
    if at_source and entry.arrived:
        return None
    if at_source:  # as one file under both names, or as a whole copy on the other file system
        return lambda: remove_file(entry.target)
    if os.path.lexists(entry.source) and not _is_claim(entry.source, entry):
        raise ImageError(f"{printable(entry.source)} is another file by now; this one is left where it is")

    def move_back() -> None:
        folder = os.path.dirname(entry.source)
        os.makedirs(folder, exist_ok=True)
        if os.path.lexists(entry.source):
            os.unlink(entry.source)
        _remove_drafts(entry)
        if entry.arrived:
            _put_beside(entry)
        else:
            move_file(entry.target, entry.source, entry.draft(entry.source), entry.sha256)

    return move_back


def _put_beside(entry: Entry) -> None:
    """Give a file its old name again where it had both names before."""
    try:
        os.link(entry.target, entry.source)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_file(entry.target, entry.source, entry.draft(entry.source), entry.sha256)


def _undo_hard_link(entry: Entry) -> Change | None:
    """Give a file that became a hard link its own content again, with the mode and times it had."""
    if not _is_one_file(entry.source, entry.target):
        if _has_content(entry.source, entry.sha256):
            return None
        raise ImageError(f"{printable(entry.source)} is no longer a hard link to it, and has changed")
    if not _has_content(entry.target, entry.sha256):
        raise ImageError("its content has changed since")

    def give_own_content() -> None:
        _remove_drafts(entry)
        draft = entry.draft(entry.source)
        copied = copy_new(entry.target, draft)
        with discarded_on_error(draft):
            if copied != entry.sha256:
                raise ImageError("its content has changed since")
            _restore_facts(entry, draft)
            replace_file(draft, entry.source)

    return give_own_content


def _undo_write(entry: Entry) -> Change | None:
    """Remove a sidecar that was new; give one that was merged the content and times it had."""
    before = entry.before
    if before is None:
        if not os.path.lexists(entry.target):
            return None
        claimed = _is_claim(entry.target, entry) and os.path.lexists(entry.draft(entry.target))
        if claimed or _has_content(entry.target, entry.sha256):
            return lambda: os.unlink(entry.target)
        raise ImageError("the sidecar has changed since, and is left")
    if _has_content(entry.target, entry.sha256):

        def write_back() -> None:
            _remove_drafts(entry)
            draft = entry.draft(entry.target)
            write_new(draft, before)
            with discarded_on_error(draft):
                _restore_facts(entry, draft)
                replace_file(draft, entry.target)

        return write_back
    with suppress(OSError):
        if Path(entry.target).read_bytes() == before:
            return None
    raise ImageError("the sidecar has changed since, and is left")


_UNDO: dict[str, Callable[[Entry], Change | None]] = {
    "mkdir": _undo_folder,
    "copy": _undo_copy,
    "link": _undo_link,
    "move": _undo_move,
    "hardlink": _undo_hard_link,
    "write": _undo_write,
}


def _restore_facts(entry: Entry, path: str) -> None:
    if entry.owner is not None and hasattr(os, "chown"):  # not on Windows
        with suppress(OSError):  # only root may give files away
            os.chown(path, *entry.owner)
    if entry.mode is not None:
        os.chmod(path, entry.mode)
    if entry.times is not None:
        os.utime(path, ns=entry.times)


def _has_content(path: str, digest: str) -> bool:
    """Whether a regular file is there, and has the content of a digest."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode) and digest_file(Path(path)) == digest
    except OSError:
        return False


def _is_claim(path: str, entry: Entry) -> bool:
    """Whether a file is the empty one that only claims its name (see `rename_new`)."""
    try:
        stat_result = os.lstat(path)
    except OSError:
        return False
    return entry.size > 0 and stat_result.st_size == 0 and stat.S_ISREG(stat_result.st_mode)


def _is_one_file(first: str, second: str) -> bool:
    try:
        return os.path.samestat(os.stat(first), os.stat(second))
    except OSError:
        return False
