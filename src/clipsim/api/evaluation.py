"""Labelled images, known images or earlier results → figures: `evaluate`, `fit`, `threshold` and `compare`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import clipsim
from clipsim import tasks
from clipsim.api.calls import OneCall
from clipsim.embedding.embedder import Embedder
from clipsim.errors import issue_warnings
from clipsim.inputs.label_words import LabelWords
from clipsim.inputs.lists import as_list
from clipsim.options import OnError, make_options
from clipsim.tasks.arguments import EvaluationData, ImageCaptions, ImageInputs, ImageLabels, TextInputs
from clipsim.tasks.progress import ProgressCallback, check_progress

ModelNames = Iterable[str | os.PathLike[str] | None] | str | os.PathLike[str] | None


def evaluate(
    data: EvaluationData | None = None,
    *,
    images: ImageInputs | None = None,
    models: ModelNames = None,
    task: str = "auto",
    image_column: str | None = None,
    label_column: str | None = None,
    caption_column: str | None = None,
    reference_column: str | None = None,
    root: str | os.PathLike[str] | None = None,
    labels: LabelWords | ImageLabels | str | os.PathLike[str] | None = None,
    captions: ImageCaptions | None = None,
    texts: TextInputs | None = None,
    folder_labels: str | None = None,
    templates: Iterable[str] | str = (),
    template_sets: tasks.TemplateSets | None = None,
    none: str | None = None,
    min_similarity: float | None = None,
    min_probability: float | None = None,
    thresholds: tasks.Thresholds | None = None,
    top_k: Iterable[int] | int | None = None,
    recall_k: Iterable[int] | int | None = None,
    clipscore_prefix: bool = False,
    baseline: tasks.Result | None = None,
    classifier: tasks.ClassifierInput | None = None,
    seed: int = 0,
    include: Iterable[str] | str = (),
    exclude: Iterable[str] | str = (),
    progress: ProgressCallback | None = None,
    weights: str | os.PathLike[str] | None = None,
    weights_key: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
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
) -> clipsim.EvaluationResult:
    """Measure one or several models on labelled images, and compare them.

    Parameters
    ----------
    data
        A folder with a folder for each class or a text file beside each image, a table (CSV, TSV, JSON lines, Parquet),
        COCO's captions or instances, or another JSON of images and captions; a folder that `embed` wrote, whose vectors
        are read; or rows in memory: a data frame, a table of Arrow, a data set of Hugging Face, a list of mappings.
    images
        In place of `data`, images as `rank` takes them, but for folders and patterns, with `labels` or `captions`.
    models
        Names as `clipsim.open` takes them; None for the default model.
    task
        What is measured: "auto", "classify", "multilabel" (several labels an image), "retrieve" or "pairs".
    image_column, label_column, caption_column
        Columns of a table.
    reference_column
        A column with other captions of an image, which those of the task pairs are compared with (RefCLIPScore).
    root
        The folder of a table's paths.
    labels
        A file with the text of each class, or a mapping of classes to their text or texts. A class with several has
        one vector, the mean of theirs, and the first of them as its label. With `images`, a label for each of them, or
        a list of labels; numbers count the `texts` from 0; an array of zeros and ones has a column a text.
    captions
        With `images`, a caption for each of them, or a list of captions.
    texts
        With `images`, the labels to choose from, as `rank` takes them; None for those that the images have.
    folder_labels
        Which folder is an image's class: the "first" below `data`, the "last", which holds the image, or the "path" of
        all. None for the first, or the path where no image is in a folder right below.
    templates
        Texts with a `{}` into which each text is put.
    template_sets
        Several sets of templates by name, which are compared.
    none
        The label of images that fit no other.
    min_similarity
        The best cosine under which an image is taken for one of these; None for one that is fitted. For multilabel, the
        cosine from which on an image is given a label.
    min_probability
        For multilabel, the probability from which on an image is given a label.
    thresholds
        For multilabel, the result of `threshold`, or its file, which has the cosine of each label.
    top_k
        The k of top-k accuracy; None for 1 and 5.
    recall_k
        The k of recall at k; None for 1, 5 and 10.
    clipscore_prefix
        Whether "A photo depicts " is put before each caption.
    baseline
        An earlier result to compare with.
    classifier
        What `clipsim.fit` returned, its dictionary or its file: the labels' vectors are its, in place of those of words
        and templates. It goes with one model.
    seed
        Of what is drawn at random.
    include, exclude
        Patterns of the names of the images that are measured, and of those that are not. The labels stay all.
    progress
        Called with a `clipsim.Progress` as the work goes on.
    weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
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
    from clipsim.tasks import evaluate
    from clipsim.tasks.evaluate_request import EvaluationRequest, check_models

    report = check_progress(progress)
    request = EvaluationRequest.check(
        data,
        images=images,
        task=task,
        image_column=image_column,
        label_column=label_column,
        caption_column=caption_column,
        reference_column=reference_column,
        root=root,
        labels=labels,
        captions=captions,
        texts=texts,
        folder_labels=folder_labels,
        templates=templates,
        template_sets=template_sets,
        none=none,
        min_similarity=min_similarity,
        min_probability=min_probability,
        thresholds=thresholds,
        top_k=top_k,
        recall_k=recall_k,
        clipscore_prefix=clipscore_prefix,
        baseline=baseline,
        classifier=classifier,
        seed=seed,
        include=include,
        exclude=exclude,
    )
    one = models is None or isinstance(models, str | os.PathLike)
    names: list[Any] = [models] if one else list(as_list(models, "models"))
    check_models(names, weights, weights_key, adapter)
    run = batch_size, workers, exact, truncate, on_error, cache
    with ExitStack() as stack:
        embedders = [
            stack.enter_context(
                Embedder(
                    *make_options(name, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
                )
            )
            for name in names
        ]
        result = evaluate.run(embedders, request, report)
    issue_warnings(result.warnings)
    return result


def fit(
    data: EvaluationData,
    output: str | os.PathLike[str] | None = None,
    *,
    shots: int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    root: str | os.PathLike[str] | None = None,
    labels: LabelWords | str | os.PathLike[str] | None = None,
    folder_labels: str | None = None,
    templates: Iterable[str] | str = (),
    seed: int = 0,
    include: Iterable[str] | str = (),
    exclude: Iterable[str] | str = (),
    progress: ProgressCallback | None = None,
    model: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    weights_key: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
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
) -> clipsim.Classifier:
    """Make a classifier of labelled images: for each label a vector between those of its text and of its images.

    The model itself stays as it is. How far the vectors go from the texts to the images is chosen by cross-validation,
    and so is the figure of how good the classifier is, beside that of the words alone.

    Parameters
    ----------
    data
        Labelled images, as `clipsim.evaluate` takes them.
    output
        A file that the classifier is written to as well, in place of a classifier that it holds.
    shots
        How many images of each label are drawn; None for all.
    image_column, label_column, root, labels, folder_labels, templates, include, exclude
        As for `clipsim.evaluate`.
    seed
        Of the images that are drawn, and of the parts of the cross-validation.
    progress
        As for `clipsim.rank`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    Classifier
        The unit vectors of the labels, (labels, embed_dim), and accuracies from 0 to 1 with intervals that cover 95 %;
        give it to `rank` or `evaluate` as `classifier`. Images that cannot be used are in `errors`.

    Raises
    ------
    UsageError
        A value is out of range.
    DataError
        The data cannot be read, have fewer than two labels, or a label without an image that can be used; or the file
        to write to is something else.
    NoInputError
        None of the images can be used.
    ModelError, DeviceError
        The model cannot be used, as for `clipsim.open`.
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.fit(
            data,
            output,
            shots=shots,
            image_column=image_column,
            label_column=label_column,
            root=root,
            labels=labels,
            folder_labels=folder_labels,
            templates=templates,
            seed=seed,
            include=include,
            exclude=exclude,
            progress=progress,
        )


def threshold(
    texts: TextInputs,
    positives: ImageInputs,
    negatives: ImageInputs = (),
    *,
    recall: float | None = None,
    false_alarms: float | None = None,
    false_alarms_any: float | None = None,
    templates: Iterable[str] | str = (),
    deduplicate: bool = True,
    progress: ProgressCallback | None = None,
    model: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    weights_key: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
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
) -> clipsim.ThresholdResult:
    """Find the cosine from which on an image counts as showing a text, with a promise about new images.

    The promise holds on average, and as long as new images are like those given; the result says how far a single set
    of this size can miss (split conformal prediction). One of `recall`, `false_alarms` and `false_alarms_any`
    is given.

    Parameters
    ----------
    texts
        What an image is to show; or a mapping of labels to the words of each, as for `clipsim.rank`.
    positives
        Images that show the texts, as `clipsim.rank` takes them.
    negatives
        Images that do not.
    recall
        The share of new positives that pass, at least; from 0 to 1.
    false_alarms
        The share of new negatives that pass, at most, for each text by itself; from 0 to 1.
    false_alarms_any
        The share of new negatives that pass, at most, for any of the texts; from 0 to 1.
    templates, deduplicate, progress
        As for `clipsim.rank`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    ThresholdResult
        The threshold of each text, a cosine; give it to `clipsim.rank` as `thresholds`.

    Raises
    ------
    UsageError
        There is not exactly one promise.
    ClipsimError
        There are fewer images than the promise needs: 9 for a recall of 90 %, 19 for 95 %.
    NoInputError
        None of the images can be used.
    ModelError, DeviceError
        The model cannot be used, as for `clipsim.open`.
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.threshold(
            texts,
            positives,
            negatives,
            recall=recall,
            false_alarms=false_alarms,
            false_alarms_any=false_alarms_any,
            templates=templates,
            deduplicate=deduplicate,
            progress=progress,
        )


def compare(a: tasks.Result, b: tasks.Result) -> clipsim.CompareResult:
    """Compare two results of `rank` or of `evaluate`.

    Rankings are compared over the images and texts that both have, matched by name. Evaluations must be of the same
    images and labels, by content; runs of the same name are compared, or the only run of each.

    Parameters
    ----------
    a, b
        Paths of JSON files, results, or their dictionaries.

    Returns
    -------
    CompareResult
        What changed from `a` to `b`. Differences of metrics have the p-value of an exact test, from 0 to 1, and a 95 %
        interval; differences of cosines are absolute.

    Raises
    ------
    DataError
        One of them is not a result, or they cannot be compared.
    """
    from clipsim.tasks.compare import run

    result = run(a, b)
    issue_warnings(result.warnings)
    return result
