"""Tests for `tasks.tag`: the keywords of images, and which sidecars they go into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Machine
from PIL import Image

from clipsim.embedding.embedder import Embedder
from clipsim.inputs.sources import FileSource, number_sources
from clipsim.options import ModelOptions, RunOptions
from clipsim.tasks.file_plans import FilePlan
from clipsim.tasks.rank import RankRequest
from clipsim.tasks.tag import TagRequest, run
from clipsim.tasks.xmp import EMPTY, add_keywords


@pytest.fixture
def embedder(machine: Machine) -> Iterator[Embedder]:
    """A model of colours."""
    with Embedder(ModelOptions("clipsim-mini"), RunOptions(cache=False)) as embedder:
        yield embedder


def tag(embedder: Embedder, names: list[str], labels: list[str], sidecars: bool = True, **options: Any) -> FilePlan:
    """A plan for files."""
    sources = list(number_sources(FileSource(name) for name in names))
    ranking = RankRequest.check(sources, labels, thresholds=options.pop("thresholds", None))
    return run(embedder, TagRequest(ranking, sidecars, **options))


def test_the_labels_that_fit_become_keywords(embedder: Embedder, colours: Path) -> None:
    """The best alone, or all that are likely enough."""
    Image.new("RGB", (40, 24), (250, 250, 0)).save(colours / "yellow.png")
    names = [str(colours / f"{name}.png") for name in ("red", "yellow")]
    labels = ["red", "lime", "blue"]
    plan = tag(embedder, names, labels, sidecars=False)
    assert [(step.action, step.target, len(step.labels)) for step in plan.result.steps] == [("tag", None, 1)] * 2
    plan = tag(embedder, names, labels, sidecars=False, min_probability=0.3)
    assert [sorted(step.labels) for step in plan.result.steps] == [["red"], ["lime", "red"]]
    plan = tag(embedder, names, labels, sidecars=False, min_probability=0.9)
    assert [len(plan.result.steps), len(plan.result.left)] == [1, 1]


def test_sidecars_are_made_or_merged(embedder: Embedder, colours: Path) -> None:
    """Nothing is written by the plan; an image whose sidecar has the keyword is left."""
    old = add_keywords(EMPTY, ["mine"])
    (colours / "green.png.xmp").write_bytes(old)
    (colours / "blue.png.xmp").write_bytes(add_keywords(EMPTY, ["blue"]))
    names = [str(colours / f"{name}.png") for name in ("red", "green", "blue")]
    plan = tag(embedder, names, ["red", "green", "blue"])

    assert [step.target for step in plan.result.steps] == [f"{name}.xmp" for name in names[:2]]
    assert [operation.before for operation in plan.operations] == [None, old]
    assert [operation.content for operation in plan.operations] == [
        add_keywords(EMPTY, ["red"]),
        add_keywords(old, ["green"]),
    ]
    assert plan.result.left == (names[2],)
    assert not (colours / "red.png.xmp").exists()


def test_a_sidecar_that_cannot_be_merged_is_left(embedder: Embedder, colours: Path) -> None:
    """And named; so is one that is not a file."""
    (colours / "red.png.xmp").write_bytes(b"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>")
    (colours / "green.png.xmp").mkdir()
    (colours / "blue.png.xmp").symlink_to("nowhere")
    plan = tag(embedder, [str(colours / f"{name}.png") for name in ("red", "green", "blue")], ["red", "green", "blue"])
    assert plan.operations == ()
    assert [failure.error for failure in plan.result.errors] == [
        "its sidecar red.png.xmp is left: it has a document type or an entity, which XMP does not",
        "its sidecar green.png.xmp cannot be read: a directory without image files",
        "its sidecar blue.png.xmp cannot be read: a broken symbolic link",
    ]


def test_a_new_sidecar_holds_what_the_image_says_of_itself(embedder: Embedder, tmp_path: Path) -> None:
    """Since programs ignore that once there is a sidecar; what is damaged is left out."""
    packet = add_keywords(EMPTY, ["beach"])
    names = [str(tmp_path / name) for name in ("good.jpg", "damaged.jpg")]
    Image.new("RGB", (40, 24), "red").save(names[0], xmp=packet)
    Image.new("RGB", (40, 24), "red").save(names[1], xmp=b"<torn")
    plan = tag(embedder, names, ["red", "blue"])
    assert [operation.content for operation in plan.operations] == [
        add_keywords(packet, ["red"]),
        add_keywords(EMPTY, ["red"]),
    ]
