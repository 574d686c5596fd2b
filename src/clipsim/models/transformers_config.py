"""A `transformers` folder's config.json and image processor → OpenCLIP's `model_cfg` and `preprocess_cfg`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clipsim.errors import printable

CONFIG_FILE = "config.json"
PROCESSOR_FILE = "processor_config.json"  # transformers 5 writes it; its image processor goes before the other file
PREPROCESSOR_FILE = "preprocessor_config.json"
LAYER_NORM_EPS = 1e-5  # of both libraries' CLIP models
END_OF_TEXT = 49407  # the last id of CLIP's vocabulary
SIGLIP_EPS = 1e-6  # of SigLIP's models
_ACTIVATIONS: dict[str, dict[str, Any]] = {"quick_gelu": {"quick_gelu": True}, "gelu": {}}
# SigLIP's, as OpenCLIP's text tower and timm's image tower name them.
_SIGLIP_ACTIVATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "gelu_pytorch_tanh": ({"act_kwargs": {"approximate": "tanh"}}, "gelu_tanh"),
    "gelu": ({}, "gelu"),
}
_SIGLIP_TOWER = "vit_base_patch16_siglip_224"  # of timm, whose sizes are replaced
_RESAMPLING = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
# The names of the image processors, which transformers 5 all answers with the ones that torchvision resizes for.
_PROCESSORS = ("CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor")
_SIGLIP_PROCESSORS = ("SiglipImageProcessor", "SiglipImageProcessorFast", "SiglipImageProcessorPil")
# CLIPImageProcessor's own defaults, for what is left out.
_PROCESSOR_DEFAULTS: dict[str, Any] = {
    "do_resize": True, "do_center_crop": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True,
    "do_pad": False, "use_square_size": False, "default_to_square": False, "resample": 3, "rescale_factor": 1 / 255,
    "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
    "size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224},
}  # fmt: skip
# SiglipImageProcessor's, where they differ.
_SIGLIP_PROCESSOR_DEFAULTS: dict[str, Any] = {
    "do_center_crop": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 224, "width": 224},
    "crop_size": None,
}  # fmt: skip
_SQUARE_SIZE = 224  # what use_square_size stands for
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
# The same of SiglipConfig.
_SIGLIP_TEXT_DEFAULTS: dict[str, Any] = {
    "vocab_size": 32000, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 64, "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": SIGLIP_EPS, "projection_size": None,
}  # fmt: skip
_SIGLIP_VISION_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": SIGLIP_EPS,
    "num_channels": 3, "vision_use_head": True,
}  # fmt: skip


def convert_config(config: Mapping[str, Any], processor: Mapping[str, Any] | None) -> dict[str, Any]:
    """OpenCLIP's configuration of a CLIPModel or SiglipModel of `transformers` and its image processor.

    The layouts are those of transformers' own configurations and image processors. Raises ValueError, naming it, for a
    model or a setting that OpenCLIP's towers do not have.
    """
    kind = config.get("model_type")
    named = (config.get("architectures") or [_MODELS.get(str(kind), kind)])[0]
    if kind == "siglip2":
        raise ValueError(
            f"a {named} of 'transformers' (NaFlex), which takes each image at a size of its own; SigLIP 2 of fixed "
            "size (siglip2-base-patch16-224 and the like) is a SiglipModel, which clipsim reads"
        )
    if named != _MODELS.get(str(kind)):
        raise ValueError(f"a {named} of 'transformers', of which clipsim reads CLIPModel and SiglipModel only")
    if kind == "siglip":
        return _convert_siglip(config, processor)
    text, vision = _part(config, "text_config", _TEXT_DEFAULTS), _part(config, "vision_config", _VISION_DEFAULTS)
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
            "mlp_ratio": _mlp_ratio(vision),
            "patch_size": int(vision["patch_size"]),
            "image_size": int(vision["image_size"]),
        },
        "text_cfg": {
            "context_length": int(text["max_position_embeddings"]),
            "vocab_size": int(text["vocab_size"]),
            "width": int(text["hidden_size"]),
            "heads": int(text["num_attention_heads"]),
            "layers": int(text["num_hidden_layers"]),
            "mlp_ratio": _mlp_ratio(text),
            "hf_tokenizer_name": "the folder of the model",
            "tokenizer_kwargs": {"clean": "none"},
            **_pooling(text),
        },
    }
    image_size = int(vision["image_size"])
    settings = {"size": image_size, "crop_size": image_size} if processor is None else processor
    return {"model_cfg": model, "preprocess_cfg": _preprocessing(settings, image_size, _PROCESSORS[0])}


_MODELS = {"clip": "CLIPModel", "siglip": "SiglipModel"}  # by their model_type


def _mlp_ratio(part: Mapping[str, Any]) -> float:
    """The ratio that OpenCLIP and timm multiply the width with, and cut to a whole number."""
    return (int(part["intermediate_size"]) + 0.5) / int(part["hidden_size"])


def _convert_siglip(config: Mapping[str, Any], processor: Mapping[str, Any] | None) -> dict[str, Any]:
    """The same of a SiglipModel: an image tower of timm's with its own sizes, and OpenCLIP's text tower."""
    text = _part(config, "text_config", _SIGLIP_TEXT_DEFAULTS)
    vision = _part(config, "vision_config", _SIGLIP_VISION_DEFAULTS)
    width = int(vision["hidden_size"])
    projection = int(text["projection_size"] or text["hidden_size"])
    if projection != width:
        raise ValueError(f"vectors of texts with {projection} numbers, and of images with {width}")
    if not vision["vision_use_head"] or int(vision["num_channels"]) != 3:
        raise ValueError(f"vision_use_head {vision['vision_use_head']!r}, num_channels {vision['num_channels']!r}")
    for part in (text, vision):
        if part["hidden_act"] not in _SIGLIP_ACTIVATIONS:
            raise ValueError(f"activation {part['hidden_act']!r}")
        if abs(float(part["layer_norm_eps"]) - SIGLIP_EPS) > 1e-9:
            raise ValueError(f"layer_norm_eps {part['layer_norm_eps']!r}")
    size, patch = vision["image_size"], vision["patch_size"]
    if not isinstance(size, int) or not isinstance(patch, int):
        raise ValueError(f"image_size {size!r} and patch_size {patch!r}")
    text_activation, _ = _SIGLIP_ACTIVATIONS[text["hidden_act"]]
    _, image_activation = _SIGLIP_ACTIVATIONS[vision["hidden_act"]]
    model = {
        "embed_dim": width,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": size,
            "timm_model_name": _SIGLIP_TOWER,
            "timm_pool": "map",
            "timm_proj": "none",
            "timm_model_args": {
                "img_size": size,
                "patch_size": patch,
                "embed_dim": width,
                "depth": int(vision["num_hidden_layers"]),
                "num_heads": int(vision["num_attention_heads"]),
                "mlp_ratio": _mlp_ratio(vision),
                "act_layer": image_activation,
            },
        },
        "text_cfg": {
            "context_length": int(text["max_position_embeddings"]),
            "vocab_size": int(text["vocab_size"]),
            "width": int(text["hidden_size"]),
            "heads": int(text["num_attention_heads"]),
            "layers": int(text["num_hidden_layers"]),
            "mlp_ratio": _mlp_ratio(text),
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": SIGLIP_EPS},
            **text_activation,
            "hf_tokenizer_name": "the folder of the model",
            "tokenizer_kwargs": {"clean": "none"},
        },
    }
    square = {"size": {"height": size, "width": size}}
    settings = _preprocessing(square if processor is None else processor, size, _SIGLIP_PROCESSORS[0])
    return {"model_cfg": model, "preprocess_cfg": settings}


def _part(config: Mapping[str, Any], name: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a tower; the older `…_config_dict`, where there is one, goes before with its defaults."""
    part = {**defaults, **(config.get(name) or {})}
    older = config.get(f"{name}_dict")
    return part if older is None else part | {**defaults, **older}


