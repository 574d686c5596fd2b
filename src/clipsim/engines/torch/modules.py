"""A model that a program holds in its memory, with its transform and tokenizer → `ModuleEncoder`."""

from __future__ import annotations

import copy
import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from PIL import Image
from torch import Tensor

from clipsim.engines.encoder import EncoderFacts, too_many_tokens
from clipsim.engines.preprocessing import Preprocessing
from clipsim.engines.torch.batches import BatchSplitter, attention_limit, mend_rows
from clipsim.engines.torch.devices import HALVES, choose_device, choose_precision, fp32_products
from clipsim.errors import DeviceError, TextError, UsageError, WeightsError, first_line
from clipsim.options import ModuleOptions

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
_PROBE_TEXT = "a photo of a cat"
_PROBE_SIZE = (80, 60)


class ModuleEncoder:
    """The `Encoder` of a module with `encode_image` and `encode_text`, of which it runs a copy in evaluation mode.

    The caller's module is not changed, and changes of it afterwards do not reach the copy. Images are prepared by the
    caller's transform, whose result is what the module gets; texts are tokenized by the caller's tokenizer.

    Raises UsageError for parts that do not work together, WeightsError for a module that cannot be copied.
    """

    def __init__(self, options: ModuleOptions) -> None:
        self._transform, self._tokenize = options.transform, options.tokenizer
        try:
            with torch.no_grad():
                self._module: Any = copy.deepcopy(options.module).eval()
        except Exception as error:
            raise WeightsError(f"the module cannot be copied ({first_line(error, 160)})") from error
        self._module.requires_grad_(False)
        parameters = [part for part in self._module.parameters() if part.is_floating_point()]
        if not parameters:
            raise UsageError("the module has no parameters", parameter="model")
        target = parameters[0].device if options.device == "auto" else choose_device(options.device)
        self._module.to(target)
        first = next(iter(getattr(self._module, "visual", self._module).parameters()))  # in which images are computed
        self._dtype = first.dtype
        precision = _PRECISIONS.get(self._dtype, str(self._dtype).removeprefix("torch."))
        if options.precision not in (None, precision):
            precision, self._dtype = choose_precision(options.precision, target)
            self._module.to(self._dtype)
        self._target = target
        self._precision = precision
        self._exact: Any = None  # the module in fp32, once a vector in half precision was not finite
        self._notices: tuple[str, ...] = ()
        limit = attention_limit(getattr(self._module, "visual", self._module), target)
        self._image_batches = BatchSplitter(target, self._dtype, self._add_notice, limit)
        self._text_batches = BatchSplitter(target, self._dtype, self._add_notice)
        self._size = self._probe_transform()
        kind = type(options.module)
        self.identity = _digest(options)
        self._facts = EncoderFacts(
            name=f"{kind.__module__}.{kind.__qualname__}@{self.identity[:8]}",
            pretrained=None,
            embed_dim=self._probe_towers(),
            image_size=max(self._size[1:]),
            logit_scale=_number(self._module, "logit_scale", exponential=True),
            logit_bias=None
            if getattr(self._module, "logit_bias", None) is None
            else _number(self._module, "logit_bias"),
            head="softmax" if getattr(self._module, "logit_bias", None) is None else "sigmoid",
            preprocessing=Preprocessing(
                (self._size[1], self._size[2]), (0.0,) * 3, (1.0,) * 3, "the caller's", "the caller's", 0, "caller"
            ),
            device=str(target),
            precision=precision,
            engine="torch",
        )
        self.image_size = self._facts.image_size

    @property
    def facts(self) -> EncoderFacts:
        """What is known of the module, with the notices of how it had to be run."""
        return replace(self._facts, notices=self._notices)

    def prepare_image(self, image: Image.Image) -> NDArray[Any]:
        """RGB image → what the caller's transform makes of it: (3, h, w) float32."""
        prepared = self._transform(image)
        array = np.asarray(prepared.detach().cpu() if isinstance(prepared, Tensor) else prepared)
        if array.ndim != 3 or array.dtype.kind != "f":
            raise UsageError(
                f"the transform returns {array.dtype} of shape {array.shape}, where numbers of shape (3, h, w) are "
                "expected",
                parameter="preprocess",
            )
        return np.ascontiguousarray(array, np.float32)

    def encode_images(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(n, 3, h, w) prepared images → (n, embed_dim) float32, not normalised."""

        def encode(module: Any, dtype: torch.dtype, images: Tensor) -> Tensor:
            return _vectors(module.encode_image(images.to(self._target, dtype)), len(images))

        return self._encode(encode, self._image_batches, torch.from_numpy(np.ascontiguousarray(pixels, np.float32)))

    def tokenize(self, texts: Sequence[str], *, truncate: bool = False) -> NDArray[np.int64]:
        """N texts → (n, k) token ids, as the caller's tokenizer makes them.

        Raises TextError for a text that it refuses, or that one of OpenCLIP's would cut, unless `truncate`.
        """
        options = {"truncate": truncate} if "truncate" in _parameters(self._tokenize) else {}
        try:
            tokens = self._tokenize(list(texts), **options)
        except (RuntimeError, ValueError) as error:
            raise TextError(f"the tokenizer refuses a text: {first_line(error, 160)}") from error
        if not isinstance(tokens, Tensor) or tokens.dim() != 2 or len(tokens) != len(texts):
            raise UsageError(
                f"the tokenizer returns {type(tokens).__name__}, where a tensor with a row a text is expected",
                parameter="tokenizer",
            )
        for text in () if truncate else texts:
            count = _count_tokens(self._tokenize, text)
            if count is not None and count > tokens.shape[1]:
                raise too_many_tokens(text, count, tokens.shape[1])
        ids: NDArray[np.int64] = tokens.cpu().numpy().astype(np.int64)
        return ids

    def count_tokens(self, texts: Sequence[str], *, truncate: bool = False) -> list[int]:
        """How many tokens the module reads of each text; all of a row where nothing tells which are padding."""
        width = self.tokenize(texts, truncate=truncate).shape[1]
        counts = (_count_tokens(self._tokenize, text) for text in texts)
        return [width if count is None else min(count, width) for count in counts]

    def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> NDArray[np.float32]:
        """N texts → (n, embed_dim) float32, not normalised. Raises TextError as `tokenize` does."""

        def encode(module: Any, _: torch.dtype, tokens: Tensor) -> Tensor:
            return _vectors(module.encode_text(tokens.to(self._target)), len(tokens))

        return self._encode(encode, self._text_batches, torch.from_numpy(self.tokenize(texts, truncate=truncate)))

    def _encode(
        self, encode: Callable[[Any, torch.dtype, Tensor], Tensor], batches: BatchSplitter, batch: Tensor
    ) -> NDArray[np.float32]:
        """Encode a batch in parts that fit; what is not finite in half precision once more, in fp32."""

        def encode_plain(part: Tensor) -> Tensor:
            with self._products(self._dtype):
                return encode(self._module, self._dtype, part)

        def encode_exactly(part: Tensor) -> Tensor:
            if self._exact is None:
                self._exact = copy.deepcopy(self._module).float()
            with self._products(torch.float32):
                return encode(self._exact, torch.float32, part)

        features = batches.encode(encode_plain, batch)
        if self._dtype not in HALVES:
            return features
        return mend_rows(
            features, lambda rows: batches.encode(encode_exactly, batch[rows]), self._precision, self._add_notice
        )

    def _products(self, dtype: torch.dtype) -> AbstractContextManager[None]:
        on_cuda = self._target.type == "cuda" and dtype == torch.float32
        return fp32_products(tf32=self._precision == "tf32") if on_cuda else nullcontext()

    def _add_notice(self, notice: str) -> None:
        if notice not in self._notices:
            self._notices = (*self._notices, notice)

    def _probe_transform(self) -> tuple[int, ...]:
        """The shape that the transform gives images. Raises UsageError for one that is random, as in training."""
        noise = np.random.default_rng(0).integers(0, 256, (_PROBE_SIZE[1], _PROBE_SIZE[0], 3), dtype=np.uint8)
        image = Image.fromarray(noise)
        first, second = self.prepare_image(image), self.prepare_image(image)
        other = self.prepare_image(image.resize((_PROBE_SIZE[1], 2 * _PROBE_SIZE[0])))
        if first.shape != second.shape or not np.array_equal(first, second):
            raise UsageError("the transform is random; give the one for inference", parameter="preprocess")
        if first.shape != other.shape:
            raise UsageError(
                f"the transform gives images different shapes ({first.shape}, {other.shape})", parameter="preprocess"
            )
        return first.shape

    def _probe_towers(self) -> int:
        """The length of the vectors of both towers. Raises UsageError where they do not fit each other."""
        try:
            images = self.encode_images(np.zeros((1, *self._size), np.float32))
            texts = self.encode_texts([_PROBE_TEXT], truncate=True)
        except (UsageError, TextError, DeviceError):
            raise
        except Exception as error:
            raise UsageError(
                f"the module does not take what its transform and tokenizer give ({first_line(error, 160)})",
                parameter="model",
            ) from error
        if images.shape != texts.shape:
            raise UsageError(
                f"vectors of images with {images.shape[1]} numbers, and of texts with {texts.shape[1]}",
                parameter="model",
            )
        return int(images.shape[1])


def _vectors(result: Any, count: int) -> Tensor:
    """The vectors in what a tower returns; OpenCLIP's may return tokens behind them."""
    features = result[0] if isinstance(result, tuple) and result else result
    if not isinstance(features, Tensor) or features.dim() != 2 or len(features) != count:
        raise UsageError(
            f"the module returns {type(result).__name__}, where (n, d) vectors are expected", parameter="model"
        )
    return features


def _number(module: Any, name: str, *, exponential: bool = False) -> float:
    value = getattr(module, name, None)
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise UsageError(f"the module has no {name}, which probabilities need", parameter="model")
    number = float(value.detach().float().exp() if exponential else value.detach())
    if not np.isfinite(number):
        raise WeightsError(f"{name} of the module is not finite")
    return number


def _digest(options: ModuleOptions) -> str:
    """A digest of the module's numbers, and of what its transform and tokenizer say of themselves."""
    kind = type(options.module)
    digest = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__}".encode())
    for part in (options.transform, options.tokenizer):
        digest.update(_ADDRESS.sub("", repr(part)).encode())
    for name, tensor in options.module.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        digest.update(plain.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _parameters(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a function that is not Python's
        return {}


def _count_tokens(tokenizer: Any, text: str) -> int | None:
    """How many tokens a text has for a tokenizer of OpenCLIP's, which cuts in silence; None for any other."""
    if isinstance(tokenizer, SimpleTokenizer):
        return len(tokenizer.encode(text)) + 2
    if isinstance(tokenizer, HFTokenizer):
        return len(tokenizer.tokenizer(tokenizer.clean_fn(text)).input_ids)
    return None
