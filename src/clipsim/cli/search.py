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
    choose_format,
    end_with_failures,
    find_named_targets,
    multiply_in_one_thread,
    report_progress,
)
from clipsim.cli.exit_status import exit_status
from clipsim.cli.output import NoticePrinter, print_table, progress_bar, table_width, write
from clipsim.cli.parameters import Format, OnError
from clipsim.cli.preview import (
    MAX_PICTURES,
    MaxPictures,
    PreviewMode,
    PreviewOption,
    check_page,
    check_terminal,
    choose_preview,
    make_preview,
    preview_rules,
)
from clipsim.errors import UsageError, printable
from clipsim.inputs.paths import STANDARD_INPUT
from clipsim.inputs.texts import read_texts
from clipsim.options import ModelOptions, RunOptions

if TYPE_CHECKING:
    from clipsim.inputs.sources import Source
    from clipsim.results.search import SearchResult


def search_command(
    where: shared.Where = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", "-t", metavar="TEXT", help="A text to search for; repeat it.", show_default=False),
    ] = None,
    text_file: shared.TextFiles = None,
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="An image to find similar ones of; repeat it.", show_default=False),
    ] = None,
    plus: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A text that is added to every query; repeat it.", show_default=False),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A text that is subtracted from every query.", show_default=False),
    ] = None,
    weight: Annotated[float, typer.Option(metavar="W", help="How much --plus and --minus count.")] = 1.0,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="The N best images of each query.")] = 10,
    min_similarity: Annotated[
        float | None,
        typer.Option(metavar="S", help="Only images with at least this cosine.", show_default=False),
    ] = None,
    template: shared.Templates = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    device: shared.Device = "auto",
    precision: shared.PrecisionOption = None,
    engine: shared.Engine = "auto",
    batch_size: shared.BatchSize = None,
    workers: shared.Workers = None,
    output: shared.FormatOption = Format.table,
    as_json: shared.JsonFormat = False,
    paths: Annotated[bool, typer.Option("--paths", "-l", help="Print the names of the images alone.")] = False,
    null: shared.EndInNull = False,
    on_error: shared.OnErrorOption = OnError.skip,
    exact: shared.Exact = False,
    no_cache: shared.NoCache = False,
    truncate: shared.Truncate = False,
    max_pictures: MaxPictures = MAX_PICTURES,
    preview: PreviewOption = PreviewMode.off,
    quiet: shared.Quiet = False,
) -> None:
    """Find the images that are nearest to a text or to an image.

    Example: `clipsim search photos/ -t 'a red house' --top 5`

    Like an image, but at night: `clipsim search photos/ --image house.jpg --plus night`
    """
    with exit_status():
        output = choose_format(output, as_json, paths, null)
        if output is Format.html:
            check_terminal()
        preview = choose_preview(preview) if output is Format.table and not paths else PreviewMode.off
        where = where or []
        if not where and from_file is None:
            raise UsageError("nowhere to search; give a folder, images, or a folder of vectors")
        if [*where, *(text_file or ()), from_file].count(STANDARD_INPUT) > 1:
            raise UsageError("standard input (-) can be read only once: for images or for texts")
        notices = NoticePrinter(quiet=quiet)
        texts = list(chain(text or (), *map(read_texts, text_file or ())))
        if not (texts or image):
            raise UsageError("nothing to search for; give --text TEXT, --text-file FILE or --image FILE")
        multiply_in_one_thread()
        from clipsim.embedding.embedder import Embedder
        from clipsim.inputs.paths import NameFilter
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
            chosen=NameFilter(tuple(include or ()), tuple(exclude or ())) if include or exclude else None,
        )
        if output is Format.html:
            check_page(top * (len(request.texts) + len(request.images)), 1, max_pictures)
        request = replace(request, targets=find_named_targets(where, from_file, request.chosen))
        model = model if model or weights else recorded_model(where)
        model_options = ModelOptions(model, weights, device, precision.value if precision else None, engine)
        run_options = RunOptions(
            batch_size=batch_size,
            workers=workers,
            exact=exact,
            truncate=truncate,
            on_error=on_error.value,
            cache=not no_cache,
        )
        with progress_bar(quiet=quiet) as bar:
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
    """The picture of an --image. Raises UsageError for what stands for several pictures."""
    from clipsim.inputs.sources import FileSource
    from clipsim.inputs.urls import UrlSource, as_path, is_table, is_tar, is_url

    path = as_path(name)
    folder = os.path.isdir(path)  # noqa: PTH112 (a Path raises for names that are hard to reach)
    kind = "a folder" if folder else "a tar" if is_tar(path) else "a list" if is_table(path) else None
    if kind is None and glob.has_magic(path) and not os.path.lexists(path):
        kind = "a pattern"
    if kind is not None:
        raise UsageError(f"--image takes one picture, and {printable(name)} is {kind}; repeat --image for several")
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
    from clipsim.render import search as render

    if paths:
        write("".join(render.format_paths(render.found_names(result), null=null)))
    elif output is Format.json:
        write(render.format_search_json(result))
    elif output is Format.jsonl:
        write("".join(render.format_search_lines(result)))
    elif output is Format.csv:
        write("".join(render.format_search_csv(result)))
    elif result.searched and result.queries:
        print_table(*render.build_search_tables(result, table_width(), whole_names=not sys.stdout.isatty()))
