"""The arguments of the process → one command, run with streams, environment and exit status set up."""

from __future__ import annotations

import os
import sys
import warnings
from functools import cache
from typing import Annotated, Any

import typer
from typer.main import get_command

from clipsim import __version__
from clipsim.cli.cache import cache_app
from clipsim.cli.doctor import doctor_command
from clipsim.cli.duplicates import duplicates_command
from clipsim.cli.embed import EmbedCommand, embed_command, index_command
from clipsim.cli.evaluate import evaluate_command
from clipsim.cli.exit_status import discard_output, exit_status
from clipsim.cli.explain import explain_command
from clipsim.cli.export import export_command
from clipsim.cli.fit import fit_command
from clipsim.cli.models import models_app, remove_command
from clipsim.cli.output import open_missing_streams, write
from clipsim.cli.overview import overview_command
from clipsim.cli.parsing import FastCommand, FastGroup
from clipsim.cli.rank import rank_command
from clipsim.cli.search import search_command
from clipsim.cli.serve import serve_command
from clipsim.cli.sort import sort_command
from clipsim.cli.tag import tag_command, undo_command
from clipsim.cli.threshold import compare_command, threshold_command
from clipsim.cli.vectors import vectors_app

app = typer.Typer(
    name="clipsim",
    cls=FastGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # a bug keeps its plain traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("rank", cls=FastCommand)(rank_command)
app.command("embed", cls=EmbedCommand)(embed_command)
app.command("evaluate", cls=FastCommand)(evaluate_command)
app.command("fit", cls=FastCommand)(fit_command)
app.command("threshold", cls=FastCommand)(threshold_command)
app.command("compare", cls=FastCommand)(compare_command)
app.command("search", cls=FastCommand)(search_command)
app.command("index", cls=FastCommand)(index_command)
app.command("duplicates", cls=FastCommand)(duplicates_command)
app.command("sort", cls=FastCommand)(sort_command)
app.command("tag", cls=FastCommand)(tag_command)
app.command("undo", cls=FastCommand)(undo_command)
app.command("overview", cls=FastCommand)(overview_command)
app.command("explain", cls=FastCommand)(explain_command)
app.command("serve", cls=FastCommand)(serve_command)
app.command("doctor", cls=FastCommand)(doctor_command)
models_app.command("export", cls=FastCommand)(export_command)
models_app.command("rm", cls=FastCommand)(remove_command)
app.add_typer(models_app, name="models")
app.add_typer(cache_app, name="cache")
app.add_typer(vectors_app, name="vectors")


def _print_version(wanted: bool) -> None:
    if wanted:
        write(f"clipsim {__version__}\n")
        raise typer.Exit


@app.callback()
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
def command_line() -> Any:
    """The commands and their options as Typer makes them of the functions."""
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
            status = command_line()(prog_name="clipsim", standalone_mode=False, windows_expand_args=False)
    except typer.Exit as end:
        status = end.exit_code
    except SystemExit as end:  # Typer's answer to a pipe that was closed, which is no failure
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        discard_output()
        status = 0
    sys.exit(status or 0)
