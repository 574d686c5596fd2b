"""A ranking or a search with thumbnails → rich tables for the terminal: pictures, and beside them names and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clipsim.errors import count_of, printable
from clipsim.render.labels import shorten, shorten_all, strip_common_folder
from clipsim.render.preview import COLUMNS, ROWS
from clipsim.render.search import title
from clipsim.render.table import BEST_STYLE, NONE, TableParts, describe_run, explain, stands_out
from clipsim.scoring.records import ImageScores, RankResult, Score
from clipsim.scoring.search_records import SearchResult

Preview = Callable[[bytes], RenderableType]
PADDING = 5  # cells around the picture and what is beside it
SCORE = 17  # cells of a mark, a similarity and a probability
NARROWEST = 8  # cells of a text beside its score


def build_preview_table(result: RankResult, preview: Preview, width: int, top: int | None = None) -> TableParts:
    """Lay the result out for `width` cells: title, table, and a sentence that explains the numbers.

    An image's best texts are beside its picture, as many as fit its height, or `top`.
    """
    count = min(top or ROWS - 1, len(result.texts))
    shown = _fit_texts(result.texts, width)
    entries = (
        (
            image.thumbnail,
            name,
            [
                *([Text(f"* {NONE}", style=BEST_STYLE)] if image.best is None else []),
                *(_score_line(result, image, index, shown[index]) for index in image.order(count)),
            ],
        )
        for name, image in zip(strip_common_folder(result.images), result.scores, strict=True)
    )
    some = (
        f"The best {count:,} of {count_of(len(result.texts), 'text')} for each image"
        if count < len(result.texts)
        else ""
    )
    hint = f" (--top {len(result.texts)} shows all)" if some and top is None else ""
    layout = f"{some or 'The texts of each image, best first'}{hint}"
    return describe_run(result), _table(entries, preview, width), Text(f"{layout}: {explain(result)}", style="dim")


def build_preview_top_images(result: RankResult, preview: Preview, count: int, width: int) -> TableParts:
    """The `count` best images of each text, with their pictures."""
    names = dict(zip(result.images, strip_common_folder(result.images), strict=True))
    entries = (
        (
            image.thumbnail,
            names[image.image],
            [_score_line(result, image, row, f"{place}. {shown}", marked=False)],
        )
        for row, shown in enumerate(_fit_texts(result.texts, width))
        for place, image in enumerate(result.top_images(row, count), start=1)
    )
    images = count_of(len(result.images), "image")
    layout = f"The best {min(count, len(result.images)):,} of {images} for each text, best first"
    explained = Text(f"{layout}: {explain(result, marked=False)}", style="dim")
    return describe_run(result), _table(entries, preview, width), explained


def build_preview_search(
    result: SearchResult, thumbnails: Mapping[str, bytes], preview: Preview, width: int
) -> Iterator[RenderableType]:
    """Title, a table of pictures a query, and a sentence that explains the numbers; `thumbnails` are by name."""
    yield title(result.model, result.device, result.precision, result.engine, count_of(result.searched, "image"))
    for query in result.queries:
        yield Text(printable(query.label, width), style="bold")
        found = (
            (thumbnails.get(match.image), match.image, [Text(f"{match.rank}. {match.similarity:.4f}")])
            for match in query.results
        )
        yield _table(found, preview, width) if query.results else Text("none", style="dim")
    yield Text("The cosine similarity of each image and the query; compare it within a query.", style="dim")


def _fit_texts(texts: Sequence[str], width: int) -> list[str]:
    room = max(NARROWEST, width - COLUMNS - PADDING - SCORE)
    widest = min(room, max((cell_len(printable(text)) for text in texts), default=0))
    return [label + " " * (widest - cell_len(label)) for label in shorten_all(texts, widest)]


def _score_line(result: RankResult, image: ImageScores, index: int, text: str, *, marked: bool = True) -> Text:
    score: Score = image.score(result.texts, index)
    best = marked and stands_out(result, image, index)
    share = "" if score.probability is None else f" {score.probability:6.1%}"
    return Text(f"{text} {'*' if best else ' '}{score.similarity:7.4f}{share}", style=BEST_STYLE if best else "")


def _table(entries: Iterable[tuple[bytes | None, str, Sequence[Text]]], preview: Preview, width: int) -> Table:
    """A row an entry: the picture, and the name over the lines that belong to it."""
    table = Table(box=box.SIMPLE, show_header=False, show_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True, min_width=COLUMNS)
    table.add_column(no_wrap=True)
    for thumbnail, name, lines in entries:
        heading = Text(shorten(name, max(1, width - COLUMNS - PADDING)), style="bold")
        table.add_row("" if thumbnail is None else preview(thumbnail), Group(heading, *lines, ""))
    return table
