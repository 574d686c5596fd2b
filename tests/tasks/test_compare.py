"""What changed between two results, of `rank` and of `evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tasks.conftest import MakeModel

import clipsim
from clipsim.errors import DataError, UsageError
from clipsim.results.changes import RankChange, RunChange
from clipsim.statistics.paired_tests import exact_mcnemar, holm

pytestmark = pytest.mark.usefixtures("encoders", "labelled")


def ranked(change: Any) -> RankChange:
    """The change of two rankings."""
    assert isinstance(change, RankChange)
    return change


def evaluated(change: Any) -> RunChange:
    """The change of two runs."""
    assert isinstance(change, RunChange)
    return change


def test_rankings_are_compared_over_what_both_have(make_model: MakeModel) -> None:
    """By the names of images and texts, in whatever order."""
    a = clipsim.rank(["data/red", "data/blue"], ["red", "blue", "grey"])
    b = clipsim.rank(["data/green", "data/blue", "data/red"], ["blue", "red"], model=make_model("dim", dim=True))
    result = clipsim.compare(a, b)
    change = ranked(result.changes[0])

    assert result.kind == "rank"
    assert (change.images, change.texts) == (8, 2)
    assert change.only_a == {"images": (), "texts": ("grey",)}
    assert len(change.only_b["images"]) == 4
    assert change.largest is not None
    assert change.mean is not None
    assert 0 < change.mean < change.largest
    assert {(moved.a, moved.b) for moved in change.best} <= {("blue", "red"), ("grey", "red"), ("grey", "blue")}
    assert any("models differ" in warning for warning in result.warnings)


def test_equal_rankings_differ_in_nothing(tmp_path: Path) -> None:
    """Also when one of them comes from its file."""
    a = clipsim.rank("data", ["red", "blue"])
    (tmp_path / "b.json").write_text(json.dumps(a.to_dict()))
    change = ranked(clipsim.compare(a, "b.json").changes[0])

    assert (change.largest, change.mean, change.best) == (0, 0, ())


def test_other_words_of_a_label_are_told() -> None:
    """The texts are called alike and are not the same."""
    plain = clipsim.rank("data", ["red", "blue"])
    for texts, differ in (({"red": ["red", "crimson"], "blue": "blue"}, True), ({"red": "red", "blue": "blue"}, False)):
        result = clipsim.compare(plain, clipsim.rank("data", texts))
        assert ("the words of some texts differ" in result.warnings) is differ


def test_none_is_a_best_text_too() -> None:
    """An image that lost its best text to a threshold has changed."""
    record = clipsim.rank("data", ["red", "blue"]).to_dict()
    lost = record | {"best": [None, *record["best"][1:]]}
    (moved,) = ranked(clipsim.compare(record, lost).changes[0]).best

    assert (moved.name, moved.a, moved.b) == (record["images"][0], "blue", "none")


def test_only_the_texts_of_both_can_be_the_best() -> None:
    """A text that one of them lacks changes no image's best text, with thresholds neither."""
    a = clipsim.rank("data", ["red", "blue", "green", "maroon"])
    b = clipsim.rank("data", ["blue", "red"])
    moved = {change.name: (change.a, change.b) for change in ranked(clipsim.compare(a, b).changes[0]).best}
    assert moved == {}

    record = a.to_dict()
    green = record["images"].index("data/green/0.png")
    assert record["best"][green] == 2
    limits = [2.0, record["similarity"][1][green], 0.1, 0.1]
    one = record | {"thresholds": limits, "best": [2] * 12}
    other = b.to_dict()
    other |= {"best": [None if image == green else index for image, index in enumerate(other["best"])]}
    (change,) = [
        change for change in ranked(clipsim.compare(one, other).changes[0]).best if change.name == "data/green/0.png"
    ]
    assert (change.a, change.b) == ("blue", "none")
    with pytest.raises(DataError, match="damaged"):
        clipsim.compare(one | {"thresholds": [0.1]}, other)


def test_several_pairs_of_runs_are_corrected_for_their_number() -> None:
    """By Holm, metric by metric, as an evaluation does it."""
    a = clipsim.evaluate("data", template_sets={"one": ["{}"], "two": ["{} thing"]})
    b = clipsim.evaluate("data", template_sets={"one": ["grey {}"], "two": ["blue {}"]})
    changes = list(map(evaluated, clipsim.compare(a, b).changes))
    tested = [change.metrics[0].comparison for change in changes]

    assert all(comparison is not None for comparison in tested)
    p = [comparison.p for comparison in tested if comparison]
    assert [comparison.p_holm for comparison in tested if comparison] == holm(p)
    single = evaluated(clipsim.compare(clipsim.evaluate("data"), clipsim.evaluate("data")).changes[0])
    assert single.metrics[0].comparison is not None
    assert single.metrics[0].comparison.p_holm is None


