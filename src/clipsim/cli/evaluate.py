"""`clipsim evaluate`: its options, its run in steps, and its tables or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.collections import report_failures
from clipsim.cli.exit_status import SOME_SKIPPED, exit_status
from clipsim.cli.output import Bar, NoticePrinter, print_message, print_table, progress_bar, write
from clipsim.cli.parameters import OnError, ReportFormat
from clipsim.cli.preview import check_terminal
from clipsim.errors import DataError, UsageError, printable
from clipsim.options import ModelOptions, RunOptions
from clipsim.render.safe_json import to_json

if TYPE_CHECKING:
    from clipsim.tasks.evaluate import Evaluation, Step


Writer = Callable[["Step"], None]


class Task(str, Enum):
    """What is measured."""

    auto = "auto"
    classify = "classify"
    retrieve = "retrieve"
    pairs = "pairs"


def evaluate_command(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder with a folder for each class, or a text file beside each picture; a table (CSV, TSV, JSON "
            "lines); COCO's captions or another JSON of pictures and captions.",
        ),
    ],
    task: Annotated[Task, typer.Option(help="What to measure; auto goes by labels or captions.")] = Task.auto,
    model: shared.Models = None,
    weights: shared.Weights = None,
    image_column: Annotated[str | None, typer.Option(metavar="COLUMN", help="The pictures' column.")] = None,
    label_column: Annotated[str | None, typer.Option(metavar="COLUMN", help="The labels' column.")] = None,
    caption_column: Annotated[str | None, typer.Option(metavar="COLUMN", help="The captions' column.")] = None,
    root: Annotated[
        str | None, typer.Option(metavar="DIR", help="The folder of the table's paths; the table's own unless given.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The text of each class: JSON, or a class, a tab or comma and a text a line."
        ),
    ] = None,
    template: shared.Templates = None,
    template_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TEMPLATE",
            help="A template of a named set; repeat it. Sets are compared. A NAME alone is built in: plain, simple "
            "or imagenet.",
            show_default=False,
        ),
    ] = None,
    none: Annotated[
        str | None, typer.Option(metavar="NAME", help="The label of pictures that fit none of the labels.")
    ] = None,
    none_below: Annotated[
        float | None,
        typer.Option(metavar="S", help="Take a picture for none where its best cosine is below S; found unless given."),
    ] = None,
    top_k: Annotated[str | None, typer.Option(metavar="K,…", help="Accuracies to measure; 1,5 unless given.")] = None,
    recall_k: Annotated[
        str | None, typer.Option(metavar="K,…", help="Recalls to measure; 1,5,10 unless given.")
    ] = None,
    clipscore_prefix: Annotated[
        bool, typer.Option("--clipscore-prefix", help="Put 'A photo depicts ' before each caption of pairs.")
    ] = False,
    baseline: Annotated[
        str | None, typer.Option(metavar="FILE", help="An earlier result (--json) to compare with.")
    ] = None,
    per_image: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a line of JSON a picture, as it goes.")
    ] = None,
    seed: shared.Seed = 0,
    device: shared.Device = "auto",
    precision: shared.PrecisionOption = None,
    engine: shared.Engine = "auto",
    batch_size: shared.BatchSize = None,
    workers: shared.Workers = None,
    output: shared.ReportFormatOption = ReportFormat.table,
    as_json: shared.FormatJson = False,
    on_error: shared.OnErrorOption = OnError.skip,
    exact: shared.Exact = False,
    no_cache: shared.NoCache = False,
    truncate: shared.Truncate = False,
    quiet: shared.Quiet = False,
) -> None:
    """Measure models on your own labelled pictures: accuracy, recall, retrieval or CLIPScore, with intervals.

    Example: `clipsim evaluate photos/`, with a folder for each class in it

    Two models: `clipsim evaluate labels.csv -m ViT-B-32/openai -m ViT-B-16/openai`
    """
    with exit_status():
        if output is ReportFormat.html and not as_json:
            check_terminal()
        notices = NoticePrinter(quiet=quiet)
        run_options = RunOptions(
            batch_size=batch_size,
            workers=workers,
            exact=exact,
            truncate=truncate,
            on_error=on_error.value,
            cache=not no_cache,
        )
        names: list[str | None] = [*model] if model else [None]
        options = [
            ModelOptions(name, weights, device, precision.value if precision else None, engine) for name in names
        ]
        from clipsim.api import check_models
        from clipsim.embedding.embedder import Embedder  # with NumPy
        from clipsim.tasks.evaluate import Evaluation
        from clipsim.tasks.evaluate_request import EvaluationRequest

        check_models(names, weights)
        request = EvaluationRequest.check(
            data,
            task=task.value,
            image_column=image_column,
            label_column=label_column,
            caption_column=caption_column,
            root=root,
            labels=labels,
            templates=template or (),
            template_sets=_parse_sets(template_set or ()),
            none=none,
            none_below=none_below,
            top_k=_parse_ranks(top_k),
            recall_k=_parse_ranks(recall_k),
            clipscore_prefix=clipscore_prefix,
            baseline=baseline,
            seed=seed,
        )
        with ExitStack() as held:
            bar = held.enter_context(progress_bar(quiet=quiet))
            bar.step("loading the model")
            alone = len(names) == 1  # what makes a start faster is for processes with one model
            embedders = [held.enter_context(Embedder(option, run_options, own_process=alone)) for option in options]
            evaluation = Evaluation(embedders, request)
            notices.print(evaluation.warnings)
            writer = held.enter_context(_per_image(per_image))
            result = evaluation.collect(_watch(evaluation, bar, writer))
        notices.print(result.warnings)
        if as_json or output is ReportFormat.json:
            from clipsim.render.json import format_json

            write(format_json(result))
        elif output is ReportFormat.html:
            from clipsim.render.evaluation_page import format_evaluation_page

            for piece in format_evaluation_page(result, evaluation.read_thumbnails(result)):
                write(piece)
        else:
            from clipsim.render.evaluation_table import build_evaluation

            print_table(*build_evaluation(result, whole_names=not sys.stdout.isatty()))
        if skipped := len(result.errors):
            print_message("warning", f"{skipped:,} of {skipped + len(result.images):,} rows and pictures skipped")
            raise typer.Exit(SOME_SKIPPED)


def _watch(evaluation: Evaluation, bar: Bar, writer: Writer) -> Iterator[Step]:
    """Pass the steps on; report failures as they come, write the pictures' lines, and move the bar."""
    bar.step("reading pictures", evaluation.images)
    for step in evaluation:
        for failure in step.failures:
            report_failures([failure])
        writer(step)
        bar.advance(step.images)
        yield step


