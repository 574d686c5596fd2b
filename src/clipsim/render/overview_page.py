"""An `OverviewResult` with thumbnails → an HTML page: the typical images of each group, and the words that fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from clipsim.errors import pluralise
from clipsim.render.overview import explain_overview
from clipsim.render.page import list_run_facts
from clipsim.render.rank_page import Group, make_tile, render_gallery
from clipsim.results.overview import GroupWord, ImageGroup, OverviewResult


def format_overview_page(
    result: OverviewResult, thumbnails: Mapping[str, bytes], *, page_folder: Path | None = None
) -> Iterator[str]:
    """The page in pieces; `thumbnails` are small image files by the names of images.

    `page_folder` is where the page will be, if that is known.
    """
    cosines = [image.similarity for group in result.groups for image in group.images] or [0.0]
    low, high = min(cosines), max(cosines)

    def group_of(number: int, group: ImageGroup) -> Group:
        tiles = [
            make_tile(image.image, thumbnails.get(image.image), image.similarity, low, high, page_folder=page_folder)
            for image in group.images
        ]
        words = " · ".join(map(_describe_word, group.words)) or "no word fits it better than the rest"
        return Group(
            f"{number:,}. {group.label or 'Group'}",
            tiles,
            f"{pluralise(group.size, 'image')}, {group.share:.1%}: {words}",
        )

    return render_gallery(
        title=f"{pluralise(len(result.groups), 'group')} in {pluralise(result.images, 'image')}",
        facts=list_run_facts(result.model, result.device, result.precision, result.engine),
        warnings=result.warnings,
        errors=result.errors,
        explanation=f"{explain_overview(result)} Each score is the cosine similarity of an image and the centre of its "
        "group; beside a word stands how much nearer it is to the group than to all other images.",
        empty="There is no image to look at.",
        low=low,
        high=high,
        has_shares=False,
        groups=(group_of(number, group) for number, group in enumerate(result.groups, start=1)),
    )


def _describe_word(word: GroupWord) -> str:
    return word.text if word.difference is None else f"{word.text} {word.difference:+.3f}"
