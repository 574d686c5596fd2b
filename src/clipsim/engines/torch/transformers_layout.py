"""Tensors of a CLIPModel of `transformers` → the same numbers under OpenCLIP's names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

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


def is_transformers_layout(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a CLIPModel."""
    return "text_model.embeddings.token_embedding.weight" in tensors and "visual_projection.weight" in tensors


def rename_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a CLIPModel under OpenCLIP's names; query, key and value of each block become one matrix.

    Names that a CLIPModel does not have are kept, so that they are reported as unknown.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("position_ids"):  # written by older versions
            continue
        prefix = next((prefix for prefix in _TOWERS if name.startswith(prefix)), None)
        if prefix is not None:
            number, _, rest = name.removeprefix(prefix).partition(".")
            block = f"{_TOWERS[prefix]}{number}."
            if rest.startswith("self_attn.") and rest.split(".")[1] in ("q_proj", "k_proj", "v_proj"):
                kind = rest.rpartition(".")[2]
                parts = [tensors[f"{prefix}{number}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
                renamed[f"{block}attn.in_proj_{kind}"] = torch.cat(parts)
                continue
            old = next((old for old in _BLOCK if rest.startswith(old)), None)
            renamed[name if old is None else block + rest.replace(old, _BLOCK[old], 1)] = tensor
        elif name in _TRANSPOSED:
            renamed[_TRANSPOSED[name]] = tensor.T.contiguous()
        else:
            renamed[_NAMES.get(name, name)] = tensor
    return renamed
