"""Tensors as OpenAI and `transformers` name them → OpenCLIP's names and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from clipsim.errors import Setting, WeightsError, printable
from clipsim.models.catalogue import read_catalogue

# Numbers that OpenAI's archives hold beside the weights.
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
NAME_ARCHITECTURE = ("give ", Setting("model", "ARCHITECTURE"), " and ", Setting("weights", "FILE"))
VOCABULARY = 49_408  # of all of OpenAI's models
_HEAD_WIDTH = 64  # of every attention head in OpenAI's models
_STRIDE = 32  # of OpenAI's ResNets, from pixels to the grid that is pooled


def drop_extras(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights alone, without the numbers beside them and the masks that scripted modules hold."""
    return {
        name: tensor for name, tensor in tensors.items() if name not in _NOT_WEIGHTS and not name.endswith("attn_mask")
    }


def is_openais(tensors: dict[str, Tensor]) -> bool:
    """Whether a checkpoint says that it is OpenAI's: its archives carry three numbers beside the weights.

    Neither TorchScript nor fp16 says so: OpenCLIP's models are traced and saved in fp16 too.
    """
    return any(name in tensors for name in _NOT_WEIGHTS)


def explain_assumption(config: dict[str, Any]) -> str:
    """One line that says what was assumed of a checkpoint that does not say what it is.

    It does not name the file, since copies of a file share their entries in the cache.
    """
    fitting = [
        name
        for name, architecture in read_catalogue()["architectures"].items()
        if architecture["embed_dim"] == config["embed_dim"]
        and architecture["image_size"] == config["vision_cfg"]["image_size"]
        and different_size(open_clip.get_model_config(name), config) is None
    ]
    example = f", {fitting[0]}," if fitting else ""
    return (
        "the checkpoint does not say which model it is; it is taken for OpenAI's (QuickGELU, heads of "
        f"{_HEAD_WIDTH}, the text's vector at its greatest id). If it is OpenCLIP's, give its architecture{example} as "
        "the model and the file as its weights"
    )


