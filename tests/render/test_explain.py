"""Tests of `render.explain`, `render.explain_page` and the preview: names are escaped, parts are named, maps drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from pages import HOSTILE_NAMES, parse_page
from rich.console import Console, RenderableType

from clipsim.errors import printable
from clipsim.render.explain import build_explain_table
from clipsim.render.explain_page import format_explain_page
from clipsim.render.preview import HalfBlocks, build_preview_explain
from clipsim.results.base import ModelRecord
from clipsim.results.explain import ExplainResult, Peak, TextMap

HEAT = np.zeros((14, 14), np.float32)
HEAT[2, 3], HEAT[5, 5] = 0.04, -0.02
RESULT = ExplainResult(
    model=ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax"),
    device="cpu",
    precision="fp32",
    engine="torch",
    templates=(),
    image="photos/[b]a[/b].png",
    width=640,
    height=480,
    frame=(80.0, 0.0, 560.0, 480.0),
    maps=(
        TextMap("[b]cat[/b]", 0.2512345, Peak(183, 69, 320, 206, 0.0312345), HEAT),
        TextMap("dog", 0.125, None, -np.abs(HEAT)),
    ),
    warnings=("a notice",),
)


def drawn(parts: Iterable[RenderableType], width: int = 100) -> str:
    """What a terminal of so many columns shows."""
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get()


def test_table() -> None:
    """Cosine, drop and part of each text; what the model sees where that is not all."""
    text = drawn(build_explain_table(RESULT, 100))

    assert "ViT-B-32 · openai · cpu · fp32 · photos/[b]a[/b].png" in text
    assert "[b]cat[/b]       0.2512   0.0312   x 183–320, y 69–206" in text
    assert "dog              0.1250            no part speaks for it" in text
    assert "The model sees x 80–560, y 0–480 of it." in " ".join(text.split())
    whole = dataclasses.replace(RESULT, frame=(0.0, -80.0, 640.0, 560.0))
    assert "model sees" not in " ".join(drawn(build_explain_table(whole, 100)).split())


def test_long_texts_leave_the_figures_whole() -> None:
    """They are shortened to what is left of the terminal."""
    long = TextMap("a " * 200 + "cat", 0.25, RESULT.maps[0].peak, HEAT)
    result = dataclasses.replace(RESULT, maps=(long,))

    for width in (60, 80, 120):
        lines = drawn(build_explain_table(result, width), width).splitlines()
        assert max(map(len, lines)) <= width
        assert any("x 183–320, y 69–206" in line and "…" in line for line in lines)
    assert long.text in drawn(build_explain_table(result, 80, whole_names=True), 600)


def test_preview() -> None:
    """The map beside the figures; the figures alone where the image can no longer be read."""
    ppm = b"P6\n2 2\n255\n" + bytes(12)
    text = drawn(build_preview_explain(RESULT, [ppm, ppm], HalfBlocks, 100))

    assert text.count("▀▀") == 2
    assert "drop 0.0312" in text
    assert "no part speaks for it" in drawn(build_preview_explain(RESULT, [], HalfBlocks, 100))


def test_page() -> None:
    """A drawing a text, with a frame around the part that matters most, and a colour a cell."""
    page = parse_page("".join(format_explain_page(RESULT, b"RIFF")))
    drawings = page.find("svg")

    assert [drawing.attributes["viewbox"] for drawing in drawings] == ["0 0 640 480"] * 2
    assert [len(drawing.find("rect", class_="peak")) for drawing in drawings] == [1, 0]
    peak = drawings[0].find("rect", class_="peak")[0].attributes
    assert (peak["x"], peak["y"], peak["width"], peak["height"]) == ("183", "69", "137", "137")
    cells = drawings[0].find("g", class_="cells")[0].find("rect")
    assert len(cells) == 196
    assert [cell.attributes["x"] for cell in cells if cell.has("class_", "h20")] == [f"{80 + 3 * 480 / 14:.2f}"]
    assert cells[5 * 14 + 5].has("class_", "h0")
    assert len(drawings[1].find("rect", class_="h0")) == 196
    assert "similarity 0.2512; x 183–320, y 69–206, without which it falls by 0.0312" in page.text
    assert page.find("image")[0].attributes["href"].startswith("data:image/webp")


def test_page_without_the_image() -> None:
    """The maps are there all the same, and nothing is loaded."""
    page = "".join(format_explain_page(RESULT, None))

    assert "<image" not in page
    assert page.count("<rect") == 2 * 196 + 1


def test_every_name_is_escaped() -> None:
    """In the page and in the table."""
    for name in HOSTILE_NAMES:
        result = dataclasses.replace(
            RESULT, image=name, maps=(dataclasses.replace(RESULT.maps[0], text=name),), warnings=(printable(name),)
        )
        page = parse_page("".join(format_explain_page(result, None)))
        assert page.find("script", onerror="alert(1)") == []
        assert [element.text for element in page.find("h2")] == [printable(name)]
        assert "\x1b" not in drawn(build_explain_table(result, 100))
