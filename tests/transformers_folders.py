"""Small random folders as `transformers` writes them, and the cosines of its own classes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

TEXTS = ["a photo of a cat", "Two dogs &amp; a maze", "naïve café"]
TEXT = {"hidden_size": 64, "intermediate_size": 200, "num_attention_heads": 2, "num_hidden_layers": 2}
VISION = {"hidden_size": 96, "intermediate_size": 300, "num_attention_heads": 3, "num_hidden_layers": 2}


def write_clip(folder: Path, *, size: dict[str, int] | None = None, **changes: Any) -> Path:
    """A small random CLIPModel with CLIP's vocabulary, its image processor and its tokenizer."""
    vocabulary = open_clip.tokenizer.SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    folder.mkdir(parents=True, exist_ok=True)
    words = {names.get(word, word): number for word, number in vocabulary.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    merges = ["#version: 0.2", *map(" ".join, vocabulary.bpe_ranks)]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}', encoding="utf-8")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    config = transformers.CLIPConfig(
        text_config=TEXT | {"eos_token_id": 49407, "bos_token_id": 49406} | changes,
        vision_config=VISION | {"image_size": 48, "patch_size": 16} | changes,
        projection_dim=40,
    )
    torch.manual_seed(0)
    model = transformers.CLIPModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embedding" not in name:
                parameter.mul_(6)
    model.save_pretrained(folder)
    crop = size is None
    transformers.CLIPImageProcessor(
        size=size or {"shortest_edge": 48}, crop_size={"height": 48, "width": 48}, do_center_crop=crop
    ).save_pretrained(folder)
    return folder


def read_model(folder: Path) -> tuple[Any, Any]:
    """The model of a folder in transformers' own class, and the tokens of `TEXTS`."""
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, return_tensors="pt", padding=True)


read_model_once = cache(read_model)


def reference(folder: Path, pictures: list[Image.Image], copied: Path | None = None) -> NDArray[np.float32]:
    """The cosines of transformers' own classes.

    Where the model and tokenizer are copies of those of another folder, these are read there, once for all tests.
    """
    model, tokens = read_model(folder) if copied is None else read_model_once(copied)
    pixels = transformers.AutoImageProcessor.from_pretrained(folder)(pictures, return_tensors="pt")
    with torch.no_grad():
        output = model(**tokens, **pixels)
    cosines: NDArray[np.float32] = (output.text_embeds @ output.image_embeds.T).numpy()
    return cosines
