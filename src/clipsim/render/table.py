"""A result → a rich table that fits the terminal: a column an image while they fit, else a row an image."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from clipsim.names import printable
from clipsim.ranking import RankResult, Score
from clipsim.render.labels import fit, labels, without_common_folder

BEST_STYLE = "bold green"
LABEL = 32  # cells; the widest a name or text is shown at the side
HEADING = 18  # … and over a column
NARROWEST = 14  # the least a longer one is shortened to at the side
GAP = 3  # cells between columns
MARGIN = 2  # cells around the labels


def build_table(result: RankResult, width: int, top: int | None = None) -> Group:
    """Lay the result out for a terminal of `width` cells.

    With `top`, the best few texts of each image: in columns if they fit, else on lines of their own. Without, all
    of them, a column an image or a row an image; where neither fits, a row an image with as many as do.
    """
    cell = 8 if result.probabilities is None else 15
    files = without_common_folder(result.images)
    if top is None:
        headings = labels(files, HEADING)
        if side := _room(width, headings, cell, result.texts):
            return _column_an_image(result, labels(result.texts, side), headings, cell)
        headings = labels(result.texts, HEADING)
        if side := _room(width, headings, cell, files):
            return _row_an_image(result, headings, labels(files, side), cell)
    texts = labels(result.texts, HEADING)
    place = max(map(cell_len, texts), default=0) + 1 + cell + GAP
    beside = min(NARROWEST, max((cell_len(fit(name, LABEL)) for name in files), default=0))
    fitting = (width - MARGIN - beside) // place
    count = min(top or fitting, len(texts))
    if count > fitting or count < 1:
        return _line_a_score(result, labels(files, LABEL), labels(result.texts, LABEL), min(top or 1, len(texts)))
    side = min(LABEL, max(NARROWEST, width - MARGIN - count * place))
    return _best_few(result, labels(files, side), texts, count, asked=top is not None)


def _room(width: int, headings: Sequence[str], cell: int, names: Sequence[str]) -> int | None:
    """How wide the labels at the side may be beside columns under these headings; None when that is too narrow."""
    room = width - MARGIN - sum(max(cell, cell_len(heading)) + GAP for heading in headings)
    wanted = max((cell_len(fit(name, LABEL)) for name in names), default=0)
    return min(room, LABEL) if room >= min(wanted, NARROWEST) else None


def _column_an_image(result: RankResult, texts: Sequence[str], headings: Sequence[str], cell: int) -> Group:
    table = _empty_table(headings, cell)
    for row, text in enumerate(texts):
        cells = [_cell(image.score(result.texts, row), image.best == row) for image in result.scores]
        table.add_row(Text(text), *cells)
    return _framed(result, table, "One row a text, one column an image")


def _row_an_image(result: RankResult, headings: Sequence[str], images: Sequence[str], cell: int) -> Group:
    table = _empty_table(headings, cell)
    for name, image in zip(images, result.scores, strict=True):
        cells = [_cell(image.score(result.texts, row), image.best == row) for row in range(len(headings))]
        table.add_row(Text(name), *cells)
    return _framed(result, table, "One row an image, one column a text")


def _best_few(result: RankResult, images: Sequence[str], texts: Sequence[str], count: int, asked: bool) -> Group:
    table = _empty_table([f"{place}." if place > 1 else "best" for place in range(1, count + 1)])
    widest = max(map(cell_len, texts), default=0)
    for name, image in zip(images, result.scores, strict=True):
        cells = []
        for place, index in enumerate(image.order(count)):
            label = Text(texts[index], style=BEST_STYLE if place == 0 else "")
            label.truncate(widest, pad=True)
            cells.append(Text(" ").join((label, _cell(image.score(result.texts, index), best=place == 0))))
        table.add_row(Text(name), *cells)
    all_of_them = "" if asked else f" (--top {len(texts)} shows all)"
    return _framed(result, table, f"The best {count} of {len(texts)} texts for each image{all_of_them}")


def _line_a_score(result: RankResult, images: Sequence[str], texts: Sequence[str], count: int) -> Group:
    table = _empty_table(["text", "score"])
    for name, image in zip(images, result.scores, strict=True):
        for place, index in enumerate(image.order(count)):
            style = BEST_STYLE if place == 0 else ""
            score = _cell(image.score(result.texts, index), best=place == 0)
            table.add_row(Text(name if place == 0 else ""), Text(texts[index], style=style), score)
    return _framed(result, table, f"The best {count} of {len(texts)} texts for each image, a line each")


def _cell(score: Score, best: bool) -> Text:
    share = "" if score.probability is None else f" {score.probability:6.1%}"
    return Text(f"{'*' if best else ' '}{score.similarity:7.4f}{share}", style=BEST_STYLE if best else "")


def _empty_table(headings: Sequence[str], least: int | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(Text(heading), no_wrap=True, min_width=least)
    return table


def _framed(result: RankResult, table: Table, layout: str) -> Group:
    """The table under the model's name and over a sentence that says what its numbers are."""
    model = result.model
    title = [model.name, *([model.pretrained] if model.pretrained else []), result.device, result.precision]
    title += [result.engine] if result.engine != "torch" else []
    return Group(
        Text(" · ".join(printable(part, 2 * LABEL) for part in title), style="bold"),
        table,
        Text(f"{layout}: {_explain(result)}", style="dim"),
    )


def _explain(result: RankResult) -> str:
    model, count = result.model, len(result.texts)
    if result.probabilities is None:
        return "the cosine similarity; a single text has no probability."
    if model.head == "sigmoid":
        return (
            "the cosine similarity, and the probability of each pair by itself (sigmoid, scale "
            f"{model.logit_scale:.4g}, bias {model.logit_bias:.4g}); * is an image's best text."
        )
    return (
        f"the cosine similarity, and the probability, which is the text's share of its image among these {count} texts "
        f"(softmax, scale {model.logit_scale:.4g}); * is an image's best text."
    )
