"""Tests of `store.shards`: a shard is whole and checked, or not there."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_sets import FACTS, make_plan

from clipsim.errors import DatasetError
from clipsim.files import digest_file
from clipsim.store.folders import DigestFile, LocalFolder
from clipsim.store.layout import DatasetInfo
from clipsim.store.metadata import MetadataFile, Row
from clipsim.store.shards import ArrayFile, FailedInput, check_shards, open_shard, read_record
from clipsim.vectors.similarity import Vectors

pytest.importorskip("pyarrow")
import pyarrow.parquet as parquet


def files_in(folder: Path) -> set[str]:
    """The names of all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def write_shard(folder: LocalFolder, shard: int, vectors: Vectors, *, dtype: str = "fp32", texts: bool = False) -> None:
    """A shard of these vectors, whose captions have the same ones."""
    rows = [Row(f"{number}.jpg", caption="x" if texts else None) for number in range(len(vectors))]
    model = replace(FACTS.model, embed_dim=vectors.shape[1])
    with open_shard(folder, shard, replace(FACTS, model=model, dtype=dtype, with_captions=texts)) as writer:
        writer.add(rows[:1], vectors[:1], vectors[:1] if texts else None)
        writer.add(rows[1:], vectors[1:], vectors[1:] if texts else None)
        writer.add_failure(FailedInput("broken.jpg", "truncated", "bad_image"))
        writer.publish()


def problems(folder: LocalFolder, facts: DatasetInfo, digest: DigestFile | None = None) -> dict[int, str]:
    """What is wrong with the shards that have to be made."""
    states = check_shards(folder, facts, range(facts.shards), digest)
    assert all(state.failures == {"bad_image": 1} for state in states.values() if state.problem is None)
    return {shard: state.problem for shard, state in states.items() if state.problem is not None}


@pytest.mark.parametrize(("dtype", "kind"), [("fp32", np.float32), ("fp16", np.float16)])
@pytest.mark.parametrize("rows", [0, 1, 12345])
def test_arrays_are_the_files_that_numpy_saves(tmp_path: Path, dtype: str, kind: type, rows: int) -> None:
    """Byte for byte, although the number of rows is known only at the end."""
    vectors = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    np.save(tmp_path / "saved.npy", vectors.astype(kind))
    made = ArrayFile(tmp_path / "made.npy", 3, np.dtype(kind))
    for start in range(0, rows, 1000):
        made.add(vectors[start : start + 1000])
    made.close()
    made.check()

    assert (tmp_path / "made.npy").read_bytes() == (tmp_path / "saved.npy").read_bytes()


def test_a_shard(tmp_path: Path) -> None:
    """Vectors, vectors of captions and metadata have their places, and other tools read them."""
    vectors = np.eye(3, 4, dtype=np.float32)
    write_shard(LocalFolder(str(tmp_path)), 7, vectors, texts=True)
    table = parquet.read_table(tmp_path / "metadata")

    assert files_in(tmp_path) == {
        "img_emb/img_emb_0007.npy", "text_emb/text_emb_0007.npy", "metadata/metadata_0007.parquet",
        ".clipsim/shard_0007.json",
    }  # fmt: skip
    assert (np.load(tmp_path / "img_emb" / "img_emb_0007.npy") == vectors).all()
    assert table["image_path"].to_pylist() == ["0.jpg", "1.jpg", "2.jpg"]
    assert table["row"].to_pylist() == [0, 1, 2]
    record = read_record(LocalFolder(str(tmp_path)), 7)
    assert record is not None
    assert (record.images, record.captions, record.failures) == (3, 3, (("broken.jpg", "truncated", "bad_image"),))
    assert {name: (known.bytes, known.sha256) for name, known in record.files.items()} == {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name in files_in(tmp_path) - {".clipsim/shard_0007.json"}
        for content in [(tmp_path / name).read_bytes()]
    }


