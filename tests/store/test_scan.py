"""Tests of `store.scan`: an exact search over shards, in threads, with names left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_sets import random_vectors, write_data_set

from clipsim.store.dataset import scan

pytest.importorskip("pyarrow")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_shards_give_what_one_array_gives(tmp_path: Path, dtype: str, workers: int) -> None:
    """Rows are numbered through all shards."""
    vectors, queries = random_vectors(100, 8), random_vectors(4, 8, seed=2)
    dataset = write_data_set(tmp_path, vectors, dtype=dtype, shard_size=7)
    stored = vectors.astype(np.float16 if dtype == "fp16" else np.float32).astype(np.float32)
    nearest, compared = scan(dataset, queries, 9, workers=workers)

    assert compared == 100
    assert nearest.rows.tolist() == np.argsort(-(queries @ stored.T), axis=1, kind="stable")[:, :9].tolist()


def test_names_that_are_not_accepted_are_left_out(tmp_path: Path) -> None:
    """Also all of a shard."""
    vectors = random_vectors(30, 8)
    dataset = write_data_set(tmp_path, vectors, shard_size=10)
    taken = [4, 5, 6, 25, 29]
    nearest, compared = scan(dataset, vectors[:1], 9, accept={f"{row}.jpg" for row in taken}.__contains__)
    expected = sorted(taken, key=lambda row: -float(vectors[0] @ vectors[row]))

    assert compared == 5
    assert nearest.rows[0].tolist() == [*expected, -1, -1, -1, -1]
