"""What `overview` says of a collection → frozen records: its groups, their typical images and the words that fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from clipsim.errors import Failure, round_significant  # noqa: F401 (the hints of inherited fields are read here)
from clipsim.results.base import ModelRecord, ModelResult, plain_fields  # noqa: F401


@dataclass(frozen=True)
class GroupWord:
    """A text that fits a group: its mean cosine with the group's images, and how far that is above all other images'.

    `difference` is None where there is one group.
    """

    text: str
    similarity: float
    difference: float | None

    def to_dict(self) -> dict[str, Any]:
        """An element of "words"; numbers have seven significant digits."""
        difference = None if self.difference is None else round_significant(self.difference)
        return {"text": self.text, "similarity": round_significant(self.similarity), "difference": difference}


@dataclass(frozen=True)
class TypicalImage:
    """An image of a group, and its cosine with the group's centre.

    `index` is its position among all that were looked at, from 0: inputs with folders and patterns expanded, and the
    rows of data sets.
    """

    image: str
    similarity: float
    index: int | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """An element of "images"; numbers have seven significant digits."""
        return {**vars(self), "similarity": round_significant(self.similarity)}


@dataclass(frozen=True, repr=False)
class ImageGroup:
    """Some `size` images that are alike, a `share` of all: the words that fit them best, and the most typical ones."""

    size: int
    share: float
    words: tuple[GroupWord, ...]
    images: tuple[TypicalImage, ...]

    def __repr__(self) -> str:
        """Short, whatever the number of words and images."""
        return f"ImageGroup({self.label!r}, size={self.size})"

    @property
    def label(self) -> str | None:
        """The text that fits best; None where no text fits the group better than the rest."""
        return self.words[0].text if self.words else None

    def to_dict(self) -> dict[str, Any]:
        """An element of "groups"; numbers have seven significant digits."""
        return {**plain_fields(self), "share": round_significant(self.share)}


@dataclass(frozen=True, repr=False, kw_only=True)
class OverviewResult(ModelResult):
    """The groups of a collection of so many `images`, the largest first.

    `texts` is the number of texts that the words were chosen from. `silhouette` says how well the groups are told
    apart, from -1 to 1; it is None where there is one group.
    """

    schema: ClassVar[str] = "clipsim.overview/1"
    row_names: ClassVar[tuple[str, ...]] = ("group", "size", "share", "label", "words", "image")

    templates: tuple[str, ...]
    images: int
    texts: int
    silhouette: float | None
    seed: int
    groups: tuple[ImageGroup, ...]

    def __repr__(self) -> str:
        """Short, whatever the number of groups."""
        return (
            f"OverviewResult(model={self.model.full_name!r}, images={self.images}, groups={len(self.groups)}, "
            f"errors={len(self.errors)})"
        )

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a group: the words that fit it best in one text, and its most typical image."""
        return [
            {
                "group": number,
                "size": group.size,
                "share": group.share,
                "label": group.label,
                "words": ", ".join(word.text for word in group.words),
                "image": group.images[0].image if group.images else None,
            }
            for number, group in enumerate(self.groups, start=1)
        ]

    def _plain_fields(self) -> dict[str, Any]:
        silhouette = None if self.silhouette is None else round_significant(self.silhouette)
        return {**plain_fields(self), "silhouette": silhouette}
