"""Data sets of vectors for tests, written as `clipsim embed` writes them, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipsim.results.base import ModelRecord
from clipsim.store.dataset import Dataset
from clipsim.store.folders import LocalFolder
from clipsim.store.layout import INFO_FILE, DatasetInfo, ShardPlan
from clipsim.store.lifecycle import finish
from clipsim.store.metadata import Row
from clipsim.store.shards import open_shard
from clipsim.vectors.similarity import Vectors, unit_rows

FACTS = DatasetInfo(
    ModelRecord("fake", None, 4, 8, 10.0, None, "softmax"), "a model of colours", "cpu", "torch", "fp32",
    {"exact": False}, dtype="fp32", shard_size=3, with_captions=False, plan=(ShardPlan(3, ""),) * 9,
)  # fmt: skip


def random_vectors(rows: int, dimensions: int, seed: int = 1) -> Vectors:
    """(rows, dimensions) unit vectors in clusters, so that some are near each other."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, rows // 20), dimensions))
    return unit_rows(centres[rng.integers(0, len(centres), rows)] + 0.6 * rng.standard_normal((rows, dimensions)))


def make_plan(sources: int, shard_size: int) -> tuple[ShardPlan, ...]:
    """Shards of that size, without digests of their inputs."""
    return tuple(ShardPlan(min(shard_size, sources - start), "") for start in range(0, sources, shard_size))


def write_data_set(
    folder: Path,
    vectors: NDArray[np.floating],
    *,
    rows: Sequence[Row] = (),
    captions: NDArray[np.floating] | None = None,
    dtype: str = "fp32",
    shard_size: int = 1000,
    digest: str = FACTS.digest,
    model: ModelRecord = FACTS.model,
) -> Dataset:
    """Vectors, and the rows of their metadata (by default "0.jpg" and so on), in shards."""
    rows = rows or [Row(f"{number}.jpg") for number in range(len(vectors))]
    folder.mkdir(parents=True, exist_ok=True)
    facts = replace(
        FACTS, model=replace(model, embed_dim=vectors.shape[1]), digest=digest, dtype=dtype, shard_size=shard_size,
        plan=make_plan(len(vectors), shard_size),
        with_captions=captions is not None,
    )  # fmt: skip
    (folder / INFO_FILE).write_text(facts.to_json())
    for shard, start in enumerate(range(0, len(vectors), shard_size)):
        part = slice(start, start + shard_size)
        with open_shard(LocalFolder(str(folder)), shard, facts) as writer:
            writer.add(rows[part], vectors[part], None if captions is None else captions[part])
            writer.publish()
    finish(LocalFolder(str(folder)), facts)
    return Dataset(folder)
