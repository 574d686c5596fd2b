"""One call a task: a model is opened, used and closed again; and `open`, which keeps it for several calls."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, cast

from clipsim import tasks
from clipsim.embedding.embedder import Embedder
from clipsim.errors import UsageError, issue_warnings
from clipsim.inputs.arguments import make_sources
from clipsim.inputs.lists import as_list
from clipsim.options import ModelOptions, OnError, RunOptions, check_path
from clipsim.results.evaluation import EvaluationResult, ThresholdResult
from clipsim.results.rank import RankResult
from clipsim.session import Pictures, Session, finish
from clipsim.tasks import evaluate as evaluate_task
from clipsim.tasks import rank as rank_task
from clipsim.tasks import threshold as threshold_task
from clipsim.tasks.evaluate_request import EvaluationRequest
from clipsim.tasks.rank import RankRequest
from clipsim.tasks.threshold import ThresholdRequest

ModelNames = Iterable[str | os.PathLike[str] | None] | str | os.PathLike[str] | None


def open(
    model: str | os.PathLike[str] | None = None,
    *,
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
) -> Session:
    """Open a model once, for several calls: `with clipsim.open("ViT-B/32") as session: session.rank(images, texts)`.

    What has to be said of the model is issued as a ClipsimWarning: what is known without loading it here, and all of it
    by each call of the session.

    Parameters
    ----------
    model
        What `clipsim rank --model` accepts; None for the default model.
    weights
        A state dict for the architecture in `model`.
    device
        "auto", "cpu", "cuda", "cuda:1" and so on, or "mps".
    precision
        "fp32", "fp16" or "bf16"; None for fp32 on a CPU and fp16 on a GPU.
    engine
        "auto" (an fp32 export of the model where there is one), "torch", "onnx" or "onnx-int8".
    preprocess
        "tag" (as the published weights of the architecture), "default" (OpenCLIP's) or a JSON file of settings; None
        for the model's own.
    batch_size
        Images or texts per step of the model; None for what suits the device.
    workers
        Threads that decode images; None for one per core, at most 8.
    exact
        Whether large JPEGs are decoded in full.
    truncate
        Whether texts that are too long are cut.
    on_error
        What becomes of images that cannot be used: with "skip" they are left out, with "raise" the first one raises
        ImageError, and with "nan" they keep their places among the images of `rank` (their cosines are NaN, their best
        text is None) and the queries of `search`. The result's `errors` have them in either case.
    cache
        Whether vectors are read from the user's cache and kept there.

    Returns
    -------
    Session
        The model, which is loaded with the first vector that is not in the cache.

    Raises
    ------
    UsageError
        Options contradict each other.
    ModelError
        The model, or one of its files, cannot be used.
    DeviceError
        The device cannot be used; raised when the model is loaded.
    """
    session = Session(
        *_options(
            model, weights, device, precision, engine, preprocess, batch_size, workers, exact, truncate, on_error, cache
        )
    )
    issue_warnings(session.notices)
    return session


def rank(
    images: Pictures,
    texts: Iterable[str] | str,
    *,
    templates: Iterable[str] | str = (),
    sort_by: str | None = None,
    thresholds: tasks.Thresholds | None = None,
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
) -> RankResult:
    """Score every image against every text, with a model that is opened and closed again.

    Parameters
    ----------
    images, texts, templates, sort_by, thresholds, deduplicate
        As for `Session.rank`.
    model, weights, device, precision, engine, preprocess, batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    RankResult
        Cosines from -1 to 1 and probabilities from 0 to 1, both of shape (texts, images).

    Raises
    ------
    UsageError, NoInputError, TextError, DataError, ImageError
        As `Session.rank` does.
    ModelError, DeviceError
        The model cannot be used, as for `clipsim.open`.

    Examples
    --------
    >>> from PIL import Image
    >>> picture = Image.new("RGB", (64, 48), "white")
    >>> rank(picture, ["maze", "cat"], model="clipsim-mini").similarity.shape
    (2, 1)
    """
    request = RankRequest.check(
        list(make_sources(images)), texts, templates, sort_by, thresholds, deduplicate=deduplicate
    )
    with _open(
        model, weights, device, precision, engine, preprocess, batch_size, workers, exact, truncate, on_error, cache
    ) as embedder:
        result = rank_task.run(embedder, request)
        return finish(result, len(result.scores))


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
    min_similarity: float | None = None,
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
    """Measure one or several models on labelled images, and compare them.

    Parameters
    ----------
    data
        A folder with a folder for each class or a text file beside each image, a table (CSV, TSV, JSON lines), COCO's
        captions or another JSON of images and captions.
    models
        Names as `clipsim.open` takes them; None for the default model.
    task
        What is measured: "auto", "classify", "retrieve" or "pairs".
    image_column, label_column, caption_column
        Columns of a table.
    root
        The folder of a table's paths.
    labels
        A file with the text of each class.
    templates
        Texts with a `{}` into which each text is put.
    template_sets
        Several sets of templates by name, which are compared.
    none
        The label of images that fit no other.
    min_similarity
        The best cosine under which an image is taken for one of these; None for one that is fitted.
    top_k
        The k of top-k accuracy; None for 1 and 5.
    recall_k
        The k of recall at k; None for 1, 5 and 10.
    clipscore_prefix
        Whether "A photo depicts " is put before each caption.
    baseline
        An earlier result to compare with.
    seed
        Of what is drawn at random.
    weights, device, precision, engine, preprocess, batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    EvaluationResult
        The figures of each model, with intervals that cover 95 %, and the differences between models.

    Raises
    ------
    UsageError
        Options contradict each other.
    DataError
        The data cannot be read, or have no labels.
    NoInputError
        None of the images can be used.
    ModelError, DeviceError
        A model cannot be used, as for `clipsim.open`.
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
        min_similarity=min_similarity,
        top_k=top_k,
        recall_k=recall_k,
        clipscore_prefix=clipscore_prefix,
        baseline=baseline,
        seed=seed,
    )
    names = [models] if models is None or isinstance(models, str | os.PathLike) else list(as_list(models, "models"))
    check_models(names, weights)
    with ExitStack() as stack:
        embedders = [
            stack.enter_context(
                _open(
                    cast("str | None", name),
                    weights,
                    device,
                    precision,
                    engine,
                    preprocess,
                    batch_size,
                    workers,
                    exact,
                    truncate,
                    on_error,
                    cache,
                )
            )
            for name in names
        ]
        result = evaluate_task.run(embedders, request)
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
    """Find the cosine from which on an image counts as showing a text, with a promise about new images.

    The promise holds on average, and as long as new images are like those given; the result says how far a single set
    of this size can miss (split conformal prediction). One of `recall` and `false_alarms` is given.

    Parameters
    ----------
    texts
        What an image is to show.
    positives
        Images that show the texts, as `clipsim.rank` takes them.
    negatives
        Images that do not.
    recall
        The share of new positives that pass, at least; from 0 to 1.
    false_alarms
        The share of new negatives that pass, at most; from 0 to 1.
    templates, deduplicate
        As for `clipsim.rank`.
    model, weights, device, precision, engine, preprocess, batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    ThresholdResult
        The threshold of each text, a cosine; give it to `clipsim.rank` as `thresholds`.

    Raises
    ------
    UsageError
        There are two promises or none.
    ClipsimError
        There are fewer images than the promise needs: 9 for a recall of 90 %, 19 for 95 %.
    NoInputError
        None of the images can be used.
    ModelError, DeviceError
        The model cannot be used, as for `clipsim.open`.
    """
    matching = list(make_sources(positives, "positives"))
    others = make_sources(negatives, "negatives", first=len(matching))
    request = ThresholdRequest.check(texts, matching, others, templates, recall, false_alarms, deduplicate=deduplicate)
    with _open(
        model, weights, device, precision, engine, preprocess, batch_size, workers, exact, truncate, on_error, cache
    ) as embedder:
        result = threshold_task.run(embedder, request)
    issue_warnings(result.warnings)
    return result


