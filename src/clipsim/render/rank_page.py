"""A `RankResult` with thumbnails → an HTML page: a heat map with a row an image, or each image's texts, best first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from clipsim.errors import pluralise, quote_some
from clipsim.render.file_links import file_address
from clipsim.render.page import HEAT_LEVELS, data_uri, heat_level, list_run_facts, render_page, split_name
from clipsim.render.table import NONE, explain, stands_out
from clipsim.results.rank import ImageScores, Overview, RankResult

MATRIX_TEXTS = 12  # more texts than these are not columns, but a list for each image
LISTED_TEXTS = 6  # of a list that is not folded away
SECTION_ROWS = 50  # images that a browser lays out together, or not at all while they are out of sight


@dataclass(frozen=True, slots=True)
class _Cell:
    """One score as it is shown; `heat` and `bar` are steps of scales, `index` is the place of the text."""

    text: str
    index: int
    similarity: str
    share: str | None
    heat: int
    bar: int | None
    best: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """One image: its name, the addresses of its thumbnail and its file, its best text and its scores."""

    name: tuple[str, str]
    source: str | None
    link: str | None
    best: int | str
    shown: list[_Cell]
    more: list[_Cell]


def format_rank_page(
    result: RankResult, top: int | None = None, *, given_order: str = "as given", page_folder: Path | None = None
) -> Iterator[str]:
    """The page in pieces, with all scores, or with `top` the best few of each image.

    `given_order` says in which order the images are, `page_folder` where the page will be, if that is known.
    """
    overview = Overview.of(result)
    matrix = top is None and len(result.texts) <= MATRIX_TEXTS
    rows = (_make_row(result, image, overview, matrix, top, page_folder) for image in result.scores)
    mark = " ★ marks an image's best text." if len(result.texts) > 1 else ""
    if result.thresholds is not None:
        mark = f" ★ marks an image's best text of those that reach their thresholds; {NONE} means that none does."
    chosen = f" Only the best {pluralise(top, 'text')} of each image are shown." if top else ""
    return render_page(
        "rank.html",
        title=f"{pluralise(len(result.scores), 'image')} against {quote_some(result.texts)}",
        facts=list_rank_facts(result),
        warnings=result.warnings,
        errors=result.errors,
        texts=result.texts,
        bests=_list_bests(result, overview),
        explanation=f"Each score is {explain(result, marked=False)}{mark}{chosen}",
        low=f"{overview.low:.4f}",
        high=f"{overview.high:.4f}",
        levels=HEAT_LEVELS,
        has_shares=result.probabilities is not None,
        given_order=given_order,
        none_label=None if result.thresholds is None else NONE,
        matrix=matrix,
        empty=not result.scores,
        sections=iter(lambda: list(islice(rows, SECTION_ROWS)), []),
    )


def list_rank_facts(result: RankResult) -> list[tuple[str, str]]:
    """What a ranking was computed with, as names and values."""
    facts = list_run_facts(result.model, result.device, result.precision, result.engine)
    templates = " · ".join(result.templates)
    return facts + ([("template" if len(result.templates) == 1 else "templates", templates)] if templates else [])


def _make_row(
    result: RankResult, image: ImageScores, overview: Overview, matrix: bool, top: int | None, page_folder: Path | None
) -> _Row:
    order = range(len(result.texts)) if matrix else image.order(top)
    cells = [_make_cell(result, image, index, overview) for index in order]
    listed = len(cells) if matrix or len(cells) <= LISTED_TEXTS + 1 else LISTED_TEXTS
    best = NONE if image.best is None else image.best
    link = file_address(image.image, page_folder)
    return _Row(split_name(image.image), data_uri(image.thumbnail), link, best, cells[:listed], cells[listed:])


def _make_cell(result: RankResult, image: ImageScores, index: int, overview: Overview) -> _Cell:
    score = image.score(result.texts, index)
    share = score.probability
    return _Cell(
        score.text,
        index,
        f"{score.similarity:.4f}",
        None if share is None else f"{share:.1%}",
        heat_level(score.similarity, overview.low, overview.high),
        None if share is None else round(HEAT_LEVELS * share),
        stands_out(result, image, index),
    )


def _list_bests(result: RankResult, overview: Overview) -> list[dict[str, Any]]:
    """How often each text is the best, most often first; nothing for a single text without a threshold."""
    if not result.scores or (len(result.texts) < 2 and result.thresholds is None):
        return []
    counts: list[tuple[str, int | str, int]] = [
        (text, index, count) for index, (text, count) in enumerate(zip(result.texts, overview.best_counts, strict=True))
    ]
    if result.thresholds is not None:
        counts.append((NONE, NONE, overview.none_count))
    most = max(count for _, _, count in counts)
    return [
        {"text": text, "index": index, "count": count, "bar": round(HEAT_LEVELS * count / most)}
        for text, index, count in sorted(counts, key=lambda entry: -entry[2])
    ]


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of a group; `heat` and `bar` are steps of scales, `note` the parts of a line under the name.

    `path` is that of a file that the reader may choose to remove, as a shell reads it.
    """

    name: tuple[str, str]
    source: str | None
    link: str | None
    similarity: str | None
    heat: int
    share: str | None
    bar: int | None
    note: tuple[str, ...]
    path: str | None = None
    is_copy: bool = False


