"""Scores and names → frozen records: one image's scores, and the whole result of a ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import Failure, plain_number
from clipsim.results.base import (
    ArrayRecord,
    ClassifierUse,
    ModelRecord,  # noqa: F401 (the hints of inherited fields are read here)
    ModelResult,
    read_only,
    to_plain,
)
from clipsim.vectors.similarity import order_best_first

MAX_SHOWN_TEXTS = 6  # whose cosines the small table of a notebook has


@dataclass(frozen=True)
class Score:
    """One text's score for one image; the probability is None where it would say nothing."""

    text: str
    similarity: float
    probability: float | None


@dataclass(frozen=True, eq=False)
class ImageScores(ArrayRecord):
    """One image against all texts: (m,) cosines, (m,) probabilities or None, and the index of the best text.

    `best` is None where there are thresholds and no text reaches its own; `thumbnail` is a small image file, where
    thumbnails were asked for. `index` is the position of the image among the inputs, from 0, with folders and patterns
    expanded and failures counted. The row of an image that could not be used holds NaN. The arrays are read-only
    copies. Records are equal, and hash equally, when their names and numbers are equal, wherever the image stood.
    """

    image: str
    similarity: NDArray[np.float32]
    probabilities: NDArray[np.float64] | None
    best: int | None
    thumbnail: bytes | None = field(default=None, compare=False)
    index: int | None = field(default=None, compare=False)

    @classmethod
    def missing(cls, failure: Failure, texts: int, *, with_probabilities: bool) -> ImageScores:
        """The row of NaN of an image that could not be used."""
        shares = np.full(texts, np.nan) if with_probabilities else None
        return cls(failure.image, np.full(texts, np.nan, np.float32), shares, None, index=failure.index)

    @property
    def usable(self) -> bool:
        """Whether the image could be used."""
        return not np.isnan(self.similarity).any()

    def __repr__(self) -> str:
        """Short, whatever the number of texts."""
        return f"ImageScores(image={self.image!r}, texts={len(self.similarity)}, best={self.best})"

    def ranked(self, texts: Sequence[str], top: int | None = None) -> list[Score]:
        """The scores, best first; only the first `top` when given."""
        return [self.score(texts, index) for index in self.order(top)]

    def order(self, top: int | None = None) -> list[int]:
        """The indices of the texts, best first, equals in the order given; only the first `top` when given."""
        order: list[int] = order_best_first(self.similarity)[:top].tolist()
        return order

    def score(self, texts: Sequence[str], index: int) -> Score:
        """The score of one text."""
        probability = None if self.probabilities is None else float(self.probabilities[index])
        return Score(texts[index], float(self.similarity[index]), probability)


def order_images(scores: Sequence[ImageScores], text: int) -> list[ImageScores]:
    """Images by their cosine with a text, best first; equals in the order given, unusable ones last."""
    similarity = np.array([image.similarity[text] for image in scores], np.float64)
    return [scores[index] for index in order_best_first(similarity)]


