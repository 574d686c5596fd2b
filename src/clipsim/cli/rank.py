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
from clipsim.cli.output import NamePrinter, legend_is_due, progress_bar
from clipsim.cli.parameters import OUTPUT, option
from clipsim.cli.preview import (
    MAX_PAGE_IMAGES,
    MaxPageImages,
    PreviewOption,
    check_page,
    choose_preview,
    limit_preview,
    thumbnail_rules,
)
from clipsim.cli.rank_output import passing_names, print_json_lines, print_result
from clipsim.errors import Failure, ImageError, UsageError
from clipsim.inputs.paths import STANDARD_INPUT
from clipsim.inputs.texts import read_texts

if TYPE_CHECKING:
    from clipsim.inputs.paths import NameFilter
    from clipsim.inputs.sources import Source


TOP_IN_JSON = "--top and --top-images do not apply to --format json, whose matrices are whole"


@shared.with_run_options()
def rank_command(
    images: shared.Images = None,
    text: shared.Texts = None,
    text_file: shared.TextFiles = None,
    template: shared.Templates = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    output: shared.FormatOption = "table",
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
    max_images: MaxPageImages = MAX_PAGE_IMAGES,
    preview: PreviewOption = "off",
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
    shared.check_standard_input(*(images or ()), *(text_file or ()), from_file, what="for images or for texts")
    chosen = shared.choose_names(include, exclude)
    preview = choose_preview(preview, output, paths)
    notices = run.notices()
    found = _find_sources(images or (), from_file, chosen)
    texts = list(chain(text or (), *map(read_texts, text_file or ())))
    if not texts:
        raise UsageError("no texts to compare with; give --text TEXT or --text-file FILE")
    model_options, run_options = run.model_options(run.model), run.run_options()
    from clipsim.embedding.embedder import Embedder  # with NumPy, which help does without
    from clipsim.inputs.expand import Repeats
    from clipsim.inputs.sources import number_sources
    from clipsim.tasks import rank

    streamed = (output == "jsonl" or paths) and sort_by is None and top_images is None
    repeats = Repeats()
    sources: Iterable[Source] = number_sources(repeats.leave_out(found))
    request = rank.RankRequest.check(
        sources,
        texts,
        template or (),
        sort_by,
        thresholds,
        notices=[TOP_IN_JSON] if (top or top_images) and output == "json" else (),
    )
    if not streamed:
        sources = list(sources)
        for_people = output in ("table", "html")
        missing = rank.find_missing(sources) if for_people and run.on_error == "skip" else ()
        if len(missing) == len(sources):  # known before a model is loaded
            report_failures(missing)
            end_with_failures(len(missing), 0)
        if output == "html":
            check_page(len(sources), min(top or len(request.texts), len(request.texts)), max_images)
        preview = limit_preview(preview, len(sources), notices)
        request = replace(
            request,
            sources=sources,
            thumbnails=thumbnail_rules(output, preview),
            notices=(*request.notices, *repeats.notices),
        )
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
                            names.print(passing_names(batch.outcomes))
                        else:
                            print_json_lines(batch.outcomes, batch.texts.texts, top)
                        unusable = sum(isinstance(outcome, Failure) for outcome in batch.outcomes)
                        failed += unusable
                        scored += len(batch.outcomes) - unusable
                notices.print(repeats.notices)  # the names of a stream are known only now
            else:
                result = rank.run(embedder, request, progress)
                failed, scored = len(result.errors), len(result.scores)
                notices.print(result.warnings)
    if result is not None and paths:
        rows = range(len(result.texts))
        best = [image for row in rows for image in result.top_images(row, top_images)] if top_images else result.scores
        names.print(passing_names(best))
    elif result is not None:
        print_result(
            result,
            output,
            top=top,
            top_images=top_images,
            preview=preview,
            sort_by=sort_by,
            legend=not run.quiet and legend_is_due(),
        )
    end_with_failures(failed, scored)


def _find_sources(images: Sequence[str], from_file: str | None, chosen: NameFilter | None) -> Iterator[Source]:
    """The sources, lazily: a list on a pipe may never end."""
    if not images and from_file is None:
        raise UsageError("no images to rank; give files, folders or quoted globs, or - to read paths from a pipe")
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
