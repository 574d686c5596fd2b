"""What `fit` makes of labelled images → the frozen `Classifier`, and its JSON both ways."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import Failure  # noqa: F401 (the hints of inherited fields are read here)
from clipsim.results.base import ArrayRecord, ClassifierUse, ModelRecord, ModelResult, plain_fields, read_only  # noqa: F401
from clipsim.results.decode import read_fields, read_record
from clipsim.statistics.estimates import Estimate
from clipsim.statistics.paired_tests import SIGNIFICANT, Comparison

METHODS = ("words", "mixture", "ridge")
DTYPE = "float32"  # in the file, little-endian
MAX_SCALE = 1e6
MAX_LENGTH_ERROR = 1e-3  # of a vector whose length is 1


@dataclass(frozen=True, eq=False, repr=False)
class FittedLabel(ArrayRecord):
    """A label: its unit `vector` (embed_dim,), and how many `examples` it was made of.

    `by_words` is the share of these that the words alone get right, `by_classifier` that by cross-validation, or None.
    """

    label: str
    examples: int
    by_words: float
    by_classifier: float | None
    vector: Any  # (embed_dim,) float32

    def __repr__(self) -> str:
        """Short, without the vector."""
        return f"FittedLabel({self.label!r}, examples={self.examples})"

    def to_dict(self) -> dict[str, Any]:
        """An element of "labels", without the vector."""
        return {name: value for name, value in vars(self).items() if name != "vector"}


@dataclass(frozen=True, repr=False, kw_only=True)
class Classifier(ModelResult):
    """A unit vector for each label, fitted to labelled images, and how good it is.

    An image's score is its cosine with the label's vector, its probability the softmax of `scale` times the cosines.
    `method` is "words" (the vectors of the texts), "mixture" (the text counts as `strength` images beside a label's
    own) or "ridge" (a penalty of `strength` on the distance from the texts). `calibrated` says that `scale` was fitted
    on images that were held out; else it is the model's own. `digest` is that of the model's files.

    `by_words` is the accuracy of the words alone on the examples. `by_classifier` is that of classifiers that were
    chosen and fitted without the example in question, by cross-validation in `folds` parts, and `comparison` is of the
    two; these three are None where no label has two examples. `images` are the SHA-256 digests of the examples' files.
    """

    schema: ClassVar[str] = "clipsim.classifier/1"

    digest: str
    templates: tuple[str, ...]
    method: str
    strength: float | None
    scale: float
    calibrated: bool
    seed: int
    shots: int | None
    folds: int | None
    by_words: Estimate
    by_classifier: Estimate | None
    comparison: Comparison | None
    fitted: tuple[FittedLabel, ...]
    images: tuple[str, ...]

    def __repr__(self) -> str:
        """Short, whatever the number of labels."""
        return (
            f"Classifier(model={self.model.full_name!r}, method={self.method!r}, labels={len(self.fitted)}, "
            f"examples={self.examples})"
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in order."""
        return tuple(label.label for label in self.fitted)

    @property
    def weights(self) -> NDArray[np.float32]:
        """(labels, embed_dim) unit vectors, read-only."""
        return read_only(np.stack([label.vector for label in self.fitted]))

    @property
    def examples(self) -> int:
        """The number of images that it was made of."""
        return sum(label.examples for label in self.fitted)

    @property
    def better(self) -> bool | None:
        """Whether it is better than the words alone: by the interval of the difference, and by the exact test.

        None without a cross-validation.
        """
        if self.comparison is None:
            return None
        low = self.comparison.difference.low
        return low is not None and low > 0 and self.comparison.p < SIGNIFICANT

    @property
    def use(self) -> ClassifierUse:
        """How results name it."""
        return ClassifierUse(self.method, self.strength, self.scale, self.calibrated, self.examples)

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a label: its examples, and the shares of them that the words and the classifier get right."""
        return [label.to_dict() for label in self.fitted]

    @classmethod
    def _read_fields(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields, checked: what is read may have been written by others, and ranks images."""
        fields = read_fields(cls, values)
        labels = values["labels"]
        weights = _read_weights(values["weights"], (len(labels), fields["model"].embed_dim))
        fields["fitted"] = tuple(
            read_record(FittedLabel, {**label, "vector": vector}) for label, vector in zip(labels, weights, strict=True)
        )
        names = [label.label for label in fields["fitted"]]
        if len(names) < 2 or len(set(names)) < len(names) or not all(name and name == name.strip() for name in names):
            raise ValueError("fewer than two labels, one twice, or an empty one")
        if fields["method"] not in METHODS:
            raise ValueError("an unknown method")
        if not 0 < fields["scale"] <= MAX_SCALE:
            raise ValueError("a scale out of range")
        return fields

    def _plain_fields(self) -> dict[str, Any]:
        values, weights = plain_fields(self), self.weights
        del values["fitted"]
        return values | {
            "better": self.better,
            "labels": [label.to_dict() for label in self.fitted],
            "images": values.pop("images"),
            "weights": {
                "dtype": DTYPE,
                "shape": list(weights.shape),
                "base64": base64.b64encode(weights.astype("<f4").tobytes()).decode(),
            },
        }


def _read_weights(value: Any, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The unit vectors of a shape. Raises ValueError for others."""
    if value["dtype"] != DTYPE or tuple(value["shape"]) != shape:
        raise ValueError("weights of another shape than the labels and the model")
    content = base64.b64decode(value["base64"], validate=True)
    if len(content) != 4 * math.prod(shape):
        raise ValueError("weights that are cut, or too long")
    weights = np.frombuffer(content, "<f4").reshape(shape).astype(np.float32)
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(weights.astype(np.float64), axis=1)
    if not (np.abs(lengths - 1) < MAX_LENGTH_ERROR).all():  # which NaN is not either
        raise ValueError("weights that are not vectors of length 1")
    return weights
