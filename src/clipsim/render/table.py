"""A result → a rich table that fits the terminal: a column an image while that fits, else a row an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from clipsim.errors import pluralise, printable
from clipsim.render.parts import empty_table, shorten_all, shorten_paths, strip_common_folder, title
from clipsim.results.rank import ImageScores, RankResult, order_images

Shorten = Callable[[Sequence[str], int], list[str]]
TableParts = tuple[Text, Table, Text]  # title, table, caption

BEST_STYLE = "bold green"
# Widths in terminal cells.
MIN_HEADING = 18  # a longer heading is not shortened below this
MIN_ROW_LABEL = 14  # nor a longer row label below this
COLUMN_GAP = 3
MARGIN = 2  # around the labels of the rows
SCORE_WIDTH, SCORE_AND_SHARE_WIDTH = 8, 15
NONE = "none"  # in place of the best text of an image none of whose texts reaches its threshold


def build_table(result: RankResult, width: int, top: int | None = None, *, whole_names: bool = False) -> TableParts:
    """Lay the result out for `width` cells: title, table, and a sentence that explains the numbers.

    With `top`, the best few texts of each image: in columns if they fit, else on lines of their own. Without, all of
    them: a column an image if that fits, else a row an image, else the same with shortened names; where no layout fits,
    a row an image with as many texts as do. With `whole_names` no name is shortened: the table may be wider.
    """
    score = SCORE_AND_SHARE_WIDTH if _has_probabilities(result) else SCORE_WIDTH
    result = _order_by_only_text(result)
    paths = [image.image for image in result.scores]
    files = paths if whole_names else strip_common_folder(paths)
    if top is None:
        columns = _Layout(files, result.texts, score, width, shorten_over=shorten_paths)  # a column an image
        texts = [*result.texts, NONE] if result.thresholds else result.texts
        rows = _Layout(texts, files, score, width, shorten_beside=shorten_paths)  # a row an image
        if fitted := columns.whole():
            return _column_an_image(result, *fitted, score)
        if fitted := replace(rows, beside=paths).whole() or rows.whole():
            return _row_an_image(result, *fitted, score)
        if whole_names and (fitted := replace(rows, beside=[]).whole()):  # but for the names, which go last
            return _row_an_image(result, list(map(printable, paths)), fitted[1], score, names_last=True)
        if not whole_names and (fitted := columns.shortened()):
            return _column_an_image(result, *fitted, score)
        if not whole_names and (fitted := rows.shortened()):
            return _row_an_image(result, *fitted, score)
    texts = _fit(result.texts, MIN_HEADING, whole_names)
    column_width = max(map(cell_len, texts), default=0) + 1 + score + COLUMN_GAP
    beside = min(MIN_ROW_LABEL, _widest(files))
    fitting = (width - MARGIN - beside) // column_width
    count = min(top or fitting, len(texts))
    if count > fitting or count < 1:
        names = _fit_paths(files, width // 3, whole_names)
        texts = _fit(result.texts, width - MARGIN - 2 * COLUMN_GAP - _widest(names) - score, whole_names)
        return _line_a_score(result, names, texts, min(top or 1, len(texts)))
    side = max(MIN_ROW_LABEL, width - MARGIN - count * column_width)
    files = paths if _widest(paths) <= side else files
    return _best_few(result, _fit_paths(files, side, whole_names), texts, count, is_chosen=top is not None)


@dataclass(frozen=True)
class _Layout:
    """Names over columns and names of rows of a table, for a terminal of a width."""

    over: Sequence[str]
    beside: Sequence[str]
    score: int
    width: int
    shorten_over: Shorten = shorten_all
    shorten_beside: Shorten = shorten_all

    def whole(self) -> tuple[list[str], list[str]] | None:
        """The row labels and the headings, where the names fit as they are."""
        side, headings = [printable(name) for name in self.beside], [printable(name) for name in self.over]
        return (side, headings) if self._room(headings) >= max(map(cell_len, side), default=0) else None

    def shortened(self) -> tuple[list[str], list[str]] | None:
        """The same with names shortened as little as is needed, where that suffices."""
        least = min(MIN_ROW_LABEL, _widest(self.beside))
        for cap in range(max(MIN_HEADING, min(_widest(self.over), self.width)), MIN_HEADING - 1, -1):
            headings = self.shorten_over(self.over, cap)
            room = self._room(headings)
            if room >= (least if cap == MIN_HEADING else _widest(self.beside)):
                return self.shorten_beside(self.beside, max(1, room)), headings
        return None

    def _room(self, headings: Sequence[str]) -> int:
        """Cells that are left for the row labels."""
        return self.width - MARGIN - sum(max(self.score, cell_len(heading)) + COLUMN_GAP for heading in headings)


def _widest(names: Sequence[str]) -> int:
    return max((cell_len(printable(name)) for name in names), default=0)


def _fit(names: Sequence[str], width: int, whole: bool) -> list[str]:
    return [printable(name) for name in names] if whole else shorten_all(names, max(1, width))


def _fit_paths(names: Sequence[str], width: int, whole: bool) -> list[str]:
    return [printable(name) for name in names] if whole else shorten_paths(names, max(1, width))


def _order_by_only_text(result: RankResult) -> RankResult:
    """The result with its images in order of the text, where there is only one: nothing else is to be seen then."""
    if len(result.texts) != 1:
        return result
    return replace(result, scores=tuple(order_images(result.scores, 0)))


def _column_an_image(result: RankResult, texts: Sequence[str], headings: Sequence[str], score: int) -> TableParts:
    table = empty_table(["", *headings], min_width=score)
    for row, text in enumerate(texts):
        table.add_row(Text(text), *(_score_cell(result, image, row) for image in result.scores))
    if result.thresholds:
        table.add_row(Text(NONE), *map(_none_cell, result.scores))
    return frame(result, table, "One row a text, one column an image")


def _row_an_image(
    result: RankResult, images: Sequence[str], headings: Sequence[str], score: int, *, names_last: bool = False
) -> TableParts:
    table = empty_table([*headings, "image"] if names_last else ["", *headings], min_width=score)
    for name, image in zip(images, result.scores, strict=True):
        cells = [_score_cell(result, image, row) for row in range(len(result.texts))]
        cells += [_none_cell(image)] if result.thresholds else []
        table.add_row(*([*cells, Text(name)] if names_last else [Text(name), *cells]))
    return frame(result, table, "One row an image, one column a text")


def _best_few(
    result: RankResult, images: Sequence[str], texts: Sequence[str], count: int, is_chosen: bool
) -> TableParts:
    table = empty_table(["", "best", *(f"{rank}." for rank in range(2, count + 1))])
    widest = max(map(cell_len, texts), default=0)
    for name, image in zip(images, result.scores, strict=True):
        cells = [_none_cell(image)] if image.best is None else []
        for index in image.order(count - len(cells)):
            label = Text(texts[index], style=BEST_STYLE if stands_out(result, image, index) else "")
            label.truncate(widest, pad=True)
            cells.append(Text(" ").join((label, _score_cell(result, image, index))))
        table.add_row(Text(name), *cells)
    hint = "" if is_chosen else f" (--top {len(texts)} shows all)"
    return frame(result, table, describe_top(count, len(texts)) + hint)


def _line_a_score(result: RankResult, images: Sequence[str], texts: Sequence[str], count: int) -> TableParts:
    table = empty_table(["", "text", "score"])
    for name, image in zip(images, result.scores, strict=True):
        if image.best is None:
            table.add_row(Text(name), Text(NONE, style=BEST_STYLE), _none_cell(image))
        for rank, index in enumerate(image.order(count), start=int(image.best is None)):
            style = BEST_STYLE if stands_out(result, image, index) else ""
            label = Text(name if rank == 0 else "")
            table.add_row(label, Text(texts[index], style=style), _score_cell(result, image, index))
    return frame(result, table, f"{describe_top(count, len(texts))}, a line each")


def describe_top(count: int, texts: int) -> str:
    """What a table of the best texts of each image lists."""
    if texts == 1:
        return "One row an image"
    return f"The best {count} of {texts} texts for each image" if count < texts else "Each image's texts, best first"


def stands_out(result: RankResult, image: ImageScores, index: int) -> bool:
    """Whether a text is marked as an image's best; a single text without a threshold is not."""
    return image.best == index and (len(result.texts) > 1 or result.thresholds is not None)


