"""Models and labelled data → `EvaluationResult`: `run` reads each image once for all models, then measures."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.embedding.preparation import read_thumbnails
from clipsim.embedding.shared_decoding import SharedDecoding, Work, group_sessions
from clipsim.errors import DataError, Failure, NoInputError, UsageError, pluralise, printable, quote_some
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.labelled import CLASSIFY, MULTILABEL, WITH_LABELS, LabelledData, read_labelled
from clipsim.inputs.labelled_rows import LabelledImage
from clipsim.inputs.sources import FileSource, PillowSource, Source, VectorSource
from clipsim.inputs.urls import UrlSource, is_url
from clipsim.results.classifier import Classifier
from clipsim.results.evaluation import DataRecord, EvaluationResult, RunResult
from clipsim.results.loaded import LoadedEvaluation
from clipsim.statistics.classification import MAX_CONFUSION_LABELS
from clipsim.statistics.paired_tests import Comparison, PairedRun, comparable_metrics, compare_runs
from clipsim.statistics.retrieval import IMAGE_TO_TEXT, TEXT_TO_IMAGE
from clipsim.store.dataset import Dataset
from clipsim.tasks.evaluate_request import EvaluationRequest, check_ranks
from clipsim.tasks.evaluate_runs import TASK_RUNS, Line, Measures, TaskRun, make_gallery, number_contents
from clipsim.tasks.evaluate_vectors import make_rows, open_dataset, read_batches
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import describe_model, nothing_usable
from clipsim.tasks.search_targets import check_models
from clipsim.tasks.threshold import NEAR_DUPLICATE
from clipsim.vectors.similarity import Vectors, find_near_equal, unit_rows

EARLIER = "(baseline)"
MAX_COMPARED = 5000  # images of which each two are compared, which takes half a second
MAX_NAMED = 3  # pairs of copies
READING = "reading images"
WriteLines = Callable[[Sequence[Line]], None]


def run(
    embedders: Sequence[Embedder],
    request: EvaluationRequest,
    progress: ProgressCallback = ignore_progress,
    write_lines: WriteLines = lambda _: None,
) -> EvaluationResult:
    """Measure each model on the same data, and compare them.

    `write_lines` is given a line for each image, as soon as its figures are known: images in order for a task that
    measures them one by one.

    Raises UsageError for a model that is given twice and for ranks that are not of the task, DataError for data that
    cannot be used and for a baseline of other images or labels, and NoInputError where no image can be used.
    """
    names = [embedder.spec.name for embedder in embedders]
    if request.classifier is not None and len(names) > 1:
        raise UsageError("goes with one model, and several are given", parameter="classifier")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"the model '{printable(repeated[0], 60)}' is given twice")
    dataset = open_dataset(request.data, embedders)
    if dataset is not None:
        request = replace(request, data=replace(request.data, table=make_rows(dataset)))
    data = read_labelled(request.data)
    if request.classifier is not None:
        data = _use_labels(data, request.classifier)
    check_ranks(request, data.task)
    if dataset is not None:
        data = replace(data, notices=(*check_models([dataset], embedders[0]), *data.notices))
    return _Evaluation(embedders, request, data, dataset, progress, write_lines).run()


def _use_labels(data: LabelledData, classifier: Classifier) -> LabelledData:
    """The data with all labels of a classifier to choose from: their own first. Raises DataError for one it lacks."""
    if unknown := [label for label in data.labels if label not in set(classifier.labels)]:
        raise DataError(f"the classifier has no label {quote_some(unknown)}; it has {quote_some(classifier.labels)}")
    others = [label for label in classifier.labels if label not in set(data.labels)]
    return replace(data, labels=(*data.labels, *others), words=None)


class _Evaluation:
    """One evaluation, and what it knows by now."""

    def __init__(
        self,
        embedders: Sequence[Embedder],
        request: EvaluationRequest,
        data: LabelledData,
        dataset: Dataset | None,
        progress: ProgressCallback,
        write_lines: WriteLines,
    ) -> None:
        self._embedders, self._request, self._data, self._dataset = embedders, request, data, dataset
        self._progress, self._write_lines = progress, write_lines
        self._notices = [*data.notices]
        if (baseline := request.baseline) is not None:
            if baseline.task != data.task:
                raise DataError(f"the baseline is of the task {baseline.task}, and this is {data.task}")
            self._notices += [f"{EARLIER}: {notice}" for notice in baseline.warnings]
        if data.task == CLASSIFY and len(data.labels) == 1 and request.data.none is None:
            self._notices.append("only one label: accuracy is meaningless")
        self._failed: dict[int, Failure] = {}  # by the number of the image
        self._digests: dict[int, bytes] = {}
        self._vectors: dict[int, Vectors] = {}  # of the first model, where there are few enough images
        self._sources = [make_source(image) for image in data.images]
        self._done = self._total = 0  # images, counted once for each group of models that share them

    def run(self) -> EvaluationResult:
        """Read the images for all models, then measure."""
        data, request = self._data, self._request
        sources = self._sources
        groups = [[*self._embedders]] if self._dataset is not None else group_sessions(self._embedders, sources)
        self._total = len(sources) * len(groups)
        self._progress(Progress(READING, 0, self._total, data.failures, self._warnings()))
        self._write_lines([_failure_line(failure) for failure in data.failures])
        runs = self._make_runs()
        for group in groups:
            self._read(group, sources, [run for run in runs if run.embedder in group])
        errors = (*data.failures, *self._failed.values())
        kept = [number for number in range(len(sources)) if number not in self._failed]
        if not kept:
            raise NoInputError(nothing_usable(errors), errors)
        record = make_data_record(data, request, kept, self._digests, skipped=len(errors))
        self._notices += self._describe_copies(kept)
        if request.baseline is not None and request.baseline.digest != record.digest:
            raise DataError("the baseline is of other images or labels, so that nothing can be compared")
        if leaked := self._count_examples(kept):
            self._notices.append(
                f"{leaked:,} of {pluralise(len(kept), 'image')} are examples that the classifier was made of: on new "
                "images it is mostly worse than these figures"
            )
        results, warnings = [], [*self._warnings()]
        for run in runs:
            with run.timed():
                measures = run.finish(kept)
            self._write_lines([self._name_line(line, run) for line in measures.lines])
            result = make_run_result(run, measures)
            warnings += [f"{printable(result.name)}: {notice}" for notice in result.warnings]
            results.append(replace(result, warnings=(*run.embedder.notices, *result.warnings)))
        return EvaluationResult(
            task=data.task,
            data=record,
            images=tuple(data.images[number].path for number in kept),
            results=tuple(results),
            comparisons=compare_results(results, request.baseline),
            errors=errors,
            warnings=tuple(warnings),
            indices=tuple(map(self._index, kept)),
        )

    def _count_examples(self, kept: Sequence[int]) -> int:
        """How many of the images a classifier was made of."""
        examples = set() if self._request.classifier is None else set(self._request.classifier.images)
        return sum(self._digests[number].hex() in examples for number in kept)

    def _index(self, number: int) -> int:
        """The position of an image among those of the data: of rows in memory, among the rows."""
        row = self._data.images[number].row
        return number if row is None or self._request.data.table is None else row

    def _warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now; what one of several models says has its name."""
        notices = [(embedder.spec.name, notice) for embedder in self._embedders for notice in embedder.notices]
        alone = len(self._embedders) == 1
        return (*(notice if alone else f"{printable(name)}: {notice}" for name, notice in notices), *self._notices)

    def _make_runs(self) -> list[TaskRun]:
        kind, runs = TASK_RUNS[self._data.task], list[TaskRun]()
        for embedder in self._embedders:
            work = Work()
            for chosen in self._request.template_sets:
                variant = "classifier" if self._request.classifier is not None else chosen.name
                name = embedder.spec.name + (f" [{variant}]" if variant else "")
                runs.append(kind(name, embedder, chosen, work, self._data, self._request))
        return runs

    def _read(self, group: Sequence[Embedder], sources: Sequence[Source], runs: Sequence[TaskRun]) -> None:
        """Read all images, or their vectors, for the models of a group."""
        work = [next(run.work for run in runs if run.embedder is embedder) for embedder in group]
        done = 0
        shared = SharedDecoding(group, sources, work) if self._dataset is None else None
        stored = nullcontext(iter(()) if self._dataset is None else read_batches(self._dataset, self._data))
        with shared or stored as batches:
            for run in runs:
                with run.timed():
                    run.prepare()
            for batch in batches:
                failures = self._add_batch(done, batch)
                lines = [(number, _failure_line(failure)) for number, failure in failures.items()]
                for run in runs:
                    column = group.index(run.embedder)
                    with run.timed():
                        run_lines = run.add(done, [outcomes[column] for outcomes in batch])
                    lines += [(number, self._name_line(line, run)) for number, line in run_lines]
                done += len(batch)
                self._done += len(batch)
                lines.sort(key=lambda line: line[0])
                self._progress(Progress(READING, self._done, self._total, tuple(failures.values())))
                self._write_lines([line for _, line in lines])

    def _add_batch(self, done: int, batch: Sequence[Sequence[Outcome]]) -> dict[int, Failure]:
        """Keep the digests and the failures of a batch; gives those that are new, by the number of their image."""
        new = {}
        for number, (outcome, *_) in enumerate(batch, done):
            if isinstance(outcome, ImageVector):
                self._digests[number] = outcome.digest or _digest_memory(self._sources[number])
                if len(self._data.images) <= MAX_COMPARED:
                    self._vectors.setdefault(number, unit_rows(outcome.features))
            elif isinstance(outcome, Failure) and number not in self._failed:
                new[number] = Failure(outcome.image, outcome.error, self._index(number))
        self._failed |= new
        return new

    def _describe_copies(self, kept: Sequence[int]) -> list[str]:
        """Notices of images with the same content as an earlier one, and of those that look nearly like one."""
        names = [self._data.images[number].path for number in kept]
        contents = number_contents([self._digests[number] for number in kept])
        copies = [(row, first) for row, first in enumerate(contents) if first != row]
        notices = []
        if copies:
            right = "is right for the captions of the other, and " if self._data.task == "retrieve" else ""
            notices.append(
                f"{_count_copies(copies, names)} the same content as another; each {right}counts, so that intervals "
                f"are too narrow: {_name_pairs(copies, names)}"
            )
        if self._vectors:
            vectors = np.stack([self._vectors[number] for number in kept])
            near = [pair for pair in find_near_equal(vectors, NEAR_DUPLICATE) if contents[pair[0]] == pair[0]]
            if near:
                notices.append(
                    f"{_count_copies(near, names)} nearly the same vector as another (cosine {NEAR_DUPLICATE} or "
                    f"more); if they are copies, intervals are too narrow: {_name_pairs(near, names)}"
                )
        return notices

    def _name_line(self, line: Line, run: TaskRun) -> Line:
        """The line with the run's name, where there are several."""
        alone = len(self._embedders) * len(self._request.template_sets) == 1
        return line if alone else {"model": run.name, **line}


