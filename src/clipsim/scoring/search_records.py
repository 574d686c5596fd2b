"""What `search` found → frozen records: the matches of each query, and the whole answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clipsim.scoring.records import ImageFailure, ModelRecord
from clipsim.scoring.similarity import round_significant

SEARCH_SCHEMA = "clipsim.search/1"


@dataclass(frozen=True)
class Match:
    """One image that was found: `rank` counts from 1, `similarity` is the cosine with the query.

    `index` is its position among all that were searched, from 0: inputs with folders and patterns expanded, and the
    rows of data sets.
    """

    rank: int
    image: str
    similarity: float
    index: int | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """An element of "results"; numbers have seven significant digits."""
        return {**vars(self), "similarity": round_significant(self.similarity)}


@dataclass(frozen=True, repr=False)
class QueryMatches:
    """One query and its matches, best first.

    The query is a `text` or the name of an `image`; the texts in `plus` and `minus` were added and subtracted,
    each `weight` times.
    """

    text: str | None
    image: str | None
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    results: tuple[Match, ...]
    weight: float = 1.0

    def __repr__(self) -> str:
        """Short, whatever the number of matches."""
        return f"QueryMatches({self.label!r}, results={len(self.results)})"

    @property
    def label(self) -> str:
        """The query in one line, as it was typed.

        >>> QueryMatches("a house", None, ("night",), ("people",), ()).label
        'a house + night − people'
        >>> QueryMatches("a house", None, ("night",), (), (), 0.5).label
        'a house + 0.5 × night'
        """
        times = "" if self.weight == 1 else f"{self.weight:g} × "
        words = [self.text if self.text is not None else str(self.image)]
        words += [f"+ {times}{text}" for text in self.plus] + [f"− {times}{text}" for text in self.minus]
        return " ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """An element of "queries"."""
        return {
            "text": self.text,
            "image": self.image,
            "plus": list(self.plus),
            "minus": list(self.minus),
            "weight": self.weight,
            "results": [match.to_dict() for match in self.results],
        }


@dataclass(frozen=True, repr=False)
class SearchResult:
    """The answers to all queries among `searched` images."""

    model: ModelRecord
    device: str
    precision: str
    engine: str
    searched: int
    queries: tuple[QueryMatches, ...]
    errors: tuple[ImageFailure, ...]
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        """Short, whatever the number of queries."""
        model = self.model.name + (f"/{self.model.pretrained}" if self.model.pretrained else "")
        return (
            f"SearchResult(model={model!r}, searched={self.searched}, queries={len(self.queries)}, "
            f"errors={len(self.errors)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema `clipsim.search/1`."""
        return {
            "schema": SEARCH_SCHEMA,
            "model": self.model.to_dict(),
            "device": self.device,
            "precision": self.precision,
            "engine": self.engine,
            "searched": self.searched,
            "queries": [query.to_dict() for query in self.queries],
            "errors": [dict(vars(failure)) for failure in self.errors],
            "warnings": list(self.warnings),
        }
