"""A small image file → an image in a terminal's table: half blocks, or escapes of kitty and iTerm2.

Escapes are control segments, which rich writes to terminals only. They are sent when the cursor is at the end of the
last line of the image's cell: the terminal has scrolled by then, and the cell is above and to the left.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich import box
from rich.cells import cell_len
from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import ControlType, Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from clipsim.errors import pluralise, printable
from clipsim.render.evaluation_table import format_value
from clipsim.render.explain import describe_peak, explain_maps, explain_title
from clipsim.render.overview import list_words, overview_remark, overview_title
from clipsim.render.parts import remark, shorten, shorten_all, strip_common_folder
from clipsim.render.search import (
    DUPLICATES_REMARK,
    SEARCH_REMARK,
    describe_kinship,
    describe_match,
    describe_size,
    duplicates_title,
    search_title,
)
from clipsim.render.table import (
    BEST_STYLE,
    NONE,
    TableParts,
    describe_top,
    describe_top_images,
    format_score,
    frame,
    stands_out,
)
from clipsim.results.explain import ExplainResult
from clipsim.results.overview import OverviewResult
from clipsim.results.rank import ImageScores, RankResult
from clipsim.results.search import DuplicatesResult, SearchResult
from clipsim.statistics.classification import Contradicted

COLUMNS, ROWS = 16, 8  # cells of an image; a cell is taken to be twice as high as wide
CHUNK = 4096  # bytes of base64 in one escape of kitty's protocol, which allows no more
SAVE_CURSOR, RESTORE_CURSOR = "\x1b7", "\x1b8"


@dataclass(frozen=True)
class HalfBlocks:
    """An image of coloured half blocks, two pixels a cell; `ppm` is a binary PPM file of at most 16 × 16 pixels."""

    side: ClassVar[int] = COLUMNS
    ppm: bytes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines of the image, each as wide as the image, and a blank one."""
        _, size, _, pixels = self.ppm.split(b"\n", 3)
        width, height = map(int, size.split())

        def colour(x: int, y: int) -> Color | None:
            offset = 3 * (y * width + x)
            return Color.from_rgb(*pixels[offset : offset + 3]) if y < height else None

        for y in range(0, height, 2):
            for x in range(width):
                yield Segment("▀", Style(color=colour(x, y), bgcolor=colour(x, y + 1)))
            yield Segment.line()
        yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """All images are as wide as the widest may be."""
        return Measurement(COLUMNS, COLUMNS)


@dataclass(frozen=True)
class InlineImage:
    """A PNG file that the terminal draws itself over a cell of blanks, by the protocol "kitty" or "iterm"."""

    side: ClassVar[int] = 192
    png: bytes
    protocol: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Blank lines, after the last of which the image is drawn over them."""
        for _ in range(ROWS):
            yield Segment(" " * COLUMNS)
            yield Segment.line()
        yield Segment(" " * COLUMNS)  # a line between images, which also covers cells lower than they are taken to be
        draw = "".join(kitty_escapes(self.png) if self.protocol == "kitty" else iterm_escapes(self.png))
        placed = f"{SAVE_CURSOR}\x1b[{ROWS}A\x1b[{COLUMNS}D{draw}{RESTORE_CURSOR}"
        yield Segment(placed, None, [(ControlType.CURSOR_UP, ROWS)])
        yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as the cell of blanks."""
        return Measurement(COLUMNS, COLUMNS)


def kitty_escapes(png: bytes) -> Iterator[str]:
    """The image by kitty's graphics protocol: at the cursor, which stays, without an answer, in the cell's bounds.

    Keys of https://sw.kovidgoyal.net/kitty/graphics-protocol: a=T transmit and show, f=100 PNG, q=2 no answer, C=1 keep
    the cursor, c or r columns or rows to scale to, m=1 more follows.
    """
    bound = f"c={COLUMNS}" if _is_wide(png) else f"r={ROWS}"
    data = base64.b64encode(png).decode("ascii")
    for start in range(0, len(data), CHUNK):
        keys = [] if start else ["a=T,f=100,q=2,C=1", bound]
        keys.append(f"m={int(start + CHUNK < len(data))}")
        yield f"\x1b_G{','.join(keys)};{data[start : start + CHUNK]}\x1b\\"


def iterm_escapes(png: bytes) -> Iterator[str]:
    """The image by iTerm2's inline images protocol, in the cell's bounds; the cursor stays where the terminal can.

    See https://iterm2.com/documentation-images.html; doNotMoveCursor is WezTerm's.
    """
    data = base64.b64encode(png).decode("ascii")
    bound = f"width={COLUMNS};height=auto" if _is_wide(png) else f"width=auto;height={ROWS}"
    keys = f"inline=1;size={len(png)};{bound};preserveAspectRatio=1;doNotMoveCursor=1"
    yield f"\x1b]1337;File={keys}:{data}\x07"


def _is_wide(png: bytes) -> bool:
    """Whether the width of a PNG file (RFC 2083, section 11.2.1) fills the cell before its height does."""
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    return width * 2 * ROWS >= height * COLUMNS


Preview = Callable[[bytes], RenderableType]
PADDING = 5  # cells around the image and what is beside it
SCORE = 17  # cells of a mark, a similarity and a probability
MIN_TEXT_WIDTH = 8  # cells of a text beside its score


