"""A `transformers` folder's config.json and preprocessor_config.json → OpenCLIP's `model_cfg` and `preprocess_cfg`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONFIG_FILE = "config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
LAYER_NORM_EPS = 1e-5  # of both libraries' CLIP models
END_OF_TEXT = 49407  # the last id of CLIP's vocabulary
_ACTIVATIONS: dict[str, dict[str, Any]] = {"quick_gelu": {"quick_gelu": True}, "gelu": {}}
_RESAMPLING = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
# transformers' own defaults of CLIPConfig, for what a configuration leaves out.
_TEXT_DEFAULTS: dict[str, Any] = {
    "vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
    "num_attention_heads": 8, "max_position_embeddings": 77, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    "eos_token_id": END_OF_TEXT,
}  # fmt: skip
_VISION_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_channels": 3,
}  # fmt: skip


def convert_config(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> dict[str, Any]:
    """OpenCLIP's configuration of a CLIPModel of `transformers`.

    The layouts are those of transformers' CLIPConfig and CLIPImageProcessor. Raises ValueError, naming it, for a model
    or a setting that OpenCLIP's CLIP does not have.
    """
    kind = config.get("model_type")
    if kind != "clip" or "CLIPModel" not in (config.get("architectures") or ["CLIPModel"]):
        named = (config.get("architectures") or [kind])[0]
        raise ValueError(f"a {named} of 'transformers', of which clipsim reads CLIPModel only")
    text = _TEXT_DEFAULTS | dict(config.get("text_config") or config.get("text_config_dict") or {})
    vision = _VISION_DEFAULTS | dict(config.get("vision_config") or config.get("vision_config_dict") or {})
    if text["hidden_act"] != vision["hidden_act"] or text["hidden_act"] not in _ACTIVATIONS:
        raise ValueError(f"activations {text['hidden_act']!r} and {vision['hidden_act']!r}")
    for part in (text, vision):
        if abs(float(part["layer_norm_eps"]) - LAYER_NORM_EPS) > 1e-9:
            raise ValueError(f"layer_norm_eps {part['layer_norm_eps']!r}")
    model = {
        "embed_dim": int(config.get("projection_dim", 512)),
        **_ACTIVATIONS[text["hidden_act"]],
        "vision_cfg": {
            "layers": int(vision["num_hidden_layers"]),
            "width": int(vision["hidden_size"]),
            "head_width": int(vision["hidden_size"]) // int(vision["num_attention_heads"]),
            "mlp_ratio": vision["intermediate_size"] / vision["hidden_size"],
            "patch_size": int(vision["patch_size"]),
            "image_size": int(vision["image_size"]),
        },
        "text_cfg": {
            "context_length": int(text["max_position_embeddings"]),
            "vocab_size": int(text["vocab_size"]),
            "width": int(text["hidden_size"]),
            "heads": int(text["num_attention_heads"]),
            "layers": int(text["num_hidden_layers"]),
            "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
            "hf_tokenizer_name": "the folder of the model",
            "tokenizer_kwargs": {"clean": "none"},
            **_pooling(text),
        },
    }
    return {"model_cfg": model, "preprocess_cfg": _preprocessing(preprocessor or {}, int(vision["image_size"]))}


def _pooling(text: Mapping[str, Any]) -> dict[str, Any]:
    """Where the text's vector is taken: at the greatest id, or at the first end token.

    An eos_token_id of 2 is what old configurations say by mistake; transformers then takes the greatest id too.
    """
    end = int(text["eos_token_id"])
    if end in (2, int(text["vocab_size"]) - 1):
        return {}
    return {"pool_type": "eos", "eos_id": end}


def _preprocessing(settings: Mapping[str, Any], image_size: int) -> dict[str, Any]:
    """OpenCLIP's `preprocess_cfg`; raises ValueError for settings that would give other pixels than OpenCLIP's."""
    size, crop = settings.get("size", image_size), settings.get("crop_size", image_size)
    crop = crop if isinstance(crop, int) else (int(crop["height"]), int(crop["width"]))
    crop = crop[0] if isinstance(crop, tuple) and crop[0] == crop[1] else crop
    shortest = size.get("shortest_edge") if isinstance(size, Mapping) else size
    kind = str(settings.get("image_processor_type", ""))
    wanted: dict[str, Any] = {
        "backend": "pillow" if kind.endswith("Pil") else "torchvision",
        "interpolation": _RESAMPLING.get(settings.get("resample", 3)),
        "mean": settings.get("image_mean"),
        "std": settings.get("image_std"),
    }
    flags = ("do_resize", "do_rescale", "do_normalize")
    if not all(settings.get(flag, True) for flag in flags) or wanted["interpolation"] is None:
        raise ValueError("image preprocessing other than resizing, rescaling and normalising")
    if abs(float(settings.get("rescale_factor", 1 / 255)) - 1 / 255) > 1e-9:
        raise ValueError(f"rescale_factor {settings['rescale_factor']!r}")
    if settings.get("do_center_crop", True):
        if not shortest == crop == image_size:
            raise ValueError(f"pictures resized to {size!r} and cropped to {crop!r} for a model of {image_size} pixels")
        wanted["resize_mode"] = "shortest"
    else:
        if not isinstance(size, Mapping) or not size.get("height") == size.get("width") == image_size:
            raise ValueError(f"pictures resized to {size!r} for a model of {image_size} pixels")
        wanted["resize_mode"] = "squash"
    return {name: value for name, value in wanted.items() if value is not None}
