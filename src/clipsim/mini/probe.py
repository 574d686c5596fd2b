"""The probe images of `clipsim doctor`, computed from integers, and the cosines that the bundled model gives for them.

`python -m training.answers` writes the cosines after a training.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "model"
ANSWERS = FOLDER / "answers.json"
TEXTS = ("maze", "cat", "a red circle", "stripes")


def probe_images() -> list[Image.Image]:
    """Three RGB images, none square, the same to the bit on every machine."""
    y, x = np.mgrid[0:80, 0:120]
    disc = np.where((x - 60) ** 2 + (y - 40) ** 2 < 30**2, 40, 250)
    stripes = np.where((x // 10) % 2 == 0, 20, 235)
    walls = np.where(((x // 8) % 2 == 0) | (((x * 7 + y * 13) // 8) % 5 == 0), 0, 255)
    planes = [(np.full_like(disc, 230), disc, disc), (stripes, stripes, stripes), (walls, walls, walls)]
    return [Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8)) for colours in planes]


def known_answers() -> list[list[float]]:
    """The cosines that the bundled model gives in fp32, a row a text, a column an image."""
    answers: list[list[float]] = json.loads(ANSWERS.read_text(encoding="utf-8"))["similarity"]
    return answers