def _none_cell(image: ImageScores) -> Text:
    """The mark of an image none of whose texts reaches its threshold."""
    return Text(f"* {NONE}" if image.best is None else "", style=BEST_STYLE)


def _score_cell(result: RankResult, image: ImageScores, index: int) -> Text:
    best = stands_out(result, image, index)
    return Text(f"{'*' if best else ' '}{format_score(image, index)}", style=BEST_STYLE if best else "")


def format_score(image: ImageScores, index: int) -> str:
    """The cosine of an image and a text, and their probability where there is one."""
    share = "" if image.probabilities is None else f" {image.probabilities[index]:6.1%}"
    return f"{image.similarity[index]:7.4f}{share}"


def frame(result: RankResult, table: Table, layout: str, *, marked: bool = True) -> TableParts:
    """The table under the model's name and above a sentence that says what its numbers are."""
    first_line = title(result.model, result.device, result.precision, result.engine)
    return first_line, table, Text(f"{layout}: {explain(result, marked=marked)}", style="dim")


def explain(result: RankResult, *, marked: bool = True) -> str:
    """What the numbers are, in one sentence; `marked` where the best texts have a mark."""
    model, count = result.model, len(result.texts)
    mark = "; * is an image's best text." if count > 1 and marked else "."
    if result.thresholds is not None and marked:
        mark = f"; * is an image's best text of those that reach their thresholds, or {NONE}."
    if result.classifier is not None:
        return (
            "the cosine similarity with the label's vector, which a classifier has learnt from "
            f"{pluralise(result.classifier.examples, 'example')}, and the label's share of its image among these "
            f"{count} labels (softmax, scale {result.classifier.scale:.4g}){mark}"
        )
    if not _has_probabilities(result):
        return f"the cosine similarity; a single text has no probability{mark}"
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


