"""`clipsim threshold`: its options, its run, and its table, JSON or file of thresholds."""

from __future__ import annotations

import sys
from typing import Annotated

from clipsim.cli import parameters as shared
from clipsim.cli.collections import end_with_failures, find_named_sources, run_task
from clipsim.cli.output import NoticePrinter, print_message, print_table, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import INPUTS, OUTPUT, argument, option
from clipsim.errors import UsageError, printable


@shared.with_run_options()
def threshold_command(
    text: Annotated[list[str] | None, argument("TEXT", "Texts to find thresholds for.")] = None,
    positives: Annotated[
        list[str] | None,
        option(
            "--positives",
            "PATH",
            INPUTS,
            "Images that show it: a file, folder, quoted glob or address (repeatable); `-` reads paths from standard "
            "input.",
        ),
    ] = None,
    negatives: Annotated[
        list[str] | None, option("--negatives", "PATH", INPUTS, "Images that do not show it (repeatable).")
    ] = None,
    from_file: Annotated[
        str | None,
        option("--from-file", "FILE", INPUTS, "Read paths of positives from a file, one a line, or separated by NUL."),
    ] = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    recall: Annotated[
        float | None, option("--recall", "SHARE", OUTPUT, "The share of new positives that are to pass, such as 0.9.")
    ] = None,
    false_alarms: Annotated[
        float | None,
        option(
            "--false-alarms",
            "SHARE",
            OUTPUT,
            "The share of new negatives that may pass for each text by itself, such as 0.05.",
        ),
    ] = None,
    false_alarms_any: Annotated[
        float | None,
        option(
            "--false-alarms-any",
            "SHARE",
            OUTPUT,
            "The share of new negatives that may pass for any of the texts, such as 0.05.",
        ),
    ] = None,
    save: Annotated[
        str | None,
        option("--output -o", "FILE", OUTPUT, "Write the thresholds to a file for --thresholds, or add them."),
    ] = None,
    template: shared.Templates = None,
    output: shared.WholeFormatOption = "table",
    as_json: shared.FormatJson = False,
    *,
    run: shared.Run,
) -> None:
    """Find the cosine from which on an image counts as showing a text, with a promise about new images.

    Example: `clipsim threshold 'a cat' --positives cats/ --negatives others/ --recall 0.9 -o thresholds.json`
    """
    if not text:
        raise UsageError("no TEXT to find a threshold for")
    if not positives and from_file is None:
        raise UsageError("no positives; give images that show the text: --positives PATH")
    positives, negatives = positives or [], negatives or []
    shared.check_standard_input(*positives, *negatives, from_file, what="for positives or for negatives")
    chosen = shared.choose_names(include, exclude)
    from clipsim.inputs.sources import number_sources
    from clipsim.tasks import threshold

    shown = list(number_sources(find_named_sources(positives, from_file, chosen)))
    request = threshold.ThresholdRequest.check(
        text,
        shown,
        number_sources(find_named_sources(negatives, None, chosen), len(shown)),
        templates=template or (),
        recall=recall,
        false_alarms=false_alarms,
        false_alarms_any=false_alarms_any,
    )
    result = run_task(threshold.run, request, run, run.notices(), run.model)
    if shared.choose_format(output, as_json) == "json":
        from clipsim.render.json import format_json

        write(format_json(result))
    else:
        from clipsim.render.evaluation_table import build_thresholds

        print_table(*build_thresholds(result, whole_names=not sys.stdout.isatty()))
    if save is not None:
        run.notices().print(threshold.save_thresholds(result, save))
        if not run.quiet:
            print_message("note", f"thresholds written to {printable(save)}")
    end_with_failures(len(result.errors), len(request.positives) + len(request.negatives) - len(result.errors))


@with_output_file
def compare_command(
    a: Annotated[str, argument("A.json", "A result of `clipsim rank --json` or `clipsim evaluate --json`.")],
    b: Annotated[str, argument("B.json", "The result to compare with.")],
    output: shared.WholeFormatOption = "table",
    as_json: shared.FormatJson = False,
    quiet: shared.Quiet = False,
) -> None:
    """Compare two results of `rank` or `evaluate`.

    Example: `clipsim compare monday.json friday.json`
    """
    from clipsim.tasks.compare import run

    result = run(a, b)
    NoticePrinter(quiet=quiet).print(result.warnings)
    if shared.choose_format(output, as_json) == "json":
        from clipsim.render.json import format_json

        write(format_json(result))
    else:
        from clipsim.render.evaluation_table import build_changes

        print_table(*build_changes(result, whole_names=not sys.stdout.isatty()))
