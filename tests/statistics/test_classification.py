"""Accuracy, recall, confusion, calibration and images of no label, against scikit-learn and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_score, recall_score, roc_auc_score

from clipsim.errors import ClipsimError
from clipsim.statistics.classification import (
    BINS,
    MAX_CONFUSION_LABELS,
    Classification,
    Prediction,
    error_if_calibrated,
    expected_calibration_error,
    measure_classification,
    predict,
    reject_unlabelled,
)
from clipsim.vectors.similarity import probabilities

NAMES = "abcdefghij"


def measured(similarity: NDArray[np.float32], truth: list[int], top_k: tuple[int, ...] = (1, 2)) -> Classification:
    """The measures of (labels, images) cosines; labels are letters."""
    shares = probabilities(similarity, head="softmax", logit_scale=20.0)
    found = [
        predict(f"{number}.png", column, None if shares is None else shares[:, number], label)
        for number, (column, label) in enumerate(zip(similarity.T, truth, strict=True))
    ]
    return measure_classification(found, NAMES[: len(similarity)], top_k=top_k)


@pytest.fixture
def scores() -> NDArray[np.float32]:
    """Random cosines of 6 labels and 200 images, some of them equal."""
    return (np.random.default_rng(5).integers(-20, 20, (6, 200)) / 40).astype(np.float32)


def test_random_cases_are_scikit_learns(scores: NDArray[np.float32]) -> None:
    """Recall, precision, their mean, the confusion matrix; the labels of classes 4 and 5 have one image and none."""
    truth = np.random.default_rng(6).integers(0, 4, 200)
    truth[17] = 4
    found = measured(scores, truth.tolist())
    best = scores.argmax(axis=0)
    labels = list(range(6))

    assert found.confusion is not None
    assert found.confusion.tolist() == confusion_matrix(truth, best, labels=labels).tolist()
    recalls = recall_score(truth, best, labels=labels, average=None, zero_division=np.nan)
    assert [record.recall for record in found.per_class] == [
        None if np.isnan(value) else pytest.approx(value, abs=1e-12) for value in recalls
    ]
    precisions = precision_score(truth, best, labels=labels, average=None, zero_division=np.nan)
    assert [record.precision for record in found.per_class] == [pytest.approx(value) for value in precisions]
    mean, top1 = found.metrics["mean_class_recall"], found.metrics["top1"]
    assert mean is not None
    assert top1 is not None
    assert top1.value == pytest.approx((best == truth).mean(), abs=1e-12)
    assert mean.value == pytest.approx(np.nanmean(recalls), abs=1e-12)
    present = np.isin(best, truth)
    assert balanced_accuracy_score(truth[present], best[present]) >= 0  # scikit-learn refuses labels never true


def test_ties_go_to_the_first_label(scores: NDArray[np.float32]) -> None:
    """The rank of a label is its place in a stable order, best first."""
    truth = np.random.default_rng(7).integers(0, 6, 200)
    found = measured(scores, truth.tolist())
    order = np.argsort(-scores, axis=0, kind="stable")
    places = [1 + order[:, image].tolist().index(label) for image, label in enumerate(truth)]

    assert found.ranks.tolist() == places
    top2 = found.metrics["top2"]
    assert top2 is not None
    assert top2.value == np.mean([place <= 2 for place in places])


def test_the_calibration_error_is_that_of_scikit_learns_curve() -> None:
    """Each bin's distance, weighted by its images; confidences on the edges of bins belong to the lower bin."""
    rng = np.random.default_rng(8)
    confidence = np.concatenate([rng.random(500), np.linspace(0, 1, BINS + 1), [0.0, 1.0]])
    right = rng.random(len(confidence)) < confidence
    shares, means = calibration_curve(right, confidence, n_bins=BINS, strategy="uniform")
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)
    weights = np.bincount(bins, minlength=BINS)
    expected = (np.abs(shares - means) * weights[weights > 0]).sum() / len(confidence)

    assert expected_calibration_error(confidence.tolist(), right.tolist()) == pytest.approx(expected, abs=1e-12)


