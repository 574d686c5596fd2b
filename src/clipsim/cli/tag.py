"""`clipsim tag` writes keywords beside images; `clipsim undo` takes back what a journal records."""

from __future__ import annotations

from typing import Annotated, Literal

from clipsim.cli import parameters as shared
from clipsim.cli.collections import end_with_failures, report_failures, report_progress, run_task
from clipsim.cli.output import NoticePrinter, print_table, progress_bar, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import OUTPUT, flag
from clipsim.cli.plans import MinProbability, Yes, finish_plan, print_plan_result
from clipsim.cli.rank import request_ranking
from clipsim.errors import UsageError, printable


@with_output_file
@shared.with_run_options()
def tag_command(
    images: shared.Images = None,
    text: shared.Texts = None,
    text_file: shared.TextFiles = None,
    template: shared.Templates = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    thresholds: shared.Thresholds = None,
    classifier: shared.ClassifierFile = None,
    min_probability: MinProbability = None,
    xmp: Annotated[bool, flag("--xmp", OUTPUT, "Write the keywords into XMP sidecars beside the images.")] = False,
    output: Annotated[
        Literal["table", "json", "exiftool"], shared.format_option("table, json or exiftool, the CSV that it reads")
    ] = "table",
    as_json: shared.FormatJson = False,
    yes: Yes = False,
    *,
    run: shared.Run,
) -> None:
    """Give images keywords: the labels that fit them. Without --yes, the plan is printed and nothing is changed.

    Example: `clipsim tag photos/ -t cat -t dog --xmp`

    By ExifTool: `clipsim tag photos/ -t cat -t dog --format exiftool | exiftool -sep ', ' -csv+=- photos/`
    """
    if xmp == (output == "exiftool"):
        raise UsageError("give either --xmp, for sidecars, or --format exiftool")
    if not xmp and (yes or as_json):
        raise UsageError("--format exiftool prints keywords and changes nothing; give it without --yes and --json")
    notices = run.notices()
    names = shared.choose_names(include, exclude)
    ranking = request_ranking("tag", images, text, text_file, template, from_file, names, thresholds, classifier)
    if not xmp:
        _check_separator(ranking.texts)
    from clipsim.tasks import tag

    plan = run_task(tag.run, tag.TagRequest(ranking, xmp, min_probability), run, notices, run.model)
    if xmp:
        finish_plan(plan, as_json=as_json or output == "json", yes=yes, run=run, notices=notices)
        return
    from clipsim.render.json import format_exiftool

    report_failures(plan.failures)
    write("".join(format_exiftool(plan.result)))
    if plan.result.errors:
        end_with_failures(len(plan.result.errors), len(plan.result.steps) + len(plan.result.left))


def _check_separator(labels: tuple[str, ...]) -> None:
    from clipsim.render.json import KEYWORD_SEPARATOR

    if wrong := [label for label in labels if KEYWORD_SEPARATOR in label]:
        raise UsageError(
            f"'{printable(wrong[0], 60)}': a label for --format exiftool has no '{KEYWORD_SEPARATOR}', which separates "
            "labels"
        )


@with_output_file
def undo_command(
    journal: Annotated[str, shared.argument("JOURNAL", "The journal whose name the command printed.")],
    output: shared.WholeFormatOption = "table",
    as_json: shared.FormatJson = False,
    yes: Yes = False,
    quiet: shared.Quiet = False,
) -> None:
    """Take back what sort, tag, duplicates, rank or search did to files. Without --yes, only the plan is printed.

    Example: `clipsim undo ~/.local/state/clipsim/journals/2026-05-01T120000-sort-1f2e.jsonl`
    """
    as_json = as_json or output == "json"
    from clipsim.tasks import undo
    from clipsim.tasks.progress import ignore_progress

    notices = NoticePrinter(quiet=quiet)
    with progress_bar(quiet=quiet) as bar:
        result = undo.plan(journal, report_progress(bar, notices) if not yes else ignore_progress)
    if not as_json:
        from clipsim.render.plans import build_plan_table

        print_table(*build_plan_table(result))
    if yes:
        with progress_bar(quiet=quiet) as bar:
            result = undo.run(journal, report_progress(bar, notices))
    print_plan_result(result, as_json=as_json)
    if result.errors:
        end_with_failures(len(result.errors), result.done if result.applied else len(result.steps))
