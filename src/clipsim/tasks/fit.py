"""Labelled images → `Classifier`: a vector for each label, and how much better than the words it is."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import Outcome
from clipsim.engines.encoder import Features
from clipsim.errors import (
    DataError,
    Failure,
    NoInputError,
    UsageError,
    pluralise,
    printable,
    quote_some,
    round_significant,
)
from clipsim.files import write_atomically
from clipsim.inputs.label_words import LabelWords
from clipsim.inputs.labelled import CLASSIFY, LabelledData, LabelledRequest, read_labelled
from clipsim.inputs.labelled_rows import LabelledImage
from clipsim.inputs.sources import PillowSource
from clipsim.inputs.texts import parse_json, read_text
from clipsim.options import as_whole
from clipsim.results.base import ModelRecord
from clipsim.results.classifier import Classifier, FittedLabel
from clipsim.statistics.estimates import Estimate, estimate_share
from clipsim.statistics.paired_tests import Comparison, PairedRun, compare_runs
from clipsim.store.dataset import Dataset
from clipsim.tasks.arguments import EvaluationData
from clipsim.tasks.evaluate import make_source
from clipsim.tasks.evaluate_request import EvaluationRequest
from clipsim.tasks.evaluate_vectors import make_rows, open_dataset, read_batches
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import TextVectors, describe_model, make_text_vectors, nothing_usable
from clipsim.tasks.search_targets import check_models
from clipsim.vectors.few_shots import FIXED, FewShots, Labels, fit_few_shots, rank_labels
from clipsim.vectors.similarity import Vectors, find_near_equal, unit_rows

NEAR_DUPLICATE = 0.98  # as `threshold` has it
NOT_BETTER = "no better than the words alone by its interval; more examples may tell"
Ranks = NDArray[np.int64]
KIND = Classifier.schema.partition("/")[0]


@dataclass(frozen=True)
class FitRequest:
    """Which labelled data to fit to, checked before they are read; of each label at most `shots` images are drawn."""

    data: LabelledRequest
    templates: tuple[str, ...]
    shots: int | None
    seed: int

    @classmethod
    def check(
        cls,
        data: EvaluationData,
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
    ) -> FitRequest:
        """Check the options, as an evaluation does. Raises UsageError for values that are out of range."""
        whole = None if shots is None else as_whole(shots)
        if shots is not None and (whole is None or whole < 1):
            raise UsageError("not a positive integer", parameter="shots", value=shots)
        checked = EvaluationRequest.check(
            data,
            task=CLASSIFY,
            image_column=image_column,
            label_column=label_column,
            root=root,
            labels=labels,
            folder_labels=folder_labels,
            templates=templates,
            seed=seed,
            include=include,
            exclude=exclude,
        )
        return cls(checked.data, checked.template_sets[0].templates, whole, checked.seed)


@dataclass(frozen=True, eq=False)
class _Examples:
    """The images that are fitted to: (n, d) unit vectors, the number of each one's label, and digests of the files."""

    vectors: Vectors
    labels: Labels
    digests: tuple[str, ...]


def run(embedder: Embedder, request: FitRequest, progress: ProgressCallback = ignore_progress) -> Classifier:
    """Embed the images and the labels' texts, and fit.

    Raises DataError for data with fewer than two labels, and for a label without an image that can be used;
    NoInputError where no image can be used, and with `on_error="raise"` ImageError for the first that cannot.
    """
    dataset = open_dataset(request.data, [embedder])
    data = read_labelled(request.data if dataset is None else replace(request.data, table=make_rows(dataset)))
    if len(data.labels) < 2:
        only = printable(data.labels[0], 40)
        raise DataError(f"there is one label, '{only}', and a classifier chooses among two or more")
    _check_filled(data.labels, [image.label for image in data.images])
    images, notices = _draw(data, request)
    notices = [*([] if dataset is None else check_models([dataset], embedder)), *data.notices, *notices]
    progress(Progress("loading the model", 0, None, data.failures, (*embedder.notices, *notices)))
    texts, outcomes = _embed(embedder, request, replace(data, images=tuple(images)), dataset, progress)
    progress(Progress("fitting", 0, None, notices=embedder.notices))
    examples, contradicting, copies = _collect(data, images, outcomes)
    progress(Progress("fitting", 0, None, tuple(contradicting)))
    errors = (*data.failures, *(outcome for outcome in outcomes if isinstance(outcome, Failure)), *contradicting)
    if not len(examples.labels):
        raise NoInputError(nothing_usable(errors), errors)
    _check_filled(data.labels, [data.labels[number] for number in examples.labels])
    fitted = fit_few_shots(examples.vectors, examples.labels, texts.vectors, seed=request.seed)
    notices += [*copies, *texts.notices, *_describe_examples(data.labels, examples, texts, fitted)]
    return _make_classifier(embedder, request, data, examples, texts, fitted, errors, notices)