def _pooling(text: Mapping[str, Any]) -> dict[str, Any]:
    """Where the text's vector is taken: at the greatest id, or at the first end token.

    An eos_token_id of 2 is what old configurations say by mistake; transformers then takes the greatest id too.
    """
    end = int(text["eos_token_id"])
    if end in (2, int(text["vocab_size"]) - 1):
        return {}
    return {"pool_type": "eos", "eos_id": end}


def choose_processor(
    processor: Mapping[str, Any] | None, preprocessor: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """The settings of the image processor: those nested in processor_config.json, else preprocessor_config.json's.

    None where neither file has any. Raises ValueError for contents of another type.
    """
    if processor is not None and not isinstance(processor, Mapping):
        raise ValueError(f"{PROCESSOR_FILE} is not an object")
    nested = None if processor is None else processor.get("image_processor")
    chosen = preprocessor if nested is None else nested
    if chosen is not None and not isinstance(chosen, Mapping):
        raise ValueError(f"{PREPROCESSOR_FILE if nested is None else PROCESSOR_FILE}: not an image processor")
    return chosen


def _preprocessing(processor: Mapping[str, Any], image_size: int, usual: str) -> dict[str, Any]:
    """OpenCLIP's `preprocess_cfg`; raises ValueError for settings that would give other pixels than OpenCLIP's.

    `usual` is the class of the model's image processors, which counts where the settings name none.
    """
    kind = str(processor.get("image_processor_type") or processor.get("feature_extractor_type") or usual)
    if kind not in (*_PROCESSORS, *_SIGLIP_PROCESSORS):
        raise ValueError(
            f"images prepared by {printable(kind, 60)}; clipsim knows CLIPImageProcessor and SiglipImageProcessor only"
        )
    defaults = _PROCESSOR_DEFAULTS | (_SIGLIP_PROCESSOR_DEFAULTS if kind in _SIGLIP_PROCESSORS else {})
    settings = defaults | dict(processor)
    flags = {name: _flag(settings, name) for name in settings if name.startswith(("do_", "use_", "default_"))}
    if unknown := sorted(name for name, value in flags.items() if value and name not in _PROCESSOR_DEFAULTS):
        raise ValueError(f"{printable(unknown[0], 60)} is true, which {kind} does not know")
    if not flags["do_resize"] or flags["do_pad"]:
        name, value = ("do_pad", "true") if flags["do_pad"] else ("do_resize", "false")
        raise ValueError(f"{name} is {value}, so images do not have the size of the model")
    resample = settings["resample"]
    if isinstance(resample, bool) or not isinstance(resample, int) or resample not in _RESAMPLING:
        raise ValueError(f"resample {_quote(resample)}; clipsim resizes by 2 (bilinear) or 3 (bicubic)")
    mean, std = _normalisation(settings, flags)
    return {
        "backend": "torchvision",
        "interpolation": _RESAMPLING[resample],
        "mean": mean,
        "std": std,
        "resize_mode": _resize_mode(settings, flags, image_size),
    }


def _flag(settings: Mapping[str, Any], name: str) -> bool:
    value = False if settings[name] is None else settings[name]
    if not isinstance(value, bool):
        raise ValueError(f"{printable(name, 60)} is {_quote(value)}, where true or false is expected")
    return value


def _normalisation(settings: Mapping[str, Any], flags: Mapping[str, bool]) -> tuple[list[float], list[float]]:
    """The mean and standard deviation that stand for rescaling and normalising, for pixels divided by 255.

    (p·f − m) / s = (p/255 − m/255f) / (s/255f), where f is rescale_factor, or 1 without do_rescale.
    """
    factor = _number(settings["rescale_factor"], "rescale_factor") if flags["do_rescale"] else 1.0
    mean, std = [0.0] * 3, [1.0] * 3
    if flags["do_normalize"]:
        mean, std = (_three(settings[name], name) for name in ("image_mean", "image_std"))
    levels = 255 * factor
    if levels <= 0 or min(std) <= 0:
        raise ValueError("rescale_factor or image_std is not positive")
    if math.isclose(levels, 1, rel_tol=1e-6):
        return mean, std  # as they are written, so that nothing is rounded
    return [value / levels for value in mean], [value / levels for value in std]


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise ValueError(f"{name} is {_quote(value)}, where a number is expected")
    return float(value)


def _three(values: Any, name: str) -> list[float]:
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError(f"{name} is {_quote(values)}, where three numbers are expected")
    return [_number(value, name) for value in values]


def _resize_mode(settings: Mapping[str, Any], flags: Mapping[str, bool], image_size: int) -> str:
    """OpenCLIP's name for how images get the model's size; raises ValueError where it has none."""
    resize_to = dict.fromkeys(("height", "width"), _SQUARE_SIZE) if flags["use_square_size"] else settings["size"]
    size, crop = _edges(resize_to, "size", flags["default_to_square"]), None
    if flags["do_center_crop"]:
        crop = _edges(settings["crop_size"], "crop_size", True)
    square = {"height": image_size, "width": image_size}
    if size == square and crop in (None, square):
        return "squash"
    if size == {"shortest_edge": image_size} and crop == square:
        return "shortest"
    cropped = "not cropped" if crop is None else f"cropped to {_quote(settings['crop_size'])}"
    raise ValueError(
        f"images resized to {_quote(size)} and {cropped}, for a model of {image_size} pixels, where clipsim "
        "resizes and crops to the model's size"
    )


def _edges(value: Any, name: str, to_square: bool) -> dict[str, int]:
    """A size as transformers reads it: an object, one number, or height and width."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"height": value, "width": value} if to_square else {"shortest_edge": value}
    elif isinstance(value, list) and len(value) == 2:
        value = {"height": value[0], "width": value[1]}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {_quote(value)}, where a size is expected")
    edges = {str(edge): length for edge, length in value.items() if length is not None}
    if any(isinstance(length, bool) or not isinstance(length, int) for length in edges.values()):
        raise ValueError(f"{name} is {_quote(value)}, where whole numbers are expected")
    return edges


def _quote(value: Any) -> str:
    """A value of a settings file in a message, short."""
    return printable(repr(value)[:200], 60)
