"""An `ExplainResult` with its image → an HTML page: for each text a map of what speaks for it, over the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clipsim.errors import quote_some
from clipsim.render.explain import describe_peak, explain_maps
from clipsim.render.file_links import file_address
from clipsim.render.page import data_uri, heat_level, list_run_facts, render_page, split_name
from clipsim.results.explain import ExplainResult, TextMap


@dataclass(frozen=True, slots=True)
class _Cell:
    """A part of a map: its place in pixels, its step of the colour scale, and its drop."""

    x: str
    y: str
    width: str
    height: str
    heat: int
    drop: str


@dataclass(frozen=True, slots=True)
class _Map:
    """A text with its cosine, its most important part in words and in pixels, and its cells."""

    text: str
    note: str
    peak: tuple[int, int, int, int] | None
    cells: list[_Cell]


def format_explain_page(
    result: ExplainResult, picture: bytes | None, *, page_folder: Path | None = None
) -> Iterator[str]:
    """The page in pieces; `picture` is a WebP file of the image, `page_folder` where the page will be, if known."""
    return render_page(
        "explain.html",
        title=f"What speaks for {quote_some([one.text for one in result.maps])}",
        facts=[
            ("image", "".join(split_name(result.image))),
            *list_run_facts(result.model, result.device, result.precision, result.engine),
        ],
        warnings=result.warnings,
        errors=result.errors,
        explanation=f"{explain_maps(result)} The colours of a map run from no drop to its greatest; a frame is around "
        "the part that matters most.",
        width=result.width,
        height=result.height,
        name=result.image,
        source=data_uri(picture),
        link=file_address(result.image, page_folder),
        maps=(_make_map(result, one) for one in result.maps),
    )


def _make_map(result: ExplainResult, one: TextMap) -> _Map:
    left, top, right, bottom = result.frame
    rows, columns = one.heat.shape
    across, down = (right - left) / columns, (bottom - top) / rows
    most = float(one.heat.max())
    cells = [
        _Cell(
            f"{left + column * across:.2f}",
            f"{top + row * down:.2f}",
            f"{across:.2f}",
            f"{down:.2f}",
            heat_level(value, 0.0, most) if most > 0 else 0,
            f"{value:+.4f}",
        )
        for row, values in enumerate(one.heat.tolist())
        for column, value in enumerate(values)
    ]
    peak, drop = None, ""
    if one.peak is not None:
        own = one.peak
        peak = own.left, own.top, own.right - own.left, own.bottom - own.top
        drop = f", without which it falls by {own.drop:.4f}"
    return _Map(one.text, f"similarity {one.similarity:.4f}; {describe_peak(one.peak)}{drop}", peak, cells)
