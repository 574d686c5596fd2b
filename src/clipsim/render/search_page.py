"""A `SearchResult` with thumbnails → an HTML page: the nearest images of each query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clipsim.errors import pluralise
from clipsim.render.page import data_uri, list_run_facts
from clipsim.render.rank_page import Group, make_tile, render_gallery
from clipsim.render.search import describe_match
from clipsim.results.search import DuplicateGroup, DuplicatesResult, QueryMatches, SearchResult


def format_search_page(result: SearchResult, thumbnails: Mapping[str, bytes]) -> Iterator[str]:
    """The page in pieces; `thumbnails` are small image files by the names of images, those of the queries too."""
    cosines = [match.similarity for query in result.queries for match in query.results] or [0.0]
    low, high = min(cosines), max(cosines)

    def group_of(query: QueryMatches) -> Group:
        tiles = [
            make_tile(
                match.image,
                thumbnails.get(match.image),
                match.similarity,
                low,
                high,
                note=tuple(filter(None, [describe_match(match)])),
            )
            for match in query.results
        ]
        source = None if query.image is None else data_uri(thumbnails.get(query.image))
        return Group(query.label, tiles, "" if tiles else "none: no image is near enough", source)

    queries = pluralise(len(result.queries), "query", "queries")
    return render_gallery(
        title=f"{queries} in {pluralise(result.searched, 'image')}",
        facts=list_run_facts(result.model, result.device, result.precision, result.engine),
        warnings=result.warnings,
        errors=result.errors,
        explanation="Each score is the cosine similarity of the image and the query; compare it within a query.",
        low=low,
        high=high,
        groups=map(group_of, result.queries),
    )


def format_duplicates_page(
    result: DuplicatesResult, thumbnails: Mapping[str, bytes], groups: int | None = None
) -> Iterator[str]:
    """The page in pieces; `thumbnails` are small image files by the names of images.

    With `groups`, only the first so many are shown, which the page says.
    """
    groups_shown = result.groups[:groups]
    alike = [image for group in groups_shown if not group.same_bytes for image in group.images[1:]]
    cosines = [image.similarity for image in alike] or [1.0]
    low, high = min(cosines), max(cosines)

    def group_of(number: int, group: DuplicateGroup) -> Group:
        tiles = []
        for index, image in enumerate(group.images):
            similarity = image.similarity if index > 0 and not group.same_bytes else None
            size = () if image.width is None else (f"{image.width} × {image.height}",)
            kind = () if index == 0 else ("alike" if image.copy_of is None else "copy",)
            thumbnail = thumbnails.get(image.image)
            tiles.append(make_tile(image.image, thumbnail, similarity, low, high, note=(*size, *kind)))
        return Group(f"{number:,}. {'The same bytes' if group.same_bytes else 'Alike'}", tiles)

    left_out = len(result.groups) - len(groups_shown)
    cut = f" {pluralise(left_out, 'more group')} would not fit on this page." if left_out else ""
    facts = [] if result.model is None else [("model", result.model.name), ("weights", result.model.pretrained or "–")]
    return render_gallery(
        title=f"{pluralise(len(result.groups), 'group')} of duplicates in {pluralise(result.compared, 'image')}",
        facts=facts + ([] if result.min_similarity is None else [("cosine over", f"{result.min_similarity:g}")]),
        warnings=result.warnings,
        errors=result.errors,
        explanation="In each group the best image comes first; a score is the cosine similarity with it. "
        "What is only alike may differ in details." + cut,
        low=low,
        high=high,
        groups=(group_of(number, group) for number, group in enumerate(groups_shown, start=1)),
    )
