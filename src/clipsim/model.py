"""OpenAI's `clip.model`: a state dict → a model; the classes of models and of their parts, with OpenAI's parameters.

Models that `load` and `build_model` return are instances of these classes where they are built as OpenAI's are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip.modified_resnet import AttentionPool2d
from open_clip.transformer import QuickGELU
from torch import nn

from clipsim.engines.torch.build import build_from_checkpoint
from clipsim.engines.torch.checkpoints import select_tensors
from clipsim.engines.torch.openai_towers import OpenAIBlock as ResidualAttentionBlock
from clipsim.engines.torch.openai_towers import OpenAIBottleneck as Bottleneck
from clipsim.engines.torch.openai_towers import OpenAICLIP as CLIP  # noqa: N814 (a class)
from clipsim.engines.torch.openai_towers import OpenAILayerNorm as LayerNorm
from clipsim.engines.torch.openai_towers import OpenAIResNet as ModifiedResNet
from clipsim.engines.torch.openai_towers import OpenAITransformer as Transformer
from clipsim.engines.torch.openai_towers import OpenAIVisionTransformer as VisionTransformer
from clipsim.engines.torch.openai_towers import adapt_model
from clipsim.errors import UsageError, issue_warnings
from clipsim.models.configs import DESCRIPTION_KEY, parse_description
from clipsim.models.files import ModelFiles
from clipsim.models.names import ModelSpec

__all__ = [
    "CLIP",
    "AttentionPool2d",
    "Bottleneck",
    "LayerNorm",
    "ModifiedResNet",
    "QuickGELU",
    "ResidualAttentionBlock",
    "Transformer",
    "VisionTransformer",
    "build_model",
    "convert_weights",
]

_NAME = "state_dict"  # of the parameter, in errors
_PARAMETERS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias", "bias_k", "bias_v")


def build_model(state_dict: Mapping[str, Any]) -> Any:
    """Build the model of a state dict, as `clip.build_model` does.

    Parameters
    ----------
    state_dict
        The tensors of a model of OpenAI's by name, or what `state_dict()` of a model of `load` returned. They are
        copied. One that does not say which model it is is taken for OpenAI's, with a ClipsimWarning.

    Returns
    -------
    CLIP
        The model on the CPU, in evaluation mode, with fp16 matrices (see `convert_weights`); `float()` makes all fp32.

    Raises
    ------
    WeightsError
        The tensors are not those of such a model.
    UsageError
        It is not a mapping.
    """
    if not isinstance(state_dict, Mapping):
        raise UsageError("not a mapping of names to tensors", parameter=_NAME)
    metadata = getattr(state_dict, "_metadata", {}).get("", {})
    described = metadata.get(DESCRIPTION_KEY)
    settings = None if described is None else parse_description(described.encode(), Path(_NAME))
    tensors = {
        name: value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else value
        for name, value in state_dict.items()
    }
    spec = ModelSpec(_NAME, "checkpoint", path=Path(_NAME))
    preprocess = {} if settings is None else settings["preprocess_cfg"]
    files = ModelFiles(Path(_NAME), settings=settings, preprocess=preprocess)
    built = build_from_checkpoint(spec, files, select_tensors(tensors, _NAME))
    model = adapt_model(built, files)
    convert_weights(model)
    issue_warnings(built.notices)
    return model


def convert_weights(model: nn.Module) -> None:
    """Make the matrices of a model fp16, in place, as `clip.model.convert_weights` does; norms and embeddings stay."""

    def convert(module: nn.Module) -> None:
        parameters: list[Any] = [getattr(module, name, None) for name in ("text_projection", "proj")]
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            parameters += [module.weight, module.bias]
        if isinstance(module, nn.MultiheadAttention):
            parameters += [getattr(module, name) for name in _PARAMETERS]
        for parameter in parameters:
            if isinstance(parameter, torch.Tensor):
                parameter.data = parameter.data.half()

    model.apply(convert)
