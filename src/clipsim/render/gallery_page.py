"""Groups of pictures with a score each → an HTML page: the best images of texts or queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clipsim.errors import count_of
from clipsim.render.page import HEAT_LEVELS, data_uri, heat_level, render_page, split_name
from clipsim.render.rank_page import list_rank_facts
from clipsim.render.table import explain
from clipsim.scoring.overview import Overview
from clipsim.scoring.records import RankResult


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a group; `heat` and `bar` are steps of scales, `note` the parts of a line under the name."""

    name: tuple[str, str]
    source: str | None
    similarity: str | None
    heat: int
    share: str | None = None
    bar: int | None = None
    note: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """What a group is of, its pictures in order, a sentence about it, and the picture it belongs to."""

    title: str
    pictures: list[Picture]
    note: str = ""
    source: str | None = None


def format_top_images_page(result: RankResult, count: int) -> Iterator[str]:
    """The page in pieces: for each text, its `count` best images, best first."""
    overview = Overview.of(result)

    def pictures_of(row: int) -> Iterator[Picture]:
        for image in result.top_images(row, count):
            score = image.score(result.texts, row)
            share = score.probability
            yield Picture(
                split_name(image.image),
                data_uri(image.thumbnail),
                f"{score.similarity:.4f}",
                heat_level(score.similarity, overview.low, overview.high),
                None if share is None else f"{share:.1%}",
                None if share is None else round(HEAT_LEVELS * share),
            )

    number, texts = count_of(min(count, len(result.images)), "image"), count_of(len(result.texts), "text")
    return render_gallery(
        title=f"The best {number} of {len(result.images):,} for {texts}",
        facts=list_rank_facts(result),
        warnings=result.warnings,
        errors=result.errors,
        explanation=f"Each score is {explain(result, marked=False)}",
        has_shares=result.probabilities is not None,
        low=overview.low,
        high=overview.high,
        groups=(Group(text, list(pictures_of(row))) for row, text in enumerate(result.texts)),
    )


def render_gallery(
    *, groups: Iterator[Group], low: float, high: float, has_shares: bool = False, **values: Any
) -> Iterator[str]:
    """A page of groups; `low` and `high` are the ends of its colour scale."""
    scale = {"low": f"{low:.4f}", "high": f"{high:.4f}", "levels": HEAT_LEVELS, "has_shares": has_shares}
    return render_page("gallery.html", groups=groups, **scale, **values)