def build_preview_table(result: RankResult, preview: Preview, width: int, top: int | None = None) -> TableParts:
    """Lay the result out for `width` cells: title, table, and a sentence that explains the numbers.

    An image's best texts are beside its image, as many as fit its height, or `top`.
    """
    count = min(top or ROWS - 1, len(result.texts))
    labels = _fit_texts(result.texts, width)
    entries = (
        (
            image.thumbnail,
            name,
            [
                *([Text(f"* {NONE}", style=BEST_STYLE)] if image.best is None else []),
                *(_score_line(result, image, index, labels[index]) for index in image.order(count)),
            ],
        )
        for name, image in zip(strip_common_folder(result.images), result.scores, strict=True)
    )
    texts = len(result.texts)
    hint = f" (--top {texts} shows all)" if count < texts and top is None else ""
    return frame(result, _table(entries, preview, width), describe_top(count, texts) + hint)


def build_preview_top_images(result: RankResult, preview: Preview, count: int, width: int) -> TableParts:
    """The `count` best images of each text, with their images."""
    names = dict(zip(result.images, strip_common_folder(result.images), strict=True))
    entries = (
        (
            image.thumbnail,
            names[image.image],
            [_score_line(result, image, row, f"{rank}. {label}", marked=False)],
        )
        for row, label in enumerate(_fit_texts(result.texts, width))
        for rank, image in enumerate(result.top_images(row, count), start=1)
    )
    return frame(result, _table(entries, preview, width), describe_top_images(result, count), marked=False)


def build_preview_search(
    result: SearchResult, thumbnails: Mapping[str, bytes], preview: Preview, width: int
) -> Iterator[RenderableType]:
    """Title, a table of images a query, and a sentence that explains the numbers; `thumbnails` are by name."""
    yield search_title(result)
    for query in result.queries:
        yield Text(printable(query.label, width), style="bold")
        entries = (
            (
                thumbnails.get(match.image),
                match.image,
                [Text(" · ".join(filter(None, (f"{match.rank}. {match.similarity:.4f}", describe_match(match)))))],
            )
            for match in query.results
        )
        yield _table(entries, preview, width) if query.results else Text("none", style="dim")
    yield SEARCH_REMARK


def build_preview_duplicates(
    result: DuplicatesResult, thumbnails: Mapping[str, bytes], preview: Preview, width: int
) -> Iterator[RenderableType]:
    """Title, a table of images a group, and a sentence that explains it; `thumbnails` are by name."""
    yield duplicates_title(result)
    for number, group in enumerate(result.groups, start=1):
        yield Text(f"group {number:,}", style="bold")
        entries = []
        for index, image in enumerate(group.images):
            facts = " · ".join(filter(None, (*describe_kinship(group, index), describe_size(image))))
            entries.append((thumbnails.get(image.image), image.image, [Text(facts)]))
        yield _table(entries, preview, width)
    if result.groups:
        yield DUPLICATES_REMARK


def build_preview_overview(
    result: OverviewResult, thumbnails: Mapping[str, bytes], preview: Preview, width: int
) -> Iterator[RenderableType]:
    """Title, a table of typical images a group, and a sentence that explains it; `thumbnails` are by name."""
    yield overview_title(result)
    for number, group in enumerate(result.groups, start=1):
        heading = f"{number:,}. {group.share:.1%}, {pluralise(group.size, 'image')}: {list_words(group)}"
        yield Text(shorten(heading, width), style="bold")
        entries = (
            (thumbnails.get(image.image), image.image, [Text(f"{image.similarity:.4f}")]) for image in group.images
        )
        yield _table(entries, preview, width)
    yield overview_remark(result)


def build_preview_explain(
    result: ExplainResult, thumbnails: Sequence[bytes], preview: Preview, width: int
) -> Iterator[RenderableType]:
    """Title, a row a text with its heat map, and a sentence that explains them; one thumbnail a text, or none."""
    yield explain_title(result)
    entries = (
        (
            thumbnails[index] if thumbnails else None,
            one.text,
            [
                Text(f"similarity {one.similarity:.4f}"),
                *([] if one.peak is None else [Text(f"drop {one.peak.drop:.4f}")]),
                Text(describe_peak(one.peak)),
            ],
        )
        for index, one in enumerate(result.maps)
    )
    yield _table(entries, preview, width)
    yield remark(explain_maps(result))


def build_preview_contradicted(
    images: Iterable[Contradicted], thumbnails: Mapping[str, bytes], preview: Preview, width: int
) -> Table:
    """The images whose label the model contradicts, with the cosines of the label that it takes and of their own."""
    entries = (
        (
            thumbnails.get(error.image),
            error.image,
            [
                Text(f"taken for {shorten(error.best, width // 2)} {format_value('cosine', error.similarity)}"),
                Text(f"label {shorten(error.label, width // 2)} {format_value('cosine', error.label_similarity)}"),
            ],
        )
        for error in images
    )
    return _table(entries, preview, width)


def _fit_texts(texts: Sequence[str], width: int) -> list[str]:
    room = max(MIN_TEXT_WIDTH, width - COLUMNS - PADDING - SCORE)
    widest = min(room, max((cell_len(printable(text)) for text in texts), default=0))
    return [label + " " * (widest - cell_len(label)) for label in shorten_all(texts, widest)]


def _score_line(result: RankResult, image: ImageScores, index: int, text: str, *, marked: bool = True) -> Text:
    best = marked and stands_out(result, image, index)
    return Text(f"{text} {'*' if best else ' '}{format_score(image, index)}", style=BEST_STYLE if best else "")


def _table(entries: Iterable[tuple[bytes | None, str, Sequence[Text]]], preview: Preview, width: int) -> Table:
    """A row an entry: the image, and the name over the lines that belong to it."""
    table = Table(box=box.SIMPLE, show_header=False, show_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True, min_width=COLUMNS)
    table.add_column(no_wrap=True)
    for thumbnail, name, lines in entries:
        heading = Text(shorten(name, max(1, width - COLUMNS - PADDING)), style="bold")
        table.add_row("" if thumbnail is None else preview(thumbnail), Group(heading, *lines, ""))
    return table
