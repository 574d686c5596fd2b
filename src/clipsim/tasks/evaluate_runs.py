"""The vectors of labelled or captioned images, as they come → what one run of a task measures on them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.embedding.shared_decoding import Work
from clipsim.errors import UsageError, round_significant
from clipsim.inputs.labelled import LabelledData
from clipsim.results.rank import ImageScores
from clipsim.statistics.classification import (
    Classification,
    Prediction,
    Rejection,
    measure_classification,
    predict,
    reject_unlabelled,
)
from clipsim.statistics.estimates import Estimate
from clipsim.statistics.multilabel import Decision, LabelRecord, Multilabel, fit_decision, measure_multilabel, reach
from clipsim.statistics.paired_tests import Outcomes
from clipsim.statistics.retrieval import (
    IMAGE_TO_TEXT,
    TEXT_TO_IMAGE,
    Gallery,
    measure_pairs,
    measure_retrieval,
)
from clipsim.tasks.evaluate_request import EvaluationRequest, TemplateSet
from clipsim.tasks.rank import TextVectors, check_label_vectors, make_text_vectors, score_batch, scoring_facts
from clipsim.tasks.saved_files import check_conditions, check_texts
from clipsim.vectors.similarity import cosine, rank_right, unit_rows

Line = dict[str, Any]
NumberedLine = tuple[int, Line]  # the number of its image


@dataclass(frozen=True)
class Measures:
    """What a run measures; `lines` are the images' lines that could not be given before."""

    metrics: Mapping[str, Estimate | None]
    outcomes: Outcomes
    classification: Classification | None = None
    rejection: Rejection | None = None
    multilabel: Multilabel | None = None
    lines: tuple[Line, ...] = ()


@dataclass(eq=False)
class TaskRun(ABC):
    """A task for one model and one set of templates: `prepare`, `add` batches in order, `finish` with what is kept.

    `work` is what the model did for images, `seconds` the time of all else.
    """

    name: str
    embedder: Embedder
    template_set: TemplateSet
    work: Work
    data: LabelledData
    request: EvaluationRequest
    seconds: float = 0.0
    notices: list[str] = field(default_factory=list)
    outcomes: dict[int, Any] = field(default_factory=dict)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time of what is done inside, without waiting for the model to be loaded."""
        begun, waited = time.perf_counter(), self.embedder.seconds_loading
        yield
        self.seconds += time.perf_counter() - begun - (self.embedder.seconds_loading - waited)

    def embed(self, texts: Sequence[str], words: Sequence[Sequence[str]] | None = None) -> TextVectors:
        """Texts → unit vectors, averaged over their words and the run's templates."""
        return make_text_vectors(self.embedder, texts, self.template_set.templates, words=words)

    def prepare(self) -> None:  # noqa: B027 (only some tasks compare every batch with the same texts)
        """Encode what every batch is compared with."""

    @abstractmethod
    def add(self, start: int, batch: Sequence[Outcome]) -> list[NumberedLine]:
        """Keep what is measured of the images from number `start` on; gives the lines of those images."""

    @abstractmethod
    def finish(self, kept: Sequence[int]) -> Measures:
        """Measure the images that are kept, in order."""


class LabelRun(TaskRun):
    """Each image against all labels."""

    def prepare(self) -> None:
        """Encode the labels, or take a classifier's."""
        classifier, self.scoring = self.request.classifier, self.embedder.facts
        if classifier is None:
            texts = self.embed(self.data.labels, self.data.words)
        else:
            texts = check_label_vectors(classifier, self.embedder, self.data.labels)
            self.scoring = scoring_facts(self.scoring, classifier)
        self.distinct = texts.distinct  # the numbers of the labels that are not the same text as an earlier one
        self.vectors = texts.vectors[self.distinct]
        self.notices += [notice for notice in texts.notices if notice not in self.notices]
        if alike := texts.name_alike(self.data.labels):
            notice = f"labels that are the same text to this model, which count as the first of them: {alike}"
            self.notices += [notice] if notice not in self.notices else []
        rows = {number: row for row, number in enumerate(self.distinct)}
        self.rows = {label: rows[first] for label, first in zip(self.data.labels, texts.first, strict=True)}


