"""A result → a rich table that fits the terminal: a column an image while that fits, else a row an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from clipsim.errors import printable
from clipsim.render.labels import fit, labels, without_common_folder
from clipsim.scoring.records import ImageScores, RankResult

Parts = tuple[Text, Table, Text]

BEST_STYLE = "bold green"
LABEL = 32  # cells; the greatest width of a name or text at the side
HEADING = 18  # cells; the greatest width over a column
NARROWEST = 14  # cells; a longer name at the side is not shortened below this
GAP = 3  # cells between columns
NONE = "none"  # what an image is whose texts all miss their thresholds
MARGIN = 2  # cells around the labels


def build_table(result: RankResult, width: int, top: int | None = None, *, whole_names: bool = False) -> Parts:
    """Lay the result out for `width` cells: title, table, and a sentence that explains the numbers.

    With `top`, the best few texts of each image: in columns if they fit, else on lines of their own. Without, all
    of them, a column an image or a row an image; where neither fits, a row an image with as many as do. Names are
    shortened to fit, unless `whole_names`: then the table may be wider.
    """
    cell = 8 if result.probabilities is None else 15
    names = _Names(whole_names)
    files = names.of_files(result.images)
    if top is None:
        headings = names.fit(files, HEADING)
        if side := _room(width, headings, cell, result.texts, names):
            return _column_an_image(result, names.fit(result.texts, side), headings, cell)
        headings = names.fit(result.texts, HEADING) + ([NONE] if result.thresholds else [])
        if side := _room(width, headings, cell, files, names):
            return _row_an_image(result, headings, names.fit(files, side), cell)
    texts = names.fit(result.texts, HEADING)
    place = max(map(cell_len, texts), default=0) + 1 + cell + GAP
    beside = min(NARROWEST, names.widest(files))
    fitting = (width - MARGIN - beside) // place
    count = min(top or fitting, len(texts))
    if count > fitting or count < 1:
        beside_texts = names.fit(result.texts, LABEL)
        return _line_a_score(result, names.fit(files, LABEL), beside_texts, min(top or 1, len(texts)))
    side = min(LABEL, max(NARROWEST, width - MARGIN - count * place))
    return _best_few(result, names.fit(files, side), texts, count, asked=top is not None)


@dataclass(frozen=True)
class _Names:
    """How names are shown: whole and escaped, or shortened to a width and still different from each other."""

    whole: bool

    def of_files(self, images: Sequence[str]) -> Sequence[str]:
        """Paths; when they are shortened anyway, without the folder that all of them share."""
        return images if self.whole else without_common_folder(images)

    def fit(self, names: Sequence[str], width: int) -> list[str]:
        """The labels of names in columns of that width."""
        return [printable(name) for name in names] if self.whole else labels(names, width)

    def widest(self, names: Sequence[str]) -> int:
        """Cells of the widest label at the side."""
        return max((cell_len(printable(name) if self.whole else fit(name, LABEL)) for name in names), default=0)


def _room(width: int, headings: Sequence[str], cell: int, side: Sequence[str], names: _Names) -> int | None:
    """How wide the labels at the side may be beside columns under these headings; None when that is too narrow."""
    room = width - MARGIN - sum(max(cell, cell_len(heading)) + GAP for heading in headings)
    wanted = names.widest(side)
    least = wanted if names.whole else min(wanted, NARROWEST)
    return max(1, min(room, LABEL)) if room >= least else None


def _column_an_image(result: RankResult, texts: Sequence[str], headings: Sequence[str], cell: int) -> Parts:
    table = _empty_table(headings, cell)
    for row, text in enumerate(texts):
        cells = [_cell(result, image, row) for image in result.scores]
        table.add_row(Text(text), *cells)
    if result.thresholds:
        table.add_row(Text(NONE), *map(_none_cell, result.scores))
    return _framed(result, table, "One row a text, one column an image")


def _row_an_image(result: RankResult, headings: Sequence[str], images: Sequence[str], cell: int) -> Parts:
    table = _empty_table(headings, cell)
    for name, image in zip(images, result.scores, strict=True):
        cells = [_cell(result, image, row) for row in range(len(result.texts))]
        table.add_row(Text(name), *cells, *([_none_cell(image)] if result.thresholds else []))
    return _framed(result, table, "One row an image, one column a text")


def _best_few(result: RankResult, images: Sequence[str], texts: Sequence[str], count: int, asked: bool) -> Parts:
    table = _empty_table([f"{place}." if place > 1 else "best" for place in range(1, count + 1)])
    widest = max(map(cell_len, texts), default=0)
    for name, image in zip(images, result.scores, strict=True):
        cells = [_none_cell(image)] if image.best is None else []
        for index in image.order(count - len(cells)):
            label = Text(texts[index], style=BEST_STYLE if _stands_out(result, image, index) else "")
            label.truncate(widest, pad=True)
            cells.append(Text(" ").join((label, _cell(result, image, index))))
        table.add_row(Text(name), *cells)
    all_of_them = "" if asked else f" (--top {len(texts)} shows all)"
    return _framed(result, table, _best_of(count, len(texts)) + all_of_them)


def _best_of(count: int, texts: int) -> str:
    return f"The best {count} of {texts} texts for each image" if count < texts else "Each image's texts, best first"


def _line_a_score(result: RankResult, images: Sequence[str], texts: Sequence[str], count: int) -> Parts:
    table = _empty_table(["text", "score"])
    for name, image in zip(images, result.scores, strict=True):
        if image.best is None:
            table.add_row(Text(name), Text(NONE, style=BEST_STYLE), _none_cell(image))
        for place, index in enumerate(image.order(count), start=int(image.best is None)):
            style = BEST_STYLE if _stands_out(result, image, index) else ""
            table.add_row(
                Text(name if place == 0 else ""), Text(texts[index], style=style), _cell(result, image, index)
            )
    return _framed(result, table, f"{_best_of(count, len(texts))}, a line each")


def _stands_out(result: RankResult, image: ImageScores, index: int) -> bool:
    """Whether a text is an image's best; a single text without a threshold is not worth a mark."""
    return image.best == index and (len(result.texts) > 1 or result.thresholds is not None)