def test_the_calibration_error_is_torchmetrics() -> None:
    """The same definition in another library, which computes in float32."""
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(9)
    shares = rng.dirichlet([0.4] * 5, 300)
    truth = rng.integers(0, 5, 300)
    theirs = functional.multiclass_calibration_error(
        torch.tensor(shares), torch.tensor(truth), num_classes=5, n_bins=BINS
    )
    ours = expected_calibration_error(shares.max(axis=1).tolist(), (shares.argmax(axis=1) == truth).tolist())

    assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_a_calibrated_model_has_an_error_too() -> None:
    """By hand: of one answer at 0.5 it is 0.5, of two at 0.5 a quarter, of certain ones none; the seed decides it."""
    assert error_if_calibrated([0.5], seed=0) == 0.5
    assert error_if_calibrated([0.5, 0.5], seed=0) == pytest.approx(0.25, abs=0.03)
    assert error_if_calibrated([1.0] * 5 + [0.0], seed=0) == 0
    assert error_if_calibrated([0.5, 0.9], seed=1) == pytest.approx((0.5 + 0.18) / 2, abs=0.03)  # bins of their own
    confidence = np.random.default_rng(0).random(50).tolist()
    assert error_if_calibrated(confidence, seed=3) == error_if_calibrated(confidence, seed=3)


def test_the_error_of_a_calibrated_model_is_what_one_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """On average over answers that are right as often as their confidence says, in draws of any block."""
    rng = np.random.default_rng(2)
    confidence = rng.beta(5, 2, 60)
    errors = [
        expected_calibration_error(confidence.tolist(), (rng.random(60) < confidence).tolist()) for _ in range(500)
    ]
    for at_once in (1 << 21, 100):
        monkeypatch.setattr("clipsim.statistics.classification.DRAWN_AT_ONCE", at_once)
        assert error_if_calibrated(confidence.tolist(), seed=0) == pytest.approx(np.mean(errors), rel=0.05)
    assert error_if_calibrated(np.tile(confidence, 100).tolist(), seed=0) < 0.2 * np.mean(errors)


def test_one_label_tells_nothing() -> None:
    """With a single label, no accuracy and no calibration is measured."""
    found = measured(np.full((1, 3), 0.2, np.float32), [0, 0, 0])

    assert found.metrics == {"top1": None, "top2": None, "mean_class_recall": None, "ece": None}
    assert found.per_class[0].recall == 1


def test_k_past_the_number_of_labels_is_none(scores: NDArray[np.float32]) -> None:
    """All labels are among the best six of six."""
    found = measured(scores, [0] * 200, top_k=(5, 6, 7))

    assert found.metrics["top5"] is not None
    assert found.metrics["top6"] is None
    assert found.metrics["top7"] is None


def test_one_image() -> None:
    """Everything is measured on a single image."""
    found = measured(np.array([[0.1], [0.3]], np.float32), [0])

    assert found.metrics["top1"] is not None
    assert found.metrics["top1"].value == 0
    assert found.metrics["top1"].n == 1
    assert [(record.n, record.recall) for record in found.per_class] == [(1, 0.0), (0, None)]
    assert [(pair.label, pair.best, pair.n) for pair in found.confused] == [("a", "b", 1)]


def test_all_scores_equal() -> None:
    """The first label is chosen, and every rank is the label's place."""
    found = measured(np.full((4, 4), 0.25, np.float32), [0, 1, 2, 3])

    assert found.ranks.tolist() == [1, 2, 3, 4]
    assert found.metrics["top1"] is not None
    assert found.metrics["top1"].value == 0.25
    assert found.metrics["ece"] is not None
    assert found.metrics["ece"].value == pytest.approx(0)


def test_contradictions_come_by_their_margin() -> None:
    """The wrong ones, by how far the best cosine is above the label's."""
    similarity = np.array([[0.1, 0.3, 0.2, 0.5], [0.2, 0.1, 0.6, 0.4]], np.float32)
    found = measured(similarity, [0, 1, 0, 0])

    assert [(record.image, record.label, record.best) for record in found.contradicted] == [
        ("2.png", "a", "b"),
        ("1.png", "b", "a"),
        ("0.png", "a", "b"),
    ]
    assert found.contradicted[0].similarity == 0.6
    assert found.contradicted[0].label_similarity == 0.2


def test_the_matrix_of_very_many_labels_is_left_out() -> None:
    """What is confused is still listed."""
    size = MAX_CONFUSION_LABELS + 1
    similarity = np.zeros((size, 2), np.float32)
    similarity[7] = 0.5
    found = [predict(str(k), similarity[:, k], None, 3) for k in range(2)]
    measures = measure_classification(found, [str(k) for k in range(size)], top_k=(1,))

    assert measures.confusion is None
    assert [(pair.label, pair.best, pair.n) for pair in measures.confused] == [("3", "7", 2)]


