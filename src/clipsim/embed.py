"""Paths and prompts → feature vectors: batches, decode workers, and what to do with what cannot be used."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipsim.errors import ImageError, PromptError
from clipsim.images import convert_picture, decoded_image
from clipsim.names import printable
from clipsim.texts import LONGEST_SHOWN, fill_templates

BATCH_SIZE = 32
Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]
Source = str | Image.Image


class Encoder(Protocol):
    """What `embed` and `rank` need of a model; `encoder.ClipEncoder` is the real one."""

    name: str  # as the user may give it to --model
    pretrained: str | None  # OpenCLIP's tag of the weights
    embed_dim: int
    image_size: int  # pixels, of the side
    logit_scale: float  # the factor itself, after the exponential
    logit_bias: float | None
    head: str  # "softmax" or "sigmoid"
    device: str
    precision: str

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


def default_workers() -> int:
    """Threads that decode: one a processor this process may use, at most eight."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, usable)


def embed_texts(
    encoder: Encoder,
    prompts: Sequence[str],
    templates: Sequence[str] = (),
    *,
    batch_size: int = BATCH_SIZE,
    truncate: bool = False,
) -> Iterator[Features]:
    """Encode the prompts, each in every template, in blocks of (k, t, embed_dim); k · t is about a batch.

    Raises PromptError for a prompt that is too long (unless `truncate`) or whose features are not finite.
    """
    a_time = max(1, batch_size // max(1, len(templates)))
    rest = iter(prompts)
    while block := list(islice(rest, a_time)):
        filled = [text for prompt in block for text in fill_templates(prompt, templates)]
        batches = [filled[start : start + batch_size] for start in range(0, len(filled), batch_size)]
        features: Features = np.concatenate([encoder.encode_texts(batch, truncate=truncate) for batch in batches])
        features = features.reshape(len(block), -1, features.shape[-1])
        for prompt, vectors in zip(block, features, strict=True):
            if not np.isfinite(vectors).all():
                shown = printable(prompt, LONGEST_SHOWN)
                raise PromptError(f"the model gives '{shown}' a vector that is not finite; its weights may be damaged")
        yield features


def embed_images(
    encoder: Encoder,
    sources: Iterable[Source],
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    fail: bool = False,
) -> Iterator[list[ImageFeatures | ImageFailure]]:
    """Decode and encode the images, lazily, in batches, in the order given.

    Sources are paths or PIL pictures (named "image 1", "image 2", … by position). `workers` threads decode ahead of
    the model, never by more than about two batches, so memory does not grow with the number of images. What cannot
    be used comes out as an ImageFailure in its place; with `fail`, as an ImageError at once.
    """
    batch: list[tuple[str, Pixels | ImageError]] = []
    for name, pixels in _prepare(encoder, sources, batch_size, workers or default_workers()):
        if fail and isinstance(pixels, ImageError):
            raise ImageError(f"{printable(name)}: {pixels}") from pixels
        batch.append((name, pixels))
        if len(batch) == batch_size:
            yield _encode(encoder, batch, fail)
            batch = []
    if batch:
        yield _encode(encoder, batch, fail)


def _prepare(
    encoder: Encoder, sources: Iterable[Source], batch_size: int, workers: int
) -> Iterator[tuple[str, Pixels | ImageError]]:
    """Names and pixels (or what was wrong) in the order of the sources, decoded ahead by a pool of threads."""

    def prepare(source: Source) -> Pixels | ImageError:
        try:
            if not isinstance(source, str):
                return encoder.prepare_image(convert_picture(source))
            with decoded_image(source) as image:
                return encoder.prepare_image(image)
        except ImageError as error:
            return error

    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: deque[tuple[str, Future[Pixels | ImageError]]] = deque()
    try:
        for number, source in enumerate(sources, start=1):
            name = source if isinstance(source, str) else f"image {number}"
            waiting.append((name, pool.submit(prepare, source)))
            if len(waiting) >= batch_size + workers:
                name, future = waiting.popleft()
                yield name, future.result()
        while waiting:
            name, future = waiting.popleft()
            yield name, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _encode(
    encoder: Encoder, batch: Sequence[tuple[str, Pixels | ImageError]], fail: bool
) -> list[ImageFeatures | ImageFailure]:
    good = [pixels for _, pixels in batch if not isinstance(pixels, ImageError)]
    rows = iter(encoder.encode_images(np.stack(good)) if good else ())
    outcomes: list[ImageFeatures | ImageFailure] = []
    for name, pixels in batch:
        if isinstance(pixels, ImageError):
            outcomes.append(ImageFailure(name, str(pixels)))
            continue
        features: Features = next(rows)
        if np.isfinite(features).all():
            outcomes.append(ImageFeatures(name, features))
            continue
        cause = "the model gives it a vector that is not finite"
        if fail:
            raise ImageError(f"{printable(name)}: {cause}")
        outcomes.append(ImageFailure(name, cause))
    return outcomes
