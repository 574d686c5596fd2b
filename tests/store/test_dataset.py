"""Tests of `store.dataset` and `store.layout`: what `embed` wrote, read and searched without a model."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from data_sets import make_plan, random_vectors, write_data_set

from clipsim.errors import DatasetError, MissingPackageError
from clipsim.files import digest_file
from clipsim.results.base import ModelRecord
from clipsim.store.dataset import Dataset, find_accepted, scan
from clipsim.store.folders import LocalFolder
from clipsim.store.layout import INFO_FILE, DatasetInfo, import_parquet, is_dataset, to_sealed_json
from clipsim.store.lifecycle import finish
from clipsim.store.metadata import Row
from clipsim.store.shards import open_shard

pytest.importorskip("pyarrow")

FACTS = DatasetInfo(
    ModelRecord("fake", None, 4, 8, 10.0, None, "softmax"), "abc", "cpu", "torch", "fp32", {"exact": False},
    dtype="fp32", shard_size=3, with_captions=False, plan=make_plan(9, 3),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three shards of three, none and two vectors; vector n is n, n, n, n."""
    (tmp_path / INFO_FILE).write_text(FACTS.to_json())
    row = 0
    for shard, count in enumerate((3, 0, 2)):
        with open_shard(LocalFolder(str(tmp_path)), shard, FACTS) as writer:
            rows = [Row(f"{number}.jpg", width=number, height=1) for number in range(row, row + count)]
            writer.add(rows, np.repeat(np.arange(row, row + count, dtype=np.float32), 4).reshape(count, 4))
            writer.publish()
        row += count
    finish(LocalFolder(str(tmp_path)), FACTS)
    return tmp_path


def test_facts_are_kept(folder: Path) -> None:
    """They come back from their text as they were; another schema is refused, and so is a value that was edited."""
    text = (folder / INFO_FILE).read_text()
    done = DatasetInfo.from_json(text)
    assert DatasetInfo.from_json(FACTS.to_json()) == FACTS
    assert done.to_json() == text
    assert (done.rows, done.images, len(done.files)) == ((3, 0, 2), 5, 7)
    assert json.loads(text)["counts"] == {"sources": 9, "images": 5, "captions": None, "shards": 3}
    with pytest.raises(ValueError, match="schema"):
        DatasetInfo.from_json(text.replace("clipsim.embeddings/1", "clipsim.embeddings/2"))
    with pytest.raises(ValueError, match="not those that were written"):
        DatasetInfo.from_json(text.replace('"device": "cpu"', '"device": "cuda"'))
    assert DatasetInfo.from_json(json.dumps(json.loads(text), indent=7)) == done


def test_rows_run_through_the_shards(folder: Path) -> None:
    """Blocks, single vectors and metadata are found by the same numbers."""
    dataset = Dataset(folder)

    assert (len(dataset), dataset.rows) == (5, [3, 0, 2])
    assert [(block.start, block.shard, block.offset, block.vectors[:, 0].tolist()) for block in dataset.blocks(2)] == [
        (0, 0, 0, [0, 1]), (2, 0, 2, [2]), (3, 2, 0, [3, 4]),
    ]  # fmt: skip
    assert dataset.vectors([4, 0, 4])[:, 0].tolist() == [4, 0, 4]
    assert dataset.describe([4, 0], ["image_path", "width"]) == [
        {"image_path": "4.jpg", "width": 4}, {"image_path": "0.jpg", "width": 0},
    ]  # fmt: skip
    assert dataset.names(1) == []
    with pytest.raises(IndexError):
        dataset.vectors([5])


def test_shards_of_an_unfinished_data_set(folder: Path) -> None:
    """Those that are there, by their own records; without a record a shard is not there."""
    whole = Dataset(folder)
    (folder / INFO_FILE).write_text(FACTS.to_json())
    assert Dataset(folder).fingerprint() == whole.fingerprint()
    (folder / "metadata" / "metadata_0001.parquet").unlink()
    assert (Dataset(folder).shards, Dataset(folder).rows) == ([0, 2], [3, 2])
    (folder / ".clipsim" / "shard_0002.json").write_text("{}")

    assert Dataset(folder).shards == [0]
    assert Dataset(folder).fingerprint() != whole.fingerprint()


