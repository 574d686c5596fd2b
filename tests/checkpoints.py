"""Small random models in every layout that a checkpoint comes in, and what plain OpenCLIP calls make of them."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.models.files import find_files
from clipsim.models.names import find_model

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
VIT = {"image_size": 48, "layers": 2, "width": 64, "patch_size": 16}
RESNET = {"image_size": 64, "layers": [1, 2, 1, 1], "width": 64}
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {"embed_dim": 32, "vision_cfg": VIT, "text_cfg": TEXT},
    "resnet": {"embed_dim": 32, "vision_cfg": RESNET, "text_cfg": TEXT},
    "quickgelu": {"embed_dim": 32, "quick_gelu": True, "vision_cfg": VIT, "text_cfg": TEXT},
    "siglip": {
        "embed_dim": 32,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "map", "timm_proj": "none"}
        | {"timm_model_pretrained": False},
        "text_cfg": TEXT | {"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
    },
    "coca": {
        "embed_dim": 32,
        "custom_text": True,
        "vision_cfg": VIT | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": TEXT | {"context_length": 76, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 76, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
        | {"attn_pooler_heads": 2},
    },
    "timm": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "timm_model_name": "resnet18", "timm_pool": "avg", "timm_proj": "linear"}
        | {"timm_model_pretrained": False},
        "text_cfg": TEXT,
    },
}
CONFIGS["siglip"]["embed_dim"] = 64  # the width of the tower, which has no projection
PREPROCESS: dict[str, dict[str, Any]] = {
    "siglip": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"},
}


def random_model(family: str, seed: int = 0) -> Any:
    """A model of `CONFIGS` with random weights."""
    return build_random(CONFIGS[family], seed)


def build_random(config: dict[str, Any], seed: int = 0) -> Any:
    """A model with random weights that are spread enough for a wrong number to show."""
    return copy.deepcopy(_built(json.dumps(config), seed))


@cache
def _built(written: str, seed: int) -> Any:
    """The model of a configuration in JSON, which is made once: random numbers take longer than a copy."""
    config = json.loads(written)
    custom = config.pop("custom_text", False)
    kind = open_clip.CLIP if not custom else open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    torch.manual_seed(seed)
    model = kind(**config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embedding" not in name:
                parameter.mul_(1.6)
            if name.endswith("bn3.weight"):
                parameter.fill_(0.7)  # zero at first, which would hide the branch
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
            if name.endswith("running_mean"):
                buffer.normal_(0.0, 0.3)
        model.logit_scale.fill_(3.7)
    return model.eval()


def state_of(model: Any) -> dict[str, Tensor]:
    """The model's tensors, each with memory of its own."""
    return {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}


def write_folder(folder: Path, family: str, seed: int = 0) -> Path:
    """A model folder in Hugging Face layout, of a family of `CONFIGS`."""
    return write_model(folder, CONFIGS[family], PREPROCESS.get(family, {}), seed)


def write_model(folder: Path, config: dict[str, Any], preprocess: dict[str, Any], seed: int = 0) -> Path:
    """A model folder in Hugging Face layout."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    save_file(state_of(build_random(config, seed)), folder / "open_clip_model.safetensors")
    return folder


def draw_pictures() -> list[Image.Image]:
    """A square, a wide and a tall picture."""
    rng = np.random.default_rng(3)
    sizes = [(64, 64), (180, 70), (50, 120)]
    return [
        Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for size in sizes
    ]


def open_path(path: Path, **options: str) -> ClipEncoder:
    """The encoder of the model at a path, as a run opens it."""
    spec = find_model(str(path))
    return ClipEncoder(spec, find_files(spec), **options)


def openclip_cosines(folder: Path, pictures: list[Image.Image], texts: list[str]) -> NDArray[np.float32]:
    """The cosines (text, image) as OpenCLIP's documentation computes them."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(picture) for picture in pictures]), normalize=True)
        encoded = model.encode_text(tokenizer(texts), normalize=True)
    cosines: NDArray[np.float32] = (encoded @ images.T).numpy()
    return cosines
