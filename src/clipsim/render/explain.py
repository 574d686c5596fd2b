"""What speaks for each text in an image → a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from clipsim.errors import printable
from clipsim.render.parts import empty_table, remark, shorten_all, title
from clipsim.results.explain import ExplainResult, Peak

FIXED_WIDTH = 48  # cells of the figures and of the space between columns
MIN_WIDTH = 10  # cells; texts are not shortened below this
NOTHING = "no part speaks for it"


def build_explain_table(result: ExplainResult, width: int, *, whole_names: bool = False) -> Iterator[RenderableType]:
    """Title, a row a text, and a sentence that explains it.

    Texts are shortened where they do not fit into `width` cells, unless `whole_names`.
    """
    yield explain_title(result)
    table = empty_table(["text", "similarity", "drop", "part that matters most"], right=[1, 2])
    texts = [one.text for one in result.maps]
    labels = list(map(printable, texts)) if whole_names else shorten_all(texts, max(MIN_WIDTH, width - FIXED_WIDTH))
    for label, one in zip(labels, result.maps, strict=True):
        drop = "" if one.peak is None else f"{one.peak.drop:.4f}"
        table.add_row(*map(Text, (label, f"{one.similarity:.4f}", drop, describe_peak(one.peak))))
    yield table
    yield remark(explain_maps(result))


def explain_title(result: ExplainResult) -> Text:
    """The model, and the image."""
    return title(result.model, result.device, result.precision, result.engine, result.image)


def describe_peak(peak: Peak | None) -> str:
    """The part in pixels, or that there is none."""
    if peak is None:
        return NOTHING
    return f"x {peak.left}–{peak.right}, y {peak.top}–{peak.bottom}"


def explain_maps(result: ExplainResult) -> str:
    """A sentence that says what a drop is, and what the model sees of the image."""
    left, top, right, bottom = (round(side) for side in result.frame)
    left, top, right, bottom = max(0, left), max(0, top), min(result.width, right), min(result.height, bottom)
    whole = (left, top, right, bottom) == (0, 0, result.width, result.height)
    seen = "" if whole else f" The model sees x {left}–{right}, y {top}–{bottom} of it."
    return (
        "A drop is how much the cosine similarity falls when a part of the image is hidden. Parts are in pixels from "
        f"the top left of the upright image, {result.width} × {result.height}.{seen}"
    )
