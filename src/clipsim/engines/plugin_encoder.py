"""The encoder that another package opened → the same encoder, each result checked before anything reckons with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clipsim.engines.encoder import Encoder, EncoderFacts, Features, Pixels, Tokens
from clipsim.plugins import Plugin

if TYPE_CHECKING:
    from PIL import Image


class PluginEncoder:
    """The `Encoder` of an engine that a package adds. Whatever it fails in, or returns amiss, raises PluginError.

    Its batches are encoded one after another: the protocol has no other way, and each is checked.
    """

    def __init__(self, encoder: Encoder, plugin: Plugin) -> None:
        self._encoder, self._plugin = encoder, plugin

    @property
    def facts(self) -> EncoderFacts:
        """What is known of the model."""
        facts: object = self._plugin.call(lambda: getattr(self._encoder, "facts", None))
        if not isinstance(facts, EncoderFacts):
            raise self._plugin.error(f"it opens {type(self._encoder).__name__}, whose facts are not EncoderFacts")
        return facts

    @property
    def image_size(self) -> int:
        """The longer side of the model's input, in pixels."""
        return self._plugin.call(lambda: self._encoder.image_size)

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB image → (h, w, 3) uint8."""
        pixels = self._plugin.call(lambda: self._encoder.prepare_image(image))
        self._check("prepare_image", pixels, np.uint8, None, None, 3)
        return pixels

    def encode_images(self, pixels: Pixels) -> Features:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32."""
        features = self._plugin.call(lambda: self._encoder.encode_images(pixels))
        self._check("encode_images", features, np.float32, len(pixels), self.facts.embed_dim)
        return features

    def tokenize(self, texts: Sequence[str], *, truncate: bool) -> Tokens:
        """N texts → (n, k) int64 token ids, padded."""
        tokens = self._plugin.call(lambda: self._encoder.tokenize(texts, truncate=truncate))
        self._check("tokenize", tokens, np.int64, len(texts), None)
        return tokens

    def count_tokens(self, texts: Sequence[str], *, truncate: bool) -> list[int]:
        """How many tokens the model reads of each text."""
        counts = self._plugin.call(lambda: [int(n) for n in self._encoder.count_tokens(texts, truncate=truncate)])
        if len(counts) != len(texts):
            raise self._plugin.error(f"count_tokens returns {len(counts)} numbers for {len(texts)} texts")
        return counts

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> Features:
        """N texts → (n, embed_dim) float32."""
        features = self._plugin.call(lambda: self._encoder.encode_texts(texts, truncate=truncate))
        self._check("encode_texts", features, np.float32, len(texts), self.facts.embed_dim)
        return features

    def _check(self, name: str, found: object, dtype: type, *shape: int | None) -> None:
        """Raise PluginError unless a method returned an array of a type and a shape; None stands for any length."""
        returned = type(found).__name__
        if type(found) is np.ndarray:  # a matrix or a masked array reckons in other ways
            returned = f"{found.dtype} {_describe(found.shape)}"
            lengths = zip(shape, found.shape, strict=False)
            if found.dtype == dtype and found.ndim == len(shape) and all(n in (None, length) for n, length in lengths):
                return
        raise self._plugin.error(f"{name} returns {returned}, not {np.dtype(dtype)} {_describe(shape)}")


def _describe(shape: Sequence[int | None]) -> str:
    return f"({', '.join('any' if n is None else str(n) for n in shape)})"
