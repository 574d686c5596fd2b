"""A model's spec and files → `ClipEncoder`: PIL images and texts in, float32 feature vectors out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from clipsim.engines.accelerator import BatchQueue
from clipsim.engines.encoder import EncoderFacts, Pixels
from clipsim.engines.torch.batches import BatchSplitter, attention_limit, mend_rows
from clipsim.engines.torch.build import build_model, prepare_as_transformers
from clipsim.engines.torch.cuda import CudaAccelerator
from clipsim.engines.torch.devices import (
    HALVES,
    choose_device,
    choose_precision,
    device_lost,
    fp32_products,
    is_gpu_failure,
    is_out_of_memory,
)
from clipsim.engines.torch.last_block import encode_tokens, read_first_token, split_last_block
from clipsim.engines.torch.packed import PackableTower
from clipsim.engines.torch.tokenizer import Tokenizer
from clipsim.errors import ModelError, WeightsError, printable
from clipsim.models.files import ModelFiles
from clipsim.models.names import ModelSpec

__all__ = ["ClipEncoder"]


class ClipEncoder:
    """The `Encoder` of a model, run by torch.

    `device` is "auto", "cpu", "cuda", "cuda:N" or "mps"; a `precision` of None is the device's default. Raises
    ModelError and its family for the model, DeviceError for the device.
    """

    def __init__(
        self, spec: ModelSpec, files: ModelFiles, *, device: str = "auto", precision: str | None = None
    ) -> None:
        device_notices: list[str] = []
        target = choose_device(device, device_notices.append)
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
            device_notice="; ".join(device_notices) or None,
        )
        self.image_size = self.facts.image_size
        self.tokenizer = tokenizer
        self._spec, self._files = spec, files
        self._exact: tuple[Towers, BatchSplitter] | None = None  # in fp32, once a half vector was not finite
        self.towers = Towers(model, target, dtype, tf32=precision == "tf32")
        self._image_batches = BatchSplitter(target, dtype, self._add_notice, attention_limit(model.visual, target))
        self._text_batches = BatchSplitter(target, dtype, self._add_notice)
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
        return self._encode(self._encode_pixels, self._image_batches, torch.from_numpy(pixels))

    def _open_queue(self, device: torch.device) -> BatchQueue:
        """The way of batches of images through a GPU."""
        accelerator = CudaAccelerator(lambda pixels: self._encode_pixels(self.towers, pixels), device)

        def recover(error: Exception, pixels: Pixels) -> NDArray[np.float32]:
            if is_gpu_failure(error):
                raise device_lost(error) from error
            if not is_out_of_memory(error):
                raise error
            error.__traceback__ = None  # which keeps the failed attempt's tensors alive
            self.queue = None
            self._add_notice("too little memory on the device for several batches: they are encoded one after another")
            accelerator.release()
            return self.encode_images(pixels)

        def check(features: NDArray[np.float32], images: Sequence[Pixels]) -> NDArray[np.float32]:
            return self._mend(self._encode_pixels, features, lambda: torch.from_numpy(np.stack(images)))

        return BatchQueue(accelerator, recover, check)

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
        return self._encode(self._encode_tokens, self._text_batches, self.tokenizer(texts, truncate=truncate))

    def _encode_pixels(self, towers: Towers, pixels: Tensor) -> Tensor:
        # normalised in fp32 as OpenCLIP does, but on the device: bytes are a quarter of the floats to copy
        scaled = pixels.to(towers.device).permute(0, 3, 1, 2).float().div_(255).sub_(self._mean).div_(self._std)
        return self._check_width(towers.encode_images(scaled))

    def _encode_tokens(self, towers: Towers, tokens: Tensor) -> Tensor:
        return self._check_width(towers.encode_texts(tokens))

    def _encode(
        self, encode: Callable[[Towers, Tensor], Tensor], batches: BatchSplitter, batch: Tensor
    ) -> NDArray[np.float32]:
        """Encode a batch in parts that fit; what is not finite in half precision once more, in fp32."""
        return self._mend(encode, batches.encode(partial(encode, self.towers), batch), lambda: batch)

    def _mend(
        self,
        encode: Callable[[Towers, Tensor], Tensor],
        features: NDArray[np.float32],
        read_batch: Callable[[], Tensor],
    ) -> NDArray[np.float32]:
        """Encode rows that are not finite in half precision once more, by the weights of the files in fp32."""

        def encode_exactly(rows: Tensor) -> NDArray[np.float32]:
            if self._exact is None:
                model, device = build_model(self._spec, self._files).model.requires_grad_(False), self.towers.device
                batches = BatchSplitter(device, torch.float32, self._add_notice, attention_limit(model.visual, device))
                self._exact = Towers(model, device, torch.float32), batches
            towers, batches = self._exact
            return batches.encode(partial(encode, towers), read_batch()[rows])

        if self.towers.dtype not in HALVES:
            return features
        return mend_rows(features, encode_exactly, self.facts.precision, self._add_notice)

    def _check_width(self, features: Tensor) -> Tensor:
        if features.shape[1:] != (self.facts.embed_dim,):
            raise ModelError(
                f"a tower of the model gives features of shape {tuple(features.shape[1:])}, not "
                f"({self.facts.embed_dim},), so that its images and texts cannot be compared"
            )
        return features

    def _add_notice(self, notice: str) -> None:
        if notice not in self.facts.notices:
            self.facts = replace(self.facts, notices=(*self.facts.notices, notice))


class Towers:
    """A model whose towers are cast and moved to the device one by one: a run may need only one of them.

    Threads may share it: a lock holds while a tower is moved, and while the layers of one are packed on a CPU.
    """

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype, *, tf32: bool = False) -> None:
        self.model, self.device, self.dtype = model, device, dtype
        self._lock = threading.Lock()
        on_cuda = device.type == "cuda" and dtype == torch.float32
        self._products = partial(fp32_products, tf32=tf32) if on_cuda else nullcontext
        self._placed: set[str] = set()
        # the feature at the end token of a causal tower does not depend on the padding behind it
        causal = type(model) is open_clip.CLIP and model.text_pool_type == "argmax" and model.attn_mask is not None
        self._short_text = ShortTextTower(model) if causal else None
        self._packable: list[PackableTower] = []
        if device.type == "cpu":
            read_first_token(model.visual)
            if causal:
                split_last_block(model.transformer)
            image = set(model.visual.modules())
            text = set(model.modules()) - image
            self._packable = [
                PackableTower(model, self._run_image_tower, image),
                PackableTower(model, self._run_text_tower, text),
            ]

    def encode_images(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) normalised pixels → (n, embed_dim) features."""
        with self._lock:
            if "image" not in self._placed:
                place(self.model.visual, self.device, self.dtype)
                self._placed.add("image")
        encode = self._packable[0] if self._packable else self._run_image_tower
        with self._products():
            return encode(images.to(self.dtype).contiguous())

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """(n, context_length) token ids on the host → (n, embed_dim) features; a causal tower gets no padding."""
        with self._lock:
            if "text" not in self._placed:
                self._place_text()
        if self._short_text is not None:  # before they are on a device, which would have to be waited for
            tokens = tokens[:, : int(tokens.argmax(dim=-1).max()) + 1]
        encode = self._packable[1] if self._packable else self._run_text_tower
        with self._products():
            return encode(tokens.to(self.device))

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
                place(module, self.device, self.dtype)
        _place_tensors(self.model, self.device, self.dtype)
        self._placed.add("text")


