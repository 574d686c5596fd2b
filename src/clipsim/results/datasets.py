"""What `embed` made → a frozen record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clipsim.results.rank import ModelRecord
from clipsim.vectors.similarity import round_significant

EMBED_SCHEMA = "clipsim.embed/1"


@dataclass(frozen=True)
class EmbedResult:
    """A data set of vectors, as a run left it.

    Of `sources` inputs, `images` have a vector and `errors` failed (they stand in the folder's `errors.jsonl`);
    `captions` is None where none were embedded. `made` of the `shards` were made by this run, in `seconds`;
    `failed_shards` could not be made, and the counts are None as long as there are any.
    """

    folder: str
    model: ModelRecord
    device: str
    precision: str
    engine: str
    dtype: str
    dimensions: int
    sources: int
    images: int | None
    captions: int | None
    errors: int | None
    shards: int
    made: int
    seconds: float
    failed_shards: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema `clipsim.embed/1`."""
        return {
            "schema": EMBED_SCHEMA,
            **vars(self),
            "model": self.model.to_dict(),
            "seconds": round(self.seconds, 3),
            "failed_shards": list(self.failed_shards),
            "warnings": list(self.warnings),
        }


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
