"""A result → a rich table that fits the terminal: a column an image while that fits, else a row an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from clipsim.errors import printable
from clipsim.render.labels import shorten, shorten_all, strip_common_folder
from clipsim.scoring.records import ImageScores, RankResult

TableParts = tuple[Text, Table, Text]  # title, table, caption

BEST_STYLE = "bold green"
# Widths in terminal cells.
MAX_ROW_LABEL = 32
MAX_HEADING = 18
MIN_ROW_LABEL = 14  # a longer label is not shortened below this
COLUMN_GAP = 3
MARGIN = 2  # around the labels of the rows
SCORE_WIDTH, SCORE_AND_SHARE_WIDTH = 8, 15


def build_table(result: RankResult, width: int, top: int | None = None, *, whole_names: bool = False) -> TableParts:
    """Lay the result out for `width` cells: title, table, and a sentence that explains the numbers.

    With `top`, the best few texts of each image: in columns if they fit, else on lines of their own. Without, all of
    them, a column an image or a row an image; where neither fits, a row an image with as many as fit. Names are
    shortened to fit, unless `whole_names` is set: then the table may be wider.
    """
    score = SCORE_WIDTH if result.probabilities is None else SCORE_AND_SHARE_WIDTH
    labels = _Labels(whole_names)
    files = labels.of_files(result.images)
    if top is None:
        headings = labels.fit(files, MAX_HEADING)
        if side := _find_room(width, headings, score, result.texts, labels):
            return _column_an_image(result, labels.fit(result.texts, side), headings, score)
        headings = labels.fit(result.texts, MAX_HEADING)
        if side := _find_room(width, headings, score, files, labels):
            return _row_an_image(result, headings, labels.fit(files, side), score)
    texts = labels.fit(result.texts, MAX_HEADING)
    place = max(map(cell_len, texts), default=0) + 1 + score + COLUMN_GAP
    beside = min(MIN_ROW_LABEL, labels.widest(files))
    fitting = (width - MARGIN - beside) // place
    count = min(top or fitting, len(texts))
    if count > fitting or count < 1:
        texts = labels.fit(result.texts, MAX_ROW_LABEL)
        return _line_a_score(result, labels.fit(files, MAX_ROW_LABEL), texts, min(top or 1, len(texts)))
    side = min(MAX_ROW_LABEL, max(MIN_ROW_LABEL, width - MARGIN - count * place))
    return _best_few(result, labels.fit(files, side), texts, count, asked=top is not None)


@dataclass(frozen=True)
class _Labels:
    """How names are shown: whole and escaped, or shortened to a width and still different from each other."""

    whole: bool

    def of_files(self, images: Sequence[str]) -> Sequence[str]:
        """The paths; where they are shortened, without the folder that all of them share."""
        return images if self.whole else strip_common_folder(images)

    def fit(self, names: Sequence[str], width: int) -> list[str]:
        """The labels of names in a column of that width."""
        return [printable(name) for name in names] if self.whole else shorten_all(names, width)

    def widest(self, names: Sequence[str]) -> int:
        """The cells of the widest row label."""
        labels = map(printable, names) if self.whole else (shorten(name, MAX_ROW_LABEL) for name in names)
        return max(map(cell_len, labels), default=0)


def _find_room(width: int, headings: Sequence[str], score: int, side: Sequence[str], labels: _Labels) -> int | None:
    """How wide the row labels may be beside columns under these headings; None when that is too narrow."""
    room = width - MARGIN - sum(max(score, cell_len(heading)) + COLUMN_GAP for heading in headings)
    wanted = labels.widest(side)
    least = wanted if labels.whole else min(wanted, MIN_ROW_LABEL)
    return max(1, min(room, MAX_ROW_LABEL)) if room >= least else None


def _column_an_image(result: RankResult, texts: Sequence[str], headings: Sequence[str], score: int) -> TableParts:
    table = _empty_table(headings, score)
    for row, text in enumerate(texts):
        table.add_row(Text(text), *(_score_cell(result, image, row) for image in result.scores))
    return _frame(result, table, "One row a text, one column an image")


def _row_an_image(result: RankResult, headings: Sequence[str], images: Sequence[str], score: int) -> TableParts:
    table = _empty_table(headings, score)
    for name, image in zip(images, result.scores, strict=True):
        table.add_row(Text(name), *(_score_cell(result, image, row) for row in range(len(headings))))
    return _frame(result, table, "One row an image, one column a text")


def _best_few(result: RankResult, images: Sequence[str], texts: Sequence[str], count: int, asked: bool) -> TableParts:
    table = _empty_table([f"{place}." if place > 1 else "best" for place in range(1, count + 1)])
    widest = max(map(cell_len, texts), default=0)
    for name, image in zip(images, result.scores, strict=True):
        cells = []
        for index in image.order(count):
            label = Text(texts[index], style=BEST_STYLE if _stands_out(result, image, index) else "")
            label.truncate(widest, pad=True)
            cells.append(Text(" ").join((label, _score_cell(result, image, index))))
        table.add_row(Text(name), *cells)
    hint = "" if asked else f" (--top {len(texts)} shows all)"
    return _frame(result, table, _describe_top(count, len(texts)) + hint)


def _line_a_score(result: RankResult, images: Sequence[str], texts: Sequence[str], count: int) -> TableParts:
    table = _empty_table(["text", "score"])
    for name, image in zip(images, result.scores, strict=True):
        for place, index in enumerate(image.order(count)):
            style = BEST_STYLE if _stands_out(result, image, index) else ""
            label = Text(name if place == 0 else "")
            table.add_row(label, Text(texts[index], style=style), _score_cell(result, image, index))
    return _frame(result, table, f"{_describe_top(count, len(texts))}, a line each")


def _describe_top(count: int, texts: int) -> str:
    if texts == 1:
        return "One row an image"
    return f"The best {count} of {texts} texts for each image" if count < texts else "Each image's texts, best first"


def _stands_out(result: RankResult, image: ImageScores, index: int) -> bool:
    """Whether a text is marked as an image's best; a single text is not."""
    return image.best == index and len(result.texts) > 1


