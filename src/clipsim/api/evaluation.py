"""Sessions and labelled data → `Evaluation`, which runs in steps, and the `EvaluationResult` that it ends with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from clipsim.api.evaluation_request import EvaluationRequest, check_ranks
from clipsim.api.evaluation_tasks import TASK_RUNS, Line, Measures, Run, TaskRun, make_gallery
from clipsim.api.ranking import NOTHING_USABLE
from clipsim.api.saved_files import describe_model
from clipsim.embedding.encode import FailedInput, ImageVector, Outcome
from clipsim.embedding.joint import JointEmbedding, Work, group_sessions
from clipsim.embedding.session import Session
from clipsim.errors import DataError, NoInputError, UsageError, printable
from clipsim.inputs.labelled import LabelledData, read_labelled
from clipsim.inputs.sources import FileSource
from clipsim.scoring.classification import MAX_CONFUSION_LABELS
from clipsim.scoring.contests import Comparison, Contestant, compare_runs
from clipsim.scoring.evaluation import DataRecord, EvaluationResult, RunResult
from clipsim.scoring.outcomes import enter_contest, find_contested
from clipsim.scoring.records import ImageFailure
from clipsim.scoring.retrieval import IMAGE_TO_TEXT, TEXT_TO_IMAGE

EARLIER = "(baseline)"


@dataclass(frozen=True)
class Step:
    """What a part of an evaluation gives: images that were read, failures, and the lines of images.

    With `restart`, all earlier steps are void: "auto" turned out to stand for another device.
    """

    images: int = 0
    failures: tuple[ImageFailure, ...] = ()
    lines: tuple[Line, ...] = ()
    restart: bool = False


@dataclass
class Evaluation:
    """An evaluation as it runs: iterate over its steps, or `collect` them into a result.

    `data` are read when it is made, which raises what `read_labelled` raises.
    """

    sessions: Sequence[Session]
    request: EvaluationRequest
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the data, and check what goes with what."""
        names = [session.spec.name for session in self.sessions]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise UsageError(f"the model '{printable(repeated[0], 60)}' is given twice")
        self.data: LabelledData = read_labelled(self.request.data)
        check_ranks(self.request, self.data.task)
        if (baseline := self.request.baseline) is not None and baseline.task != self.data.task:
            raise DataError(f"the baseline is of the task {baseline.task}, and this is {self.data.task}")
        self.warnings += self.data.notices
        if self.data.task == "classify" and len(self.data.labels) == 1 and self.request.data.none is None:
            self.warnings.append("there is one label only: nothing can be told apart, and there is no probability")
        self.failures = [ImageFailure(failure.name, failure.error) for failure in self.data.failures]
        self._measured: list[tuple[Run, Measures]] = []
        self._digests: dict[int, bytes] = {}
        self._kept: list[int] = []

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
        results = tuple(self._result(run, measures) for run, measures in self._measured)
        return EvaluationResult(
            task=self.data.task,
            data=self._describe_data(),
            images=tuple(self.data.images[number].path for number in self._kept),
            results=results,
            comparisons=self._compare(results),
            errors=tuple(self.failures),
            warnings=tuple(self.warnings),
        )

    def _run(self) -> Iterator[Step]:
        self.failures = self.failures[: len(self.data.failures)]
        self._digests, self._measured, self._kept = {}, [], []
        yield Step(failures=tuple(self.failures))
        runs = self._make_runs()
        failed: dict[int, ImageFailure] = {}
        sources = [FileSource(image.path) for image in self.data.images]
        for group in group_sessions(self.sessions, sources):
            yield from self._read(group, sources, [run for run in runs if run.run.session in group], failed)
        self._kept = [number for number in range(self.images) if number not in failed]
        if not self._kept:
            first = next(iter(failed.values()))
            raise NoInputError(f"{NOTHING_USABLE}: {printable(first.path)}: {first.error}", tuple(self.failures))
        self._check_baseline()
        for task_run in runs:
            with task_run.run.timed():
                measures = task_run.finish(self._kept)
            self._measured.append((task_run.run, measures))
            yield Step(lines=self._name(measures.lines, task_run))

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
        group: Sequence[Session],
        sources: Sequence[FileSource],
        runs: Sequence[TaskRun],
        failed: dict[int, ImageFailure],
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
                lines: list[Line] = []
                for run in runs:
                    place = group.index(run.run.session)
                    with run.run.timed():
                        found = run.add(done, [outcomes[place] for outcomes in batch])
                    lines += self._name(found, run)
                done += len(batch)
                yield Step(len(batch), failures, tuple(lines))

    def _note(
        self, done: int, batch: Sequence[Sequence[Outcome]], failed: dict[int, ImageFailure]
    ) -> tuple[ImageFailure, ...]:
        """Keep the digests and the new failures of a batch."""
        new = []
        for number, (outcome, *_) in enumerate(batch, done):
            if isinstance(outcome, ImageVector):
                self._digests[number] = outcome.digest or b""
            elif isinstance(outcome, FailedInput) and number not in failed:
                failed[number] = ImageFailure(outcome.name, outcome.error)
                new.append(failed[number])
        self.failures += new
        return tuple(new)

    def _name(self, lines: Iterable[Line], run: TaskRun) -> tuple[Line, ...]:
        """The lines with the run's name, where there are several."""
        if len(self.sessions) * len(self.request.template_sets) == 1:
            return tuple(lines)
        return tuple({"model": run.run.name, **line} for line in lines)

    def _check_baseline(self) -> None:
        if self.request.baseline is not None and self.request.baseline.digest != self._digest():
            raise DataError("the baseline is of other pictures or labels than these, so that nothing can be compared")

    def _digest(self) -> str:
        """The SHA-256 of the content of the images that are kept, of their labels or captions, and of all labels."""
        digest = hashlib.sha256("\0".join([self.data.task, *self.data.labels]).encode())
        for number in self._kept:
            image = self.data.images[number]
            words = "\0".join([image.label or "", *image.captions]).encode()
            digest.update(self._digests[number] + len(words).to_bytes(8, "big") + words)
        return digest.hexdigest()

    def _describe_data(self) -> DataRecord:
        captions = [self.data.images[number].captions for number in self._kept]
        classify = self.data.task == "classify"
        gallery = make_gallery(captions) if self.data.task == "retrieve" else None
        labels = (*self.data.labels, *([self.request.data.none] if self.request.data.none else []))
        chance: dict[str, float] = {}
        if gallery is not None:
            for direction, size in ((TEXT_TO_IMAGE, len(captions)), (IMAGE_TO_TEXT, len(gallery.texts))):
                for k in self.request.recall_k:
                    if k < size:
                        chance[f"{direction}_recall@{k}"] = gallery.chance(k, direction)
        elif classify:
            chance = {f"top{k}": k / len(labels) for k in self.request.top_k if k < len(labels)}
        return DataRecord(
            layout=self.data.layout,
            images=len(self._kept),
            labels=labels if classify else None,
            captions=None if classify else sum(map(len, captions)),
            digest=self._digest(),
            skipped=len(self.failures),
            shared_captions=None if gallery is None else gallery.shared,
            chance=chance,
        )

    def _result(self, run: Run, measures: Measures) -> RunResult:
        encoder, found = run.session.encoder, measures.classification
        warnings = []
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

    def _compare(self, results: Sequence[RunResult]) -> tuple[Comparison, ...]:
        """Each pair of runs, earlier ones first, by the metrics that single images decide."""
        earlier = () if self.request.baseline is None else self.request.baseline.runs
        comparisons: list[Comparison] = []
        for metric in find_contested([name for name, found in results[0].metrics.items() if found is not None]):
            entered: list[Contestant | None] = []
            for saved in earlier:
                group = saved.model if metric == "cosine" else ""
                name = f"{saved.name} {EARLIER}"
                entered.append(enter_contest(metric, name, saved.outcomes, earlier=True, group=group))
            for run in results:
                group = run.model.full_name if metric == "cosine" else ""
                entered.append(enter_contest(metric, run.name, run.outcomes, group=group))
            contestants = [contestant for contestant in entered if contestant is not None]
            comparisons += compare_runs(metric, contestants, seed=self.request.seed)
        return tuple(comparisons)
