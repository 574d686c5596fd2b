"""Text → standard output for results, standard error for everything else, one line each."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from clipsim.errors import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress

    from clipsim.cache.skipped import SkippedFiles


SECONDS_PER_DAY = 86_400
DEFAULT_WIDTH = 160  # cells, where neither standard output nor standard error is a terminal
MAX_TABLE_WIDTH = 100_000  # cells of a table with long names that goes into a pipe


class WriteError(Exception):
    """Standard output cannot be written to; `cause` is what the system said."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@cache
def messages() -> Console:
    """The console on standard error; rich is imported only by runs that print messages."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False)


def print_message(kind: str, message: str) -> None:
    """Print one line to standard error, on a terminal broken between words; `message` must be escaped."""
    from textwrap import TextWrapper

    from rich.text import Text

    console = messages()
    style = {"error": "bold red", "warning": "yellow"}.get(kind, "cyan")
    with suppress(OSError, SystemExit):  # rich raises SystemExit for a closed pipe; the results are still written
        line = f"clipsim: {kind}: {message}"
        if console.is_terminal:  # what is longer than a line, such as a path, stays whole, so that it can be copied
            words = TextWrapper(console.width, replace_whitespace=False, break_long_words=False, break_on_hyphens=False)
            line = words.fill(line)
        text = Text(line)
        text.stylize(style, len("clipsim: "), len(f"clipsim: {kind}:"))
        console.print(text)


class NoticePrinter:
    """Prints notices as they become known, each of them once; none with `quiet`.

    `skipped` are the inputs that earlier runs have skipped, where they are not named again. `write` takes the kind of a
    message and its text, as `print_message` does.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        skipped: SkippedFiles | None = None,
        write: Callable[[str, str], None] = print_message,
    ) -> None:
        self._quiet, self._write = quiet, write
        self.skipped = skipped
        self._printed: set[str] = set()

    def print(self, notices: Iterable[str]) -> None:
        """Print those that were not printed before; they must be escaped."""
        for notice in notices:
            if notice not in self._printed and not self._quiet:
                self._write("note", notice)
            self._printed.add(notice)


class ResultFile(io.TextIOWrapper):
    """A file in place of standard output; `page_folder` is where a page in it will be, if the user has named it."""

    page_folder: Path | None = None


def page_folder() -> Path | None:
    """The folder of the page that is written, where it is known."""
    return sys.stdout.page_folder if isinstance(sys.stdout, ResultFile) else None


def write(text: str) -> None:
    """Write results to standard output as UTF-8, whatever the locale; names that are not UTF-8 as their bytes."""
    if sys.stdout.isatty():  # a name in CSV must not control the terminal
        text = "\n".join(map(printable, text.split("\n")))
    with mark_write_errors():
        sys.stdout.buffer.write(text.encode("utf-8", sys.getfilesystemencodeerrors()))
        sys.stdout.buffer.flush()


def write_bytes(content: bytes) -> None:
    """Write a file of another kind than text to standard output."""
    with mark_write_errors():
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


class NamePrinter:
    """Prints names alone, each once, ended by a line feed, or with `null` by NUL.

    Names that hold a line feed are left out without `null`, with one warning: a reader would take them for two.
    """

    def __init__(self, *, null: bool) -> None:
        self._end = "\0" if null else "\n"
        self._warned = False

    def print(self, names: Iterable[str]) -> None:
        """Print names."""
        names = list(dict.fromkeys(names))
        whole = [name for name in names if self._end not in name]
        write("".join(name + self._end for name in whole))
        if len(whole) < len(names) and not self._warned:
            self._warned = True
            print_message("warning", "names that hold a line feed are left out; --null (-0) prints them too")


def table_width() -> int:
    """The width of the terminal: `COLUMNS`, else standard output's, else standard error's."""
    from rich.console import Console

    if "COLUMNS" in os.environ or sys.stdout.isatty():
        return Console().width
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):
        return DEFAULT_WIDTH


def print_table(*parts: RenderableType) -> None:
    """Draw rich tables and texts on standard output; off a terminal, a table is as wide as its names need."""
    from rich.console import Console
    from rich.text import Text

    width = table_width()
    drawn = _Drawing()
    console = Console(file=drawn, highlight=False)
    if console.legacy_windows:  # whose terminal would show the escapes of colours
        console = Console(file=drawn, highlight=False, color_system=None)
    for part in parts:
        console.width = width
        if not isinstance(part, Text) and not sys.stdout.isatty():
            console.width = max(width, Console(width=MAX_TABLE_WIDTH).measure(part).maximum)
        console.print(part)
    drawing = drawn.getvalue()
    if not sys.stdout.isatty():  # no blanks behind rows, as wide as the longest name
        drawing = "\n".join(map(str.rstrip, drawing.split("\n")))
    with mark_write_errors():
        sys.stdout.write(drawing)
        sys.stdout.flush()


