"""Tests for `tasks.sort`: each image gets a place in the folder of its label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Machine
from made_results import make_result
from PIL import Image

from clipsim.embedding.embedder import Embedder
from clipsim.errors import UsageError
from clipsim.inputs.sources import BytesSource, FileSource, number_sources
from clipsim.options import ModelOptions, RunOptions
from clipsim.results.rank import ImageScores
from clipsim.tasks.file_plans import FilePlan
from clipsim.tasks.progress import Progress
from clipsim.tasks.rank import RankRequest
from clipsim.tasks.sort import SortRequest, fitting_labels, name_folders, run


@pytest.fixture
def embedder(machine: Machine) -> Iterator[Embedder]:
    """A model of colours."""
    with Embedder(ModelOptions("clipsim-mini"), RunOptions(cache=False)) as embedder:
        yield embedder


@pytest.fixture
def sources(colours: Path) -> list[Any]:
    """A red, a green and a blue picture, one that does not exist and one in memory."""
    data = (colours / "red.png").read_bytes()
    Image.new("RGB", (40, 24), (140, 130, 120)).save(colours / "grey.png")
    files = [FileSource(str(colours / f"{name}.png")) for name in ("red", "green", "blue", "grey", "gone")]
    return list(number_sources([*files, BytesSource("memory", data)]))


def sort(embedder: Embedder, sources: list[Any], labels: list[str], **options: Any) -> FilePlan:
    """A plan to move them."""
    ranking = RankRequest.check(sources, labels, thresholds=options.pop("thresholds", None))
    return run(embedder, SortRequest(ranking, "move", "to", **options))


def test_images_go_to_their_best_label(embedder: Embedder, sources: list[Any]) -> None:
    """Those without a file are errors, with those that could not be read."""
    plan = sort(embedder, sources, ["red", "blue, as the sea", "green", "grey"])
    steps = {Path(step.source).name: step for step in plan.result.steps}

    assert {name: step.target for name, step in steps.items()} == {
        "red.png": "to/red/red.png",
        "green.png": "to/green/green.png",
        "blue.png": "to/blue, as the sea/blue.png",
        "grey.png": "to/grey/grey.png",
    }
    assert steps["red.png"].labels == ("red",)
    assert steps["red.png"].similarity == pytest.approx(1, abs=1e-3)
    assert 0.3 < (steps["red.png"].probability or 0) < 1
    assert [Path(failure.image).name for failure in plan.result.errors] == ["gone.png", "memory"]
    assert plan.result.model is not None


def test_images_below_the_least_probability_are_left(embedder: Embedder, sources: list[Any]) -> None:
    """And those none of whose labels reaches its threshold."""
    plan = sort(embedder, sources, ["red", "blue", "green"], min_probability=0.9)
    assert [Path(step.source).name for step in plan.result.steps] == ["red.png", "green.png", "blue.png"]
    assert [Path(name).name for name in plan.result.left] == ["grey.png"]


def test_a_least_probability_needs_probabilities(embedder: Embedder, sources: list[Any]) -> None:
    """One label has none; and what is no probability is refused at once."""
    with pytest.raises(UsageError, match="with one label there is no probability; give another label"):
        sort(embedder, sources, ["red"], min_probability=0.5)
    for value in (1.5, -1, float("nan")):
        with pytest.raises(UsageError, match="not a probability"):
            SortRequest(RankRequest.check(sources, ["red"]), "move", "to", value)


def test_failures_of_the_plan_are_not_those_of_the_ranking(embedder: Embedder, sources: list[Any]) -> None:
    """Each is reported once, by whoever finds it."""
    reported: list[Progress] = []
    plan = run(embedder, SortRequest(RankRequest.check(sources, ["red", "blue"]), "copy", "to"), reported.append)
    assert [failure for step in reported for failure in step.failures] == [plan.result.errors[0]]
    assert plan.failures == plan.result.errors[1:]


@pytest.mark.parametrize(
    ("thresholds", "min_probability", "expected"),
    [
        (None, None, [0]),
        ((0.2, 0.2, 0.7), None, [0, 2]),  # in float32, 0.7 is less
        ((0.81, 0.1, 0.7), None, [2, 1]),
        (None, 0.2, [0, 2]),
        ((0.81, 0.1, 0.7), 0.2, [2]),
        ((0.9, 0.9, 0.9), None, []),
        (None, 0.9, []),
    ],
)
def test_the_labels_of_an_image(
    thresholds: tuple[float, ...] | None, min_probability: float | None, expected: list[int]
) -> None:
    """Best first: those that reach their thresholds, as `rank` judges, and are likely enough; else the best alone."""
    image = ImageScores("a.jpg", np.array([0.8, 0.1, 0.7], np.float32), np.array([0.6, 0.1, 0.3]), 0)
    result = replace(make_result(["a.jpg"], ["x", "y", "z"]), scores=(image,), thresholds=thresholds)
    assert fitting_labels(result, image, min_probability) == expected


def test_labels_become_names_of_folders() -> None:
    """That every system takes, different ones for different labels."""
    labels = ["a cat", "a/b", "a\\b", "Tea", "tea", "..", " .x. ", "\x00", "é" * 300, os_reserved := 'a<b>:"|?*']
    names = name_folders(labels)
    assert names[:7] == ["a cat", "a_b", "a_b (2)", "Tea", "tea (2)", "_", "x"]
    assert len(set(names)) == len(labels)
    assert all(len(name.encode()) <= 255 and "/" not in name for name in names)
    assert os_reserved not in names
