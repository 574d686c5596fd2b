"""Tests of `render.overview` and `render.overview_page`: every name and word is escaped, and nothing is left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from pages import HOSTILE_NAMES, parse_page
from rich.console import Console, RenderableType

from clipsim.errors import Failure, printable
from clipsim.render.overview import build_overview_table
from clipsim.render.overview_page import format_overview_page
from clipsim.render.preview import HalfBlocks, build_preview_overview
from clipsim.results.base import ModelRecord
from clipsim.results.overview import GroupWord, ImageGroup, OverviewResult, TypicalImage

MODEL = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax")
SEA = ImageGroup(
    750,
    0.75,
    (GroupWord("sea", 0.25, 0.0712345), GroupWord("[b]boat[/b]", 0.2, 0.05)),
    (TypicalImage("photos/sea.png", 0.9, 4), TypicalImage("photos/wave.png", 0.8, 5)),
)
UNNAMED = ImageGroup(250, 0.25, (), (TypicalImage("photos/x.png", 0.7, 1),))
RESULT = OverviewResult(
    model=MODEL,
    device="cpu",
    precision="fp32",
    engine="torch",
    templates=(),
    images=1000,
    texts=783,
    silhouette=0.314159265,
    seed=0,
    groups=(SEA, UNNAMED),
    errors=(Failure("broken.png", "truncated"),),
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
    """Share, size, words and images of each group; a group that no word fits says so."""
    text = drawn(build_overview_table(RESULT, 100))

    assert "ViT-B-32 · openai · cpu · fp32 · 1,000 images · 2 groups" in text
    assert " 1   75.0%      750   sea, [b]boat[/b]   photos/sea.png" in text
    assert " 2   25.0%      250   none " in text
    assert "0.31" in text


def test_a_narrow_table_shortens_names_and_words() -> None:
    """But no figure; whole names are never shortened."""
    long = dataclasses.replace(SEA, images=(TypicalImage("photos/" + "x" * 80 + ".png", 0.9, 0),))
    result = dataclasses.replace(RESULT, groups=(long,))

    assert "…" in drawn(build_overview_table(result, 80), 80)
    assert max(map(len, drawn(build_overview_table(result, 80), 80).splitlines())) <= 80
    assert long.images[0].image in drawn(build_overview_table(result, 80, whole_names=True), 200)


def test_words_that_do_not_fit_are_left_out_whole() -> None:
    """The best stay, and the words get the room that the names leave; the figures are whole at 60 columns."""
    words = tuple(GroupWord(text, 0.2, 0.1) for text in ("crossword", "maze", "tic-tac-toe", "chessboard"))
    result = dataclasses.replace(RESULT, groups=(dataclasses.replace(SEA, words=words),))
    rows = {width: drawn(build_overview_table(result, width), width).splitlines()[3] for width in (100, 80, 60)}

    assert "crossword, maze, tic-tac-toe, chessboard   photos/sea.png" in rows[100]
    assert "crossword, maze, tic-tac-toe, …   photos/sea.png" in rows[80]
    assert rows[60].split() == ["1", "75.0%", "750", "crossword,", "…", "photos/sea.png"]


def test_one_group_is_explained() -> None:
    """Its words are the nearest, since there is nothing to hold them against."""
    single = dataclasses.replace(SEA, words=(GroupWord("sea", 0.25, None),))
    result = dataclasses.replace(RESULT, silhouette=None, groups=(single,))

    assert "The words are the nearest of 783 texts" in " ".join(drawn(build_overview_table(result, 100)).split())
    assert "750 images, 75.0%: sea" in parse_page(format_overview_page(result, {})).text


def test_page() -> None:
    """A section a group, its words in the line below its name, its images with their thumbnails."""
    page = parse_page(format_overview_page(RESULT, {"photos/sea.png": b"RIFF"}))
    sea, unnamed = page.find("section", class_="group")

    assert page.find("h1")[0].text == "2 groups in 1,000 images"
    assert sea.find("h2")[0].text == "1. sea"
    assert "750 images, 75.0%: sea +0.071 · [b]boat[/b] +0.050" in sea.text
    assert [len(entry.find("img")) for entry in sea.find("li")] == [1, 0]
    assert unnamed.find("h2")[0].text == "2. Group"
    assert "no word fits it better than the rest" in unnamed.text
    assert "broken.png" in page.text


def test_names_and_words_are_escaped() -> None:
    """They are text on the page, and have no effect on it or on a terminal."""
    images = tuple(TypicalImage(name, 0.5, 0) for name in HOSTILE_NAMES)
    words = tuple(GroupWord(name, 0.2, 0.1) for name in HOSTILE_NAMES)
    result = dataclasses.replace(RESULT, groups=(ImageGroup(9, 1.0, words, images),))
    page = parse_page(format_overview_page(result, {}))

    for name in HOSTILE_NAMES:
        assert printable(name).rpartition("/")[2] in page.text
    assert "\x1b" not in drawn(build_overview_table(result, 400, whole_names=True), 2000)


def test_preview() -> None:
    """The images in the terminal, below the words of their group."""
    text = drawn(build_preview_overview(RESULT, {}, HalfBlocks, 100))

    assert "1. 75.0%, 750 images: sea, [b]boat[/b]" in text
    assert "photos/wave.png" in text or "wave.png" in text


def test_json() -> None:
    """Seven significant digits; None where there is nothing to say."""
    record = RESULT.to_dict()

    assert record["schema"] == "clipsim.overview/1"
    assert record["silhouette"] == 0.3141593
    assert record["groups"][0]["words"][0] == {"text": "sea", "similarity": 0.25, "difference": 0.0712345}
    assert record["groups"][0]["images"][1] == {"image": "photos/wave.png", "similarity": 0.8, "index": 5}
    assert list(record)[-2:] == ["errors", "warnings"]
