"""`clipsim threshold`: its options, its run, and its table, JSON or file of thresholds."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.collections import find_named_sources, report_failures
from clipsim.cli.exit_status import SOME_SKIPPED, exit_status
from clipsim.cli.output import Bar, NoticePrinter, print_message, print_table, progress_bar, write
from clipsim.cli.parameters import OnError, WholeFormat
from clipsim.errors import UsageError, pluralise, printable
from clipsim.inputs.paths import STANDARD_INPUT
from clipsim.options import ModelOptions, RunOptions

if TYPE_CHECKING:
    from clipsim.tasks.rank import RankOutcome
    from clipsim.tasks.threshold import Thresholding


def threshold_command(
    text: Annotated[list[str] | None, typer.Argument(metavar="TEXT...", help="What a picture is to show.")] = None,
    positives: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Pictures that show it: a file, folder, quoted glob or address; `-` reads paths from standard input; "
            "repeat it.",
        ),
    ] = None,
    negatives: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Pictures that do not show it; repeat it.")
    ] = None,
    recall: Annotated[
        float | None, typer.Option(metavar="SHARE", help="The share of new positives that are to pass, such as 0.9.")
    ] = None,
    false_alarms: Annotated[
        float | None, typer.Option(metavar="SHARE", help="The share of new negatives that may pass, such as 0.05.")
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the thresholds to a file for `rank --thresholds`, or add them.",
        ),
    ] = None,
    template: shared.Templates = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    device: shared.Device = "auto",
    precision: shared.PrecisionOption = None,
    engine: shared.Engine = "auto",
    batch_size: shared.BatchSize = None,
    workers: shared.Workers = None,
    output: shared.WholeFormatOption = WholeFormat.table,
    as_json: shared.FormatJson = False,
    on_error: shared.OnErrorOption = OnError.skip,
    exact: shared.Exact = False,
    no_cache: shared.NoCache = False,
    truncate: shared.Truncate = False,
    quiet: shared.Quiet = False,
) -> None:
    """Find the cosine from which on a picture counts as showing a text, with a promise about new pictures.

    Example: `clipsim threshold 'a cat' --positives cats/ --negatives others/ --recall 0.9 -o thresholds.json`
    """
    with exit_status():
        if not text:
            raise UsageError("no TEXT to find a threshold for")
        if not positives:
            raise UsageError("no positives; give pictures that show the text: --positives PATH")
        if [*positives, *(negatives or ())].count(STANDARD_INPUT) > 1:
            raise UsageError("standard input (-) can be read only once: for positives or for negatives")
        notices = NoticePrinter(quiet=quiet)
        model_options = ModelOptions(model, weights, device, precision.value if precision else None, engine)
        run_options = RunOptions(
            batch_size=batch_size,
            workers=workers,
            exact=exact,
            truncate=truncate,
            on_error=on_error.value,
            cache=not no_cache,
        )
        from clipsim.embedding.embedder import Embedder  # with NumPy
        from clipsim.inputs.sources import number_sources
        from clipsim.tasks.threshold import Thresholding, ThresholdRequest, save_thresholds

        request = ThresholdRequest.check(text, template or (), recall, false_alarms)
        known = list(number_sources(find_named_sources(positives)))
        others = list(number_sources(find_named_sources(negatives or ()), len(known)))
        with progress_bar(quiet=quiet) as bar:
            bar.step("loading the model")
            with Embedder(model_options, run_options, own_process=True) as embedder:
                search = Thresholding(embedder, request, known, others)
                notices.print(search.warnings)
                result = search.collect(_watch(search, bar))
        notices.print(result.warnings)
        if as_json or output is WholeFormat.json:
            from clipsim.render.json import format_json

            write(format_json(result))
        else:
            from clipsim.render.changes import build_thresholds

            print_table(*build_thresholds(result, whole_names=not sys.stdout.isatty()))
        if save is not None:
            save_thresholds(result, save)
            if not quiet:
                print_message("note", f"thresholds written to {printable(save)}")
        if skipped := len(result.errors):
            print_message("warning", f"{skipped:,} of {pluralise(len(search.sources), 'picture')} skipped")
            raise typer.Exit(SOME_SKIPPED)


def _watch(search: Thresholding, bar: Bar) -> Iterator[Sequence[RankOutcome]]:
    """Pass the batches on; report failures as they come, and move the bar."""
    from clipsim.errors import Failure

    bar.step("reading pictures", len(search.sources))
    for batch in search:
        for outcome in batch:
            if isinstance(outcome, Failure):
                report_failures([outcome])
        bar.advance(len(batch))
        yield batch


RESULT_HELP = "A result of `clipsim rank --json` or `clipsim evaluate --json`."


def compare_command(
    a: Annotated[str, typer.Argument(metavar="A.json", help=RESULT_HELP)],
    b: Annotated[str, typer.Argument(metavar="B.json", help="Another of the same kind.")],
    seed: shared.Seed = 0,
    output: shared.WholeFormatOption = WholeFormat.table,
    as_json: shared.FormatJson = False,
    quiet: shared.Quiet = False,
) -> None:
    """Say what changed from one result of `rank` or `evaluate` to another.

    Example: `clipsim compare monday.json friday.json`
    """
    with exit_status():
        from clipsim.tasks.compare import run

        result = run(a, b, seed=seed)
        NoticePrinter(quiet=quiet).print(result.warnings)
        if as_json or output is WholeFormat.json:
            from clipsim.render.json import format_json

            write(format_json(result))
        else:
            from clipsim.render.changes import build_changes

            print_table(*build_changes(result, whole_names=not sys.stdout.isatty()))
