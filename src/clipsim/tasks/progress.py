"""How far a task is: the one record that every task hands to its caller's `progress` while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clipsim.errors import Failure, UsageError


@dataclass(frozen=True)
class Progress:
    """A step of a task's work.

    `done` counts the parts of the `stage` that are complete, of `total`, which is None where it is not known.
    `failures` are the inputs that could not be used since the step before, `notices` what the caller should know by
    now; a notice may come again. `node` is the machine or device that did the parts since the step before, where
    several work.
    """

    stage: str
    done: int
    total: int | None
    failures: tuple[Failure, ...] = ()
    notices: tuple[str, ...] = ()
    node: str | None = None


# Called in the thread that runs the task. What it raises ends the task, which is how one is cancelled.
ProgressCallback = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Do nothing."""


def check_progress(progress: ProgressCallback | None) -> ProgressCallback:
    """What is called with each step: the caller's function, or nothing. Raises UsageError for what cannot be called."""
    if progress is None:
        return ignore_progress
    if not callable(progress):
        raise UsageError("not a function that takes a clipsim.Progress", parameter="progress", value=progress)
    return progress
