"""Tests of `render.gallery_page`: groups of pictures, best first."""

from __future__ import annotations

from pages import parse_page
from results import make_result

from clipsim.render.rank_page import format_top_images_page


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
    assert page.find("h1")[0].text == "The best 2 images of 3 for 2 texts"


def test_fewer_images_than_asked_for() -> None:
    """All there are, and the title counts those."""
    page = parse_page(format_top_images_page(make_result(["a.png"], ["maze"]), 9))

    assert len(page.find("section", class_="group")[0].find("li")) == 1
    assert page.find("h1")[0].text == "The best 1 image of 1 for 1 text"
