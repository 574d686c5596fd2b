"""The API of OpenAI's `clip` package over OpenCLIP models: `available_models`, `load`, `tokenize`."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from clipsim.errors import ClipsimError, PromptError, printable
from clipsim.inputs.prompts import MAX_SHOWN
from clipsim.models.catalogue import OPENAI_NAMES, list_models
from clipsim.models.files import find_files
from clipsim.models.settings import choose_model

if TYPE_CHECKING:
    from PIL import Image
    from torch import LongTensor, Tensor

CONTEXT_LENGTH = 77
_tracing = threading.Lock()


def available_models() -> list[str]:
    """The names that `load` accepts: OpenAI's nine first, then OpenCLIP's ARCH/TAG and the bundled model."""
    return [*OPENAI_NAMES, *(facts.name for facts in list_models())]


def load(
    name: str | os.PathLike[str], device: Any = None, jit: bool = False, download_root: str | None = None
) -> tuple[Any, Callable[[Image.Image], Tensor]]:
    """Load a model by name or from a checkpoint file, as `clip.load` does.

    The model has `encode_image` ((n, 3, h, w) → (n, d), not normalised), `encode_text` ((m, 77) tokens → (m, d)),
    and is called as `model(images, tokens)` for `(logits_per_image (n, m), logits_per_text (m, n))`, scale × cosine
    (plus the bias, for SigLIP). The default device is CUDA if available, else the CPU; the model is fp16 on CUDA, fp32
    elsewhere. With `jit` it is a traced module with the same methods. `download_root` replaces the Hugging Face cache.

    Raises ModelError and its family (RuntimeErrors) for the model, DeviceError for the device.
    """
    import torch

    from clipsim.engines.torch.build import build_model, make_transform
    from clipsim.engines.torch.devices import choose_device, choose_precision

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    target = choose_device(f"cuda:{device}" if isinstance(device, int) else str(device))
    _, dtype = choose_precision(None, target)
    spec, _ = choose_model(os.fspath(name))
    # not mapped: a script may well save over the file that it has loaded
    built = build_model(spec, find_files(spec, download_root), mapped=False)
    model, preprocessing, config = built.model, built.preprocessing, built.config
    model = model.to(target, dtype)
    model.__class__ = _openai_class(type(model))
    size = model.visual.image_size
    model.vocab_size = config["text_cfg"].get("vocab_size", 49408)  # some of OpenCLIP's classes lack it
    resolution = size if isinstance(size, int) or size[0] != size[1] else size[0]
    if jit:
        model = _trace(model, config["text_cfg"].get("context_length", CONTEXT_LENGTH))
    model.visual.input_resolution = resolution  # OpenAI's name for it
    return model, make_transform(preprocessing)


def _openai_class(kind: Any) -> Any:
    """An OpenCLIP model class with the call, the casts and the attributes of OpenAI's."""
    if kind.__name__ in _openai_classes:
        return _openai_classes[kind.__name__]
    from torch.nn.functional import normalize as unit

    class OpenAIModel(kind):  # type: ignore[misc]  # the base is known at run time only
        @property
        def dtype(self) -> Any:
            first = getattr(self.visual, "conv1", None)
            return self.logit_scale.dtype if first is None else first.weight.dtype

        def encode_image(self, image: Tensor, normalize: bool = False) -> Tensor:
            features: Tensor = super().encode_image(image.to(self.dtype), normalize=normalize)
            return features

        def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
            features: Tensor = super().encode_text(text, normalize=normalize)
            return features

        def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
            images, texts = unit(self.encode_image(image), dim=-1), unit(self.encode_text(text), dim=-1)
            logits = self.logit_scale.exp() * images @ texts.T
            if getattr(self, "logit_bias", None) is not None:
                logits = logits + self.logit_bias
            return logits, logits.T

    OpenAIModel.__name__ = OpenAIModel.__qualname__ = f"OpenAI{kind.__name__}"
    _openai_classes[kind.__name__] = OpenAIModel
    return OpenAIModel


_openai_classes: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    """The classes of loaded models, which pickle looks up by name."""
    import open_clip

    kind = getattr(open_clip, name.removeprefix("OpenAI"), None) if name.startswith("OpenAI") else None
    if kind is None:
        raise AttributeError(f"module 'clipsim.compat' has no attribute '{name}'")
    return _openai_class(kind)


def _trace(model: Any, context_length: int) -> Any:
    """A TorchScript module with `encode_image`, `encode_text` and `forward`, for any batch size."""
    import torch

    size = model.visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    parameter = model.logit_scale
    # several rows, and different numbers of them: tracing makes a constant of a batch of one
    images = torch.zeros(2, 3, height, width, device=parameter.device, dtype=parameter.dtype)
    tokens = torch.zeros(3, context_length, dtype=torch.long, device=parameter.device)
    tokens[:, 0], tokens[:, 1] = 1, 2  # any text with an end token, which has the greatest id
    inputs = {"forward": (images, tokens), "encode_image": (images,), "encode_text": (tokens,)}
    with _tracing, warnings.catch_warnings(), torch.no_grad():  # the filters are those of the whole process
        warnings.simplefilter("ignore")  # tracing is deprecated, and warns of shapes that are constant anyway
        trace: Any = torch.jit.trace_module
        traced = trace(model, inputs, check_trace=False)
    traced.context_length, traced.vocab_size = context_length, model.vocab_size
    return traced


@cache
def _tokenizer() -> Any:
    """OpenCLIP's byte-pair tokenizer with OpenAI's spelling of the two markers, which it reads inside a text too.

    Raises ClipsimError where OpenCLIP's pattern does not have its own spelling in the expected place.
    """
    import regex
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    markers = {"<|startoftext|>": tokenizer.sot_token_id, "<|endoftext|>": tokenizer.eot_token_id}
    tokenizer.encoder |= markers
    tokenizer.cache = {marker: marker for marker in markers}
    original = tokenizer.pat.pattern
    pattern = original.replace("<start_of_text>|<end_of_text>", "|".join(map(regex.escape, markers)))
    if pattern == original:
        raise ClipsimError(
            "the installed open_clip splits texts by a pattern that clipsim does not know; install open_clip_torch 3.3"
        )
    tokenizer.pat = regex.compile(pattern, regex.IGNORECASE)
    return tokenizer


def tokenize(texts: str | Sequence[str], context_length: int = CONTEXT_LENGTH, truncate: bool = False) -> LongTensor:
    """Texts → (n, context_length) int64 ids of OpenAI's byte-pair vocabulary, zero-padded.

    Raises PromptError (a RuntimeError) for a text that is too long, unless `truncate`, which keeps the end token.
    """
    import torch

    tokenizer = _tokenizer()
    given = [texts] if isinstance(texts, str) else list(texts)
    result = torch.zeros(len(given), context_length, dtype=torch.long)
    for row, text in zip(result, given, strict=True):
        ids = [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]
        if len(ids) > context_length:
            if not truncate:
                shown = printable(text, MAX_SHOWN)
                raise PromptError(f"Input '{shown}' is too long for context length {context_length}: {len(ids)} tokens")
            ids = [*ids[: context_length - 1], tokenizer.eot_token_id]
        row[: len(ids)] = torch.tensor(ids)
    return result  # type: ignore[return-value]  # a LongTensor by its dtype
