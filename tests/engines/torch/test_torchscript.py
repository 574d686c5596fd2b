"""Tests of `engines.torch.torchscript`: the tensors of an archive, whose code is never run."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from clipsim.engines.torch.checkpoints import is_torchscript, read_checkpoint, read_torchscript
from clipsim.errors import WeightsError


def write_archive(path: Path, module: nn.Module) -> None:
    """Save a scripted module, as OpenAI's checkpoints are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scripting is deprecated
        script: Any = torch.jit.script
        script(module).save(str(path))


def test_nested_modules_in_every_dtype(tmp_path: Path) -> None:
    """Names, shapes, strides and dtypes are those of the module's state dict."""
    first, norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
    first.weight = nn.Parameter(torch.rand(3, 4).T)
    norm.register_buffer("mask", torch.tensor([True, False]))
    module = nn.Sequential(first, nn.Sequential(norm, nn.Linear(4, 2).half()))
    write_archive(tmp_path / "model.pt", module)
    found = read_torchscript(tmp_path / "model.pt")

    expected = module.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_pickled_state_dict_is_not_an_archive(tmp_path: Path) -> None:
    """Both are zip files; only one holds a module's code."""
    torch.save({"x": torch.zeros(2)}, tmp_path / "state.pt")
    write_archive(tmp_path / "model.pt", nn.Linear(1, 1))

    assert not is_torchscript(tmp_path / "state.pt")
    assert is_torchscript(tmp_path / "model.pt")


def rewrite(path: Path, change: Any) -> None:
    """Write the archive again, each entry's bytes changed by its name."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, change(name, content))


def test_a_storage_that_is_cut(tmp_path: Path) -> None:
    """A tensor never reads beyond the bytes that the archive holds for it."""
    write_archive(tmp_path / "model.pt", nn.Linear(8, 8))
    rewrite(tmp_path / "model.pt", lambda name, content: content[:-4] if "/data/" in name else content)

    with pytest.raises(WeightsError, match=r"model\.pt: holds more than tensors, or is damaged"):
        read_checkpoint(tmp_path / "model.pt")


def test_names_outside_of_a_module_tree(tmp_path: Path) -> None:
    """A function that the pickle names is not looked up."""
    write_archive(tmp_path / "model.pt", nn.Linear(1, 1))
    rewrite(tmp_path / "model.pt", lambda name, content: b"cos\nsystem\n." if name.endswith("/data.pkl") else content)

    with pytest.raises(WeightsError, match=r"model\.pt: holds more than tensors, or is damaged"):
        read_checkpoint(tmp_path / "model.pt")


def test_archives_that_would_take_too_much_memory(tmp_path: Path) -> None:
    """A compressed archive, and a memo index out of all proportion, are refused before memory is taken."""
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\0" * 50_000_000)
    with zipfile.ZipFile(tmp_path / "memo.pt", "w") as archive:
        archive.writestr("m/constants.pkl", b"")
        archive.writestr("m/data.pkl", b"\x80\x02}r" + (1 << 31).to_bytes(4, "little") + b".")

    with pytest.raises(WeightsError, match=r"bomb\.pt: .*compressed archive"):
        read_checkpoint(tmp_path / "bomb.pt")
    with pytest.raises(WeightsError, match=r"memo\.pt: holds more than tensors, or is damaged"):
        read_checkpoint(tmp_path / "memo.pt")
