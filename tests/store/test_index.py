"""Tests of `store.index`: an index finds what an exact search does, or is not used."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_sets import random_vectors, write_data_set

from clipsim.errors import DatasetError, MissingPackageError
from clipsim.store.dataset import Dataset, scan
from clipsim.store.folders import LocalFolder
from clipsim.store.index import (
    INFO_NAME,
    IndexInfo,
    build_ivf,
    choose_lists,
    open_index,
    publish_index,
    refine,
    remove_index,
)  # fmt: skip
from clipsim.vectors.similarity import Vectors

pytest.importorskip("faiss")
pytest.importorskip("pyarrow")

VECTORS = random_vectors(3000, 16)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three thousand vectors in seven shards."""
    return write_data_set(tmp_path / "vectors", VECTORS, dtype="fp16", shard_size=450)


def build(dataset: Dataset, probes: int, name: str = "ivf-a.faiss") -> IndexInfo:
    """Build and publish an index that reads so many lists."""
    made = dataset.folder / name
    info = replace(build_ivf(dataset, made).info, probes=probes, recall_images=0.987)
    publish_index(dataset, made, info)
    return info


def test_all_lists_give_the_exact_answer(dataset: Dataset) -> None:
    """Names and cosines are those of the vectors themselves, not of what the lists hold of them."""
    build(dataset, choose_lists(3000))
    index, notices = open_index(Dataset(dataset.folder))
    queries = random_vectors(6, 16, seed=3)
    exact, _ = scan(dataset, queries, 10)
    assert index is not None
    found = index.find(queries, 10)

    assert found.rows.tolist() == exact.rows.tolist()
    np.testing.assert_allclose(found.scores, exact.scores, atol=1e-6)
    assert notices == [f"{dataset.folder}: searched by its index, which finds 99% for images of the ten nearest"]


def test_few_lists_give_a_part_of_it(dataset: Dataset) -> None:
    """What is found is in order and exact, and more lists find more."""
    build(dataset, 1)
    index, _ = open_index(dataset)
    assert index is not None
    queries = random_vectors(50, 16, seed=4)
    exact, _ = scan(dataset, queries, 10)
    found = [
        np.mean([len(set(a) & set(b)) for a, b in zip(exact.rows, index.find(queries, 10, probes).rows, strict=True)])
        for probes in (1, 4, 32)
    ]

    assert 1 < found[0] < found[1] < found[2] <= 10


def test_refining_takes_each_querys_own_candidates() -> None:
    """Others' are not looked at, and empty places are none."""

    class Stored:
        def vectors(self, rows: list[int]) -> Vectors:
            return VECTORS[rows]

    candidates = np.array([[5, 9, -1], [7, -1, -1]])
    found = refine(Stored(), VECTORS[[9, 9]], candidates, 2)  # type: ignore[arg-type]

    assert found.rows.tolist() == [[9, 5], [7, -1]]


def test_an_index_of_other_vectors_is_not_used(dataset: Dataset) -> None:
    """It is noticed when one number of one vector is another, and nothing else."""
    build(dataset, 4)
    shutil.copytree(dataset.folder / "index", dataset.folder.parent / "index")
    shutil.rmtree(dataset.folder)
    vectors = VECTORS.copy()
    vectors[1234] = vectors[1234][::-1]
    other = write_data_set(dataset.folder, vectors, dtype="fp16", shard_size=450)
    shutil.copytree(dataset.folder.parent / "index", dataset.folder / "index")
    index, (notice,) = open_index(other)

    assert index is None
    assert "built from other vectors and is not used; 'clipsim index" in notice


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": "clipsim.ivf/2"}', b'{"schema": "clipsim.ivf/1"}'])
def test_damaged_facts(dataset: Dataset, damage: bytes) -> None:
    """The search is exact, and a notice says why."""
    build(dataset, 4)
    (dataset.folder / INFO_NAME).write_bytes(damage)
    index, (notice,) = open_index(dataset)

    assert index is None
    assert "damaged or of another version" in notice


@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
def test_a_damaged_file(dataset: Dataset, damage: str) -> None:
    """Likewise, also where its size is right."""
    info = build(dataset, 4)
    file = dataset.folder / "index" / info.file
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(content[:-100] if damage == "cut" else bytes(len(content)))
    index, (notice,) = open_index(dataset)

    assert index is None
    assert "damaged and is not used" in notice


def test_without_faiss(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named; building is an error, searching goes on without."""
    build(dataset, 4)
    monkeypatch.setitem(sys.modules, "faiss", None)
    index, (notice,) = open_index(dataset)

    assert index is None
    assert "clipsim[search]" in notice
    with pytest.raises(MissingPackageError, match=r"clipsim\[search\]"):
        build_ivf(dataset, dataset.folder / "x")


def test_a_new_index_takes_the_place_of_the_old_one(dataset: Dataset) -> None:
    """Only one is kept; what is removed is gone."""
    build(dataset, 4)
    info = build(dataset, 8, "ivf-b.faiss")
    assert {path.name for path in (dataset.folder / "index").iterdir()} == {"ivf-b.faiss", "index.json"}
    assert json.loads((dataset.folder / INFO_NAME).read_text())["probes"] == 8
    assert IndexInfo.from_json((dataset.folder / INFO_NAME).read_text()) == info

    assert remove_index(LocalFolder(str(dataset.folder)))
    assert not remove_index(LocalFolder(str(dataset.folder)))
    assert open_index(dataset) == (None, [])


def test_where_nothing_can_be_written(dataset: Dataset) -> None:
    """The file is named."""
    with pytest.raises(DatasetError, match="cannot write the index"):
        build_ivf(dataset, dataset.folder / "none" / "x")


def test_fingerprints(tmp_path: Path) -> None:
    """The same vectors have the same one wherever they are; an empty data set has one too."""
    first = write_data_set(tmp_path / "a", VECTORS[:20], shard_size=7)
    second = write_data_set(tmp_path / "b", VECTORS[:20], shard_size=7)
    third = write_data_set(tmp_path / "c", VECTORS[1:21], shard_size=7)

    assert first.fingerprint == second.fingerprint != third.fingerprint
    assert len(write_data_set(tmp_path / "d", VECTORS[:0]).fingerprint) == 64
