"""Image batches and token ids → features: the two towers of an OpenCLIP model, each moved when it is first used."""

from __future__ import annotations

from typing import Any

import open_clip
import torch
from torch import Tensor, nn


class Towers:
    """A model whose towers are cast and moved to the device one by one: a run may need only one of them."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.model, self.device, self.dtype = model, device, dtype
        self._placed: set[str] = set()
        # the feature at the end token of a causal tower does not depend on the padding behind it
        self._causal = (
            type(model) is open_clip.CLIP and model.text_pool_type == "argmax" and model.attn_mask is not None
        )
        self._text = TextTower(model)

    def encode_images(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) normalised pixels → (n, embed_dim) features."""
        if "image" not in self._placed:
            self.model.visual.to(self.device, self.dtype)
            self._placed.add("image")
        features: Tensor = self.model.encode_image(images.to(self.dtype).contiguous())
        return features

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """(n, context_length) token ids → (n, embed_dim) features; a causal tower gets no padding."""
        if "text" not in self._placed:
            self._place_text()
        tokens = tokens.to(self.device)
        features: Tensor
        if not self._causal:
            features = self.model.encode_text(tokens)
            return features
        length = int(tokens.argmax(dim=-1).max()) + 1
        shorter = {
            "model.positional_embedding": self.model.positional_embedding[:length],
            "model.attn_mask": self.model.attn_mask[:length, :length],
        }
        features = torch.func.functional_call(self._text, shorter, (tokens[:, :length],))
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


class TextTower(nn.Module):
    """(n, length) token ids → (n, embed_dim) features: `encode_text` as a module, for `functional_call` and export."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode the tokens."""
        features: Tensor = self.model.encode_text(tokens)
        return features