def _embed(
    embedder: Embedder,
    request: FitRequest,
    data: LabelledData,
    dataset: Dataset | None,
    progress: ProgressCallback,
) -> tuple[TextVectors, list[Outcome]]:
    """The vectors of the labels' texts, and of the images, which a data set has already."""
    outcomes, total = list[Outcome](), len(data.images)
    sources = [make_source(image) for image in data.images] if dataset is None else []
    with closing(embedder.open_pipeline(sources)) as pipeline:
        if dataset is None:
            pipeline.start()  # images are decoded while the model is loaded for the texts
        texts = make_text_vectors(embedder, data.labels, request.templates, progress, words=data.words)
        progress(Progress("reading images", 0, total, notices=embedder.notices))
        for batch in embedder.embed_images(pipeline) if dataset is None else _read_stored(dataset, data):
            outcomes += batch
            failures = tuple(outcome for outcome in batch if isinstance(outcome, Failure))
            progress(Progress("reading images", len(outcomes), total, failures))
    return texts, outcomes


def _read_stored(dataset: Dataset, data: LabelledData) -> Iterator[list[Outcome]]:
    for batch in read_batches(dataset, data):
        yield [outcome for (outcome,) in batch]


def _check_filled(labels: Sequence[str], used: Iterable[str | None]) -> None:
    """Raise DataError for a label without an image."""
    counts = Counter(used)
    if empty := [label for label in labels if not counts[label]]:
        raise DataError(f"no image that can be used has the label {quote_some(empty)}; add one, or leave the label out")


def _draw(data: LabelledData, request: FitRequest) -> tuple[list[LabelledImage], list[str]]:
    """At most `shots` images of each label, drawn by the seed, in the order of the data; and what to say of it."""
    if request.shots is None:
        return list(data.images), []
    rng, kept, fewer = np.random.default_rng(request.seed), set[int](), list[str]()
    by_label: dict[str | None, list[int]] = {}
    for number, image in enumerate(data.images):
        by_label.setdefault(image.label, []).append(number)
    for label in data.labels:
        numbers = by_label[label]
        kept |= {numbers[index] for index in rng.permutation(len(numbers))[: request.shots].tolist()}
        fewer += [label] if len(numbers) < request.shots else []
    notice = f"fewer than {request.shots} images have the label {quote_some(fewer)}; all of them are used"
    return [image for number, image in enumerate(data.images) if number in kept], [notice] if fewer else []


def _digest_pixels(image: LabelledImage) -> bytes | None:
    """A digest of an image that is in memory; None for another."""
    if not isinstance(image.source, PillowSource):
        return None
    pixels = image.source.image
    return hashlib.sha256(f"{pixels.mode} {pixels.size} ".encode() + pixels.tobytes()).digest()


def _collect(
    data: LabelledData, images: Sequence[LabelledImage], outcomes: Sequence[Outcome]
) -> tuple[_Examples, list[Failure], list[str]]:
    """The examples, each content once; the images that have the content of another label's, and what to say."""
    numbers = {label: number for number, label in enumerate(data.labels)}
    vectors, labels, digests = list[Features](), list[int](), list[str]()
    first: dict[bytes, LabelledImage] = {}
    failures, copies = list[Failure](), 0
    for number, (image, outcome) in enumerate(zip(images, outcomes, strict=True)):
        if isinstance(outcome, Failure):
            continue
        content = outcome.digest or _digest_pixels(image)
        if content:
            same = first.setdefault(content, image)
            if same.label != image.label:
                label, name = printable(str(same.label), 40), printable(same.path)
                failures.append(Failure(image.path, f"the same image has the label '{label}', as {name}", number))
                continue
            if same is not image:
                copies += 1
                continue
        vectors.append(outcome.features)
        labels.append(numbers[image.label or ""])
        digests.append((outcome.digest or b"").hex())
    notices = [f"{pluralise(copies, 'image')} with the content of another of its label counted once"] if copies else []
    stacked = unit_rows(np.stack(vectors)) if vectors else np.zeros((0, 0), np.float32)
    return _Examples(stacked, np.array(labels, np.intp), tuple(filter(None, digests))), failures, notices


