"""Inputs that could not be used → those that no earlier run has named, by what their files were then."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from clipsim.cache.database import Database
from clipsim.errors import Failure
from clipsim.files import FileStamp


class SkippedFiles:
    """Remembers the inputs that were skipped, with their cause and the stamps of their files.

    `known` is the number of those that were remembered by an earlier run and have not changed since. Without a folder
    nothing is remembered.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.known = 0

    def choose_new(self, failures: Iterable[Failure]) -> list[Failure]:
        """Those that were not remembered, or have changed; they are remembered from now on."""
        failures = list(failures)
        if self._folder is None or not failures:
            return failures
        notes = {_note_name(failure.image): _describe_state(failure) for failure in failures}
        with closing(Database(self._folder)) as database:
            earlier = database.read_notes(list(notes))
            changed = {name: state for name, state in notes.items() if earlier.get(name) != state}
            database.write_notes(changed)
        new = [failure for failure in failures if _note_name(failure.image) in changed]
        self.known += len(failures) - len(new)
        return new


def _note_name(name: str) -> str:
    path = name if "://" in name else os.path.abspath(name)  # noqa: PTH100 (a Path raises for some names)
    return f"skipped {hashlib.sha256(os.fsencode(path)).hexdigest()}"


def _describe_state(failure: Failure) -> str:
    """The cause, and the stamp of the file where there is one."""
    stamp: tuple[int, ...] = ()
    with suppress(OSError, ValueError):
        stamp = FileStamp.of(os.stat(failure.image))  # noqa: PTH116
    cause = hashlib.sha256(failure.error.encode(errors="surrogateescape")).hexdigest()
    return " ".join(map(str, (*stamp, cause)))
