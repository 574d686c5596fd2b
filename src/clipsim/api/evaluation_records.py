"""What the runs of an evaluation found → the records of its result, and the comparisons of the runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from clipsim.api.evaluation_request import EvaluationRequest
from clipsim.api.evaluation_tasks import Measures, Run, make_gallery
from clipsim.api.model_record import describe_model
from clipsim.inputs.labelled import LabelledData
from clipsim.scoring.classification import MAX_CONFUSION_LABELS
from clipsim.scoring.contests import Comparison, Contestant, compare_runs
from clipsim.scoring.evaluation import DataRecord, RunResult
from clipsim.scoring.outcomes import enter_contest, find_contested
from clipsim.scoring.retrieval import IMAGE_TO_TEXT, TEXT_TO_IMAGE
from clipsim.scoring.saved import SavedEvaluation

EARLIER = "(baseline)"


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
    results: Sequence[RunResult], baseline: SavedEvaluation | None, *, seed: int
) -> tuple[Comparison, ...]:
    """Each pair of runs, earlier ones first, by the metrics that single images decide."""
    earlier = () if baseline is None else baseline.runs
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
        comparisons += compare_runs(metric, contestants, seed=seed)
    return tuple(comparisons)
