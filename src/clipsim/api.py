"""Models and pictures that are labelled, or known to show a text → `evaluate` and `threshold`, in one call each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, cast

from clipsim import tasks
from clipsim.errors import UsageError, issue_warnings
from clipsim.inputs.lists import as_list, keep_iterator
from clipsim.options import OnError
from clipsim.results.evaluation import EvaluationResult, ThresholdResult
from clipsim.session import Pictures, open_session
from clipsim.tasks.evaluate import Evaluation
from clipsim.tasks.evaluate_request import EvaluationRequest
from clipsim.tasks.threshold import ThresholdRequest

ModelNames = Iterable[str | os.PathLike[str] | None] | str | os.PathLike[str] | None


def evaluate(
    data: str | os.PathLike[str],
    *,
    models: ModelNames = None,
    task: str = "auto",
    image_column: str | None = None,
    label_column: str | None = None,
    caption_column: str | None = None,
    root: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    templates: Iterable[str] | str = (),
    template_sets: tasks.TemplateSets | None = None,
    none: str | None = None,
    none_below: float | None = None,
    top_k: Iterable[int] | int | None = None,
    recall_k: Iterable[int] | int | None = None,
    clipscore_prefix: bool = False,
    baseline: tasks.Result | None = None,
    seed: int = 0,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    preprocess: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    exact: bool = False,
    truncate: bool = False,
    on_error: OnError = "skip",
    cache: bool = True,
) -> EvaluationResult:
    """Measure one or several models on labelled pictures, and compare them.

    `data` is a folder with a folder for each class or a text file beside each picture, a table (CSV, TSV, JSON lines),
    COCO's captions or another JSON of images and captions. `models` are names as `clipsim.open` takes them, None the
    default model.

    What is measured: `task` ("auto", "classify", "retrieve", "pairs"); `image_column`, `label_column` and
    `caption_column` of a table, and `root`, the folder of its paths; `labels`, a file with the text of each class;
    `templates`, or `template_sets`, several of them to compare by name; `none`, the label of pictures that fit no
    other, and `none_below`, the best cosine under which a picture is taken for one; `top_k` (1, 5); `recall_k` (1, 5,
    10); `clipscore_prefix`, which puts "A photo depicts " before each caption; `baseline`, an earlier result; `seed` of
    what is drawn at random. All other options are those of `clipsim.open`.

    Raises UsageError for options that contradict each other, DataError for data that cannot be read or have no labels,
    NoInputError where no picture can be used, and what `clipsim.open` raises.
    """
    request = EvaluationRequest.check(
        data,
        task=task,
        image_column=image_column,
        label_column=label_column,
        caption_column=caption_column,
        root=root,
        labels=labels,
        templates=templates,
        template_sets=template_sets,
        none=none,
        none_below=none_below,
        top_k=top_k,
        recall_k=recall_k,
        clipscore_prefix=clipscore_prefix,
        baseline=baseline,
        seed=seed,
    )
    names = [models] if models is None or isinstance(models, str | os.PathLike) else list(as_list(models, "models"))
    check_models(names, weights)
    with ExitStack() as held:
        sessions = [
            held.enter_context(
                open_session(
                    cast("str | None", name),
                    weights=weights,
                    device=device,
                    precision=precision,
                    engine=engine,
                    preprocess=preprocess,
                    batch_size=batch_size,
                    workers=workers,
                    exact=exact,
                    truncate=truncate,
                    on_error=on_error,
                    cache=cache,
                )
            )
            for name in names
        ]
        result = Evaluation(sessions, request).collect()
    issue_warnings(result.warnings)
    return result


def check_models(names: list[Any], weights: object) -> None:
    """Raise UsageError for no models, and for several with one file of weights."""
    if not names:
        raise UsageError("none given", parameter="models", hint="give at least one")
    if len(names) > 1 and weights is not None:
        raise UsageError("goes with one model, and several are given", parameter="weights", value=weights)


def threshold(
    texts: Iterable[str] | str,
    positives: Pictures,
    negatives: Pictures = (),
    *,
    recall: float | None = None,
    false_alarms: float | None = None,
    templates: Iterable[str] | str = (),
    deduplicate: bool = True,
    model: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    preprocess: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    exact: bool = False,
    truncate: bool = False,
    on_error: OnError = "skip",
    cache: bool = True,
) -> ThresholdResult:
    """Find the cosine from which on a picture counts as showing a text, with a promise about new pictures.

    `positives` show what the texts say, `negatives` do not. With `recall`, at least that share of new positives pass,
    with `false_alarms` at most that share of new negatives, on average and as long as they are like those given; the
    result says how far a single set of this size can miss (split conformal prediction). The other options are
    those of `clipsim.open`. Give the result to `clipsim.rank` as `thresholds`.

    Raises UsageError for two promises or none, ClipsimError for fewer pictures than the promise needs (9 for a recall
    of 90 %, 19 for 95 %), NoInputError where none can be used, and what `clipsim.open` raises.
    """
    texts, templates = keep_iterator(texts), keep_iterator(templates)
    ThresholdRequest.check(
        texts, templates, recall, false_alarms, deduplicate=deduplicate
    )  # before a model is looked for
    with open_session(
        model,
        weights=weights,
        device=device,
        precision=precision,
        engine=engine,
        preprocess=preprocess,
        batch_size=batch_size,
        workers=workers,
        exact=exact,
        truncate=truncate,
        on_error=on_error,
        cache=cache,
    ) as session:
        return session.threshold(
            texts,
            positives,
            negatives,
            recall=recall,
            false_alarms=false_alarms,
            templates=templates,
            deduplicate=deduplicate,
        )
