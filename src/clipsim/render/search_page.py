"""A `SearchResult` with thumbnails → an HTML page: the nearest images of each query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from clipsim.errors import pluralise, quote_some
from clipsim.render.file_links import file_address, quote_for_shell
from clipsim.render.page import data_uri, list_run_facts
from clipsim.render.rank_page import Group, make_tile, render_gallery
from clipsim.render.search import describe_match
from clipsim.results.search import DuplicateGroup, DuplicatesResult, QueryMatches, SearchResult


def format_search_page(
    result: SearchResult, thumbnails: Mapping[str, bytes], *, page_folder: Path | None = None
) -> Iterator[str]:
    """The page in pieces; `thumbnails` are small image files by the names of images, those of the queries too.

    `page_folder` is where the page will be, if that is known.
    """
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
                page_folder=page_folder,
            )
            for match in query.results
        ]
        note = "" if tiles else f"None of {pluralise(result.searched, 'image')} is near enough to this query."
        if query.image is None:
            return Group(query.label, tiles, note)
        source, link = data_uri(thumbnails.get(query.image)), file_address(query.image, page_folder)
        return Group(query.label, tiles, note, source, link)

    queries = quote_some([query.label for query in result.queries])
    return render_gallery(
        title=f"{queries} in {pluralise(result.searched, 'image')}",
        facts=list_run_facts(result.model, result.device, result.precision, result.engine),
        warnings=result.warnings,
        errors=result.errors,
        explanation="Each score is the cosine similarity of the image and the query; compare it within a query.",
        low=low,
        high=high,
        has_shares=False,
        groups=map(group_of, result.queries),
        empty="No query could be used.",
    )


def format_duplicates_page(
    result: DuplicatesResult,
    thumbnails: Mapping[str, bytes],
    groups: int | None = None,
    *,
    page_folder: Path | None = None,
) -> Iterator[str]:
    """The page in pieces; `thumbnails` are small image files by the names of images.

    With `groups`, only the first so many are shown, which the page says. `page_folder` is where the page will be, if
    that is known.
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
            note = (*size, *kind)
            tile = make_tile(image.image, thumbnail, similarity, low, high, note=note, page_folder=page_folder)
            if tile.link is not None:
                tile = replace(tile, path=quote_for_shell(image.image), is_copy=image.removable)
            tiles.append(tile)
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
        template="duplicates.html",
        has_shares=False,
        groups=(group_of(number, group) for number, group in enumerate(groups_shown, start=1)),
        empty=f"No two images {'have the same bytes' if result.min_similarity is None else 'are alike'}; "
        f"{pluralise(result.compared, 'image')} compared.",
    )