class ClassifyRun(LabelRun):
    """Which label is the best of each image; of its scores only what is measured is kept."""

    def add(self, start: int, batch: Sequence[Outcome]) -> list[NumberedLine]:
        """Score a batch."""
        lines = []
        for number, scores in enumerate(score_batch(self.scoring, self.vectors, batch), start):
            if isinstance(scores, ImageScores):
                label = self.data.images[number].label
                row = self.rows.get(label or "", len(self.distinct))
                prediction = predict(scores.image, scores.similarity, scores.probabilities, row)
                numbers = [*self.distinct, len(self.data.labels)]
                prediction = replace(prediction, label=numbers[row], best=numbers[prediction.best])
                self.outcomes[number] = prediction
                lines.append((number, self._line(number, prediction, label)))
        return lines

    def finish(self, kept: Sequence[int]) -> Measures:
        """Accuracy, recall, calibration and confusion over the images."""
        predictions: list[Prediction] = [self.outcomes[number] for number in kept]
        rejection = None
        if (none := self.request.data.none) is not None:
            rejection = reject_unlabelled(
                np.array([prediction.similarity for prediction in predictions]),
                np.array([prediction.label == len(self.data.labels) for prediction in predictions]),
                name=none,
                below=self.request.limits.similarity,
                seed=self.request.seed,
            )
        measured = measure_classification(
            predictions,
            self.data.labels,
            top_k=self.request.top_k,
            choices=len(self.distinct),
            rejection=rejection,
            seed=self.request.seed,
        )
        ranks = tuple(measured.ranks.tolist())
        return Measures(measured.metrics, {"rank": ranks}, measured, rejection)

    def _line(self, number: int, prediction: Prediction, label: str | None) -> Line:
        return {
            "image": prediction.image,
            "index": number,
            "label": label,
            "best": self.data.labels[prediction.best],
            "rank": prediction.rank,
            "similarity": prediction.similarity,
            "probability": prediction.probability,
            "label_similarity": prediction.label_similarity,
            "label_probability": prediction.label_probability,
        }


class MultilabelRun(LabelRun):
    """Which labels each image is given; all cosines are kept, four bytes a label."""

    def prepare(self) -> None:
        """Encode the labels, and check that the thresholds hold for them."""
        if (saved := self.request.limits.thresholds) is not None:
            check_texts(saved, self.data.labels, self.data.words)
            check_conditions(saved, self.embedder.facts, self.template_set.templates)
        super().prepare()

    def add(self, start: int, batch: Sequence[Outcome]) -> list[NumberedLine]:
        """Keep the cosines, and what passes a limit of probability."""
        least = self.request.limits.probability
        for number, scores in enumerate(score_batch(self.embedder.facts, self.vectors, batch), start):
            if isinstance(scores, ImageScores):
                if least is None:
                    self.outcomes[number] = scores.similarity, None
                elif scores.probabilities is None:
                    hint = "give another limit"
                    raise UsageError(
                        "with one label there is no probability", parameter="min_probability", value=least, hint=hint
                    )
                else:
                    self.outcomes[number] = scores.similarity, reach(scores.probabilities, least)
        return []

    def finish(self, kept: Sequence[int]) -> Measures:
        """Average precision, and F1 and its like of the labels that are given."""
        labels = [self.data.labels[number] for number in self.distinct]
        similarity = np.stack([self.outcomes[number][0] for number in kept])
        truth = np.zeros(similarity.shape, bool)
        for row, number in enumerate(kept):
            truth[row, [self.rows[label] for label in self.data.images[number].labels]] = True
        predicted, decision = self._decide(similarity, truth, [self.outcomes[number][1] for number in kept])
        measured = measure_multilabel(similarity, truth, labels, predicted, decision)
        records = {record.label: record for record in measured.per_label}
        per_label = tuple(records.get(label, LabelRecord(label, 0)) for label in self.data.labels)
        measured = replace(measured, per_label=per_label)
        lines = tuple(
            {
                "image": self.data.images[number].path,
                "index": number,
                "labels": list(self.data.images[number].labels),
                "predicted": [labels[column] for column in np.flatnonzero(predicted[row])],
                "lrap": measured.ranking[row],
            }
            for row, number in enumerate(kept)
        )
        return Measures(measured.metrics, {"lrap": measured.ranking}, multilabel=measured, lines=lines)

    def _decide(
        self, similarity: NDArray[np.float32], truth: NDArray[np.bool_], passed: Sequence[Any]
    ) -> tuple[NDArray[np.bool_], Decision]:
        """Which labels are given to the images, and how that is decided."""
        limits = self.request.limits
        if limits.similarity is not None:
            return reach(similarity, limits.similarity), Decision(limits.similarity, "given")
        labels = [self.data.labels[number] for number in self.distinct]
        if limits.thresholds is not None:
            thresholds = np.array([limits.thresholds.thresholds[label] for label in labels])
            return reach(similarity, thresholds), Decision(None, "a threshold for each label")
        if limits.probability is not None:
            return np.stack(passed), Decision(None, f"a probability of at least {limits.probability:g}")
        return fit_decision(similarity, truth, seed=self.request.seed)