def _score_cell(result: RankResult, image: ImageScores, index: int) -> Text:
    best = _stands_out(result, image, index)
    score = image.score(result.texts, index)
    share = "" if score.probability is None else f" {score.probability:6.1%}"
    return Text(f"{'*' if best else ' '}{score.similarity:7.4f}{share}", style=BEST_STYLE if best else "")


def _empty_table(headings: Sequence[str], min_width: int | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(Text(heading), no_wrap=True, min_width=min_width)
    return table


def _frame(result: RankResult, table: Table, layout: str) -> TableParts:
    """The table under the model's name and above a sentence that says what its numbers are."""
    model = result.model
    title = [model.name, *([model.pretrained] if model.pretrained else []), result.device, result.precision]
    title += [result.engine] if result.engine != "torch" else []
    return (
        Text(" · ".join(printable(part, 2 * MAX_ROW_LABEL) for part in title), style="bold"),
        table,
        Text(f"{layout}: {_explain(result)}", style="dim"),
    )


def _explain(result: RankResult) -> str:
    model, count = result.model, len(result.texts)
    if result.probabilities is None:
        return "the cosine similarity; a single text has no probability."
    mark = "; * is an image's best text." if count > 1 else "."
    if model.head == "sigmoid":
        bias = "" if model.logit_bias is None else f", bias {model.logit_bias:.4g}"
        return (
            "the cosine similarity, and the probability of each pair by itself (sigmoid, scale "
            f"{model.logit_scale:.4g}{bias}){mark}"
        )
    return (
        f"the cosine similarity, and the probability, which is the text's share of its image among these {count} texts "
        f"(softmax, scale {model.logit_scale:.4g}){mark}"
    )
