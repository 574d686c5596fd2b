"""Tests of `store.index`: an index finds what an exact search does, or is not used."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_sets import random_vectors, write_data_set

from clipsim.errors import DatasetError, MissingPackageError
from clipsim.store.dataset import Dataset, check_digest, scan
from clipsim.store.folders import LocalFolder
from clipsim.store.index import (
    INFO_NAME,
    IndexInfo,
    VectorIndex,
    build_index,
    extend_index,
    load_index,
    open_index,
    publish_index,
    refine,
    remove_index,
)
from clipsim.store.ivf import choose_lists
from clipsim.vectors.similarity import Vectors

pytest.importorskip("faiss")
pytest.importorskip("pyarrow")

VECTORS = random_vectors(6000, 16)[:3000]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three thousand vectors in seven shards, the last of which has 300."""
    return write_data_set(tmp_path / "vectors", VECTORS, dtype="fp16", shard_size=450)


def build(dataset: Dataset, probes: int) -> IndexInfo:
    """Build and publish an index that reads so many lists."""
    with LocalFolder(str(dataset.folder)).scratch() as scratch:
        return publish(build_index(dataset, scratch), probes, scratch)


def extend(dataset: Dataset) -> IndexInfo:
    """Add to the index of a data set what it lacks, and publish it."""
    index, fault = load_index(dataset)
    assert index is not None, fault
    with LocalFolder(str(dataset.folder)).scratch() as scratch:
        return publish(extend_index(index, dataset, scratch), index.info.probes, scratch)


def publish(index: VectorIndex, probes: int, scratch: Path) -> IndexInfo:
    """Publish an index that reads so many lists."""
    info = replace(index.info, probes=probes, recall_images=0.987)
    index.close()
    publish_index(index._dataset, scratch, info)
    return info


def grow(dataset: Dataset, rows: int) -> Dataset:
    """The data set with some further rows, in shards of 450, in place of the one that is there."""
    whole = write_data_set(
        dataset.folder.parent / f"grown-{rows}", random_vectors(6000, 16)[:rows], dtype="fp16", shard_size=450
    )
    for name in ("img_emb", "metadata", ".clipsim", "clipsim.json", "errors.jsonl"):
        old, new = dataset.folder / name, whole.folder / name
        shutil.rmtree(old) if old.is_dir() else old.unlink()
        new.rename(old)
    return Dataset(dataset.folder)


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
    assert notices == [f"{dataset.folder}: searched by its index, which finds 98.7% for images of the ten nearest"]


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


def test_more_lists_are_read_for_many_results(dataset: Dataset) -> None:
    """Where those that a search reads have too few vectors; also with a filter, up to all that it leaves."""
    build(dataset, 1)
    index, _ = open_index(dataset)
    assert index is not None
    queries = random_vectors(3, 16, seed=4)
    accepted = np.arange(3000) % 3 == 0
    nearest = index.find(queries, 500)

    assert (nearest.rows >= 0).all()
    assert [len(set(rows)) for rows in nearest.rows.tolist()] == [500] * 3
    assert (index.find(queries, 9000).rows >= 0).sum(axis=1).tolist() == [3000] * 3
    assert (index.find(queries, 1200, accepted=accepted).rows >= 0).sum(axis=1).tolist() == [1000] * 3
    assert (index.find(queries, 5, accepted=np.zeros(3000, bool)).rows == -1).all()


def test_the_candidates_of_many_queries_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the number of queries, and the answers are the same."""
    reads: list[int] = []

    class Stored:
        def vectors(self, rows: list[int]) -> Vectors:
            reads.append(len(rows))
            return VECTORS[rows]

    queries, candidates = VECTORS[:50], np.random.default_rng(1).integers(0, 3000, (50, 20))
    at_once = refine(Stored(), queries, candidates, 5)  # type: ignore[arg-type]
    monkeypatch.setattr("clipsim.store.index.REFINED_ROWS", 100)
    in_blocks = refine(Stored(), queries, candidates, 5)  # type: ignore[arg-type]

    assert len(reads) == 11
    assert max(reads[1:]) <= 100
    assert in_blocks.rows.tolist() == at_once.rows.tolist()


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


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": "clipsim.ivf/9"}', b'{"schema": "clipsim.ivf/2"}'])
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
    file = dataset.folder / "index" / info.parts[0].name
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(content[:-100] if damage == "cut" else bytes(len(content)))
    index, (notice,) = open_index(dataset)

    assert index is None
    assert "damaged and is not used" in notice


def test_an_index_that_is_replaced_while_it_is_opened(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new one is used, and nothing is said to be damaged."""
    build(dataset, 4)
    replacements = [8]

    def replace_first(*arguments: Any) -> None:
        if replacements:
            build(dataset, replacements.pop())
        check_digest(*arguments)

    monkeypatch.setattr("clipsim.store.index.check_digest", replace_first)
    index, notices = open_index(dataset)

    assert index is not None
    assert index.info.probes == 8
    assert "searched by its index" in notices[0]