class RetrieveRun(TaskRun):
    """All images against all captions, once all vectors are there."""

    def add(self, start: int, batch: Sequence[Outcome]) -> list[NumberedLine]:
        """Keep the vectors and the digests of the content."""
        for number, outcome in enumerate(batch, start):
            if isinstance(outcome, ImageVector):
                self.outcomes[number] = unit_rows(outcome.features), outcome.digest or b""
        return []

    def finish(self, kept: Sequence[int]) -> Measures:
        """Rank in both directions."""
        vectors, digests = zip(*(self.outcomes.pop(number) for number in kept), strict=True)
        images = np.stack(vectors)
        captions = [self.data.images[number].captions for number in kept]
        texts = self.embed(list(dict.fromkeys(text for own in captions for text in own)))
        gallery = make_gallery(captions, digests, texts.first)
        text_vectors = texts.vectors[texts.distinct]
        text_ranks = rank_right(text_vectors, images, gallery.right_images())[gallery.texts]
        image_ranks = rank_right(images, text_vectors, gallery.right_texts())
        sizes = {TEXT_TO_IMAGE: len(images), IMAGE_TO_TEXT: len(text_vectors)}
        metrics: dict[str, Estimate | None] = {}
        for direction, ranks, owners in (
            (TEXT_TO_IMAGE, text_ranks, gallery.images),
            (IMAGE_TO_TEXT, image_ranks, np.arange(len(images))),
        ):
            metrics |= measure_retrieval(
                ranks,
                owners,
                len(images),
                direction=direction,
                gallery_size=sizes[direction],
                recall_k=self.request.recall_k,
            )
        ends = np.cumsum([len(own) for own in captions])[:-1]
        own_ranks = tuple(tuple(part.tolist()) for part in np.split(text_ranks, ends))
        lines = tuple(
            {
                "image": self.data.images[number].path,
                "index": number,
                "rank": int(rank),
                "captions": [{"caption": text, "rank": own_rank} for text, own_rank in zip(texts, own, strict=True)],
            }
            for number, rank, texts, own in zip(kept, image_ranks, captions, own_ranks, strict=True)
        )
        return Measures(metrics, {IMAGE_TO_TEXT: tuple(image_ranks.tolist()), TEXT_TO_IMAGE: own_ranks}, lines=lines)


class PairsRun(TaskRun):
    """Each image against its own captions, and these against its references."""

    def add(self, start: int, batch: Sequence[Outcome]) -> list[NumberedLine]:
        """Score a batch with its captions."""
        good = [(number, outcome) for number, outcome in enumerate(batch, start) if isinstance(outcome, ImageVector)]
        own_images = [self.data.images[number] for number, _ in good]
        texts = list(dict.fromkeys(text for image in own_images for text in (*image.captions, *image.references)))
        if not texts:
            return []
        vectors = dict(zip(texts, self.embed(texts).vectors, strict=True))
        lines = []
        for (number, outcome), image in zip(good, own_images, strict=True):
            captions = np.stack([vectors[text] for text in image.captions])
            cosines = _significant(cosine(captions, unit_rows(outcome.features[None]))[:, 0])
            nearest = list[float]()
            if image.references:
                references = np.stack([vectors[text] for text in image.references])
                nearest = _significant(cosine(captions, references).max(axis=1))
            self.outcomes[number] = cosines, nearest
            for row, text in enumerate(image.captions):
                line = {"image": outcome.image, "index": number, "caption": text, "similarity": cosines[row]}
                lines.append((number, line | ({"reference_similarity": nearest[row]} if nearest else {})))
        return lines

    def finish(self, kept: Sequence[int]) -> Measures:
        """The mean cosine and its scaled forms, over all pairs; RefCLIPScore where any image has references."""
        cosines, nearest = zip(*(self.outcomes[number] for number in kept), strict=True)
        with_references = any(image.references for image in self.data.images)
        metrics = measure_pairs(cosines, nearest if with_references else None)
        return Measures(metrics, {"cosine": tuple(map(tuple, cosines))})


TASK_RUNS: dict[str, type[TaskRun]] = {
    "classify": ClassifyRun,
    "multilabel": MultilabelRun,
    "retrieve": RetrieveRun,
    "pairs": PairsRun,
}


def _significant(cosines: Iterable[np.float32]) -> list[float]:
    return [round_significant(float(value)) for value in cosines]


def make_gallery(
    captions: Sequence[Sequence[str]], digests: Sequence[bytes], first: Sequence[int] | None = None
) -> Gallery:
    """The captions of each image, and the digest of its content → the gallery.

    Equal captions get one number, in the order of their first use; so do those that are the same text to a model,
    where `first` says of each distinct caption which earlier one it equals.
    """
    distinct = dict.fromkeys(text for own in captions for text in own)
    equal = np.arange(len(distinct)) if first is None else np.asarray(first, np.int64)
    numbers = dict(zip(distinct, np.unique(equal, return_inverse=True)[1].tolist(), strict=True))
    images = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
    texts = np.array([numbers[text] for own in captions for text in own])
    return Gallery(images, texts, np.array(number_contents(digests)))


def number_contents(digests: Sequence[bytes]) -> list[int]:
    """For each image, the number of the first with the same content; an empty digest is of a content of its own.

    >>> number_contents([b"a", b"", b"a", b""])
    [0, 1, 0, 3]
    """
    first: dict[bytes, int] = {}
    return [first.setdefault(digest, number) if digest else number for number, digest in enumerate(digests)]
