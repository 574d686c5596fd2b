"""What a command does with files → frozen records: `FileStep`, one file, and `PlanResult`, the whole plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from clipsim.errors import Failure, plain_number
from clipsim.results.base import ModelRecord, Result, plain_fields

Action = Literal["copy", "link", "move", "hardlink", "write", "mkdir", "tag"]


@dataclass(frozen=True)
class FileStep:
    """One file of a plan, and whether what is planned has been `done`.

    `action` says what becomes of `source`: a "copy", a symbolic "link" or a "move" to `target`; "hardlink" replaces
    it by a hard link to `target`; "write" writes its sidecar `target`; "tag" has no file; "mkdir" is a new folder.
    `labels` are those it has, `similarity` and `probability` those of the first. `keeper` is the copy of the source
    that stays.
    """

    action: Action
    source: str
    target: str | None
    labels: tuple[str, ...] = ()
    similarity: float | None = None
    probability: float | None = None
    keeper: str | None = None
    done: bool = False

    def to_dict(self) -> dict[str, Any]:
        """An element of "steps"; numbers have seven significant digits."""
        values: dict[str, Any] = {**vars(self), "labels": list(self.labels)}
        for name in ("similarity", "probability"):
            values[name] = None if values[name] is None else plain_number(values[name])
        return values


@dataclass(frozen=True, repr=False, kw_only=True)
class PlanResult(Result):
    """What a command is going to do with files or, once it is `applied`, has done.

    `left` are images that stay as they are, since no label fits or they are at their place already. `journal` is the
    file that `clipsim undo` reads. `model` is None where none was used.
    """

    schema: ClassVar[str] = "clipsim.plan/1"

    command: str
    model: ModelRecord | None
    steps: tuple[FileStep, ...]
    left: tuple[str, ...] = ()
    applied: bool = False
    journal: str | None = None
    errors: tuple[Failure, ...] = ()

    def __repr__(self) -> str:
        """Short, whatever the number of files."""
        return f"PlanResult({self.command!r}, steps={len(self.steps)}, applied={self.applied})"

    @property
    def done(self) -> int:
        """The number of steps that are done."""
        return sum(step.done for step in self.steps)

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a step; its labels in one text."""
        return [{**step.to_dict(), "labels": ", ".join(step.labels)} for step in self.steps]

    def _plain_fields(self) -> dict[str, Any]:
        values = plain_fields(self)
        first = {name: values.pop(name) for name in ("command", "applied", "journal")}
        return {**first, **values}
