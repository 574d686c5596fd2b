"""The known answers of the bundled model are what its weights give."""

from __future__ import annotations

import numpy as np

from clipsim.mini.probe import FOLDER, known_answers
from training.answers import compute_answers


def test_the_answers_belong_to_the_weights() -> None:
    """After a training without `training.answers`, this fails."""
    np.testing.assert_allclose(compute_answers(FOLDER), known_answers(), atol=2e-5)
