"""A model's towers (torch) → ONNX graphs, by torch's exporter."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from clipsim.engines.preprocessing import Preprocessing
from clipsim.engines.torch.encoder import ClipEncoder, ShortTextTower

OPSET = 17


class ImageTower(nn.Module):
    """(n, h, w, 3) uint8 pixels → (n, embed_dim) features; normalises as `ClipEncoder` does."""

    def __init__(self, model: Any, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.mean, self.std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise and encode."""
        scaled = pixels.float().div(255).sub(self.mean).div(self.std)
        features: Tensor = self.model.encode_image(scaled.permute(0, 3, 1, 2))
        return features


class WholeTextTower(nn.Module):
    """(n, context_length) int64 token ids → (n, embed_dim) features: `encode_text` as a module."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode the tokens."""
        features: Tensor = self.model.encode_text(tokens)
        return features


def text_tower(model: Any, *, padded_with_zeros: bool) -> tuple[nn.Module, bool]:
    """The text tower, and whether it takes rows that are shorter than the context."""
    tower = getattr(model, "text", model)
    pool_type = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
    if (
        padded_with_zeros
        and pool_type == "argmax"  # the feature at the end token, which does not depend on the padding
        and isinstance(getattr(tower, "attn_mask", None), Tensor)
        and getattr(tower, "cls_emb", None) is None
        and not getattr(tower, "use_pad_mask", False)
        and all(hasattr(tower, part) for part in parts)
    ):
        return ShortTextTower(tower), True
    return WholeTextTower(model), False


def write_graph(tower: nn.Module, example: Tensor, axes: tuple[int, ...], target: Path) -> None:
    """Write the tower as an ONNX graph; `axes` of its input may have any length.

    Exceptions of torch and onnx are not translated.
    """
    with _quietly(), _plain_attention(), torch.no_grad():
        # the older exporter takes a tenth of the newer one's time
        torch.onnx.export(
            tower.eval(),
            (example,),
            str(target),
            dynamo=False,
            input_names=["input"],
            output_names=["features"],
            dynamic_axes={"input": {axis: f"axis{axis}" for axis in axes}, "features": {0: "axis0"}},
            opset_version=OPSET,
        )


def write_towers(encoder: ClipEncoder, image: Path, text: Path) -> bool:
    """Write both towers as ONNX graphs; return whether the text tower takes rows shorter than the context."""
    encoder.towers.keep_plain()
    pixels = torch.zeros((2, *encoder.facts.preprocessing.size, 3), dtype=torch.uint8)
    write_graph(ImageTower(encoder.towers.model, encoder.facts.preprocessing), pixels, (0,), image)
    tower, shortens = text_tower(encoder.towers.model, padded_with_zeros=encoder.tokenizer.is_openclips)
    tokens = encoder.tokenizer(["a cat", "two dogs"], truncate=True)
    if shortens:
        tokens = tokens[:, : max(4, tokens.shape[1] // 2)]  # a constant context length in the graph would show
    write_graph(tower, tokens, (0, 1) if shortens else (0,), text)
    return shortens


def _attend(
    self: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **_: Any
) -> tuple[Tensor, None]:
    """The function of `nn.MultiheadAttention`, in operations that keep batch and sequence length variable."""
    if not self.batch_first:
        query, key, value = (part.transpose(0, 1) for part in (query, key, value))
    if self.in_proj_weight is not None:
        weights: Any = self.in_proj_weight.chunk(3)
    else:
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
    biases: Any = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
    q, k, v = (
        linear(part, weight, bias).view(*part.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)
        for part, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    if attn_mask is not None and attn_mask.dim() == 3:  # a mask for each input and head
        attn_mask = attn_mask.view(-1, self.num_heads, *attn_mask.shape[1:])
    mixed = scaled_dot_product_attention(q, k, v, attn_mask).transpose(1, 2).flatten(2)
    mixed = self.out_proj(mixed)
    return (mixed if self.batch_first else mixed.transpose(0, 1)), None


@contextmanager
def _plain_attention() -> Iterator[None]:
    original = nn.MultiheadAttention.forward
    nn.MultiheadAttention.forward = _attend  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        nn.MultiheadAttention.forward = original  # type: ignore[method-assign]


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the exporters, whose C++ code writes to standard error directly; for a command's own process."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
        logging.disable(level)
