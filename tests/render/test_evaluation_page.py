"""Tests of `render.evaluation_page`: figures, labels, confusion matrices and images of an evaluation."""

from __future__ import annotations

import dataclasses

import pytest
from made_results import make_evaluation, make_run
from pages import HOSTILE_NAMES, Element, parse_page

from clipsim.errors import Failure, printable
from clipsim.render import evaluation_page
from clipsim.render.evaluation_page import format_evaluation_page
from clipsim.results.evaluation import EvaluationResult
from clipsim.statistics.estimates import Estimate
from clipsim.statistics.paired_tests import Comparison, Difference


def page_of(result: EvaluationResult, thumbnails: dict[str, bytes] | None = None) -> Element:
    """The tree of the page."""
    return parse_page(format_evaluation_page(result, thumbnails or {}))


RUN = make_run(["cat", "dog", "maze"], [0, 0, 1, 2], [0, 1, 1, 0])


def table_after(page: Element, heading: str) -> list[list[str]]:
    """The rows of the table under a heading, as text."""
    (section,) = [part for part in page.find("section") if heading in [title.text for title in part.find("h2")]]
    (table,) = section.find("table")
    return [[cell.text.strip() for cell in row.children] for row in table.find("tr")]


def test_figures_are_those_of_the_terminal() -> None:
    """Value and interval as text, and as a bar from 0 to 100 %; a figure that is no share has no bar."""
    page = page_of(make_evaluation(RUN))
    (table, *_) = page.find("table", class_="plain")
    rows = {row.children[0].text: row.children[1] for row in table.find("tr")[1:]}

    assert rows["top1"].text == "50.0 % (15.0 to 85.0)"
    (track, span, value) = rows["top1"].find("svg")[0].children
    assert float(span.attributes["x"]) == 15.0
    assert float(span.attributes["width"]) == pytest.approx(70.0)
    assert float(value.attributes["x"]) + float(value.attributes["width"]) / 2 == 50.0
    assert float(track.attributes["width"]) == 100
    assert not rows["ece"].find("svg")
    assert rows["runs on"].text == "cpu fp32"
    assert page.find("h1")[0].text == "Evaluation: classify · 4 images · 3 labels"


def test_the_confusion_matrix() -> None:
    """Counts of true labels (rows) and what they are taken for (columns), as dark as their share of the row."""
    page = page_of(make_evaluation(RUN))
    (matrix,) = page.find("table", class_="confusion")
    head, *rows = matrix.find("tr")

    assert [cell.text for cell in head.find("th")[1:]] == ["cat", "dog", "maze"]
    assert [[cell.text for cell in row.children] for row in rows] == [
        ["cat", "1", "1", "0"], ["dog", "0", "1", "0"], ["maze", "1", "0", "0"],
    ]  # fmt: skip
    assert [cell.has("class_", "h10") for cell in rows[0].find("td")] == [True, True, False]
    assert [cell.has("class_", "h20") for cell in rows[2].find("td")] == [True, False, False]
    assert [[cell.has("class_", "right") for cell in row.find("td")].index(True) for row in rows] == [0, 1, 2]


def test_labels_confusions_and_images() -> None:
    """The worst label first; what is taken for what; the contradicted images, with their thumbnails."""
    page = page_of(make_evaluation(RUN), {"folder/3.png": b"RIFF"})

    assert table_after(page, "Labels, the worst first") == [
        ["label", "images", "recall", "precision"],
        ["maze", "1", "0.0 %", "–"],
        ["cat", "2", "50.0 %", "50.0 %"],
        ["dog", "1", "100.0 %", "50.0 %"],
    ]
    assert table_after(page, "Taken for each other most")[1:] == [["cat", "dog", "1"], ["maze", "cat", "1"]]
    first, second = page.find("ol", class_="gallery")[0].find("li")
    assert first.find("img")[0].attributes["src"] == "data:image/webp;base64,UklGRg=="
    assert first.find("bdi", class_="name")[0].text == "folder/3.png"
    assert first.find("span", class_="note")[0].text.split() == ["cat", "(0.3300),", "labelled", "maze", "(0.1000)"]
    assert second.find("span", class_="no-image")


def test_several_runs_stand_side_by_side() -> None:
    """Their figures and recalls in one table, a matrix for each, and their differences."""
    other = make_run(["cat", "dog", "maze"], [0, 0, 1, 2], [0, 0, 1, 2], name="two")
    difference = Comparison("top1", "one", "two", 0, 2, 0.5, Difference(0.5, 0.0, 1.0))
    page = page_of(make_evaluation(RUN, other, comparisons=(difference,)))

    assert [cell.text for cell in page.find("table")[0].find("tr")[0].children] == ["", "one", "two"]
    assert table_after(page, "Differences (b less a)")[1] == [
        "top1", "one", "two", "+50.0 pp (+0.0 to +100.0)", "0", "2", "0.500",
    ]  # fmt: skip
    assert table_after(page, "Labels, the worst first")[0] == ["label", "images", "recall, one", "recall, two"]
    titles = [title.text for title in page.find("h2")]
    assert "Confusion matrix: one" in titles
    assert "Confusion matrix: two" in titles
    assert "Taken for each other most: two" not in titles  # it makes no mistakes


def test_many_labels_have_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says where it is."""
    monkeypatch.setattr(evaluation_page, "MATRIX_LABELS", 2)
    page = page_of(make_evaluation(RUN))

    assert not page.find("table", class_="confusion")
    assert "The confusion matrix of 3 labels is in the JSON" in page.text


@pytest.mark.parametrize("task", ["retrieve", "pairs"])
def test_captions_have_figures_only(task: str) -> None:
    """Neither labels nor images."""
    name = "text_to_image_recall@1" if task == "retrieve" else "cosine"
    run = dataclasses.replace(
        RUN, metrics={name: Estimate(0.5, 0.4, 0.6, 9, "bootstrap")}, per_class=(), confusion=None
    )
    page = page_of(make_evaluation(run, task=task))

    assert len(page.find("table")) == 1
    assert page.find("table")[0].find("tr")[1].children[0].text == name
    assert len(page.find("svg")) == int(task == "retrieve")


def test_names_are_text() -> None:
    """Labels, names of images and of models, and failures come out as they are."""
    labels = HOSTILE_NAMES
    run = make_run(labels, range(len(labels)), [*range(1, len(labels)), 0], name=HOSTILE_NAMES[0])
    failures = (Failure(HOSTILE_NAMES[1], "no such file"),)
    page = page_of(make_evaluation(run, make_run(labels, [0], [1], HOSTILE_NAMES[2]), errors=failures))

    assert {printable(name) for name in labels} <= {label.text for label in page.find("bdi")}
    assert len(page.find("script")) == len(page.find("style")) == 1
    assert not page.find("img")
    assert HOSTILE_NAMES[0] in page.find("table")[0].text
