"""Tests of `render.rank_page`: every score can be read, in a heat map, in lists or in a gallery, best first."""

from __future__ import annotations

import dataclasses

import pytest
from made_results import make_result
from pages import Element, parse_page

from clipsim.errors import Failure
from clipsim.render.rank_page import LISTED_TEXTS, MATRIX_TEXTS, format_rank_page, format_top_images_page
from clipsim.results.rank import RankResult

THUMBNAIL = b"RIFF\x04\x00\x00\x00WEBP"


def page_of(result: RankResult, top: int | None = None) -> Element:
    """The tree of the page."""
    return parse_page(format_rank_page(result, top))


def scores_of(row: Element) -> list[str]:
    """The similarities in a row, in order."""
    return [bold.text for bold in row.find("b")]


def test_a_heat_map_has_a_row_an_image_and_a_column_a_text() -> None:
    """All numbers are there, in the order of texts and images, with the name of each row and column."""
    result = make_result(["a/x.png", "b.png", "c.png"], ["maze", "cat"])
    page = page_of(result)
    (table,) = page.find("table", id="scores")
    head, *rows = table.find("tr")

    assert [cell.text for cell in head.find("th")] == ["image", "maze", "cat"]
    assert [row.find("th", class_="image")[0].text for row in rows] == ["a/x.png", "b.png", "c.png"]
    assert [scores_of(row) for row in rows] == [
        [f"{value:.4f}" for value in image.similarity] for image in result.scores
    ]
    assert [cell.text for cell in rows[0].find("span", class_="share")] == ["50.0%", "50.0%"]
    assert [cell.attributes["data-label"] for cell in rows[0].find("td")] == ["maze", "cat"]


def test_colours_run_from_the_lowest_to_the_highest() -> None:
    """The highest score of the page has the strongest colour, the lowest none; the scale is shown with its ends."""
    result = make_result(["a.png", "b.png", "c.png"], ["maze", "cat", "dog"])
    page = page_of(result)
    cells = page.find("table", id="scores")[0].find("td")
    values = [float(cell.find("b")[0].text) for cell in cells]

    levels = [int(next(name[1:] for name in cell.attributes["class"].split() if name[0] == "h")) for cell in cells]
    assert [level for _, level in sorted(zip(values, levels, strict=True))] == sorted(levels)
    assert (min(levels), max(levels)) == (0, 20)
    assert f"{min(values):.4f}" in page.find("div", id="legend")[0].text
    assert "0.3500: colours run" in page.find("div", id="legend")[0].text


def test_the_best_text_is_marked_and_counted() -> None:
    """One cell an image; how many images each text is the best of, most first."""
    page = page_of(make_result([f"{number}.png" for number in range(5)], ["maze", "cat", "dog"]))
    rows = page.find("table", id="scores")[0].find("tr")[1:]

    assert [[cell.has("class_", "best") for cell in row.find("td")].index(True) for row in rows] == [0, 1, 2, 0, 1]
    assert [row.attributes["data-best"] for row in rows] == ["0", "1", "2", "0", "1"]
    entries = page.find("section", id="bests")[0].find("li")
    assert [(entry.find("bdi")[0].text, entry.find("b")[0].text) for entry in entries] == [
        ("maze", "2"), ("cat", "2"), ("dog", "1"),
    ]  # fmt: skip


def test_a_single_text_has_no_best_and_no_probability() -> None:
    """Nothing is marked or counted, and the page says why there is no probability."""
    page = page_of(make_result(["a.png", "b.png"], ["maze"]))

    assert not page.find("section", id="bests")
    assert not page.find("td", class_="best")
    assert not page.find("span", class_="share")
    assert "a single text has no probability" in page.find("div", id="legend")[0].text


def test_many_texts_are_a_list_for_each_image() -> None:
    """Best first; those that are folded away are in the page all the same, in their places."""
    texts = [f"text {number}" for number in range(MATRIX_TEXTS + 8)]
    result = make_result(["a.png", "b.png"], texts)
    page = page_of(result)
    row = page.find("table", id="scores")[0].find("tr")[1]

    entries = row.find("li")
    assert [entry.find("bdi")[0].text for entry in entries] == [score.text for score in result.scores[0].ranked(texts)]
    assert scores_of(row) == [f"{score.similarity:.4f}" for score in result.scores[0].ranked(texts)]
    (folded,) = row.find("details")
    assert folded.find("summary")[0].text == f"{len(texts) - LISTED_TEXTS} more texts"
    assert folded.find("ol")[0].attributes["start"] == str(LISTED_TEXTS + 1)


def test_top_keeps_the_best_texts() -> None:
    """As a list, with the others left out, which the page says."""
    result = make_result(["a.png", "b.png", "c.png"], ["maze", "cat", "dog"])
    page = page_of(result, 2)

    for row, image in zip(page.find("table", id="scores")[0].find("tr")[1:], result.scores, strict=True):
        assert [entry.find("bdi")[0].text for entry in row.find("li")] == [
            result.texts[index] for index in image.order(2)
        ]
    assert "Only the best 2 texts of each image are shown." in page.text


