"""The API of OpenAI's `clip` package over OpenCLIP models: `available_models`, `load`, `tokenize`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from clipsim.errors import PromptError
from clipsim.hub import find_files
from clipsim.models import OPENAI_NAMES, list_models
from clipsim.names import printable
from clipsim.settings import choose_model
from clipsim.texts import LONGEST_SHOWN

if TYPE_CHECKING:
    from PIL import Image
    from torch import LongTensor, Tensor

CONTEXT_LENGTH = 77


def available_models() -> list[str]:
    """The names that `load` accepts: OpenAI's nine first, then OpenCLIP's ARCH/TAG and the bundled model."""
    return [*OPENAI_NAMES, *(facts.name for facts in list_models())]


def load(
    name: str, device: Any = None, jit: bool = False, download_root: str | None = None
) -> tuple[Any, Callable[[Image.Image], Tensor]]:
    """Load a model by name or from a checkpoint file, as `clip.load` does.

    The model has `encode_image` ((n, 3, h, w) → (n, d), not normalised), `encode_text` ((m, 77) tokens → (m, d)),
    and is called as `model(images, tokens)` for `(logits_per_image (n, m), logits_per_text (m, n))`, scale × cosine
    (plus the bias, for SigLIP). The device is CUDA when there is one; there the model is fp16, elsewhere fp32. With
    `jit` it is a traced module with the same methods. `download_root` takes the place of the Hugging Face cache.

    Raises ModelError and its family (RuntimeErrors) as the command line reports them.
    """
    from clipsim.encoder.build import build_model
    from clipsim.encoder.devices import choose_device, choose_precision

    target = choose_device("auto" if device is None else str(device))
    _, dtype = choose_precision(None, target)
    spec, _ = choose_model(name)
    model, preprocess, config = build_model(spec, find_files(spec, download_root))
    model = model.to(target, dtype)
    model.__class__ = _openai_class(type(model))
    size = model.visual.image_size
    resolution = size if isinstance(size, int) or size[0] != size[1] else size[0]
    if jit:
        model = _trace(model, config["text_cfg"].get("context_length", CONTEXT_LENGTH))
    model.visual.input_resolution = resolution  # OpenAI's name for it
    return model, preprocess


def _openai_class(kind: Any) -> Any:
    """An OpenCLIP model class with the call, the casts and the attributes of OpenAI's."""

    class OpenAIModel(kind):  # type: ignore[misc]  # the base is known at run time only
        @property
        def dtype(self) -> Any:
            return self.logit_scale.dtype

        def encode_image(self, image: Tensor, normalize: bool = False) -> Tensor:
            features: Tensor = super().encode_image(image.to(self.dtype), normalize=normalize)
            return features

        def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
            features: Tensor = super().encode_text(text, normalize=normalize)
            return features

        def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
            logits_per_image, logits_per_text = self.get_logits(image, text)
            return logits_per_image, logits_per_text

    OpenAIModel.__name__ = OpenAIModel.__qualname__ = kind.__name__
    return OpenAIModel


def _trace(model: Any, context_length: int) -> Any:
    """A TorchScript module with `encode_image`, `encode_text` and `forward`, for any batch size."""
    import torch

    size = model.visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    parameter = model.logit_scale
    # more than one row, of different numbers: a batch of one would be baked into the trace
    images = torch.rand(2, 3, height, width, device=parameter.device, dtype=parameter.dtype)
    tokens = torch.zeros(3, context_length, dtype=torch.long, device=parameter.device)
    tokens[:, 0], tokens[:, 1] = 49406, 49407
    inputs = {"forward": (images, tokens), "encode_image": (images,), "encode_text": (tokens,)}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch deprecates tracing, and warns of shapes that are fixed anyway
        trace: Any = torch.jit.trace_module
        traced = trace(model, inputs, check_trace=False)
    traced.context_length, traced.vocab_size = model.context_length, model.vocab_size
    return traced


@cache
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def tokenize(texts: str | Sequence[str], context_length: int = CONTEXT_LENGTH, truncate: bool = False) -> LongTensor:
    """Texts → (n, context_length) int64 ids of OpenAI's byte-pair vocabulary, zero-padded.

    Raises PromptError (a RuntimeError) for a text that is too long, unless `truncate`, which keeps the end token.
    """
    import torch

    tokenizer = _tokenizer()
    given = [texts] if isinstance(texts, str) else list(texts)
    result = torch.zeros(len(given), context_length, dtype=torch.long)
    for row, text in zip(result, given, strict=True):
        # OpenAI's markers, which its tokenizer reads inside a text, in OpenCLIP's spelling
        marked = re.sub(r"<\|(start|end)oftext\|>", r"<\1_of_text>", text, flags=re.IGNORECASE)
        ids = [tokenizer.sot_token_id, *tokenizer.encode(marked), tokenizer.eot_token_id]
        if len(ids) > context_length:
            if not truncate:
                shown = printable(text, LONGEST_SHOWN)
                raise PromptError(f"Input '{shown}' is too long for context length {context_length}: {len(ids)} tokens")
            ids = [*ids[: context_length - 1], tokenizer.eot_token_id]
        row[: len(ids)] = torch.tensor(ids)
    return result  # type: ignore[return-value]  # a LongTensor by its dtype