def _open(
    model: str | os.PathLike[str] | None,
    weights: str | os.PathLike[str] | None,
    device: str,
    precision: str | None,
    engine: str,
    preprocess: str | os.PathLike[str] | None,
    batch_size: int | None,
    workers: int | None,
    exact: bool,
    truncate: bool,
    on_error: OnError,
    cache: bool,
) -> Embedder:
    """The model of one call; its notices are those of the call's result."""
    return Embedder(
        *_options(
            model, weights, device, precision, engine, preprocess, batch_size, workers, exact, truncate, on_error, cache
        )
    )


def _options(
    model: str | os.PathLike[str] | None,
    weights: str | os.PathLike[str] | None,
    device: str,
    precision: str | None,
    engine: str,
    preprocess: str | os.PathLike[str] | None,
    batch_size: int | None,
    workers: int | None,
    exact: bool,
    truncate: bool,
    on_error: OnError,
    cache: bool,
) -> tuple[ModelOptions, RunOptions]:
    """The options of `open`, in its order, checked. Raises UsageError."""
    return ModelOptions(
        os.fspath(model) if isinstance(model, os.PathLike) else model,
        os.fspath(weights) if isinstance(weights, os.PathLike) else weights,
        str(device),  # a torch.device too
        precision,
        engine,
        None if preprocess is None else check_path("preprocess", preprocess),
    ), RunOptions(batch_size, workers, exact, truncate, on_error, cache)
