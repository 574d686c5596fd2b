"""Sessions and labelled data → `Evaluation`, which runs in steps, and the `EvaluationResult` that it ends with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.embedding.pipeline import read_thumbnails
from clipsim.embedding.shared_decoding import JointEmbedding, Work, group_sessions
from clipsim.errors import DataError, Failure, NoInputError, UsageError, printable
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.labelled import LabelledData, read_labelled
from clipsim.inputs.sources import FileSource, Source
from clipsim.inputs.urls import UrlSource, is_url
from clipsim.results.evaluation import DataRecord, EvaluationResult, RunResult
from clipsim.results.loaded import LoadedEvaluation
from clipsim.statistics.classification import MAX_CONFUSION_LABELS
from clipsim.statistics.paired_tests import Comparison, PairedRun, comparable_metrics, compare_runs
from clipsim.statistics.retrieval import IMAGE_TO_TEXT, TEXT_TO_IMAGE
from clipsim.tasks.evaluate_request import EvaluationRequest, check_ranks
from clipsim.tasks.evaluate_runs import TASK_RUNS, Line, Measures, Run, TaskRun, make_gallery
from clipsim.tasks.rank import NOTHING_USABLE, describe_model

EARLIER = "(baseline)"


@dataclass(frozen=True)
class Step:
    """What a part of an evaluation gives: images that were read, failures, and the lines of images in their order.

    With `restart`, all earlier steps are void: "auto" turned out to stand for another device.
    """

    images: int = 0
    failures: tuple[Failure, ...] = ()
    lines: tuple[Line, ...] = ()
    restart: bool = False


@dataclass
class Evaluation:
    """An evaluation as it runs: iterate over its steps, or `collect` them into a result.

    `data` are read when it is made, which raises what `read_labelled` raises.
    """

    sessions: Sequence[Embedder]
    request: EvaluationRequest
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the data, and check what goes with what."""
        names = [session.spec.name for session in self.sessions]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise UsageError("given twice", parameter="models", value=repeated[0])
        self.data: LabelledData = read_labelled(self.request.data)
        check_ranks(self.request, self.data.task)
        if (baseline := self.request.baseline) is not None and baseline.task != self.data.task:
            raise DataError(f"the baseline is of the task {baseline.task}, and this is {self.data.task}")
        self.notices += self.data.notices
        if baseline is not None:
            self.notices += [f"{EARLIER}: {notice}" for notice in baseline.warnings]
        if self.data.task == "classify" and len(self.data.labels) == 1 and self.request.data.none is None:
            self.notices.append("there is one label only: nothing can be told apart")
        self.failures = list(self.data.failures)
        self._measured: list[tuple[Run, Measures]] = []
        self._digests: dict[int, bytes] = {}
        self._kept: list[int] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now; what one of several models says has its name."""
        found = [(session.spec.name, notice) for session in self.sessions for notice in session.notices]
        alone = len(self.sessions) == 1
        return (*(notice if alone else f"{printable(name)}: {notice}" for name, notice in found), *self.notices)

    @property
    def images(self) -> int:
        """How many images there are to read."""
        return len(self.data.images)

    def __iter__(self) -> Iterator[Step]:
        """Read the images for all models, then measure.

        Raises NoInputError where no image can be used, DataError for a baseline of other images or labels.
        """
        devices = [session.confirm_device() for session in self.sessions]
        yield from self._run()
        if [session.confirm_device() for session in self.sessions] != devices:
            yield Step(restart=True)
            yield from self._run()

    def collect(self, steps: Iterable[Step] | None = None) -> EvaluationResult:
        """The result; `steps` are those of this evaluation, not begun yet, for a caller that watches them pass."""
        for _ in self if steps is None else steps:
            pass
        results, warnings = [], [*self.warnings]
        for run, measures in self._measured:
            result = describe_run(run, measures)
            warnings += [f"{printable(run.name)}: {notice}" for notice in result.warnings]
            results.append(replace(result, warnings=(*run.session.notices, *result.warnings)))
        return EvaluationResult(
            task=self.data.task,
            data=describe_data(self.data, self.request, self._kept, self._digests, skipped=len(self.failures)),
            images=tuple(self.data.images[number].path for number in self._kept),
            results=tuple(results),
            comparisons=compare_results(results, self.request.baseline, seed=self.request.seed),
            errors=tuple(self.failures),
            warnings=tuple(warnings),
            indices=tuple(self._kept),
        )

    def read_thumbnails(self, result: EvaluationResult) -> dict[str, bytes]:
        """Small image files of those images that a result shows, by name; the images are read once more for them."""
        shown = [found.image for run in result.results for found in run.contradicted]
        return read_thumbnails(map(_source_of, shown), ThumbnailRules())

    def _run(self) -> Iterator[Step]:
        self.failures = self.failures[: len(self.data.failures)]
        self._digests, self._measured, self._kept = {}, [], []
        yield Step(failures=tuple(self.failures), lines=tuple(map(_failure_line, self.failures)))
        runs = self._make_runs()
        failed: dict[int, Failure] = {}
        sources = [_source_of(image.path) for image in self.data.images]
        for group in group_sessions(self.sessions, sources):
            yield from self._read(group, sources, [run for run in runs if run.run.session in group], failed)
        self._kept = [number for number in range(self.images) if number not in failed]
        if not self._kept:
            first = next(iter(failed.values()))
            raise NoInputError(f"{NOTHING_USABLE}: {printable(first.image)}: {first.error}", tuple(self.failures))
        baseline = self.request.baseline
        if baseline is not None and baseline.digest != digest_data(self.data, self._kept, self._digests):
            raise DataError("the baseline is of other pictures or labels, so that nothing can be compared")
        for task_run in runs:
            with task_run.run.timed():
                measures = task_run.finish(self._kept)
            self._measured.append((task_run.run, measures))
            yield Step(lines=tuple(self._name(line, task_run) for line in measures.lines))

    def _make_runs(self) -> list[TaskRun]:
        made = []
        for session in self.sessions:
            work = Work()
            for chosen in self.request.template_sets:
                name = session.spec.name + (f" [{chosen.name}]" if chosen.name else "")
                made.append(TASK_RUNS[self.data.task](Run(name, session, chosen, work), self.data, self.request))
        return made

    def _read(
        self,
        group: Sequence[Embedder],
        sources: Sequence[Source],
        runs: Sequence[TaskRun],
        failed: dict[int, Failure],
    ) -> Iterator[Step]:
        """Read all images for the sessions of a group."""
        work = [next(run.run.work for run in runs if run.run.session is session) for session in group]
        done = 0
        with JointEmbedding(group, sources, work) as batches:
            for run in runs:
                with run.run.timed():
                    run.prepare()
            for batch in batches:
                failures = self._note(done, batch, failed)
                lines = [(number, _failure_line(failure)) for number, failure in failures.items()]
                for run in runs:
                    place = group.index(run.run.session)
                    with run.run.timed():
                        found = run.add(done, [outcomes[place] for outcomes in batch])
                    lines += [(number, self._name(line, run)) for number, line in found]
                done += len(batch)
                lines.sort(key=lambda line: line[0])
                yield Step(len(batch), tuple(failures.values()), tuple(line for _, line in lines))

    def _note(self, done: int, batch: Sequence[Sequence[Outcome]], failed: dict[int, Failure]) -> dict[int, Failure]:
        """Keep the digests and the new failures of a batch; gives those failures by the number of their image."""
        new = {}
        for number, (outcome, *_) in enumerate(batch, done):
            if isinstance(outcome, ImageVector):
                self._digests[number] = outcome.digest or b""
            elif isinstance(outcome, Failure) and number not in failed:
                failed[number] = new[number] = Failure(outcome.image, outcome.error, number)
        self.failures += new.values()
        return new

    def _name(self, line: Line, run: TaskRun) -> Line:
        """The line with the run's name, where there are several."""
        alone = len(self.sessions) * len(self.request.template_sets) == 1
        return line if alone else {"model": run.run.name, **line}


