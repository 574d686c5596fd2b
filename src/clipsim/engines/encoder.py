"""The protocol between engines and everything that needs vectors: prepared pixels and texts in, float32 vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]


class Encoder(Protocol):
    """What every engine offers; `torch.encoder.ClipEncoder` and `onnx.encoder.OnnxEncoder` implement it."""

    @property
    def name(self) -> str:
        """The architecture, or what the user named the model."""
        ...

    @property
    def pretrained(self) -> str | None:
        """OpenCLIP's tag of the weights."""
        ...

    @property
    def embed_dim(self) -> int:
        """The length of the vectors."""
        ...

    @property
    def image_size(self) -> int:
        """Pixels, of the side."""
        ...

    @property
    def logit_scale(self) -> float:
        """The factor itself, after the exponential."""
        ...

    @property
    def logit_bias(self) -> float | None:
        """What SigLIP's logits are shifted by."""
        ...

    @property
    def head(self) -> str:
        """How logits become probabilities: "softmax" or "sigmoid"."""
        ...

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    @property
    def precision(self) -> str:
        """What it computes in."""
        ...

    @property
    def engine(self) -> str:
        """What runs it: "torch", "onnx" or "onnx-int8"."""
        ...

    @property
    def preprocess(self) -> dict[str, Any]:
        """How pictures are resized, cropped and normalised, as plain values."""
        ...

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user of the model should know of it: what had to be assumed, say."""
        ...

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB picture → (h, w, 3) uint8, resized and cropped as the model wants it; called from many threads."""
        ...

    def encode_images(self, pixels: Pixels) -> Features:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32, not normalised."""
        ...

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> Features:
        """N texts → (n, embed_dim) float32, not normalised; too long a text is a PromptError unless cut."""
        ...
