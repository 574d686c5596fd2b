"""The last block of a tower, of which the tower reads one token → the same block, computed for that token alone.

The attention of the block reads all tokens. What only leads to the others is left out: their queries, the projection of
what they attend to, and their perceptron, 7 % of the arithmetic of a tower of twelve blocks.
"""

from __future__ import annotations

from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


def read_first_token(tower: Any) -> None:
    """Let the last block of an image tower compute the first token alone, if the tower reads no other."""
    if (
        type(tower) is VisionTransformer
        and (tower.attn_pool, tower.pool_type) == (None, "tok")
        and not tower.output_tokens
    ):
        split_last_block(tower.transformer, first_only=True)


def split_last_block(transformer: Any, *, first_only: bool = False) -> None:
    """Replace the last block of a transformer by one of which `encode_tokens` can ask some tokens, if it is plain."""
    *_, last = transformer.resblocks or (None,)
    if transformer.batch_first and type(last) is ResidualAttentionBlock:
        transformer.resblocks[-1] = LastBlock(last, first_only=first_only)


def encode_tokens(transformer: Any, x: Tensor, positions: Tensor, attn_mask: Tensor) -> Tensor:
    """A transformer's outputs at a position (n,) of each sequence (n, l, width) → (n, width); the mask is (l, l)."""
    rows = torch.arange(x.shape[0], device=x.device), positions
    *blocks, last = transformer.resblocks or (None,)
    if not isinstance(last, LastBlock):
        whole: Tensor = transformer(x, attn_mask=attn_mask)[rows]
        return whole
    for block in blocks:
        x = block(x, attn_mask=attn_mask)
    return last.encode(x[rows][:, None], x, attn_mask[positions][:, None, None])[:, 0]


class LastBlock(nn.Module):
    """An OpenCLIP `ResidualAttentionBlock` that can compute some tokens alone; the weights are shared with it.

    With `first_only`, the sequences that it returns have their first token alone.
    """

    def __init__(self, block: Any, *, first_only: bool) -> None:
        super().__init__()
        self.first_only = first_only
        self.ln_1, self.ls_1, self.ln_2, self.mlp, self.ls_2 = block.ln_1, block.ls_1, block.ln_2, block.mlp, block.ls_2
        attention, width = block.attn, block.attn.embed_dim
        self.heads = attention.num_heads
        self.query = _make_linear(attention.in_proj_weight[:width], attention.in_proj_bias[:width])
        self.key_value = _make_linear(attention.in_proj_weight[width:], attention.in_proj_bias[width:])
        self.out = _make_linear(attention.out_proj.weight, attention.out_proj.bias)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """(n, l, width) → (n, l, width), or (n, 1, width); the mask is (l, l) and is added to the logits."""
        if self.first_only:
            return self.encode(x[:, :1], x, attn_mask if attn_mask is None else attn_mask[:1])
        return self.encode(x, x, attn_mask)

    def encode(self, tokens: Tensor, x: Tensor, attn_mask: Tensor | None) -> Tensor:
        """The outputs for m tokens (n, m, width) of each sequence (n, l, width) → (n, m, width).

        The mask has a shape that can be broadcast to (n, heads, m, l).
        """
        keys = self.ln_1(x)
        queries = self.query(keys if tokens is x else self.ln_1(tokens)).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.key_value(keys).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None if attn_mask is None else attn_mask.to(x.dtype)
        attended = scaled_dot_product_attention(queries, k, v, mask).transpose(1, 2).flatten(2)
        tokens = tokens + self.ls_1(self.out(attended))
        encoded: Tensor = tokens + self.ls_2(self.mlp(self.ln_2(tokens)))
        return encoded

    def get_weight_dtype(self) -> torch.dtype:
        """As OpenCLIP asks of the first block of a tower, which may be the last."""
        dtype: torch.dtype = self.mlp.c_fc.weight.dtype
        return dtype


def _make_linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
    return layer
