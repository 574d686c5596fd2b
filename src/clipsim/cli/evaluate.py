"""`clipsim evaluate`: its options, its run in steps, and its tables or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.collections import end_with_failures, report_progress
from clipsim.cli.output import print_table, progress_bar, write
from clipsim.cli.parameters import ReportFormat
from clipsim.cli.preview import check_terminal
from clipsim.errors import DataError, UsageError, printable
from clipsim.render.json import to_json

if TYPE_CHECKING:
    from clipsim.tasks.evaluate import WriteLines
    from clipsim.tasks.evaluate_runs import Line


class Task(str, Enum):
    """What is measured."""

    auto = "auto"
    classify = "classify"
    retrieve = "retrieve"
    pairs = "pairs"


@shared.with_run_options("model")
def evaluate_command(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder with a folder for each class, or a text file beside each image; a table (CSV, TSV, JSON "
            "lines); COCO's captions or another JSON of images and captions.",
        ),
    ],
    task: Annotated[
        Task, typer.Option(help="What to measure; auto goes by labels or captions.", rich_help_panel=shared.OUTPUT)
    ] = Task.auto,
    model: shared.Models = None,
    image_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column with the image paths.", rich_help_panel=shared.INPUTS)
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column with the labels.", rich_help_panel=shared.INPUTS)
    ] = None,
    caption_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column with the captions.", rich_help_panel=shared.INPUTS)
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="The folder that the table's paths are relative to. [default: the table's own]",
            rich_help_panel=shared.INPUTS,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The text of each class: JSON, or a class, a tab or comma and a text a line.",
            rich_help_panel=shared.TEXTS,
        ),
    ] = None,
    template: shared.Templates = None,
    template_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TEMPLATE",
            help="A template of a named set (repeatable). Sets are compared. A NAME alone is built in: plain, simple "
            "or imagenet.",
            show_default=False,
            rich_help_panel=shared.TEXTS,
        ),
    ] = None,
    none: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The label of images that fit none of the labels.", rich_help_panel=shared.TEXTS
        ),
    ] = None,
    min_similarity: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="With --none: reject images whose best cosine is below S. [default: fitted]",
            rich_help_panel=shared.OUTPUT,
        ),
    ] = None,
    top_k: Annotated[
        str | None,
        typer.Option(metavar="K,…", help="Accuracies to measure. [default: 1,5]", rich_help_panel=shared.OUTPUT),
    ] = None,
    recall_k: Annotated[
        str | None,
        typer.Option(metavar="K,…", help="Recalls to measure. [default: 1,5,10]", rich_help_panel=shared.OUTPUT),
    ] = None,
    clipscore_prefix: Annotated[
        bool,
        typer.Option(
            "--clipscore-prefix",
            help="Put 'A photo depicts ' before each caption of pairs.",
            rich_help_panel=shared.TEXTS,
        ),
    ] = False,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="An earlier result (--json) to compare with.", rich_help_panel=shared.OUTPUT),
    ] = None,
    per_image: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write one JSON object per image, as they are processed.",
            rich_help_panel=shared.OUTPUT,
        ),
    ] = None,
    seed: shared.Seed = 0,
    output: shared.ReportFormatOption = ReportFormat.table,
    as_json: shared.FormatJson = False,
    *,
    run: shared.Run,
) -> None:
    """Measure models on your own labelled images: accuracy, recall, retrieval or CLIPScore, with intervals.

    Example: `clipsim evaluate photos/`, with a folder for each class in it

    Two models: `clipsim evaluate labels.csv -m ViT-B-32/openai -m ViT-B-16/openai`
    """
    if output is ReportFormat.html and not as_json:
        check_terminal()
    notices = run.notices()
    run_options = run.run_options()
    names: list[str | None] = [*model] if model else [None]
    options = [run.model_options(name) for name in names]
    from clipsim.embedding.embedder import Embedder  # with NumPy
    from clipsim.tasks import evaluate
    from clipsim.tasks.evaluate_request import EvaluationRequest, check_models

    check_models(names, run.weights)
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
        min_similarity=min_similarity,
        top_k=_parse_ranks(top_k),
        recall_k=_parse_ranks(recall_k),
        clipscore_prefix=clipscore_prefix,
        baseline=baseline,
        seed=seed,
    )
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(quiet=run.quiet))
        bar.step("loading the model")
        alone = len(names) == 1  # what makes a start faster is for processes with one model
        embedders = [stack.enter_context(Embedder(option, run_options, own_process=alone)) for option in options]
        write_lines = stack.enter_context(_per_image(per_image))
        result = evaluate.run(embedders, request, report_progress(bar, notices), write_lines)
    notices.print(result.warnings)
    if as_json or output is ReportFormat.json:
        from clipsim.render.json import format_json

        write(format_json(result))
    elif output is ReportFormat.html:
        from clipsim.render.evaluation_page import format_evaluation_page

        for piece in format_evaluation_page(result, evaluate.read_result_thumbnails(result)):
            write(piece)
    else:
        from clipsim.render.evaluation_table import build_evaluation

        print_table(*build_evaluation(result, whole_names=not sys.stdout.isatty()))
    end_with_failures(len(result.errors), len(result.images))


@contextmanager
def _per_image(path: str | None) -> Iterator[WriteLines]:
    """A writer of images' lines to a file, or without a path to none. Raises DataError where it cannot be written."""
    if path is None:
        yield lambda _: None
        return
    with _write_errors(path):
        file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 (errors of the run are not those of this file)

    def write_lines(lines: Sequence[Line]) -> None:
        with _write_errors(path):
            file.writelines(to_json(line) + "\n" for line in lines)
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
