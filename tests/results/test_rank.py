"""Tests of `results.rank`: equality, hashes, arrays, `repr`, JSON and the overview of results."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from made_results import make_result

from clipsim.errors import Failure, round_significant
from clipsim.results.base import ModelRecord
from clipsim.results.rank import ImageScores, Overview, RankResult, Score

MODEL = ModelRecord("ViT-B-32", "openai", 512, 224, 100.00000762939453, None, "softmax")


def scores_of(image: str, *similarity: float, probabilities: tuple[float, ...] | None = None) -> ImageScores:
    """A record with arrays of its own."""
    shares = None if probabilities is None else np.array(probabilities)
    cosines = np.array(similarity, np.float32)
    return ImageScores(image, cosines, shares, int(cosines.argmax()))


def result_of(*scores: ImageScores, **changes: Any) -> RankResult:
    """A result with arrays of its own."""
    fields: dict[str, Any] = {
        "model": MODEL,
        "device": "cpu",
        "precision": "fp32",
        "engine": "torch",
        "templates": (),
        "texts": ("maze", "cat"),
        "scores": scores,
        "errors": (Failure("b.png", "no such file"),),
        "warnings": ("a warning",),
    }
    return RankResult(**fields | changes)


def usual_result(**changes: Any) -> RankResult:
    """Two images, two texts."""
    return result_of(
        scores_of("a.png", 0.29314836859703064, 0.1987, probabilities=(0.99992, 0.00008)),
        scores_of("c.png", 0.1, 0.2, probabilities=(0.25, 0.75)),
        **changes,
    )


def test_equal_results_are_equal_and_hash_equally() -> None:
    """Arrays of the same numbers are equal, though they are not the same arrays."""
    assert usual_result() == usual_result()
    assert hash(usual_result()) == hash(usual_result())
    assert len({usual_result(), usual_result(), usual_result(device="cuda")}) == 2


@pytest.mark.parametrize(
    "other",
    [
        scores_of("b.png", 0.3, 0.2, probabilities=(0.9, 0.1)),
        scores_of("a.png", 0.3, 0.25, probabilities=(0.9, 0.1)),
        scores_of("a.png", 0.3, 0.2, probabilities=(0.8, 0.2)),
        scores_of("a.png", 0.3, 0.2),
        scores_of("a.png", 0.3, 0.2, 0.1, probabilities=(0.9, 0.1, 0.0)),
        ("a.png", (0.3, 0.2), (0.9, 0.1), 0),
    ],
    ids=["image", "similarity", "probabilities", "no probabilities", "more texts", "tuple"],
)
def test_a_difference_in_any_part_makes_records_differ(other: object) -> None:
    """The name, every number and the type count."""
    scores = scores_of("a.png", 0.3, 0.2, probabilities=(0.9, 0.1))

    assert scores != other
    assert scores == scores_of("a.png", 0.3, 0.2, probabilities=(0.9, 0.1))


def test_records_without_probabilities_can_be_compared() -> None:
    """With one text there are none."""
    assert result_of(scores_of("a.png", 0.3)) == result_of(scores_of("a.png", 0.3))
    assert hash(scores_of("a.png", 0.3)) == hash(scores_of("a.png", 0.3))


def test_the_arrays_of_a_record_are_read_only_copies() -> None:
    """Neither the record's reader nor the owner of the original arrays can change a record that was hashed."""
    cosines = np.array([[0.3], [0.2]], np.float32)
    shares = np.array([[0.9], [0.1]])
    scores = ImageScores("a.png", cosines[:, 0], shares[:, 0], 0)
    before = hash(scores)

    assert scores.probabilities is not None
    for array in (scores.similarity, scores.probabilities):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    cosines[0, 0] = shares[0, 0] = 0.5  # the caller's arrays stay writable
    assert hash(scores) == before
    assert scores == scores_of("a.png", 0.3, 0.2, probabilities=(0.9, 0.1))


def test_the_matrices_of_a_result_are_read_only() -> None:
    """Texts are rows, images are columns."""
    result = usual_result()

    assert result.probabilities is not None
    assert result.similarity.tolist() == [
        [pytest.approx(0.29314836859703064), pytest.approx(0.1)],
        [pytest.approx(0.1987), pytest.approx(0.2)],
    ]
    assert result.probabilities.tolist() == [[0.99992, 0.25], [0.00008, 0.75]]
    assert (result.images, result.best) == (("a.png", "c.png"), (0, 1))
    for matrix in (result.similarity, result.probabilities):
        with pytest.raises(ValueError, match="read-only"):
            matrix[0, 0] = 1.0


