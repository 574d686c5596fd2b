"""`clipsim duplicates`: its options, its run, and the groups that were found in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.collections import (
    end_with_failures,
    find_named_targets,
    multiply_in_one_thread,
    report_progress,
)
from clipsim.cli.output import NoticePrinter, print_message, print_table, progress_bar, table_width, write
from clipsim.cli.parameters import Format
from clipsim.cli.preview import MAX_PAGE_IMAGES, MaxPageImages, check_terminal
from clipsim.errors import UsageError

if TYPE_CHECKING:
    from clipsim.results.search import DuplicatesResult


@shared.with_run_options("truncate")
def duplicates_command(
    where: shared.Where = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    min_similarity: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="The least cosine of two images that are alike. [default: 0.94]",
            show_default=False,
            rich_help_panel=shared.OUTPUT,
        ),
    ] = None,
    exact_files: Annotated[
        bool,
        typer.Option(
            "--exact-files", help="Only files with the same bytes; no model is needed.", rich_help_panel=shared.OUTPUT
        ),
    ] = False,
    no_pixel_check: Annotated[
        bool, typer.Option("--no-pixel-check", help="Skip the pixel comparison.", rich_help_panel=shared.OUTPUT)
    ] = False,
    output: shared.FormatOption = Format.table,
    as_json: shared.FormatJson = False,
    paths: Annotated[
        bool,
        typer.Option(
            "--paths", "-l", help="Print the names of the redundant copies alone.", rich_help_panel=shared.OUTPUT
        ),
    ] = False,
    null: shared.EndInNull = False,
    max_images: MaxPageImages = MAX_PAGE_IMAGES,
    *,
    run: shared.Run,
) -> None:
    """Find images that are copies of each other, also re-encoded or resized, and images that are alike.

    Example: `clipsim duplicates photos/`

    List the redundant copies: `clipsim duplicates photos/ -l`
    """
    output = shared.choose_format(output, as_json, paths, null)
    if output is Format.html:
        check_terminal()
    where = where or []
    if not where and from_file is None:
        raise UsageError("nothing to search: pass a folder, images, or a folder of vectors")
    shared.check_standard_input(*where, from_file)
    if exact_files and (min_similarity is not None or no_pixel_check):
        raise UsageError("--exact-files compares bytes; give it without --min-similarity and --no-pixel-check")
    chosen = shared.choose_names(include, exclude)
    notices = run.notices()
    multiply_in_one_thread()
    from clipsim.tasks import duplicates, same_files
    from clipsim.tasks.search_targets import recorded_model

    request = duplicates.DuplicatesRequest((), min_similarity, pixels=not no_pixel_check)
    run_options = run.run_options()
    request = replace(request, targets=find_named_targets(where, from_file, chosen))
    with progress_bar(quiet=run.quiet) as bar:
        progress = report_progress(bar, notices)
        if exact_files:
            result = same_files.run(request.targets, progress)
        else:
            from clipsim.embedding.embedder import Embedder

            model = run.model if run.model or run.weights else recorded_model(where)
            model_options = run.model_options(model)
            with Embedder(model_options, run_options, own_process=True) as embedder:
                result = duplicates.run(embedder, request, progress)
    notices.print(result.warnings)
    if output is Format.html:
        _print_page(result, request.targets, max_images, notices)
    else:
        _print_result(result, output, paths=paths, null=null)
    end_with_failures(len(result.errors), result.compared)


def _print_page(result: DuplicatesResult, targets: Sequence[object], max_images: int, notices: NoticePrinter) -> None:
    """The page of as many groups as it may hold images; these are decoded for it."""
    from clipsim.images.thumbnails import ThumbnailRules
    from clipsim.render.search_page import format_duplicates_page
    from clipsim.tasks.search import read_shown_images

    if not result.compared:
        return
    images = accumulate(len(group.images) for group in result.groups)
    groups = sum(1 for count in images if count <= max_images)
    if groups < len(result.groups):
        notices.print(
            [
                f"the page shows {groups:,} of {len(result.groups):,} groups, whose images it may hold; "
                "--max-images allows more"
            ]
        )
    names = [image.image for group in result.groups[:groups] for image in group.images]
    for piece in format_duplicates_page(result, read_shown_images(names, targets, ThumbnailRules()), groups):
        write(piece)


def _print_result(result: DuplicatesResult, output: Format, *, paths: bool, null: bool) -> None:
    from clipsim.render import json as render

    if paths:
        names = [name for name in result.redundant if null or "\n" not in name]
        if len(names) < len(result.redundant):
            print_message("warning", "names that hold a line feed are left out; --null (-0) prints them too")
        write("".join(render.format_paths(iter(names), null=null)))
    elif output is Format.json:
        write(render.format_json(result))
    elif output is Format.jsonl:
        write("".join(render.format_lines(result.groups, result.errors)))
    elif output is Format.csv:
        write("".join(render.format_duplicates_csv(result)))
    elif result.compared:
        from clipsim.render.search import build_duplicates_table

        print_table(*build_duplicates_table(result, table_width(), whole_names=not sys.stdout.isatty()))
