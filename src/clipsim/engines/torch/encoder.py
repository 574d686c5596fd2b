"""A model's spec and files → `ClipEncoder`: PIL images and texts in, float32 feature vectors out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.transformer import text_global_pool
from PIL import Image
from torch import Tensor, nn

from clipsim.engines.accelerator import BatchQueue
from clipsim.engines.choice import default_precision
from clipsim.engines.encoder import EncoderFacts
from clipsim.engines.torch.build import build_model, prepare_as_transformers
from clipsim.engines.torch.cuda import CudaAccelerator
from clipsim.engines.torch.packed import PackableTower
from clipsim.engines.torch.tokenizer import Tokenizer
from clipsim.errors import DeviceError, ModelError, Setting, WeightsError, pluralise, printable
from clipsim.models.files import ModelFiles
from clipsim.models.names import ModelSpec
from clipsim.options import check_device, check_precision

__all__ = ["ClipEncoder"]


class ClipEncoder:
    """The `Encoder` of a model, run by torch.

    `device` is "auto", "cpu", "cuda", "cuda:N" or "mps"; a `precision` of None is the device's default. Raises
    ModelError and its family for the model, DeviceError for the device.
    """

    def __init__(
        self, spec: ModelSpec, files: ModelFiles, *, device: str = "auto", precision: str | None = None
    ) -> None:
        target = choose_device(device)
        precision, dtype = choose_precision(precision, target)
        built = build_model(spec, files)
        model, config, preprocessing = built.model, built.config, built.preprocessing
        size = model.visual.image_size
        model.requires_grad_(False)
        logit_scale = float(model.logit_scale.exp())  # before the model is cast down
        logit_bias = None if getattr(model, "logit_bias", None) is None else float(model.logit_bias)
        if not np.isfinite([logit_scale, logit_bias or 0.0]).all():
            raise WeightsError(f"{printable(spec.name)}: logit_scale is not finite; the weights are damaged")
        tokenizer = Tokenizer(config, files)
        self.facts = EncoderFacts(
            name=spec.reported_name,
            pretrained=spec.reported_tag,
            embed_dim=config["embed_dim"],
            image_size=int(size if isinstance(size, int) else max(size)),
            logit_scale=logit_scale,
            logit_bias=logit_bias,
            head="softmax" if logit_bias is None else "sigmoid",
            preprocessing=preprocessing,
            device=str(target),
            precision=precision,
            engine="torch",
            notices=(*built.notices, *tokenizer.notices),
        )
        self.image_size = self.facts.image_size
        self.tokenizer = tokenizer
        self.towers = Towers(model, target, dtype)
        self._mean = torch.tensor(preprocessing.mean, device=target).view(3, 1, 1)
        self._std = torch.tensor(preprocessing.std, device=target).view(3, 1, 1)
        self.queue: BatchQueue | None = self._open_queue(target) if target.type == "cuda" else None

    def prepare_image(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB image → (h, w, 3) uint8: the model's own resize and crop."""
        if self.facts.preprocessing.backend == "torchvision":
            return prepare_as_transformers(image, self.facts.preprocessing)
        return self.facts.preprocessing.prepare(image)

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32, not normalised."""
        return self._encode_in_parts(self._encode_pixels, torch.from_numpy(pixels))

    def _encode_pixels(self, pixels: Tensor) -> Tensor:
        # normalised in fp32 as OpenCLIP does, but on the device: bytes are a quarter of the floats to copy
        scaled = pixels.to(self.facts.device).permute(0, 3, 1, 2).float().div_(255).sub_(self._mean).div_(self._std)
        return self.towers.encode_images(scaled)

    def _open_queue(self, device: torch.device) -> BatchQueue:
        """The way of batches of images through a GPU."""
        accelerator = CudaAccelerator(lambda pixels: self._check_width(self._encode_pixels(pixels)), device)

        def recover(error: Exception, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            if not isinstance(error, torch.OutOfMemoryError):
                raise error
            error.__traceback__ = None  # which keeps the failed attempt's tensors alive
            self.queue = None  # parts of batches are encoded one after the other from now on
            accelerator.release()
            return self.encode_images(pixels)

        return BatchQueue(accelerator, recover)

    def tokenize(self, texts: Sequence[str], *, truncate: bool = False) -> NDArray[np.int64]:
        """N texts → (n, context_length) token ids, padded. Raises TextError as `encode_texts` does."""
        ids: NDArray[np.int64] = self.tokenizer(texts, truncate=truncate).numpy()
        return ids

    def count_tokens(self, texts: Sequence[str], *, truncate: bool = False) -> list[int]:
        """How many tokens the model reads of each text, with those that mark its start and end."""
        return self.tokenizer.count_read(texts, truncate=truncate)

    def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> NDArray[np.float32]:
        """N texts → (n, embed_dim) float32, not normalised.

        Raises TextError for a text longer than the model's context, unless `truncate`.
        """
        return self._encode_in_parts(self.towers.encode_texts, self.tokenizer(texts, truncate=truncate))

    def _encode_in_parts(self, encode: Callable[[Tensor], Tensor], batch: Tensor) -> NDArray[np.float32]:
        """Encode a batch; where it does not fit into the device's memory, its halves one after the other."""
        try:
            with torch.inference_mode():
                features: NDArray[np.float32] = self._check_width(encode(batch)).float().cpu().numpy()
            return features
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise DeviceError(
                    "the device has too little memory for this model",
                    hint=("try ", Setting("device", "cpu"), " or ", Setting("precision", "fp16")),
                ) from error
        torch.cuda.empty_cache()  # outside the handler, which keeps the failed attempt's tensors alive
        half = len(batch) // 2
        notice = f"too little memory on the device for a batch of {len(batch)}; it is encoded in parts of {half}"
        if notice not in self.facts.notices:
            self.facts = replace(self.facts, notices=(*self.facts.notices, notice))
        return np.concatenate([self._encode_in_parts(encode, part) for part in (batch[:half], batch[half:])])

    def _check_width(self, features: Tensor) -> Tensor:
        if features.shape[1:] != (self.facts.embed_dim,):
            raise ModelError(
                f"a tower of the model gives features of shape {tuple(features.shape[1:])}, not "
                f"({self.facts.embed_dim},), so that its images and texts cannot be compared"
            )
        return features


