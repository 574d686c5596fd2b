"""Tests of `api.embed` in a folder that holds a data set: overwritten, checked, mended, and never by two at once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from data_sets import random_vectors, write_data_set
from fake_encoder import FakeEncoder
from PIL import Image

import clipsim
import clipsim.files
from clipsim.errors import ClipsimError, DatasetError, DeviceError
from clipsim.store.dataset import Dataset
from clipsim.store.folders import LocalFolder
from clipsim.store.layout import read_dataset_info
from clipsim.store.lifecycle import finish
from clipsim.store.shards import ArrayFile
from clipsim.tasks.index import IndexRequest, remove_index
from clipsim.tasks.index import run as run_index
from clipsim.vectors.similarity import Vectors

if TYPE_CHECKING:
    from conftest import Machine

pytest.importorskip("pyarrow")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Seven pictures, the last broken."""
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    for number, path in enumerate(paths):
        Image.new("RGB", (20 + number, 12), (40 + 30 * number, 250 - 40 * number, 99)).save(path)
    paths[-1].write_bytes(b"x")
    return paths


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def embed(where: list[Path], folder: Path | str, **options: Any) -> clipsim.EmbedResult:
    """`session.embed`, from a session of its own."""
    opening = {"cache": options.pop("cache", False), "on_error": options.pop("on_error", "skip")}
    with clipsim.open("clipsim-mini", **opening) as session:
        return session.embed(where, folder, **options)


