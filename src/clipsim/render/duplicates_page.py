"""A `DuplicatesResult` with thumbnails → an HTML page: groups of pictures that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clipsim.errors import count_of
from clipsim.render.gallery_page import Group, Picture, render_gallery
from clipsim.render.page import data_uri, heat_level, split_name
from clipsim.scoring.duplicates_records import DuplicateGroup, DuplicatesResult


def format_duplicates_page(
    result: DuplicatesResult, thumbnails: Mapping[str, bytes], groups: int | None = None
) -> Iterator[str]:
    """The page in pieces; `thumbnails` are small image files by the names of images.

    With `groups`, only the first so many are shown, which the page says.
    """
    shown = result.groups[:groups]
    cosines = [image.similarity for group in shown if not group.same_bytes for image in group.images[1:]] or [1.0]
    low, high = min(cosines), max(cosines)

    def group_of(number: int, group: DuplicateGroup) -> Group:
        pictures = []
        for place, image in enumerate(group.images):
            scored = place > 0 and not group.same_bytes
            size = () if image.width is None else (f"{image.width} × {image.height}",)
            pictures.append(
                Picture(
                    split_name(image.image),
                    data_uri(thumbnails.get(image.image)),
                    f"{image.similarity:.4f}" if scored else None,
                    heat_level(image.similarity, low, high) if scored else 0,
                    note=(*size, *(() if place == 0 else ("alike" if image.copy_of is None else "copy",))),
                )
            )
        return Group(f"{number:,}. {'The same bytes' if group.same_bytes else 'Alike'}", pictures)

    left_out = len(result.groups) - len(shown)
    cut = f" {count_of(left_out, 'more group')} would not fit on this page." if left_out else ""
    facts = [] if result.model is None else [("model", result.model.name), ("weights", result.model.pretrained or "–")]
    return render_gallery(
        title=f"{count_of(len(result.groups), 'group')} of duplicates in {count_of(result.compared, 'image')}",
        facts=facts + ([] if result.threshold is None else [("cosine over", f"{result.threshold:g}")]),
        warnings=result.warnings,
        errors=result.errors,
        explanation="In each group the best picture comes first; a score is the cosine similarity with it. "
        "What is only "
        "alike may differ in details." + cut,
        low=low,
        high=high,
        groups=(group_of(number, group) for number, group in enumerate(shown, start=1)),
    )
