"""Tensors in the layout of OpenAI's checkpoints → the OpenCLIP configuration of their model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from clipsim.errors import WeightsError, printable
from clipsim.models.catalogue import read_catalogue

# Numbers that OpenAI's archives hold beside the weights.
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
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


def explain_assumption(config: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """One line that says what was assumed of a checkpoint that does not say what it is.

    It does not name the file: copies of a file share what is kept of it.
    """
    count = sum(tensor.numel() for tensor in drop_extras(tensors).values()) / 1e6
    fitting = [
        name
        for name, facts in read_catalogue()["architectures"].items()
        if facts["embed_dim"] == config["embed_dim"]
        and facts["image_size"] == config["vision_cfg"]["image_size"]
        and facts["parameters_millions"] is not None
        and abs(facts["parameters_millions"] - count) < 0.01 * count
    ]
    example = f", {fitting[0]}," if fitting else ""
    return (
        "the checkpoint does not say which model it is; it is taken for OpenAI's (QuickGELU, heads of "
        f"{_HEAD_WIDTH}, the text's vector at its greatest id). If it is OpenCLIP's, give its architecture{example} as "
        "the model and the file as its weights"
    )


def infer_config(tensors: dict[str, Tensor], path: Path) -> dict[str, Any]:
    """OpenCLIP's `model_cfg` for a checkpoint in OpenAI's layout, from the names and shapes of its tensors.

    The activation is QuickGELU, as in all models of OpenAI's. Raises WeightsError for another layout.
    """
    try:
        words = tensors["token_embedding.weight"].shape[0]
        if words != VOCABULARY:
            raise WeightsError(
                f"{printable(str(path))}: a vocabulary of {words:,} words, where OpenAI's models have {VOCABULARY:,}; "
                "name the architecture as the model and give the file as weights"
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
            f"{printable(str(path))}: not a checkpoint in OpenAI's layout ({cause}); an OpenCLIP state dict needs "
            "its architecture too: model='ARCH' and weights='FILE'"
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
