"""Tests for `tasks.rank`: its progress, and how it ends. What it computes is in tests/api/test_calls.py."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import Machine

from clipsim.embedding.embedder import Embedder
from clipsim.errors import NoInputError
from clipsim.inputs.arguments import make_sources
from clipsim.options import ModelOptions, RunOptions
from clipsim.tasks.progress import Progress
from clipsim.tasks.rank import RankRequest, make_text_vectors, run, score


@pytest.fixture
def embedder(machine: Machine) -> Embedder:
    """Two images a batch."""
    return Embedder(ModelOptions("clipsim-mini"), RunOptions(batch_size=2, cache=False))


def test_progress(embedder: Embedder, colours: Path) -> None:
    """The model first, then the images a batch at a time, each failure once; notices that are known by then."""
    names = [str(colours / name) for name in ("red.png", "nope.png", "green.png")]
    request = RankRequest.check(list(make_sources(names)), ["red", "blue", "red"])
    steps: list[Progress] = []
    with embedder:
        result = run(embedder, request, steps.append)

    stages = [(step.stage, step.done, step.total) for step in steps]
    assert stages == [("loading the model", 0, None), ("ranking", 0, 3), ("ranking", 2, 3), ("ranking", 3, 3)]
    assert [failure for step in steps for failure in step.failures] == list(result.errors)
    assert {notice for step in steps for notice in step.notices} == set(result.warnings)


@pytest.mark.parametrize("stage", ["loading the model", "ranking"])
def test_what_progress_raises_ends_the_task(embedder: Embedder, colours: Path, stage: str) -> None:
    """No thread is left that decodes, and the embedder can be used again."""
    request = RankRequest.check(list(make_sources([str(colours / "red.png")] * 50)), ["red", "blue"])
    before = set(threading.enumerate())

    def cancel(progress: Progress) -> None:
        if progress.stage == stage:
            raise InterruptedError

    with embedder:
        with pytest.raises(InterruptedError):
            run(embedder, request, cancel)
        for thread in set(threading.enumerate()) - before:
            thread.join(60)
        assert not set(threading.enumerate()) - before
        assert len(run(embedder, request).scores) == 50


def test_vectors_that_exist_are_scored_alike(embedder: Embedder, colours: Path) -> None:
    """`score` gives what `run` gives, from the vectors of its texts and images."""
    request = RankRequest.check(list(make_sources(str(colours))), ["red", "RED", "blue"], sort_by="blue")
    with embedder:
        texts = make_text_vectors(embedder, request.texts)
        with closing(embedder.open_pipeline(request.sources)) as pipeline:
            outcomes = [outcome for batch in embedder.embed_images(pipeline) for outcome in batch]
        result = score(embedder, request, texts, outcomes)

        assert result == run(embedder, request)
    assert result.texts == ("red", "blue")
    assert Path(result.images[0]).name == "blue.png"
    assert np.isclose(result.similarity, 1, atol=1e-3).any()


def test_no_images() -> None:
    """An empty list is refused before a model is opened."""
    with pytest.raises(NoInputError, match="no images to rank"):
        RankRequest.check([], ["red"])
