"""A progress bar on standard error, for terminals, and only once the work has taken a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clipsim.cli.output import messages

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 1.0  # seconds


class Bar:
    """One line that says what is going on; silent until `PATIENCE` is over, or for good."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, count="") if progress else None
        self._done = 0
        self._total: int | None = None

    def step(self, what: str, total: int | None = None) -> None:
        """Begin a piece of work, of `total` parts when that is known."""
        self._done, self._total = 0, total
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, description=what, total=total, count="")

    def advance(self, parts: int) -> None:
        """Say that some parts are done."""
        self._done += parts
        if self._progress is not None and self._task is not None:
            count = f"{self._done:,}" if self._total is None else f"{self._done:,}/{self._total:,}"
            self._progress.update(self._task, advance=parts, count=count)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Bar]:
    """A bar that disappears when the work is done."""
    if quiet or not sys.stderr.isatty() or messages().is_dumb_terminal:
        yield Bar(None)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
        console=messages(),
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
