"""Tests of `tasks.embed_shards`: a data set whose images change, come and go, and what is computed anew then."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import clipsim
from clipsim.errors import DatasetError, NoInputError
from clipsim.store.dataset import Dataset
from clipsim.store.folders import LocalFolder
from clipsim.store.layout import read_dataset_info

if TYPE_CHECKING:
    from conftest import Machine

parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of five images, the last one broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "bdfh":
        paint(folder / f"{name}.png", ord(name))
    (folder / "j.png").write_bytes(b"x")
    return folder


def paint(path: Path, shade: int) -> None:
    """An image of one colour."""
    Image.new("RGB", (9, 9), (2 * shade, 255 - shade, 40)).save(path)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def embed(where: object, folder: Path, **options: Any) -> clipsim.EmbedResult:
    """`session.embed` without the cache, in shards of two."""
    with clipsim.open(cache=False) as session:
        return session.embed(where, folder, shard_size=2, **options)  # type: ignore[arg-type]


def encoded(machine: Machine) -> int:
    """How many images were encoded since the last call."""
    count = sum(sum(encoder.image_batches) for encoder in machine.encoders)
    for encoder in machine.encoders:
        encoder.image_batches.clear()
    return count


def shards(folder: Path) -> list[list[str]]:
    """The names of the images of each shard."""
    dataset = Dataset(folder)
    return [[Path(name).stem for name in dataset.names(shard)] for shard in dataset.shards]


def vectors(folder: Path) -> dict[str, list[float]]:
    """The vector of each image, by its name."""
    dataset = Dataset(folder)
    names = [Path(name).name for shard in dataset.shards for name in dataset.names(shard)]
    return dict(zip(names, dataset.vectors(range(len(names))).tolist(), strict=True))


def test_new_images_make_further_shards(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """Wherever their names are in the order; only they are computed, and said to be new."""
    embed(photos, tmp_path / "out")
    before, _ = contents(tmp_path / "out"), encoded(machine)
    for name in "acz":
        paint(photos / f"{name}.png", ord(name))
    result = embed(photos, tmp_path / "out")

    assert shards(tmp_path / "out") == [["b", "d"], ["f", "h"], [], ["a", "c"], ["z"]]
    assert (encoded(machine), result.made, result.images, result.sources) == (3, 2, 7, 8)
    assert result.warnings[-1] == "inputs that differ from before: 3 new"
    kept = {name: content for name, content in before.items() if "emb" in name or "metadata" in name}
    assert kept.items() <= contents(tmp_path / "out").items()
    embed(photos, tmp_path / "whole")
    assert vectors(tmp_path / "out") == vectors(tmp_path / "whole")
    assert embed(photos, tmp_path / "out").made == 0


def test_an_image_that_has_changed_is_replaced(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """Its shard is made again, whose other rows are taken over; one whose file was only touched is not computed."""
    embed(photos, tmp_path / "out")
    encoded(machine)
    old = vectors(tmp_path / "out")
    paint(photos / "d.png", 7)
    os.utime(photos / "f.png", (1, 1))
    result = embed(photos, tmp_path / "out")

    assert (encoded(machine), result.made) == (1, 2)
    assert result.warnings[-1] == "inputs that differ from before: 2 changed"
    embed(photos, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert vectors(tmp_path / "out")["d.png"] != old["d.png"]


def test_an_image_that_is_gone_is_left_out(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """Nothing is computed, and its row is in none of the files."""
    embed(photos, tmp_path / "out")
    encoded(machine)
    (photos / "b.png").unlink()
    result = embed(photos, tmp_path / "out")

    assert shards(tmp_path / "out") == [["d"], ["f", "h"], []]
    assert encoded(machine) == 0
    assert result.warnings[-1] == "inputs that differ from before: 1 no longer there and left out"
    table = parquet.read_table(tmp_path / "out" / "metadata" / "metadata_0000.parquet")
    assert table["row"].to_pylist() == [0]
    assert np.load(tmp_path / "out" / "img_emb" / "img_emb_0000.npy").shape == (1, 4)


def test_images_that_are_not_named_stay(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """As long as they exist, or their whole folder is gone, as a disk that is not mounted is."""
    other = tmp_path / "other"
    other.mkdir()
    paint(other / "x.png", 3)
    embed(photos, tmp_path / "out")
    result = embed(other, tmp_path / "out")
    assert shards(tmp_path / "out") == [["b", "d"], ["f", "h"], [], ["x"]]
    assert "5 inputs of earlier runs are not named now and stay" in result.warnings[-1]
    shutil.move(photos, tmp_path / "unmounted")
    embed(other, tmp_path / "out")
    assert shards(tmp_path / "out") == [["b", "d"], ["f", "h"], [], ["x"]]
    embed(other, tmp_path / "out", overwrite=True)
    assert shards(tmp_path / "out") == [["x"]]


def test_an_image_that_can_be_used_now(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """An input that failed is tried again when its file has changed."""
    embed(photos, tmp_path / "out")
    encoded(machine)
    stamp = (photos / "j.png").stat()
    assert embed(photos, tmp_path / "out").made == 0
    with (photos / "j.png").open("r+b") as file:  # of the same size and times, as for a decoder that is new
        file.write(b"y")
    os.utime(photos / "j.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert embed(photos, tmp_path / "out").made == 0
    paint(photos / "j.png", 9)
    result = embed(photos, tmp_path / "out")

    assert (encoded(machine), result.made, result.images, result.errors) == (1, 1, 5, 0)
    assert (tmp_path / "out" / "errors.jsonl").read_text() == ""


def test_a_decoder_that_is_new(machine: Machine, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has not changed is tried again when every one that failed is to be."""
    with monkeypatch.context() as patch:
        patch.setenv("CLIPSIM_MAX_PIXELS", "50")
        Image.new("RGB", (5, 5), "red").save(photos / "a.png")
        embed(photos, tmp_path / "out")
    encoded(machine)
    assert embed(photos, tmp_path / "out").made == 0
    result = embed(photos, tmp_path / "out", retry_failed="all")

    assert (encoded(machine), result.images, result.errors) == (4, 5, 1)
    embed(photos, tmp_path / "whole")
    assert vectors(tmp_path / "out") == vectors(tmp_path / "whole")


