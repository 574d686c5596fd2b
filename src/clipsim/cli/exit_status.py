"""What the library raises → one line on standard error, and an exit status."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from clipsim.cli.output import WriteError, print_message
from clipsim.errors import ClipsimError, ClusterLostError, Setting, UsageError, printable

NOTHING_DONE, WRONG_USAGE, SOME_SKIPPED, CLUSTER_LOST = 1, 2, 3, 4
_OPTIONS = {  # of parameters whose option is not their own name, or that are arguments
    "texts": "--text",
    "templates": "--template",
    "template_sets": "--template-set",
    "models": "--model",
    "request_seconds": "--timeout",
    "images": "IMAGES",
    "sources": "IMAGES",
    "data": "DATA",
    "folder": "DIR",
    "actors": "--workers",
    "token": "--token-file",
    "hosts": "--allow-host",
    "origins": "--allow-origin",
}
_FLAGS_OFF = {"cache": "--no-cache", "pixels": "--no-pixel-check"}
_BARE = re.compile(r"[\w@%+=:,./-]+")


@contextmanager
def exit_status() -> Iterator[None]:
    """Turn what the library raises into one line and the exit status."""
    try:
        yield
    except BaseException as error:
        status = report_error(error)
        if status is None:
            raise
        raise typer.Exit(status) from error


def report_error(error: BaseException) -> int | None:
    """Print the line for an error and return the status; None for a bug, which keeps its traceback."""
    if isinstance(error, ClipsimError):
        print_message("error", error.worded(word_option))
        if isinstance(error, ClusterLostError):
            return CLUSTER_LOST
        return WRONG_USAGE if isinstance(error, UsageError) else NOTHING_DONE
    if isinstance(error, BrokenPipeError):  # the reader has closed the pipe, which is no failure
        discard_output()
        return 0
    if isinstance(error, WriteError):
        discard_output()
        print_message("error", f"cannot write the results: {error.cause.strerror}")
        return NOTHING_DONE
    if isinstance(error, typer.TyperException):
        return report_usage(error)
    if isinstance(error, MemoryError):
        print_message("error", "not enough memory")
        return NOTHING_DONE
    return None


def word_option(setting: Setting) -> str:
    """A parameter of the library and its value, as the command line has them.

    >>> word_option(Setting("sort_by", "a cat")), word_option(Setting("truncate")), word_option(Setting("texts", None))
    ("--sort-by 'a cat'", '--truncate', '--text')
    """
    name, value = setting.name, setting.value
    if value is False and name in _FLAGS_OFF:
        return _FLAGS_OFF[name]
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    if value is None or value is True:
        return option
    written = f"{value:g}" if isinstance(value, float) else setting.escaped
    return f"{option} {written}" if _BARE.fullmatch(written) else f"{option} '{written}'"


def report_usage(error: typer.TyperException) -> int:
    """Print the line for a command line that Typer could not read, and return the status."""
    if type(error).__name__ == "NoArgsIsHelpError":  # which has printed the help
        return WRONG_USAGE
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".?").replace("\n", " ")
    message = message[:1].lower() + message[1:]
    meant: str | None = getattr(error, "hint", None)  # of `parsing`, and escaped
    hint = "" if context is None else f"; '{context.command_path} --help' lists the options"
    print_message("error", printable(message) + (f"; did you mean: {meant}" if meant else hint))
    return WRONG_USAGE


def discard_output() -> None:
    """Keep the interpreter from flushing into a pipe that is closed or a disk that is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
