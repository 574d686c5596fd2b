"""`clipsim search`: its options, its run, and the nearest images of each query in the format that was asked for."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated

from clipsim.cli import parameters as shared
from clipsim.cli.collections import end_with_failures, find_named_targets, multiply_in_one_thread, run_task
from clipsim.cli.first_words import missing_texts, split_text
from clipsim.cli.output import NamePrinter, page_folder, print_table, table_width, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import INPUTS, OUTPUT, TEXTS, Format, flag, option
from clipsim.cli.plans import CopyTo, LinkTo, Yes, check_yes, choose_folder, finish_plan
from clipsim.cli.preview import (
    MAX_PAGE_IMAGES,
    MaxPageImages,
    PreviewMode,
    PreviewOption,
    check_page,
    choose_preview,
    limit_preview,
    make_preview,
    thumbnail_rules,
)
from clipsim.errors import UsageError, printable
from clipsim.inputs.texts import read_texts

if TYPE_CHECKING:
    from clipsim.inputs.sources import Source
    from clipsim.results.search import SearchResult


@with_output_file
@shared.with_run_options()
def search_command(
    where: shared.Where = None,
    text: shared.Texts = None,
    text_file: shared.TextFiles = None,
    image: Annotated[
        list[str] | None, option("--image", "FILE", INPUTS, "Find images similar to this one (repeatable).")
    ] = None,
    plus: Annotated[
        list[str] | None,
        option(
            "--plus", "[W:]TEXT", TEXTS, "A text that is added to every query, with a weight if given (repeatable)."
        ),
    ] = None,
    minus: Annotated[
        list[str] | None,
        option("--minus", "[W:]TEXT", TEXTS, "A text that is subtracted from every query, likewise (repeatable)."),
    ] = None,
    plus_image: Annotated[
        list[str] | None,
        option(
            "--plus-image",
            "[W:]FILE",
            INPUTS,
            "An image that is added to every query, with a weight if given (repeatable).",
        ),
    ] = None,
    minus_image: Annotated[
        list[str] | None,
        option(
            "--minus-image", "[W:]FILE", INPUTS, "An image that is subtracted from every query, likewise (repeatable)."
        ),
    ] = None,
    weight: Annotated[
        float, option("--weight", "W", TEXTS, "The weight of what is added or subtracted without one of its own.")
    ] = 1.0,
    top: Annotated[int, option("--top", "N", OUTPUT, "The N best images of each query.", min=1)] = 10,
    skip: Annotated[int, option("--skip", "N", OUTPUT, "Leave out the N best: --skip 10 is the next page.", min=0)] = 0,
    unique: Annotated[
        bool, flag("--unique", OUTPUT, "One of several copies, by the rule of `clipsim duplicates`, with their number.")
    ] = False,
    min_similarity: Annotated[float | None, shared.min_similarity("Only images with at least this cosine.")] = None,
    thresholds: shared.Thresholds = None,
    template: shared.Templates = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    after: Annotated[
        str | None,
        option("--after", "DATE", INPUTS, "Only images taken from the beginning of DATE on: 2019, 2019-06, …"),
    ] = None,
    before: Annotated[str | None, option("--before", "DATE", INPUTS, "Only images taken before DATE begins.")] = None,
    output: shared.FormatOption = "table",
    as_json: shared.FormatJson = False,
    paths: shared.NamesOnly = False,
    null: shared.EndInNull = False,
    max_images: MaxPageImages = MAX_PAGE_IMAGES,
    preview: PreviewOption = "off",
    copy_to: CopyTo = None,
    link_to: LinkTo = None,
    yes: Yes = False,
    *,
    run: shared.Run,
) -> None:
    """Find the images that are nearest to a text or to an image.

    Example: `clipsim search photos/ -t 'a red house' --top 5`

    Like an image, but at night: `clipsim search photos/ --image house.jpg --plus night`
    """
    output = shared.choose_format(output, as_json, paths, null)
    folder = choose_folder(copy_to, link_to)
    check_yes(folder, yes, output, paths=paths)
    preview = choose_preview(preview, output, paths)
    where, notices = where or [], run.notices()
    shared.check_standard_input(*where, *(text_file or ()), from_file, what="for images or for texts")
    texts = list(chain(text or (), *map(read_texts, text_file or ())))
    if not (texts or image):
        where, query = split_text(where)
        if query is None:
            raise missing_texts(
                "search", where, "nothing to search for", "give a text, --text-file FILE or --image FILE"
            )
        texts = [query]
    if not where and from_file is None:
        where = ["."]
        notices.print(["searching the current folder"])
    multiply_in_one_thread()
    from clipsim.tasks import search
    from clipsim.tasks.search_targets import recorded_model

    request = search.SearchRequest.check(
        (),
        texts,
        [_find_image(name, "--image") for name in image or ()],
        plus=_split_weights(plus, "--plus"),
        minus=_split_weights(minus, "--minus"),
        plus_images=_find_weighted_images(plus_image, "--plus-image"),
        minus_images=_find_weighted_images(minus_image, "--minus-image"),
        templates=template or (),
        weight=weight,
        top=top,
        skip=skip,
        min_similarity=min_similarity,
        thresholds=thresholds,
        chosen=shared.choose_names(include, exclude),
        after=after,
        before=before,
        unique=unique,
    )
    if output == "html":
        check_page(top * (len(request.texts) + len(request.images)), 1, max_images)
    request = replace(request, targets=find_named_targets(where, from_file, request.chosen, notices))
    model = run.model if run.model or run.weights else recorded_model(where)
    result = run_task(search.run, request, run, notices, model)
    if folder is not None:
        from clipsim.tasks.placements import plan_matches

        plan = plan_matches(result, request.targets, *folder)
        finish_plan(plan, as_json=output == "json", yes=yes, run=run, notices=notices)
        return
    if paths:
        NamePrinter(null=null).print(match.image for query in result.queries for match in query.results)
    else:
        preview = limit_preview(preview, sum(len(query.results) for query in result.queries), notices)
        _print_result(result, output, preview, request.targets)
    end_with_failures(len(result.errors), result.searched if result.queries else 0)


_WEIGHT = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+):(?=\s*\S)")
_SLIP_IN_WEIGHT = re.compile(r"(-[0-9.]+|[0-9]*,[0-9]+|[0-9.]+e[-+]?[0-9]+):|[0-9.]+:\s*$")


def _split_weights(texts: Iterable[str] | None, name: str) -> dict[str, float | None] | list[str]:
    """Texts with the weights that they begin with; a list where none does. Raises UsageError for one named twice.

    >>> _split_weights(["0.5:snow", "night", "1:5:30 pm"], "--plus")
    {'snow': 0.5, 'night': None, '5:30 pm': 1.0}
    """
    pairs = [_split_weight(text, name) for text in texts or ()]
    if all(weight is None for _, weight in pairs):
        return [text for text, _ in pairs]
    weights = dict(pairs)
    if len(weights) < len(pairs):
        raise UsageError(f"{name} names a text more than once; give each one weight")
    return weights


def _split_weight(text: str, name: str) -> tuple[str, float | None]:
    if _SLIP_IN_WEIGHT.match(text):
        raise UsageError(
            "a weight is a number from 0 on, with a text or file after the colon, as in 0.5:snow",
            parameter=name.lstrip("-").replace("-", "_"),
            value=text,
        )
    found = _WEIGHT.match(text)
    return (text, None) if found is None else (text[found.end() :], float(found[1]))


def _find_weighted_images(names: Iterable[str] | None, option_name: str) -> list[tuple[Source, float | None]]:
    """The images of an option with their weights; a file that is named like one with a weight is itself."""
    images = []
    for name in names or ():
        path, weight = (name, None) if os.path.lexists(name) else _split_weight(name, option_name)
        images.append((_find_image(path, option_name), weight))
    return images


def _find_image(name: str, option_name: str) -> Source:
    """The one image that an option names. Raises UsageError for what stands for several images."""
    from clipsim.inputs.sources import FileSource
    from clipsim.inputs.urls import UrlSource, as_path, is_table, is_tar, is_url

    path = as_path(name)
    folder = os.path.isdir(path)  # noqa: PTH112 (a Path raises for names that are hard to reach)
    kind = "a folder" if folder else "a tar" if is_tar(path) else "a list" if is_table(path) else None
    if kind is None and glob.has_magic(path) and not os.path.lexists(path):
        kind = "a pattern"
    if kind is not None:
        raise UsageError(
            f"{option_name} takes one image, and {printable(name)} is {kind}; repeat {option_name} for several"
        )
    return UrlSource(path) if is_url(path) else FileSource(path)


def _print_result(result: SearchResult, output: Format, preview: PreviewMode, targets: Sequence[object]) -> None:
    """Write the result; the images that a page or a preview shows are decoded for it."""
    from clipsim.render import json as render

    if output == "json":
        write(render.format_json(result))
    elif output == "jsonl":
        write("".join(render.format_lines(result.queries, result.errors)))
    elif output == "csv":
        write("".join(render.format_search_csv(result)))
    elif not (result.searched and result.queries):
        return
    elif (rules := thumbnail_rules(output, preview)) is None:
        from clipsim.render.search import build_search_tables

        print_table(*build_search_tables(result, table_width(), whole_names=not sys.stdout.isatty()))
    else:
        from clipsim.tasks.search import read_shown_images

        names = [match.image for query in result.queries for match in query.results]
        if output == "html":
            from clipsim.render.search_page import format_search_page

            names += [query.image for query in result.queries if query.image is not None]
            for piece in format_search_page(
                result, read_shown_images(names, targets, rules), page_folder=page_folder()
            ):
                write(piece)
        else:
            from clipsim.render.preview import build_preview_search

            thumbnails = read_shown_images(names, targets, rules)
            print_table(*build_preview_search(result, thumbnails, make_preview(preview), table_width()))
