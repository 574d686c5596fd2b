"""Tests of `tasks.stored_datasets` and `store.copies`: data sets in a store are used by their copies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from data_sets import random_vectors, write_data_set

from clipsim.errors import DatasetError
from clipsim.store import copies
from clipsim.store.dataset import Dataset
from clipsim.store.folders import LocalFolder, StoreFolder
from clipsim.store.layout import INFO_FILE
from clipsim.tasks import export_vectors, index
from clipsim.tasks.search_targets import find_targets, recorded_model
from clipsim.tasks.stored_datasets import copy_folder, find_local

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")
ADDRESS = "memory://bucket/vectors"
VECTORS = random_vectors(3000, 4)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A store with a data set in three shards, and an empty cache."""
    monkeypatch.setenv("CLIPSIM_CACHE_DIR", str(tmp_path / "cache"))
    store = fsspec.filesystem("memory")
    upload(tmp_path / "made", VECTORS)
    yield store
    store.rm("/bucket", recursive=True)


def upload(folder: Path, vectors: Any) -> None:
    """Write a data set, and put its files into the store in place of those there."""
    store = fsspec.filesystem("memory")
    if store.exists("/bucket"):
        store.rm("/bucket", recursive=True)
    write_data_set(folder, vectors)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.pipe_file(f"/bucket/vectors/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are copied."""
    names: list[str] = []
    fetch = StoreFolder.fetch

    def record(self: StoreFolder, name: str, target: Path) -> None:
        names.append(name)
        fetch(self, name, target)

    monkeypatch.setattr(StoreFolder, "fetch", record)
    return names


def test_a_copy(memory: Any, fetched: list[str], tmp_path: Path) -> None:
    """Its files are copied once; later only what has changed is, and what is gone is removed."""
    lines: list[str] = []
    folder = find_local(ADDRESS, lines.append)
    assert folder == str(copy_folder(ADDRESS)) == str(copy_folder(f"{ADDRESS}/"))
    dataset = Dataset(folder)
    assert np.array_equal(dataset.vectors(range(3000)), VECTORS)
    assert len(fetched) == 7  # two of each shard, and the errors
    assert len(lines) == 1
    assert f"MB of {ADDRESS} into {folder}" in lines[0]

    fetched.clear()
    assert find_local(ADDRESS, lines.append) == folder
    assert (fetched, len(lines)) == ([], 1)

    changed = VECTORS[:2000].copy()
    changed[1500] = changed[0]
    upload(tmp_path / "changed", changed)
    find_local(ADDRESS, lines.append)
    assert fetched == ["img_emb/img_emb_0001.npy"]
    assert np.array_equal(Dataset(folder).vectors(range(2000)), changed)
    assert not list(Path(folder).rglob("*0002*"))


def test_a_copy_that_is_interrupted(memory: Any, fetched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no data set, and the next run continues it."""
    with monkeypatch.context() as patch:
        fetch = copies._fetch

        def stop(*arguments: Any) -> None:
            if len(fetched) == 4:
                raise KeyboardInterrupt
            fetch(*arguments)

        patch.setattr(copies, "_fetch", stop)
        with pytest.raises(KeyboardInterrupt):
            find_local(ADDRESS)
    assert not (copy_folder(ADDRESS) / INFO_FILE).exists()
    assert len(Dataset(find_local(ADDRESS))) == 3000
    assert len(fetched) == 7


def test_what_cannot_be_copied(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not what was written, and a disk without room, are one line each; the latter says what to do."""
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(DatasetError, match="set CLIPSIM_CACHE_DIR to a larger disk"):
            find_local(ADDRESS)
    name = "/bucket/vectors/img_emb/img_emb_0001.npy"
    memory.pipe_file(name, memory.cat_file(name)[:-1] + b"!")
    with pytest.raises(DatasetError, match=r"img_emb_0001\.npy is not what was written"):
        find_local(ADDRESS)
    memory.pipe_file(f"/bucket/vectors/{INFO_FILE}", b"{}")
    with pytest.raises(DatasetError, match=r"its clipsim\.json is damaged"):
        find_local(ADDRESS)


def test_other_names(memory: Any) -> None:
    """Nothing is asked of a store for a file or a pattern; a folder of images stays an address."""
    memory.pipe_file("/bucket/photos/a.jpg", b"")
    for name in ("photos", "s3://bucket/a.jpg", "s3://bucket/*", "https://host/vectors", "memory://bucket/photos"):
        assert find_local(name) == name
    assert find_local("file:///data/vectors") == "/data/vectors"


def test_a_search(memory: Any) -> None:
    """The address of a data set is a data set, whose model is known, beside a folder of images of the store."""
    memory.pipe_file("/bucket/photos/a.jpg", b"")
    dataset, images = find_targets([ADDRESS, "memory://bucket/photos"])
    assert isinstance(dataset, Dataset)
    assert isinstance(images, list)
    assert [source.name for source in images] == ["memory:///bucket/photos/a.jpg"]  # as fsspec writes it
    assert recorded_model([ADDRESS]) == "fake"


def test_an_index(memory: Any, fetched: list[str], tmp_path: Path) -> None:
    """It is built beside the copy, and stays there; one that is in the store is copied."""
    pytest.importorskip("faiss", reason="faiss is not installed")
    write_data_set(tmp_path / "made", VECTORS)
    result = index.run(index.IndexRequest(ADDRESS, "ivf"))
    record = copy_folder(ADDRESS) / "index" / "index.json"
    assert (result.vectors, Path(result.folder)) == (3000, copy_folder(ADDRESS))
    assert record.exists()
    find_local(ADDRESS)
    assert record.exists()

    for path in record.parent.iterdir():
        memory.pipe_file(f"/bucket/vectors/index/{path.name}", path.read_bytes())
    assert index.remove_index(ADDRESS)
    fetched.clear()
    find_local(ADDRESS)
    assert fetched[-1] == "index/index.json"
    assert record.exists()


def test_an_index_that_is_built_beside_a_copy_stays(memory: Any, tmp_path: Path) -> None:
    """The store's older one does not take its place at the next search; a newer one does, and its files alone stay."""
    pytest.importorskip("faiss", reason="faiss is not installed")
    index.run(index.IndexRequest(ADDRESS, "ivf"))
    folder = copy_folder(ADDRESS) / "index"

    def send() -> bytes:
        for path in folder.iterdir():
            memory.pipe_file(f"/bucket/vectors/index/{path.name}", path.read_bytes())
        return (folder / "index.json").read_bytes()

    send()
    assert index.remove_index(ADDRESS)
    find_local(ADDRESS)
    index.run(index.IndexRequest(ADDRESS, "ivf", rebuild=True))
    built = (folder / "index.json").read_bytes()
    find_local(ADDRESS)
    assert (folder / "index.json").read_bytes() == built

    memory.rm("/bucket/vectors/index", recursive=True)
    newest = send()
    index.run(index.IndexRequest(ADDRESS, "ivf", rebuild=True))
    memory.pipe_file("/bucket/vectors/index/index.json", newest + b"\n")
    find_local(ADDRESS)
    assert (folder / "index.json").read_bytes() == newest + b"\n"
    assert len(list(folder.iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no locks on Windows")
def test_a_copy_that_is_up_to_date_is_read_while_it_is_written_to(memory: Any) -> None:
    """A search need not wait until it is indexed; one that has to copy does."""
    folder = find_local(ADDRESS)
    with LocalFolder(folder).lock():
        assert find_local(ADDRESS) == folder
        (Path(folder) / "img_emb" / "img_emb_0001.npy").unlink()
        with pytest.raises(DatasetError, match="another process is writing to it"):
            find_local(ADDRESS)


def test_an_export(memory: Any, tmp_path: Path) -> None:
    """Rows go from store to store by way of the copy."""
    result = export_vectors.run(export_vectors.ExportRequest(ADDRESS, "parquet", str(tmp_path / "table")))
    assert result.vectors == 3000