def _failure_line(failure: Failure) -> Line:
    return {"image": failure.image, "index": failure.index, "error": failure.error}


def _source_of(path: str) -> Source:
    return UrlSource(path) if is_url(path) else FileSource(path)


def digest_data(data: LabelledData, kept: Sequence[int], digests: Mapping[int, bytes]) -> str:
    """The SHA-256 of the content of the images that are kept, of their labels or captions, and of all labels."""
    digest = hashlib.sha256("\0".join([data.task, *data.labels]).encode())
    for number in kept:
        image = data.images[number]
        words = "\0".join([image.label or "", *image.captions]).encode()
        digest.update(digests[number] + len(words).to_bytes(8, "big") + words)
    return digest.hexdigest()


def describe_data(
    data: LabelledData, request: EvaluationRequest, kept: Sequence[int], digests: Mapping[int, bytes], *, skipped: int
) -> DataRecord:
    """The record of the images that are kept."""
    captions = [data.images[number].captions for number in kept]
    gallery = make_gallery(captions) if data.task == "retrieve" else None
    labels = (*data.labels, *([request.data.none] if request.data.none else []))
    chance: dict[str, float] = {}
    if gallery is not None:
        for direction, size in ((TEXT_TO_IMAGE, len(captions)), (IMAGE_TO_TEXT, len(gallery.texts))):
            for k in request.recall_k:
                if k < size:
                    chance[f"{direction}_recall@{k}"] = gallery.chance(k, direction)
    elif data.task == "classify":
        chance = {f"top{k}": k / len(labels) for k in request.top_k if k < len(labels)}
    return DataRecord(
        layout=data.layout,
        images=len(kept),
        labels=labels if data.task == "classify" else None,
        captions=None if data.task == "classify" else sum(map(len, captions)),
        digest=digest_data(data, kept, digests),
        skipped=skipped,
        shared_captions=None if gallery is None else gallery.shared,
        chance=chance,
    )


