"""`clipsim cache`: what the cache of vectors holds, and how to make it smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.exit_status import NOTHING_DONE
from clipsim.cli.output import NoticePrinter, print_message, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import option, parse_age, parse_size
from clipsim.cli.parsing import FastCommand, FastGroup
from clipsim.errors import UsageError, pluralise, printable
from clipsim.models.settings import cache_folder
from clipsim.render.json import to_json

if TYPE_CHECKING:
    from clipsim.cache.database import Database


cache_app = typer.Typer(cls=FastGroup, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


@cache_app.callback()
def _cache() -> None:
    """Show or empty the cache of vectors, which makes repeated runs fast.

    It is one file in CLIPSIM_CACHE_DIR, or in the system's folder for caches; `rank --no-cache` does not use it.

    Example: `clipsim cache info`
    """


@cache_app.command("info", cls=FastCommand)
@with_output_file
def info_command(as_json: shared.AsJson = False) -> None:
    """Show where the cache is and what it holds.

    Example: `clipsim cache info`
    """
    from clipsim.cache.maintenance import describe

    found = describe(_open())
    if as_json:
        models = [vars(model) for model in found.models]
        write(to_json({**vars(found), "models": models}) + "\n")
        return
    write(
        f"{printable(found.path)}\n"
        f"{found.bytes / 1e6:,.1f} MB; {pluralise(found.vectors, 'vector')} in {pluralise(found.spaces, 'set')} "
        "(the texts or images of a model, in one precision); "
        f"{pluralise(found.files, 'known file')}\n"
    )
    for model in found.models:
        name = "a model of an earlier version of clipsim" if model.model is None else printable(model.model)
        counts = f"{pluralise(model.images, 'image')}, {pluralise(model.texts, 'text')}"
        write(f"{name}, {model.precision}: {counts}\n" if model.precision else f"{name}: {counts}\n")
    if found.oldest is not None:
        write(f"last used on {found.latest}; some not since {found.oldest}\n")


@cache_app.command("clear", cls=FastCommand)
def clear_command() -> None:
    """Remove all vectors.

    Example: `clipsim cache clear`
    """
    from clipsim.cache.maintenance import clear

    removed = clear(_open())
    print_message("note", f"{pluralise(removed, 'vector')} removed")


@cache_app.command("prune", cls=FastCommand)
def prune_command(
    older_than: Annotated[
        str | None, option("--older-than", "AGE", None, "Remove vectors that were not used for so long: 12h, 30d, 8w.")
    ] = None,
    max_size: Annotated[
        str | None,
        option(
            "--max-size", "SIZE", None, "Then remove the least recently used until the cache is no larger: 500MB, 2GB."
        ),
    ] = None,
) -> None:
    """Remove vectors that were not used recently.

    Example: `clipsim cache prune --older-than 30d --max-size 2GB`
    """
    if older_than is None and max_size is None:
        raise UsageError("give --older-than AGE, --max-size SIZE or both; 'clipsim cache clear' removes everything")
    age = None if older_than is None else parse_age(older_than)
    size = None if max_size is None else parse_size(max_size)
    from clipsim.cache.maintenance import prune, size_on_disk

    database = _open()
    removed = prune(database, older_than=age, max_bytes=size)
    left = size_on_disk(database.path)
    print_message("note", f"{pluralise(removed, 'vector')} removed; {left / 1e6:,.1f} MB left")


def _open() -> Database:
    """Open the cache; where it cannot be used, a notice says why and the run ends."""
    from clipsim.cache.database import Database

    database = Database(cache_folder())
    NoticePrinter().print(database.notices)
    if not database.usable:
        raise typer.Exit(NOTHING_DONE)
    return database