def _count_copies(copies: Sequence[tuple[int, int]], names: Sequence[str]) -> str:
    return f"{len(copies):,} of {pluralise(len(names), 'image')} {'has' if len(copies) == 1 else 'have'}"


def _name_pairs(pairs: Sequence[tuple[int, int]], names: Sequence[str]) -> str:
    """The first pairs of an image and the one before it that it is like."""
    words = [f"{printable(names[row])} and {printable(names[first])}" for row, first in pairs[:MAX_NAMED]]
    return ", ".join(words) + (f" and {len(pairs) - MAX_NAMED:,} more" if len(pairs) > MAX_NAMED else "")


def read_result_thumbnails(result: EvaluationResult, rules: ThumbnailRules) -> dict[str, bytes]:
    """Small image files of those images that a result shows, by name; the images are read once more for them."""
    contradicted = [wrong.image for run in result.results for wrong in run.contradicted]
    return read_thumbnails((_open_name(name) for name in contradicted), rules)


def _failure_line(failure: Failure) -> Line:
    return {"image": failure.image, "index": failure.index, "error": failure.error}


def make_source(image: LabelledImage) -> Source:
    """The source of an image of labelled data."""
    return image.source or _open_name(image.path)


def _open_name(name: str) -> Source:
    return UrlSource(name) if is_url(name) else FileSource(name)


