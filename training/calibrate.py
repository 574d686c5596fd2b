"""The kept families → the scale that makes probabilities mean what they say: `python -m training.calibrate`.

Training ends with a scale that fits pictures it has seen often, and is too sure of others.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from .evaluate import Scorer, draw_sets, encode_family
from .network import MODEL_FOLDER, WEIGHTS_FILE
from .render import KEPT, open_tiles
from .sources import WORK

Answers = tuple[NDArray[np.float64], NDArray[np.int64]]


def fit_scale(
    families: Sequence[Answers], weights: Sequence[float] | None = None, low: float = 2.0, high: float = 100.0
) -> float:
    """Return the scale of the least mean negative log-likelihood, to one percent; each family has a weight.

    `families` are pairs of cosines (n, names) and right names (n,).
    """

    def loss(scale: float) -> float:
        losses = []
        for cosines, right in families:
            logits = scale * cosines
            own = logits[np.arange(len(right)), right]
            top = logits.max(axis=1)
            losses.append(float((top + np.log(np.exp(logits - top[:, None]).sum(axis=1)) - own).mean()))
        return float(np.average(losses, weights=weights))

    return float(min(np.geomspace(low, high, 400), key=loss))


def write_scale(folder: Path, scale: float) -> None:
    """Put a scale into a model folder's weights."""
    path = folder / WEIGHTS_FILE
    tensors = load_file(path)
    tensors["logit_scale"] = torch.tensor(np.log(scale), dtype=tensors["logit_scale"].dtype)
    unfinished = path.with_suffix(".unfinished")
    save_file(tensors, unfinished, metadata={"format": "pt"})
    unfinished.chmod(0o644)
    unfinished.replace(path)


def main() -> None:
    """Read the options, fit, and write."""
    parser = argparse.ArgumentParser(prog="python -m training.calibrate", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--work", type=Path, default=WORK)
    options = parser.parse_args()
    scorer, tiles = Scorer(options.model), open_tiles(options.work / "tiles")
    families = [encode_family(scorer, tiles, family) for family in sorted(KEPT)]
    scale = fit_scale([draw_sets(shown) for shown in families], [len(shown.names) for shown in families])
    print(f"scale {scorer.scale:.1f} -> {scale:.1f}")
    write_scale(options.model, scale)


if __name__ == "__main__":
    main()
