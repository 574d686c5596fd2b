"""A progress bar on standard error, for terminals, and only once the work has taken a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from clipsim.cli.output import messages

PATIENCE = 1.0  # seconds


class Bar:
    """One line that says what is going on; silent until `PATIENCE` is over, or for good."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None) if progress else None

    def step(self, what: str, total: int | None = None) -> None:
        """Begin a piece of work, of `total` parts when that is known."""
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, description=what, total=total)

    def advance(self, parts: int) -> None:
        """Say that some parts are done."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, parts)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Bar]:
    """A bar that disappears when the work is done."""
    if quiet or not sys.stderr.isatty() or messages.is_dumb_terminal:
        yield Bar(None)
        return
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
    )
    timer = threading.Timer(PATIENCE, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield Bar(progress)
    finally:
        timer.cancel()
        timer.join()
        progress.stop()