def test_without_faiss(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named; building is an error, searching goes on without."""
    build(dataset, 4)
    monkeypatch.setitem(sys.modules, "faiss", None)
    index, (notice,) = open_index(dataset)

    assert index is None
    assert "clipsim[search]" in notice
    with pytest.raises(MissingPackageError, match=r"clipsim\[search\]"):
        build_index(dataset, dataset.folder)


def test_a_new_index_takes_the_place_of_the_old_one(dataset: Dataset) -> None:
    """Only one is kept; what is removed is gone."""
    build(dataset, 4)
    info = build(dataset, 8)
    assert {path.name for path in (dataset.folder / "index").iterdir()} == {info.parts[0].name, "index.json"}
    assert json.loads((dataset.folder / INFO_NAME).read_text())["probes"] == 8
    assert IndexInfo.from_json((dataset.folder / INFO_NAME).read_text()) == info

    assert remove_index(LocalFolder(str(dataset.folder)))
    assert not remove_index(LocalFolder(str(dataset.folder)))
    assert open_index(dataset) == (None, [])


def test_where_nothing_can_be_written(dataset: Dataset) -> None:
    """The file is named."""
    with pytest.raises(DatasetError, match="cannot write the index"):
        build_index(dataset, dataset.folder / "none")


def test_fingerprints(tmp_path: Path) -> None:
    """The same vectors have the same one wherever they are; an empty data set has one too."""
    first = write_data_set(tmp_path / "a", VECTORS[:20], shard_size=7)
    second = write_data_set(tmp_path / "b", VECTORS[:20], shard_size=7)
    third = write_data_set(tmp_path / "c", VECTORS[1:21], shard_size=7)

    assert first.fingerprint() == second.fingerprint() != third.fingerprint()
    assert first.fingerprint(2) == write_data_set(tmp_path / "e", VECTORS[:14], shard_size=7).fingerprint()
    assert len(write_data_set(tmp_path / "d", VECTORS[:0]).fingerprint()) == 64


def compare_with_scan(dataset: Dataset, index: VectorIndex) -> float:
    """The share of the ten nearest that an index finds, reading all lists; names and cosines are the exact ones."""
    queries = random_vectors(20, 16, seed=3)
    exact, _ = scan(dataset, queries, 10)
    nearest = index.find(queries, 10, index.info.lists)
    np.testing.assert_allclose(nearest.scores, exact.scores, atol=1e-6)
    return float(np.mean(nearest.rows == exact.rows))


def test_new_shards_are_added(dataset: Dataset) -> None:
    """Their rows go to the lists that are there, in a further file; those that are there stay as they are."""
    before = build(dataset, 4)
    content = (dataset.folder / "index" / before.parts[0].name).read_bytes()
    grown = grow(dataset, 4800 - 150)  # the last of the old shards has 300 rows in the new data set no more
    index, (notice,) = open_index(grown)
    assert index is None
    assert "built from other vectors" in notice

    shutil.rmtree(dataset.folder)
    small = write_data_set(dataset.folder, random_vectors(6000, 16)[:2700], dtype="fp16", shard_size=450)
    before = build(small, 4)
    content = (dataset.folder / "index" / before.parts[0].name).read_bytes()
    grown = grow(small, 4600)
    after = extend(grown)
    index, notices = open_index(Dataset(grown.folder))

    assert [part.vectors for part in after.parts] == [2700, 1900]
    assert (after.vectors, after.shards, after.trained, after.lists) == (4600, 11, 2700, before.lists)
    assert after.parts[0] == before.parts[0]
    assert (grown.folder / "index" / before.parts[0].name).read_bytes() == content
    assert len(notices) == 1
    assert index is not None
    assert compare_with_scan(grown, index) == 1.0


def test_vectors_that_an_index_lacks_are_all_compared(dataset: Dataset) -> None:
    """No search waits for the index; a notice says how many they are."""
    shutil.rmtree(dataset.folder)
    small = write_data_set(dataset.folder, VECTORS[:2700], dtype="fp16", shard_size=450)
    build(small, 4)
    grown = grow(small, 3600)
    index, notices = open_index(grown)
    assert index is not None
    assert "900 vectors that its index lacks are all compared; 'clipsim index" in notices[1]
    newest = index.find(grown.vectors([3599, 100]), 1, 1)

    assert newest.rows.tolist() == [[3599], [100]]
    assert compare_with_scan(grown, index) == 1.0


def test_large_indexes_are_filled_by_parts_and_merged(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds one part; on the disk they become one, which is found wherever the folder is moved."""
    monkeypatch.setattr("clipsim.store.ivf.PART_BYTES", 1000 * 16)
    sizes: list[int] = []
    with LocalFolder(str(dataset.folder)).scratch() as scratch:
        built = build_index(dataset, scratch, sizes.append)
        written = len(list(scratch.glob("*.faiss")))
        info = publish(built, 4, scratch)
    moved = dataset.folder.rename(dataset.folder.parent / "moved")
    index, _ = open_index(Dataset(moved))

    assert written == 4  # of 1350, 1350 and 300 vectors, and of all
    assert [part.vectors for part in info.parts] == [3000]
    assert {path.name for path in (moved / "index").iterdir()} == {*info.parts[0].files, "index.json"}
    assert [name.rpartition(".")[2] for name in info.parts[0].files] == ["faiss", "lists"]
    assert sizes == [450, 900, 1350, 1800, 2250, 2700, 3000]
    assert index is not None
    assert compare_with_scan(Dataset(moved), index) == 1.0


def test_many_small_additions_are_merged(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a search opens few files; the large part before them is not written again."""
    monkeypatch.setattr("clipsim.store.index.MAX_PARTS", 3)
    shutil.rmtree(dataset.folder)
    grown = write_data_set(dataset.folder, VECTORS[:2250], dtype="fp16", shard_size=450)
    first = build(grown, 4)
    for rows in (2700, 3150, 3600):
        grown = grow(grown, rows)
        info = extend(grown)
    index, _ = open_index(grown)

    assert [part.vectors for part in info.parts] == [2250, 1350]
    assert info.parts[0] == first.parts[0]
    assert {path.name for part in [grown.folder / "index"] for path in part.iterdir()} == {
        "index.json", *(name for part in info.parts for name in part.files)
    }  # fmt: skip
    assert index is not None
    assert compare_with_scan(grown, index) == 1.0


def test_a_full_disk_is_noticed_before_parts_are_merged(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before the copying, not after it."""
    monkeypatch.setattr("clipsim.store.ivf.PART_BYTES", 1000 * 16)
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with LocalFolder(str(dataset.folder)).scratch() as scratch, pytest.raises(DatasetError, match="merging the index"):
        build_index(dataset, scratch)


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_rows_that_are_not_accepted_are_not_found(dataset: Dataset, share: float) -> None:
    """Fewer accepted rows in each list are made up for by more lists."""
    build(dataset, 2)
    index, _ = open_index(dataset)
    accepted = np.random.default_rng(1).random(3000) < share
    queries = random_vectors(30, 16, seed=3)
    exact, compared = scan(dataset, queries, 5, accepted=accepted)
    assert index is not None
    nearest = index.find(queries, 5, accepted=accepted)
    found = [len(set(a) & set(b)) / 5 for a, b in zip(exact.rows, nearest.rows, strict=True)]
    unfiltered = [
        len(set(a) & set(b)) / 5
        for a, b in zip(scan(dataset, queries, 5)[0].rows, index.find(queries, 5).rows, strict=True)
    ]

    assert compared == accepted.sum()
    assert accepted[nearest.rows[nearest.rows >= 0]].all()
    assert (nearest.rows >= 0).all()
    assert np.mean(found) >= np.mean(unfiltered) - 0.05


def test_faiss_prints_nothing(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is the user's, also where an index was merged, whose lists are in a file of their own."""
    monkeypatch.setattr("clipsim.store.ivf.PART_BYTES", 20_000)
    built = build(dataset, 4)
    moved = dataset.folder.with_name("moved")
    dataset.folder.rename(moved)
    index, _ = open_index(Dataset(moved))
    ctypes.CDLL(None).fflush(None)  # what C has not written yet

    assert list((moved / "index").glob("*.lists"))
    assert index is not None
    assert compare_with_scan(Dataset(moved), index) == 1.0
    assert built.vectors == len(Dataset(moved))
    assert capfd.readouterr() == ("", "")


def test_lists_that_are_gone(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may remove them while a part is opened."""
    monkeypatch.setattr("clipsim.store.ivf.PART_BYTES", 20_000)
    build(dataset, 4)
    (lists,) = (dataset.folder / "index").glob("*.lists")

    def check_and_remove(path: Path, *arguments: Any) -> None:
        check_digest(path, *arguments)
        if path == lists:
            path.unlink()

    monkeypatch.setattr("clipsim.store.index.check_digest", check_and_remove)
    index, (notice,) = open_index(Dataset(dataset.folder))
    assert index is None
    assert "is damaged" in notice


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_a_folder_whose_name_is_not_utf8(dataset: Dataset) -> None:
    """Faiss takes no such name; the search goes on without the index."""
    build(dataset, 4)
    moved = dataset.folder.rename(dataset.folder.parent / os.fsdecode(b"x\xff"))
    index, notices = open_index(Dataset(moved))
    assert index is None
    assert len(notices) == 1
