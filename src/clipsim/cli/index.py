"""`clipsim index`: build or remove the index of a folder of vectors, and say what it finds."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.exit_status import exit_status
from clipsim.cli.output import NoticePrinter, print_message, print_table, write
from clipsim.cli.progress import Bar, progress_bar
from clipsim.cli.threads import multiply_in_one_thread
from clipsim.errors import UsageError, printable


class Kind(str, Enum):
    """How a folder of vectors is searched."""

    auto = "auto"
    exact = "exact"
    ivf = "ivf"


def index_command(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder of vectors that `clipsim embed` wrote.")],
    kind: Annotated[
        Kind,
        typer.Option(
            help="ivf: lists of near vectors, of which a search reads a few; exact: none, a search compares all; "
            "auto: ivf from a million vectors on."
        ),
    ] = Kind.auto,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the index instead.")] = False,
    as_json: shared.AsJson = False,
    quiet: shared.Quiet = False,
) -> None:
    """Build an index of many vectors, so that `clipsim search` need not compare all of them.

    It is measured against an exact search: recall@10 says how many of the ten nearest images it finds.

    Example: `clipsim index vectors/`
    """
    with exit_status():
        if remove and (as_json or kind is not Kind.auto):
            raise UsageError("--remove goes without --kind and --json")
        multiply_in_one_thread()
        from clipsim.api.index import index_dataset, remove_index

        if remove:
            there = remove_index(folder)
            print_message("note", f"{printable(folder)}: {'the index is removed' if there else 'there is no index'}")
            return
        with progress_bar(quiet=quiet) as bar:
            result = index_dataset(folder, kind=kind.value, on_step=_Steps(bar))
        NoticePrinter(quiet=quiet).print(result.warnings)
        from clipsim.render.index import build_index_table, format_index_json

        if as_json:
            write(format_index_json(result))
        else:
            print_table(build_index_table(result))


class _Steps:
    """Moves a bar as the library's steps are called."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._what, self._done = bar, "", 0

    def __call__(self, what: str, total: int | None, done: int) -> None:
        if what != self._what:
            self._bar.step(what, total)
            self._what, self._done = what, 0
        self._bar.advance(done - self._done)
        self._done = done
