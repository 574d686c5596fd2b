"""`clipsim search`: its options, its run, and the nearest images of each query in the format that was asked for."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.collections import (
    end_with_failures,
    find_named_targets,
    multiply_in_one_thread,
    report_progress,
)
from clipsim.cli.output import print_table, progress_bar, table_width, write
from clipsim.cli.parameters import Format
from clipsim.cli.preview import (
    MAX_PAGE_IMAGES,
    MaxPageImages,
    PreviewMode,
    PreviewOption,
    check_page,
    check_terminal,
    choose_preview,
    make_preview,
    preview_rules,
)
from clipsim.errors import UsageError, printable
from clipsim.inputs.texts import read_texts

if TYPE_CHECKING:
    from clipsim.inputs.sources import Source
    from clipsim.results.search import SearchResult


@shared.with_run_options()
def search_command(
    where: shared.Where = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            "-t",
            metavar="TEXT",
            help="A text to search for (repeatable).",
            show_default=False,
            rich_help_panel=shared.TEXTS,
        ),
    ] = None,
    text_file: shared.TextFiles = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Find images similar to this one (repeatable).",
            show_default=False,
            rich_help_panel=shared.INPUTS,
        ),
    ] = None,
    plus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="A text that is added to every query (repeatable).",
            show_default=False,
            rich_help_panel=shared.TEXTS,
        ),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="A text that is subtracted from every query (repeatable).",
            show_default=False,
            rich_help_panel=shared.TEXTS,
        ),
    ] = None,
    weight: Annotated[
        float, typer.Option(metavar="W", help="How much --plus and --minus count.", rich_help_panel=shared.TEXTS)
    ] = 1.0,
    top: Annotated[
        int, typer.Option(min=1, metavar="N", help="The N best images of each query.", rich_help_panel=shared.OUTPUT)
    ] = 10,
    min_similarity: shared.MinSimilarity = None,
    template: shared.Templates = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    output: shared.FormatOption = Format.table,
    as_json: shared.FormatJson = False,
    paths: shared.NamesOnly = False,
    null: shared.EndInNull = False,
    max_images: MaxPageImages = MAX_PAGE_IMAGES,
    preview: PreviewOption = PreviewMode.off,
    *,
    run: shared.Run,
) -> None:
    """Find the images that are nearest to a text or to an image.

    Example: `clipsim search photos/ -t 'a red house' --top 5`

    Like an image, but at night: `clipsim search photos/ --image house.jpg --plus night`
    """
    output = shared.choose_format(output, as_json, paths, null)
    if output is Format.html:
        check_terminal()
    preview = choose_preview(preview) if output is Format.table and not paths else PreviewMode.off
    where = where or []
    if not where and from_file is None:
        raise UsageError("nothing to search: pass a folder, images, or a folder of vectors")
    shared.check_standard_input(*where, *(text_file or ()), from_file, what="for images or for texts")
    notices = run.notices()
    texts = list(chain(text or (), *map(read_texts, text_file or ())))
    if not (texts or image):
        raise UsageError("nothing to search for; give --text TEXT, --text-file FILE or --image FILE")
    multiply_in_one_thread()
    from clipsim.embedding.embedder import Embedder
    from clipsim.tasks import search
    from clipsim.tasks.search_targets import recorded_model

    request = search.SearchRequest.check(
        (),
        texts,
        map(_find_query_image, image or ()),
        plus=plus or (),
        minus=minus or (),
        templates=template or (),
        weight=weight,
        top=top,
        min_similarity=min_similarity,
        chosen=shared.choose_names(include, exclude),
    )
    if output is Format.html:
        check_page(top * (len(request.texts) + len(request.images)), 1, max_images)
    request = replace(request, targets=find_named_targets(where, from_file, request.chosen))
    model = run.model if run.model or run.weights else recorded_model(where)
    model_options, run_options = run.model_options(model), run.run_options()
    with progress_bar(quiet=run.quiet) as bar:
        progress = report_progress(bar, notices)
        with Embedder(model_options, run_options, own_process=True) as embedder:
            result = search.run(embedder, request, progress)
    notices.print(result.warnings)
    if output is Format.html or preview is not PreviewMode.off:
        _print_images(result, request.targets, preview)
    else:
        _print_result(result, output, paths=paths, null=null)
    end_with_failures(len(result.errors), result.searched if result.queries else 0)


def _find_query_image(name: str) -> Source:
    """The image of an --image. Raises UsageError for what stands for several images."""
    from clipsim.inputs.sources import FileSource
    from clipsim.inputs.urls import UrlSource, as_path, is_table, is_tar, is_url

    path = as_path(name)
    folder = os.path.isdir(path)  # noqa: PTH112 (a Path raises for names that are hard to reach)
    kind = "a folder" if folder else "a tar" if is_tar(path) else "a list" if is_table(path) else None
    if kind is None and glob.has_magic(path) and not os.path.lexists(path):
        kind = "a pattern"
    if kind is not None:
        raise UsageError(f"--image takes one image, and {printable(name)} is {kind}; repeat --image for several")
    return UrlSource(path) if is_url(path) else FileSource(path)


def _print_images(result: SearchResult, targets: Sequence[object], preview: PreviewMode) -> None:
    """A page, or with a preview tables with images; the images that are shown are decoded for it."""
    from clipsim.images.thumbnails import ThumbnailRules
    from clipsim.tasks.search import read_shown_images

    if not (result.searched and result.queries):
        return
    names = [match.image for query in result.queries for match in query.results]
    if preview is not PreviewMode.off:
        from clipsim.render.preview import build_preview_search

        thumbnails = read_shown_images(names, targets, preview_rules(preview))
        print_table(*build_preview_search(result, thumbnails, make_preview(preview), table_width()))
        return
    from clipsim.render.search_page import format_search_page

    names += [query.image for query in result.queries if query.image is not None]
    for piece in format_search_page(result, read_shown_images(names, targets, ThumbnailRules())):
        write(piece)


def _print_result(result: SearchResult, output: Format, *, paths: bool, null: bool) -> None:
    from clipsim.render import json as render

    if paths:
        names = (match.image for query in result.queries for match in query.results)
        write("".join(render.format_paths(names, null=null)))
    elif output is Format.json:
        write(render.format_json(result))
    elif output is Format.jsonl:
        write("".join(render.format_lines(result.queries, result.errors)))
    elif output is Format.csv:
        write("".join(render.format_search_csv(result)))
    elif result.searched and result.queries:
        from clipsim.render.search import build_search_tables

        print_table(*build_search_tables(result, table_width(), whole_names=not sys.stdout.isatty()))
