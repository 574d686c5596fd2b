"""Sources and texts → scores: `RankRequest`, what is asked, and `Ranking`, which gives it in batches or as a result."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from clipsim.embedding.encode import FailedInput, ImageVector, Outcome
from clipsim.embedding.session import Session
from clipsim.engines.encoder import Encoder
from clipsim.errors import UsageError, printable
from clipsim.inputs.prompts import MAX_SHOWN, check_templates, clean_prompts
from clipsim.inputs.sources import FileSource, Source
from clipsim.scoring.records import ImageFailure, ImageScores, ModelRecord, RankResult
from clipsim.scoring.similarity import Vectors, best_text, mean_of_templates, score_images

NO_PROBABILITY = "with one text there is no probability, which is a share among the texts; give another text to get one"
NOTHING_USABLE = "none of the inputs could be used"

RankOutcome = ImageScores | ImageFailure


@dataclass(frozen=True)
class RankRequest:
    """Texts, templates and order of a ranking, checked: everything that can be checked before a model is opened."""

    texts: tuple[str, ...]
    templates: tuple[str, ...] = ()
    sort_by: str | None = None
    notices: tuple[str, ...] = ()

    @classmethod
    def check(
        cls, texts: Iterable[str] | str, templates: Iterable[str] | str = (), sort_by: str | None = None
    ) -> RankRequest:
        """Strip and deduplicate the texts.

        Raises UsageError for no texts, an empty one or one that is not a string, a template without `{}`, and a
        `sort_by` that is not one of the texts.
        """
        prompts, notices = clean_prompts([texts] if isinstance(texts, str) else texts)
        if not prompts:
            raise UsageError("no texts to compare with; give at least one")
        checked = check_templates([templates] if isinstance(templates, str) else templates)
        if sort_by is not None and str(sort_by).strip() not in prompts:
            raise UsageError(f"sort_by='{printable(str(sort_by), MAX_SHOWN)}' is not one of the texts")
        return cls(tuple(prompts), checked, None if sort_by is None else sort_by.strip(), tuple(notices))


@dataclass
class Ranking:
    """A ranking as it runs: iterate over its batches of outcomes, or `collect` them into a result."""

    session: Session
    sources: Iterable[Source]
    request: RankRequest
    live: bool = False
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Collect what the caller should know."""
        encoder = self.session.encoder
        self._device = encoder.device
        self.warnings += self.request.notices
        if len(self.request.texts) == 1 and encoder.head == "softmax":
            self.warnings.append(NO_PROBABILITY)

    def __iter__(self) -> Generator[list[RankOutcome], None, None]:
        """Encode the texts, then embed and score the sources in batches; failures keep their places."""
        session = self.session
        self._device = session.encoder.device
        pipeline = session.open_pipeline(self.sources, live=self.live)
        try:
            pipeline.start()  # images are decoded while the model is loaded for the texts
            vectors, device = self._embed_texts()
            for batch in session.embed_images(pipeline):
                if session.encoder.device != device:  # known only since this batch loaded the model
                    vectors, device = self._embed_texts()
                yield _score_batch(session.encoder, vectors, batch)
        finally:
            pipeline.close()

    def collect(self, batches: Iterable[Sequence[RankOutcome]] | None = None) -> RankResult:
        """Gather all batches into one result, its images ordered by `sort_by` where that was asked for.

        `batches` are those of this ranking, not begun yet, for a caller that watches them pass.
        """
        self.sources = list(self.sources)
        outcomes = [outcome for batch in (self if batches is None else batches) for outcome in batch]
        if self.session.confirm_device() != self._device:  # some of the vectors are from the other device
            outcomes = [outcome for batch in self for outcome in batch]
        scores = [outcome for outcome in outcomes if isinstance(outcome, ImageScores)]
        if self.request.sort_by is not None:
            row = self.request.texts.index(self.request.sort_by)
            scores.sort(key=lambda image: -float(image.similarity[row]))
        encoder = self.session.encoder
        return RankResult(
            model=describe_model(encoder),
            device=encoder.device,
            precision=encoder.precision,
            engine=encoder.engine,
            templates=self.request.templates,
            texts=self.request.texts,
            scores=tuple(scores),
            errors=tuple(outcome for outcome in outcomes if isinstance(outcome, ImageFailure)),
            warnings=(*self.warnings, *encoder.notices),
        )

    def _embed_texts(self) -> tuple[Vectors, str]:
        """The unit vectors of the texts, all from one device, and that device."""
        while True:  # at most twice, since a model is loaded once
            device = self.session.confirm_device()
            features = self.session.embed_texts(self.request.texts, self.request.templates)
            if self.session.confirm_device() == device:
                return mean_of_templates(features), device


def find_missing(sources: Iterable[Source]) -> tuple[ImageFailure, ...]:
    """The sources that are files and do not exist, without opening any."""
    return tuple(
        ImageFailure(source.name, "no such file")
        for source in sources
        if isinstance(source, FileSource) and not os.path.lexists(source.name)
    )


def describe_model(encoder: Encoder) -> ModelRecord:
    """The record of the model that results carry."""
    return ModelRecord(
        name=encoder.name,
        pretrained=encoder.pretrained,
        embed_dim=encoder.embed_dim,
        image_size=encoder.image_size,
        logit_scale=encoder.logit_scale,
        logit_bias=encoder.logit_bias,
        head=encoder.head,
        preprocess=tuple((name, _as_tuple(value)) for name, value in encoder.preprocess.items()),
    )


def _as_tuple(value: object) -> object:
    """A list as a tuple, so that records can be hashed; JSON writes both alike."""
    return tuple(value) if isinstance(value, list) else value


def _score_batch(encoder: Encoder, text_vectors: Vectors, batch: Sequence[Outcome]) -> list[RankOutcome]:
    good = [outcome for outcome in batch if isinstance(outcome, ImageVector)]
    scored: Iterator[ImageScores] = iter(())
    if good:
        similarity, shares = score_images(
            text_vectors,
            np.stack([outcome.features for outcome in good]),
            head=encoder.head,
            logit_scale=encoder.logit_scale,
            logit_bias=encoder.logit_bias,
        )
        scored = (
            ImageScores(outcome.name, similarity[:, column], None if shares is None else shares[:, column], int(best))
            for column, (outcome, best) in enumerate(zip(good, best_text(similarity), strict=True))
        )
    return [
        ImageFailure(outcome.name, outcome.error) if isinstance(outcome, FailedInput) else next(scored)
        for outcome in batch
    ]
