"""The command line: Typer options in, library calls, rendered text out, exit status."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from clipsim.cli.cache import cache_app
from clipsim.cli.doctor import doctor_command
from clipsim.cli.export import export_command
from clipsim.cli.models import models_app
from clipsim.cli.output import end_quietly, exit_status, open_missing_streams
from clipsim.cli.quick import QuickCommand, QuickGroup
from clipsim.cli.rank import rank_command
from clipsim.version import __version__

__all__ = ["app", "main"]

app = typer.Typer(
    name="clipsim",
    cls=QuickGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # a bug keeps its plain traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("rank", cls=QuickCommand)(rank_command)
app.command("doctor")(doctor_command)
models_app.command("export", cls=QuickCommand)(export_command)
app.add_typer(models_app, name="models")
app.add_typer(cache_app, name="cache")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clipsim {__version__}")
        raise typer.Exit


@app.callback()
def _clipsim(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Rank images against texts with CLIP models.

    Example: `clipsim rank images/*.jpeg --text maze --text cat`
    """


def main() -> None:
    """Run the command line."""
    open_missing_streams()
    warnings.simplefilter("ignore")  # libraries' remarks to programmers are nothing to a user
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an ASCII terminal gets escapes, not a crash
    try:
        with exit_status():
            app()
    except typer.Exit as end:  # raised outside any command: help and version have no other way out
        sys.exit(end.exit_code)
    except SystemExit as end:
        end_quietly(end)