def _none_cell(image: ImageScores) -> Text:
    """The mark of an image none of whose texts reaches its threshold."""
    return Text(f"* {NONE}" if image.best is None else "", style=BEST_STYLE)


def _cell(result: RankResult, image: ImageScores, index: int) -> Text:
    best = _stands_out(result, image, index)
    score = image.score(result.texts, index)
    share = "" if score.probability is None else f" {score.probability:6.1%}"
    return Text(f"{'*' if best else ' '}{score.similarity:7.4f}{share}", style=BEST_STYLE if best else "")


def _empty_table(headings: Sequence[str], least: int | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(Text(heading), no_wrap=True, min_width=least)
    return table


def _framed(result: RankResult, table: Table, layout: str) -> Parts:
    """The table under the model's name and over a sentence that says what its numbers are."""
    model = result.model
    title = [model.name, *([model.pretrained] if model.pretrained else []), result.device, result.precision]
    title += [result.engine] if result.engine != "torch" else []
    return (
        Text(" · ".join(printable(part, 2 * LABEL) for part in title), style="bold"),
        table,
        Text(f"{layout}: {_explain(result)}", style="dim"),
    )


def _explain(result: RankResult) -> str:
    model, count = result.model, len(result.texts)
    mark = "; * is an image's best text." if count > 1 else "."
    if result.thresholds is not None:
        mark = f"; * is an image's best text of those that reach their thresholds, or {NONE}."
    if result.probabilities is None:
        return f"the cosine similarity; a single text has no probability{mark}"
    if model.head == "sigmoid":
        return (
            "the cosine similarity, and the probability of each pair by itself (sigmoid, scale "
            f"{model.logit_scale:.4g}, bias {model.logit_bias:.4g}){mark}"
        )
    return (
        f"the cosine similarity, and the probability, which is the text's share of its image among these {count} texts "
        f"(softmax, scale {model.logit_scale:.4g}){mark}"
    )
