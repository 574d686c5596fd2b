"""A result → a rich table that fits the terminal: a column an image while they fit, else a row an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from clipsim.names import printable
from clipsim.ranking import ImageScores, RankResult, Score

BEST_STYLE = "bold green"
LABEL = 32  # the widest a name or prompt is shown at the side
HEADING = 18  # … and over a column
GAP = 3  # between columns: two spaces and a line


def build_table(result: RankResult, width: int, top: int | None = None) -> Table:
    """Lay the result out for a terminal of `width` cells; with `top`, only the best few texts of each image."""
    images = [printable(name, LABEL) for name in _without_common_folder(result.images)]
    texts = [printable(text, LABEL) for text in result.texts]
    cell = 8 if result.probabilities is None else 15
    beside = max(map(cell_len, texts), default=0) + 2
    headings = [printable(name, HEADING) for name in images]
    if top is None and beside + sum(max(cell, cell_len(name)) + GAP for name in headings) <= width:
        return _column_an_image(result, texts, headings)
    beside = max(map(cell_len, images), default=0) + 2
    columns = [max(cell, min(HEADING, cell_len(text))) for text in texts]
    if top is None and beside + sum(column + GAP for column in columns) <= width:
        return _row_an_image(result, texts, images)
    widest = min(HEADING, max(map(cell_len, texts), default=0))
    fitting = max(1, (width - beside) // (cell + widest + 1 + GAP))
    return _best_few(result, images, widest, min(fitting, top or fitting, len(texts)))


def _column_an_image(result: RankResult, texts: Sequence[str], headings: Sequence[str]) -> Table:
    table = _empty_table(result, "one row a text, one column an image")
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(Text(heading), no_wrap=True)
    for row, text in enumerate(texts):
        cells = [_cell(image.score(result.texts, row), image.best == row) for image in result.scores]
        table.add_row(Text(text), *cells)
    return table


def _row_an_image(result: RankResult, texts: Sequence[str], images: Sequence[str]) -> Table:
    table = _empty_table(result, "one row an image, one column a text")
    table.add_column("", no_wrap=True)
    for text in texts:
        table.add_column(Text(printable(text, HEADING)), no_wrap=True)
    for name, image in zip(images, result.scores, strict=True):
        cells = [_cell(image.score(result.texts, row), image.best == row) for row in range(len(texts))]
        table.add_row(Text(name), *cells)
    return table


def _best_few(result: RankResult, images: Sequence[str], widest: int, count: int) -> Table:
    table = _empty_table(result, f"the best {count} of {len(result.texts)} texts for each image")
    table.add_column("", no_wrap=True)
    for place in range(1, count + 1):
        table.add_column("best" if place == 1 else f"{place}.", no_wrap=True)
    for name, image in zip(images, result.scores, strict=True):
        table.add_row(Text(name), *_ranked_cells(result, image, widest, count))
    return table


def _ranked_cells(result: RankResult, image: ImageScores, widest: int, count: int) -> list[Text]:
    cells = []
    for place, score in enumerate(image.ranked(result.texts, count)):
        label = Text(printable(score.text, widest))
        label.truncate(widest, pad=True)
        cells.append(Text(" ").join((label, _cell(score, best=place == 0))))
        if place == 0:
            cells[-1].stylize(BEST_STYLE)
    return cells


def _cell(score: Score, best: bool) -> Text:
    share = "" if score.probability is None else f" {score.probability:6.1%}"
    return Text(f"{'*' if best else ' '}{score.similarity:7.4f}{share}", style=BEST_STYLE if best else "")


def _empty_table(result: RankResult, layout: str) -> Table:
    model = result.model
    title = [model.name, *([model.pretrained] if model.pretrained else []), result.device, result.precision]
    return Table(
        title=Text(" · ".join(printable(part, LABEL * 2) for part in title), style="bold"),
        caption=Text(f"{layout[0].upper()}{layout[1:]}: {_explain(result)}", style="dim"),
        caption_justify="left",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1),
        header_style="bold",
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


def _without_common_folder(names: Sequence[str]) -> list[str]:
    """The names without the folder that all of them share."""
    folders = {str(Path(name).parent) for name in names}
    try:
        common = os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative ones, or several drives
        common = ""
    return [os.path.relpath(name, common) if common else name for name in names]