def test_no_file_stays_open(folder: Path) -> None:
    """A data set may have more shards than a process may open files."""
    dataset = Dataset(folder)
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("no /proc here")
    before = len(list(descriptors.iterdir()))
    for block in dataset.blocks():
        block.vectors.sum()
    del block

    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / INFO_FILE).unlink(), "not a folder of vectors"),
        (lambda folder: (folder / INFO_FILE).write_text("{}"), "damaged, edited or of another version"),
        (lambda folder: (folder / INFO_FILE).write_text("[" * 100_000), "damaged, edited or of another version"),
        (lambda folder: (folder / "img_emb" / "img_emb_0000.npy").unlink(), r"img_emb_0000\.npy: missing"),
        (lambda folder: (folder / "metadata" / "metadata_0002.parquet").unlink(), r"metadata_0002\.parquet: missing"),
        (lambda folder: (folder / "img_emb" / "img_emb_0000.npy").write_bytes(b"\x93NUMPY"), "6 bytes, not 176"),
        (lambda folder: np.save(folder / "img_emb" / "img_emb_0000.npy", np.ones((3, 5))), "248 bytes, not 176"),
    ],
)
def test_what_is_damaged(folder: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    """One line names the file."""
    damage(folder)

    with pytest.raises(DatasetError, match=message) as caught:
        Dataset(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["img_emb/img_emb_0002.npy", "metadata/metadata_0002.parquet"])
def test_content_that_has_changed(folder: Path, name: str) -> None:
    """It is noticed where it is read, every byte of it, also by a data set that is open."""
    dataset, path = Dataset(folder), folder / name
    content = path.read_bytes()
    assert dataset.vectors([3]).shape == (1, 4)
    assert dataset.names(2) == ["3.jpg", "4.jpg"]
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
        for opened in (Dataset(folder), dataset):
            with pytest.raises(DatasetError, match=f"{path}: damaged: not the content that was written"):
                opened.names(2) if "metadata" in name else opened.vectors([3])


def test_digests_that_are_remembered(folder: Path) -> None:
    """A file is read once as long as it has not changed; how its digest is found is the caller's choice."""
    asked: list[str] = []

    def digest(path: Path) -> str:
        asked.append(path.name)
        return digest_file(path)

    dataset = Dataset(folder, digest)
    for _ in range(3):
        dataset.vectors([0, 4])
    assert asked == ["img_emb_0000.npy", "img_emb_0002.npy"]
    os.utime(folder / "img_emb" / "img_emb_0000.npy", (1, 1))
    dataset.vectors([0, 4])

    assert asked[2:] == ["img_emb_0000.npy"]


def test_what_is_a_data_set(folder: Path, tmp_path: Path) -> None:
    """A folder with the facts in it."""
    assert is_dataset(folder)
    assert not is_dataset(folder / "metadata")


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(MissingPackageError, match=r"clipsim\[embed\]"):
        import_parquet()


@pytest.mark.parametrize("model", [[], {"name": "x", "preprocess": [["size", 8]]}, {"name": "x"}, 7])
def test_facts_with_another_model_record_are_damaged(tmp_path: Path, model: object) -> None:
    """One error says so, whatever stands there, although it was sealed as it is."""
    record = json.loads(FACTS.to_json())
    del record["checksum"]
    record["model"] = model
    (tmp_path / "clipsim.json").write_text(to_sealed_json(record))

    with pytest.raises(DatasetError, match="damaged"):
        Dataset(tmp_path)


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


@pytest.mark.parametrize("workers", [1, 3])
def test_names_that_are_not_accepted_are_left_out(tmp_path: Path, workers: int) -> None:
    """Also all of a shard."""
    vectors = random_vectors(30, 8)
    dataset = write_data_set(tmp_path, vectors, shard_size=10)
    taken = [4, 5, 6, 25, 29]
    accepted = find_accepted(dataset, {f"{row}.jpg" for row in taken}.__contains__, workers=workers)
    nearest, compared = scan(dataset, vectors[:1], 9, accepted=accepted)
    expected = sorted(taken, key=lambda row: -float(vectors[0] @ vectors[row]))

    assert np.flatnonzero(accepted).tolist() == taken
    assert compared == 5
    assert nearest.rows[0].tolist() == [*expected, -1, -1, -1, -1]
    later, compared = scan(dataset, vectors[:1], 9, accepted=accepted, first_shard=1)
    assert compared == 2
    assert sorted(later.rows[0][:2].tolist()) == [25, 29]
