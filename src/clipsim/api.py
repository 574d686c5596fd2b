"""One call a command: what a Python caller passes → records. The command line runs this code too."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from clipsim.embedding.encode import FailedInput, ImageVector, Outcome
from clipsim.embedding.session import Session as EmbeddingSession
from clipsim.engines.encoder import Encoder
from clipsim.errors import NoInputError, UsageError, printable
from clipsim.inputs.prompts import MAX_SHOWN, check_templates, clean_prompts
from clipsim.inputs.sources import FileSource, Source, make_sources
from clipsim.options import ModelOptions, RunOptions
from clipsim.scoring.records import ImageFailure, ImageScores, ModelRecord, RankResult
from clipsim.scoring.similarity import best_text, mean_of_templates, score_images

if TYPE_CHECKING:
    from typing import TypeAlias

    from PIL import Image
    from typing_extensions import TypedDict, Unpack

    class OpenOptions(TypedDict, total=False):
        """The keyword arguments of `clipsim.open`."""

        model: str | os.PathLike[str] | None
        weights: str | os.PathLike[str] | None
        device: str
        precision: str | None
        engine: str
        batch_size: int | None
        workers: int | None
        exact: bool
        truncate: bool
        on_error: Literal["skip", "fail"]
        cache: bool

    Images: TypeAlias = Iterable["str | os.PathLike[str] | Image.Image | Source"] | str | Path | Image.Image

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

        Raises UsageError for no texts, an empty one or one that is no string, a template without `{}`, and a `sort_by`
        that is not one of the texts.
        """
        prompts, notices = clean_prompts([texts] if isinstance(texts, str) else texts)
        if not prompts:
            raise UsageError("no texts to compare with; give at least one")
        checked = check_templates([templates] if isinstance(templates, str) else templates)
        if sort_by is not None and sort_by.strip() not in prompts:
            raise UsageError(f"sort_by='{printable(sort_by, MAX_SHOWN)}' is not one of the texts")
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
        """Note what the caller should know."""
        self.warnings += self.request.notices
        if len(self.request.texts) == 1 and self.session.encoder.head == "softmax":
            self.warnings.append(NO_PROBABILITY)

    def __iter__(self) -> Generator[list[RankOutcome], None, None]:
        """Encode the texts, then embed and score the sources in batches; failures keep their places."""
        session = self.session
        pipeline = session.open_pipeline(self.sources, live=self.live)
        try:
            pipeline.start()  # pictures are decoded while the model is loaded for the texts
            vectors = mean_of_templates(session.embed_texts(self.request.texts, self.request.templates))
            for batch in session.embed_images(pipeline):
                yield _score_batch(session.encoder, vectors, batch)
        finally:
            pipeline.close()

    def collect(self, batches: Iterable[Sequence[RankOutcome]] | None = None) -> RankResult:
        """Gather all batches into one result, its images ordered by `sort_by` where that was asked for.

        `batches` are those of this ranking, for a caller that watches them pass.
        """
        outcomes = [outcome for batch in (self if batches is None else batches) for outcome in batch]
        if self.session.device_changed:  # meanwhile, so that some of the vectors are another device's
            self.session.device_changed = False
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
            warnings=tuple(self.warnings),
        )


class Session(EmbeddingSession):
    """A model that stays loaded, and the calls that use it; see `clipsim.open`."""

    def rank(
        self,
        images: Images,
        texts: Iterable[str] | str,
        *,
        templates: Iterable[str] | str = (),
        sort_by: str | None = None,
    ) -> RankResult:
        """Score every image against every text; see `clipsim.rank`."""
        request = RankRequest.check(texts, templates, sort_by)
        sources = list(make_sources(images))
        result = self.open_ranking(sources, request).collect()
        if result.errors and not result.scores:
            first = result.errors[0]
            more = f" (and {len(result.errors) - 1} more)" if len(result.errors) > 1 else ""
            raise NoInputError(f"{NOTHING_USABLE}: {printable(first.path)}: {first.error}{more}", result.errors)
        return result

    def open_ranking(self, sources: Iterable[Source], request: RankRequest, *, live: bool = False) -> Ranking:
        """A ranking to iterate over, in memory that does not grow with the number of sources.

        With `live`, results do not wait for sources that have not come yet, as from a pipe.
        """
        return Ranking(self, sources, request, live)


def open(
    model: str | os.PathLike[str] | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    exact: bool = False,
    truncate: bool = False,
    on_error: Literal["skip", "fail"] = "skip",
    cache: bool = True,
) -> Session:
    """Open a model once, for several calls: `with clipsim.open("ViT-B/32") as session: session.rank(images, texts)`.

    `model` is what `clipsim rank --model` accepts, None the default model; `weights` a state dict for the architecture
    in `model`. `engine` is "auto" (an fp32 export of the model where there is one), "torch", "onnx" or "onnx-int8".
    `exact` decodes large JPEGs in full; `truncate` cuts texts that are too long; with `on_error="fail"` the first image
    that cannot be used raises ImageError; `cache` reads and keeps vectors in the user's cache.

    Raises UsageError for options that contradict each other, ModelError and its family for the model. DeviceError is
    raised when the model is loaded, with the first vector that is not in the cache.
    """
    return Session(
        ModelOptions(
            None if model is None else os.fspath(model),
            None if weights is None else os.fspath(weights),
            str(device),
            precision,
            engine,
        ),
        RunOptions(
            batch_size=batch_size, workers=workers, exact=exact, truncate=truncate, on_error=on_error, cache=cache
        ),
    )


def rank(
    images: Images,
    texts: Iterable[str] | str,
    *,
    templates: Iterable[str] | str = (),
    sort_by: str | None = None,
    **options: Unpack[OpenOptions],
) -> RankResult:
    """Score every image against every text.

    Images are paths (files, folders, globs) or PIL pictures; texts are stripped at both ends, and a repeated one counts
    once. Each text is put into every template, and the unit vectors are averaged. `sort_by`, one of the texts, orders
    the images. `options` are those of `clipsim.open`, which opens the model; it is closed afterwards.

    An image that cannot be used is in the result's `errors`; where none can be used, NoInputError is raised. Raises
    UsageError for no texts, an empty text or a `sort_by` that is not one of the texts, PromptError for a text that is
    too long, and what `clipsim.open` raises.

    >>> from PIL import Image
    >>> picture = Image.new("RGB", (64, 48), "white")
    >>> rank(picture, ["maze", "cat"], model="clipsim-mini").similarity.shape
    (2, 1)
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    templates = [templates] if isinstance(templates, str) else list(templates)
    RankRequest.check(texts, templates, sort_by)  # before a model is looked for
    with open(**options) as session:
        return session.rank(images, texts, templates=templates, sort_by=sort_by)


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
    )


def _score_batch(encoder: Encoder, text_vectors: np.ndarray[Any, Any], batch: Sequence[Outcome]) -> list[RankOutcome]:
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
