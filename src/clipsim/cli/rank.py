"""`clipsim rank`: options → a ranking by `api`, printed as it comes, in the requested format."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.exit_status import NOTHING_DONE, SOME_SKIPPED, exit_status
from clipsim.cli.output import print_library_notices, print_message, print_table, table_width, write
from clipsim.cli.parameters import Format, OnError
from clipsim.cli.progress import Bar, progress_bar
from clipsim.errors import ImageError, UsageError, printable
from clipsim.inputs.paths import STANDARD_INPUT, find_images, find_listed_images, read_path_list
from clipsim.inputs.prompts import read_prompts
from clipsim.models.catalogue import BUNDLED
from clipsim.options import ModelOptions, RunOptions

if TYPE_CHECKING:
    from clipsim.api import Ranking, RankOutcome
    from clipsim.inputs.sources import Source
    from clipsim.scoring.records import ImageFailure, RankResult

MINI_NOTICE = (
    f"using {BUNDLED}, the small bundled model: it knows simple drawings, not photographs; "
    "choose a real one with 'clipsim models use ViT-B-32/openai' or --model"
)
TOP_IN_JSON = "--top does not apply to --format json, whose matrices are whole"


@dataclass
class RunCounts:
    """How many inputs were scored, and how many could not be used."""

    scored: int = 0
    failed: int = 0


def rank_command(
    images: shared.Images = None,
    text: shared.Texts = None,
    text_file: shared.TextFiles = None,
    template: shared.Templates = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    device: shared.Device = "auto",
    precision: shared.PrecisionOption = None,
    engine: shared.Engine = "auto",
    batch_size: shared.BatchSize = None,
    workers: shared.Workers = None,
    from_file: shared.FromFile = None,
    null: shared.Null = False,
    output: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.table,
    as_json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Keep only the K best texts of each image.", metavar="K", show_default=False),
    ] = None,
    sort_by: Annotated[
        str | None,
        typer.Option(help="Order the images by this text, best first.", metavar="TEXT", show_default=False),
    ] = None,
    on_error: shared.OnErrorOption = OnError.skip,
    exact: shared.Exact = False,
    no_cache: shared.NoCache = False,
    truncate: shared.Truncate = False,
    quiet: shared.Quiet = False,
) -> None:
    """Score images against texts: cosine similarities and probabilities.

    Example: `clipsim rank images/*.jpeg --text maze --text cat`

    In a pipeline: `find photos -print0 | clipsim rank - -0 -t maze -t cat --format jsonl`
    """
    with exit_status():
        if as_json and output not in (Format.json, Format.table):
            raise UsageError(f"--json and --format {output.value} contradict each other; give one")
        output = Format.json if as_json else output
        if [*(images or ()), *(text_file or ()), from_file].count(STANDARD_INPUT) > 1:
            raise UsageError("standard input (-) can be read only once: for images or for texts")
        print_library_notices(quiet=quiet)
        paths = _find_paths(images or (), from_file, null)
        texts = list(chain(text or (), *map(read_prompts, text_file or ())))
        if not texts:
            raise UsageError("no texts to compare with; give --text TEXT or --text-file FILE")
        model_options = ModelOptions(model, weights, device, precision.value if precision else None, engine)
        run_options = RunOptions(
            batch_size=batch_size,
            workers=workers,
            exact=exact,
            truncate=truncate,
            on_error=on_error.value,
            cache=not no_cache,
        )
        from clipsim.api import RankRequest, Session, find_missing  # with NumPy, which help does without
        from clipsim.inputs.sources import FileSource

        request = RankRequest.check(texts, template or (), sort_by)
        streamed = output is Format.jsonl and sort_by is None
        sources: Iterable[Source] = map(FileSource, paths)
        if not streamed:
            sources = list(sources)
            missing = find_missing(sources) if output is Format.table and on_error is OnError.skip else ()
            if len(missing) == len(sources):  # known before a model is loaded
                for failure in missing:
                    _print_failure(failure)
                _end_with_failures(RunCounts(failed=len(missing)))
        with progress_bar(quiet=quiet or (streamed and sys.stdout.isatty())) as bar:
            bar.step("loading the model")
            with Session(model_options, run_options, own_process=True) as session:
                ranking = session.open_ranking(sources, request, live=streamed)
                if not session.model_was_chosen:
                    ranking.warnings.insert(0, MINI_NOTICE)
                if top is not None and output is Format.json:
                    ranking.warnings.append(TOP_IN_JSON)
                for notice in () if quiet else ranking.warnings:
                    print_message("note", notice)
                counts = RunCounts()
                total = None if streamed else len(list(sources))
                with closing(_watch(ranking, bar, counts, total)) as batches:
                    if streamed:
                        _print_json_lines(batches, request.texts, top)
                        result = None
                    else:
                        result = ranking.collect(batches)
        if result is not None:
            _print_result(result, output, top)
        if counts.failed:
            _end_with_failures(counts)


def _find_paths(images: Sequence[str], from_file: str | None, null: bool) -> Iterator[str]:
    """The paths to open, lazily: a list on a pipe may never end."""
    if null and from_file is None and STANDARD_INPUT not in images:
        raise UsageError("--null goes with a list of paths: - or --from-file")
    if not images and from_file is None:
        raise UsageError("no images to rank; give files, folders or quoted globs, or - to read paths from a pipe")
    named = (
        find_listed_images(read_path_list(name, null=null)) if name == STANDARD_INPUT else find_images([name])
        for name in images
    )
    listed = find_listed_images(read_path_list(from_file, null=null)) if from_file else ()
    paths = chain(chain.from_iterable(named), listed)
    first = next(paths, None)
    if first is None:
        raise ImageError("no images to rank: the list of paths is empty")
    return chain((first,), paths)


def _print_failure(failure: ImageFailure) -> None:
    print_message("skipped", f"{printable(failure.path)}: {failure.error}")


def _watch(
    ranking: Ranking, bar: Bar, counts: RunCounts, total: int | None
) -> Generator[list[RankOutcome], None, None]:
    """Pass the batches on; count them, report each failure as it comes, and move the bar."""
    from clipsim.scoring.records import ImageFailure

    with closing(iter(ranking)) as passing:
        for number, batch in enumerate(passing):
            if number == 0:
                bar.step("ranking", total)
            failures = [outcome for outcome in batch if isinstance(outcome, ImageFailure)]
            for failure in failures:
                _print_failure(failure)
            counts.failed += len(failures)
            counts.scored += len(batch) - len(failures)
            bar.advance(len(batch))
            yield batch


def _print_json_lines(batches: Iterable[list[RankOutcome]], texts: Sequence[str], top: int | None) -> None:
    """Write each batch as soon as it is scored."""
    from clipsim.render.json import format_json_line

    for batch in batches:
        for outcome in batch:  # line by line: a pipe takes a short line whole or, when the run is killed, not at all
            write(format_json_line(outcome, texts, top))


def _print_result(result: RankResult, output: Format, top: int | None) -> None:
    """Write the whole result; without a single score, only the formats for programs write anything."""
    if output is Format.json:
        from clipsim.render.json import format_json

        write(format_json(result))
    elif output is Format.jsonl:
        _print_json_lines([[*result.scores, *result.errors]], result.texts, top)
    elif output is Format.csv:
        from clipsim.render.csv import csv_header, format_csv

        write(csv_header())
        for scores in result.scores:
            write(format_csv(scores, result.texts, top))
    elif result.scores:
        from clipsim.render.table import build_table

        print_table(*build_table(result, table_width(), top, whole_names=not sys.stdout.isatty()))


def _end_with_failures(counts: RunCounts) -> None:
    if counts.scored:
        print_message("warning", f"{counts.failed} of {counts.scored + counts.failed} inputs skipped")
        raise typer.Exit(SOME_SKIPPED)
    print_message("error", "none of the inputs could be used; the lines above say why")
    raise typer.Exit(NOTHING_DONE)
