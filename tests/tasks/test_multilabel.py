"""Evaluations of images with several labels: what is given to them by which limit, the record, its tables and page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.conftest import MakeModel, NamedEncoder

import clipsim
from clipsim.errors import DataError, UsageError
from clipsim.render.evaluation_page import format_evaluation_page
from clipsim.render.evaluation_table import build_evaluation, explain_figures, explain_tests
from clipsim.tasks.threshold import save_thresholds

pytestmark = pytest.mark.usefixtures("encoders", "labelled")
LABELS = ["blue", "green", "purple", "red"]


@pytest.fixture(autouse=True)
def several(labelled: Path, encoders: dict[str, NamedEncoder]) -> None:
    """A table of the twelve images; red and blue ones are purple too, and one green image is nothing."""
    lines = ["image,labels"]
    for colour in ("red", "green", "blue"):
        for number in range(4):
            label = colour if colour == "green" else f"{colour}|purple"
            lines.append(f"data/{colour}/{number}.png,{'' if (colour, number) == ('green', 3) else label}")
    Path("t.csv").write_text("\n".join(lines) + "\n")


def evaluate(**options: Any) -> clipsim.EvaluationResult:
    """Measure the table."""
    return clipsim.evaluate("t.csv", task="multilabel", **options)


def test_the_record(tmp_path: Path) -> None:
    """The figures, of each label too; an object that JSON can carry."""
    result = evaluate()
    record = json.loads(json.dumps(result.to_dict()))
    (run,) = record["results"]

    assert (record["task"], record["data"]["labels"]) == ("multilabel", LABELS)
    assert list(run["metrics"]) == [
        "map", "map_micro", "f1_micro", "f1_macro", "precision_micro", "recall_micro", "lrap",
    ]  # fmt: skip
    assert set(run["metrics"]["map"]) == {"value", "low", "high", "n", "method"}
    assert [(one["label"], one["n"]) for one in run["per_label"]] == [
        ("blue", 4),
        ("green", 3),
        ("purple", 8),
        ("red", 4),
    ]
    assert set(run["per_label"][0]) == {"label", "n", "average_precision", "precision", "recall", "f1"}
    assert run["per_label"][0]["average_precision"]["n"] == 4
    assert run["decision"]["method"].startswith("of all labels, chosen on the other 4")
    assert record["data"]["chance"] == {"map": pytest.approx(19 / 12 / 4), "map_micro": pytest.approx(19 / 48)}
    assert run["outcomes"]["lrap"].count(None) == 1
    assert "confusion" not in run
    assert "per_label" not in clipsim.evaluate("data").to_dict()["results"][0]
    again = clipsim.EvaluationResult.from_dict(record)
    assert again.to_dict() == record
    assert again.results[0].per_label == result.results[0].per_label


def test_the_scores_are_those_of_rank() -> None:
    """The average precision of a label ranks the images by the cosine that `rank` prints."""
    metrics = pytest.importorskip("sklearn.metrics")
    run, ranked = evaluate().results[0], clipsim.rank("t.csv", LABELS)
    scores = np.round(ranked.similarity.astype(float), 6)
    truth = {"blue": "blue", "red": "red", "green": "green"}
    for record, row in zip(run.per_label, scores, strict=True):
        own = [
            Path(image).parent.name == truth.get(record.label, Path(image).parent.name)
            and not (record.label == "green" and image.endswith("3.png"))
            and not (record.label == "purple" and "green" in image)
            for image in ranked.images
        ]
        assert record.average_precision is not None
        assert record.average_precision.value == pytest.approx(metrics.average_precision_score(own, row), abs=1e-12)


def test_limits_say_which_labels_are_given(tmp_path: Path) -> None:
    """A cosine, a probability, or the threshold of each label."""
    ranked = clipsim.rank("t.csv", LABELS)
    assert ranked.probabilities is not None
    save_thresholds(clipsim.threshold(LABELS, "data", recall=0.5), "limits.json")
    saved = {one["text"]: one["threshold"] for one in json.loads(Path("limits.json").read_text())["thresholds"]}
    shown = np.array(ranked.to_dict()["similarity"])
    limits: list[tuple[dict[str, Any], Any]] = [
        ({"min_similarity": 0.8}, ranked.similarity >= 0.8),
        ({"min_probability": 0.3}, ranked.probabilities >= 0.3),
        ({"thresholds": "limits.json"}, shown >= np.array([[saved[label]] for label in LABELS])),
    ]
    for options, expected in limits:
        run = evaluate(**options).results[0]
        assert run.metrics["precision_micro"] is not None
        assert run.metrics["precision_micro"].n == expected.sum()
        assert run.decision is not None
        assert run.decision.threshold == options.get("min_similarity")
    with pytest.raises(DataError, match="none for the text 'purple'"):
        evaluate(thresholds=clipsim.threshold(["blue", "green", "red"], "data", recall=0.5))
    with pytest.raises(DataError, match="other templates"):
        evaluate(thresholds="limits.json", templates="a {}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "classify", "thresholds": "x.json"}, "thresholds='x.json': goes with the task multilabel"),
        ({"min_probability": 0.5}, "min_probability=0.5: goes with the task multilabel"),
        ({"task": "multilabel", "min_probability": 2}, "not a probability"),
        ({"task": "multilabel", "min_similarity": 0.1, "min_probability": 0.2}, "one limit is enough"),
        ({"task": "multilabel", "none": "x"}, "an image without labels fits none of them"),
        ({"task": "multilabel", "top_k": 1}, "goes with the task classify"),
        ({"task": "multilabel", "caption_column": "x"}, "goes with the tasks retrieve and pairs, not multilabel"),
        ({"folder_labels": "second"}, "folder_labels='second': unknown; choose first, last, path"),
    ],
)
def test_wrong_usage(options: dict[str, Any], message: str) -> None:
    """In one line, before anything is read."""
    with pytest.raises(UsageError, match=message):
        clipsim.evaluate("data", **options)


def test_models_are_compared_by_the_ranking_of_labels(make_model: MakeModel) -> None:
    """Image by image, those with labels; against an earlier result, too."""
    earlier = evaluate()
    Path("earlier.json").write_text(json.dumps(earlier.to_dict()))
    result = evaluate(models=["clipsim-mini", make_model("dim", dim=True)], baseline="earlier.json")

    assert [(one.metric, one.test) for one in result.comparisons] == [("lrap", "sign")] * 3
    assert "images whose labels one of them ranks higher; p: " in explain_tests(result.comparisons)
    assert result.comparisons[0].difference.value == 0
    assert result.comparisons[2].only_a > 0
    changed = clipsim.compare("earlier.json", result.to_dict() | {"results": [result.to_dict()["results"][0]]})
    assert changed.kind == "multilabel"


def test_lines_name_the_labels_that_are_given() -> None:
    """A line an image."""
    from clipsim.embedding.embedder import Embedder
    from clipsim.options import ModelOptions, RunOptions
    from clipsim.tasks.evaluate import run
    from clipsim.tasks.evaluate_request import EvaluationRequest

    lines: list[dict[str, Any]] = []
    request = EvaluationRequest.check("t.csv", task="multilabel", min_similarity=0.9)
    with Embedder(ModelOptions("clipsim-mini"), RunOptions()) as embedder:
        run([embedder], request, write_lines=lines.extend)

    assert len(lines) == 12
    assert set(lines[0]) == {"image", "index", "labels", "predicted", "lrap"}
    assert lines[0]["labels"] == ["red", "purple"]
    assert lines[0]["predicted"] == ["red"]


def test_tables_and_pages_have_the_labels(make_model: MakeModel) -> None:
    """The worst first; of one run all figures, of several the average precisions."""
    for models in (["clipsim-mini"], ["clipsim-mini", make_model("dim", dim=True)]):
        result = evaluate(models=models)
        assert len(build_evaluation(result)) >= 5
        assert "(of all labels, chosen on the other 4 of 5 parts of the images; for use: " in explain_figures(result)
        page = "".join(format_evaluation_page(result, {}))
        assert "multilabel · 12 images · 4 labels" in page
        assert "purple" in page


def test_unusual_labels(tmp_path: Path) -> None:
    """One label alone, numbers, a label of other scripts, many labels, and images none of which has any."""
    rows = [{"image": f"data/red/{number}.png", "label": own} for number, own in enumerate([["猫"], [], ["猫"], [7]])]
    Path("rows.json").write_text(json.dumps(rows))
    result = clipsim.evaluate("rows.json")
    assert result.data.labels == ("7", "猫")
    assert result.results[0].metrics["map"] is not None

    Path("one.json").write_text(json.dumps(rows[:3]))
    one = clipsim.evaluate("one.json")
    assert one.data.labels == ("猫",)
    assert one.results[0].metrics["map"] is not None
    with pytest.raises(UsageError, match="with one label there is no probability"):
        clipsim.evaluate("one.json", task="multilabel", min_probability=0.5)

    Path("many.csv").write_text("".join(f"label {number},red {number}\n" for number in range(3000)))
    Path("wide.json").write_text(json.dumps([{"image": "data/red/0.png", "label": ["label 0", "label 2999"]}]))
    many = clipsim.evaluate("wide.json", labels="many.csv")
    assert len(many.results[0].per_label) == 3000
    assert many.data.images == 1

    Path("none.json").write_text(json.dumps([{"image": "data/red/0.png", "label": []}]))
    with pytest.raises(DataError, match="there is no label"):
        clipsim.evaluate("none.json")
    bare = clipsim.evaluate("none.json", labels={"red": "red", "blue": "blue"})
    assert bare.results[0].metrics["map"] is None
