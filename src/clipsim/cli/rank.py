"""`clipsim rank`: its options, its run, and the scores in the format that was asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated

from clipsim.cli import parameters as shared
from clipsim.cli.collections import end_with_failures, find_named_sources, report_failures, report_progress
from clipsim.cli.first_words import missing_texts
from clipsim.cli.output import NamePrinter, legend_is_due, page_folder, print_table, progress_bar, table_width, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import FORMATS, OUTPUT, option
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
from clipsim.errors import Failure, ImageError, UsageError
from clipsim.inputs.paths import STANDARD_INPUT
from clipsim.inputs.texts import read_texts
from clipsim.plugins import Plugin

if TYPE_CHECKING:
    from clipsim.inputs.paths import NameFilter
    from clipsim.inputs.sources import Source
    from clipsim.render.table import TableParts
    from clipsim.results.rank import RankResult
    from clipsim.tasks.rank import RankOutcome, RankRequest


@with_output_file
@shared.with_run_options()
def rank_command(
    images: shared.Images = None,
    text: shared.Texts = None,
    text_file: shared.TextFiles = None,
    template: shared.Templates = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    output: shared.ScoresFormatOption = "table",
    as_json: shared.FormatJson = False,
    paths: shared.NamesOnly = False,
    null: shared.EndInNull = False,
    top: Annotated[int | None, option("--top", "K", OUTPUT, "Keep only the K best texts of each image.", min=1)] = None,
    top_images: Annotated[
        int | None, option("--top-images", "N", OUTPUT, "Show only the N best images of each text.", min=1)
    ] = None,
    sort_by: Annotated[
        str | None, option("--sort-by", "TEXT", OUTPUT, "Order the images by this text, best first.")
    ] = None,
    thresholds: shared.Thresholds = None,
    classifier: shared.ClassifierFile = None,
    max_images: MaxPageImages = MAX_PAGE_IMAGES,
    preview: PreviewOption = "off",
    copy_to: CopyTo = None,
    link_to: LinkTo = None,
    yes: Yes = False,
    *,
    run: shared.Run,
) -> None:
    """Score images against texts: cosine similarities and probabilities.

    Example: `clipsim rank images/*.jpeg --text maze --text cat`

    In a pipeline: `find photos -print0 | clipsim rank - -t maze -t cat --format jsonl`
    """
    if top is not None and top_images is not None:
        raise UsageError("--top and --top-images contradict each other; give one")
    if top is not None and paths:
        raise UsageError("--top chooses texts, and --paths (-l) prints the names of images; give one")
    for word in ("true", "false"):
        if word in (images or ()) and not os.path.lexists(word):
            raise UsageError(f"'{word}' is not an image; flags such as --json take no value")
    output = shared.choose_format(output, as_json, paths, null)
    folder = choose_folder(copy_to, link_to)
    check_yes(folder, yes, output, paths=paths)
    shared.check_standard_input(*(images or ()), *(text_file or ()), from_file, what="for images or for texts")
    chosen = shared.choose_names(include, exclude)
    preview = choose_preview(preview, output, paths)
    notices = run.notices()
    from clipsim.inputs.expand import Repeats
    from clipsim.inputs.sources import find_missing, number_sources

    repeats = Repeats()
    sources: Iterable[Source] = number_sources(repeats.leave_out(_find_sources(images or (), from_file, chosen)))
    texts = list(chain(text or (), *map(read_texts, text_file or ())))
    if not texts and classifier is None:
        raise missing_texts("rank", images or (), "no texts to compare with", "give --text TEXT or --text-file FILE")
    (model_options,), run_options = run.options(run.model)
    from clipsim.embedding.embedder import Embedder  # with NumPy, which help does without
    from clipsim.tasks import rank

    streamed = (output == "jsonl" or paths) and sort_by is None and top_images is None
    request = rank.RankRequest.check(
        sources,
        texts,
        template or (),
        sort_by,
        thresholds,
        classifier,
        notices=[f"--top and --top-images do not apply to --format {output}, which has all scores"]
        if (top or top_images) and (output == "json" or output not in FORMATS) and not folder
        else (),
    )
    if not streamed:
        sources = list(sources)
        request = replace(request, sources=sources, notices=(*request.notices, *repeats.notices))
        for_people = output in ("table", "html")
        missing = find_missing(sources) if for_people and run.on_error != "fail" else ()
        if len(missing) == len(sources):  # known before a model is loaded
            report_failures(missing)
            end_with_failures(len(missing), 0)
        if output == "html":
            check_page(len(sources), min(top or len(request.texts), len(request.texts)), max_images)
        preview = limit_preview(preview, len(sources), notices)
        request = replace(request, thumbnails=thumbnail_rules(output, preview))
    names = NamePrinter(null=null)
    with progress_bar(quiet=run.quiet or (streamed and sys.stdout.isatty())) as bar:
        progress = report_progress(bar, notices)
        with Embedder(model_options, run_options, own_process=True) as embedder:
            if streamed:
                if _can_be_counted(images or (), from_file):
                    bar.count_total(
                        lambda: sum(1 for _ in Repeats().leave_out(_find_sources(images or (), from_file, chosen)))
                    )
                result, failed, scored = None, 0, 0
                with closing(rank.stream(embedder, request, progress, live=True)) as batches:
                    for batch in batches:
                        notices.print(embedder.notices)  # all of them are known since the model has been used
                        if paths:
                            names.print(_passing_names(batch.outcomes))
                        else:
                            _print_json_lines(batch.outcomes, batch.texts.texts, top)
                        unusable = sum(isinstance(outcome, Failure) for outcome in batch.outcomes)
                        failed += unusable
                        scored += len(batch.outcomes) - unusable
                notices.print(repeats.notices)  # the names of a stream are known only now
            else:
                result = rank.run(embedder, request, progress)
                failed, scored = len(result.errors), len(result.scores)
    if result is not None:
        notices.print(result.warnings)
    if result is not None and folder is not None:
        from clipsim.tasks.placements import plan_ranked

        plan = plan_ranked(result, request.sources, *folder, top_images)
        finish_plan(plan, as_json=output == "json", yes=yes, run=run, notices=notices)
        return
    if result is not None and paths:
        rows = range(len(result.texts))
        best = [image for row in rows for image in result.top_images(row, top_images)] if top_images else result.scores
        names.print(_passing_names(best))
    elif result is not None:
        _print_result(result, output, top, top_images, preview, sort_by, quiet=run.quiet)
    end_with_failures(failed, scored)


def request_ranking(
    command: str,
    images: list[str] | None,
    text: list[str] | None,
    text_file: list[str] | None,
    template: list[str] | None,
    from_file: str | None,
    chosen: NameFilter | None,
    thresholds: str | None,
    classifier: str | None,
) -> RankRequest:
    """The ranking of a whole list of images that a plan rests on; where none of them exists, the run ends."""
    shared.check_standard_input(*(images or ()), *(text_file or ()), from_file, what="for images or for labels")
    from clipsim.inputs.expand import Repeats
    from clipsim.inputs.sources import find_missing, number_sources

    repeats = Repeats()
    sources = list(number_sources(repeats.leave_out(_find_sources(images or (), from_file, chosen))))
    labels = list(chain(text or (), *map(read_texts, text_file or ())))
    if not labels and classifier is None:
        raise missing_texts(command, images or (), "no labels", "give --text LABEL or --text-file FILE")
    missing = find_missing(sources)
    if len(missing) == len(sources):
        report_failures(missing)
        end_with_failures(len(missing), 0)
    from clipsim.tasks.rank import RankRequest

    return RankRequest.check(
        sources, labels, template or (), thresholds=thresholds, classifier=classifier, notices=repeats.notices
    )


def _find_sources(images: Sequence[str], from_file: str | None, chosen: NameFilter | None) -> Iterator[Source]:
    """The sources, lazily: a list on a pipe may never end."""
    if not images and from_file is None:
        raise UsageError(
            "no images to rank",
            hint="give files, folders or quoted globs, or - to read paths from a pipe; . is the current folder",
        )
    sources = find_named_sources(images, from_file, chosen)
    first = next(sources, None)
    if first is None:
        raise ImageError("no images to rank: the list of paths is empty, or --include and --exclude rejected all of it")
    return chain((first,), sources)


def _can_be_counted(images: Sequence[str], from_file: str | None) -> bool:
    """Whether the sources can be found twice, which a pipe's cannot, nor cheaply those of an address."""
    return not any(name == STANDARD_INPUT or "://" in name for name in images) and (
        from_file is None or os.path.isfile(from_file)  # noqa: PTH113 (a Path raises for a name that is too long)
    )


