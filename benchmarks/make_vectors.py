"""Vectors like those of CLIP models in what makes them easy and hard to search, with a fixed seed → a data set on disk.

Images: a direction that all share (their mean cosine is 0.5), topics and finer groups within them, of very different
sizes, a part in few dimensions and some noise in all. Texts: another direction that all share, and a little of what
their images have (a cosine of 0.2 to 0.3 with the nearest), so that their nearest images come from many groups.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipsim.files import digest_file
from clipsim.results.base import ModelRecord
from clipsim.store.layout import INFO_FILE, DatasetInfo, FileInfo, ShardPlan, import_parquet, shard_name, shard_names

DIMENSIONS = 512
SHARD = 10_000
TOPICS, GROUPS = 300, 20_000
CAPTIONS = 20  # in each shard
Vectors = NDArray[np.float32]


class Distribution:
    """Draws vectors; the same seed gives the same ones."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.images, self.texts = _unit(rng.standard_normal((2, DIMENSIONS)))
        topics = _unit(rng.standard_normal((TOPICS, DIMENSIONS)))
        of_group = rng.integers(0, TOPICS, GROUPS)
        self.groups = _unit(topics[of_group] + 0.8 * _unit(rng.standard_normal((GROUPS, DIMENSIONS))))
        sizes = 1 / np.arange(1, GROUPS + 1) ** 0.7
        self.shares = np.cumsum(rng.permutation(sizes / sizes.sum()))
        self.spread = rng.standard_normal((64, DIMENSIONS)) / np.arange(1, 65)[:, None] ** 0.5

    def draw_images(self, count: int, seed: int) -> Vectors:
        """(count, 512) unit vectors."""
        rng = np.random.default_rng((1, seed))
        group = self.groups[np.minimum(np.searchsorted(self.shares, rng.random(count)), GROUPS - 1)]
        near = _unit(rng.standard_normal((count, 64)) @ self.spread)
        return _unit(0.7 * self.images + 0.5 * group + 0.4 * near + 0.3 * _unit(_noise(rng, count)))

    def draw_texts(self, count: int, seed: int) -> Vectors:
        """(count, 512) unit vectors."""
        rng = np.random.default_rng((2, seed))
        group = self.groups[rng.integers(0, GROUPS, count)]
        return _unit(0.75 * self.texts + 0.35 * group + 0.1 * self.images + 0.5 * _unit(_noise(rng, count)))


def find_copies(count: int, copies: int) -> NDArray[np.int64]:
    """(k, 2): the rows of originals and of their copies in a data set with so many copies in each shard but the first.

    The originals are in the middle of the shard with half the number.
    """
    shards = np.arange(1, count // SHARD)[:, None]
    offsets = np.arange(copies)
    pairs = np.stack([shards // 2 * SHARD + SHARD // 2 + offsets, shards * SHARD + offsets], axis=-1)
    return pairs.reshape(-1, 2)


def draw_shard(drawn: Distribution, shard: int, rows: int, copies: int = 0) -> Vectors:
    """(rows, 512) unit vectors of a shard; the first ones are copies, with cosines over 0.95 with the originals."""
    vectors = drawn.draw_images(rows, shard)
    if copies and shard:
        rng = np.random.default_rng((3, shard))
        originals = drawn.draw_images(SHARD, shard // 2)[SHARD // 2 : SHARD // 2 + copies]
        vectors[:copies] = _unit(originals + rng.uniform(0.05, 0.3, (copies, 1)) * _unit(_noise(rng, copies)))
    return vectors


def write_vectors(
    folder: Path, count: int, *, model: ModelRecord, digest: str, copies: int = 0, grow: bool = False
) -> Path:
    """A data set of so many images in fp16, a few of which have captions; one that is there already is kept.

    With `copies`, so many in each shard but the first are copies. With `grow`, a data set of whole shards that is there
    becomes one of so many images.
    """
    if (folder / INFO_FILE).exists() and not grow:
        return folder
    import pyarrow as pa

    parquet = import_parquet()
    drawn = Distribution()
    for kind in ("img_emb", "text_emb", "metadata"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for shard, start in enumerate(range(0, count, SHARD)):
        rows = min(SHARD, count - start)
        if grow and all((folder / name).exists() for name in shard_names(shard, with_captions=True)):
            continue
        np.save(folder / shard_name("img_emb", shard), draw_shard(drawn, shard, rows, copies).astype(np.float16))
        texts = np.lib.format.open_memmap(folder / shard_name("text_emb", shard), "w+", np.float16, (rows, DIMENSIONS))
        texts[:CAPTIONS] = drawn.draw_texts(CAPTIONS, shard)  # the rest are holes in the file
        table = pa.table(
            {
                "image_path": [f"photos/{start + row:08d}.jpg" for row in range(rows)],
                "caption": [None] * rows,
                "facts": [None] * rows,
                "width": [640] * rows,
                "height": [480] * rows,
                "sha256": [f"{start + row:064x}" for row in range(rows)],
                "row": range(rows),
            }
        )
        parquet.write_table(table, folder / shard_name("metadata", shard))
    facts = DatasetInfo(
        model=model, digest=digest, device="cpu", engine="torch", precision="fp32", preprocessing={}, dtype="fp16",
        shard_size=SHARD, with_captions=True, images=count,
        plan=tuple(ShardPlan(min(SHARD, count - start), "") for start in range(0, count, SHARD)),
        captions=CAPTIONS * -(-count // SHARD), errors=0,
        rows=tuple(min(SHARD, count - start) for start in range(0, count, SHARD)),
        files={
            name: FileInfo((folder / name).stat().st_size, digest_file(folder / name))
            for shard in range(-(-count // SHARD))
            for name in shard_names(shard, with_captions=True)
        },
    )  # fmt: skip
    (folder / INFO_FILE).write_text(facts.to_json())
    return folder


def _noise(rng: np.random.Generator, count: int) -> NDArray[np.floating]:
    return rng.standard_normal((count, DIMENSIONS), dtype=np.float32)


def _unit(vectors: NDArray[np.floating]) -> Vectors:
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return unit
