"""Tests of `render.search_page`: the nearest images of each query."""

from __future__ import annotations

from pages import HOSTILE_NAMES, parse_page

from clipsim.errors import Failure, printable
from clipsim.render.search_page import format_search_page
from clipsim.results.rank import ModelRecord
from clipsim.results.search import Match, QueryMatches, SearchResult

MODEL = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax")


def make_search(*queries: QueryMatches, errors: tuple[Failure, ...] = ()) -> SearchResult:
    """The answers to these queries in 1,200 images."""
    return SearchResult(MODEL, "cpu", "fp32", "torch", 1200, queries, errors, ("a notice",))


def matches(*names: str) -> tuple[Match, ...]:
    """Images that are found, each a little farther than the one before."""
    return tuple(Match(place, name, 0.4 - place / 10) for place, name in enumerate(names, start=1))


def test_a_group_for_each_query() -> None:
    """Rank, similarity and name of each image, with its picture; the whole query as the heading."""
    house = QueryMatches("a house", None, ("night",), ("people",), matches("a/x.png", "b.png"))
    page = parse_page(format_search_page(make_search(house, QueryMatches("sea", None, (), (), ())), {"b.png": b"RIFF"}))
    first, second = page.find("section", class_="group")

    assert page.find("h1")[0].text == "2 queries in 1,200 images"
    assert first.find("h2")[0].text == "a house + night − people"
    entries = first.find("li")
    assert [entry.find("bdi")[0].text for entry in entries] == ["a/x.png", "b.png"]
    assert [entry.find("p")[0].text for entry in entries] == ["1 0.3000", "2 0.2000"]
    assert [entry.find("p")[0].has("class_", "h20") for entry in entries] == [True, False]
    assert [len(entry.find("img")) for entry in entries] == [0, 1]
    assert not second.find("li")
    assert "none: no image is near enough" in second.text
    assert page.find("ul", class_="notes")[0].text.strip() == "a notice"


def test_the_image_of_a_query_is_shown() -> None:
    """Beside its name."""
    query = QueryMatches(None, "house.png", (), (), matches("a.png"))
    page = parse_page(format_search_page(make_search(query), {"house.png": b"RIFF"}))

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