def _describe_examples(
    labels: Sequence[str], examples: _Examples, texts: TextVectors, fitted: FewShots
) -> Iterable[str]:
    """What should be known of the examples and of how good the classifier is."""
    if alike := texts.name_alike(labels):
        yield f"labels that are the same text to this model: {alike}; the words alone choose the first of them"
    if fitted.folds is None:
        yield (
            "with one example a label nothing can be cross-validated: the text counts as "
            f"{FIXED.strength:g} images, and probabilities have the model's own scale"
        )
        return
    counts = np.bincount(examples.labels, minlength=len(labels))
    if single := [label for label, count in zip(labels, counts, strict=True) if count == 1]:
        yield f"one example has the label {quote_some(single)}: while it is held out, its label has the words alone"
    near = sum(
        len(find_near_equal(examples.vectors[examples.labels == label], NEAR_DUPLICATE)) for label in range(len(labels))
    )
    if near:
        yield (
            f"{near} of {len(examples.labels):,} examples look nearly like another of their label to the model (cosine "
            f"{NEAR_DUPLICATE} or more); if they are copies, cross-validation flatters the classifier"
        )


def _make_classifier(
    embedder: Embedder,
    request: FitRequest,
    data: LabelledData,
    examples: _Examples,
    texts: TextVectors,
    fitted: FewShots,
    errors: Sequence[Failure],
    notices: Sequence[str],
) -> Classifier:
    """The record of a fit, with the figures of the words and of the classifier on the examples."""
    facts = embedder.facts
    counts = np.bincount(examples.labels, minlength=len(data.labels))
    word_ranks = rank_labels(texts.vectors, examples.vectors, examples.labels)
    by_words = _measure(word_ranks, examples.labels, counts)
    by_classifier = None if fitted.ranks is None else _measure(fitted.ranks, examples.labels, counts)
    classifier = Classifier(
        model=ModelRecord.from_dict(describe_model(facts).to_dict()),  # with the digits that the file has
        device=facts.device,
        precision=facts.precision,
        engine=facts.engine,
        digest=embedder.identity,
        templates=request.templates,
        method=fitted.method.name,
        strength=fitted.method.strength,
        scale=round_significant(facts.logit_scale if fitted.scale is None else fitted.scale),
        calibrated=fitted.scale is not None,
        seed=request.seed,
        shots=request.shots,
        folds=fitted.folds,
        by_words=by_words.estimate,
        by_classifier=None if by_classifier is None else by_classifier.estimate,
        comparison=None if fitted.ranks is None else _compare(word_ranks, fitted.ranks),
        fitted=tuple(
            FittedLabel(
                label,
                int(counts[number]),
                by_words.shares[number],
                None if by_classifier is None else by_classifier.shares[number],
                fitted.vectors[number],
            )
            for number, label in enumerate(data.labels)
        ),
        images=examples.digests,
        errors=tuple(errors),
        warnings=tuple(dict.fromkeys((*embedder.notices, *notices))),
    )
    if classifier.better is False:
        classifier = replace(classifier, warnings=(*classifier.warnings, NOT_BETTER))
    return classifier


@dataclass(frozen=True)
class _Accuracy:
    """The share of examples whose label comes first, and that share of each label's own."""

    estimate: Estimate
    shares: tuple[float, ...]


def _measure(ranks: Ranks, labels: Labels, counts: Ranks) -> _Accuracy:
    """The accuracy of the (n,) ranks of examples' labels; `counts` are the examples of each label."""
    right = ranks == 1
    shares = np.bincount(labels, right, minlength=len(counts)) / counts
    return _Accuracy(
        estimate_share(int(right.sum()), len(right)), tuple(round_significant(share) for share in shares.tolist())
    )


def _compare(words: Ranks, classifier: Ranks) -> Comparison:
    runs = [
        PairedRun(name, "", {"rank": tuple(ranks.tolist())})
        for name, ranks in (("words", words), ("classifier", classifier))
    ]
    return compare_runs("top1", runs)[0]


def check_output(path: str | os.PathLike[str]) -> Path:
    """The path of a file for a classifier. Raises DataError for a file that is there and is something else."""
    target = Path(path)
    if os.path.exists(target):  # noqa: PTH110 (a Path raises for names that are hard to reach)
        label = printable(str(target))
        with suppress(DataError):
            value = parse_json(read_text(target), label) if target.is_file() else None  # a device may have no end
            if isinstance(value, dict) and str(value.get("schema")).startswith(KIND):
                return target
        raise DataError(f"{label}: it is there and is no classifier, so that it is not replaced; choose another file")
    return target


def save_classifier(classifier: Classifier, path: str | os.PathLike[str]) -> None:
    """Write a classifier to a file, in place of one that it holds. Raises DataError as `check_output` does."""
    target = check_output(path)
    try:
        write_atomically(target, json.dumps(classifier.to_dict(), indent=1) + "\n")
    except OSError as error:
        raise DataError(f"{printable(str(target))}: cannot write the classifier: {error.strerror or error}") from error