def make_tile(
    name: str,
    thumbnail: bytes | None,
    similarity: float | None = None,
    low: float = 0.0,
    high: float = 0.0,
    probability: float | None = None,
    note: tuple[str, ...] = (),
    page_folder: Path | None = None,
) -> Tile:
    """The tile of an image; `low` and `high` are the ends of the colour scale."""
    return Tile(
        split_name(name),
        data_uri(thumbnail),
        file_address(name, page_folder),
        None if similarity is None else f"{similarity:.4f}",
        0 if similarity is None else heat_level(similarity, low, high),
        None if probability is None else f"{probability:.1%}",
        None if probability is None else round(HEAT_LEVELS * probability),
        note,
    )


@dataclass(frozen=True, slots=True)
class Group:
    """The title of a group, its images in order, a sentence about it, and the addresses of the query's image."""

    title: str
    tiles: list[Tile]
    note: str = ""
    source: str | None = None
    link: str | None = None


def format_top_images_page(result: RankResult, count: int, *, page_folder: Path | None = None) -> Iterator[str]:
    """The page in pieces: for each text, its `count` best images, best first."""
    overview = Overview.of(result)

    def group_of(row: int, text: str) -> Group:
        pairs = [(image, image.score(result.texts, row)) for image in result.top_images(row, count)]
        tiles = [
            make_tile(
                image.image,
                image.thumbnail,
                score.similarity,
                overview.low,
                overview.high,
                score.probability,
                page_folder=page_folder,
            )
            for image, score in pairs
        ]
        return Group(text, tiles)

    number = pluralise(min(count, len(result.images)), "image")
    return render_gallery(
        title=f"The best {number} of {len(result.images):,} for {quote_some(result.texts)}",
        facts=list_rank_facts(result),
        warnings=result.warnings,
        errors=result.errors,
        explanation=f"Each score is {explain(result, marked=False)}",
        has_shares=result.probabilities is not None,
        low=overview.low,
        high=overview.high,
        empty="No text could be used.",
        groups=(group_of(row, text) for row, text in enumerate(result.texts)),
    )


def render_gallery(
    *,
    groups: Iterator[Group],
    low: float,
    high: float,
    template: str = "gallery.html",
    empty: str,
    **values: Any,
) -> Iterator[str]:
    """A page of groups; `low` and `high` are the ends of its colour scale, `empty` says why there is no group."""
    scale = {"low": f"{low:.4f}", "high": f"{high:.4f}", "levels": HEAT_LEVELS}
    return render_page(template, groups=groups, empty=empty, **scale, **values)
