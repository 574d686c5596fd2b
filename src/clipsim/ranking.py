"""Feature vectors and names → frozen records: the scores of each image, and the whole result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsim.cache import EmbeddingCache
from clipsim.embed import BATCH_SIZE, Encoder, ImageFailure, ImageFeatures, embed_images, embed_texts
from clipsim.pipeline import Pipeline
from clipsim.similarity import Vectors, best_text, cosine, mean_of_templates, order_texts, probabilities, unit_rows

if TYPE_CHECKING:
    from clipsim.pipeline import Source

SCHEMA = "clipsim.rank/1"


@dataclass(frozen=True)
class ModelRecord:
    """The model that gave the numbers; `logit_scale` is the factor itself, `head` is "softmax" or "sigmoid"."""

    name: str
    pretrained: str | None
    embed_dim: int
    image_size: int
    logit_scale: float
    logit_bias: float | None
    head: str

    @classmethod
    def of(cls, encoder: Encoder) -> ModelRecord:
        """What the encoder says of itself."""
        return cls(
            encoder.name, encoder.pretrained, encoder.embed_dim, encoder.image_size,
            encoder.logit_scale, encoder.logit_bias, encoder.head,
        )  # fmt: skip


@dataclass(frozen=True)
class Score:
    """One text's score for one image; the probability is None where it would say nothing."""

    text: str
    similarity: float
    probability: float | None


@dataclass(frozen=True)
class ImageScores:
    """One image against all texts: (m,) cosines, (m,) probabilities or None, and the index of the best text."""

    image: str
    similarity: NDArray[np.float32]
    probabilities: NDArray[np.float64] | None
    best: int

    def ranked(self, texts: Sequence[str], top: int | None = None) -> list[Score]:
        """The scores, best first; only the first `top` when given."""
        return [self.score(texts, index) for index in self.order(top)]

    def order(self, top: int | None = None) -> list[int]:
        """The indices of the texts, best first; only the first `top` when given."""
        return [int(index) for index in order_texts(self.similarity)[:top]]

    def score(self, texts: Sequence[str], index: int) -> Score:
        """The score of one text."""
        probability = None if self.probabilities is None else float(self.probabilities[index])
        return Score(texts[index], float(self.similarity[index]), probability)


