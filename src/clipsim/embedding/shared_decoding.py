"""Several sessions and the same sources → the vectors of each, every image decoded once for models of one size."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from clipsim.cache.vectors import FileDigests, FileRecord
from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome, embed_images
from clipsim.embedding.pipeline import Pipeline
from clipsim.embedding.preparation import find_images
from clipsim.engines.encoder import Features, Pixels
from clipsim.errors import Failure
from clipsim.files import FileStamp
from clipsim.inputs.sources import FileSource, Source

if TYPE_CHECKING:
    from types import TracebackType

    from PIL import Image


BLOCK = 2000  # sources looked up at once


@dataclass
class Work:
    """What one model did: images that it encoded, and the seconds that took, without waiting for it to be loaded."""

    images: int = 0
    seconds: float = 0.0


def group_sessions(sessions: Sequence[Embedder], sources: Sequence[Source]) -> list[list[Embedder]]:
    """The sessions that can share their images: not fully cached, of one size, and decoded by the same rules.

    The size decides at which fraction a large JPEG is decoded, and so its vector; a session whose vectors are all in
    the cache would be computed again in the company of others.
    """
    groups: dict[object, list[Embedder]] = {}
    for index, session in enumerate(sessions):
        alone = len(sessions) == 1 or is_cached(session, sources)
        key = index if alone else (session.encoder.image_size, session.decoding)
        groups.setdefault(key, []).append(session)
    return list(groups.values())


def is_cached(session: Embedder, sources: Sequence[Source]) -> bool:
    """Whether the vectors of all files are in the session's cache."""
    if session.cache is None:
        return False
    rest = iter(sources)
    while block := list(islice(rest, BLOCK)):
        stat_results = {source.name: source.stat() for source in block if isinstance(source, FileSource)}
        stamps = {name: FileStamp.of(result) for name, result in stat_results.items() if result is not None}
        files = session.cache.files.find(stamps)
        if len(files) < len({source.name for source in block}):
            return False
        keys = [file.key for file in files.values()]
        if not set(keys) <= set(find_images(session.cache, keys, session.decoding)):
            return False
    return True


class SharedDecoding:
    """The outcomes of each source, one for each session, in batches and in order; a context manager.

    An image that fails for one of the sessions fails for all. `work`, one for each session, is added to. Images are
    decoded from the moment it is opened, while models are loaded. Batches, workers and the answer to failures are those
    of the first session.
    """

    def __init__(self, sessions: Sequence[Embedder], sources: Iterable[Source], work: Sequence[Work]) -> None:
        self._sessions = sessions
        self._encoder = _JointEncoder(sessions, work)
        self._cache = _JointCache(sessions) if all(session.cache is not None for session in sessions) else None
        first = sessions[0]
        self._pipeline = Pipeline(
            self._encoder,
            sources,
            rules=first.decoding,
            batch_size=first.batch_size,
            workers=first.workers,
            cache=self._cache,
            own_process=first.own_process,
        )

    def __enter__(self) -> Iterator[list[tuple[Outcome, ...]]]:
        """Begin to decode; the batches."""
        self._pipeline.start()
        return self._batches()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what has not been decoded yet."""
        self._pipeline.close()

    def _batches(self) -> Iterator[list[tuple[Outcome, ...]]]:
        first = self._sessions[0]
        fail = first.run_options.raises
        for batch in embed_images(
            self._encoder, self._pipeline, batch_size=first.batch_size, fail=fail, cache=self._cache
        ):
            yield [_split(outcome, self._sessions) for outcome in batch]


def _split(outcome: Outcome, sessions: Sequence[Embedder]) -> tuple[Outcome, ...]:
    if isinstance(outcome, Failure):
        return (outcome,) * len(sessions)
    if len(sessions) == 1:
        return (outcome,)
    ends = accumulate(session.facts.embed_dim for session in sessions)
    return tuple(
        ImageVector(outcome.image, outcome.features[start:end], outcome.digest, index=outcome.index)
        for start, end in pairwise([0, *ends])
    )


class _JointEncoder:
    """Several models as one, whose pixels and vectors are those of each, one after the other."""

    def __init__(self, sessions: Sequence[Embedder], work: Sequence[Work]) -> None:
        self._sessions, self._work = sessions, work
        self._shapes: list[tuple[int, ...]] = []

    @property
    def image_size(self) -> int:
        """The input side in pixels."""
        return max(session.encoder.image_size for session in self._sessions)

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB image → the pixels of each model, flat where there are several."""
        prepared = [session.encoder.prepare_image(image) for session in self._sessions]
        if len(prepared) == 1:
            return prepared[0]
        self._shapes = [pixels.shape for pixels in prepared]  # the same for every image
        return np.concatenate([pixels.ravel() for pixels in prepared])

    def encode_images(self, pixels: Pixels) -> Features:
        """(n, …) prepared pixels → (n, sum of embed_dim) float32."""
        parts = [pixels]
        if len(self._sessions) > 1:
            ends = np.cumsum([np.prod(shape) for shape in self._shapes])[:-1]
            flat = np.split(pixels, ends, axis=1)
            parts = [
                np.ascontiguousarray(part).reshape(-1, *shape) for part, shape in zip(flat, self._shapes, strict=True)
            ]
        return np.concatenate(
            [
                self._encode(session, work, part)
                for session, work, part in zip(self._sessions, self._work, parts, strict=True)
            ],
            axis=1,
        )

    def _encode(self, session: Embedder, work: Work, pixels: Pixels) -> Features:
        begun, waited = time.perf_counter(), session.seconds_loading
        features = session.encoder.encode_images(pixels)
        work.seconds += time.perf_counter() - begun - (session.seconds_loading - waited)
        work.images += len(pixels)
        return features


class _JointCache:
    """The caches of several sessions as one; a vector is found where each of them has its part."""

    def __init__(self, sessions: Sequence[Embedder]) -> None:
        caches = [session.cache for session in sessions if session.cache is not None]
        self.files: FileDigests = caches[0].files
        self.images = _JointVectors(sessions)


class _JointVectors:
    def __init__(self, sessions: Sequence[Embedder]) -> None:
        self._sessions = sessions
        self._namespaces = [session.cache.images for session in sessions if session.cache is not None]

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Features]:
        parts = [namespace.find(keys) for namespace in self._namespaces]
        if len(parts) == 1:
            return parts[0]
        return {
            key: np.concatenate([part[key] for part in parts]) for key in parts[0] if all(key in part for part in parts)
        }

    def add(self, vectors: Mapping[bytes, Features], files: Sequence[FileRecord] = ()) -> None:
        if len(self._namespaces) == 1:
            self._namespaces[0].add(vectors, files)
            return
        start = 0
        for session, namespace in zip(self._sessions, self._namespaces, strict=True):
            end = start + session.facts.embed_dim
            namespace.add({key: features[start:end] for key, features in vectors.items()}, files)
            start, files = end, ()  # the records of files are kept once
