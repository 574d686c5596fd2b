"""A data set → a digest that changes when its vectors do, for what is derived from them."""

from __future__ import annotations

import hashlib

from clipsim.store.dataset import Dataset


def fingerprint(dataset: Dataset) -> str:
    """A digest of the facts, of the number of rows, and of the first, middle and last vector of each shard, in hex.

    Raises DatasetError for a shard that is damaged.
    """
    digest = hashlib.sha256(dataset.fingerprint.encode())
    for shard in dataset.shards:
        vectors = dataset.image_vectors(shard)
        for row in sorted({0, len(vectors) // 2, len(vectors) - 1} if len(vectors) else ()):
            digest.update(vectors[row].tobytes())
    return digest.hexdigest()
