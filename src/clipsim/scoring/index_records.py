"""What `index` made of a data set → a frozen record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clipsim.scoring.similarity import round_significant

INDEX_SCHEMA = "clipsim.index/1"


@dataclass(frozen=True)
class IndexResult:
    """How a data set is searched from now on.

    `kind` is "ivf", whose searches read `probes` of `lists` lists, or "exact", whose searches compare all `vectors`.
    The recalls are shares of the ten nearest vectors that a search finds, by image and by text queries, None where
    there were no such queries; the milliseconds are those of a search for one query.
    """

    folder: str
    kind: str
    vectors: int
    lists: int | None
    probes: int | None
    bytes: int
    seconds: float
    recall_images: float | None
    recall_texts: float | None
    milliseconds: float
    exact_milliseconds: float
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema `clipsim.index/1`."""
        rounded = ("seconds", "recall_images", "recall_texts", "milliseconds", "exact_milliseconds")
        values = vars(self) | {
            name: None if getattr(self, name) is None else round_significant(getattr(self, name)) for name in rounded
        }
        return {"schema": INDEX_SCHEMA, **values, "warnings": list(self.warnings)}
