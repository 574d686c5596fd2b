"""Tests of `models.shards`: weights in several files, and the indexes that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clipsim.errors import WeightsError
from clipsim.models.catalogue import BUNDLED_PATH, CONFIG_FILE
from clipsim.models.configs import MAX_CONFIG_BYTES
from clipsim.models.files import explain_model, find_files
from clipsim.models.identity import identify_model
from clipsim.models.names import find_model
from clipsim.models.shards import find_parts, read_index, with_indexes

INDEX = "model.safetensors.index.json"


def write_index(folder: Path, weight_map: object) -> Path:
    """An index with these names."""
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return folder / INDEX


def test_the_parts_of_an_index_with_their_tensors(tmp_path: Path) -> None:
    """In the order of their names, whatever the order of the tensors."""
    index = write_index(tmp_path, {"c": "b.safetensors", "a": "a.safetensors", "b": "b.safetensors"})

    assert read_index(index) == {"a.safetensors": ("a",), "b.safetensors": ("c", "b")}


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/x.bin", "a/b.safetensors", "..", "", "a\\b.bin", "a.safetensors\0.bin", "x.py"]
)
def test_a_file_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Whether it is there or not."""
    with pytest.raises(WeightsError, match="not a file of weights in its folder") as caught:
        read_index(write_index(tmp_path, {"a": name}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weight_map", [None, {}, [], "x", {"a": 3}, {"a": None}])
def test_another_json_is_refused(tmp_path: Path, weight_map: object) -> None:
    """One line names the file."""
    with pytest.raises(WeightsError, match=INDEX):
        read_index(write_index(tmp_path, weight_map))


def test_a_tensor_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    """JSON readers would take the second in silence."""
    (tmp_path / INDEX).write_text('{"weight_map": {"a": "a.bin", "b": "b.bin", "a": "b.bin"}}')
    with pytest.raises(WeightsError, match="'a' is in it twice"):
        read_index(tmp_path / INDEX)


def test_an_index_of_a_million_names_is_refused_by_its_size(tmp_path: Path) -> None:
    """Without being parsed."""
    names = {f"visual.transformer.resblocks.{number}": "model-00001-of-00002.safetensors" for number in range(250_000)}
    index = write_index(tmp_path, names)
    assert index.stat().st_size > MAX_CONFIG_BYTES
    with pytest.raises(WeightsError, match="exceeds the limit"):
        read_index(index)


def test_missing_parts_are_counted_and_named(tmp_path: Path) -> None:
    """One line, before anything is read; a link that leads to itself is missing too."""
    index = write_index(tmp_path, {"a": "a.safetensors", "b": "b.safetensors", "c": "c.safetensors"})
    (tmp_path / "a.safetensors").write_bytes(b"tensors")
    (tmp_path / "c.safetensors").symlink_to("c.safetensors")
    with pytest.raises(WeightsError, match=r"2 of its 3 files are missing, b\.safetensors for one"):
        find_parts(index)
    assert find_parts(tmp_path / "a.safetensors") == ()


def test_a_single_file_goes_before_the_parts_and_a_notice_says_so(tmp_path: Path) -> None:
    """As in transformers; the digest of a model in parts depends on each of them."""
    (tmp_path / CONFIG_FILE).write_text((BUNDLED_PATH / CONFIG_FILE).read_text())
    write_index(tmp_path, {"a": "a.safetensors", "b": "b.safetensors"})
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())
    spec = find_model(str(tmp_path))
    files = find_files(spec)
    before = identify_model(spec, files)

    assert files.weights.name == INDEX
    assert [path.name for path in files.parts] == ["a.safetensors", "b.safetensors"]
    assert explain_model(spec, files) == ()
    (tmp_path / "b.safetensors").write_bytes(b"other")
    assert identify_model(spec, find_files(spec)) != before

    (tmp_path / "model.safetensors").write_bytes(b"all")
    files = find_files(spec)
    (notice,) = explain_model(spec, files)
    assert files.weights.name == "model.safetensors"
    assert files.parts == ()
    assert INDEX in notice


def test_the_order_is_that_of_transformers() -> None:
    """A file, its index, then the next."""
    assert with_indexes(("model.safetensors", "pytorch_model.bin", "model.pth")) == (
        "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
        "model.pth",
    )  # fmt: skip