@pytest.mark.slow
def test_overwriting_that_is_killed_at_any_moment(
    machine: Machine, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old data set is there whole, or the new one goes on; and files of others stay wherever they are."""
    folder, new = tmp_path / "out", tmp_path / "new"
    embed(pictures, folder, shard_size=2, captions=True)
    embed(pictures[2:5], new, shard_size=1)
    foreign = {"img_emb/mine.npy": b"1", "metadata/notes.txt": b"2", "text_emb/a/b": b"3", "index/index.html": b"4"}
    for name, content in foreign.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    old = contents(folder)
    moments: list[Path] = []

    def keep() -> None:
        moments.append(tmp_path / f"moment{len(moments)}")
        shutil.copytree(folder, moments[-1])

    def watched(method: Callable[..., None]) -> Callable[..., None]:
        def run(self: LocalFolder, *arguments: Any) -> None:
            keep()
            method(self, *arguments)
            keep()

        return run

    with monkeypatch.context() as patch:
        for name in ("write", "publish", "remove"):
            patch.setattr(LocalFolder, name, watched(getattr(LocalFolder, name)))
        embed(pictures[2:5], folder, shard_size=1, overwrite=True)
    found = {"old": 0, "new": 0}
    for moment in moments:
        assert contents(moment).items() >= foreign.items()
        if read_dataset_info(moment).with_captions:
            found["old"] += 1
            assert contents(moment).items() >= {name: old[name] for name in old if "sources" not in name}.items()
            assert embed(pictures, moment, shard_size=2, captions=True).made == 0
            assert contents(moment) == old
        else:
            found["new"] += 1
            assert len(Dataset(moment)) <= 3
            embed(pictures[2:5], moment, shard_size=1)
            assert contents(moment) == {**contents(new), **foreign}

    assert contents(folder) == {**contents(new), **foreign}
    assert min(found.values()) > 4


def test_nothing_is_removed_before_the_model_is_loaded(
    machine: Machine, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor before the first shard is ready."""
    embed(pictures, tmp_path / "out", shard_size=3)
    before = contents(tmp_path / "out")

    def refuse(*_: object) -> None:
        raise DeviceError("no CUDA GPU for device='cuda'")

    with monkeypatch.context() as patch:
        patch.setattr(machine, "open_encoder", refuse)
        with pytest.raises(DeviceError):
            embed(pictures, tmp_path / "out", shard_size=3, overwrite=True)
    assert contents(tmp_path / "out") == before
    pictures[1].write_bytes(b"x")
    with pytest.raises(ClipsimError, match=r"1\.png"):
        embed(pictures, tmp_path / "out", shard_size=3, overwrite=True, on_error="fail")

    assert contents(tmp_path / "out") == before


def test_overwriting_removes_the_index(machine: Machine, pictures: list[Path], tmp_path: Path) -> None:
    """It is of vectors that are gone; a file of the user's beside it stays, also when the index alone is removed."""
    pytest.importorskip("faiss")
    write_data_set(tmp_path / "out", random_vectors(1000, 4))
    run_index(IndexRequest(str(tmp_path / "out"), "ivf"))
    (tmp_path / "out" / "index" / "mine").touch()
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    embed(pictures, tmp_path / "out", overwrite=True)
    assert remove_index(tmp_path / "other")

    for name in ("out", "other"):
        assert [path.name for path in (tmp_path / name / "index").iterdir()] == ["mine"]


def test_files_that_are_in_the_way(machine: Machine, pictures: list[Path], tmp_path: Path) -> None:
    """A file that the data set does not list is not replaced either, and a damaged list is not believed."""
    embed(pictures[:2], tmp_path / "out", shard_size=1)
    (tmp_path / "out" / "img_emb" / "img_emb_0002.npy").write_bytes(b"mine")
    before = contents(tmp_path / "out")
    with pytest.raises(DatasetError, match=r"img_emb/img_emb_0002\.npy does not belong to the data set there"):
        embed(pictures[:3], tmp_path / "out", shard_size=1, overwrite=True)
    assert {**contents(tmp_path / "out"), **before} == contents(tmp_path / "out")
    facts = tmp_path / "out" / "clipsim.json"
    facts.write_text(facts.read_text().replace("cpu", "cuda"))
    for overwrite in (False, True):
        with pytest.raises(DatasetError, match=r"clipsim\.json, the record of the data set, is damaged"):
            embed(pictures[:2], tmp_path / "out", shard_size=1, overwrite=overwrite)


@pytest.mark.parametrize("address", ["{}", "file://{}", "memory://again"])
def test_damage_is_mended(machine: Machine, pictures: list[Path], tmp_path: Path, address: str) -> None:
    """A file that is lost, shortened or another's is made again, in stores as in folders, with a notice of which."""
    fsspec = pytest.importorskip("fsspec")
    address = address.format(tmp_path / "out")
    store, _ = fsspec.core.url_to_fs(address)

    def stored() -> dict[str, bytes]:
        root = store._strip_protocol(address)
        return {name.removeprefix(root): store.cat_file(name) for name in store.find(root)}

    embed(pictures, address, shard_size=2)
    before = stored()
    other = store.cat_file(f"{address}/img_emb/img_emb_0001.npy")
    for name, content, problem in (
        ("img_emb/img_emb_0000.npy", None, "img_emb/img_emb_0000.npy is missing; shard 0 is made again"),
        ("img_emb/img_emb_0002.npy", other[:-3], "has 141 bytes, not 144; shard 2 is made again"),
        ("img_emb/img_emb_0002.npy", other, "the content of img_emb/img_emb_0002.npy has changed; shard 2 is"),
        ("metadata/metadata_0001.parquet", b"", "metadata/metadata_0001.parquet has 0 bytes"),
        ("errors.jsonl", b"{}\n", "errors.jsonl was damaged, and is written again"),
    ):
        if content is None:
            store.rm_file(f"{address}/{name}")
        else:
            store.pipe_file(f"{address}/{name}", content)
        result = embed(pictures, address, shard_size=2, verify=True)
        assert [warning for warning in result.warnings if problem in warning], (problem, result.warnings)
        assert result.made == (name != "errors.jsonl")
        assert stored() == before
    assert embed(pictures, address, shard_size=2, verify=True).warnings == ()
    if "memory" in address:
        store.store.clear()


def test_what_is_compared(
    machine: Machine, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file once as long as it does not change; with `verify` always, which finds what changed without a trace."""
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", -(10**18))  # files are known although they are new
    folder = tmp_path / "out"
    embed(pictures, folder, shard_size=4)
    read: list[str] = []
    digest_stream = clipsim.files.digest_stream

    def count(file: Any) -> str:
        read.append(Path(file.name).name)
        return digest_stream(file)

    monkeypatch.setattr("clipsim.files.digest_stream", count)

    def search() -> list[str]:
        read.clear()
        with clipsim.open("clipsim-mini") as session:
            session.search(folder, ["red"])
        return [name for name in read if name.startswith(("img", "meta"))]

    files = ["img_emb_0000.npy", "img_emb_0001.npy", "metadata_0000.parquet", "metadata_0001.parquet"]
    assert sorted(search()) == files
    assert search() == []
    path = folder / "img_emb" / "img_emb_0001.npy"
    content = path.read_bytes()
    path.write_bytes(content)
    assert search() == ["img_emb_0001.npy"]
    assert search() == []
    monkeypatch.setattr("clipsim.files.FileStamp.of", lambda facts: clipsim.files.FileStamp(facts.st_size, 1, 1, 1, 1))
    assert len(search()) == 4
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert search() == []  # as a disk does it
    assert embed(pictures, folder, shard_size=4, cache=True).made == 0
    assert embed(pictures, folder, shard_size=4, cache=True, verify=True).made == 1
    assert path.read_bytes() == content


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 60_000, 0.45])
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_vectors_that_are_not_of_length_one(
    machine: Machine, tmp_path: Path, dtype: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their images are named and not ranked, whatever their digests say; the others' answers stay as they were."""
    vectors = random_vectors(30, 4)
    write_data_set(tmp_path / "right", vectors, dtype=dtype, shard_size=10)
    vectors[17] = value
    monkeypatch.setattr(ArrayFile, "check", lambda self: None)  # it would not be written
    write_data_set(tmp_path / "wrong", vectors, dtype=dtype, shard_size=10)
    with clipsim.open("clipsim-mini") as session:
        right = session.search(tmp_path / "right", ["red", "blue"], top=30)
        wrong = session.search(tmp_path / "wrong", ["red", "blue"], top=30)
        with pytest.raises(DatasetError, match=r"the vector of 17\.jpg is not of length 1"):
            session.duplicates(tmp_path / "wrong")

    assert (wrong.searched, len(wrong.errors), wrong.errors[0].image) == (29, 1, "17.jpg")
    for one, other in zip(right.queries, wrong.queries, strict=True):
        assert [match.image for match in other.results] == [
            match.image for match in one.results if match.image != "17.jpg"
        ]


def test_a_picture_without_a_vector(
    machine: Machine, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros have no direction: the picture is among the failures, and no row of the data set is."""

    def encode(self: FakeEncoder, pixels: np.ndarray[Any, Any]) -> Vectors:
        return np.eye(len(pixels), 4, -1, dtype=np.float32)

    monkeypatch.setattr(FakeEncoder, "encode_images", encode)
    result = embed(pictures[:3], tmp_path / "out")

    assert (result.images, result.errors) == (2, 1)
    assert json.loads((tmp_path / "out" / "errors.jsonl").read_text()) == {
        "path": str(pictures[0]), "error": "the model returns a vector of length zero for it",
        "class": "bad_image",
    }  # fmt: skip
    Dataset(tmp_path / "out").require_unit_rows()


def test_a_full_disk_at_the_end(
    machine: Machine, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says so, and the same again completes the data set."""
    opened = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "errors.jsonl":
            raise OSError(28, "No space left on device")
        return opened(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(DatasetError, match=r"cannot write errors\.jsonl: No space"):
            embed(pictures, tmp_path / "out")
    assert not read_dataset_info(tmp_path / "out").complete
    assert embed(pictures, tmp_path / "out").made == 0
    assert json.loads((tmp_path / "out" / "errors.jsonl").read_text())["path"] == str(pictures[-1])


def test_one_writer_at_a_time(machine: Machine, pictures: list[Path], tmp_path: Path) -> None:
    """An index that is being built keeps its files from an `embed` in the same folder, and the other way round."""
    pytest.importorskip("faiss")
    write_data_set(tmp_path / "out", random_vectors(1000, 4))
    refused: list[str] = []

    def try_all(*_: object) -> None:
        for write in (
            lambda: embed(pictures, tmp_path / "out"),
            lambda: run_index(IndexRequest(str(tmp_path / "out"), "exact")),
            lambda: remove_index(tmp_path / "out"),
        ):
            with pytest.raises(DatasetError) as caught:
                write()
            refused.append(str(caught.value))

    run_index(
        IndexRequest(str(tmp_path / "out"), "ivf"), lambda progress: try_all() if "recall" in progress.stage else None
    )
    assert refused == [f"{tmp_path}/out: another process is writing to it"] * 3
    with LocalFolder(str(tmp_path / "out")).lock():
        try_all()
    assert len(refused) == 6
    code = "import sys; from clipsim.tasks.index import remove_index; print(remove_index(sys.argv[1]))"
    with LocalFolder(str(tmp_path / "out")).lock():
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "out"], capture_output=True, text=True, timeout=60
        )
    assert "another process is writing to it" in done.stderr


def test_a_data_set_by_its_address(machine: Machine, pictures: list[Path], tmp_path: Path) -> None:
    """`file://` names the same folder for every command."""
    folder = tmp_path / "a b"
    address = f"file://{tmp_path}/a%20b"
    result = embed(pictures, address)
    assert result.folder == str(folder)
    assert embed(pictures, folder).made == 0
    with clipsim.open("clipsim-mini") as session:
        found = session.search(address, ["red"])
    assert found.searched == 6
    with pytest.raises(DatasetError, match="another process"), LocalFolder(str(folder)).lock():
        embed(pictures, address)


def test_a_record_that_is_lost_at_the_end(pictures: list[Path], tmp_path: Path) -> None:
    """The shard is not there, and the line says what to do."""
    write_data_set(tmp_path, random_vectors(3, 4), shard_size=1)
    (tmp_path / ".clipsim" / "shard_0001.json").unlink()

    with pytest.raises(DatasetError, match="the record of shard 1 is damaged"):
        finish(LocalFolder(str(tmp_path)), read_dataset_info(tmp_path))


def test_versions_are_recorded(
    machine: Machine, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that made the data set; adding with others is said, and kept beside them."""
    folder = tmp_path / "out"
    versions = {"clipsim": clipsim.__version__, "torch": "2.8.0+cpu", "pillow": "11.0.0", "open_clip": "3.0.0"}
    monkeypatch.setattr("clipsim.tasks.embed.installed_versions", lambda: versions)
    embed(pictures[:2], folder)
    assert read_dataset_info(folder).versions == (versions,)

    versions = {**versions, "torch": "2.8.0+cu128"}  # another build of the same
    assert not [warning for warning in embed(pictures[:3], folder).warnings if "made with" in warning]
    versions = {**versions, "torch": "2.9.0"}
    result = embed(pictures[:4], folder)

    assert f"{folder}: made with torch 2.8.0+cu128, and added to with 2.9.0" in result.warnings
    assert [made["torch"] for made in read_dataset_info(folder).versions] == ["2.8.0+cpu", "2.8.0+cu128", "2.9.0"]
    assert not [warning for warning in embed(pictures[:4], folder).warnings if "made with" in warning]
