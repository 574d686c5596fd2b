"""An encoder that sees mean colours and reads colour words, for everything that is not about a model."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from clipsim.engines.choice import default_precision
from clipsim.engines.encoder import EncoderFacts
from clipsim.engines.preprocessing import Preprocessing
from clipsim.errors import TextError

LONGEST = 5  # words


class FakeEncoder:
    """Vectors are (red, green, blue, 0.1); a text has the colour of the first colour word in it, else grey.

    In fp16, the default on a GPU as for real models, the vectors are rounded to half precision.
    """

    name = "fake"
    pretrained: str | None = None
    embed_dim = 4
    image_size = 8
    logit_scale = 10.0
    logit_bias: float | None = None
    notices: tuple[str, ...] = ()
    device_notice: str | None = None
    head = "softmax"
    engine = "torch"
    preprocessing = Preprocessing.of(8, {"resize_mode": "squash", "interpolation": "bilinear"})

    def __init__(self, device: str = "cpu", precision: str | None = None) -> None:
        self.device, self.precision = device, precision or default_precision(device)
        self.image_batches: list[int] = []
        self.text_batches: list[int] = []

    @property
    def facts(self) -> EncoderFacts:
        """What is known of it."""
        return EncoderFacts(
            self.name, self.pretrained, self.embed_dim, self.image_size, self.logit_scale, self.logit_bias, self.head,
            self.preprocessing, self.device, self.precision, self.engine, self.notices,
            self.device_notice,
        )  # fmt: skip

    def prepare_image(self, image: Image.Image) -> NDArray[np.uint8]:
        """The picture at 8 × 8."""
        assert image.mode == "RGB"
        small = image.resize((8, 8), Image.Resampling.BILINEAR)
        return np.array(small)

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The mean colours; a picture that is all black gets a vector that is not finite."""
        self.image_batches.append(len(pixels))
        means = (pixels / 255).astype(np.float32).mean(axis=(1, 2))
        means[means.sum(axis=1) == 0] = np.nan
        return self._computed(np.concatenate([means, np.full((len(pixels), 1), 0.1, np.float32)], axis=1))

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> NDArray[np.float32]:
        """The colours of the words."""
        self.text_batches.append(len(texts))
        self.tokenize(texts, truncate=truncate)
        return self._computed(np.array([self._colour(text) for text in texts], dtype=np.float32))

    def tokenize(self, texts: Sequence[str], *, truncate: bool) -> NDArray[np.int64]:
        """The checksums of the words, in lower case."""
        if not truncate and (long := [text for text in texts if len(text.split()) > LONGEST]):
            raise TextError(f"'{long[0]}' has {len(long[0].split())} words")
        ids = np.zeros((len(texts), LONGEST), np.int64)
        for row, text in zip(ids, texts, strict=True):
            words = text.lower().split()[:LONGEST]
            row[: len(words)] = [crc32(word.encode("utf-8", "surrogatepass")) for word in words]
        return ids

    def count_tokens(self, texts: Sequence[str], *, truncate: bool) -> list[int]:
        """The numbers of their words."""
        return [min(len(text.split()), LONGEST) for text in texts]

    def _computed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return vectors.astype(np.float16).astype(np.float32) if self.precision == "fp16" else vectors

    def _colour(self, text: str) -> tuple[float, ...]:
        for word in text.lower().replace(".", " ").split():
            if word == "broken":
                return (np.inf, 0.0, 0.0, 0.1)
            if word in ImageColor.colormap:
                return (*(value / 255 for value in ImageColor.getrgb(word)[:3]), 0.1)
        return (0.5, 0.5, 0.5, 0.1)