def test_what_is_kept_of_an_image_has_the_digits_that_are_shown() -> None:
    """Seven significant digits, so that figures can be computed again from `rank --json`."""
    similarity = np.array([1 / 3, 2 / 3], np.float32)
    found = predict("a.png", similarity, np.array([1 / 3, 2 / 3]), 0)

    assert (found.best, found.rank) == (1, 2)
    assert (found.similarity, found.probability) == (0.6666667, 0.6666667)
    assert (found.label_similarity, found.label_probability) == (0.3333333, 0.3333333)


def test_the_area_under_the_curve_is_scikit_learns() -> None:
    """Random scores with ties."""
    rng = np.random.default_rng(0)
    best, is_none = rng.integers(0, 12, 80) / 10, rng.random(80) < 0.4
    found = reject_unlabelled(best, is_none, name="none", below=0.5, seed=0)

    assert found.auroc == pytest.approx(roc_auc_score(~is_none, best), abs=1e-12)
    assert found.rejected == tuple(best < 0.5)


def test_noise_below_what_is_promised_is_a_tie() -> None:
    """The rank, the best label, the area under the curve and the order of contradictions are those of equal cosines."""
    noisy = np.array([[0.3, 0.2000002], [0.3000003, 0.2000001], [0.2999998, 0.2]], np.float32)
    found = measured(noisy, [2, 1])
    assert found.ranks.tolist() == [3, 2]
    assert [(record.image, record.best) for record in found.contradicted] == [("0.png", "a"), ("1.png", "a")]
    best, is_none = np.array([0.3, 0.3000001, 0.2999999, 0.3]), np.array([True, False, False, True])
    assert reject_unlabelled(best, is_none, name="none", below=0.1, seed=0).auroc == 0.5


def test_a_threshold_is_found_where_the_two_kinds_part() -> None:
    """Between the highest of none and the lowest of the others."""
    best = np.array([0.1, 0.12, 0.13, 0.14, 0.15, 0.31, 0.32, 0.33, 0.34, 0.35])
    is_none = np.arange(10) < 5
    found = reject_unlabelled(best, is_none, name="none", below=None, seed=0)

    assert found.threshold == pytest.approx(0.23)
    assert found.rejected == tuple(is_none)
    assert found.auroc == 1


def test_a_picture_does_not_choose_its_own_threshold() -> None:
    """On scores that say nothing, the judgement is no better than chance; a threshold of all would look better."""
    rng = np.random.default_rng(4)
    gains = []
    for seed in range(60):
        best, is_none = rng.random(40), np.arange(40) % 2 == 0
        found = reject_unlabelled(best, is_none, name="none", below=None, seed=seed)
        fitted = (best < found.threshold) == is_none
        gains.append(((np.array(found.rejected) == is_none).mean(), fitted.mean()))
    judged, fitted_on_all = np.mean(gains, axis=0)

    assert judged == pytest.approx(0.5, abs=0.05)
    assert fitted_on_all > 0.55


def test_too_few_pictures_choose_no_threshold() -> None:
    """Then one must be given."""
    best, is_none = np.linspace(0, 1, 20), np.arange(20) < 3
    with pytest.raises(ClipsimError, match="min_similarity"):
        reject_unlabelled(best, is_none, name="none", below=None, seed=0)
    assert reject_unlabelled(best, is_none, name="none", below=0.1, seed=0).rejected.count(True) == 2


def test_equal_scores_and_one_kind() -> None:
    """A threshold is found though nothing parts them; without one kind there is no curve."""
    same = reject_unlabelled(np.full(12, 0.3), np.arange(12) < 6, name="none", below=None, seed=0)
    assert same.threshold == 0.3
    assert same.auroc == 0.5
    alone = reject_unlabelled(np.full(4, 0.3), np.zeros(4, bool), name="none", below=0.2, seed=0)
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
    rejection = reject_unlabelled(
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
    # not those that are rejected; the last, which is none and kept, is wrong with a confidence of 0.8
    assert found.metrics["ece"].n == 3
    assert found.metrics["ece"].value == pytest.approx(0.8 - 1 / 3)
    assert found.metrics["ece"].calibrated == pytest.approx(0.2, abs=0.03)
    assert {record.best for record in found.contradicted} == {"a", "b", "none"}