def test_a_result_without_images() -> None:
    """The matrix keeps its rows."""
    result = result_of()

    assert result.similarity.shape == (2, 0)
    assert result.probabilities is None
    assert result.best == ()


def test_a_repr_is_one_short_line() -> None:
    """A thousand images with a thousand texts are not printed in an interpreter."""
    many = [scores_of(f"{number}.png", *([0.1] * 1000)) for number in range(1000)]
    result = result_of(*many, texts=tuple(map(str, range(1000))))

    assert repr(result) == "RankResult(model='ViT-B-32/openai', texts=1000, images=1000, errors=1)"
    assert repr(many[7]) == "ImageScores(image='7.png', texts=1000, best=0)"
    local = ModelRecord("/models/own", None, 16, 32, 1.0, None, "softmax")
    assert repr(result_of(model=local)) == "RankResult(model='/models/own', texts=2, images=0, errors=1)"


def test_the_scores_of_an_image_best_first() -> None:
    """Equal cosines keep the order of the texts; `top` limits the number."""
    scores = scores_of("a.png", 0.25, 0.5, 0.25, probabilities=(0.2, 0.6, 0.2))

    assert scores.order() == [1, 0, 2]
    assert scores.ranked(["x", "y", "z"], top=2) == [Score("y", 0.5, 0.6), Score("x", 0.25, 0.2)]
    assert scores_of("a.png", 0.25).ranked(["x"]) == [Score("x", 0.25, None)]


def test_a_result_as_json() -> None:
    """The object of the contract, its numbers to seven significant digits."""
    record = usual_result().to_dict()

    assert record == {
        "schema": "clipsim.rank/1",
        "model": {
            "name": "ViT-B-32",
            "pretrained": "openai",
            "embed_dim": 512,
            "image_size": 224,
            "logit_scale": 100.0,
            "logit_bias": None,
            "head": "softmax",
            "preprocess": {},
        },
        "device": "cpu",
        "precision": "fp32",
        "engine": "torch",
        "templates": [],
        "texts": ["maze", "cat"],
        "images": ["a.png", "c.png"],
        "indices": [None, None],
        "similarity": [[0.2931484, 0.1], [0.1987, 0.2]],
        "probabilities": [[0.99992, 0.25], [8e-05, 0.75]],
        "best": [0, 1],
        "errors": [{"path": "b.png", "error": "no such file", "index": None}],
        "warnings": ["a warning"],
    }
    assert json.loads(json.dumps(record)) == record  # plain values only


def test_a_result_without_probabilities_as_json() -> None:
    """They are null, in the shape of the matrix; a bias has seven digits too."""
    model = ModelRecord("ViT-B-16-SigLIP", "webli", 768, 224, 117.33079528808594, -12.932437896728516, "sigmoid")
    record = result_of(scores_of("a.png", 0.3), texts=("maze",), model=model).to_dict()

    assert record["probabilities"] == [[None]]
    assert record["model"]["logit_scale"] == 117.3308
    assert record["model"]["logit_bias"] == -12.93244


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(1 / 3, 0.3333333), (-1 / 3, -0.3333333), (123456789.0, 123456800.0), (1.23456789e-12, 1.234568e-12), (0.0, 0.0)],
)
def test_numbers_are_rounded_to_seven_significant_digits(value: float, rounded: float) -> None:
    """Digits count from the first that is not zero."""
    assert round_significant(value) == rounded


def test_how_often_each_text_is_the_best() -> None:
    """Every image is counted once, and a text that no image is for counts zero."""
    overview = Overview.of(make_result([f"{number}.png" for number in range(5)], ["a", "b", "c"]))

    assert overview.best_counts == (2, 2, 1)
    assert Overview.of(make_result(["a.png"], ["a", "b"])).best_counts == (1, 0)


def test_the_range_of_all_cosines() -> None:
    """The lowest and the highest of the whole matrix."""
    result = make_result([f"{number}.png" for number in range(5)], ["a", "b", "c"])
    overview = Overview.of(result)

    assert overview.high == pytest.approx(0.35)
    assert overview.low == float(result.similarity.min())


def test_the_overview_of_a_result_without_images() -> None:
    """Has a range all the same."""
    assert Overview.of(make_result([], ["a"])) == Overview((0,), 0, 0.0, 0.0)