def test_a_caption_that_has_changed(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """Its vector alone is computed."""
    for name in "bdf":
        (photos / f"{name}.txt").write_text("red")
    embed(photos, tmp_path / "out", captions=True)
    encoded(machine)
    (photos / "d.txt").write_text("blue")
    (photos / "f.txt").unlink()
    result = embed(photos, tmp_path / "out", captions=True)

    assert (encoded(machine), result.captions) == (0, 2)
    embed(photos, tmp_path / "whole", captions=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_the_same_images_under_other_names(
    machine: Machine, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder counts as the same however its path is written."""
    monkeypatch.chdir(tmp_path)
    embed("photos", tmp_path / "out")
    before = contents(tmp_path / "out")
    for name in ("./photos", photos, "photos/../photos"):
        assert embed(name, tmp_path / "out").made == 0
    assert contents(tmp_path / "out") == before


def test_rows_that_are_damaged_are_not_taken_over(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """A shard whose file has changed is computed anew."""
    embed(photos, tmp_path / "out")
    encoded(machine)
    whole = contents(tmp_path / "out")
    path = tmp_path / "out" / "img_emb" / "img_emb_0000.npy"
    path.write_bytes(path.read_bytes()[:-2] + b"ab")
    embed(photos, tmp_path / "out", verify=True)

    assert encoded(machine) == 2
    assert contents(tmp_path / "out") == whole


def test_overwriting_takes_nothing_over(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """Every image is computed."""
    embed(photos, tmp_path / "out")
    encoded(machine)
    embed(photos, tmp_path / "out", overwrite=True)

    assert encoded(machine) == 4


@pytest.mark.slow
def test_growing_that_is_killed_at_any_moment(
    machine: Machine, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors can be read at each moment, and the same command completes what it left."""
    folder = tmp_path / "out"
    embed(photos, folder)
    paint(photos / "d.png", 7)
    (photos / "f.png").unlink()
    for name in "acz":
        paint(photos / f"{name}.png", ord(name))
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
        embed(photos, folder)
    done = contents(folder)

    assert len(moments) > 30
    for moment in moments:
        assert read_dataset_info(moment).model.name == "clipsim-mini"
        embed(photos, moment)
        assert contents(moment) == done


def write_table(path: Path, *rows: dict[str, object]) -> Path:
    """A table of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_columns_of_tables_are_kept(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """Each with a type that all its values have, in every shard; what has no such type is text, and facts keep all."""
    table = write_table(
        photos / "t.jsonl",
        {"image": "b.png", "label": "cat", "id": 1, "score": 1, "mixed": 7, "width": 3, "big": 2**70},
        {"image": "d.png", "label": None, "id": 2, "score": 0.5, "mixed": "x", "tags": ["a", "b"]},
        {"image": "f.png", "kept": True, "long": "y" * 20_000},
    )
    embed(table, tmp_path / "out")
    read = parquet.read_table(tmp_path / "out" / "metadata").to_pydict()

    assert read["label"] == ["cat", None, None]
    assert read["id"] == [1, 2, None]
    assert read["score"] == [1.0, 0.5, None]
    assert read["mixed"] == ["7", "x", None]
    assert read["tags"] == [None, '["a", "b"]', None]
    assert read["kept"] == [None, None, True]
    assert read["big"] == [str(2**70), None, None]
    assert read["width"] == [9, 9, 9]
    assert "long" not in read
    assert json.loads(read["facts"][0])["width"] == 3


def test_columns_that_come_later(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """Shards that were made before keep theirs; a value of another type than before is left to the facts."""
    embed(write_table(photos / "a.jsonl", {"image": "b.png", "id": 1}), tmp_path / "out")
    embed(write_table(photos / "b.jsonl", {"image": "d.png", "id": "x", "new": "y"}), tmp_path / "out")
    tables = [parquet.read_table(tmp_path / "out" / "metadata" / f"metadata_000{shard}.parquet") for shard in range(2)]

    assert [table["id"].to_pylist() for table in tables] == [[1], [None]]
    assert tables[1]["new"].to_pylist() == ["y"]
    assert json.loads(tables[1]["facts"][0].as_py()) == {"id": "x", "new": "y"}
    assert read_dataset_info(tmp_path / "out").columns == (("id", "int64"), ("new", "string"))


def test_columns_are_chosen(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """The column of images and that of captions, whatever their names; one that is not there is named."""
    table = write_table(photos / "t.jsonl", {"pic": "b.png", "about": "red", "caption": "blue"})
    result = embed(table, tmp_path / "out", captions=True, image_column="pic", caption_column="about")
    read = parquet.read_table(tmp_path / "out" / "metadata").to_pydict()

    assert result.captions == 1
    assert (read["caption"], read["facts"]) == (["red"], ['{"caption": "blue"}'])
    for column in ("image_column", "caption_column"):
        with pytest.raises(NoInputError):
            embed(table, tmp_path / column, **{"image_column": "pic", column: "x"})
        errors = (tmp_path / column / "errors.jsonl").read_text()
        assert "no column 'x'; its columns are: 'pic', 'about', 'caption'" in json.loads(errors)["error"]


def test_tables_with_vectors(machine: Machine, photos: Path, tmp_path: Path) -> None:
    """What a database reads in one table is what NumPy reads; a data set without it is another one."""
    embed(photos, tmp_path / "out", vectors="parquet", dtype="fp32")
    table = parquet.read_table(tmp_path / "out" / "vectors")
    arrays = [np.load(path) for path in sorted((tmp_path / "out" / "img_emb").iterdir())]

    assert (np.array(table["vector"].to_pylist(), np.float32) == np.concatenate(arrays)).all()
    assert table.drop(["vector"]).equals(parquet.read_table(tmp_path / "out" / "metadata"))
    assert table.schema.field("vector").type.list_size == 4
    with pytest.raises(DatasetError, match="with a table of vectors there, without now"):
        embed(photos, tmp_path / "out", dtype="fp32")
    paint(photos / "d.png", 7)
    embed(photos, tmp_path / "out", vectors="parquet", dtype="fp32")
    embed(photos, tmp_path / "whole", vectors="parquet", dtype="fp32")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("seed", range(6))
def test_random_histories(machine: Machine, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images come, change, break and go, and runs are killed anywhere: at the end the data set is that of one run."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    rng = random.Random(seed)
    folder, out, captions = tmp_path / "photos", tmp_path / "out", seed % 2 == 0
    (folder / "sub").mkdir(parents=True)
    paths = [folder / ("sub" if number % 3 == 0 else "") / f"{number}.png" for number in range(14)]
    for path in paths[:5]:
        paint(path, rng.randrange(120))
    for _ in range(6):
        for path in paths:
            what = rng.random()
            if what < 0.15:
                paint(path, rng.randrange(120))
            elif what < 0.25:
                path.unlink(missing_ok=True)
            elif what < 0.32:
                path.write_bytes(b"broken")
            elif what < 0.36 and path.exists():
                os.utime(path, (rng.randrange(10**9),) * 2)
            if rng.random() < 0.1:
                path.with_suffix(".txt").write_text(rng.choice(["red", "green", "blue"]))
        with monkeypatch.context() as patch, suppress(Killed, NoInputError):
            kill_after(rng.randrange(1, 90), patch)
            embed(folder, out, captions=captions)
        if (out / "clipsim.json").exists():
            assert len(Dataset(out)) <= len(paths)
    embed(folder, out, captions=captions)
    embed(folder, tmp_path / "whole", captions=captions)

    assert rows(out) == rows(tmp_path / "whole")
    assert failed(out) == failed(tmp_path / "whole")


def kill_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """End the run after so many changes to its folder."""
    left = [steps]

    def counted(method: Callable[..., None]) -> Callable[..., None]:
        def run(self: LocalFolder, *arguments: Any) -> None:
            left[0] -= 1
            if left[0] <= 0:
                raise Killed
            method(self, *arguments)

        return run

    for name in ("_write", "_publish", "_remove"):
        patch.setattr(LocalFolder, name, counted(getattr(LocalFolder, name)))


def rows(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that is known of each image, by its name, which occurs once."""
    dataset = Dataset(folder)
    columns = ["image_path", "caption", "width", "height", "sha256", "file_size", "modified_ns"]
    found: dict[str, tuple[object, ...]] = {}
    for shard in dataset.shards:
        vectors = dataset.image_vectors(shard).tolist()
        for vector, *values in zip(vectors, *dataset.columns(shard, columns).values(), strict=True):
            name = str(values[0])
            assert name not in found
            found[name] = (vector, *values)
    return found


def failed(folder: Path) -> set[str]:
    """The inputs that could not be used."""
    return {json.loads(line)["path"] for line in (folder / "errors.jsonl").read_text().splitlines()}


@pytest.mark.parametrize("with_paths", [True, False])
def test_image_files_in_a_table(machine: Machine, photos: Path, tmp_path: Path, with_paths: bool) -> None:
    """A column of bytes, or of bytes and a path, whose bytes may be missing."""
    pyarrow = pytest.importorskip("pyarrow")
    files: list[Any] = [(photos / f"{name}.png").read_bytes() for name in "bdfj"]
    if with_paths:
        files = [{"bytes": content, "path": "x.png"} for content in files]
        files.append({"bytes": None, "path": "h.png"})
    table = pyarrow.table({"image": files, "label": list("vwxyz")[: len(files)]})
    parquet.write_table(table, photos / "t.parquet", row_group_size=2)
    result = embed(photos / "t.parquet", tmp_path / "out")
    read = parquet.read_table(tmp_path / "out" / "metadata").to_pydict()

    assert (result.images, result.errors) == (3 + with_paths, 1)
    assert [name.rpartition("/")[2] for name in read["image_path"]][:3] == [f"t.parquet:{row}" for row in (1, 2, 3)]
    assert read["label"][:3] == ["v", "w", "x"]
    embed([photos / f"{name}.png" for name in "bdfh"], tmp_path / "files")
    expected = list(vectors(tmp_path / "files").values())
    assert list(vectors(tmp_path / "out").values()) == expected[: 3 + with_paths]
    with clipsim.open(cache=False) as session:
        assert len(session.rank(photos / "t.parquet", ["red", "blue"]).images) == 3 + with_paths
