"""`clipsim threshold`: its options, its run, and its table, JSON or file of thresholds."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.collections import end_with_failures, find_named_sources, report_progress
from clipsim.cli.output import NoticePrinter, print_message, print_table, progress_bar, write
from clipsim.cli.parameters import WholeFormat
from clipsim.errors import UsageError, printable


@shared.with_run_options()
def threshold_command(
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="Texts to find thresholds for."),
    ] = None,
    positives: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Images that show it: a file, folder, quoted glob or address (repeatable); `-` reads paths from "
            "standard input.",
            rich_help_panel=shared.INPUTS,
        ),
    ] = None,
    negatives: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Images that do not show it (repeatable).", rich_help_panel=shared.INPUTS),
    ] = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    recall: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="The share of new positives that are to pass, such as 0.9.",
            rich_help_panel=shared.OUTPUT,
        ),
    ] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="The share of new negatives that may pass, such as 0.05.",
            rich_help_panel=shared.OUTPUT,
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the thresholds to a file for `rank --thresholds`, or add them.",
            rich_help_panel=shared.OUTPUT,
        ),
    ] = None,
    template: shared.Templates = None,
    output: shared.WholeFormatOption = WholeFormat.table,
    as_json: shared.FormatJson = False,
    *,
    run: shared.Run,
) -> None:
    """Find the cosine from which on an image counts as showing a text, with a promise about new images.

    Example: `clipsim threshold 'a cat' --positives cats/ --negatives others/ --recall 0.9 -o thresholds.json`
    """
    if not text:
        raise UsageError("no TEXT to find a threshold for")
    if not positives:
        raise UsageError("no positives; give images that show the text: --positives PATH")
    shared.check_standard_input(*positives, *(negatives or ()), what="for positives or for negatives")
    chosen = shared.choose_names(include, exclude)
    notices = run.notices()
    model_options, run_options = run.model_options(run.model), run.run_options()
    from clipsim.embedding.embedder import Embedder  # with NumPy
    from clipsim.inputs.sources import number_sources
    from clipsim.tasks import threshold

    shown = list(number_sources(find_named_sources(positives, None, chosen)))
    request = threshold.ThresholdRequest.check(
        text,
        shown,
        number_sources(find_named_sources(negatives or (), None, chosen), len(shown)),
        templates=template or (),
        recall=recall,
        false_alarms=false_alarms,
    )
    with progress_bar(quiet=run.quiet) as bar:
        bar.step("loading the model")
        with Embedder(model_options, run_options, own_process=True) as embedder:
            result = threshold.run(embedder, request, report_progress(bar, notices))
    notices.print(result.warnings)
    if as_json or output is WholeFormat.json:
        from clipsim.render.json import format_json

        write(format_json(result))
    else:
        from clipsim.render.evaluation_table import build_thresholds

        print_table(*build_thresholds(result, whole_names=not sys.stdout.isatty()))
    if save is not None:
        threshold.save_thresholds(result, save)
        if not run.quiet:
            print_message("note", f"thresholds written to {printable(save)}")
    end_with_failures(len(result.errors), len(request.positives) + len(request.negatives) - len(result.errors))


RESULT_HELP = "A result of `clipsim rank --json` or `clipsim evaluate --json`."


def compare_command(
    a: Annotated[str, typer.Argument(metavar="A.json", help=RESULT_HELP)],
    b: Annotated[str, typer.Argument(metavar="B.json", help="The result to compare with.")],
    seed: shared.Seed = 0,
    output: shared.WholeFormatOption = WholeFormat.table,
    as_json: shared.FormatJson = False,
    quiet: shared.Quiet = False,
) -> None:
    """Compare two results of `rank` or `evaluate`.

    Example: `clipsim compare monday.json friday.json`
    """
    from clipsim.tasks.compare import run

    result = run(a, b, seed=seed)
    NoticePrinter(quiet=quiet).print(result.warnings)
    if as_json or output is WholeFormat.json:
        from clipsim.render.json import format_json

        write(format_json(result))
    else:
        from clipsim.render.evaluation_table import build_changes

        print_table(*build_changes(result, whole_names=not sys.stdout.isatty()))
