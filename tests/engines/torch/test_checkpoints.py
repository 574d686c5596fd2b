"""Tests of `engines.torch.checkpoints`: tensors from files that cannot be trusted."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from clipsim.engines.torch.checkpoints import read_tensors
from clipsim.errors import WeightsError


class Payload:
    """An object whose pickle creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    """A malicious pickle is an error in each container, and does nothing."""
    trap = tmp_path / "trap"
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"x": Payload(trap)}))
    torch.save({"x": Payload(trap)}, tmp_path / "zip.pt")
    torch.save({"x": Payload(trap)}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("m/constants.pkl", b"")
        archive.writestr("m/data.pkl", pickle.dumps(Payload(trap)))

    pickle.loads((tmp_path / "plain.pt").read_bytes())
    assert trap.exists()  # the payload works where pickle is trusted
    trap.unlink()
    for name in ("plain.pt", "zip.pt", "legacy.pt", "script.pt"):
        with pytest.raises(WeightsError, match=f"{name}: (holds more than tensors|damaged)") as caught:
            read_tensors(tmp_path / name)
        assert "weights_only" not in str(caught.value)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"PK\x03\x04 cut off", "damaged"),
        (b"\xff" * 7 + b"\x7f{}", "damaged"),
        (b"words", "holds more than tensors|damaged"),
    ],
)
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_files_that_are_not_checkpoints(tmp_path: Path, name: str, content: bytes, cause: str) -> None:
    """Each is one line with the file's name and the cause."""
    (tmp_path / name).write_bytes(content)
    if name.endswith("safetensors") and content[:1] in (b"P", b"w"):
        cause = "damaged"  # the name says what it should be

    with pytest.raises(WeightsError, match=f"{name}: .*({cause})"):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3, 3).to_sparse(),
        torch.zeros(2, device="meta"),
        torch.zeros(1).expand(1_000_000_000),
    ],
    ids=["sparse", "meta", "expanded"],
)
@pytest.mark.filterwarnings("ignore")  # some of these layouts are deprecated
def test_tensors_that_are_not_plain_arrays(tmp_path: Path, tensor: torch.Tensor) -> None:
    """A tensor that claims more numbers than the file holds, or stores them in another layout, is refused."""
    torch.save({"x": tensor}, tmp_path / "odd.pt")

    with pytest.raises(WeightsError, match=r"odd\.pt: "):
        read_tensors(tmp_path / "odd.pt")
