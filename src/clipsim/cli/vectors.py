"""`clipsim vectors export`: its options, its run with a progress bar, and the summary."""

from __future__ import annotations

from typing import Annotated

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.collections import report_progress
from clipsim.cli.output import NoticePrinter, print_table, progress_bar, write
from clipsim.cli.parameters import argument, flag, option
from clipsim.cli.parsing import FastCommand, FastGroup

vectors_app = typer.Typer(cls=FastGroup, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


@vectors_app.callback()
def _vectors() -> None:
    """Take the vectors that `clipsim embed` wrote to other engines.

    Example: `clipsim vectors export vectors/ --to lance -o database/`
    """


@vectors_app.command("export", cls=FastCommand)
def export_command(
    folder: Annotated[str, argument("DIR", "A folder of vectors that `clipsim embed` wrote.")],
    to: Annotated[
        str,
        option(
            "--to",
            "ENGINE",
            None,
            "parquet, lance (LanceDB), qdrant (a folder, for its local mode), or a server's address, "
            "qdrant://HOST:PORT/COLLECTION (qdrant+https:// with TLS).",
        ),
    ],
    output: Annotated[
        str | None,
        option("--output -o", "FOLDER", None, "The folder to write, or its address; not for a server."),
    ] = None,
    name: Annotated[str, option("--name", "NAME", None, "The table or collection.")] = "images",
    overwrite: Annotated[
        bool, flag("--overwrite", None, "Remove what the table or collection holds; else rows are replaced by id.")
    ] = False,
    form: shared.WholeFormatOption = "table",
    as_json: shared.FormatJson = False,
    quiet: shared.Quiet = False,
) -> None:
    """Write the rows of a data set, with ids, names, captions, columns and vectors, for another engine.

    The id of an image follows from its name, so that the same command again replaces rows.

    Example: `clipsim vectors export vectors/ --to parquet -o table/`

    Into a server: `clipsim vectors export vectors/ --to qdrant://localhost:6333/images`
    """
    as_json = shared.choose_format(form, as_json) == "json"
    from clipsim.tasks import export_vectors

    notices = NoticePrinter(quiet=quiet)
    request = export_vectors.ExportRequest(folder, to, output, name, overwrite)
    with progress_bar(quiet=quiet, rate=True) as bar:
        result = export_vectors.run(request, report_progress(bar, notices))
    notices.print(result.warnings)
    if as_json:
        from clipsim.render.json import format_json

        write(format_json(result))
    else:
        from clipsim.render.search import build_export_table

        print_table(build_export_table(result))
