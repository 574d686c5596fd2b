"""Prepared inputs and texts → feature vectors: in batches, through the cache, each failure in its place."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from clipsim.cache.keys import text_key, tokens_key
from clipsim.cache.vectors import EmbeddingCache, FileKeys, FileRecord, ImageCache
from clipsim.embedding.preparation import Prepared, find_fault
from clipsim.engines.accelerator import BatchQueue
from clipsim.engines.encoder import Features, ImageEncoder, Pixels, TextEncoder
from clipsim.errors import Failure, ImageError, TextError, printable
from clipsim.inputs.texts import MAX_QUOTED, fill_templates

FLUSH_SECONDS = 0.5  # how long a batch that is not full waits for further inputs


@dataclass(frozen=True, eq=False)
class ImageVector:
    """One input's feature vector: (embed_dim,) float32, finite, not normalised.

    `digest` is the SHA-256 of its file, `size` the width and height of the image, where they are known; `thumbnail`
    is a small image file, where the pipeline makes them; `index` is the position of the input, where it is known.
    """

    image: str
    features: Features
    digest: bytes | None = None
    size: tuple[int, int] | None = None
    thumbnail: bytes | None = None
    index: int | None = None


Outcome = ImageVector | Failure


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """M texts in T templates: `features` is (m, t, embed_dim) float32, not normalised.

    `identities` has one value a text; two are equal exactly if the model's tokenizer makes the same of both texts
    in every template. Their features are equal then.
    """

    features: Features
    identities: tuple[bytes, ...]


def embed_texts(
    encoder: TextEncoder,
    texts: Sequence[str],
    templates: Sequence[str] = (),
    *,
    batch_size: int,
    truncate: bool = False,
    cache: EmbeddingCache | None = None,
) -> Iterator[TextFeatures]:
    """Encode the texts, each in every template, in blocks of k texts; k · t is about a batch.

    Raises TextError for a text that is too long (unless `truncate`) or whose features are not finite.
    """
    count = max(1, len(templates))
    rest = iter(texts)
    while block := list(islice(rest, max(1, batch_size // count))):
        filled = [sentence for text in block for sentence in fill_templates(text, templates)]
        keys = [text_key(text, truncate=truncate) for text in filled]
        tokens = {} if cache is None else cache.texts.find_tokens(keys)
        vectors = {} if cache is None else cache.texts.find(list(set(tokens.values())))
        new = {key: text for key, text in zip(keys, filled, strict=True) if tokens.get(key) not in vectors}
        if new:
            _encode_texts(encoder, new, tokens, vectors, batch_size, truncate, cache)
        features = np.stack([vectors[tokens[key]] for key in keys]).reshape(len(block), count, -1)
        starts = range(0, len(keys), count)
        identities = tuple(b"".join(tokens[key] for key in keys[start : start + count]) for start in starts)
        for text, in_templates in zip(block, features, strict=True):
            if fault := find_fault(in_templates):
                cause = f"the model returns a vector {fault} for it; its weights may be damaged"
                raise TextError(f"'{printable(text, MAX_QUOTED)}': {cause}")
        yield TextFeatures(features, identities)


def join_blocks(blocks: Iterable[TextFeatures]) -> TextFeatures:
    """The features of all texts; those that are one text to the model have the features of the first of them."""
    parts = list(blocks)
    features = np.concatenate([part.features for part in parts])
    identities = tuple(identity for part in parts for identity in part.identities)
    return TextFeatures(features[find_first(identities)], identities)


def find_first(identities: Sequence[bytes]) -> list[int]:
    """For each identity, the index of the first that is equal to it.

    >>> find_first([b"a", b"b", b"a"])
    [0, 1, 0]
    """
    first: dict[bytes, int] = {}
    return [first.setdefault(identity, index) for index, identity in enumerate(identities)]


def _encode_texts(
    encoder: TextEncoder,
    texts: Mapping[bytes, str],
    tokens: dict[bytes, bytes],
    vectors: dict[bytes, Features],
    batch_size: int,
    truncate: bool,
    cache: EmbeddingCache | None,
) -> None:
    """Add texts by their keys: the keys of their tokens to `tokens`, and to `vectors` one vector for equal tokens."""
    items = list(texts.items())
    for start in range(0, len(items), batch_size):
        part = items[start : start + batch_size]
        ids = encoder.tokenize([text for _, text in part], truncate=truncate)
        tokens |= dict(zip((key for key, _ in part), map(tokens_key, ids), strict=True))
    distinct: dict[bytes, str] = {}
    for key, text in items:
        distinct.setdefault(tokens[key], text)
    if cache is not None:
        vectors |= cache.texts.find([key for key in distinct if key not in vectors])
    missing = [(key, text) for key, text in distinct.items() if key not in vectors]
    for start in range(0, len(missing), batch_size):
        part = missing[start : start + batch_size]
        encoded = encoder.encode_texts([text for _, text in part], truncate=truncate)
        vectors |= dict(zip((key for key, _ in part), encoded, strict=True))
    if cache is not None:
        new = {key: vectors[key] for key, _ in missing}
        cache.texts.add(new, tokens={key: tokens[key] for key in texts})


def embed_images(
    encoder: ImageEncoder,
    inputs: Iterable[Prepared | None],
    *,
    batch_size: int,
    live: bool = False,
    fail: bool = False,
    cache: ImageCache | None = None,
) -> Iterator[list[Outcome]]:
    """Encode prepared inputs, lazily, in batches, in the order given.

    With `live`, a batch is encoded `FLUSH_SECONDS` after its first input, full or not; a None among the inputs says
    that the next one is not ready. An input that cannot be used becomes a Failure in its place, or with `fail` an
    ImageError. An error of the iterable itself is raised after the inputs before it.

    An encoder that has a `queue` gets further batches while it computes one; others compute when their turn comes.
    """
    rest = iter(inputs)
    batch: list[Prepared] = []
    submitted: deque[tuple[list[Prepared], Callable[[], Iterable[Features]]]] = deque()
    begun, ahead, ended, error = 0.0, 0, False, None
    while not ended:
        prepared = None
        try:
            prepared = next(rest)
            if fail and prepared is not None and prepared.error is not None:
                batch = []
                raise ImageError(f"{printable(prepared.name)}: {prepared.error}") from prepared.error
        except StopIteration:
            ended = True
        except Exception as raised:
            ended, error, prepared = True, raised, None
        if prepared is not None:
            begun = begun if batch else time.monotonic()
            batch.append(prepared)
        late = live and time.monotonic() - begun >= FLUSH_SECONDS
        if batch and (ended or late or len(batch) == batch_size):
            compute, own_ahead = _submit(encoder, [one.pixels for one in batch if one.pixels is not None], batch_size)
            submitted.append((batch, compute))
            batch, ahead = [], max(ahead, own_ahead)
        while submitted and (len(submitted) > ahead or prepared is None):
            yield _collect(*submitted.popleft(), fail, cache)
    try:
        if error is not None:
            raise error
    finally:
        del error  # the error has this frame in its traceback, and the frame has the pipeline


def _submit(
    encoder: ImageEncoder, pixels: Sequence[Pixels], batch_size: int
) -> tuple[Callable[[], Iterable[Features]], int]:
    """What returns the vectors of a batch, and how many batches should be submitted before it is called."""
    if not pixels:
        return tuple, 0
    queue: BatchQueue | None = getattr(encoder, "queue", None)
    if queue is None:
        return lambda: encoder.encode_images(np.stack(pixels)), 0
    return partial(queue.result, queue.submit(pixels, batch_size)), queue.ahead


def _collect(
    batch: Sequence[Prepared], compute: Callable[[], Iterable[Features]], fail: bool, cache: ImageCache | None
) -> list[Outcome]:
    rows = iter(compute())
    outcomes: list[Outcome] = []
    fresh: dict[bytes, Features] = {}
    read: list[FileRecord] = []
    for prepared in batch:
        if prepared.error is not None:
            outcomes.append(Failure(prepared.name, str(prepared.error), prepared.index, kind=prepared.error.kind))
            continue
        features: Features = next(rows) if prepared.features is None else prepared.features
        if fault := find_fault(features):
            cause = f"the model returns a vector {fault} for it"
            if fail:
                raise ImageError(f"{printable(prepared.name)}: {cause}")
            outcomes.append(Failure(prepared.name, cause, prepared.index))
            continue
        outcomes.append(
            ImageVector(prepared.name, features, prepared.digest, prepared.size, prepared.thumbnail, prepared.index)
        )
        if prepared.digest is not None and prepared.key is not None:
            if prepared.features is None:
                fresh[prepared.vector_key or prepared.key] = features
            if prepared.stamp is not None:
                read.append((prepared.name, prepared.stamp, FileKeys(prepared.digest, prepared.key)))
    if cache is not None and (fresh or read):
        cache.images.add(fresh, read)
    return outcomes
