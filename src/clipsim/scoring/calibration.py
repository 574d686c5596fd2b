"""The probabilities of the best texts, and which of them are right → the expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BINS = 15


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """The mean distance between confidence and share of right answers, over 15 equal bins of confidence; 0 is best.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3: bin m holds the confidences in
    ((m - 1) / 15, m / 15], and counts by the number of images in it.

    >>> expected_calibration_error([0.9, 0.9], [True, False])
    0.4
    """
    confidence = np.asarray(confidences, np.float64)
    edges = np.linspace(0, 1, BINS + 1)
    bins = np.searchsorted(edges[1:-1], confidence, side="left")
    surplus = np.bincount(bins, confidence - np.asarray(right, np.float64), BINS)
    return float(np.abs(surplus).sum() / len(confidence))
