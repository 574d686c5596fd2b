"""Texts and pictures that do or do not show them → `ThresholdResult`, and the file of thresholds that `rank` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.embedding.shared_decoding import JointEmbedding, Work
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
from clipsim.inputs.expand import Repeats, identify
from clipsim.inputs.sources import Source
from clipsim.inputs.texts import check_templates, clean_texts
from clipsim.options import as_number, check_flag
from clipsim.results.evaluation import ThresholdResult
from clipsim.results.rank import ImageScores
from clipsim.statistics.conformal import FALSE_ALARMS, RECALL, Guarantee, find_threshold
from clipsim.tasks.rank import NOTHING_USABLE, describe_model, embed_prompts, score_batch
from clipsim.tasks.saved_files import read_thresholds
from clipsim.vectors.similarity import find_near_equal, unit_rows

# Pictures with a higher cosine may be copies. Different pictures of one thing rarely reach it, unless the model tells
# them apart badly: of 100 drawn pictures of a thing each, none of cats, dogs, houses and mazes, 27 of chessboards.
NEAR_DUPLICATE = 0.98


@dataclass(frozen=True)
class ThresholdRequest:
    """Texts, templates and the promise, checked before a model is opened."""

    texts: tuple[str, ...]
    templates: tuple[str, ...]
    guarantee: Guarantee
    notices: tuple[str, ...] = ()

    @classmethod
    def check(
        cls,
        texts: Iterable[str] | str,
        templates: Iterable[str] | str = (),
        recall: float | None = None,
        false_alarms: float | None = None,
        *,
        deduplicate: bool = True,
    ) -> ThresholdRequest:
        """Raise UsageError for no texts or a wrong one, a template without `{}`, and for two promises or none."""
        check_flag("deduplicate", deduplicate)
        prompts, notices = clean_texts(texts, deduplicate=deduplicate)
        if not prompts:
            raise UsageError("none given", parameter="texts", hint="give at least one")
        if (recall is None) == (false_alarms is None):
            raise UsageError(
                "a threshold keeps one guarantee",
                hint=("pass exactly one of ", Setting("recall", None), " and ", Setting("false_alarms", None)),
            )
        kind, given = (RECALL, recall) if recall is not None else (FALSE_ALARMS, false_alarms)
        if (level := as_number(given)) is None:
            raise UsageError("not between 0 and 1, such as 0.9", parameter=kind, value=given)
        guarantee = Guarantee(kind, level)
        checked = check_templates(templates)
        return cls(tuple(prompts), checked, guarantee, tuple(notices))


@dataclass
class Thresholding:
    """The search for thresholds as it runs: iterate over its batches, or `collect` them into a result.

    Raises UsageError for a picture that is both a positive and a negative, and for a promise on false alarms without
    negatives.
    """

    session: Embedder
    request: ThresholdRequest
    positives: Sequence[Source]
    negatives: Sequence[Source]
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check the pictures."""
        known = {identify(source, hard_links=True): source.name for source in self.positives}
        for source in self.negatives:
            identity = identify(source, hard_links=True)
            if identity is not None and identity in known:
                name, other = printable(source.name), printable(known[identity])
                raise UsageError(f"{name} is a positive and a negative" + ("" if name == other else f", as {other}"))
        repeats = Repeats()
        self.positives, self.negatives = (list(repeats.leave_out(given)) for given in (self.positives, self.negatives))
        self.notices += repeats.notices
        if self.request.guarantee.kind == FALSE_ALARMS and not self.negatives:
            raise UsageError(
                "needs negatives",
                parameter="false_alarms",
                value=self.request.guarantee.level,
                hint=("give ", Setting("negatives", None)),
            )
        self.notices += self.request.notices
        self.errors: list[Failure] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now."""
        return (*self.session.notices, *self.notices)

    @property
    def sources(self) -> list[Source]:
        """Positives, then negatives."""
        return [*self.positives, *self.negatives]

    def __iter__(self) -> Iterator[list[Failure | ImageScores]]:
        """Read and score the pictures in batches; failures keep their places."""
        self.errors.clear()
        self._scores: list[ImageScores | None] = []
        self._vectors: list[Any] = []
        self._device = self.session.confirm_device()
        with JointEmbedding([self.session], self.sources, [Work()]) as batches:
            texts = embed_prompts(self.session, self.request.texts, self.request.templates)
            alike = texts.name_alike(self.request.texts)
            notice = f"the same text to this model, with one threshold: {alike}"
            self.notices += [notice] if alike and notice not in self.notices else []
            for batch in batches:
                yield self._note(score_batch(self.session.encoder, texts.vectors, [own for (own,) in batch]), batch)

    def collect(self, batches: Iterable[Sequence[Failure | ImageScores]] | None = None) -> ThresholdResult:
        """Find the thresholds; `batches` are those of this search, not begun yet.

        Raises NoInputError where no picture can be used, ClipsimError for fewer than the promise needs.
        """
        for _ in self if batches is None else batches:
            pass
        if self.session.confirm_device() != self._device:  # "auto" turned out to stand for another one
            for _ in self:
                pass
        count = len(self.positives)
        positives = [scores for scores in self._scores[:count] if scores is not None]
        negatives = [scores for scores in self._scores[count:] if scores is not None]
        promised = positives if self.request.guarantee.kind == RECALL else negatives
        if not positives or not promised:
            first = self.errors[0]
            raise NoInputError(f"{NOTHING_USABLE}: {printable(first.image)}: {first.error}", tuple(self.errors))
        used = self._vectors[:count] if promised is positives else self._vectors[count:]
        self._warn_of_copies([vector for vector in used if vector is not None])
        thresholds = tuple(
            find_threshold(text, _column(positives, row), _column(negatives, row), self.request.guarantee)
            for row, text in enumerate(self.request.texts)
        )
        encoder = self.session.encoder
        model = describe_model(encoder)  # after which all notices of the model are known
        return ThresholdResult(
            model=model,
            device=encoder.device,
            precision=encoder.precision,
            engine=encoder.engine,
            templates=self.request.templates,
            thresholds=thresholds,
            errors=tuple(self.errors),
            warnings=self.warnings,
        )

    def _note(
        self, scored: list[ImageScores | Failure], batch: Sequence[tuple[Outcome, ...]]
    ) -> list[ImageScores | Failure]:
        for outcome, (own,) in zip(scored, batch, strict=True):
            self._scores.append(outcome if isinstance(outcome, ImageScores) else None)
            self._vectors.append(unit_rows(own.features) if isinstance(own, ImageVector) else None)
            if isinstance(outcome, Failure):
                self.errors.append(outcome)
        return scored

    def _warn_of_copies(self, vectors: Sequence[Any]) -> None:
        copies = find_near_equal(np.stack(vectors), NEAR_DUPLICATE)
        if copies:
            kind = "positives" if self.request.guarantee.kind == RECALL else "negatives"
            self.notices.append(
                f"{copies} of {len(vectors)} {kind} look nearly like another to the model (cosine {NEAR_DUPLICATE} or "
                "more); if they are copies, the promise is worth no more than "
                + pluralise(len(vectors) - copies, "picture")
            )


def save_thresholds(result: ThresholdResult, path: str | os.PathLike[str]) -> None:
    """Write thresholds to a file, or add them to those that it holds, in place of those of the same texts.

    Raises DataError for a file that is something else, holds thresholds of another model, precision or templates, or
    cannot be written.
    """
    target = Path(path)
    value = result.to_dict()
    if os.path.exists(target):  # noqa: PTH110 (a Path raises for names that are hard to reach)
        saved, new = read_thresholds(target), read_thresholds(result)
        if saved.conditions != new.conditions:
            raise DataError(
                f"{printable(str(target))}: holds thresholds of another model, precision or set of templates "
                f"({printable(saved.model, 60)}); remove it, or choose another file"
            )
        kept = [dict(entry) for entry in saved.entries if entry["text"] not in new.thresholds]
        value["thresholds"] = [*kept, *value["thresholds"]]
        value["warnings"] = list(dict.fromkeys([*saved.warnings, *value["warnings"]]))
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise DataError(f"{printable(str(target))}: cannot write the thresholds: {error.strerror or error}") from error


def _column(scores: Sequence[ImageScores], row: int) -> list[float]:
    return [round_significant(float(found.similarity[row])) for found in scores]
