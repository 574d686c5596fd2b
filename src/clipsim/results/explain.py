"""What `explain` says of an image → frozen records: for each text its cosine, and a map of the parts it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import Failure, round_significant  # noqa: F401 (the hints of inherited fields are read here)
from clipsim.results.base import ArrayRecord, ModelRecord, ModelResult, plain_fields  # noqa: F401
from clipsim.results.decode import read_record


@dataclass(frozen=True)
class Peak:
    """The part of an image that matters most to a text: its sides in pixels, and the cosine's `drop` without it."""

    left: int
    top: int
    right: int
    bottom: int
    drop: float

    def to_dict(self) -> dict[str, Any]:
        """The object "peak"; the drop has seven significant digits."""
        return {**vars(self), "drop": round_significant(self.drop)}


@dataclass(frozen=True, eq=False, repr=False)
class TextMap(ArrayRecord):
    """What speaks for one text in the image.

    `similarity` is the cosine of the whole image. `heat`, (14, 14) float32, is how much the cosine falls where a part
    is hidden: above 0 where it speaks for the text, below where it speaks against it. The rows and columns divide
    the result's `frame` evenly. `peak` is None where no part speaks for the text.
    """

    text: str
    similarity: float
    peak: Peak | None
    heat: NDArray[np.float32]

    def __repr__(self) -> str:
        """Without the map."""
        return f"TextMap({self.text!r}, similarity={self.similarity:.4f}, peak={self.peak})"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TextMap:
        """Read what `to_dict` wrote. Raises TypeError, KeyError or ValueError for anything else."""
        peak = values["peak"]
        heat = np.array(values["heat"], np.float32)
        if heat.ndim != 2:
            raise ValueError("a map has rows and columns")
        return cls(
            str(values["text"]), float(values["similarity"]), None if peak is None else read_record(Peak, peak), heat
        )

    def to_dict(self) -> dict[str, Any]:
        """An element of "maps"; numbers have seven significant digits."""
        heat = [[round_significant(value) for value in row] for row in self.heat.tolist()]
        return {**plain_fields(self), "similarity": round_significant(self.similarity), "heat": heat}


@dataclass(frozen=True, repr=False, kw_only=True)
class ExplainResult(ModelResult):
    """Which parts of an image speak for each of some texts.

    `width` and `height` are those of the upright image in pixels. `frame` has left, top, right and bottom of what the
    model sees of it; where the model pads images, that is beyond the image.
    """

    schema: ClassVar[str] = "clipsim.explain/1"

    templates: tuple[str, ...]
    image: str
    width: int
    height: int
    frame: tuple[float, ...]
    maps: tuple[TextMap, ...]

    def __repr__(self) -> str:
        """Without the maps."""
        texts = tuple(one.text for one in self.maps)
        return f"ExplainResult(model={self.model.full_name!r}, image={self.image!r}, texts={texts})"

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a text: its cosine, and its peak."""
        rows = []
        for one in self.maps:
            peak = dict.fromkeys(("left", "top", "right", "bottom", "drop")) if one.peak is None else vars(one.peak)
            rows.append({"image": self.image, "text": one.text, "similarity": one.similarity, **peak})
        return rows

    def _plain_fields(self) -> dict[str, Any]:
        return {**plain_fields(self), "frame": [round_significant(side) for side in self.frame]}
