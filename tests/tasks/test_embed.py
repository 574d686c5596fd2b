"""Tests of `api.embed`: many inputs into a folder of vectors, resumed, refused and overwritten."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from collections_of_pictures import Collection, make_collection
from PIL import Image

import clipsim
from clipsim.embedding.embedder import Embedder
from clipsim.errors import DatasetError, ImageError, MissingPackageError, NoInputError, UsageError
from clipsim.inputs.expand import find_sources
from clipsim.inputs.sources import PillowSource
from clipsim.options import RunOptions
from clipsim.store.dataset import Dataset
from clipsim.tasks.embed import EmbedRequest, run
from clipsim.tasks.progress import Progress
from clipsim.vectors.similarity import unit_rows

if TYPE_CHECKING:
    from conftest import Machine

pytest.importorskip("pyarrow")


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """Sixty pictures, six of them broken, and three tars, one torn."""
    return make_collection(tmp_path / "collection", 60, 6, 10)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names_in(dataset: Dataset) -> list[str]:
    """All names, in the order of the vectors."""
    return [name for shard in dataset.shards for name in dataset.names(shard)]


@pytest.mark.parametrize("shard_size", [7, 1000])
def test_every_good_picture_once_in_order(
    machine: Machine, collection: Collection, tmp_path: Path, shard_size: int
) -> None:
    """The vectors are the model's, the broken are named, and the shards follow from the inputs alone."""
    with clipsim.open(cache=False, batch_size=5) as session:
        result = session.embed(collection.inputs, tmp_path / "out", dtype="fp32", shard_size=shard_size)
        ranked = session.rank([name for name in collection.good if ".tar/" not in name], ["red", "blue"])
        texts = unit_rows(session.embedder.embed_texts(["red", "blue"]).features[:, 0])
    dataset = Dataset(tmp_path / "out")
    vectors = dataset.vectors(range(len(dataset)))
    inputs = len(collection.good) + len(collection.broken)

    assert names_in(dataset) == collection.good
    assert (result.sources, result.images, result.errors) == (inputs, len(collection.good), len(collection.broken))
    assert result.shards == result.made == -(-inputs // shard_size) == len(dataset.shards)
    errors = (tmp_path / "out" / "errors.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in errors] == collection.broken
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(texts @ vectors[: len(ranked.images)].T, ranked.similarity, atol=1e-6)


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """A list that grows by one for every call of a function."""
    module, _, function = name.rpartition(".")
    original, calls = getattr(import_module(module), function), list[object]()

    def count(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(name, count)
    return calls


def test_metadata(machine: Machine, tmp_path: Path) -> None:
    """Sizes are of the upright picture, digests of the file's bytes; vectors that are cached are measured too."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 24), "red").save(tmp_path / "turned.jpg", exif=exif)
    with clipsim.open() as session:
        session.rank([tmp_path / "turned.jpg"], ["red"])
        encoded = len(machine.encoders[0].image_batches)
        session.embed([tmp_path / "turned.jpg"], tmp_path / "out")
        assert len(machine.encoders[0].image_batches) == encoded
    (found,) = Dataset(tmp_path / "out").describe([0], ["width", "height", "sha256", "caption", "row"])

    assert (found["width"], found["height"]) == (24, 40)
    assert len(found["sha256"]) == 64
    assert (found["caption"], found["row"]) == (None, 0)


def test_embed_shares_vectors_with_search_and_rank(
    machine: Machine, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways, and with another `embed`: nothing is encoded twice, and of known files only the header is read."""
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", 0)
    Image.new("RGB", (30, 20), "white").save(colours / "late.png")
    with clipsim.open() as session:
        session.rank(colours / "late.png", ["red"])
    with clipsim.open() as session:
        first = session.embed(colours, tmp_path / "first", dtype="fp32")
    assert [sum(encoder.image_batches) for encoder in machine.encoders] == [1, 3]
    read = count_calls(monkeypatch, "clipsim.embedding.preparation.read_content")
    with clipsim.open() as session:
        second = session.embed(colours, tmp_path / "second", dtype="fp32")
        session.rank(colours, ["red"])
        session.search(colours, ["red"])

    assert (len(machine.encoders), read) == (2, [])  # not even opened again
    columns = ["image_path", "width", "height", "sha256"]
    described = [Dataset(tmp_path / name).describe(range(4), columns) for name in ("first", "second")]
    assert described[0] == described[1]
    assert (first.images, second.images) == (4, 4)
    one, other = (Dataset(tmp_path / name).image_vectors(0) for name in ("first", "second"))
    assert np.array_equal(one, other)


def test_no_cache_keeps_nothing(machine: Machine, colours: Path, tmp_path: Path, cache_folder: Path) -> None:
    """For collections whose vectors need no second place."""
    with clipsim.open(cache=False) as session:
        session.embed(colours, tmp_path / "out")

    assert not cache_folder.exists()


def test_captions(machine: Machine, collection: Collection, tmp_path: Path) -> None:
    """Each vector stands in the row of its picture; a row of zeros has none, and long captions are cut."""
    table = tmp_path / "t.csv"
    table.write_text(
        "image,caption\n"
        + "".join(
            f"{Path(name)},{caption}\n"
            for name, caption in zip(collection.good, ["red", "", "green and many other words"], strict=False)
        )
    )
    with clipsim.open(cache=False) as session:
        result = session.embed(table, tmp_path / "out", captions=True, dtype="fp32")
    texts = Dataset(tmp_path / "out").text_vectors(0)

    assert result.captions == 2
    np.testing.assert_allclose(texts[1], 0)
    assert texts[0].argmax() == 0
    assert texts[2].argmax() == 1


def test_half_precision(machine: Machine, collection: Collection, tmp_path: Path) -> None:
    """It is the default, and the same vectors rounded."""
    with clipsim.open(cache=False) as session:
        session.embed(collection.inputs, tmp_path / "half")
        session.embed(collection.inputs, tmp_path / "full", dtype="fp32")
    half, full = (np.load(tmp_path / name / "img_emb" / "img_emb_0000.npy") for name in ("half", "full"))

    assert half.dtype == np.float16
    assert (half == full.astype(np.float16)).all()


def test_the_same_again_does_nothing(machine: Machine, collection: Collection, tmp_path: Path) -> None:
    """No model is loaded for a data set that is complete, and no file is written."""
    with clipsim.open() as session:
        session.embed(collection.inputs, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    opened = len(machine.encoders)
    with clipsim.open(device="cpu") as session:
        result = session.embed(collection.inputs, tmp_path / "out")

    assert (result.made, result.shards, result.images) == (0, 1, len(collection.good))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert len(machine.encoders) == opened


@pytest.mark.parametrize("steps", [1, 4, 9])
def test_a_run_that_is_given_up(machine: Machine, collection: Collection, tmp_path: Path, steps: int) -> None:
    """Going on makes the same files, byte for byte, wherever it ended, and makes no shard twice."""
    sources = list(find_sources(collection.inputs))
    seen: list[Progress] = []

    def give_up(progress: Progress) -> None:
        seen.append(progress)
        if sum(step.stage == "embedding" for step in seen) > steps:
            raise KeyboardInterrupt

    with clipsim.open(cache=False, batch_size=5) as session:
        session.embed(collection.inputs, tmp_path / "whole", shard_size=16)
        with Embedder(run=RunOptions(cache=False, batch_size=5)) as embedder, pytest.raises(KeyboardInterrupt):
            run(embedder, EmbedRequest(sources, str(tmp_path / "out"), shard_size=16), give_up)
        there = len(list((tmp_path / "out").glob("metadata/*")))
        result = session.embed(sources, tmp_path / "out", shard_size=16)

    assert result.made == result.shards - there
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("options", "arguments", "difference"),
    [
        ({}, {"shard_size": 10}, "shard_size 10000 there, 10 now"),
        ({}, {"dtype": "fp32"}, "dtype fp16 there, fp32 now"),
        ({}, {"captions": True}, "without captions there, with now"),
        ({"precision": "fp16"}, {}, "precision fp32 there, fp16 now"),
        ({"exact": True}, {}, "without exact decoding there, with now"),
        ({"model": "RN50"}, {}, "model clipsim-mini/bundled there, RN50"),
    ],
)
def test_other_vectors_in_the_same_folder(
    machine: Machine,
    colours: Path,
    tmp_path: Path,
    options: dict[str, object],
    arguments: dict[str, object],
    difference: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What differs is said, and nothing is changed."""
    from clipsim.models.files import find_files
    from clipsim.models.names import find_model

    with clipsim.open(cache=False) as session:
        session.embed(colours, tmp_path / "out")
    before = contents(tmp_path / "out")
    files = find_files(find_model("clipsim-mini"))
    monkeypatch.setattr("clipsim.embedding.embedder.find_files", lambda _: files)

    with clipsim.open(cache=False, **options) as session, pytest.raises(DatasetError, match=difference) as caught:  # type: ignore[arg-type]
        session.embed(colours, tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert "overwrite=True" in str(caught.value)
    assert contents(tmp_path / "out") == before


def test_overwriting_leaves_nothing_of_what_was_there(machine: Machine, colours: Path, tmp_path: Path) -> None:
    """The files are those of a new data set."""
    with clipsim.open(cache=False) as session:
        session.embed(colours, tmp_path / "out", shard_size=1, captions=True)
        (colours / "cyan.png").write_bytes((colours / "red.png").read_bytes())
        session.embed(colours, tmp_path / "out", overwrite=True)
        session.embed(colours, tmp_path / "new")

    assert contents(tmp_path / "out") == contents(tmp_path / "new")


def test_relative_names_start_from_the_folder_they_were_embedded_in(
    machine: Machine, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data set holds that folder; elsewhere the same names are refused, and full ones are not."""
    monkeypatch.chdir(tmp_path)
    with clipsim.open() as session:
        session.embed("colours", tmp_path / "relative")
        session.embed(colours, tmp_path / "absolute")
        monkeypatch.chdir(colours)
        (colours / "colours").symlink_to(".")
        with pytest.raises(DatasetError, match=f"its relative names start from {tmp_path}; run the command there"):
            session.embed("colours", tmp_path / "relative")
        (colours / "colours").unlink()
        assert session.embed(colours, tmp_path / "absolute").made == 0
        found = session.search(tmp_path / "relative", "red", top=1)

    assert json.loads((tmp_path / "relative" / "clipsim.json").read_text())["base"] == str(tmp_path)
    assert found.queries[0].results[0].image == str(tmp_path / "colours" / "red.png")


def test_one_file_under_several_names(machine: Machine, colours: Path, tmp_path: Path) -> None:
    """Links, repeats and other spellings count once, with one notice; hard links and copies are pictures."""
    (colours / "a link.png").symlink_to("red.png")
    (colours / "hard.png").hardlink_to(colours / "red.png")
    (tmp_path / "linked").symlink_to(colours)
    with clipsim.open("clipsim-mini") as session:
        result = session.embed([colours, f"{colours}/../colours", tmp_path / "linked", colours], tmp_path / "vectors")

    assert [Path(name).name for name in Dataset(tmp_path / "vectors").names(0)] == [
        "a link.png", "blue.png", "green.png", "hard.png",
    ]  # fmt: skip
    assert result.warnings == ("16 names lead to a file that was named before; each file counts once",)


def test_a_folder_of_other_things(machine: Machine, colours: Path, tmp_path: Path) -> None:
    """It is neither filled nor emptied."""
    with clipsim.open(cache=False) as session:
        for overwrite in (False, True):
            with pytest.raises(DatasetError, match="not empty"):
                session.embed(colours, colours, overwrite=overwrite)

    assert sorted(path.name for path in colours.iterdir()) == ["blue.png", "green.png", "red.png"]


def test_the_first_failure_may_end_the_run(machine: Machine, collection: Collection, tmp_path: Path) -> None:
    """With on_error="fail"; what was complete before it stays."""
    with clipsim.open(cache=False, on_error="fail") as session, pytest.raises(ImageError, match=r"0003\.jpg"):
        session.embed(collection.inputs, tmp_path / "out", shard_size=3)

    assert len(Dataset(tmp_path / "out")) == 3


def test_nothing_to_embed(machine: Machine, tmp_path: Path) -> None:
    """No inputs, and none that can be used, are errors."""
    with clipsim.open(cache=False) as session:
        with pytest.raises(NoInputError, match="no images"):
            session.embed([], tmp_path / "out")
        assert not (tmp_path / "out").exists()
        with pytest.raises(NoInputError, match=r"errors\.jsonl"):
            session.embed([tmp_path / "none.jpg"], tmp_path / "out")
        with pytest.raises(UsageError, match="in memory"):
            session.embed([PillowSource("image 1", Image.new("RGB", (2, 2)))], tmp_path / "new")
        with pytest.raises(UsageError, match="not int"):
            session.embed([7], tmp_path / "new")  # type: ignore[list-item]


def test_names_are_chosen(machine: Machine, collection: Collection, tmp_path: Path) -> None:
    """Patterns apply to folders and tars alike."""
    with clipsim.open(cache=False) as session:
        session.embed(collection.inputs, tmp_path / "out", include=["*.jpg"], exclude=["part1.tar"])

    assert names_in(Dataset(tmp_path / "out")) == [
        name for name in collection.good if name.endswith(".jpg") and "part1" not in name
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": ""}, "output: empty; name a folder"),
        ({"dtype": "fp8"}, "dtype='fp8': not 'fp16' or 'fp32'"),
        ({"shard_size": 0}, "shard_size=0: not a whole number"),
        ({"runner": "slurm"}, "runner='slurm': not 'local' or 'ray'"),
        ({"actors": 2}, "actors=2: goes with Ray only; give runner='ray'"),
    ],
)
def test_what_cannot_be_asked_for(arguments: dict[str, object], message: str) -> None:
    """It is refused before a model is looked for."""
    with pytest.raises(UsageError, match=message):
        EmbedRequest(**{"sources": (), "output": "x", **arguments})  # type: ignore[arg-type]


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(MissingPackageError, match=r"clipsim\[embed\]"):
        EmbedRequest((), "x")


def test_an_object_store(machine: Machine, collection: Collection, tmp_path: Path) -> None:
    """A folder in a store gets the same objects as one here gets files, and resumes."""
    fsspec = pytest.importorskip("fsspec")
    with clipsim.open(cache=False) as session:
        session.embed(collection.inputs, tmp_path / "out", shard_size=20)
        session.embed(collection.inputs, "memory://made/out", shard_size=20)
        store = fsspec.filesystem("memory")
        found = {name.removeprefix("/made/out/"): store.cat_file(name) for name in store.find("/made/out")}
        assert found == contents(tmp_path / "out")
        store.rm_file("/made/out/metadata/metadata_0001.parquet")
        assert session.embed(collection.inputs, "memory://made/out", shard_size=20).made == 1
    store.store.clear()
