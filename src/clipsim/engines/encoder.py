"""Prepared pixels and texts → float32 vectors: the protocol that every engine implements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import Setting, TextError, printable

if TYPE_CHECKING:
    from PIL import Image

    from clipsim.engines.preprocessing import Preprocessing


Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]
Tokens = NDArray[np.int64]


class ImagePreparer(Protocol):
    """The part of `Encoder` that prepares images for the model."""

    @property
    def image_size(self) -> int:
        """The longer side of the model's input, in pixels."""
        ...

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB image → (h, w, 3) uint8, resized and cropped for the model; called from several threads."""
        ...


class ImageEncoder(ImagePreparer, Protocol):
    """The part of `Encoder` that images need."""

    def encode_images(self, pixels: Pixels) -> Features:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32, not normalised."""
        ...


class TextEncoder(Protocol):
    """The part of `Encoder` that texts need."""

    def tokenize(self, texts: Sequence[str], *, truncate: bool) -> Tokens:
        """N texts → (n, k) int64 token ids, padded; two texts with equal rows are one text to the model.

        Raises TextError for a text longer than the model's context, unless `truncate`.
        """
        ...

    def count_tokens(self, texts: Sequence[str], *, truncate: bool) -> list[int]:
        """How many tokens the model reads of each text, with those that mark its start and end."""
        ...

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> Features:
        """N texts → (n, embed_dim) float32, not normalised.

        Raises TextError for a text longer than the model's context, unless `truncate`.
        """
        ...


@dataclass(frozen=True)
class EncoderFacts:
    """What results state of a model, and what turns its vectors into scores.

    `name` is the architecture, or what the user named the model; `pretrained` OpenCLIP's tag of the weights, None
    where they have none. `embed_dim` is the length of the vectors, `image_size` the longer side of the input in
    pixels. `logit_scale` is the factor of the cosines, after the exponential; `logit_bias` is added to the logits of a
    SigLIP model, and None for others; `head` is "softmax" or "sigmoid". `device` is such as "cpu" or "cuda:0",
    `precision` "fp32", "fp16", "bf16" or "int8", `engine` "torch", "onnx" or "onnx-int8". `notices` say what was
    assumed of the model's files, and of a model that runs, how it had to be run. `device_notice` says why "auto" stands
    for another device than a GPU of this machine.
    """

    name: str
    pretrained: str | None
    embed_dim: int
    image_size: int
    logit_scale: float
    logit_bias: float | None
    head: str
    preprocessing: Preprocessing
    device: str
    precision: str
    engine: str
    notices: tuple[str, ...] = ()
    device_notice: str | None = None


class Encoder(ImageEncoder, TextEncoder, Protocol):
    """A loaded model; `torch.encoder.ClipEncoder` and `onnx.encoder.OnnxEncoder` implement it."""

    @property
    def facts(self) -> EncoderFacts:
        """What is known of the model; another record once it had to be run in another way."""
        ...


MAX_QUOTED = 60  # characters of a text that a message quotes
SHORTEN = ("shorten it, or cut it with ", Setting("truncate"))
MAX_TOKEN_BYTES = 33  # the longest token of OpenCLIP's vocabulary, and a space


def bound_text(text: str, clean: Callable[[str], str], context_length: int, truncate: bool) -> str:
    """The text, cut at a length that always exceeds the context: tokenizing takes time quadratic in a word's length.

    Raises TextError for a text that is certainly too long, unless `truncate`.
    """
    max_length = context_length * MAX_TOKEN_BYTES
    if len(text) <= max_length:
        return text
    text = clean(text)
    if len(text) > max_length and not truncate:
        raise TextError(
            f"the text '{printable(text, MAX_QUOTED)}' has {len(text):,} characters, more than the "
            f"{context_length} tokens that this model reads",
            hint=SHORTEN,
        )
    return text[:max_length]


def too_many_tokens(text: str, count: int, context_length: int) -> TextError:
    """The error for a text with more tokens than the model reads."""
    return TextError(
        f"the text '{printable(text, MAX_QUOTED)}' has {count} tokens and this model reads {context_length}",
        hint=SHORTEN,
    )
