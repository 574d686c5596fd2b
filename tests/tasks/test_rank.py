"""Tests for `tasks.rank`: its progress, and how it ends. What it computes is in tests/api/test_calls.py."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import Machine

import clipsim
from clipsim.embedding.embedder import Embedder
from clipsim.errors import NoInputError
from clipsim.inputs.arguments import make_sources
from clipsim.options import ModelOptions, RunOptions
from clipsim.tasks.progress import Progress
from clipsim.tasks.rank import RankRequest, make_text_vectors, run, score
from clipsim.vectors.similarity import unit_rows


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


def test_a_label_has_the_mean_of_its_words(embedder: Embedder) -> None:
    """Of the unit vectors of all its words in all templates, normalised; in whatever blocks they are encoded."""
    templates = ["a {}", "{} there"]
    words = {"warm": ("red", "orange", "yellow"), "cold": ("blue",), "red": ("red",)}
    with embedder:
        labelled = make_text_vectors(embedder, list(words), templates, words=list(words.values()))
        for row, own in enumerate(words.values()):
            features = unit_rows(embedder.embed_texts(own, templates).features).astype(np.float64)
            mean = features.reshape(-1, features.shape[-1]).mean(axis=0)
            assert np.allclose(labelled.vectors[row], mean / np.linalg.norm(mean), atol=1e-6)
        plain = make_text_vectors(embedder, ["blue", "red"], templates)
        assert np.array_equal(labelled.vectors[1:], plain.vectors)

        many = [(f"number {number}", f"red {number}", "blue") for number in range(100)]
        labels = [own[0] for own in many]
        alone = [make_text_vectors(embedder, [own[0]], words=[own]).vectors[0] for own in many]
        assert np.allclose(make_text_vectors(embedder, labels, words=many).vectors, alone, atol=1e-6)


def test_words_that_are_one_to_the_model(embedder: Embedder, colours: Path) -> None:
    """They count once in a label; labels of the same words, in any order, are one label."""
    texts = {"a": ["Red", "red", "blue"], "b": ["blue", "red"], "c": ["green"]}
    request = RankRequest.check(list(make_sources(str(colours))), texts)
    with embedder:
        result = run(embedder, request)
        simple = run(embedder, RankRequest.check(request.sources, {"a": ["red", "blue"], "c": "green"}))
        kept = run(embedder, RankRequest.check(request.sources, texts, deduplicate=False))

    assert result.texts == ("a", "c")
    assert result.words == (("Red", "red", "blue"), ("green",))
    assert np.array_equal(result.similarity, simple.similarity)
    assert "the same to this model as another word of the label, counted once: 'red'" in result.warnings
    assert "the same text to this model, counted once: 'a' and 'b'" in result.warnings
    assert kept.texts == ("a", "b", "c")


def test_results_name_the_labels_and_hold_the_words(colours: Path) -> None:
    """In the record and in JSON, which has no words where every text is its own."""
    texts = {"warm": ["red", "orange"], "cold": ["blue", "navy"]}
    result = clipsim.rank(str(colours), texts, sort_by="cold", model="clipsim-mini")

    assert result.texts == ("warm", "cold")
    assert result.similarity[1].tolist() == sorted(result.similarity[1].tolist(), reverse=True)
    assert result.to_dict()["words"] == [["red", "orange"], ["blue", "navy"]]
    assert result.to_rows()[0]["text"] == "warm"
    assert hash(result) is not None
    plain = clipsim.rank(str(colours), {"red": "red", "blue": ["blue"]}, model="clipsim-mini")
    assert plain == clipsim.rank(str(colours), ["red", "blue"], model="clipsim-mini")
    assert "words" not in plain.to_dict()
    with clipsim.open("clipsim-mini", batch_size=1) as session:
        batches = list(session.rank_batches(str(colours), texts))
    assert {batch.words for batch in batches} == {result.words}
    parts = np.concatenate([batch.similarity for batch in batches], axis=1)
    assert np.allclose(np.sort(parts), np.sort(result.similarity), atol=1e-6)