def different_size(named: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """The first size in which two configurations differ, None where they agree."""
    sides: tuple[tuple[str, dict[str, Any]], ...] = (
        ("vision_cfg", {"layers": 12, "width": 768, "patch_size": 16, "image_size": 224, "timm_model_name": None}),
        (
            "text_cfg",
            {"layers": 12, "width": 512, "heads": 8, "vocab_size": 49408, "context_length": 77, "hf_model_name": None},
        ),
    )
    if config["embed_dim"] != named["embed_dim"]:
        return f"embed_dim {config['embed_dim']}"
    for side, defaults in sides:
        for name, usual in defaults.items():
            value = config[side].get(name, usual)
            if value != named[side].get(name, usual):
                return printable(f"{side} {name} {value}", 60)
    return None


def infer_config(tensors: dict[str, Tensor], path: Path) -> dict[str, Any]:
    """OpenCLIP's `model_cfg` for a checkpoint in OpenAI's layout, from the names and shapes of its tensors.

    The activation is QuickGELU, as in all models of OpenAI's. Raises WeightsError for another layout.
    """
    try:
        words = tensors["token_embedding.weight"].shape[0]
        if words != VOCABULARY:
            raise WeightsError(
                f"{printable(str(path))}: a vocabulary of {words:,} words, where OpenAI's models have {VOCABULARY:,}",
                hint=NAME_ARCHITECTURE,
            )
        return {
            "embed_dim": tensors["text_projection"].shape[1],
            "quick_gelu": True,
            "vision_cfg": _vit(tensors) if "visual.proj" in tensors else _resnet(tensors),
            "text_cfg": {
                "context_length": tensors["positional_embedding"].shape[0],
                "vocab_size": tensors["token_embedding.weight"].shape[0],
                "width": tensors["ln_final.weight"].shape[0],
                "heads": tensors["ln_final.weight"].shape[0] // _HEAD_WIDTH,
                "layers": _count(tensors, "transformer.resblocks."),
            },
        }
    except (KeyError, IndexError, ValueError) as error:
        cause = f"no {error}" if isinstance(error, KeyError) else "its tensors have other shapes"
        raise WeightsError(
            f"{printable(str(path))}: not a checkpoint in OpenAI's layout ({cause})",
            hint=("an OpenCLIP state dict needs its architecture too: ", *NAME_ARCHITECTURE),
        ) from error


def _vit(tensors: dict[str, Tensor]) -> dict[str, Any]:
    width, _, _, patch = tensors["visual.conv1.weight"].shape
    grid = round((tensors["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    return {
        "layers": _count(tensors, "visual.transformer.resblocks."),
        "width": width,
        "patch_size": patch,
        "image_size": patch * grid,
    }


def _resnet(tensors: dict[str, Tensor]) -> dict[str, Any]:
    grid = round((tensors["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    return {
        "layers": [_count(tensors, f"visual.layer{stage}.") for stage in (1, 2, 3, 4)],
        "width": tensors["visual.layer1.0.conv1.weight"].shape[0],
        "image_size": grid * _STRIDE,
    }


def _count(tensors: dict[str, Tensor], prefix: str) -> int:
    """How many numbered blocks the names with a prefix have."""
    return len({name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)})


_TOWERS = {
    "text_model.encoder.layers.": "transformer.resblocks.",
    "vision_model.encoder.layers.": "visual.transformer.resblocks.",
}
_BLOCK = {
    "self_attn.out_proj.": "attn.out_proj.",
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
}
_PARTS = {f"self_attn.{name}_proj.": part for part, name in enumerate("qkv")}  # of one matrix in OpenCLIP
_NAMES = {
    "logit_scale": "logit_scale",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
_TRANSPOSED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}


@dataclass(frozen=True)
class Target:
    """Where a tensor of transformers' layout stands in OpenCLIP's: under a name, as a third of its rows, transposed."""

    name: str
    part: int | None = None
    transposed: bool = False


def find_target(name: str) -> Target | None:
    """Where a tensor of a CLIPModel stands in OpenCLIP's CLIP; None for a name that a CLIPModel does not have."""
    if name in _TRANSPOSED:
        return Target(_TRANSPOSED[name], transposed=True)
    prefix = next((prefix for prefix in _TOWERS if name.startswith(prefix)), None)
    if prefix is None:
        return Target(_NAMES[name]) if name in _NAMES else None
    number, _, rest = name.removeprefix(prefix).partition(".")
    block = f"{_TOWERS[prefix]}{number}."
    for old, part in _PARTS.items():
        if rest.startswith(old):
            return Target(f"{block}attn.in_proj_{rest.removeprefix(old)}", part)
    old_name = next((old for old in _BLOCK if rest.startswith(old)), None)
    return None if old_name is None else Target(block + rest.replace(old_name, _BLOCK[old_name], 1))


_SIGLIP_NAMES = {
    "logit_bias": "logit_bias",
    "text_model.embeddings.token_embedding.weight": "text.token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "text.positional_embedding",
    "vision_model.embeddings.position_embedding.weight": "visual.trunk.pos_embed",
    "vision_model.head.probe": "visual.trunk.attn_pool.latent",
}
_SIGLIP_LAYERS = {
    "text_model.final_layer_norm.": "text.ln_final.",
    "text_model.head.": "text.text_projection.",
    "vision_model.embeddings.patch_embedding.": "visual.trunk.patch_embed.proj.",
    "vision_model.post_layernorm.": "visual.trunk.norm.",
    "vision_model.head.attention.out_proj.": "visual.trunk.attn_pool.proj.",
    "vision_model.head.layernorm.": "visual.trunk.attn_pool.norm.",
    "vision_model.head.mlp.": "visual.trunk.attn_pool.mlp.",
}
_SIGLIP_BLOCK = {
    "self_attn.out_proj.": "attn.proj.",
    "layer_norm1.": "norm1.",
    "layer_norm2.": "norm2.",
    "mlp.fc1.": "mlp.fc1.",
    "mlp.fc2.": "mlp.fc2.",
}
_SIGLIP_POOLING = "vision_model.head.attention.in_proj_"  # query, key and value in one


def find_siglip_target(name: str) -> Target | None:
    """Where a tensor of a SiglipModel stands in OpenCLIP's SigLIP, whose image tower is timm's; None elsewhere."""
    if name in _SIGLIP_NAMES:
        return Target(_SIGLIP_NAMES[name])
    for old, new in _SIGLIP_LAYERS.items():
        if name.startswith(old):
            return Target(new + name.removeprefix(old))
    target = find_target(name)
    if target is None or not name.startswith("vision_model."):
        return target if target is None or name == "logit_scale" else replace(target, name=f"text.{target.name}")
    number, _, rest = name.removeprefix("vision_model.encoder.layers.").partition(".")
    block = f"visual.trunk.blocks.{number}."
    if target.part is not None:
        return Target(f"{block}attn.qkv.{rest.rpartition('.')[2]}", target.part)
    old_name = next((old for old in _SIGLIP_BLOCK if rest.startswith(old)), None)
    return None if old_name is None else Target(block + rest.replace(old_name, _SIGLIP_BLOCK[old_name], 1))


def is_transformers_layout(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a CLIPModel or a SiglipModel."""
    return "text_model.embeddings.token_embedding.weight" in tensors and (
        "visual_projection.weight" in tensors or is_siglip_layout(tensors)
    )


def is_siglip_layout(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a SiglipModel, which pools images by a head."""
    return "vision_model.head.probe" in tensors


def rename_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a CLIPModel or SiglipModel under OpenCLIP's names; query, key and value become one matrix.

    Names that these do not have are kept, so that they are reported as unknown.
    """
    find = find_siglip_target if is_siglip_layout(tensors) else find_target
    renamed: dict[str, Tensor] = {}
    parts: dict[str, dict[int, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.endswith("position_ids"):  # written by older versions
            continue
        if name.startswith(_SIGLIP_POOLING):  # timm keeps the query's part by itself
            kind, rows = name.removeprefix(_SIGLIP_POOLING), tensor.shape[0] // 3
            renamed[f"visual.trunk.attn_pool.q.{kind}"] = tensor[:rows].contiguous()
            renamed[f"visual.trunk.attn_pool.kv.{kind}"] = tensor[rows:].contiguous()
            continue
        target = find(name)
        if target is not None and target.name in tensors and target.name != name:
            raise WeightsError(
                f"two tensors of the weights are {printable(target.name, 60)}: {printable(name, 80)} too"
            )
        if target is None:
            renamed[name] = tensor
        elif target.part is not None:
            parts.setdefault(target.name, {})[target.part] = tensor
        else:
            renamed[target.name] = tensor.T.contiguous() if target.transposed else tensor
    for name, held in parts.items():
        renamed[name] = torch.cat([held[part] for part in sorted(held)])
    if (positions := renamed.get("visual.trunk.pos_embed")) is not None:
        renamed["visual.trunk.pos_embed"] = positions[None]
    return renamed
