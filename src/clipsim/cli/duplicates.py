"""`clipsim duplicates`: its options, its run, and the groups that were found in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated

from clipsim.cli import parameters as shared
from clipsim.cli.collections import (
    end_with_failures,
    find_named_targets,
    multiply_in_one_thread,
    report_progress,
    run_task,
)
from clipsim.cli.output import NamePrinter, NoticePrinter, page_folder, print_table, progress_bar, table_width, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import OUTPUT, Format, flag, option
from clipsim.cli.plans import Yes, check_yes, choose_folder, finish_plan
from clipsim.cli.preview import (
    MAX_PAGE_IMAGES,
    MaxPageImages,
    PreviewMode,
    PreviewOption,
    choose_preview,
    limit_preview,
    make_preview,
    thumbnail_rules,
)
from clipsim.errors import UsageError

if TYPE_CHECKING:
    from clipsim.results.search import DuplicatesResult


@with_output_file
@shared.with_run_options("truncate")
def duplicates_command(
    where: shared.Where = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    min_similarity: Annotated[
        float | None, shared.min_similarity("The least cosine of two images that are alike. [default: 0.94]")
    ] = None,
    exact_files: Annotated[
        bool, flag("--exact-files", OUTPUT, "Only files with the same bytes; no model is needed.")
    ] = False,
    no_pixel_check: Annotated[bool, flag("--no-pixel-check", OUTPUT, "Skip the pixel comparison.")] = False,
    all_pairs: Annotated[
        bool,
        flag("--all-pairs", OUTPUT, "Compare every two of more than 200,000 images, not only those in near lists."),
    ] = False,
    keep: Annotated[
        list[str] | None,
        option(
            "--keep",
            "RULE",
            OUTPUT,
            "Which copy stays: best, largest, oldest, newest, or a glob of names (repeatable, in order).",
        ),
    ] = None,
    move_to: Annotated[
        str | None, option("--move-to", "DIR", OUTPUT, "Move the redundant copies into a folder.")
    ] = None,
    link: Annotated[
        bool, flag("--link", OUTPUT, "Replace copies of the same bytes by hard links to the image that stays.")
    ] = False,
    output: shared.FormatOption = "table",
    as_json: shared.FormatJson = False,
    paths: Annotated[bool, flag("--paths -l", OUTPUT, "Print the names of the redundant copies alone.")] = False,
    null: shared.EndInNull = False,
    max_images: MaxPageImages = MAX_PAGE_IMAGES,
    preview: PreviewOption = "off",
    yes: Yes = False,
    *,
    run: shared.Run,
) -> None:
    """Find images that are copies of each other, also re-encoded or resized, and images that are alike.

    Example: `clipsim duplicates photos/`

    List the redundant copies: `clipsim duplicates photos/ -l`
    """
    output = shared.choose_format(output, as_json, paths, null)
    if move_to is not None and link:
        raise UsageError("--move-to and --link contradict each other; give one")
    chosen = link or choose_folder(move_to=move_to)
    check_yes(chosen, yes, output, paths=paths)
    preview = choose_preview(preview, output, paths)
    where, notices = where or [], run.notices()
    shared.check_standard_input(*where, from_file)
    if exact_files and (min_similarity is not None or no_pixel_check or all_pairs):
        raise UsageError(
            "--exact-files compares bytes; give it without --min-similarity, --no-pixel-check and --all-pairs"
        )
    multiply_in_one_thread()
    from clipsim.tasks import duplicates, same_files
    from clipsim.tasks.search_targets import recorded_model

    request = duplicates.DuplicatesRequest(
        (), min_similarity, not no_pixel_check, tuple(keep or ()), all_pairs=all_pairs
    )
    request = replace(
        request, targets=find_named_targets(where, from_file, shared.choose_names(include, exclude), notices)
    )
    if exact_files:
        with progress_bar(quiet=run.quiet) as bar:
            result = same_files.run(request.targets, report_progress(bar, notices), keep=request.keep)
        notices.print(result.warnings)
    else:
        request = replace(request, thumbnails=thumbnail_rules(output, preview))
        model = run.model if run.model or run.weights else recorded_model(where)
        result = run_task(duplicates.run, request, run, notices, model)
    if chosen:
        from clipsim.tasks.placements import plan_duplicates

        finish_plan(plan_duplicates(result, move_to), as_json=output == "json", yes=yes, run=run, notices=notices)
        return
    if paths:
        NamePrinter(null=null).print(result.redundant)
    else:
        preview = limit_preview(preview, sum(len(group.images) for group in result.groups), notices)
        _print_result(result, output, preview, request.targets, max_images, notices)
    end_with_failures(len(result.errors), result.compared)


def _print_result(
    result: DuplicatesResult,
    output: Format,
    preview: PreviewMode,
    targets: Sequence[object],
    max_images: int,
    notices: NoticePrinter,
) -> None:
    """Write the result; images that a page or a preview shows and that have no thumbnail are decoded for it."""
    from clipsim.render import json as render

    if output == "json":
        write(render.format_json(result))
    elif output == "jsonl":
        write("".join(render.format_lines(result.groups, result.errors)))
    elif output == "csv":
        write("".join(render.format_duplicates_csv(result)))
    elif not result.compared:
        return
    elif (rules := thumbnail_rules(output, preview)) is None:
        from clipsim.render.search import build_duplicates_table

        print_table(*build_duplicates_table(result, table_width(), whole_names=not sys.stdout.isatty()))
    else:
        from clipsim.tasks.search import read_shown_images

        groups = _count_groups(result, max_images, notices) if output == "html" else len(result.groups)
        images = [image for group in result.groups[:groups] for image in group.images]
        thumbnails = {image.image: image.thumbnail for image in images if image.thumbnail is not None}
        names = [image.image for image in images if image.thumbnail is None]
        thumbnails |= read_shown_images(names, targets, rules)
        if output == "html":
            from clipsim.render.search_page import format_duplicates_page

            for piece in format_duplicates_page(result, thumbnails, groups, page_folder=page_folder()):
                write(piece)
        else:
            from clipsim.render.preview import build_preview_duplicates

            print_table(*build_preview_duplicates(result, thumbnails, make_preview(preview), table_width()))


def _count_groups(result: DuplicatesResult, max_images: int, notices: NoticePrinter) -> int:
    """The number of groups whose images a page may hold, with a notice where that is not all."""
    groups = sum(1 for count in accumulate(len(group.images) for group in result.groups) if count <= max_images)
    if groups < len(result.groups):
        notices.print(
            [
                f"the page shows {groups:,} of {len(result.groups):,} groups, whose images it may hold; "
                "--max-images allows more"
            ]
        )
    return groups
