"""A model's spec and files → an encoder: PIL pictures and texts in, float32 feature vectors out.

With `compat`, the only place where torch and open_clip are imported; importing it costs seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from clipsim.encoder.build import build_model
from clipsim.encoder.devices import choose_device, choose_precision
from clipsim.encoder.tokens import Tokenizer
from clipsim.hub import ModelFiles
from clipsim.models import BUNDLED, ModelSpec

__all__ = ["ClipEncoder", "load_encoder"]


class ClipEncoder:
    """A CLIP-like model that takes PIL pictures and texts and gives NumPy vectors; see `embed.Encoder`."""

    def __init__(
        self, spec: ModelSpec, files: ModelFiles, *, device: str = "auto", precision: str | None = None
    ) -> None:
        target = choose_device(device)
        self.precision, dtype = choose_precision(precision, target)
        model, self.transform, config = build_model(spec, files)
        self.name = spec.architecture or spec.name
        self.pretrained = "bundled" if spec.name == BUNDLED else spec.pretrained
        self.embed_dim: int = config["embed_dim"]
        size = model.visual.image_size
        self.image_size = int(size if isinstance(size, int) else max(size))
        model.requires_grad_(False)
        self.logit_scale = float(model.logit_scale.exp())  # before the model is cast down
        self.logit_bias = None if getattr(model, "logit_bias", None) is None else float(model.logit_bias)
        self.head = "softmax" if self.logit_bias is None else "sigmoid"
        self.device = str(target)
        self.tokenizer = Tokenizer(config, files)
        self.model = model.to(target, dtype)
        self.dtype = dtype

    def prepare_image(self, image: Image.Image) -> NDArray[np.float32]:
        """RGB picture → (3, h, w) float32: the model's own resize, crop and normalisation."""
        pixels: NDArray[np.float32] = self.transform(image).numpy()
        return pixels

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 3, h, w) → (n, embed_dim) float32, not normalised."""
        with torch.inference_mode():
            batch = torch.from_numpy(pixels).to(self.device, self.dtype)
            return _to_numpy(self.model.encode_image(batch))

    def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> NDArray[np.float32]:
        """N texts → (n, embed_dim) float32, not normalised.

        Raises PromptError for a text longer than the model's context, unless `truncate`.
        """
        tokens = self.tokenizer(texts, truncate=truncate)
        with torch.inference_mode():
            return _to_numpy(self.model.encode_text(tokens.to(self.device)))


def _to_numpy(features: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = features.float().cpu().numpy()
    return array


def load_encoder(
    spec: ModelSpec, files: ModelFiles, *, device: str = "auto", precision: str | None = None
) -> ClipEncoder:
    """Build a model on a device ("auto", "cpu", "cuda", "cuda:N", "mps") in a precision (None: the device's usual).

    Raises ModelError and its family for the model, DeviceError for the device.
    """
    return ClipEncoder(spec, files, device=device, precision=precision)