@contextmanager
def _per_image(path: str | None) -> Iterator[Writer]:
    """A writer of pictures' lines to a file, or without a path to none. Raises DataError where it cannot be written."""
    if path is None:
        yield lambda _: None
        return
    with _write_errors(path):
        file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 (errors of the run are not those of this file)

    def write_lines(step: Step) -> None:
        with _write_errors(path):
            if step.restart:
                file.seek(0)
                file.truncate()
            file.writelines(to_json(line) + "\n" for line in step.lines)
            file.flush()

    try:
        yield write_lines
    finally:
        with suppress(OSError):
            file.close()


@contextmanager
def _write_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot write the lines: {error.strerror or error}") from error


def _parse_sets(given: Sequence[str]) -> dict[str, list[str] | None]:
    """`NAME=TEMPLATE` of one name are a set; a `NAME` alone is a built-in one."""
    sets: dict[str, list[str] | None] = {}
    for text in given:
        name, separator, template = text.partition("=")
        if not separator:
            sets.setdefault(name, None)
            continue
        known = sets.setdefault(name, [])
        if known is None:
            raise UsageError(f"the template set '{printable(name, 40)}' is given with templates and without")
        known.append(template)
    return sets


def _parse_ranks(given: str | None) -> list[Any] | None:
    """Whole numbers between commas, as far as they are ones; the request checks them."""
    if given is None:
        return None
    return [int(part) if part.strip().isdecimal() else part.strip() for part in given.split(",")]