def test_nothing_is_there_before_it_is_published(tmp_path: Path) -> None:
    """An error in the middle leaves nothing, and what was there before."""
    folder = LocalFolder(str(tmp_path))
    write_shard(folder, 0, np.eye(2, dtype=np.float32))
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}

    def fail() -> None:
        with open_shard(folder, 0, replace(FACTS, model=replace(FACTS.model, embed_dim=2))) as writer:
            writer.add([Row("a.jpg")], np.ones((1, 2), np.float32))
            assert files_in(tmp_path) > set(before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite(tmp_path: Path, value: float) -> None:
    """A shard with one is not published."""
    vectors = np.ones((5, 2), np.float32)
    vectors[3, 1] = value

    with pytest.raises(DatasetError, match="shard 2: a vector that was written is not finite"):
        write_shard(LocalFolder(str(tmp_path)), 2, vectors)
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("damage", ["vectors", "metadata"])
def test_what_is_not_read_back_is_not_published(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that a disk has lost are noticed."""
    kind: Any = ArrayFile if damage == "vectors" else MetadataFile
    close = kind.close

    def close_and_lose(self: ArrayFile | MetadataFile) -> None:
        close(self)
        if damage == "vectors":
            os.truncate(self.path, self.path.stat().st_size - 4)
        else:
            parquet.write_table(parquet.read_table(self.path).slice(1), self.path)

    monkeypatch.setattr(kind, "close", close_and_lose)

    with pytest.raises(DatasetError, match="shard 0"):
        write_shard(LocalFolder(str(tmp_path)), 0, np.ones((3, 2), np.float32))
    assert files_in(tmp_path) == set()


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says so."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ArrayFile, "add", refuse)

    with pytest.raises(DatasetError, match=f"{tmp_path}: cannot write shard 0: No space left on device"):
        write_shard(LocalFolder(str(tmp_path)), 0, np.ones((3, 2), np.float32))


def test_which_shards_are_missing(tmp_path: Path) -> None:
    """One that was not made; one that lacks a file, or has another, is named."""
    folder = LocalFolder(str(tmp_path))
    facts = replace(FACTS, plan=make_plan(18, 3))  # six shards
    assert problems(folder, facts) == dict.fromkeys(range(6), "")
    for shard in (0, 1, 2, 3, 5):
        write_shard(folder, shard, np.eye(2, dtype=np.float32))
    (tmp_path / "metadata" / "metadata_0001.parquet").unlink()
    (tmp_path / "img_emb" / "img_emb_0002.npy").unlink()
    os.truncate(tmp_path / "img_emb" / "img_emb_0003.npy", 140)
    (tmp_path / ".clipsim" / "shard_0005.json").write_bytes((tmp_path / ".clipsim" / "shard_0000.json").read_bytes())

    assert problems(folder, facts) == {
        1: "", 2: "img_emb/img_emb_0002.npy is missing", 3: "img_emb/img_emb_0003.npy has 140 bytes, not 144", 4: "",
        5: ".clipsim/shard_0005.json is damaged",
    }  # fmt: skip
    assert problems(folder, replace(facts, plan=make_plan(3, 3)), digest_file) == {}
    np.save(tmp_path / "img_emb" / "img_emb_0000.npy", np.eye(2, dtype=np.float32)[::-1])
    assert problems(folder, replace(facts, plan=make_plan(3, 3))) == {}
    assert problems(folder, replace(facts, plan=make_plan(3, 3)), digest_file) == {
        0: "the content of img_emb/img_emb_0000.npy has changed"
    }


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """Parquet holds text; the bytes are percent-encoded in an address, which reading undoes."""
    metadata = MetadataFile(tmp_path / "m.parquet")
    metadata.add([Row("caf\udce9.jpg", caption="ü")])
    metadata.close()

    assert parquet.read_table(tmp_path / "m.parquet")["image_path"].to_pylist() == ["file://caf%E9.jpg"]