@dataclass(frozen=True)
class RankResult:
    """All images against all texts; what the command line renders, in whichever format."""

    model: ModelRecord
    device: str
    precision: str
    engine: str
    templates: tuple[str, ...]
    texts: tuple[str, ...]
    scores: tuple[ImageScores, ...]
    errors: tuple[ImageFailure, ...]
    warnings: tuple[str, ...]

    @property
    def images(self) -> tuple[str, ...]:
        """The images that were scored, in order."""
        return tuple(scores.image for scores in self.scores)

    @property
    def similarity(self) -> NDArray[np.float32]:
        """(texts, images) cosines."""
        columns = [scores.similarity for scores in self.scores]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self.texts), 0), np.float32)

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """(texts, images) probabilities; None where they would say nothing."""
        columns = [scores.probabilities for scores in self.scores if scores.probabilities is not None]
        return np.stack(columns, axis=1) if columns else None

    @property
    def best(self) -> tuple[int, ...]:
        """For each image, the index of its best text."""
        return tuple(scores.best for scores in self.scores)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema `clipsim.rank/1`; numbers have seven significant digits."""
        shares = self.probabilities
        return {
            "schema": SCHEMA,
            "model": {**vars(self.model), "logit_scale": significant(self.model.logit_scale)},
            "device": self.device,
            "precision": self.precision,
            "engine": self.engine,
            "templates": list(self.templates),
            "texts": list(self.texts),
            "images": list(self.images),
            "similarity": [[significant(value) for value in row] for row in self.similarity],
            "probabilities": [[None] * len(self.scores)] * len(self.texts)
            if shares is None
            else [[significant(value) for value in row] for row in shares],
            "best": list(self.best),
            "errors": [vars(failure) for failure in self.errors],
            "warnings": list(self.warnings),
        }


def significant(value: float) -> float:
    """The number to seven significant digits, which is what float32 holds.

    >>> significant(0.29314836859703064)
    0.2931484
    """
    return float(f"{value:.7g}")


def encode_prompts(
    encoder: Encoder,
    prompts: Sequence[str],
    templates: Sequence[str] = (),
    *,
    batch_size: int = BATCH_SIZE,
    truncate: bool = False,
    cache: EmbeddingCache | None = None,
) -> Vectors:
    """M prompts → (m, embed_dim) unit vectors, the mean over the templates where there are any."""
    blocks = embed_texts(encoder, prompts, templates, batch_size=batch_size, truncate=truncate, cache=cache)
    return np.concatenate([mean_of_templates(block) for block in blocks])


def score_images(
    encoder: Encoder, text_vectors: Vectors, batches: Iterable[Sequence[ImageFeatures | ImageFailure]]
) -> Iterator[list[ImageScores | ImageFailure]]:
    """Score batches of image features against the texts' unit vectors, lazily; failures keep their places."""
    for batch in batches:
        good = [outcome for outcome in batch if isinstance(outcome, ImageFeatures)]
        scored: Iterator[ImageScores] = iter(())
        if good:
            similarity = cosine(text_vectors, unit_rows(np.stack([outcome.features for outcome in good])))
            shares = probabilities(
                similarity, head=encoder.head, logit_scale=encoder.logit_scale, logit_bias=encoder.logit_bias
            )
            scored = (
                ImageScores(
                    outcome.image, similarity[:, column], None if shares is None else shares[:, column], int(best)
                )
                for column, (outcome, best) in enumerate(zip(good, best_text(similarity), strict=True))
            )
        yield [outcome if isinstance(outcome, ImageFailure) else next(scored) for outcome in batch]


def rank_sources(
    encoder: Encoder,
    sources: Iterable[Source],
    prompts: Sequence[str],
    templates: Sequence[str] = (),
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    exact: bool = False,
    truncate: bool = False,
    fail: bool = False,
    cache: EmbeddingCache | None = None,
    before_decoding: Callable[[], None] | None = None,
) -> Iterator[list[ImageScores | ImageFailure]]:
    """Encode the prompts, then embed and score the sources in batches; see `Pipeline` for the options."""
    pipeline = Pipeline(
        encoder,
        sources,
        batch_size=batch_size,
        workers=workers,
        exact=exact,
        cache=cache,
        before_decoding=before_decoding,
    )
    try:
        pipeline.start()  # pictures are decoded while the model is loaded for the prompts
        vectors = encode_prompts(encoder, prompts, templates, batch_size=batch_size, truncate=truncate, cache=cache)
        features = embed_images(encoder, pipeline, batch_size=batch_size, fail=fail, cache=cache)
        yield from score_images(encoder, vectors, features)
    finally:
        pipeline.close()


def collect(
    encoder: Encoder,
    texts: Sequence[str],
    batches: Iterable[Sequence[ImageScores | ImageFailure]],
    *,
    templates: Sequence[str] = (),
    warnings: Sequence[str] = (),
    sort_by: str | None = None,
) -> RankResult:
    """Gather all batches into one result; `sort_by`, one of the texts, orders the images by it, best first."""
    outcomes = [outcome for batch in batches for outcome in batch]
    scores = [outcome for outcome in outcomes if isinstance(outcome, ImageScores)]
    if sort_by is not None:
        row = list(texts).index(sort_by)
        scores.sort(key=lambda image: -float(image.similarity[row]))
    return RankResult(
        ModelRecord.of(encoder),
        encoder.device,
        encoder.precision,
        encoder.engine,
        tuple(templates),
        tuple(texts),
        tuple(scores),
        tuple(outcome for outcome in outcomes if isinstance(outcome, ImageFailure)),
        tuple(warnings),
    )
