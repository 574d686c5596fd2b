"""What `search` found → frozen records: the matches of each query, and the whole answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from clipsim.errors import Failure, round_significant
from clipsim.results.base import ModelRecord, ModelResult, Result, plain_fields


@dataclass(frozen=True)
class Match:
    """One image that was found: `rank` counts from 1, `similarity` is the cosine with the query.

    `index` is its position among all that were searched, from 0: inputs with folders and patterns expanded, and the
    rows of data sets. `same` is "file" where it is the file of the query's image, "bytes" where it is another file with
    the same content, else None. `copies` is the number of images that it stands for, itself included, where a search
    shows one of several copies; else None.
    """

    rank: int
    image: str
    similarity: float
    index: int | None = field(default=None, compare=False)
    same: Literal["file", "bytes"] | None = None
    copies: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """An element of "results"; numbers have seven significant digits."""
        return {**vars(self), "similarity": round_significant(self.similarity)}


@dataclass(frozen=True)
class AddedQuery:
    """A text, or the name of an image, whose vector was added to a query `weight` times; below 0 it was subtracted."""

    text: str | None
    image: str | None
    weight: float

    def to_dict(self) -> dict[str, Any]:
        """An element of "additions"."""
        return plain_fields(self)


@dataclass(frozen=True, repr=False)
class QueryMatches:
    """One query and its matches, best first.

    The query is a `text` or the name of an `image`. `additions` are the texts and images that were added and
    subtracted; `plus` and `minus` the texts among them, `weight` the weight of those without one of their own. `words`
    are what the text stands for, None where it is its own only word.
    """

    text: str | None
    image: str | None
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    results: tuple[Match, ...]
    weight: float = 1.0
    additions: tuple[AddedQuery, ...] = ()
    words: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        """Short, whatever the number of matches."""
        return f"QueryMatches({self.label!r}, results={len(self.results)})"

    @property
    def label(self) -> str:
        """The query in one line, as it was typed.

        >>> added = AddedQuery("night", None, 1.0), AddedQuery(None, "sea.jpg", -0.5)
        >>> QueryMatches("a house", None, ("night",), (), (), additions=added).label
        'a house + night − 0.5 × sea.jpg'
        """
        words = [self.text if self.text is not None else str(self.image)]
        for added in self.additions:
            times = "" if abs(added.weight) == 1 else f"{abs(added.weight):g} × "
            words.append(
                f"{'−' if added.weight < 0 else '+'} {times}{added.image if added.text is None else added.text}"
            )
        return " ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """An element of "queries"."""
        return {
            "text": self.text,
            **({} if self.words is None else {"words": list(self.words)}),
            "image": self.image,
            "plus": list(self.plus),
            "minus": list(self.minus),
            "weight": self.weight,
            "additions": [added.to_dict() for added in self.additions],
            "results": [match.to_dict() for match in self.results],
        }


@dataclass(frozen=True, repr=False, kw_only=True)
class SearchResult(ModelResult):
    """The matches of all queries among `searched` images."""

    schema: ClassVar[str] = "clipsim.search/1"
    row_names: ClassVar[tuple[str, ...]] = ("query", "rank", "image", "similarity", "index", "same", "copies")

    searched: int
    queries: tuple[QueryMatches, ...]

    def __repr__(self) -> str:
        """Short, whatever the number of queries."""
        return (
            f"SearchResult(model={self.model.full_name!r}, searched={self.searched}, queries={len(self.queries)}, "
            f"errors={len(self.errors)})"
        )

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a match, the nearest of each query first; `query` is its text or the name of its image."""
        return [{"query": query.label, **vars(match)} for query in self.queries for match in query.results]


@dataclass(frozen=True)
class DuplicateImage:
    """One image of a group: its cosine with the first one of the group, its size in pixels where it is known.

    `index` is its position among all that were compared, from 0: inputs with folders and patterns expanded, and the
    rows of data sets.
    `copy_of` names the better image that it is a copy of by content, not only alike; None where there is none.
    `removable` says that its file may go: when it was looked at, the better one was there, under a name of another
    file, and removing this one frees its space. `digest` is the SHA-256 of its file when it was compared, and
    `thumbnail` a small image file, where one was made as its pixels were compared.
    """

    image: str
    similarity: float
    width: int | None
    height: int | None
    index: int | None = field(default=None, compare=False)
    copy_of: str | None = None
    removable: bool = False
    digest: str | None = field(default=None, compare=False, repr=False)
    thumbnail: bytes | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """An element of "images"; numbers have seven significant digits."""
        values = {**vars(self), "similarity": round_significant(self.similarity)}
        del values["digest"], values["thumbnail"]
        return values


@dataclass(frozen=True, repr=False)
class DuplicateGroup:
    """Images that are alike, the best first; with `same_bytes`, their files are the same to the byte."""

    same_bytes: bool
    images: tuple[DuplicateImage, ...]

    def __repr__(self) -> str:
        """Short, whatever the number of images."""
        return f"DuplicateGroup({self.images[0].image!r}, same_bytes={self.same_bytes}, images={len(self.images)})"

    def to_dict(self) -> dict[str, Any]:
        """An element of "groups"."""
        return plain_fields(self)


@dataclass(frozen=True, repr=False, kw_only=True)
class DuplicatesResult(Result):
    """All groups: first those of the same bytes, then the others, each in the order in which they were named.

    `model` and `min_similarity` are None where only bytes were compared. `compared` is the number of images. `pairs` is
    "all" where every two were compared, or "lists" where only those in near lists were; `recall` is the share of
    an image's near ones that this found, estimated on a sample, None where the sample has none.
    """

    schema: ClassVar[str] = "clipsim.duplicates/1"
    row_names: ClassVar[tuple[str, ...]] = (
        "group", "same_bytes", "image", "similarity", "width", "height", "index", "copy_of", "removable",
    )  # fmt: skip

    model: ModelRecord | None
    min_similarity: float | None
    compared: int
    groups: tuple[DuplicateGroup, ...]
    pairs: str = "all"
    recall: float | None = 1.0
    errors: tuple[Failure, ...] = ()

    def __repr__(self) -> str:
        """Short, whatever the number of groups."""
        return f"DuplicatesResult(compared={self.compared}, groups={len(self.groups)}, errors={len(self.errors)})"

    @property
    def redundant(self) -> tuple[str, ...]:
        """The files that may go, in order: copies by content of a better image that stays."""
        return tuple(image.image for group in self.groups for image in group.images if image.removable)

    def to_rows(self) -> list[dict[str, Any]]:
        """A row an image; the groups are numbered from 1."""
        return [
            {"group": number, "same_bytes": group.same_bytes, **image.to_dict()}
            for number, group in enumerate(self.groups, start=1)
            for image in group.images
        ]
