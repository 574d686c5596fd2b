"""Sources and texts → scores: `RankRequest`, what is asked, and `Ranking`, which gives it in batches or as a result."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome, TextFeatures, find_first
from clipsim.engines.encoder import Encoder
from clipsim.errors import DataError, Failure, UsageError, printable
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.sources import FileSource, Source, is_missing
from clipsim.inputs.texts import MAX_QUOTED, check_templates, clean_texts
from clipsim.options import OnError, check_flag, check_on_error
from clipsim.results.base import ModelRecord
from clipsim.results.rank import ImageScores, RankResult
from clipsim.vectors.similarity import (
    Vectors,
    best_passing_text,
    best_text,
    mean_of_templates,
    score_images,
)

if TYPE_CHECKING:
    from clipsim.results.loaded import LoadedThresholds
    from clipsim.tasks.saved_files import Thresholds


NO_PROBABILITY = "with one text there is no probability, which is a share among the texts; give another text to get one"
NOTHING_USABLE = "none of the inputs could be used"
TEXT_BLOCKS = 16  # blocks of texts whose vectors are held before they are averaged

RankOutcome = ImageScores | Failure


@dataclass(frozen=True)
class RankRequest:
    """Texts, templates and order of a ranking, checked: everything that can be checked before a model is opened."""

    texts: tuple[str, ...]
    templates: tuple[str, ...] = ()
    sort_by: str | None = None
    notices: tuple[str, ...] = ()
    thresholds: LoadedThresholds | None = None
    deduplicate: bool = True
    on_error: OnError | None = None  # None: as the session has it

    @classmethod
    def check(
        cls,
        texts: Iterable[str] | str,
        templates: Iterable[str] | str = (),
        sort_by: str | None = None,
        thresholds: Thresholds | None = None,
        *,
        deduplicate: bool = True,
        on_error: OnError | None = None,
    ) -> RankRequest:
        """Strip the texts, and with `deduplicate` drop repeated ones; read the thresholds.

        Raises UsageError for no texts, an empty one or one that is not a string, a template without `{}`, and a
        `sort_by` that is not one of the texts; DataError for thresholds that cannot be read, or lack one of the texts.
        """
        prompts, notices = clean_texts(texts, deduplicate=deduplicate)
        if not prompts:
            raise UsageError("none given", parameter="texts", hint="give at least one")
        checked = check_templates(templates)
        check_flag("deduplicate", deduplicate)
        if on_error is not None:
            check_on_error(on_error)
        if sort_by is not None and not (isinstance(sort_by, str) and sort_by.strip() in prompts):
            raise UsageError("not one of the texts", parameter="sort_by", value=sort_by)
        found = None
        if thresholds is not None:
            from clipsim.tasks.saved_files import read_thresholds  # with the records of all commands

            found = read_thresholds(thresholds)
        if found is not None and (unknown := [prompt for prompt in prompts if prompt not in found.thresholds]):
            known = ", ".join(f"'{printable(text, MAX_QUOTED)}'" for text in list(found.thresholds)[:3])
            raise DataError(
                f"the thresholds have none for the text '{printable(unknown[0], MAX_QUOTED)}'; they are of {known}"
                + (f" and {len(found.thresholds) - 3} more" if len(found.thresholds) > 3 else "")
            )
        order = None if sort_by is None else sort_by.strip()
        return cls(tuple(prompts), checked, order, tuple(notices), found, deduplicate, on_error)


@dataclass
class Ranking:
    """A ranking as it runs: iterate over its batches of outcomes, or `collect` them into a result."""

    session: Embedder
    sources: Iterable[Source]
    request: RankRequest
    live: bool = False
    thumbnails: ThumbnailRules | None = None
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Collect what the caller should know of the texts."""
        encoder = self.session.encoder
        self._device = encoder.device
        self.notices += notices_of(encoder, self.request)
        self._thresholds = None if self.request.thresholds is None else self._find_thresholds(self.request.thresholds)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now: all of it with the first batch."""
        return tuple(dict.fromkeys((*self.session.notices, *self.notices)))

    def __iter__(self) -> Generator[list[RankOutcome], None, None]:
        """Encode the texts, then embed and score the sources in batches; failures keep their places."""
        session = self.session
        self._device = session.encoder.device
        pipeline = session.open_pipeline(self.sources, live=self.live, thumbnails=self.thumbnails)
        try:
            pipeline.start()  # images are decoded while the model is loaded for the texts
            vectors, device = self._embed_texts()
            for batch in session.embed_images(pipeline, on_error=self.request.on_error):
                if session.encoder.device != device:  # known only since this batch loaded the model
                    vectors, device = self._embed_texts()
                yield score_batch(session.encoder, vectors, batch, self._thresholds)
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
        scores = [scored for outcome in outcomes if (scored := self._row_of(outcome)) is not None]
        if self.request.sort_by is not None:
            row = self.request.texts.index(self.request.sort_by)
            scores.sort(key=lambda image: -float(image.similarity[row]) if image.usable else math.inf)
        return make_result(
            self.session, self.request, outcomes, scores, notices=self.notices, thresholds=self._thresholds
        )

    def _row_of(self, outcome: RankOutcome) -> ImageScores | None:
        """The scores of an image; of a failure a row of NaN with `on_error="nan"`, else None."""
        if isinstance(outcome, ImageScores):
            return outcome
        if (self.request.on_error or self.session.run_options.on_error) != "nan":
            return None
        count = len(self.request.texts)
        with_shares = self.session.encoder.head != "softmax" or count > 1
        return ImageScores.missing(outcome, count, with_probabilities=with_shares)

    def _find_thresholds(self, saved: LoadedThresholds) -> tuple[float, ...]:
        """The threshold of each text. Raises DataError for thresholds of another model, precision or templates."""
        from clipsim.tasks.saved_files import check_conditions

        check_conditions(saved, self.session.encoder, self.request.templates)
        return tuple(saved.thresholds[text] for text in self.request.texts)

    def _embed_texts(self) -> tuple[Vectors, str]:
        """The unit vectors of the texts, all from one device, and that device.

        Texts that are alike to the model are merged, where the request removes repetitions.
        """
        while True:  # at most twice, since a model is loaded once
            device = self.session.confirm_device()
            texts = embed_prompts(self.session, self.request.texts, self.request.templates)
            if self.session.confirm_device() == device:
                break
        if not self.request.deduplicate:
            return texts.vectors, device
        before = notices_of(self.session.encoder, self.request)
        self.request, notices = merge_alike(self.request, texts)
        if self._thresholds is not None:
            self._thresholds = tuple(self._thresholds[place] for place in texts.distinct)
        after = notices_of(self.session.encoder, self.request)
        self.notices += [*notices, *(notice for notice in after if notice not in before)]
        return texts.vectors[texts.distinct], device


def embed_prompts(session: Embedder, prompts: Sequence[str], templates: Sequence[str] = ()) -> TextVectors:
    """M prompts, each averaged over the templates → their vectors, a few blocks at a time."""
    step = TEXT_BLOCKS * max(1, session.batch_size // max(1, len(templates)))  # whole blocks of `Session.embed_texts`
    return join_vectors(
        session.embed_texts(prompts[start : start + step], templates) for start in range(0, len(prompts), step)
    )


def join_vectors(blocks: Iterable[TextFeatures]) -> TextVectors:
    """The features of blocks of prompts in templates → their vectors."""
    vectors, identities = [], list[bytes]()
    for block in blocks:
        vectors.append(mean_of_templates(block.features))
        identities += block.identities
    first = find_first(identities)
    return TextVectors(np.concatenate(vectors)[first], tuple(first))


@dataclass(frozen=True, eq=False)
class TextVectors:
    """Prompts as the model reads them.

    `vectors` is (m, embed_dim), unit vectors; `first` has, for each prompt, the place of the first that is the same
    text to the model, whose vector it has.
    """

    vectors: Vectors
    first: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """What the vectors take."""
        return int(self.vectors.nbytes)

    @property
    def distinct(self) -> list[int]:
        """The places of the prompts that are not the same text as an earlier one."""
        return [place for place, first in enumerate(self.first) if place == first]

    def name_alike(self, prompts: Sequence[str]) -> str:
        """The groups of prompts that are one text to the model, as a message names them; empty where there are none."""
        groups: dict[int, list[str]] = {}
        for prompt, first in zip(prompts, self.first, strict=True):
            groups.setdefault(first, []).append(f"'{printable(prompt, MAX_QUOTED)}'")
        alike = [" and ".join(group) for group in groups.values() if len(group) > 1]
        return ", ".join(alike[:3]) + (f" and {len(alike) - 3} more" if len(alike) > 3 else "")


def merge_alike(request: RankRequest, texts: TextVectors) -> tuple[RankRequest, list[str]]:
    """The request with each text that is one to the model once, under its first name; and a notice if some are."""
    alike = texts.name_alike(request.texts)
    if not alike:
        return request, []
    sort_by = request.sort_by
    if sort_by is not None:
        sort_by = request.texts[texts.first[request.texts.index(sort_by)]]
    kept = tuple(request.texts[place] for place in texts.distinct)
    return replace(request, texts=kept, sort_by=sort_by), [f"the same text to this model, counted once: {alike}"]


def make_result(
    session: Embedder,
    request: RankRequest,
    outcomes: Iterable[RankOutcome],
    scores: Sequence[ImageScores],
    *,
    notices: Iterable[str],
    thresholds: tuple[float, ...] | None = None,
) -> RankResult:
    """The outcomes of a ranking, and the scores among them in the order to show → its result."""
    encoder = session.encoder
    model = describe_model(encoder)  # after which all notices of the model are known
    return RankResult(
        model=model,
        device=encoder.device,
        precision=encoder.precision,
        engine=encoder.engine,
        templates=request.templates,
        texts=request.texts,
        scores=tuple(scores),
        errors=tuple(outcome for outcome in outcomes if isinstance(outcome, Failure)),
        warnings=(*session.notices, *notices),
        thresholds=thresholds,
    )


def notices_of(encoder: Encoder, request: RankRequest) -> list[str]:
    """What the caller of a ranking should know of its texts."""
    alone = len(request.texts) == 1 and encoder.head == "softmax"
    return [*request.notices, *([NO_PROBABILITY] if alone else [])]


def find_missing(sources: Iterable[Source]) -> tuple[Failure, ...]:
    """The sources that are files and do not exist, without opening any."""
    return tuple(
        Failure(source.name, "no such file", source.index)
        for source in sources
        if isinstance(source, FileSource) and is_missing(source.name)
    )


def score_batch(
    encoder: Encoder, text_vectors: Vectors, batch: Sequence[Outcome], thresholds: Sequence[float] | None = None
) -> list[RankOutcome]:
    """(m, embed_dim) unit text vectors and a batch of outcomes → the scores of each image; failures keep their places.

    With `thresholds`, one for each text, the best text is the best of those that pass, or None.
    """
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
        bests = best_text(similarity).tolist() if thresholds is None else best_passing_text(similarity, thresholds)
        scored = (
            ImageScores(
                outcome.image,
                similarity[:, column],
                None if shares is None else shares[:, column],
                best,
                outcome.thumbnail,
                outcome.index,
            )
            for column, (outcome, best) in enumerate(zip(good, bests, strict=True))
        )
    return [outcome if isinstance(outcome, Failure) else next(scored) for outcome in batch]


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
        preprocess=tuple((name, _as_tuple(value)) for name, value in encoder.preprocessing.to_dict().items()),
    )


def _as_tuple(value: object) -> object:
    """A list as a tuple, so that records can be hashed; JSON writes both alike."""
    return tuple(value) if isinstance(value, list) else value
