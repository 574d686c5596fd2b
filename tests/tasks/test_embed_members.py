"""Tests of `api.embed` in a folder that holds a data set: images of tars and tables, links, and values of columns."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import clipsim
from clipsim.store.dataset import Dataset

if TYPE_CHECKING:
    from conftest import Machine

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def image(shade: int) -> bytes:
    """The file of an image of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (9, 9), (shade, 255 - shade, 40)).save(file, "BMP")
    return file.getvalue()


def write_tar(path: Path, shades: list[int]) -> None:
    """A tar with an image of each shade, named by it."""
    with tarfile.open(path, "w") as tar:
        for shade in shades:
            member = tarfile.TarInfo(f"{shade}.bmp")
            member.size = len(image(shade))
            tar.addfile(member, io.BytesIO(image(shade)))


def embed(where: object, folder: Path, **options: Any) -> clipsim.EmbedResult:
    """`session.embed` without the cache, in shards of three."""
    with clipsim.open(cache=False) as session:
        return session.embed(where, folder, shard_size=3, **options)  # type: ignore[arg-type]


def vectors(folder: Path) -> dict[str, list[float]]:
    """The vector of each image, by its name without its folder."""
    dataset = Dataset(folder)
    names = [Path(name).name for shard in dataset.shards for name in dataset.names(shard)]
    return dict(zip(names, dataset.vectors(range(len(names))).tolist(), strict=True))


def columns(folder: Path) -> list[dict[str, Any]]:
    """The metadata of all images."""
    rows: list[dict[str, Any]] = parquet.read_table(folder / "metadata").to_pylist()
    return rows


def test_a_tar_that_loses_images(machine: Machine, tmp_path: Path) -> None:
    """What it no longer holds is left out; what was not chosen this time stays, with the vector of its own image."""
    tar, out = tmp_path / "a.tar", tmp_path / "out"
    write_tar(tar, [10, 20, 30, 40, 50])
    embed(tar, out)
    write_tar(tar, [50, 40, 20, 60])
    result = embed(tar, out, exclude=["20.bmp"])
    embed(tar, tmp_path / "whole")

    assert vectors(out) == vectors(tmp_path / "whole")
    assert result.warnings[-2] == "inputs that differ from before: 1 new, 2 changed, 2 no longer there and left out"
    assert result.warnings[-1].startswith("1 inputs of earlier runs are not named now and stay")
    assert embed(tar, out).made == 0


def test_a_tar_that_is_torn_loses_nothing(machine: Machine, tmp_path: Path) -> None:
    """It may be whole again later."""
    tar, out = tmp_path / "a.tar", tmp_path / "out"
    write_tar(tar, [10, 20, 30, 40])
    embed(tar, out)
    before = vectors(out)
    os.truncate(tar, 3 * 512)
    embed(tar, out)
    assert vectors(out) == before


def test_a_table_of_images_that_loses_rows(machine: Machine, tmp_path: Path) -> None:
    """The rows that it no longer has are left out, also where another source is named."""
    table, out = tmp_path / "p.parquet", tmp_path / "out"

    def write(shades: list[int]) -> None:
        parquet.write_table(pyarrow.table({"image": [image(shade) for shade in shades]}), table)

    write([10, 20, 30, 40, 50])
    embed(table, out)
    write([10, 25])
    embed(table, out)
    embed(table, tmp_path / "whole")
    assert vectors(out) == vectors(tmp_path / "whole")

    write([10])
    write_tar(tmp_path / "b.tar", [70])
    embed(tmp_path / "b.tar", out)
    assert list(vectors(out)) == ["p.parquet:1", "70.bmp"]


def test_a_link_whose_file_is_named_later(machine: Machine, tmp_path: Path) -> None:
    """Both names are of one file, which counts once."""
    (tmp_path / "links").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.bmp").write_bytes(image(10))
    (tmp_path / "links" / "b.bmp").symlink_to(tmp_path / "files" / "a.bmp")
    embed(tmp_path / "links", tmp_path / "out")
    embed([tmp_path / "files", tmp_path / "links"], tmp_path / "out")
    assert list(vectors(tmp_path / "out")) == ["a.bmp"]
    assert embed([tmp_path / "files", tmp_path / "links"], tmp_path / "out").made == 0


def test_values_that_a_column_cannot_hold(machine: Machine, tmp_path: Path) -> None:
    """Half a character, and numbers that are too large for the column of an earlier run, end no run."""
    for name in "abc":
        (tmp_path / f"{name}.bmp").write_bytes(image(ord(name)))
    table, out = tmp_path / "t.jsonl", tmp_path / "out"
    first: list[dict[str, Any]] = [{"image": "a.bmp", "label": "cut \ud83d", "n": 1, "x": 0.5, "half \ud83d": 1}]
    table.write_text(json.dumps(first[0]) + "\n")
    embed(table, out, vectors="parquet")
    later = [*first, {"image": "b.bmp", "n": 2**70, "x": 10**400}, {"image": "c.bmp", "n": 2, "x": 3}]
    table.write_text("".join(json.dumps(row) + "\n" for row in later))
    embed(table, out, vectors="parquet")

    rows = columns(out)
    assert [(row["label"], row["n"], row["x"]) for row in rows] == [
        ("cut ?", 1, 0.5), (None, None, None), (None, 2, 3.0),
    ]  # fmt: skip
    assert json.loads(rows[0]["facts"]) == {"label": "cut \ud83d", "n": 1, "x": 0.5, "half \ud83d": 1}
    assert json.loads(rows[1]["facts"]) == {"n": 2**70, "x": 10**400}
