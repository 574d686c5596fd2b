"""Where the command line writes: results to standard output, everything else to standard error, one line each."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from clipsim.errors import ClipsimError, UsageError
from clipsim.names import printable

NOTHING_DONE, WRONG_USAGE, SOME_SKIPPED, INTERRUPTED = 1, 2, 3, 130

messages = Console(stderr=True, soft_wrap=True, highlight=False)


def say(kind: str, message: str) -> None:
    """Write one line to standard error; `message` is escaped already."""
    style = {"error": "bold red", "warning": "yellow"}.get(kind, "cyan")
    messages.print(Text.assemble("clipsim: ", (f"{kind}: ", style), message))


def write(text: str) -> None:
    """Write results to standard output as UTF-8, whatever the locale; names that are not UTF-8 as their bytes."""
    if sys.stdout.isatty():  # a name in CSV must not act on the terminal
        text = "\n".join(map(printable, text.split("\n")))
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def print_table(table: RenderableType, width: int | None = None) -> None:
    """Draw a rich table on standard output."""
    console = Console(highlight=False, width=width)
    with console.capture() as drawn:  # rich itself would end the program when a pipe is closed
        console.print(table)
    sys.stdout.write(drawn.get())
    sys.stdout.flush()


@contextmanager
def exit_status() -> Iterator[None]:
    """Turn what the library raises into one line on standard error and the promised exit status."""
    try:
        yield
    except UsageError as error:
        say("error", str(error))
        raise typer.Exit(WRONG_USAGE) from error
    except ClipsimError as error:
        say("error", str(error))
        raise typer.Exit(NOTHING_DONE) from error
    except BrokenPipeError as error:
        _forget_standard_output()  # the reader has had enough; that is no failure
        raise typer.Exit(0) from error
    except OSError as error:
        if error.filename is not None:  # a file of ours: a bug keeps its traceback
            raise
        _forget_standard_output()
        say("error", f"cannot write the results: {error.strerror}")
        raise typer.Exit(NOTHING_DONE) from error
    except KeyboardInterrupt:
        _forget_standard_output()
        say("error", "interrupted")
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # without waiting for pictures that are still being decoded


def _forget_standard_output() -> None:
    """Keep the interpreter from flushing into a pipe or disk that takes nothing more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
