"""A result → its page, and the small table that a notebook shows; thumbnails are of the files that can be read now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.urls import is_url
from clipsim.render.small_table import format_small_page
from clipsim.render.small_table import format_small_table as format_small_table
from clipsim.results.base import Result
from clipsim.results.evaluation import EvaluationResult
from clipsim.results.explain import ExplainResult
from clipsim.results.overview import OverviewResult
from clipsim.results.rank import RankResult
from clipsim.results.search import DuplicatesResult, SearchResult

MAX_THUMBNAILS = 10_000
_SMALL, _EXPLAINED = ThumbnailRules(), ThumbnailRules(640)  # of lists, and of the image under a map


def format_page(result: Result, *, thumbnails: bool = True) -> str:
    """The page of a result; of one that has none, its rows as a table."""
    return "".join(_format(result, thumbnails))


def _format(result: Result, thumbnails: bool) -> Iterator[str]:
    if isinstance(result, RankResult) and any(image.usable for image in result.scores):
        from clipsim.render.rank_page import format_rank_page

        small = _read_thumbnails(result.images, thumbnails)
        usable = [image for image in result.scores if image.usable]  # the others are among the errors
        scores = tuple(replace(image, thumbnail=image.thumbnail or small.get(image.image)) for image in usable)
        yield from format_rank_page(replace(result, scores=scores), given_order="as in the result")
    elif isinstance(result, SearchResult):
        from clipsim.render.search_page import format_search_page

        names = [match.image for query in result.queries for match in query.results]
        names += [query.image for query in result.queries if query.image is not None]
        yield from format_search_page(result, _read_thumbnails(names, thumbnails))
    elif isinstance(result, DuplicatesResult):
        from clipsim.render.search_page import format_duplicates_page

        names = [image.image for group in result.groups for image in group.images]
        yield from format_duplicates_page(result, _read_thumbnails(names, thumbnails))
    elif isinstance(result, OverviewResult):
        from clipsim.render.overview_page import format_overview_page

        names = [image.image for group in result.groups for image in group.images]
        yield from format_overview_page(result, _read_thumbnails(names, thumbnails))
    elif isinstance(result, ExplainResult):
        from clipsim.render.explain_page import format_explain_page

        shown = _read_thumbnails([result.image], thumbnails, _EXPLAINED)
        yield from format_explain_page(result, shown.get(result.image))
    elif isinstance(result, EvaluationResult):
        from clipsim.render.evaluation_page import format_evaluation_page

        names = [wrong.image for run in result.results for wrong in run.contradicted]
        yield from format_evaluation_page(result, _read_thumbnails(names, thumbnails))
    else:
        yield from format_small_page(result)


def _read_thumbnails(names: Iterable[str], thumbnails: bool, rules: ThumbnailRules = _SMALL) -> dict[str, bytes]:
    """Small image files by name, of the first names that are files on this machine; nothing is fetched."""
    if not thumbnails:
        return {}
    from clipsim.tasks.search import read_shown_images

    local = [name for name in dict.fromkeys(names) if not is_url(name)]
    return read_shown_images(local[:MAX_THUMBNAILS], (), rules)
