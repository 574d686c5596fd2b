"""Results with made-up scores, for tests of what is printed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from clipsim.results.base import ModelRecord
from clipsim.results.evaluation import DataRecord, EvaluationResult, RunResult
from clipsim.results.rank import ImageScores, RankResult
from clipsim.statistics.classification import measure_classification, predict

# Names with markup, escapes, wide characters, a change of direction, and bytes that are not UTF-8.
NASTY_NAMES = [
    "[red]x[/red].png",
    "a\x1b[2Jb\n.png",
    "猫の写真.png",
    "😀.png",
    "rtl\u202egpj.exe",
    "caf\udce9.png",
    "[/]",
]


def make_result(images: Sequence[str], texts: Sequence[str], head: str = "softmax") -> RankResult:
    """A result where image i is best described by text i (modulo their number), with a cosine of 0.35."""
    rng = np.random.default_rng(0)
    scores = []
    for number, image in enumerate(images):
        similarity = rng.uniform(-0.1, 0.3, len(texts)).astype(np.float32)
        similarity[number % len(texts)] = 0.35
        shares = None if len(texts) == 1 and head == "softmax" else np.full(len(texts), 1 / len(texts))
        scores.append(ImageScores(image, similarity, shares, number % len(texts)))
    bias = -10.0 if head == "sigmoid" else None
    model = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, bias, head)
    return RankResult(
        model=model,
        device="cpu",
        precision="fp32",
        engine="torch",
        templates=(),
        texts=tuple(texts),
        scores=tuple(scores),
    )


def make_scores(image: str) -> ImageScores:
    """The scores of one image against two texts, the second of which is its best."""
    return ImageScores(image, np.array([0.25, 0.3], np.float32), np.array([0.1, 0.9]), 1)


def make_run(labels: Sequence[str], truth: Sequence[int], taken: Sequence[int], name: str = "one") -> RunResult:
    """A run that takes image i, whose label is the `truth[i]`th, for the `taken[i]`th."""
    predictions = []
    for number, (label, best) in enumerate(zip(truth, taken, strict=True)):
        similarity = np.full(len(labels), 0.1, np.float32)
        similarity[best] = 0.3 + number / 100
        shares = np.full(len(labels), 1 / len(labels))
        predictions.append(predict(f"folder/{number}.png", similarity, shares, label))
    model = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax")
    found = measure_classification(predictions, labels, top_k=[1])
    return RunResult(
        name, model, "cpu", "fp32", "torch", None, (), 1.5, 20.0, found.metrics, {"rank": ()},
        found.per_class, found.confusion, found.confused, found.contradicted,
    )  # fmt: skip


def make_evaluation(*runs: RunResult, task: str = "classify", **fields: object) -> EvaluationResult:
    """The result of these runs."""
    labels = tuple(record.label for record in runs[0].per_class)
    data = DataRecord("folders", 4, labels if labels else None, None if labels else 9, "ab12" * 16, 0, None, {})
    result = EvaluationResult(task=task, data=data, images=(), results=runs, comparisons=())
    return dataclasses.replace(result, **fields)  # type: ignore[arg-type]
