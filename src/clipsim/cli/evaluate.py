"""`clipsim evaluate`: its options, its run in steps, and its tables or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from clipsim.cli import parameters as shared
from clipsim.cli.collections import end_with_failures, report_progress
from clipsim.cli.output import page_folder, print_table, progress_bar, table_width, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import INPUTS, OUTPUT, TEXTS, Format, argument, flag, option
from clipsim.cli.preview import PreviewMode, PreviewOption, choose_preview, make_preview, thumbnail_rules
from clipsim.errors import DataError, UsageError, printable
from clipsim.render.json import to_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clipsim.results.evaluation import EvaluationResult
    from clipsim.statistics.classification import Contradicted
    from clipsim.tasks.evaluate import WriteLines
    from clipsim.tasks.evaluate_runs import Line


@with_output_file
@shared.with_run_options("model")
def evaluate_command(
    data: Annotated[
        str,
        argument(
            "DATA",
            "A folder with a folder for each class, or a text file beside each image; a table (CSV, TSV, JSON lines); "
            "COCO's JSON or another of images and captions; or a folder that `clipsim embed` wrote, whose vectors are "
            "read.",
        ),
    ],
    task: Annotated[
        Literal["auto", "classify", "multilabel", "retrieve", "pairs"],
        option(
            "--task",
            "TASK",
            OUTPUT,
            "What to measure: classify, multilabel (several labels an image), retrieve or pairs; auto goes by labels "
            "or captions.",
        ),
    ] = "auto",
    model: Annotated[
        list[str] | None,
        shared.model_option("A name as `rank --model` takes it (repeatable). CLIPSIM_MODEL sets one too."),
    ] = None,
    image_column: shared.ImageColumn = None,
    label_column: shared.LabelColumn = None,
    caption_column: shared.CaptionColumn = None,
    reference_column: Annotated[
        str | None,
        option("--reference-column", "COLUMN", INPUTS, "Column with other captions of an image, for RefCLIPScore."),
    ] = None,
    root: shared.TableRoot = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    labels: shared.LabelWords = None,
    folder_labels: shared.FolderLabels = None,
    template: shared.Templates = None,
    template_set: Annotated[
        list[str] | None,
        option(
            "--template-set",
            "NAME=TEMPLATE",
            TEXTS,
            "A template of a named set (repeatable). Sets are compared. A NAME alone is built in: plain, simple or "
            "imagenet.",
        ),
    ] = None,
    none: Annotated[
        str | None, option("--none", "NAME", TEXTS, "The label of images that fit none of the labels.")
    ] = None,
    min_similarity: Annotated[
        float | None,
        shared.min_similarity(
            "With --none: reject images whose best cosine is below S. With multilabel: give the labels whose cosine is "
            "at least S. [default: fitted]"
        ),
    ] = None,
    min_probability: Annotated[
        float | None,
        option("--min-probability", "P", TEXTS, "With multilabel: give the labels whose probability is at least P."),
    ] = None,
    thresholds: Annotated[
        str | None,
        option("--thresholds", "FILE", TEXTS, "With multilabel: give the labels that reach their own threshold."),
    ] = None,
    top_k: Annotated[str | None, option("--top-k", "K,…", OUTPUT, "Accuracies to measure. [default: 1,5]")] = None,
    recall_k: Annotated[
        str | None, option("--recall-k", "K,…", OUTPUT, "Recalls to measure. [default: 1,5,10]")
    ] = None,
    clipscore_prefix: Annotated[
        bool, flag("--clipscore-prefix", TEXTS, "Put 'A photo depicts ' before each caption of pairs.")
    ] = False,
    baseline: Annotated[
        str | None, option("--baseline", "FILE", OUTPUT, "An earlier result (--json) to compare with.")
    ] = None,
    classifier: shared.ClassifierFile = None,
    per_image: Annotated[
        str | None, option("--per-image", "FILE", OUTPUT, "Write one JSON object per image, as they are processed.")
    ] = None,
    seed: shared.Seed = 0,
    output: shared.ReportFormatOption = "table",
    as_json: shared.FormatJson = False,
    preview: PreviewOption = "off",
    *,
    run: shared.Run,
) -> None:
    """Measure models on your own labelled images: accuracy, recall, retrieval or CLIPScore, with intervals.

    Example: `clipsim evaluate photos/`, with a folder for each class in it

    Two models: `clipsim evaluate labels.csv -m ViT-B-32/openai -m ViT-B-16/openai`
    """
    form = shared.choose_format(output, as_json)
    preview = choose_preview(preview, form)
    notices = run.notices()
    from clipsim.tasks.search_targets import recorded_model

    names: list[str | None] = [*model] if model else [None if run.weights else recorded_model([data])]
    options, run_options = run.options(*names)
    from clipsim.embedding.embedder import Embedder  # with NumPy
    from clipsim.tasks import evaluate
    from clipsim.tasks.evaluate_request import EvaluationRequest, check_models

    check_models(names, run.weights, run.weights_key, run.adapter)
    request = EvaluationRequest.check(
        data,
        task=task,
        image_column=image_column,
        label_column=label_column,
        caption_column=caption_column,
        reference_column=reference_column,
        root=root,
        labels=labels,
        folder_labels=folder_labels,
        templates=template or (),
        template_sets=_parse_sets(template_set or ()),
        none=none,
        min_similarity=min_similarity,
        min_probability=min_probability,
        thresholds=thresholds,
        top_k=_parse_ranks(top_k),
        recall_k=_parse_ranks(recall_k),
        clipscore_prefix=clipscore_prefix,
        baseline=baseline,
        classifier=classifier,
        seed=seed,
        include=include or (),
        exclude=exclude or (),
    )
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(quiet=run.quiet))
        bar.step("loading the model")
        alone = len(names) == 1  # what makes a start faster is for processes with one model
        embedders = [stack.enter_context(Embedder(option, run_options, own_process=alone)) for option in options]
        write_lines = stack.enter_context(_per_image(per_image))
        result = evaluate.run(embedders, request, report_progress(bar, notices), write_lines)
    notices.print(result.warnings)
    _print_result(result, form, preview)
    end_with_failures(len(result.errors), len(result.images))


def _print_result(result: EvaluationResult, output: Format, preview: PreviewMode) -> None:
    """Write the result; the images that a page or a preview shows are decoded once more for it."""
    if output == "json":
        from clipsim.render.json import format_json

        write(format_json(result))
        return
    rules, thumbnails = thumbnail_rules(output, preview), dict[str, bytes]()
    if rules is not None:
        from clipsim.tasks.evaluate import read_result_thumbnails

        thumbnails = read_result_thumbnails(result, rules)
    if output == "html":
        from clipsim.render.evaluation_page import format_evaluation_page

        for piece in format_evaluation_page(result, thumbnails, page_folder=page_folder()):
            write(piece)
        return
    from clipsim.render.evaluation_table import build_evaluation
    from clipsim.render.preview import build_preview_contradicted

    def draw(images: Sequence[Contradicted]) -> RenderableType:
        return build_preview_contradicted(images, thumbnails, make_preview(preview), table_width())

    whole_names = not sys.stdout.isatty()
    print_table(*build_evaluation(result, whole_names=whole_names, draw_contradicted=None if rules is None else draw))


@contextmanager
def _per_image(path: str | None) -> Iterator[WriteLines]:
    """A writer of images' lines to a file, or without a path to none. Raises DataError where it cannot be written."""
    if path is None:
        yield lambda _: None
        return
    with _write_errors(path):
        file = Path(path).open("w", encoding="utf-8", newline="\n")  # noqa: SIM115 (errors of the run are not those of this file)

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
