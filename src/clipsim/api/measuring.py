"""Models and pictures that are labelled, or known to show a text → `evaluate` and `threshold`, in one call each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from clipsim.api.evaluation import Evaluation
from clipsim.api.evaluation_request import EvaluationRequest
from clipsim.api.session import Session, open
from clipsim.api.thresholds import ThresholdRequest
from clipsim.errors import UsageError
from clipsim.options import ModelOptions, RunOptions
from clipsim.scoring.evaluation import EvaluationResult
from clipsim.scoring.thresholds import ThresholdResult

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipsim.api.search_calls import Pictures
    from clipsim.api.session import OpenOptions

ModelNames = Iterable[str | os.PathLike[str] | None] | str | os.PathLike[str] | None
_OPEN_OPTIONS = {field.name for record in (ModelOptions, RunOptions) for field in fields(record)} - {"model"}


def evaluate(data: str | os.PathLike[str], *, models: ModelNames = None, **options: Any) -> EvaluationResult:
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
    opening = {name: options.pop(name) for name in list(options) if name in _OPEN_OPTIONS}
    request = EvaluationRequest.check(data, **options)
    names = [models] if models is None or isinstance(models, str | os.PathLike) else list(models)
    check_models(names, opening.get("weights"))
    with ExitStack() as held:
        sessions: list[Session] = [held.enter_context(open(name, **opening)) for name in names]
        return Evaluation(sessions, request).collect()


def check_models(names: list[Any], weights: object) -> None:
    """Raise UsageError for no models, and for several with one file of weights."""
    if not names:
        raise UsageError("no models; give at least one")
    if len(names) > 1 and weights is not None:
        raise UsageError("weights go with one model, and several are given")


def threshold(
    texts: Iterable[str] | str,
    positives: Pictures,
    negatives: Pictures = (),
    *,
    recall: float | None = None,
    false_alarms: float | None = None,
    templates: Iterable[str] | str = (),
    **options: Unpack[OpenOptions],
) -> ThresholdResult:
    """Find the cosine from which on a picture counts as showing a text, with a promise about new pictures.

    `positives` show what the texts say, `negatives` do not. With `recall`, at least that share of new positives pass,
    with `false_alarms` at most that share of new negatives, on average and as long as they are like those given; the
    result says how far a single set of this size can miss (split conformal prediction). `options` are those of
    `clipsim.open`. Give the result to `clipsim.rank` as `thresholds`.

    Raises UsageError for two promises or none, ClipsimError for fewer pictures than the promise needs (9 for a recall
    of 90 %, 19 for 95 %), NoInputError where none can be used, and what `clipsim.open` raises.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    templates = [templates] if isinstance(templates, str) else list(templates)
    ThresholdRequest.check(texts, templates, recall, false_alarms)  # before a model is looked for
    with open(**options) as session:
        return session.threshold(
            texts, positives, negatives, recall=recall, false_alarms=false_alarms, templates=templates
        )
