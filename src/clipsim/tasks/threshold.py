"""Texts and images that do or do not show them → `ThresholdResult`, and the file of thresholds that `rank` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.errors import (
    DataError,
    Failure,
    NoInputError,
    Setting,
    UsageError,
    pluralise,
    printable,
    round_significant,
)
from clipsim.files import write_atomically
from clipsim.inputs.expand import Repeats, identify
from clipsim.inputs.sources import Source
from clipsim.inputs.texts import check_templates, clean_labels
from clipsim.options import as_number, check_flag
from clipsim.results.evaluation import ThresholdResult
from clipsim.statistics.conformal import (
    FALSE_ALARMS,
    FALSE_ALARMS_ANY,
    RECALL,
    Guarantee,
    estimate_any,
    find_joint_thresholds,
    find_threshold,
)
from clipsim.tasks.arguments import TextInputs
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import describe_model, make_text_vectors, nothing_usable
from clipsim.tasks.saved_files import read_thresholds
from clipsim.vectors.similarity import Vectors, cosine, find_near_equal, unit_rows

# Images with a higher cosine may be copies. Different images of one thing rarely reach it, unless the model tells
# them apart badly: of 100 drawn images of a thing each, none of cats, dogs, houses and mazes, 27 of chessboards.
NEAR_DUPLICATE = 0.98
JOINED = (
    "a promise on false alarms for any of several texts holds for the texts of one call; with the other texts of the "
    "file, more images pass for one of them"
)


@dataclass(frozen=True)
class ThresholdRequest:
    """Texts, templates, the guarantee and the known images, each of these once, checked before a model is opened.

    `words` are what each text stands for, None where each is its own only word.
    """

    texts: tuple[str, ...]
    templates: tuple[str, ...]
    guarantee: Guarantee
    positives: tuple[Source, ...]
    negatives: tuple[Source, ...]
    notices: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] | None = None

    @classmethod
    def check(
        cls,
        texts: TextInputs,
        positives: Iterable[Source],
        negatives: Iterable[Source] = (),
        templates: Iterable[str] | str = (),
        recall: float | None = None,
        false_alarms: float | None = None,
        false_alarms_any: float | None = None,
        *,
        deduplicate: bool = True,
    ) -> ThresholdRequest:
        """Strip the texts, and with `deduplicate` drop repeated ones; leave out repeated images.

        Raises UsageError for no texts or a wrong one, a template without `{}`, two guarantees or none, an image that is
        both a positive and a negative, and a guarantee on false alarms without negatives; NoInputError for no
        positives.
        """
        check_flag("deduplicate", deduplicate)
        labels = clean_labels(texts, deduplicate=deduplicate)
        if not labels.labels:
            raise UsageError("none given", parameter="texts", hint="give at least one")
        shares = {RECALL: recall, FALSE_ALARMS: false_alarms, FALSE_ALARMS_ANY: false_alarms_any}
        if len(promised := [(kind, share) for kind, share in shares.items() if share is not None]) != 1:
            raise UsageError(
                "a threshold keeps one guarantee",
                hint=(
                    *("pass exactly one of ", Setting(RECALL, None), ", "),
                    *(Setting(FALSE_ALARMS, None), " and ", Setting(FALSE_ALARMS_ANY, None)),
                ),
            )
        kind, share = promised[0]
        if (level := as_number(share)) is None:
            raise UsageError("not between 0 and 1, such as 0.9", parameter=kind, value=share)
        guarantee, checked_templates = Guarantee(kind, level), check_templates(templates)
        positives, negatives = list(positives), list(negatives)
        if not positives:
            raise NoInputError("no positives", hint="give images that show the text")
        _check_apart(positives, negatives)
        repeats = Repeats()
        positives, negatives = (tuple(repeats.leave_out(sources)) for sources in (positives, negatives))
        if kind != RECALL and not negatives:
            hint = ("give ", Setting("negatives", None))
            raise UsageError("needs negatives", parameter=kind, value=level, hint=hint)
        notices = (*repeats.notices, *labels.notices)
        return cls(labels.labels, checked_templates, guarantee, positives, negatives, notices, labels.words)


def _check_apart(positives: Iterable[Source], negatives: Iterable[Source]) -> None:
    """Raise UsageError for an image that is both a positive and a negative."""
    names = {identify(source, hard_links=True): source.name for source in positives}
    for source in negatives:
        identity = identify(source, hard_links=True)
        if identity is not None and identity in names:
            name, other = printable(source.name), printable(names[identity])
            raise UsageError(f"{name} is a positive and a negative" + ("" if name == other else f", as {other}"))


def run(embedder: Embedder, request: ThresholdRequest, progress: ProgressCallback = ignore_progress) -> ThresholdResult:
    """Find the threshold of each text.

    Raises NoInputError where no image can be used, ClipsimError for fewer than the guarantee needs, and with
    `on_error="raise"` ImageError for the first that cannot be used.
    """
    notices = [*request.notices]
    sources = [*request.positives, *request.negatives]
    progress(Progress("loading the model", 0, None, notices=(*embedder.notices, *notices)))
    outcomes: list[Outcome] = []
    with closing(embedder.open_pipeline(sources)) as pipeline:
        pipeline.start()  # images are decoded while the model is loaded for the texts
        texts = make_text_vectors(embedder, request.texts, request.templates, words=request.words)
        notices += texts.notices
        if alike := texts.name_alike(request.texts):
            notices.append(f"the same text to this model, with one threshold: {alike}")
        progress(Progress("reading images", 0, len(sources), notices=(*embedder.notices, *notices)))
        for batch in embedder.embed_images(pipeline):
            outcomes += batch
            failures = tuple(outcome for outcome in batch if isinstance(outcome, Failure))
            progress(Progress("reading images", len(outcomes), len(sources), failures))
    errors = tuple(outcome for outcome in outcomes if isinstance(outcome, Failure))
    count = len(request.positives)
    positives, negatives = (
        _unit_vectors(part, texts.vectors.shape[1]) for part in (outcomes[:count], outcomes[count:])
    )
    of_recall = request.guarantee.kind == RECALL
    fitted_on = positives if of_recall else negatives
    if not len(positives) or not len(fitted_on):
        raise NoInputError(nothing_usable(errors), errors)
    if copies := len(find_near_equal(fitted_on, NEAR_DUPLICATE)):
        notices.append(
            f"{copies} of {len(fitted_on)} {'positives' if of_recall else 'negatives'} look nearly like another to the "
            f"model (cosine {NEAR_DUPLICATE} or more); if they are copies, the guarantee is worth no more than "
            + pluralise(len(fitted_on) - copies, "image")
        )
    positive_cosines, negative_cosines = (
        [_rounded(row) for row in cosine(texts.vectors, vectors)] for vectors in (positives, negatives)
    )
    if request.guarantee.kind == FALSE_ALARMS_ANY:
        found = find_joint_thresholds(request.texts, positive_cosines, negative_cosines, request.guarantee)
    else:
        found = [
            find_threshold(text, own_positives, own_negatives, request.guarantee)
            for text, own_positives, own_negatives in zip(
                request.texts, positive_cosines, negative_cosines, strict=True
            )
        ]
    facts = embedder.facts
    return ThresholdResult(
        model=describe_model(facts),
        device=facts.device,
        precision=facts.precision,
        engine=facts.engine,
        templates=request.templates,
        thresholds=tuple(replace(threshold, words=_own_words(request, row)) for row, threshold in enumerate(found)),
        any_false_alarms=estimate_any(found, negative_cosines),
        errors=errors,
        warnings=(*embedder.notices, *notices),
    )


def _unit_vectors(outcomes: Iterable[Outcome], dimensions: int) -> Vectors:
    """(n, d) unit vectors of the images that can be used."""
    features = [outcome.features for outcome in outcomes if isinstance(outcome, ImageVector)]
    return unit_rows(np.stack(features)) if features else np.zeros((0, dimensions), np.float32)


def _own_words(request: ThresholdRequest, row: int) -> tuple[str, ...] | None:
    """What a text stands for, where that is not the text itself."""
    own = None if request.words is None else request.words[row]
    return None if own == (request.texts[row],) else own


def _rounded(cosines: Iterable[np.float32]) -> list[float]:
    return [round_significant(float(value)) for value in cosines]


def save_thresholds(result: ThresholdResult, path: str | os.PathLike[str]) -> list[str]:
    """Write thresholds to a file, or add them to those that it holds, in place of those of the same texts.

    Returns what the caller should know of the file.

    Raises DataError for a file that is something else, holds thresholds of another model, precision or templates, or
    cannot be written.
    """
    target = Path(path)
    value = result.to_dict()
    notices: list[str] = []
    if os.path.exists(target):  # noqa: PTH110 (a Path raises for names that are hard to reach)
        saved, new = read_thresholds(target), read_thresholds(result)
        if saved.conditions != new.conditions:
            raise DataError(
                f"{printable(str(target))}: holds thresholds of another model, precision or set of templates "
                f"({printable(saved.model, 60)}); remove it, or choose another file"
            )
        kept = [dict(entry) for entry in saved.entries if entry["text"] not in new.thresholds]
        value["thresholds"] = [*kept, *value["thresholds"]]
        if kept:
            value["any_false_alarms"] = None
            if any(entry["promise"]["kind"] == FALSE_ALARMS_ANY for entry in value["thresholds"]):
                notices.append(JOINED)
        value["warnings"] = list(dict.fromkeys([*saved.warnings, *value["warnings"], *notices]))
    try:
        write_atomically(target, json.dumps(value, indent=1) + "\n")
    except OSError as error:
        raise DataError(f"{printable(str(target))}: cannot write the thresholds: {error.strerror or error}") from error
    return notices
