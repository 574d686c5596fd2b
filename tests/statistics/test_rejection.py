"""Pictures of none of the labels: judged by their best cosine, with a threshold that has not seen them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clipsim.errors import ClipsimError
from clipsim.statistics.classification import Prediction, judge_none, measure_classification


def test_the_area_under_the_curve_is_scikit_learns() -> None:
    """Random scores with ties."""
    rng = np.random.default_rng(0)
    best, is_none = rng.integers(0, 12, 80) / 10, rng.random(80) < 0.4
    found = judge_none(best, is_none, name="none", below=0.5, seed=0)

    assert found.auroc == pytest.approx(roc_auc_score(~is_none, best), abs=1e-12)
    assert found.rejected.tolist() == (best < 0.5).tolist()


def test_a_threshold_is_found_where_the_two_kinds_part() -> None:
    """Between the highest of none and the lowest of the others."""
    best = np.array([0.1, 0.12, 0.13, 0.14, 0.15, 0.31, 0.32, 0.33, 0.34, 0.35])
    is_none = np.arange(10) < 5
    found = judge_none(best, is_none, name="none", below=None, seed=0)

    assert found.threshold == pytest.approx(0.23)
    assert found.rejected.tolist() == is_none.tolist()
    assert found.auroc == 1


def test_a_picture_does_not_choose_its_own_threshold() -> None:
    """On scores that say nothing, the judgement is no better than chance; a threshold of all would look better."""
    rng = np.random.default_rng(4)
    gains = []
    for seed in range(60):
        best, is_none = rng.random(40), np.arange(40) % 2 == 0
        found = judge_none(best, is_none, name="none", below=None, seed=seed)
        fitted = (best < found.threshold) == is_none
        gains.append(((found.rejected == is_none).mean(), fitted.mean()))
    judged, fitted_on_all = np.mean(gains, axis=0)

    assert judged == pytest.approx(0.5, abs=0.05)
    assert fitted_on_all > 0.55


def test_too_few_pictures_choose_no_threshold() -> None:
    """Then one must be given."""
    best, is_none = np.linspace(0, 1, 20), np.arange(20) < 3
    with pytest.raises(ClipsimError, match="none_below"):
        judge_none(best, is_none, name="none", below=None, seed=0)
    assert judge_none(best, is_none, name="none", below=0.1, seed=0).rejected.sum() == 2


def test_equal_scores_and_one_kind() -> None:
    """A threshold is found though nothing parts them; without one kind there is no curve."""
    same = judge_none(np.full(12, 0.3), np.arange(12) < 6, name="none", below=None, seed=0)
    assert same.threshold == 0.3
    assert same.auroc == 0.5
    alone = judge_none(np.full(4, 0.3), np.zeros(4, bool), name="none", below=0.2, seed=0)
    assert alone.auroc is None


def test_none_is_a_class_in_all_figures() -> None:
    """It stands first where a picture is rejected, else last."""

    def prediction(label: int, best: int, rank: int | None, similarity: float) -> Prediction:
        own = None if rank is None else similarity - 0.01 * (rank - 1)
        return Prediction("x.png", label, best, rank, similarity, 0.8, own, 0.5)

    predictions = [
        prediction(0, 0, 1, 0.4),  # right
        prediction(1, 0, 2, 0.4),  # wrong
        prediction(0, 0, 1, 0.1),  # rejected
        prediction(2, 1, None, 0.1),  # none, rejected
        prediction(2, 1, None, 0.4),  # none, kept
    ]
    rejection = judge_none(
        np.array([p.similarity for p in predictions]), np.array([p.label == 2 for p in predictions]),
        name="none", below=0.2, seed=0,
    )  # fmt: skip
    found = measure_classification(predictions, ["a", "b"], top_k=(1, 2, 3), rejection=rejection)

    assert found.ranks.tolist() == [1, 2, 2, 1, 3]
    assert found.confusion is not None
    assert found.confusion.tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 1]]
    assert [record.label for record in found.per_class] == ["a", "b", "none"]
    assert found.metrics["top3"] is None
    assert found.metrics["ece"] is not None
    assert found.metrics["ece"].n == 3
    assert {record.best for record in found.contradicted} == {"a", "b", "none"}
