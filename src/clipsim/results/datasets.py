"""What `embed`, `index` and `vectors export` made, or are to make → frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from clipsim.errors import round_significant
from clipsim.results.base import ModelRecord, Result, plain_fields


@dataclass(frozen=True, repr=False, kw_only=True)
class EmbedResult(Result):
    """A data set of vectors, as a run left it.

    Of `sources` inputs, `images` have a vector and `errors` failed (they stand in the folder's `errors.jsonl`), which
    `errors_by_class` counts by what was wrong: "bad_image", "not_found", or what the same call tries again: "denied",
    "throttled", "timed_out" and "unavailable"; "unknown" are those that an earlier version recorded.
    `captions` is None where none were embedded. `made` of the `shards` were made by this run, in `seconds`;
    `failed_shards` could not be made, and the counts are None as long as there are any.
    """

    schema: ClassVar[str] = "clipsim.embed/1"

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
    errors_by_class: dict[str, int] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        """Short, whatever the model."""
        return (
            f"EmbedResult(folder={self.folder!r}, model={self.model.full_name!r}, images={self.images}, "
            f"shards={self.shards}, errors={self.errors})"
        )

    def _plain_fields(self) -> dict[str, Any]:
        return {**plain_fields(self), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, kw_only=True)
class EmbedPlan(Result):
    """What `embed` would embed into a folder, as `embed --plan-only` lists it.

    `plan` is the file that has the list. Of `sources` inputs, `kinds` counts the files ("file"), the addresses ("url"),
    the members of tars ("tar"), the images in tables ("parquet") and what cannot be used ("failed"), as they are named
    now. `added`, `changed` and `removed` differ from what the folder holds, and `kept` are in it and not named now.
    `shards` is how many there will be.
    """

    schema: ClassVar[str] = "clipsim.embed-plan/1"

    folder: str
    plan: str
    sources: int
    kinds: dict[str, int] = field(hash=False)
    shards: int
    added: int
    changed: int
    removed: int
    kept: int
    seconds: float

    def _plain_fields(self) -> dict[str, Any]:
        return {**plain_fields(self), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, kw_only=True)
class IndexResult(Result):
    """How a data set is searched from now on.

    `kind` is "ivf", whose searches read `probes` of `lists` lists, or "exact", whose searches compare all `vectors`.
    The recalls are shares of the ten nearest vectors that a search finds, by image and by text queries, None where
    there were no such queries; the milliseconds are those of a search for one query. `added` is the number of vectors
    that were added to an index that was there, None where it was built.
    """

    schema: ClassVar[str] = "clipsim.index/1"

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
    added: int | None = None

    def _plain_fields(self) -> dict[str, Any]:
        return {
            name: round_significant(value) if isinstance(value, float) else value
            for name, value in plain_fields(self).items()
        }


@dataclass(frozen=True, kw_only=True)
class ExportResult(Result):
    """Where the vectors of a data set are now.

    `to` is "parquet", "lance" or "qdrant", `destination` its folder or address, `name` that of the table or collection.
    `columns` are those of each of the `vectors` rows, the vector of `dimensions` numbers among them.
    """

    schema: ClassVar[str] = "clipsim.export/1"

    folder: str
    to: str
    destination: str
    name: str
    vectors: int
    dimensions: int
    columns: tuple[str, ...]
    seconds: float

    def _plain_fields(self) -> dict[str, Any]:
        return {**plain_fields(self), "seconds": round(self.seconds, 3)}
