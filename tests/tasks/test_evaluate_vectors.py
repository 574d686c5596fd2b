"""Evaluations of a folder that `embed` wrote: the figures of the images, without reading them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tasks.conftest import MakeModel, NamedEncoder

import clipsim
from clipsim.errors import ClipsimError, DataError, DatasetError, UsageError

pytestmark = pytest.mark.usefixtures("encoders", "labelled")
FIGURES = ("top1", "mean_class_recall")


@pytest.fixture(autouse=True)
def vectors(labelled: Path, encoders: dict[str, NamedEncoder]) -> None:
    """The images in a table with a label, tags and a caption, in shards of five, as float32."""
    lines = ["image,label,tags,caption"]
    for colour in ("red", "green", "blue"):
        lines += [f"data/{colour}/{number}.png,{colour},{colour}|thing,a {colour} thing" for number in range(4)]
    Path("t.csv").write_text("\n".join(lines) + "\n")
    clipsim.embed("t.csv", "vectors", dtype="fp32", shard_size=5)


def test_the_figures_are_those_of_the_images(decoded: list[int]) -> None:
    """Of labels, of several labels and of captions; no image is decoded, and none need be there."""
    for task, column in (("classify", None), ("multilabel", "tags"), ("retrieve", None)):
        images = clipsim.evaluate("t.csv", task=task, label_column=column)
        decoded.clear()
        stored = clipsim.evaluate("vectors", task=task, label_column=column, cache=False)

        assert decoded == []
        assert stored.images == images.images
        assert stored.data.digest == images.data.digest
        for name, estimate in images.results[0].metrics.items():
            other = stored.results[0].metrics[name]
            assert (estimate is None) == (other is None)
            assert estimate is None or other is None or other.value == pytest.approx(estimate.value, abs=1e-6)
    for image in Path("data").rglob("*.png"):
        image.unlink()
    assert clipsim.evaluate("vectors", baseline=clipsim.evaluate("vectors")).comparisons[0].p == 1


def test_images_are_chosen_by_their_names() -> None:
    """Their positions are those in the data set."""
    result = clipsim.evaluate("vectors", exclude="data/red/*")

    assert result.indices == tuple(range(4, 12))
    assert result.results[0].images_per_second is None


def test_what_cannot_be_measured(make_model: MakeModel) -> None:
    """One line for each."""
    with pytest.raises(UsageError, match="models: a data set has the vectors of one model"):
        clipsim.evaluate("vectors", models=["clipsim-mini", make_model("other")])
    with pytest.raises(DatasetError, match="its vectors are from clipsim-mini, not from"):
        clipsim.evaluate("vectors", models=make_model("another"))
    clipsim.embed("data", "bare")
    with pytest.raises(DataError, match="bare: no column 'label'; it has 'image_path'"):
        clipsim.evaluate("bare", task="classify")
    with pytest.raises(ClipsimError, match="no image with a caption in it"):
        clipsim.evaluate("bare")


def test_a_data_set_that_has_grown() -> None:
    """A shard without a column has no labels in it, and its images are named."""
    Path("more.csv").write_text("image,other\ndata/red/0.png,x\n")
    clipsim.embed(["t.csv", "more.csv", "data/red/0.png"], "vectors", dtype="fp32", shard_size=5)
    result = clipsim.evaluate("vectors")

    assert result.data.images == 12
    record = json.loads(json.dumps(result.to_dict()))
    assert all(failure["error"] == "no label" for failure in record["errors"])