def _has_probabilities(result: RankResult) -> bool:
    return any(image.probabilities is not None for image in result.scores)


PLACE_WIDTH, IMAGE_SCORE_WIDTH, GAPS = 4, 16, 12  # cells of the other columns, and between columns


def build_top_images_table(result: RankResult, count: int, width: int, *, whole_names: bool = False) -> TableParts:
    """Lay out the `count` best images of each text, a line each, the text in the first line of its group."""
    table = empty_table(["text", "", "image", "score"], right=[1])
    room = max(8, (width - PLACE_WIDTH - IMAGE_SCORE_WIDTH - GAPS) // 2)
    files = result.images if whole_names or _widest(result.images) <= room else strip_common_folder(result.images)
    texts = [printable(text) for text in result.texts] if whole_names else shorten_all(result.texts, room)
    labels = _fit_paths(files, room, whole_names)
    names = dict(zip(result.images, labels, strict=True))
    for row, text in enumerate(texts):
        for rank, image in enumerate(result.top_images(row, count), start=1):
            score = Text(format_score(image, row))
            label = Text(text if rank == 1 else "")
            table.add_row(label, str(rank), Text(names[image.image]), score, end_section=rank == count)
    return frame(result, table, describe_top_images(result, count), marked=False)


def describe_top_images(result: RankResult, count: int) -> str:
    """What a table of the best images of each text lists."""
    images = pluralise(len(result.images), "image")
    return f"The best {min(count, len(result.images)):,} of {images} for each text, best first"
