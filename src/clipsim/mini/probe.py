"""Pictures made by arithmetic and what the bundled model says of them → the known answers that a machine is checked by.

`python -m clipsim.mini.probe` writes the answers anew, after a training, with plain OpenCLIP calls.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "model"
ANSWERS = FOLDER / "answers.json"
TEXTS = ("maze", "cat", "a red circle", "stripes")


def probe_pictures() -> list[Image.Image]:
    """Three RGB pictures, none square, the same to the bit on every machine."""
    y, x = np.mgrid[0:80, 0:120]
    disc = np.where((x - 60) ** 2 + (y - 40) ** 2 < 30**2, 40, 250)
    stripes = np.where((x // 10) % 2 == 0, 20, 235)
    walls = np.where(((x // 8) % 2 == 0) | (((x * 7 + y * 13) // 8) % 5 == 0), 0, 255)
    planes = [(np.full_like(disc, 230), disc, disc), (stripes, stripes, stripes), (walls, walls, walls)]
    return [Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8)) for colours in planes]


def known_answers() -> list[list[float]]:
    """The cosines that the bundled model gives in fp32, a row a text, a column a picture."""
    answers: list[list[float]] = json.loads(ANSWERS.read_text(encoding="utf-8"))["similarity"]
    return answers


def main() -> None:
    """Ask the model by plain OpenCLIP calls, and write the answers."""
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{FOLDER}")
    model.eval()
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(picture) for picture in probe_pictures()]), normalize=True)
        texts = model.encode_text(open_clip.get_tokenizer(f"local-dir:{FOLDER}")(list(TEXTS)), normalize=True)
    similarity = [[round(value, 6) for value in row] for row in (texts @ images.T).tolist()]
    ANSWERS.write_text(json.dumps({"texts": TEXTS, "similarity": similarity}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
