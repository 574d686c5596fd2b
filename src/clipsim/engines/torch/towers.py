"""Image batches and token ids → features: the two towers of an OpenCLIP model, each moved when it is first used."""

from __future__ import annotations

import threading
from typing import Any

import open_clip
import torch
from open_clip.transformer import text_global_pool
from torch import Tensor, nn


class Towers:
    """A model whose towers are cast and moved to the device one by one: a run may need only one of them.

    Threads may share it: encoding reads the model and changes nothing of it; a lock holds while a tower is moved.
    """

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.model, self.device, self.dtype = model, device, dtype
        self._lock = threading.Lock()
        self._placed: set[str] = set()
        # the feature at the end token of a causal tower does not depend on the padding behind it
        causal = type(model) is open_clip.CLIP and model.text_pool_type == "argmax" and model.attn_mask is not None
        self._short_text = ShortTextTower(model, "argmax", getattr(model, "text_eos_id", None)) if causal else None

    def encode_images(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) normalised pixels → (n, embed_dim) features."""
        with self._lock:
            if "image" not in self._placed:
                self.model.visual.to(self.device, self.dtype)
                self._placed.add("image")
        features: Tensor = self.model.encode_image(images.to(self.dtype).contiguous())
        return features

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """(n, context_length) token ids → (n, embed_dim) features; a causal tower gets no padding."""
        with self._lock:
            if "text" not in self._placed:
                self._place_text()
        tokens = tokens.to(self.device)
        features: Tensor
        if self._short_text is None:
            features = self.model.encode_text(tokens)
        else:
            features = self._short_text(tokens[:, : int(tokens.argmax(dim=-1).max()) + 1])
        return features

    def _place_text(self) -> None:
        for name, module in self.model.named_children():
            if name != "visual":
                module.to(self.device, self.dtype)
        for owned in (self.model._parameters, self.model._buffers):
            for tensor in owned.values():
                if tensor is not None:
                    kind = self.dtype if tensor.is_floating_point() else tensor.dtype
                    tensor.data = tensor.data.to(self.device, kind)
        self._placed.add("text")


class ShortTextTower(nn.Module):
    """(n, l) int64 token ids → (n, embed_dim) features of a causal tower, for any l from the longest text's on."""

    def __init__(self, tower: Any, pool_type: str, end: int | None) -> None:
        super().__init__()
        self.tower, self.pool_type, self.end = tower, pool_type, end

    def forward(self, tokens: Tensor) -> Tensor:
        """As OpenCLIP's towers do, with positions and mask cut to the length of the tokens."""
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
