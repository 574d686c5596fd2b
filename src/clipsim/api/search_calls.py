"""The calls of a `Session` that go through many images: `search` and `duplicates`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

import clipsim
from clipsim import api
from clipsim.api.ranking import NOTHING_USABLE
from clipsim.embedding.session import Session
from clipsim.errors import NoInputError, issue_warnings, printable
from clipsim.inputs.arguments import make_sources
from clipsim.inputs.filters import NameFilter
from clipsim.inputs.sources import Source
from clipsim.options import check_flag
from clipsim.scoring.records import ImageFailure

if TYPE_CHECKING:
    from PIL.Image import Image
else:
    Image = object  # a PIL picture, in whose place type hints have any object: Pillow is not imported for them

Picture: TypeAlias = Union[  # noqa: UP007 (which evaluates where one of them is `object`)
    str, os.PathLike[str], bytes, BinaryIO, NDArray[np.uint8], Image, Source, Mapping[str, object]
]
Pictures: TypeAlias = Iterable[Picture] | Picture


class SearchCalls(Session):
    """A model that stays loaded, and the calls that use it to find images."""

    def search(
        self,
        where: Pictures,
        texts: Iterable[str] | str = (),
        *,
        images: Pictures = (),
        plus: Iterable[str] | str = (),
        minus: Iterable[str] | str = (),
        weight: float = 1.0,
        templates: Iterable[str] | str = (),
        top: int = 10,
        min_similarity: float | None = None,
        deduplicate: bool = True,
        include: Iterable[str] | str = (),
        exclude: Iterable[str] | str = (),
    ) -> clipsim.SearchResult:
        """Find the images that are nearest to each text and each image.

        `where` are folders that `embed` wrote, and images as `rank` takes them; `include` and `exclude` are patterns
        of names. `plus` and `minus` are texts that are added to and subtracted from every query, with the `weight`.
        The `top` best images of each query are found, and of these the ones of at least `min_similarity`; an image of
        the queries is not in its own answer. With `deduplicate` a repeated text is one query. Each match has its
        `index`: the position in `where`, from 0, a folder, pattern or data set standing for all its images.

        Images that cannot be used are in the result's `errors`; NoInputError is raised where none can be used. Raises
        UsageError for no query and for values out of range, PromptError for a text that is too long, and DatasetError
        for a folder of vectors that is damaged or from another model.
        """
        from clipsim.api.places import find_places
        from clipsim.api.search import SearchRequest
        from clipsim.inputs.filters import NameFilter

        request = SearchRequest.check(
            texts,
            make_sources(images),
            plus=plus,
            minus=minus,
            templates=templates,
            weight=weight,
            top=top,
            min_similarity=min_similarity,
            deduplicate=deduplicate,
        )
        accepted = NameFilter.of(include, exclude)
        chosen = accepted if accepted.include or accepted.exclude else None
        search = self.open_search(find_places(where, chosen), request, chosen)
        for _ in search:
            pass
        assert search.result is not None
        if not (search.result.searched and search.result.queries):
            raise NoInputError(nothing_usable(search.result.errors), search.result.errors)
        issue_warnings(search.result.warnings)
        return search.result

    def duplicates(
        self, where: Pictures, *, threshold: float | None = None, pixels: bool = True, exact_files: bool = False
    ) -> clipsim.DuplicatesResult:
        """Find groups of pictures that are alike, and which of them are copies by content: re-encoded or resized.

        `where` is as for `search`. Two pictures are alike whose cosine is over the `threshold` and, with `pixels`,
        whose small grey copies fit into each other; with `exact_files` only those whose files have the same bytes.
        Each picture of a group has its `index`: the position among all that are compared, as for `search`.

        Images that cannot be used are in the result's `errors`; NoInputError is raised where none can be used. Raises
        UsageError for a threshold that is not a cosine, and DatasetError as `search` does.
        """
        from clipsim.api.duplicates import DuplicatesRequest
        from clipsim.api.places import find_places
        from clipsim.api.same_files import SameFiles

        check_flag("exact_files", exact_files)
        request = DuplicatesRequest(threshold, pixels)
        places = find_places(where)
        found = SameFiles(places) if exact_files else self.open_duplicates(places, request)
        for _ in found:
            pass
        assert found.result is not None
        if not found.result.compared:
            raise NoInputError(nothing_usable(found.result.errors), found.result.errors)
        issue_warnings(found.result.warnings)
        return found.result

    def open_search(
        self, places: Sequence[api.Place], request: api.SearchRequest, chosen: NameFilter | None = None
    ) -> api.Search:
        """A search to iterate over, in memory that does not grow with the number of images."""
        from clipsim.api.search import Search

        return Search(self, places, request, chosen)

    def open_duplicates(self, places: Sequence[api.Place], request: api.DuplicatesRequest) -> api.Duplicates:
        """A search for duplicates to iterate over."""
        from clipsim.api.duplicates import Duplicates

        return Duplicates(self, places, request)


def nothing_usable(failures: Sequence[ImageFailure]) -> str:
    """What to say where no input could be used: the first failure, and how many more there are."""
    if not failures:
        return NOTHING_USABLE
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    return f"{NOTHING_USABLE}: {printable(failures[0].path)}: {failures[0].error}{more}"
