"""Steps with files ↔ a journal: a JSON line a step, on the disk before the step begins."""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from clipsim.errors import DataError, ImageError, join_words, printable
from clipsim.files import BINARY, lock_file, sync_folder, write_all
from clipsim.models.settings import state_folder
from clipsim.results.plans import Action

SCHEMA = "clipsim.journal/1"
MAX_NUMBER = 1 << 63  # of what the system takes


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One step with absolute paths, and what undoing it needs.

    `sha256` is that of the file which the step copies, moves, replaces or writes. `mode`, `times` and `owner` are
    those of a file that is replaced, and `before` is its content where that is a sidecar. `link` is the text of a
    symbolic link. `token` makes the names of drafts. `arrived` says that the target of a move was there before.
    """

    action: Action
    source: str
    target: str
    token: str = ""
    sha256: str = ""
    size: int = 0
    link: str | None = None
    arrived: bool = False
    mode: int | None = None
    times: tuple[int, int] | None = None  # of the last access and change, in nanoseconds
    owner: tuple[int, int] | None = None
    before: bytes | None = None

    def draft(self, path: str) -> str:
        """The hidden name beside a path that a file has until it is complete."""
        return os.path.join(os.path.dirname(path), f".clipsim-{self.token}.part")

    def to_line(self) -> bytes:
        """The line of the journal; names that are not UTF-8 keep their bytes as escaped surrogates."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        if self.before is not None:
            values["before"] = base64.b64encode(self.before).decode()
        return json.dumps(values).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Entry:
        """Read what `to_line` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        values: dict[str, Any] = json.loads(line)
        for name in ("times", "owner"):
            if name in values:
                first, second = values[name]
                values[name] = (int(first), int(second))
        if "before" in values:
            values["before"] = base64.b64decode(values["before"], validate=True)
        entry = cls(**values)
        strings = (entry.source, entry.target, entry.token, entry.sha256)
        if not all(isinstance(value, str) for value in strings) or set(entry.token) - set("0123456789abcdef"):
            raise ValueError("not an entry")
        numbers = (entry.size, entry.mode or 0, *(entry.times or ()), *(entry.owner or ()))
        if not all(isinstance(value, int) and abs(value) < MAX_NUMBER for value in numbers):
            raise ValueError("not an entry")
        if not isinstance(entry.link, str | None) or "\0" in entry.source + entry.target:
            raise ValueError("not an entry")
        if entry.action not in get_args(Action) or entry.action == "tag":  # which has no file
            raise ValueError("not an entry")
        if not (os.path.isabs(entry.source) and os.path.isabs(entry.target)):
            raise ValueError("a path is not absolute")
        return entry


def new_token() -> str:
    """A token for an entry."""
    return secrets.token_hex(8)


class Journal:
    """A journal that is being written; a context manager. `path` is its file."""

    def __init__(self, command: str) -> None:
        """Make a new journal in the user's folder for them. Raises DataError where that cannot be written to."""
        folder = state_folder() / "journals"
        self.path = folder / f"{time.strftime('%Y-%m-%dT%H%M%S')}-{command}-{secrets.token_hex(2)}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | BINARY, 0o600)
        except OSError as error:
            raise DataError(
                f"{printable(str(self.path))}: cannot write the journal ({error.strerror}); nothing was changed"
            ) from error
        self._length = 0
        _lock(self._descriptor, self.path)
        try:
            self._append(json.dumps({"schema": SCHEMA, "command": command}).encode() + b"\n")
        except DataError as error:
            os.close(self._descriptor)
            with suppress(OSError):
                self.path.unlink()
            raise DataError(f"{error.message}; nothing was changed") from error
        sync_folder(str(folder))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, entry: Entry) -> None:
        """Write a line to the disk. Raises DataError where that fails; the journal is then as it was."""
        self._append(entry.to_line())

    @contextmanager
    def recorded(self, entry: Entry) -> Iterator[None]:
        """Write a line before a step; where the step fails, and so changes nothing, another that it was not done."""
        self.write(entry)
        try:
            yield
        except (OSError, ImageError):
            with suppress(DataError):
                self._append(json.dumps({"failed": entry.token}).encode() + b"\n")
            raise

    @property
    def hint(self) -> str:
        """How to take back what was done."""
        return f"'{self.undo_command}' undoes what was done"

    @property
    def undo_command(self) -> str:
        """The command that takes back what was done, as a shell reads it."""
        return join_words(["clipsim", "undo", str(self.path), "--yes"])

    def _append(self, line: bytes) -> None:
        try:
            write_all(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._length)
            message = f"{printable(str(self.path))}: cannot write the journal ({error.strerror})"
            raise DataError(message, hint=self.hint) from error
        self._length += len(line)


def read_journal(path: Path) -> list[Entry]:
    """The entries of a journal, in order; steps that failed, and a last line that was torn, are none.

    Raises DataError for a file that is not a journal.
    """
    label = printable(str(path))
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{label}: cannot read the journal ({error.strerror})") from error
    return _parse(lines[:-1], label)  # what follows the last line feed is torn, or nothing


@contextmanager
def lock_journal(path: Path) -> Iterator[None]:
    """Keep other processes from using a journal. Raises DataError where one does, or where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | BINARY)
    except OSError as error:
        raise DataError(f"{printable(str(path))}: cannot read the journal ({error.strerror})") from error
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        lock_file(descriptor, wait=False)
    except BlockingIOError as error:
        raise DataError(f"{printable(str(path))}: another run of clipsim is using this journal") from error


def _parse(lines: list[bytes], label: str) -> list[Entry]:
    try:
        header = json.loads(lines[0])
        if header["schema"] != SCHEMA:
            raise ValueError("another schema")
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise DataError(f"{label}: not a journal of clipsim") from error
    entries, failed = list[Entry](), set[str]()
    for number, line in enumerate(lines[1:], start=2):
        try:
            if line.startswith(b'{"failed": '):
                failed.add(json.loads(line)["failed"])
            else:
                entries.append(Entry.from_line(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{label}: line {number} is damaged; nothing was undone") from error
    return [entry for entry in entries if entry.token not in failed]