def place(tower: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move a tower to a device and cast it; batch norms stay in fp32, whose variances may pass the range of fp16."""
    for module in tower.modules():
        # MPS does not normalise numbers of one type by those of another
        stays = isinstance(module, _BatchNorm) and dtype == torch.float16 and device.type != "mps"
        _place_tensors(module, device, torch.float32 if stays else dtype)


def _place_tensors(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move the tensors that are a module's own, and cast those with fractions."""
    for tensor in (*module._parameters.values(), *module._buffers.values()):
        if tensor is not None:
            tensor.data = tensor.data.to(device, dtype if tensor.is_floating_point() else tensor.dtype)


def _check_vectors(features: Any) -> Tensor:
    """The features of a batch; raises ModelError for a tower that does not give one vector an input."""
    if not isinstance(features, Tensor) or features.dim() != 2:
        raise ModelError(
            "a tower of this model does not give one vector for each image or text (pooling, output_tokens)"
        )
    return features


class ShortTextTower(nn.Module):
    """(n, l) int64 token ids → (n, embed_dim) features of a causal tower, for any l from the longest text's on.

    The tower reads the token of the greatest id, which ends a text.
    """

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, tokens: Tensor) -> Tensor:
        """As OpenCLIP's towers do, with positions and mask cut to the length of the tokens."""
        tower, length = self.tower, tokens.shape[1]
        hidden: Tensor = tower.token_embedding(tokens) + tower.positional_embedding[:length]
        mask = tower.attn_mask[:length, :length]
        hidden = tower.ln_final(encode_tokens(tower.transformer, hidden, tokens.argmax(dim=-1), mask))
        projection = tower.text_projection
        if isinstance(projection, nn.Linear):
            hidden = projection(hidden)
        elif projection is not None:
            hidden = hidden @ projection
        return hidden
