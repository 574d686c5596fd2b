"""Where the command line writes: results to standard output, everything else to standard error, one line each."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

import typer

from clipsim.errors import ClipsimError, UsageError
from clipsim.names import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

NOTHING_DONE, WRONG_USAGE, SOME_SKIPPED = 1, 2, 3

AMPLE = 160  # cells


@cache
def messages() -> Console:
    """The console on standard error; rich is for runs that have something to say."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False)


def say(kind: str, message: str) -> None:
    """Write one line to standard error; `message` is escaped already."""
    from rich.text import Text

    style = {"error": "bold red", "warning": "yellow"}.get(kind, "cyan")
    with suppress(OSError, SystemExit):  # rich's word for a closed pipe; nobody listens, and the results still count
        messages().print(Text.assemble("clipsim: ", (f"{kind}: ", style), message))


def write(text: str) -> None:
    """Write results to standard output as UTF-8, whatever the locale; names that are not UTF-8 as their bytes."""
    if sys.stdout.isatty():  # a name in CSV must not act on the terminal
        text = "\n".join(map(printable, text.split("\n")))
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def table_width() -> int:
    """The width of the terminal, or of `COLUMNS`; ample where there is neither."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal or "COLUMNS" in os.environ else AMPLE


def print_table(table: RenderableType) -> None:
    """Draw a rich table on standard output."""
    from rich.console import Console

    console = Console(highlight=False, width=table_width())
    with console.capture() as drawn:  # rich itself would end the program when a pipe is closed
        console.print(table)
    sys.stdout.write(drawn.get())
    sys.stdout.flush()


@contextmanager
def exit_status() -> Iterator[None]:
    """Turn what the library raises into one line and the promised exit status."""
    try:
        yield
    except BaseException as error:
        status = _tell(error)
        if status is None:
            raise
        raise typer.Exit(status) from error


def _tell(error: BaseException) -> int | None:
    """Write the line for an error and give the status; None for what is not the user's business: a bug."""
    if isinstance(error, ClipsimError):
        say("error", str(error))
        return WRONG_USAGE if isinstance(error, UsageError) else NOTHING_DONE
    if isinstance(error, BrokenPipeError):  # the reader has had enough; that is no failure
        _forget_standard_output()
        return 0
    if isinstance(error, OSError) and error.filename is None and error.errno is not None:
        _forget_standard_output()
        say("error", f"cannot write the results: {error.strerror}")
        return NOTHING_DONE
    return None


def end_quietly(end: SystemExit) -> None:
    """Turn Typer's status for help that went into a closed pipe into success; pass on any other end."""
    if isinstance(end.__context__, BrokenPipeError):
        _forget_standard_output()
        sys.exit(0)
    raise end


def open_missing_streams() -> None:
    """Give a program that was started with closed streams null ones, lowest first, as the system numbers them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 (for as long as the program runs)


def _forget_standard_output() -> None:
    """Keep the interpreter from flushing into a pipe or disk that takes nothing more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