def _passing_names(outcomes: Iterable[RankOutcome]) -> Iterator[str]:
    """The names of the images with a best text, which without thresholds all have that could be used."""
    return (outcome.image for outcome in outcomes if not isinstance(outcome, Failure) and outcome.best is not None)


def _print_json_lines(outcomes: Iterable[RankOutcome], texts: Sequence[str], top: int | None) -> None:
    from clipsim.render.json import format_json_line

    for outcome in outcomes:  # line by line: a pipe takes a short line whole or, when the run is killed, not at all
        write(format_json_line(outcome, texts, top))


def _print_result(
    result: RankResult,
    output: str,
    top: int | None,
    top_images: int | None,
    preview: PreviewMode,
    sort_by: str | None,
    *,
    quiet: bool,
) -> None:
    """Write the whole result; without a single score, only the formats for programs write anything."""
    from clipsim.render import json as render

    if output not in FORMATS:
        write(Plugin("format", output).run(result, returns=str))
    elif output == "json":
        write(render.format_json(result))
    elif output == "jsonl" and top_images is not None:
        write(render.format_top_images_lines(result, top_images))
        _print_json_lines(result.errors, result.texts, None)
    elif output == "jsonl":
        _print_json_lines([*result.scores, *result.errors], result.texts, top)
    elif output == "csv" and top_images is not None:
        write(render.format_top_images_csv(result, top_images))
    elif output == "csv":
        write(render.csv_header())
        for scores in result.scores:
            write(render.format_csv(scores, result.texts, top))
    elif result.scores and output == "html":
        from clipsim.render.rank_page import format_rank_page, format_top_images_page

        order = f"best for: {sort_by}" if sort_by else "as given"
        folder = page_folder()
        if top_images is None:
            page = format_rank_page(result, top, given_order=order, page_folder=folder)
        else:
            page = format_top_images_page(result, top_images, page_folder=folder)
        for piece in page:
            write(piece)
    elif result.scores:
        with_legend = not quiet and legend_is_due()
        print_table(*_draw_table(result, top, top_images, preview)[: None if with_legend else 2])


def _draw_table(result: RankResult, top: int | None, top_images: int | None, preview: PreviewMode) -> TableParts:
    width, whole = table_width(), not sys.stdout.isatty()
    if preview == "off":
        from clipsim.render.table import build_table, build_top_images_table

        if top_images is None:
            return build_table(result, width, top, whole_names=whole)
        return build_top_images_table(result, top_images, width, whole_names=whole)
    from clipsim.render.preview import build_preview_table, build_preview_top_images

    if top_images is None:
        return build_preview_table(result, make_preview(preview), width, top)
    return build_preview_top_images(result, make_preview(preview), top_images, width)
