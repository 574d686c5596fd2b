"""Tests of `store.vector_table`: rows of data sets and added ones, read again by their numbers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from data_sets import random_vectors, write_data_set

from clipsim.errors import DatasetError
from clipsim.store.vector_table import VectorTable

pytest.importorskip("pyarrow")


def test_rows_in_the_order_they_came(tmp_path: Path) -> None:
    """Added ones, two data sets, and added ones again; taken in runs and one by one."""
    vectors = random_vectors(50, 6)
    table = VectorTable(6)
    table.add(vectors[:5])
    table.add(vectors[5:7])
    table.add_dataset(write_data_set(tmp_path / "a", vectors[7:20], shard_size=4))
    table.add_dataset(write_data_set(tmp_path / "b", vectors[20:22]))
    table.add(vectors[22:50])

    assert len(table) == 50
    for rows in ([0], [3, 4, 5], range(50), range(6, 24), [0, 7, 19, 20, 21, 22, 49], []):
        np.testing.assert_array_equal(table.take(np.array(rows, np.int64)), vectors[list(rows)])
    table.close()


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, not a traceback."""

    def refuse(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(DatasetError, match="No space left"):
        VectorTable(6).add(random_vectors(2, 6))