def _digest_memory(source: Source) -> bytes:
    """The SHA-256 of an image or a vector in memory, which has no file; nothing for other sources."""
    if isinstance(source, VectorSource):
        return hashlib.sha256(np.asarray(source.vector, np.float64).tobytes()).digest()
    if not isinstance(source, PillowSource):
        return b""
    image = source.image
    return hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes()).digest()


def digest_data(data: LabelledData, kept: Sequence[int], digests: Mapping[int, bytes]) -> str:
    """The SHA-256 of the content of the images that are kept, of their labels or captions, and of all labels."""
    digest = hashlib.sha256("\0".join([data.task, *data.labels]).encode())
    for number in kept:
        image = data.images[number]
        references = ["", *image.references] if image.references else []
        words = "\0".join([image.label or "", *sorted(image.labels), *image.captions, *references]).encode()
        digest.update(digests[number] + len(words).to_bytes(8, "big") + words)
    return digest.hexdigest()


def make_data_record(
    data: LabelledData, request: EvaluationRequest, kept: Sequence[int], digests: Mapping[int, bytes], *, skipped: int
) -> DataRecord:
    """The record of the images that are kept."""
    captions = [data.images[number].captions for number in kept]
    contents = [digests[number] for number in kept]
    gallery = make_gallery(captions, contents) if data.task == "retrieve" else None
    labels = (*data.labels, *([request.data.none] if request.data.none else []))
    chance: dict[str, float] = {}
    if gallery is not None:
        for direction, size in ((TEXT_TO_IMAGE, len(captions)), (IMAGE_TO_TEXT, gallery.n_texts)):
            for k in request.recall_k:
                if k < size:
                    chance[f"{direction}_recall@{k}"] = gallery.chance(k, direction)
    elif data.task == CLASSIFY:
        chance = {f"top{k}": k / len(labels) for k in request.top_k if k < len(labels)}
    elif data.task == MULTILABEL:
        counts = Counter(label for number in kept for label in data.images[number].labels)
        if counts:  # the shares of images that have a label, over the labels that have any, and over all
            pairs = counts.total() / len(kept)
            chance = {"map": pairs / len(counts), "map_micro": pairs / len(labels)}
    return DataRecord(
        layout=data.layout,
        images=len(kept),
        labels=labels if data.task in WITH_LABELS else None,
        captions=None if data.task in WITH_LABELS else sum(map(len, captions)),
        digest=digest_data(data, kept, digests),
        skipped=skipped,
        shared_captions=None if gallery is None else gallery.shared,
        copies=len(kept) - len(set(number_contents(contents))),
        chance=chance,
        words=data.words,
    )


