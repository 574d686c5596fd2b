"""Inputs and prompts → feature vectors: batches, the cache, and what to do with what cannot be used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsim.cache import EmbeddingCache, Stamp
from clipsim.errors import ImageError, PromptError
from clipsim.names import printable
from clipsim.pipeline import Prepared
from clipsim.texts import LONGEST_SHOWN, fill_templates

if TYPE_CHECKING:
    from PIL import Image

BATCH_SIZE = 32
Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]


class Encoder(Protocol):
    """What `embed` and `rank` need of a model; `encoder.ClipEncoder` is the real one."""

    @property
    def name(self) -> str:
        """As the user may give it to --model."""
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

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB picture → (h, w, 3) uint8, resized and cropped as the model wants it; called from many threads."""
        ...

    def encode_images(self, pixels: Pixels) -> Features:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32, not normalised."""
        ...

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> Features:
        """N texts → (n, embed_dim) float32, not normalised; too long a text is a PromptError unless cut."""
        ...


@dataclass(frozen=True)
class ImageFeatures:
    """One image's feature vector, (embed_dim,) float32, finite, not normalised."""

    image: str
    features: Features


@dataclass(frozen=True)
class ImageFailure:
    """One input that could not be used, and why (one escaped line)."""

    path: str
    error: str


def embed_texts(
    encoder: Encoder,
    prompts: Sequence[str],
    templates: Sequence[str] = (),
    *,
    batch_size: int = BATCH_SIZE,
    truncate: bool = False,
    cache: EmbeddingCache | None = None,
) -> Iterator[Features]:
    """Encode the prompts, each in every template, in blocks of (k, t, embed_dim); k · t is about a batch.

    Raises PromptError for a prompt that is too long (unless `truncate`) or whose features are not finite.
    """
    a_time = max(1, batch_size // max(1, len(templates)))
    rest = iter(prompts)
    while block := list(islice(rest, a_time)):
        filled = [text for prompt in block for text in fill_templates(prompt, templates)]
        contents = [_digest_text(text, truncate) for text in filled]
        known = {} if cache is None else cache.texts.find(contents)
        missing = {content: text for content, text in zip(contents, filled, strict=True) if content not in known}
        if missing:
            texts = list(missing.values())
            batches = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
            encoded = np.concatenate([encoder.encode_texts(batch, truncate=truncate) for batch in batches])
            fresh = dict(zip(missing, encoded, strict=True))
            if cache is not None:
                cache.texts.add(fresh)
            known |= fresh
        features = np.stack([known[content] for content in contents])
        features = features.reshape(len(block), -1, features.shape[-1])
        for prompt, vectors in zip(block, features, strict=True):
            if not np.isfinite(vectors).all():
                shown = printable(prompt, LONGEST_SHOWN)
                raise PromptError(f"the model gives '{shown}' a vector that is not finite; its weights may be damaged")
        yield features


def _digest_text(text: str, truncate: bool) -> bytes:
    # whether it may be cut is part of it: without leave, too long a text must be refused, cached or not
    return hashlib.sha256(text.encode("utf-8", "surrogatepass") + (b"\0cut" if truncate else b"")).digest()


def embed_images(
    encoder: Encoder,
    inputs: Iterable[Prepared],
    *,
    batch_size: int = BATCH_SIZE,
    fail: bool = False,
    cache: EmbeddingCache | None = None,
) -> Iterator[list[ImageFeatures | ImageFailure]]:
    """Encode prepared inputs, lazily, in batches, in the order given.

    What cannot be used comes out as an ImageFailure in its place; with `fail`, as an ImageError at once.
    """
    batch: list[Prepared] = []
    for prepared in inputs:
        if fail and prepared.error is not None:
            raise ImageError(f"{printable(prepared.name)}: {prepared.error}") from prepared.error
        batch.append(prepared)
        if len(batch) == batch_size:
            yield _encode(encoder, batch, fail, cache)
            batch = []
    if batch:
        yield _encode(encoder, batch, fail, cache)


def _encode(
    encoder: Encoder, batch: Sequence[Prepared], fail: bool, cache: EmbeddingCache | None
) -> list[ImageFeatures | ImageFailure]:
    pixels = [prepared.pixels for prepared in batch if prepared.pixels is not None]
    rows = iter(encoder.encode_images(np.stack(pixels)) if pixels else ())
    outcomes: list[ImageFeatures | ImageFailure] = []
    fresh: dict[bytes, Features] = {}
    read: list[tuple[str, Stamp, bytes]] = []
    for prepared in batch:
        if prepared.error is not None:
            outcomes.append(ImageFailure(prepared.name, str(prepared.error)))
            continue
        features: Features = next(rows) if prepared.features is None else prepared.features
        if np.isfinite(features).all():
            outcomes.append(ImageFeatures(prepared.name, features))
            if prepared.content is not None:
                if prepared.features is None:
                    fresh[prepared.content] = features
                if prepared.stamp is not None:
                    read.append((prepared.name, prepared.stamp, prepared.content))
            continue
        cause = "the model gives it a vector that is not finite"
        if fail:
            raise ImageError(f"{printable(prepared.name)}: {cause}")
        outcomes.append(ImageFailure(prepared.name, cause))
    if cache is not None and (fresh or read):
        cache.images.add(fresh, read)
    return outcomes
