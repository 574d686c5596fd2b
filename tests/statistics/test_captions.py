"""CLIPScore: the formula of Hessel et al., and torchmetrics' figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clipsim.statistics.retrieval import measure_pairs


def test_the_scores_are_the_formulas() -> None:
    """Each pair is clipped by itself; the means are over pairs."""
    found = measure_pairs([[0.3, -0.1], [0.2]], seed=0)

    assert {name: estimate.value if estimate else None for name, estimate in found.items()} == {
        "cosine": pytest.approx(0.4 / 3),
        "clipscore_2.5": pytest.approx(2.5 * 0.5 / 3),
        "cosine_x100": pytest.approx(100 * 0.5 / 3),
    }
    assert all(estimate is not None and estimate.formula and estimate.n == 3 for estimate in found.values())


def test_torchmetrics_figure_follows() -> None:
    """Its own code on the same vectors: it averages 100 · cos, and where no cosine is negative that is cosine_x100."""
    torch = pytest.importorskip("torch")
    clip_score = pytest.importorskip("torchmetrics.functional.multimodal").clip_score
    rng = np.random.default_rng(2)
    images, texts = (torch.tensor(rng.random((4, 8)) + 0.1) for _ in range(2))
    captions = ["0", "1", "2", "3"]

    class Model:
        config = None
        get_image_features = staticmethod(lambda pixels: images[pixels[:, 0, 0, 0]])
        get_text_features = staticmethod(lambda ids, mask: texts[ids[:, 0]])

        def to(self, device: object) -> Model:
            return self

    def processor(images: Any = None, text: Any = None, **_: Any) -> dict[str, Any]:
        if images is not None:
            return {"pixel_values": torch.stack(images)}
        return {"input_ids": torch.tensor([[int(word)] for word in text]), "attention_mask": torch.ones(4, 1)}

    pictures = [torch.full((3, 2, 2), number) for number in range(4)]
    theirs = clip_score(pictures, captions, lambda: (Model(), processor))
    cosines = torch.nn.functional.cosine_similarity(images, texts).tolist()
    ours = measure_pairs([[cosine] for cosine in cosines], seed=0)["cosine_x100"]

    assert ours is not None
    assert ours.value == pytest.approx(float(theirs), abs=1e-9)