def test_thumbnails_are_in_the_page() -> None:
    """As data URIs; an image without one has an empty place."""
    result = make_result(["a.png", "b.png"], ["maze", "cat"])
    first = dataclasses.replace(result.scores[0], thumbnail=THUMBNAIL)
    page = page_of(dataclasses.replace(result, scores=(first, result.scores[1])))

    assert [image.attributes["src"] for image in page.find("img")] == ["data:image/webp;base64,UklGRgQAAABXRUJQ"]
    assert len(page.find("span", class_="no-image")) == 1


def test_notices_and_failures_are_in_the_page() -> None:
    """So that a colleague knows what the numbers do not cover."""
    result = make_result(["a.png"], ["maze", "cat"])
    failures = (Failure("<b>.png", "no such file"), Failure("c.png", "an empty file"))
    page = page_of(dataclasses.replace(result, errors=failures, warnings=("counted once: 'cat'",), templates=("a {}",)))

    (errors,) = page.find("details", class_="errors")
    assert errors.find("summary")[0].text == "2 inputs could not be used"
    assert [entry.text for entry in errors.find("li")] == ["<b>.png: no such file", "c.png: an empty file"]
    assert page.find("ul", class_="notes")[0].text.strip() == "counted once: 'cat'"
    assert "template a {}" in page.find("ul", class_="facts")[0].text


def test_what_it_was_computed_with_is_in_the_page() -> None:
    """Model, weights, device, precision and engine."""
    facts = page_of(make_result(["a.png"], ["maze", "cat"])).find("ul", class_="facts")[0].find("li")

    assert [fact.text for fact in facts] == [
        "model ViT-B-32", "weights openai", "device cpu", "precision fp32", "engine torch",
    ]  # fmt: skip


@pytest.mark.parametrize(("images", "sections"), [(1, 1), (50, 1), (51, 2), (120, 3)])
def test_rows_are_in_sections(images: int, sections: int) -> None:
    """Which a browser lays out only when they are in sight."""
    page = page_of(make_result([f"{number}.png" for number in range(images)], ["maze", "cat"]))

    bodies = page.find("tbody")
    assert len(bodies) == sections
    assert sum(len(body.find("tr")) for body in bodies) == images
    assert page.find("h1")[0].text == f"{images} image{'' if images == 1 else 's'} against 'maze', 'cat'"


def test_an_image_without_a_text_that_reaches_its_threshold() -> None:
    """Is marked as none, counted as none, and can be chosen as none; no cell of it is the best."""
    result = make_result(["a.png", "b.png"], ["maze", "cat"])
    nothing = dataclasses.replace(result.scores[1], best=None)
    page = page_of(dataclasses.replace(result, scores=(result.scores[0], nothing), thresholds=(0.3, 0.36)))
    rows = page.find("table", id="scores")[0].find("tr")[1:]

    assert [row.attributes["data-best"] for row in rows] == ["0", "none"]
    assert [len(row.find("td", class_="best")) for row in rows] == [1, 0]
    assert [[mark.text for mark in row.find("span", class_="none")] for row in rows] == [[], ["★ none"]]
    entries = page.find("section", id="bests")[0].find("li")
    assert [entry.text for entry in entries] == ["maze 1", "none 1", "cat 0"]
    assert page.find("select", id="best")[0].find("option", value="none")
    assert "those that reach their thresholds" in page.find("div", id="legend")[0].text


def test_the_best_images_of_each_text() -> None:
    """A group a text, in the order of the texts, with rank, similarity, probability and name."""
    result = make_result(["a/x.png", "b.png", "c.png"], ["maze", "cat"])
    page = parse_page(format_top_images_page(result, 2))
    groups = page.find("section", class_="group")

    assert [group.find("h2")[0].text for group in groups] == ["maze", "cat"]
    for row, group in enumerate(groups):
        expected = result.top_images(row, 2)
        entries = group.find("li")
        assert [entry.find("bdi")[0].text for entry in entries] == [image.image for image in expected]
        assert [entry.find("b")[0].text for entry in entries] == [f"{image.similarity[row]:.4f}" for image in expected]
        assert [entry.find("p")[0].find("span")[0].text for entry in entries] == ["1", "2"]
        assert entries[0].find("span", class_="share")[0].text == "50.0%"
    assert page.find("h1")[0].text == "The best 2 images of 3 for 'maze', 'cat'"


def test_fewer_images_than_asked_for() -> None:
    """All there are, and the title counts those."""
    page = parse_page(format_top_images_page(make_result(["a.png"], ["maze"]), 9))

    assert len(page.find("section", class_="group")[0].find("li")) == 1
    assert page.find("h1")[0].text == "The best 1 image of 1 for 'maze'"


def test_a_page_without_images_says_so() -> None:
    """Not a table of nothing."""
    page = page_of(make_result([], ["maze", "cat"]))

    assert page.find("main")[0].find("p")[0].text == "No image could be used."
    assert not page.find("table")
    assert not page.find("form")
