"""Tests of `render.duplicates_page`: groups of pictures that are alike."""

from __future__ import annotations

from pages import HOSTILE_NAMES, parse_page

from clipsim.errors import printable
from clipsim.render.search_page import format_duplicates_page
from clipsim.results.rank import ModelRecord
from clipsim.results.search import DuplicateGroup, DuplicateImage, DuplicatesResult

MODEL = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax")
COPIES = DuplicateGroup(True, (DuplicateImage("a.png", 1.0, 40, 30), DuplicateImage("b.png", 1.0, 40, 30)))
ALIKE = DuplicateGroup(
    False,
    (
        DuplicateImage("c.png", 1.0, 40, 30),
        DuplicateImage("d.png", 0.99, 20, 15, copy_of="c.png", removable=True),
        DuplicateImage("e.png", 0.95, None, None),
    ),
)
RESULT = DuplicatesResult(MODEL, 0.94, 9, (COPIES, ALIKE), (), ())


def test_each_group_has_its_pictures() -> None:
    """The first without a score, the others with their cosine; copies to the byte have none; sizes where known."""
    page = parse_page(format_duplicates_page(RESULT, {"d.png": b"RIFF"}))
    first, second = page.find("section", class_="group")

    assert page.find("h1")[0].text == "2 groups of duplicates in 9 images"
    assert first.find("h2")[0].text == "1. The same bytes"
    assert not first.find("p")
    assert second.find("h2")[0].text == "2. Alike"
    assert [entry.find("bdi", class_="name")[0].text for entry in second.find("li")] == ["c.png", "d.png", "e.png"]
    assert [[score.text for score in entry.find("b")] for entry in second.find("li")] == [[], ["0.9900"], ["0.9500"]]
    assert [note.text.strip() for note in second.find("span", class_="note")] == ["40 × 30", "20 × 15 copy", "alike"]
    assert [len(entry.find("img")) for entry in second.find("li")] == [0, 1, 0]
    assert "cosine over 0.94" in page.find("ul", class_="facts")[0].text


def test_what_does_not_fit_is_said() -> None:
    """Only the first groups are shown."""
    page = parse_page(format_duplicates_page(RESULT, {}, 1))

    assert len(page.find("section", class_="group")) == 1
    assert page.find("h1")[0].text == "2 groups of duplicates in 9 images"
    assert "1 more group would not fit on this page." in page.text


def test_bytes_alone_have_no_model() -> None:
    """Neither has a page without groups anything to show."""
    page = parse_page(format_duplicates_page(DuplicatesResult(None, None, 9, (COPIES,), (), ()), {}))

    assert not page.find("ul", class_="facts")[0].find("li")
    assert "colours run" not in page.text
    empty = parse_page(format_duplicates_page(DuplicatesResult(MODEL, 0.9, 9, (), (), ()), {}))
    assert empty.find("h1")[0].text == "0 groups of duplicates in 9 images"


def test_names_are_text() -> None:
    """They come out as they are."""
    group = DuplicateGroup(False, tuple(DuplicateImage(name, 0.9, 4, 3) for name in HOSTILE_NAMES))
    page = parse_page(format_duplicates_page(DuplicatesResult(MODEL, 0.9, 9, (group,), (), ()), {}))

    assert {printable(name) for name in HOSTILE_NAMES} == {name.text for name in page.find("bdi", class_="name")} - {
        "1. Alike"
    }


def test_a_page_without_groups_says_so() -> None:
    """Not an empty page."""
    page = parse_page(format_duplicates_page(DuplicatesResult(MODEL, 0.94, 1, (), (), ()), {}))

    assert page.find("h1")[0].text == "0 groups of duplicates in 1 image"
    assert page.find("main")[0].find("p")[0].text == "none"