def make_run_result(run: TaskRun, measures: Measures) -> RunResult:
    """The record of a run."""
    facts, measured = run.embedder.facts, measures.classification
    warnings = [*run.notices]
    if measured is not None and measured.confusion is None:
        warnings.append(f"the confusion matrix of more than {MAX_CONFUSION_LABELS:,} labels is left out")
    return RunResult(
        name=run.name,
        model=describe_model(facts),
        device=facts.device,
        precision=facts.precision,
        engine=facts.engine,
        template_set=run.template_set.name,
        templates=run.template_set.templates,
        seconds=run.seconds + run.work.seconds,
        images_per_second=run.work.images / run.work.seconds if run.work.images else None,
        metrics=measures.metrics,
        outcomes=measures.outcomes,
        per_class=() if measured is None else measured.per_class,
        confusion=None if measured is None else measured.confusion,
        confused=() if measured is None else measured.confused,
        contradicted=() if measured is None else measured.contradicted,
        rejection=measures.rejection,
        per_label=() if measures.multilabel is None else measures.multilabel.per_label,
        decision=None if measures.multilabel is None else measures.multilabel.decision,
        classifier=None if run.request.classifier is None else run.request.classifier.use,
        warnings=tuple(warnings),
    )


def compare_results(results: Sequence[RunResult], baseline: LoadedEvaluation | None) -> tuple[Comparison, ...]:
    """Each pair of runs, earlier ones first, by the metrics that single images decide."""
    earlier = () if baseline is None else baseline.runs
    runs = [PairedRun(f"{run.name} {EARLIER}", run.model, run.outcomes, earlier=True) for run in earlier]
    runs += [PairedRun(run.name, run.model.full_name, run.outcomes) for run in results]
    metrics = comparable_metrics([name for name, estimate in results[0].metrics.items() if estimate is not None])
    return tuple(comparison for metric in metrics for comparison in compare_runs(metric, runs))
