"""Progress of a run → a bar on standard error, on terminals only, and once the work has taken a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from clipsim.cli.output import messages

if TYPE_CHECKING:
    from rich.progress import Progress

DELAY_SECONDS = 1.0


class Bar:
    """A line that names the work in progress, shown after `DELAY_SECONDS`; without `progress` it is never shown."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, count="", rate="") if progress else None
        self._done = 0
        self._total: int | None = None

    def step(self, what: str, total: int | None = None, done: int = 0) -> None:
        """Begin a step of the work, of `total` parts where that is known, `done` of which are complete already."""
        self._done, self._total = done, total or self._total
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, description=what, total=self._total, completed=done, count="", rate="")

    def count_total(self, count: Callable[[], int]) -> None:
        """Find out the total beside the work, where the bar is shown at all."""
        if self._progress is None:
            return

        def run() -> None:
            with suppress(Exception):  # what is wrong with the inputs is reported by the work itself
                self._total = count()
                if self._progress is not None and self._task is not None:
                    self._progress.update(self._task, total=self._total)

        threading.Thread(target=run, name="count", daemon=True).start()

    def advance(self, parts: int) -> None:
        """Count parts as done."""
        self._done += parts
        if self._progress is not None and self._task is not None:
            count = f"{self._done:,}" if self._total is None else f"{self._done:,}/{self._total:,}"
            self._progress.update(self._task, advance=parts, count=count)
            speed = self._progress.tasks[0].speed
            if speed:
                self._progress.update(self._task, rate=f"{speed:,.{0 if speed >= 10 else 1}f}/s")


@contextmanager
def progress_bar(*, quiet: bool, rate: bool = False) -> Iterator[Bar]:
    """A bar that disappears when the work is done; one line on a terminal of any width, with `rate` parts a second."""
    if quiet or not sys.stderr.isatty() or messages().is_dumb_terminal:
        yield Bar(None)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column

    def one_line(shrinks: bool = False) -> Column:
        return Column(no_wrap=True, overflow="ellipsis" if shrinks else "crop", ratio=1 if shrinks else None)

    wide = messages().width >= 60
    progress = Progress(
        SpinnerColumn(table_column=one_line()),
        TextColumn("{task.description}", table_column=one_line(shrinks=not wide)),
        *([BarColumn(bar_width=None, table_column=Column(ratio=1))] if wide else []),
        TextColumn("{task.fields[count]}", table_column=one_line()),
        *([TextColumn("{task.fields[rate]}", table_column=one_line())] if wide and rate else []),
        *([TimeRemainingColumn(table_column=one_line())] if wide else []),
        console=messages(),
        transient=True,
        expand=True,
    )
    timer = threading.Timer(DELAY_SECONDS, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield Bar(progress)
    finally:
        timer.cancel()
        timer.join()
        progress.stop()
