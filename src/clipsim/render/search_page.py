"""A `SearchResult` with thumbnails → an HTML page: the nearest images of each query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clipsim.errors import count_of
from clipsim.render.gallery_page import Group, Picture, render_gallery
from clipsim.render.page import data_uri, heat_level, list_run_facts, split_name
from clipsim.scoring.search_records import QueryMatches, SearchResult


def format_search_page(result: SearchResult, thumbnails: Mapping[str, bytes]) -> Iterator[str]:
    """The page in pieces; `thumbnails` are small image files by the names of images, those of the queries too."""
    cosines = [match.similarity for query in result.queries for match in query.results] or [0.0]
    low, high = min(cosines), max(cosines)

    def group_of(query: QueryMatches) -> Group:
        pictures = [
            Picture(
                split_name(match.image),
                data_uri(thumbnails.get(match.image)),
                f"{match.similarity:.4f}",
                heat_level(match.similarity, low, high),
            )
            for match in query.results
        ]
        shown = None if query.image is None else data_uri(thumbnails.get(query.image))
        return Group(query.label, pictures, "" if pictures else "none: no image is near enough", shown)

    queries = count_of(len(result.queries), "query", "queries")
    return render_gallery(
        title=f"{queries} in {count_of(result.searched, 'image')}",
        facts=list_run_facts(result.model, result.device, result.precision, result.engine),
        warnings=result.warnings,
        errors=result.errors,
        explanation="Each score is the cosine similarity of the image and the query; compare it within a query.",
        low=low,
        high=high,
        groups=map(group_of, result.queries),
    )
