"""`clipsim compare`: two results of earlier runs → what changed, as tables or JSON."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.exit_status import exit_status
from clipsim.cli.output import NoticePrinter, print_table, write
from clipsim.cli.parameters import WholeFormat

RESULT_HELP = "A result of `clipsim rank --json` or `clipsim evaluate --json`."


def compare_command(
    a: Annotated[str, typer.Argument(metavar="A.json", help=RESULT_HELP)],
    b: Annotated[str, typer.Argument(metavar="B.json", help="Another of the same kind.")],
    seed: shared.Seed = 0,
    output: shared.WholeFormatOption = WholeFormat.table,
    as_json: shared.FormatJson = False,
    quiet: shared.Quiet = False,
) -> None:
    """Say what changed from one result of `rank` or `evaluate` to another.

    Example: `clipsim compare monday.json friday.json`
    """
    with exit_status():
        from clipsim.api.comparison import find_changes

        result = find_changes(a, b, seed=seed)
        NoticePrinter(quiet=quiet).print(result.warnings)
        if as_json or output is WholeFormat.json:
            from clipsim.render.json import format_json

            write(format_json(result))
        else:
            from clipsim.render.change_table import build_changes

            print_table(*build_changes(result, whole_names=not sys.stdout.isatty()))