def describe_run(run: Run, measures: Measures) -> RunResult:
    """The record of a run."""
    encoder, found = run.session.encoder, measures.classification
    warnings = [*run.notices]
    if found is not None and found.confusion is None:
        warnings.append(f"the confusion matrix of more than {MAX_CONFUSION_LABELS:,} labels is left out")
    return RunResult(
        name=run.name,
        model=describe_model(encoder),
        device=encoder.device,
        precision=encoder.precision,
        engine=encoder.engine,
        template_set=run.template_set.name,
        templates=run.template_set.templates,
        seconds=run.seconds + run.work.seconds,
        images_per_second=run.work.images / run.work.seconds if run.work.images else None,
        metrics=measures.metrics,
        outcomes=measures.outcomes,
        per_class=() if found is None else found.per_class,
        confusion=None if found is None else found.confusion,
        confused=() if found is None else found.confused,
        contradicted=() if found is None else found.contradicted,
        rejection=measures.rejection,
        warnings=tuple(warnings),
    )


def compare_results(
    results: Sequence[RunResult], baseline: LoadedEvaluation | None, *, seed: int
) -> tuple[Comparison, ...]:
    """Each pair of runs, earlier ones first, by the metrics that single images decide."""
    earlier = () if baseline is None else baseline.runs
    runs = [PairedRun(f"{run.name} {EARLIER}", run.model, run.outcomes, earlier=True) for run in earlier]
    runs += [PairedRun(run.name, run.model.full_name, run.outcomes) for run in results]
    metrics = comparable_metrics([name for name, estimate in results[0].metrics.items() if estimate is not None])
    return tuple(comparison for metric in metrics for comparison in compare_runs(metric, runs, seed=seed))
