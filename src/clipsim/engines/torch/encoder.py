"""A model's spec and files → `ClipEncoder`: PIL pictures and texts in, float32 feature vectors out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from clipsim.engines.torch.build import build_model
from clipsim.engines.torch.devices import choose_device, choose_precision
from clipsim.engines.torch.resizing import prepare_as_transformers
from clipsim.engines.torch.tokenizer import Tokenizer
from clipsim.engines.torch.towers import Towers
from clipsim.errors import DeviceError, WeightsError, printable
from clipsim.models.files import ModelFiles
from clipsim.models.names import ModelSpec

# On a CPU the last bits of a vector differ between batches of one or two and larger ones, which use other kernels;
# batches that are multiples of four agree. For an image tower of at most so many parameters, filling up costs
# milliseconds, and the vector of a picture does not depend on its batch.
FILLED_UP_TOWER = 10_000_000
FILLED_UP_TO = 4

__all__ = ["ClipEncoder"]


class ClipEncoder:
    """The `Encoder` of a model, run by torch.

    `device` is "auto", "cpu", "cuda", "cuda:N" or "mps"; a `precision` of None is the device's default. Raises
    ModelError and its family for the model, DeviceError for the device.
    """

    engine = "torch"

    def __init__(
        self, spec: ModelSpec, files: ModelFiles, *, device: str = "auto", precision: str | None = None
    ) -> None:
        target = choose_device(device)
        self.precision, dtype = choose_precision(precision, target)
        built = build_model(spec, files)
        model, config = built.model, built.config
        self.preprocessing, self.notices = built.preprocessing, built.notices
        self.name = spec.reported_name
        self.pretrained = spec.reported_tag
        self.embed_dim: int = config["embed_dim"]
        size = model.visual.image_size
        self.image_size = int(size if isinstance(size, int) else max(size))
        model.requires_grad_(False)
        self.logit_scale = float(model.logit_scale.exp())  # before the model is cast down
        self.logit_bias = None if getattr(model, "logit_bias", None) is None else float(model.logit_bias)
        if not np.isfinite([self.logit_scale, self.logit_bias or 0.0]).all():
            raise WeightsError(f"{printable(spec.name)}: logit_scale is not finite; the weights are damaged")
        self.head = "softmax" if self.logit_bias is None else "sigmoid"
        self.device = str(target)
        self.tokenizer = Tokenizer(config, files)
        self._multiple = 1
        if target.type == "cpu" and sum(weight.numel() for weight in model.visual.parameters()) <= FILLED_UP_TOWER:
            self._multiple = FILLED_UP_TO
        self.towers = Towers(model, target, dtype)

        self._mean = torch.tensor(self.preprocessing.mean, device=target).view(3, 1, 1)
        self._std = torch.tensor(self.preprocessing.std, device=target).view(3, 1, 1)

    def prepare_image(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB picture → (h, w, 3) uint8: the model's own resize and crop."""
        if self.preprocessing.backend == "torchvision":
            return prepare_as_transformers(image, self.preprocessing)
        return self.preprocessing.prepare(image)

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32, not normalised."""

        def encode(part: Tensor) -> Tensor:
            # normalised in fp32 as OpenCLIP does, but on the device: bytes are a quarter of the floats to copy
            if self.device.startswith("cuda"):
                part = part.pin_memory()  # copied asynchronously, while the batch before it is still computed
            scaled = (
                part.to(self.device, non_blocking=True)
                .permute(0, 3, 1, 2)
                .float()
                .div_(255)
                .sub_(self._mean)
                .div_(self._std)
            )
            return self.towers.encode_images(scaled)

        count = len(pixels)
        if missing := -count % self._multiple:
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)])
        return self._encode_in_parts(encode, torch.from_numpy(pixels))[:count]

    def tokenize(self, texts: Sequence[str], *, truncate: bool = False) -> NDArray[np.int64]:
        """N texts → (n, context_length) token ids, padded. Raises PromptError as `encode_texts` does."""
        ids: NDArray[np.int64] = self.tokenizer(texts, truncate=truncate).numpy()
        return ids

    def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> NDArray[np.float32]:
        """N texts → (n, embed_dim) float32, not normalised.

        Raises PromptError for a text longer than the model's context, unless `truncate`.
        """
        return self._encode_in_parts(self.towers.encode_texts, self.tokenizer(texts, truncate=truncate))

    def _encode_in_parts(self, encode: Callable[[Tensor], Tensor], batch: Tensor) -> NDArray[np.float32]:
        """Encode a batch; where it does not fit into the device's memory, its halves one after the other."""
        try:
            with torch.inference_mode():
                features: NDArray[np.float32] = encode(batch).float().cpu().numpy()
            return features
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise DeviceError(
                    "the device has too little memory for this model; try device='cpu' or precision='fp16'"
                ) from error
        torch.cuda.empty_cache()  # outside the handler, which keeps the failed attempt's tensors alive
        half = len(batch) // 2
        notice = f"too little memory on the device for a batch of {len(batch)}; it is encoded in parts of {half}"
        if notice not in self.notices:
            self.notices += (notice,)
        return np.concatenate([self._encode_in_parts(encode, part) for part in (batch[:half], batch[half:])])
