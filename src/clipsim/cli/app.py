"""The arguments of the process → one command, run with streams, environment and exit status set up."""

from __future__ import annotations

import os
import sys
import warnings
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command

from clipsim import __version__
from clipsim.cli.exit_status import discard_output, exit_status
from clipsim.cli.output import open_missing_streams, write
from clipsim.cli.parsing import EmbedCommand, FastCommand, FastGroup

# The commands in the order of the help: the module and the name of each one's function, or of its group of commands.
COMMANDS = {
    "rank": ("rank", "rank_command"),
    "embed": ("embed", "embed_command"),
    "evaluate": ("evaluate", "evaluate_command"),
    "fit": ("fit", "fit_command"),
    "threshold": ("threshold", "threshold_command"),
    "compare": ("threshold", "compare_command"),
    "search": ("search", "search_command"),
    "index": ("embed", "index_command"),
    "duplicates": ("duplicates", "duplicates_command"),
    "sort": ("sort", "sort_command"),
    "tag": ("tag", "tag_command"),
    "undo": ("tag", "undo_command"),
    "overview": ("overview", "overview_command"),
    "explain": ("explain", "explain_command"),
    "serve": ("serve", "serve_command"),
    "doctor": ("doctor", "doctor_command"),
    "models": ("models", "models_app"),
    "cache": ("cache", "cache_app"),
    "vectors": ("vectors", "vectors_app"),
}


def _print_version(wanted: bool) -> None:
    if wanted:
        write(f"clipsim {__version__}\n")
        raise typer.Exit


def _clipsim(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Rank images against texts with CLIP models.

    Example: `clipsim rank images/*.jpeg --text maze --text cat`
    """


@cache
def command_line(first_word: str = "") -> Any:
    """The commands and their options as Typer makes them of the functions; one alone where a word names it."""
    app = typer.Typer(
        name="clipsim",
        cls=FastGroup,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,  # a bug keeps its plain traceback
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_clipsim)
    for name in [first_word] if first_word in COMMANDS else COMMANDS:
        module, attribute = COMMANDS[name]
        found = getattr(import_module(f"clipsim.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name, cls=EmbedCommand if name == "embed" else FastCommand)(found)
    return get_command(app)


def run() -> None:
    """Run the command line and end the process."""
    open_missing_streams()
    warnings.simplefilter("ignore")  # other libraries' warnings are meant for programmers
    # OpenMP's waiting threads would spin and take the cores from decoding threads and from other processes
    # (benchmarks/README.md has figures); read when torch is imported
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an ASCII terminal gets escapes, not a crash
    try:
        with exit_status():
            # names and patterns are taken as they are: on Windows, Typer would expand those of texts and --include too
            commands = command_line(*sys.argv[1:2])
            status = commands(prog_name="clipsim", standalone_mode=False, windows_expand_args=False)
    except typer.Exit as end:
        status = end.exit_code
    except SystemExit as end:  # Typer's answer to a pipe that was closed, which is no failure
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        discard_output()
        status = 0
    sys.exit(status or 0)
