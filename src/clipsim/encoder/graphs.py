"""A model's towers → ONNX files that ONNX Runtime opens at once: exported, quantised if asked, optimised."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.transformer import text_global_pool
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from clipsim.encoder.towers import TextTower
from clipsim.preprocess import Preprocessing

OPSET = 17
_LARGE = 1024  # bytes; smaller tensors stay in the graph's own file


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


class ShortTextTower(nn.Module):
    """(n, l) int64 token ids → (n, embed_dim) features, for a causal tower and any l that holds the longest text."""

    def __init__(self, tower: Any, pool_type: str, end: int) -> None:
        super().__init__()
        self.tower, self.pool_type, self.end = tower, pool_type, end

    def forward(self, tokens: Tensor) -> Tensor:
        """As OpenCLIP's towers, with positions and mask as long as the tokens."""
        tower, length = self.tower, tokens.shape[1]
        hidden: Tensor = tower.token_embedding(tokens) + tower.positional_embedding[:length]
        hidden = tower.transformer(hidden, attn_mask=tower.attn_mask[:length, :length])
        hidden = text_global_pool(tower.ln_final(hidden), tokens, self.pool_type, eos_token_id=self.end)
        projection = tower.text_projection
        if isinstance(projection, nn.Linear):
            hidden = projection(hidden)
        elif projection is not None:
            hidden = hidden @ projection
        return hidden


def text_tower(model: Any, *, padded_with_zeros: bool) -> tuple[nn.Module, bool]:
    """The text tower, and whether it takes rows that are shorter than the context."""
    tower = getattr(model, "text", model)
    pool_type = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
    if (
        padded_with_zeros
        and pool_type == "argmax"  # the end token, beyond which a causal tower cannot see
        and isinstance(getattr(tower, "attn_mask", None), Tensor)
        and getattr(tower, "cls_emb", None) is None
        and not getattr(tower, "use_pad_mask", False)
        and all(hasattr(tower, part) for part in parts)
    ):
        return ShortTextTower(tower, pool_type, 0), True
    return TextTower(model), False


def export_tower(tower: nn.Module, example: Tensor, axes: tuple[int, ...], target: Path, *, int8: bool) -> None:
    """Write the tower to `target` and its weights beside it; `axes` of its input may have any length.

    Whatever torch, onnx or ONNX Runtime find wrong is raised as they raise it.
    """
    raw, small = target.with_suffix(".raw.onnx"), target.with_suffix(".int8.onnx")
    with _quietly(), _plain_attention(), torch.no_grad():
        # the older exporter, which takes a tenth of the other's time
        torch.onnx.export(
            tower.eval(),
            (example,),
            str(raw),
            dynamo=False,
            input_names=["input"],
            output_names=["features"],
            dynamic_axes={"input": {axis: f"axis{axis}" for axis in axes}, "features": {0: "axis0"}},
            opset_version=OPSET,
        )
        if int8:
            _quantise(raw, small)
            _remove(raw)
        _optimise(small if int8 else raw, target)
    _remove(raw)
    _remove(small)


def _attend(
    self: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **_: Any
) -> tuple[Tensor, None]:
    """What `nn.MultiheadAttention` computes, in operations that any length of batch and sequence goes through."""
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


def _quantise(source: Path, target: Path) -> None:
    """Matrices to int8 with a scale a column; their inputs are scaled as they come. Convolutions stay in fp32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(source),
        str(target),
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=True,
        extra_options={"MatMulConstBOnly": True},
    )


def _optimise(source: Path, target: Path) -> None:
    """Let ONNX Runtime fuse what can be on any machine, and write that, so that no run needs to do it again."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.disable_prepacking", "1")
    for name, value in (("file_name", f"{target.name}.data"), ("min_size_in_bytes", str(_LARGE))):
        options.add_session_config_entry(f"session.optimized_model_external_initializers_{name}", value)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _remove(path: Path) -> None:
    for file in (path, path.with_name(f"{path.name}.data")):
        file.unlink(missing_ok=True)


@contextmanager
def _quietly() -> Iterator[None]:
    """No remarks of the exporters', some of which C++ code writes past Python."""
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


def check_pictures(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Eight drawn pictures of several kinds, (8, h, w, 3) uint8: noise, gradients, stripes, a field of colour."""
    random = np.random.default_rng(4)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    down, right = rows / max(1, height - 1), columns / max(1, width - 1)
    made = [
        random.integers(0, 256, (height, width, 3)),
        np.repeat(random.integers(0, 256, (height, width, 1)), 3, axis=2),
        255 * np.stack([down, right, 1 - down], axis=2),
        255 * np.stack([right * down, 1 - right, 0.5 + 0 * down], axis=2),
        np.where(((rows // 8 + columns // 8) % 2 == 0)[..., None], (250, 240, 30), (20, 30, 90)),
        127 + 127 * np.sin(np.stack([columns / 3, rows / 5, (rows + columns) / 9], axis=2)),
        np.full((height, width, 3), (200, 30, 60)),
        255 * np.exp(-((down - 0.5) ** 2 + (right - 0.4) ** 2) * 12)[..., None] * (1.0, 0.7, 0.2),
    ]
    pictures: np.ndarray[Any, np.dtype[np.uint8]] = np.stack(made).clip(0, 255).astype(np.uint8)
    return pictures
