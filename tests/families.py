"""Small random models of every family of OpenCLIP's image and text towers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkpoints import TEXT, write_folder, write_model
from vocabularies import write_hugging_face_text, write_siglip


def timm_tower(name: str, size: int, pool: str, projection: str | None, **more: Any) -> dict[str, Any]:
    """A `model_cfg` with an image tower of timm's."""
    vision = {"image_size": size, "timm_model_name": name, "timm_model_pretrained": False}
    return {
        "embed_dim": 32,
        "vision_cfg": vision | {"timm_pool": pool, "timm_proj": projection},
        "text_cfg": TEXT,
        **more,
    }


# Pool, projection and text side as in OpenCLIP's configurations of each family.
TIMM_TOWERS = {
    "convnext": timm_tower("convnext_atto", 64, "", "linear"),
    "timm vit": timm_tower("test_vit", 160, "", "linear"),
    "eva": timm_tower("eva02_tiny_patch14_224", 224, "token", None, custom_text=True),
    "mobileclip": timm_tower("fastvit_mci0", 64, "avg", None, custom_text=True)
    | {"text_cfg": TEXT | {"no_causal_mask": True}},
}
FAMILIES = ["vit", "resnet", "coca", "siglip", *TIMM_TOWERS, "hugging face text"]


def write_family(folder: Path, family: str) -> Path:
    """The folder of a small random model."""
    if family == "siglip":
        return write_siglip(folder)
    if family == "hugging face text":
        return write_hugging_face_text(folder)
    return write_model(folder, TIMM_TOWERS[family], {}) if family in TIMM_TOWERS else write_folder(folder, family)
