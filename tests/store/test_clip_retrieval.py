"""Tests of `store.clip_retrieval`: folders of other tools are searched as those of `clipsim embed` are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Machine

import clipsim
from clipsim.cli.app import command_line
from clipsim.store.clip_retrieval import ClipRetrievalFolder, is_clip_retrieval

pyarrow = pytest.importorskip("pyarrow")
COLOURS = ("red", "green", "blue")


def write_part(folder: Path, number: str, vectors: Any, **columns: list[Any]) -> None:
    """A part as clip-retrieval's writer names and stores it."""
    import pyarrow.parquet as parquet

    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    np.save(folder / "img_emb" / f"img_emb_{number}.npy", vectors)
    parquet.write_table(pyarrow.table(columns), folder / "metadata" / f"metadata_{number}.parquet")


@pytest.fixture
def vectors(machine: Machine, colours: Path) -> Any:
    """Those of red, green and blue."""
    with clipsim.open("clipsim-mini") as session:
        return session.encode_images([colours / f"{name}.png" for name in COLOURS]).astype(np.float16)


@pytest.fixture
def folder(vectors: Any, tmp_path: Path) -> Path:
    """Eleven parts of three images, whose names sort otherwise than their numbers do, and one of its columns alone."""
    for number in range(11):
        paths = [f"{number}/{colour}.png" for colour in COLOURS]
        write_part(tmp_path / "laion", str(number), vectors, image_path=paths, caption=["a"] * 3)
    return tmp_path / "laion"


def test_a_folder_is_searched(folder: Path) -> None:
    """By its vectors, with the names in its metadata; the rows are in the order of the parts' numbers."""
    with clipsim.open("clipsim-mini") as session:
        result = session.search(folder, ["red", "blue"], top=11)

    assert result.searched == 33
    assert [match.image for match in result.queries[0].results] == [f"{number}/red.png" for number in range(11)]
    assert [match.index for match in result.queries[1].results] == list(range(2, 33, 3))
    assert all(match.similarity == pytest.approx(1, abs=1e-2) for match in result.queries[0].results)


def test_the_model_is_assumed_and_said(folder: Path) -> None:
    """In Python and in the command line: nothing in the folder says it."""
    with pytest.warns(
        clipsim.ClipsimWarning, match="does not say which model its vectors are from; they are taken for"
    ):
        result = clipsim.search(folder, "red", model="clipsim-mini")
    assert any("taken for those of clipsim-mini" in warning for warning in result.warnings)


def test_the_command_line_searches_it(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """And says on standard error which model is assumed."""
    command_line()(["search", str(folder), "red", "--top", "1", "-l", "-m", "clipsim-mini"], standalone_mode=False)
    printed = capfd.readouterr()
    assert printed.out == "0/red.png\n"
    assert "taken for those of clipsim-mini" in printed.err


def test_vectors_of_another_length(folder: Path, tmp_path: Path) -> None:
    """Cannot be the model's; nor can parts of several lengths belong together."""
    write_part(tmp_path / "wide", "0", np.ones((1, 7), np.float32), image_path=["a.png"])
    with pytest.raises(clipsim.DatasetError, match="its vectors have 7 numbers, and those of clipsim-mini 4; give the"):
        clipsim.search(tmp_path / "wide", "red", model="clipsim-mini")
    write_part(folder, "11", np.ones((1, 7), np.float32), image_path=["a.png"])
    with pytest.raises(clipsim.DatasetError, match=r"vectors of several lengths: \[4, 7\]"):
        ClipRetrievalFolder(folder)


def test_parts_that_cannot_be_used(vectors: Any, tmp_path: Path) -> None:
    """A damaged array, metadata of other rows, of other columns, or none."""
    write_part(tmp_path / "a", "00", vectors, image_path=["a.png"])
    write_part(tmp_path / "b", "00", vectors, caption=["a"] * 3)
    write_part(tmp_path / "c", "00", vectors, image_path=["a"] * 3)
    (tmp_path / "c" / "metadata" / "metadata_00.parquet").unlink()
    for name, message in (("a", "1 rows for 3 vectors"), ("b", "no column image_path or url"), ("c", "cannot read it")):
        with pytest.raises(clipsim.DatasetError, match=rf"metadata_00\.parquet: {message}"):
            clipsim.search(tmp_path / name, "red", model="clipsim-mini")
    for wrong in (vectors.astype(np.int8), vectors[0]):
        write_part(tmp_path / "d", "0", wrong, image_path=["a"] * 3)
        with pytest.raises(clipsim.DatasetError, match=r"img_emb_0\.npy: not an array of \(n, d\) float16 or float32"):
            ClipRetrievalFolder(tmp_path / "d")
    (tmp_path / "d" / "img_emb" / "img_emb_0.npy").write_bytes(b"no array")
    with pytest.raises(clipsim.DatasetError, match="not an array of vectors"):
        ClipRetrievalFolder(tmp_path / "d")


def test_a_vector_that_is_not_of_length_1_is_left_out(vectors: Any, tmp_path: Path) -> None:
    """And named among the errors."""
    vectors[1] *= 3
    write_part(tmp_path / "x", "0", vectors, url=["http://a/r", "http://a/g", "http://a/b"])
    result = clipsim.search(tmp_path / "x", "red", model="clipsim-mini")

    assert [match.image for match in result.queries[0].results] == ["http://a/r", "http://a/b"]
    assert [(failure.image, failure.index) for failure in result.errors] == [("http://a/g", 1)]
    assert "not of length 1; divide each vector by its length" in result.errors[0].error


def test_other_folders_are_no_such_folder(folder: Path, colours: Path) -> None:
    """Nor is one that `clipsim embed` wrote, nor a folder that is missing."""
    assert is_clip_retrieval(folder)
    assert not is_clip_retrieval(colours)
    assert not is_clip_retrieval(folder / "missing")
    assert not is_clip_retrieval("\0")
    (folder / "clipsim.json").write_text("{}")
    assert not is_clip_retrieval(folder)


def test_other_tasks_take_it_too(folder: Path) -> None:
    """Groups of its images, and what is alike among them."""
    with clipsim.open("clipsim-mini") as session:
        assert session.overview(folder, texts=list(COLOURS)).images == 33
        assert session.duplicates(folder, pixels=False).compared == 33
