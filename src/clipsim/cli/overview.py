"""`clipsim overview`: its options, its run, and the groups in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated

from clipsim.cli import parameters as shared
from clipsim.cli.collections import end_with_failures, find_named_targets, multiply_in_one_thread, run_task
from clipsim.cli.output import NamePrinter, page_folder, print_table, table_width, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import OUTPUT, RUN, Format, option
from clipsim.cli.preview import PreviewMode, PreviewOption, choose_preview, limit_preview, make_preview, thumbnail_rules
from clipsim.inputs.texts import read_texts

if TYPE_CHECKING:
    from clipsim.results.overview import OverviewResult


@with_output_file
@shared.with_run_options()
def overview_command(
    where: shared.Where = None,
    groups: Annotated[
        int | None,
        option("--groups", "K", OUTPUT, "The number of groups. [default: what suits the images, up to 12]", min=1),
    ] = None,
    text: shared.Texts = None,
    text_file: shared.TextFiles = None,
    template: shared.Templates = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    output: shared.ReportFormatOption = "table",
    as_json: shared.FormatJson = False,
    paths: shared.NamesOnly = False,
    null: shared.EndInNull = False,
    preview: PreviewOption = "off",
    seed: Annotated[int, option("--seed", "N", RUN, "Where the search for groups starts.", min=0)] = 0,
    *,
    run: shared.Run,
) -> None:
    """Say what is in a folder: groups of images that are alike, typical images, and the words that fit them.

    Example: `clipsim overview photos/`

    In words of your own: `clipsim overview photos/ --groups 5 --text-file words.txt`
    """
    chosen = shared.choose_format(output, as_json, paths, null)
    preview = choose_preview(preview, chosen, paths)
    where, notices = where or [], run.notices()
    shared.check_standard_input(*where, *(text_file or ()), from_file, what="for images or for texts")
    if not where and from_file is None:
        where = ["."]
        notices.print(["looking at the current folder"])
    multiply_in_one_thread()
    from clipsim.tasks import overview
    from clipsim.tasks.search_targets import recorded_model

    request = overview.OverviewRequest.check(
        (),
        groups=groups,
        texts=list(chain(text or (), *map(read_texts, text_file or ()))),
        templates=template or (),
        seed=seed,
    )
    request = replace(
        request, targets=find_named_targets(where, from_file, shared.choose_names(include, exclude), notices)
    )
    model = run.model if run.model or run.weights else recorded_model(where)
    result = run_task(overview.run, request, run, notices, model)
    if paths:
        NamePrinter(null=null).print(image.image for group in result.groups for image in group.images)
    else:
        preview = limit_preview(preview, sum(len(group.images) for group in result.groups), notices)
        _print_result(result, chosen, preview, request.targets)
    end_with_failures(len(result.errors), result.images)


def _print_result(result: OverviewResult, output: Format, preview: PreviewMode, targets: Sequence[object]) -> None:
    """Write the result; the images that a page or a preview shows are decoded for it."""
    if output == "json":
        from clipsim.render.json import format_json

        write(format_json(result))
    elif not result.images:
        return
    elif (rules := thumbnail_rules(output, preview)) is None:
        from clipsim.render.overview import build_overview_table

        print_table(*build_overview_table(result, table_width(), whole_names=not sys.stdout.isatty()))
    else:
        from clipsim.tasks.search import read_shown_images

        thumbnails = read_shown_images(
            (image.image for group in result.groups for image in group.images), targets, rules
        )
        if output == "html":
            from clipsim.render.overview_page import format_overview_page

            for piece in format_overview_page(result, thumbnails, page_folder=page_folder()):
                write(piece)
        else:
            from clipsim.render.preview import build_preview_overview

            print_table(*build_preview_overview(result, thumbnails, make_preview(preview), table_width()))
