"""A model with its weights and a LoRA adapter → the same model with the adapter merged into its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from clipsim.engines.torch.checkpoints import read_tensors
from clipsim.engines.torch.layouts import Target, find_siglip_target, find_target
from clipsim.errors import WeightsError, printable
from clipsim.models.adapters import Adapter

_PREFIX = "base_model.model."  # of every name that peft writes
_INNER = ".base_layer"  # what it puts into the names of layers that have several matrices
# peft (0.21) adds the product of an attention's output layer to its matrix, and then merges that layer, which adds it
# again: in every pass of the model, those of its training too.
TIMES_IN_ATTENTION = 2
_INNER_NOTICE = (
    "the adapter changes the output layers of attention modules (out_proj): peft adds that change twice, in training "
    "too, and so it is merged"
)
_PIPELINE = "model."  # where sentence-transformers holds its CLIP model
_DEFAULT = re.compile(r"\.default(?=\.|$)")  # the usual name of an adapter, in a state dict of peft's model
_KINDS = {
    ".lora_A.weight": "A",
    ".lora_B.weight": "B",
    ".lora_embedding_A": "A of tokens",
    ".lora_embedding_B": "B of tokens",
}


@dataclass
class _Change:
    """The two matrices of a layer."""

    a: Tensor | None = None
    b: Tensor | None = None
    of_tokens: bool = False


def merge_adapter(model: Any, adapter: Adapter) -> list[str]:
    """Add s · B · A to the matrix of each layer that the adapter changes; other tensors of it replace the model's.

    Returns notices for the user.

    Raises WeightsError where a layer is not in the model, or has another shape; the model is then of no use.
    """
    shown = printable(str(adapter.weights))
    parameters = dict(model.named_parameters())
    changes, replaced = _read(adapter)
    if not changes and not replaced:
        raise WeightsError(f"{shown}: no matrices of an adapter in it")
    with torch.no_grad():
        for layer, change in changes.items():
            if change.a is None or change.b is None:
                raise WeightsError(f"{shown}: one of the two matrices of {printable(layer, 80)} is missing")
            plain = layer.replace(_INNER, "")
            # a layer inside of another has the rank and scale of that one
            outer = layer.partition(_INNER)[0]
            target = _find(parameters, f"{plain}.weight") or _find(parameters, f"{plain}.in_proj_weight")
            if target is None:
                raise WeightsError(f"{shown}: changes {printable(plain, 80)}, which is not in this model")
            rank = adapter.rank_of(outer)
            if rank != change.a.shape[0]:
                raise WeightsError(
                    f"{shown}: {printable(plain, 80)} has the rank {change.a.shape[0]}, and its configuration says "
                    f"{rank}"
                )
            try:
                delta = _multiply(change) * adapter.scale_of(outer, rank)
                if layer != plain:
                    delta *= TIMES_IN_ATTENTION
                _add(parameters[target.name], target, delta)
            except (RuntimeError, ValueError) as error:
                shapes = f"{tuple(change.b.shape)} · {tuple(change.a.shape)}"
                raise WeightsError(
                    f"{shown}: {printable(plain, 80)} has another shape in this model; the adapter's is {shapes}"
                ) from error
        for name, tensor in replaced.items():
            target = _find(parameters, name)
            if target is None:
                raise WeightsError(f"{shown}: holds {printable(name, 80)}, which is not in this model")
            try:
                _add(parameters[target.name], target, tensor, whole=True)
            except (RuntimeError, ValueError) as error:
                raise WeightsError(f"{shown}: {printable(name, 80)} has another shape in this model") from error
    return [_INNER_NOTICE] if any(_INNER in layer for layer in changes) else []


def _read(adapter: Adapter) -> tuple[dict[str, _Change], dict[str, Tensor]]:
    """The matrices by layer, and the whole tensors by name, in fp32."""
    shown = printable(str(adapter.weights))
    changes: dict[str, _Change] = {}
    replaced: dict[str, Tensor] = {}
    for written, tensor in read_tensors(adapter.weights).items():
        name = _DEFAULT.sub("", written.removeprefix(_PREFIX))
        kind = next((kind for kind in _KINDS if name.endswith(kind)), None)
        if kind is not None:
            change = changes.setdefault(name.removesuffix(kind), _Change())
            setattr(change, _KINDS[kind][0].lower(), tensor.float())
            change.of_tokens = _KINDS[kind].endswith("tokens")
        elif any(name.startswith(f"{saved}.") or f".{saved}." in name for saved in adapter.saved):
            replaced[name.replace(".modules_to_save", "")] = tensor.float()
        else:
            raise WeightsError(f"{shown}: the tensor {printable(written, 80)} is not of a LoRA adapter")
    return changes, replaced


def _multiply(change: _Change) -> Tensor:
    """B · A, in the shape of the layer's own tensor: (out, in), (out, in, h, w), or (tokens, width)."""
    a, b = change.a, change.b
    assert a is not None
    assert b is not None
    if a.dim() == 4:  # a convolution, whose B is one of 1 × 1
        return (b.flatten(1) @ a.flatten(1)).view(b.shape[0], *a.shape[1:])
    return (b @ a).T if change.of_tokens else b @ a


def _find(parameters: dict[str, Any], name: str) -> Target | None:
    """Where a tensor of the adapter stands in the model, whose names may be OpenCLIP's or transformers' in the file."""
    for candidate in _candidates(name):
        if candidate.name in parameters:
            return candidate
    return None


def _candidates(name: str) -> Iterator[Target]:
    for written in (name, name.removeprefix(_PIPELINE)):
        if (of_siglip := find_siglip_target(written)) is not None:
            yield of_siglip
        target = find_target(written) or Target(written)
        yield target
        yield replace(target, name=f"text.{target.name}")  # a text tower that is a module of its own
        yield replace(target, name=target.name.removeprefix("text."))


def _add(parameter: Any, target: Target, tensor: Tensor, *, whole: bool = False) -> None:
    """Add a tensor to a parameter, or put it in its place; the parameter's memory, which may be a file's, is kept."""
    changed = parameter.data.clone()
    rows = changed if target.part is None else changed.view(3, -1, *changed.shape[1:])[target.part]
    tensor = tensor.T if target.transposed else tensor
    if rows.shape != tensor.shape:
        raise ValueError("shapes differ")
    rows.copy_(tensor if whole else rows + tensor)
    parameter.data = changed
