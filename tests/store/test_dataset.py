"""Tests of `store.dataset` and `store.layout`: what `embed` wrote, read without a model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from clipsim.errors import DatasetError, MissingPackageError
from clipsim.scoring.records import ModelRecord
from clipsim.store.dataset import Dataset
from clipsim.store.folders import LocalFolder
from clipsim.store.layout import FACTS_FILE, DatasetFacts, import_parquet, is_dataset
from clipsim.store.metadata import Row
from clipsim.store.shards import ShardWriter

pytest.importorskip("pyarrow")

FACTS = DatasetFacts(
    ModelRecord("fake", None, 4, 8, 10.0, None, "softmax"), "abc", "cpu", "torch", "fp32", {"exact": False},
    dtype="fp32", shard_size=3, with_captions=False, sources=9, sources_digest="def", images=5, errors=4,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three shards of three, none and two vectors; vector n is n, n, n, n."""
    (tmp_path / FACTS_FILE).write_text(FACTS.to_json())
    row = 0
    for shard, count in enumerate((3, 0, 2)):
        with ShardWriter(LocalFolder(str(tmp_path)), shard, dimensions=4, dtype="fp32", with_captions=False) as writer:
            rows = [Row(f"{number}.jpg", width=number, height=1) for number in range(row, row + count)]
            writer.add(rows, np.repeat(np.arange(row, row + count, dtype=np.float32), 4).reshape(count, 4))
            writer.publish()
        row += count
    return tmp_path


def test_facts_are_kept() -> None:
    """They come back from their text as they were; another schema is refused."""
    assert DatasetFacts.from_json(FACTS.to_json()) == FACTS
    assert json.loads(FACTS.to_json())["counts"] == {"sources": 9, "images": 5, "captions": None, "shards": 3}
    with pytest.raises(ValueError, match="schema"):
        DatasetFacts.from_json(FACTS.to_json().replace("clipsim.embeddings/1", "clipsim.embeddings/2"))


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


def test_the_fingerprint_is_that_of_the_vectors(folder: Path) -> None:
    """It changes with another shard, and stays when the folder is read again."""
    before = Dataset(folder).fingerprint
    assert Dataset(folder).fingerprint == before
    (folder / "metadata" / "metadata_0002.parquet").unlink()

    assert Dataset(folder).fingerprint != before


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
        (lambda folder: (folder / FACTS_FILE).unlink(), "not a folder of vectors"),
        (lambda folder: (folder / FACTS_FILE).write_text("{}"), "or damaged"),
        (lambda folder: (folder / "img_emb" / "img_emb_0000.npy").unlink(), r"img_emb_0000\.npy: not an array"),
        (lambda folder: (folder / "img_emb" / "img_emb_0000.npy").write_bytes(b"\x93NUMPY"), "not an array"),
        (lambda folder: np.save(folder / "img_emb" / "img_emb_0000.npy", np.ones((3, 5))), r"but \(3, 5\)"),
    ],
)
def test_what_is_damaged(folder: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    """One line names the file."""
    damage(folder)

    with pytest.raises(DatasetError, match=message):
        Dataset(folder)


def test_damaged_metadata(folder: Path) -> None:
    """It is noticed where it is read."""
    (folder / "metadata" / "metadata_0000.parquet").write_bytes(b"PAR1")

    with pytest.raises(DatasetError, match=r"metadata_0000\.parquet: damaged"):
        Dataset(folder).names(0)


def test_what_is_a_data_set(folder: Path, tmp_path: Path) -> None:
    """A folder with the facts in it."""
    assert is_dataset(folder)
    assert not is_dataset(folder / "metadata")


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(MissingPackageError, match=r"clipsim\[embed\]"):
        import_parquet()


@pytest.mark.parametrize("model", ["[]", '{"name": "x", "preprocess": [["size", 8]]}', '{"name": "x"}', "7"])
def test_facts_with_another_model_record_are_damaged(tmp_path: Path, model: str) -> None:
    """One error says so, whatever stands there."""
    text = FACTS.to_json()
    record = json.loads(text)
    record["model"] = json.loads(model)
    (tmp_path / "clipsim.json").write_text(json.dumps(record))

    with pytest.raises(DatasetError, match="damaged"):
        Dataset(tmp_path)
