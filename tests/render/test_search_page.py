"""Tests of `render.search_page`: the nearest images of each query, and groups of images that are alike."""

from __future__ import annotations

from pathlib import Path

from pages import HOSTILE_NAMES, parse_page

from clipsim.errors import Failure, printable
from clipsim.render.search_page import format_duplicates_page, format_search_page
from clipsim.results.base import ModelRecord
from clipsim.results.search import (
    AddedQuery,
    DuplicateGroup,
    DuplicateImage,
    DuplicatesResult,
    Match,
    QueryMatches,
    SearchResult,
)

MODEL = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax")


def make_search(*queries: QueryMatches, errors: tuple[Failure, ...] = ()) -> SearchResult:
    """The answers to these queries in 1,200 images."""
    return SearchResult(
        model=MODEL,
        device="cpu",
        precision="fp32",
        engine="torch",
        searched=1200,
        queries=queries,
        errors=errors,
        warnings=("a notice",),
    )


def matches(*names: str) -> tuple[Match, ...]:
    """Images that are found, each a little farther than the one before."""
    return tuple(Match(place, name, 0.4 - place / 10) for place, name in enumerate(names, start=1))


def test_a_group_for_each_query() -> None:
    """Rank, similarity and name of each image, with its thumbnail; the whole query as the heading."""
    additions = (AddedQuery("night", None, 1.0), AddedQuery("people", None, -1.0))
    house = QueryMatches("a house", None, ("night",), ("people",), matches("a/x.png", "b.png"), 1.0, additions)
    page = parse_page(format_search_page(make_search(house, QueryMatches("sea", None, (), (), ())), {"b.png": b"RIFF"}))
    first, second = page.find("section", class_="group")

    assert page.find("h1")[0].text == "'a house + night − people', 'sea' in 1,200 images"
    assert first.find("h2")[0].text == "a house + night − people"
    entries = first.find("li")
    assert [entry.find("bdi")[0].text for entry in entries] == ["a/x.png", "b.png"]
    assert [entry.find("p")[0].text for entry in entries] == ["1 0.3000", "2 0.2000"]
    assert [entry.find("p")[0].has("class_", "h20") for entry in entries] == [True, False]
    assert [len(entry.find("img")) for entry in entries] == [0, 1]
    assert not second.find("li")
    assert "None of 1,200 images is near enough to this query." in second.text
    assert page.find("ul", class_="notes")[0].text.strip() == "a notice"


def test_the_image_of_a_query_is_shown() -> None:
    """Beside its name; where it is among the images searched, that is said under it."""
    query = QueryMatches(None, "house.png", (), (), (Match(1, "house.png", 1.0, same="file"), *matches("a.png")))
    page = parse_page(format_search_page(make_search(query), {"house.png": b"RIFF"}))

    assert [entry.text.count("same file") for entry in page.find("section", class_="group")[0].find("li")] == [1, 0]

    (heading,) = page.find("section", class_="group")[0].find("h2")
    assert heading.text == "house.png"
    assert len(heading.find("img")) == 1


def test_names_are_text() -> None:
    """Queries, images and failures come out as they are."""
    queries = [QueryMatches(name, None, (), (), matches(*HOSTILE_NAMES)) for name in HOSTILE_NAMES]
    failures = (Failure(HOSTILE_NAMES[0], "no such file"),)
    page = parse_page(format_search_page(make_search(*queries, errors=failures), {}))

    assert {printable(name) for name in HOSTILE_NAMES} == {heading.text for heading in page.find("h2")}
    assert len(page.find("script")) == len(page.find("style")) == 1
    assert not page.find("img")


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
RESULT = DuplicatesResult(model=MODEL, min_similarity=0.94, compared=9, groups=(COPIES, ALIKE))


def test_each_group_has_its_images() -> None:
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
    page = parse_page(
        format_duplicates_page(DuplicatesResult(model=None, min_similarity=None, compared=9, groups=(COPIES,)), {})
    )

    assert not page.find("ul", class_="facts")[0].find("li")
    assert "colours run" not in page.text
    nothing = DuplicatesResult(model=MODEL, min_similarity=0.9, compared=9, groups=())
    empty = parse_page(format_duplicates_page(nothing, {}))
    assert empty.find("h1")[0].text == "0 groups of duplicates in 9 images"


def test_names_in_groups_are_text() -> None:
    """They come out as they are."""
    group = DuplicateGroup(False, tuple(DuplicateImage(name, 0.9, 4, 3) for name in HOSTILE_NAMES))
    page = parse_page(
        format_duplicates_page(DuplicatesResult(model=MODEL, min_similarity=0.9, compared=9, groups=(group,)), {})
    )

    assert {printable(name) for name in HOSTILE_NAMES} == {name.text for name in page.find("bdi", class_="name")} - {
        "1. Alike"
    }


def test_a_page_without_groups_says_so() -> None:
    """Not an empty page."""
    nothing = DuplicatesResult(model=MODEL, min_similarity=0.94, compared=1, groups=())
    page = parse_page(format_duplicates_page(nothing, {}))

    assert page.find("h1")[0].text == "0 groups of duplicates in 1 image"
    assert page.find("main")[0].find("p")[0].text == "No two images are alike; 1 image compared."


def test_files_may_be_removed_and_copies_are_marked(tmp_path: Path) -> None:
    """Only what is a file on this machine has a path; without JavaScript nothing of it is shown."""
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file in files:
        file.touch()
    group = DuplicateGroup(
        False,
        (
            DuplicateImage(str(files[0]), 1.0, 4, 3),
            DuplicateImage(str(files[1]), 0.9, 4, 3, copy_of=str(files[0]), removable=True),
            DuplicateImage("gone.png", 0.9, 4, 3),
        ),
    )
    result = DuplicatesResult(model=MODEL, min_similarity=0.9, compared=9, groups=(group,))
    page = parse_page(format_duplicates_page(result, {}, page_folder=tmp_path))

    tiles = page.find("li")[-3:]
    assert [tile.attributes.get("data-path") for tile in tiles] == [*map(str, files), None]
    assert ["data-copy" in tile.attributes for tile in tiles] == [False, True, False]
    assert [link.attributes["href"] for link in page.find("a", class_="file")] == ["a.png", "b.png"]
    assert "hidden" in page.find("section", id="removal")[0].attributes


def test_a_search_of_nothing_says_so() -> None:
    """Neither queries nor bytes without duplicates are an empty page."""
    assert "No query could be used." in parse_page(format_search_page(make_search(), {})).text
    nothing = DuplicatesResult(model=None, min_similarity=None, compared=2, groups=())
    page = parse_page(format_duplicates_page(nothing, {}))
    assert page.find("main")[0].find("p")[0].text == "No two images have the same bytes; 2 images compared."
