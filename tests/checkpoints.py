"""Small random models in every layout that a checkpoint comes in, and what plain OpenCLIP calls make of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor

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
        "vision_cfg": {
            "image_size": 224,
            "timm_model_name": "vit_tiny_patch16_224",
            "timm_pool": "map",
            "timm_proj": "none",
        }
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
CONFIGS["siglip"]["embed_dim"] = 192  # the width of the tower, which has no projection
PREPROCESS: dict[str, dict[str, Any]] = {
    "siglip": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"},
}


def random_model(family: str, seed: int = 0) -> Any:
    """A model with random weights that are spread enough for a wrong number to show."""
    config = copy.deepcopy(CONFIGS[family])
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
    """Its tensors, each with memory of its own."""
    return {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}


def write_folder(folder: Path, family: str, seed: int = 0) -> Path:
    """A model folder in Hugging Face layout."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": CONFIGS[family], "preprocess_cfg": PREPROCESS.get(family, {})}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(state_of(random_model(family, seed)), folder / "open_clip_model.safetensors")
    return folder