class _Drawing(io.StringIO):
    """Text in memory that is drawn as for standard output: rich itself would end the program when a pipe is closed."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """In ASCII, rich draws rules in ASCII."""
        return sys.stdout.encoding

    def isatty(self) -> bool:
        """On a terminal, rich draws in colours."""
        return sys.stdout.isatty()


def legend_is_due() -> bool:
    """Whether to explain a table: on a terminal once a day, elsewhere always."""
    if not sys.stdout.isatty():
        return True
    from clipsim.models.settings import cache_folder

    marker = cache_folder() / "legend-shown"
    try:
        shown = time.time() - marker.stat().st_mtime < SECONDS_PER_DAY
    except OSError:
        shown = False
    if not shown:
        with suppress(OSError):  # where the folder cannot be written to, it is shown each time
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
    return not shown


@contextmanager
def mark_write_errors() -> Iterator[None]:
    """Raise WriteError for an OSError of standard output, so that no other OSError is taken for one."""
    try:
        yield
    except BrokenPipeError:
        raise
    except SystemExit as end:  # rich's answer to a closed pipe
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise
    except OSError as error:
        if sys.platform == "win32" and error.errno == errno.EINVAL:  # a pipe that is closed, as Windows says it
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
        raise WriteError(error) from error


def open_missing_streams() -> None:
    """Open null streams for those that were closed at the start, lowest first, as the system numbers them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 (for as long as the program runs)


def _print_progress(line: str, *, as_json: bool) -> None:
    if not as_json:
        print_message("progress", line)
        return
    with suppress(OSError, ValueError):  # of a reader that has gone; the work goes on
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


DELAY_SECONDS = 1.0
LINE_SECONDS = 10.0


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

    def advance(self, parts: int, node: str | None = None) -> None:  # noqa: ARG002 (a bar has no room for nodes)
        """Count parts as done, by the machine or device that did them where several work."""
        self._done += parts
        if self._progress is not None and self._task is not None:
            count = f"{self._done:,}" if self._total is None else f"{self._done:,}/{self._total:,}"
            self._progress.update(self._task, advance=parts, count=count)
            speed = self._progress.tasks[0].speed
            if speed:
                self._progress.update(self._task, rate=f"{speed:,.{0 if speed >= 10 else 1}f}/s")


class ProgressLines(Bar):
    """The work in progress as lines of text or of JSON: one as each step begins, then every `LINE_SECONDS`, and a last.

    Parts a second are those since the step began.
    """

    def __init__(
        self, *, as_json: bool, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(None)
        self._as_json, self._write, self._clock = as_json, write, clock
        self._what = ""
        self._start = self._begun = self._written = 0.0
        self._nodes: dict[str, int] = {}
        self._fresh = True  # whether something has happened since the last line

    def step(self, what: str, total: int | None = None, done: int = 0) -> None:
        """Begin a step of the work, with a line."""
        super().step(what, total, done)
        self._what, self._start, self._begun, self._nodes = what, done, self._clock(), {}
        self._print()

    def advance(self, parts: int, node: str | None = None) -> None:
        """Count parts as done; a line where the last one is old enough."""
        super().advance(parts, node)
        if node is not None:
            self._nodes[node] = self._nodes.get(node, 0) + parts
        self._fresh = self._fresh or parts > 0
        if self._clock() - self._written >= LINE_SECONDS:
            self._print()

    def close(self) -> None:
        """Print how far the work came."""
        if self._fresh:
            self._print()

    def _print(self) -> None:
        self._written, self._fresh = self._clock(), False
        elapsed = self._written - self._begun
        rate = (self._done - self._start) / elapsed if elapsed > 0 else 0.0
        left = None if self._total is None or not rate else max(0, self._total - self._done) / rate
        nodes = {node: done / elapsed for node, done in sorted(self._nodes.items()) if elapsed > 0}
        if self._as_json:
            record = {
                "schema": "clipsim.progress/1",
                "stage": self._what,
                "done": self._done,
                "total": self._total,
                "per_second": round(rate, 3),
                "seconds_left": None if left is None else round(left, 1),
                "nodes": {node: round(own_rate, 3) for node, own_rate in nodes.items()},
            }
            self._write(json.dumps(record))
            return
        parts = [self._what]
        if self._done or self._total is not None:
            parts[0] += f" {self._done:,}" + ("" if self._total is None else f"/{self._total:,}")
        if rate:
            parts.append(f"{rate:,.1f}/s")
        if left:
            parts.append(f"{timedelta(seconds=round(left))} left")
        by_node = [f"{printable(node)} {own_rate:,.1f}/s" for node, own_rate in nodes.items()]
        self._write("; ".join([", ".join(parts), *([", ".join(by_node)] if by_node else [])]))


@contextmanager
def progress_bar(*, quiet: bool, rate: bool = False, form: str = "auto") -> Iterator[Bar]:
    """A bar that disappears when the work is done; one line on a terminal of any width, with `rate` parts a second.

    `form` is "auto", or "plain" or "json" for lines on standard error, on a terminal or not.
    """
    if form != "auto":
        lines = ProgressLines(as_json=form == "json", write=partial(_print_progress, as_json=form == "json"))
        try:
            yield lines
        finally:
            lines.close()
        return
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
