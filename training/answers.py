"""The bundled model → its known answers for `clipsim doctor`: `python -m training.answers`, after a training."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import torch

from clipsim.mini.probe import ANSWERS, FOLDER, TEXTS, probe_images


def compute_answers(folder: Path) -> list[list[float]]:
    """The cosines that plain OpenCLIP calls give in fp32, a row a text, a column a picture."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    with torch.inference_mode():
        images = model.encode_image(torch.stack([preprocess(picture) for picture in probe_images()]), normalize=True)
        texts = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(list(TEXTS)), normalize=True)
    return [[round(value, 6) for value in row] for row in (texts @ images.T).tolist()]


def main() -> None:
    """Write the answers of the bundled model."""
    answers = {"texts": TEXTS, "similarity": compute_answers(FOLDER)}
    ANSWERS.write_text(json.dumps(answers) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