def test_scores_of_two_models_are_not_tested(make_model: MakeModel) -> None:
    """Their scales differ, which a warning says; the values are there."""
    Path("t.csv").write_text("image,caption\ndata/red/0.png,red\ndata/green/0.png,green\n")
    a = clipsim.evaluate("t.csv", task="pairs")
    b = clipsim.evaluate("t.csv", task="pairs", models=make_model("dim", dim=True))
    result = clipsim.compare(a, b)

    assert all(metric.comparison is None for metric in evaluated(result.changes[0]).metrics)
    assert all(metric.a is not None and metric.b is not None for metric in evaluated(result.changes[0]).metrics)
    assert any("different scales, and are not tested" in warning for warning in result.warnings)
    words = clipsim.evaluate("t.csv", task="pairs", templates="a {}")
    same = clipsim.compare(a, words)
    assert [metric.comparison is not None for metric in evaluated(same.changes[0]).metrics] == [True, True, True]
    assert not any("scales" in warning for warning in same.warnings)


def test_evaluations_are_tested_image_by_image(make_model: MakeModel) -> None:
    """Two single models; each metric, the recalls that changed, the pictures that only one gets right."""
    a = clipsim.evaluate("data")
    b = clipsim.evaluate("data", models=make_model("dim", dim=True))
    change = evaluated(clipsim.compare(a, b).changes[0])
    metrics = {metric.metric: metric for metric in change.metrics}

    assert metrics["top1"].comparison is not None
    assert metrics["ece"].comparison is None
    assert metrics["top5"].a is None
    lost = [image for image in change.images if image.a == 1]
    assert len(lost) == metrics["top1"].comparison.only_a > 0
    assert metrics["top1"].comparison.p == exact_mcnemar(len(lost), len(change.images) - len(lost))
    assert all(label.a != label.b for label in change.per_class)
    record = json.loads(json.dumps(clipsim.compare(a, b).to_dict()))
    assert record["schema"] == "clipsim.compare/1"
    assert record["kind"] == "classify"


def test_runs_of_the_same_name_are_compared() -> None:
    """Of several wordings, those in both."""
    a = clipsim.evaluate("data", template_sets={"one": ["{}"], "two": ["blue {}"]})
    b = clipsim.evaluate("data", template_sets={"two": ["{}"], "three": ["{}"]})
    (change,) = map(evaluated, clipsim.compare(a, b).changes)

    assert change.a == change.b == "clipsim-mini [two]"


def test_retrieval_changes_by_the_rank_of_a_picture() -> None:
    """The pictures that find none of their captions any more."""
    Path("t.csv").write_text("image,caption\ndata/red/0.png,red\ndata/green/0.png,green\ndata/blue/0.png,blue\n")
    a = clipsim.evaluate("t.csv")
    record = a.to_dict()
    record["results"][0]["outcomes"]["image_to_text"] = [1, 3, 1]
    change = evaluated(clipsim.compare(a, record).changes[0])

    assert [(image.name, image.a, image.b) for image in change.images] == [("data/green/0.png", 1, 3)]


def test_pairs_are_compared_within_a_model() -> None:
    """Cosines of the same model."""
    Path("t.csv").write_text("image,caption\ndata/red/0.png,red\ndata/blue/0.png,red\n")
    a = clipsim.evaluate("t.csv", task="pairs")
    b = clipsim.evaluate("t.csv", task="pairs", templates="blue {}")
    metrics = {metric.metric: metric for metric in evaluated(clipsim.compare(a, b).changes[0]).metrics}

    assert metrics["cosine"].comparison is not None
    assert (metrics["cosine"].comparison.only_a, metrics["cosine"].comparison.only_b) == (1, 1)


def test_results_that_cannot_be_compared() -> None:
    """One line for each reason."""
    rank, evaluation = clipsim.rank("data", ["red", "blue"]), clipsim.evaluate("data")
    Path("t.csv").write_text("image,label\ndata/red/0.png,red\ndata/blue/0.png,blue\n")
    for a, b, message in (
        (rank, evaluation, "different kinds"),
        (evaluation, clipsim.evaluate("t.csv"), "other images or labels"),
        (rank, clipsim.rank("data", "green"), "no text in common"),
        (rank, clipsim.rank("data/red/0.png", "red").to_dict() | {"images": ["x"]}, "no image in common"),
        ({"schema": "clipsim.search/1"}, rank, "its schema is 'clipsim.search/1'"),
        (
            evaluation.to_dict() | {"schema": "clipsim.evaluate/2"},
            evaluation,
            "another version .* reads 'clipsim.evaluate/1'",
        ),
        ("nowhere.json", rank, "nowhere.json: cannot read it"),
    ):
        with pytest.raises(DataError, match=message) as error:
            clipsim.compare(a, b)
        assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="not int"):
        clipsim.compare(3, rank)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["images", "texts", "similarity", "best", "model", "templates"])
@pytest.mark.parametrize("value", [None, 3, [None], [[1, 2]], [9], "x"])
def test_damaged_results_are_refused(field: str, value: object) -> None:
    """Whatever is wrong in them."""
    record = clipsim.rank("data/red/0.png", ["red", "blue"]).to_dict()
    broken = record | {field: value}
    if field == "best" and value == [None]:
        assert clipsim.compare(record, broken).changes
        return
    with pytest.raises(DataError):
        clipsim.compare(record, broken)