class Towers:
    """A model whose towers are cast and moved to the device one by one: a run may need only one of them.

    Threads may share it: a lock holds while a tower is moved, and while the layers of one are packed on a CPU.
    """

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.model, self.device, self.dtype = model, device, dtype
        self._lock = threading.Lock()
        self._placed: set[str] = set()
        # the feature at the end token of a causal tower does not depend on the padding behind it
        causal = type(model) is open_clip.CLIP and model.text_pool_type == "argmax" and model.attn_mask is not None
        self._short_text = ShortTextTower(model, "argmax", getattr(model, "text_eos_id", None)) if causal else None
        self._packable = (
            [PackableTower(model, self._run_image_tower), PackableTower(model, self._run_text_tower)]
            if device.type == "cpu"
            else []
        )

    def encode_images(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) normalised pixels → (n, embed_dim) features."""
        with self._lock:
            if "image" not in self._placed:
                self.model.visual.to(self.device, self.dtype)
                self._placed.add("image")
        encode = self._packable[0] if self._packable else self._run_image_tower
        return encode(images.to(self.dtype).contiguous())

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """(n, context_length) token ids → (n, embed_dim) features; a causal tower gets no padding."""
        with self._lock:
            if "text" not in self._placed:
                self._place_text()
        tokens = tokens.to(self.device)
        if self._short_text is not None:
            tokens = tokens[:, : int(tokens.argmax(dim=-1).max()) + 1]
        encode = self._packable[1] if self._packable else self._run_text_tower
        return encode(tokens)

    def keep_plain(self) -> None:
        """Make all layers those of PyTorch, for good: for code that reads them, as exports do."""
        for tower in self._packable:
            tower.keep_plain()

    def _run_image_tower(self, images: Tensor) -> Tensor:
        return _check_vectors(self.model.encode_image(images))

    def _run_text_tower(self, tokens: Tensor) -> Tensor:
        return _check_vectors(self.model.encode_text(tokens) if self._short_text is None else self._short_text(tokens))

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


def _check_vectors(features: Any) -> Tensor:
    """The features of a batch; raises ModelError for a tower that does not give one vector an input."""
    if not isinstance(features, Tensor) or features.dim() != 2:
        raise ModelError(
            "a tower of this model does not give one vector for each image or text (pooling, output_tokens)"
        )
    return features


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


_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """Resolve "auto" to CUDA, else Apple's MPS, else the CPU.

    Raises UsageError for an unknown name, DeviceError for a device that this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    check_device(name)
    kind, _, index = name.partition(":")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError("no CUDA GPU can be used", parameter="device", value=name, hint=Setting("device", "cpu"))
        if index and int(index) >= torch.cuda.device_count():
            raise DeviceError(
                "no such GPU",
                parameter="device",
                value=name,
                hint=f"this machine has {pluralise(torch.cuda.device_count(), 'CUDA GPU')}, from cuda:0",
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(
            "Apple's MPS is not available here", parameter="device", value=name, hint=Setting("device", "cpu")
        )
    return torch.device(name)


def describe_devices() -> dict[str, str]:
    """Every device that can be used here by its name, with one line that describes it."""
    devices = {"cpu": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"}
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    return devices


def choose_precision(name: str | None, device: torch.device) -> tuple[str, torch.dtype]:
    """The name and dtype of a precision, by default the device's. Raises UsageError for an unknown name."""
    name = name or default_precision(device.type)
    check_precision(name)
    return name, _DTYPES[name]
