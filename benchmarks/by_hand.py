"""The usual script, as OpenCLIP's documentation has it: by_hand.py WEIGHTS BATCH IMAGE... -- TEXT..."""

from __future__ import annotations

import json
import sys

import open_clip
import torch
from PIL import Image


def main() -> None:
    """Print the cosines, a row a text, as JSON."""
    weights, batch, *rest = sys.argv[1:]
    paths, texts = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
    model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32", pretrained=weights)
    model.eval()
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    step = int(batch)
    with torch.no_grad():
        features = []
        for start in range(0, len(paths), step):
            pixels = [preprocess(Image.open(path)) for path in paths[start : start + step]]
            features.append(model.encode_image(torch.stack(pixels)))
        images = torch.cat(features)
        encoded = model.encode_text(tokenizer(texts))
    images /= images.norm(dim=-1, keepdim=True)
    encoded /= encoded.norm(dim=-1, keepdim=True)
    print(json.dumps((encoded @ images.T).tolist()))


if __name__ == "__main__":
    main()