@dataclass(frozen=True, repr=False, kw_only=True)
class RankResult(ModelResult):
    """All images against all texts; what the command line renders, in whichever format.

    `thresholds`, where there are any, holds the cosine that each text must reach to be an image's best. `words`, where
    texts stand for several words, holds those of each. `classifier` is the one whose labels the texts are, where they
    are.
    Records are equal, and hash equally, when all their numbers are equal.
    """

    schema: ClassVar[str] = "clipsim.rank/1"
    row_names: ClassVar[tuple[str, ...]] = ("image", "index", "text", "similarity", "probability", "best")

    templates: tuple[str, ...]
    texts: tuple[str, ...]
    scores: tuple[ImageScores, ...]
    thresholds: tuple[float, ...] | None = None
    words: tuple[tuple[str, ...], ...] | None = None
    classifier: ClassifierUse | None = None

    def __repr__(self) -> str:
        """Short, whatever the number of images."""
        return (
            f"RankResult(model={self.model.full_name!r}, texts={len(self.texts)}, images={len(self.scores)}, "
            f"errors={len(self.errors)})"
        )

    @property
    def images(self) -> tuple[str, ...]:
        """The images that were scored, in order."""
        return tuple(scores.image for scores in self.scores)

    @property
    def indices(self) -> tuple[int | None, ...]:
        """For each image, its position among the inputs, from 0."""
        return tuple(scores.index for scores in self.scores)

    @property
    def similarity(self) -> NDArray[np.float32]:
        """(texts, images) cosines, read-only."""
        columns = [scores.similarity for scores in self.scores]
        return read_only(np.stack(columns, axis=1) if columns else np.zeros((len(self.texts), 0), np.float32))

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """(texts, images) probabilities, read-only; None where they would say nothing."""
        columns = [scores.probabilities for scores in self.scores if scores.probabilities is not None]
        return read_only(np.stack(columns, axis=1)) if columns else None

    def top_images(self, text: int, count: int) -> list[ImageScores]:
        """The scores of the `count` images that fit one text best, best first; equals in the order given."""
        return order_images([image for image in self.scores if image.usable], text)[:count]

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a pair of image and text, for a data frame: `pandas.DataFrame(result.to_rows())`."""
        return [
            {
                "image": image.image,
                "index": image.index,
                "text": text,
                "similarity": float(image.similarity[index]),
                "probability": None if image.probabilities is None else float(image.probabilities[index]),
                "best": image.best == index,
            }
            for image in self.scores
            for index, text in enumerate(self.texts)
        ]

    @property
    def best(self) -> tuple[int | None, ...]:
        """For each image, the index of its best text; None where no text reaches its threshold."""
        return tuple(scores.best for scores in self.scores)

    def list_shown_rows(self) -> list[dict[str, Any]]:
        """A row an image: its best text, and the cosines of all where they are few."""
        rows = []
        for image in self.scores:
            row: dict[str, Any] = {"image": image.image, "best": None if image.best is None else self.texts[image.best]}
            if len(self.texts) <= MAX_SHOWN_TEXTS:
                row |= {text: float(image.similarity[index]) for index, text in enumerate(self.texts)}
            elif image.best is not None:
                row["similarity"] = float(image.similarity[image.best])
            if image.best is not None and image.probabilities is not None:
                row["probability"] = float(image.probabilities[image.best])
            rows.append(row)
        return rows

    @classmethod
    def _read_fields(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The scores are columns of the matrices."""
        similarity = np.array(values["similarity"], np.float64).T  # null becomes NaN
        shares = np.array(values["probabilities"], np.float64).T
        images, count = values["images"], len(values["texts"])
        with_shares = any(share is not None for row in values["probabilities"] for share in row)
        scores = [
            ImageScores(image, column, shares[number] if with_shares else None, best, index=index)
            for number, (image, index, best, column) in enumerate(
                zip(images, values["indices"], values["best"], similarity.astype(np.float32), strict=True)
            )
        ]
        if any(len(column) != count for column in similarity) or not all(isinstance(image, str) for image in images):
            raise ValueError("scores of other images or texts")
        return {**super()._read_fields({**values, "scores": ()}), "scores": tuple(scores)}

    def _plain_fields(self) -> dict[str, Any]:
        """What the JSON object has of the fields; numbers have seven significant digits, and NaN is null."""
        values: dict[str, Any] = to_plain({**vars(self), "scores": ()})
        optional = {name: values.pop(name) for name in ("words", "classifier", "thresholds")}
        del values["scores"]
        shares = self.probabilities
        return values | {
            **{name: value for name, value in optional.items() if value is not None},
            "images": list(self.images),
            "indices": list(self.indices),
            "similarity": [[plain_number(value) for value in row] for row in self.similarity],
            "probabilities": [[None] * len(self.scores) for _ in self.texts]
            if shares is None
            else [[plain_number(value) for value in row] for row in shares],
            "best": list(self.best),
        }


@dataclass(frozen=True)
class Overview:
    """How many images each text is the best of, in the order of the texts; the lowest and highest cosine of all.

    `none_count` is the number of images none of whose texts reaches its threshold.
    """

    best_counts: tuple[int, ...]
    none_count: int
    low: float
    high: float

    @classmethod
    def of(cls, result: RankResult) -> Overview:
        """Sum up a result; without images, the range is 0 to 0."""
        counts = [0] * len(result.texts)
        none_count = 0
        for image in result.scores:
            if image.best is None:
                none_count += 1
            else:
                counts[image.best] += 1
        low = min((float(image.similarity.min()) for image in result.scores), default=0.0)
        high = max((float(image.similarity.max()) for image in result.scores), default=0.0)
        return cls(tuple(counts), none_count, low, high)
