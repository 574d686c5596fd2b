"""A checkpoint file that may not be trusted → its tensors by name; no code in the file is ever run."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipsim.engines.torch.torchscript import is_torchscript, read_torchscript
from clipsim.errors import WeightsError, printable

_NESTS = ("state_dict", "model_state_dict", "model")  # where training programs put the model's tensors


def read_tensors(path: Path, *, mapped: bool = True) -> dict[str, Tensor]:
    """The tensors of a safetensors file, a pickled state dict or a TorchScript archive, on the CPU.

    The content decides the format. With `mapped`, formats that allow it are mapped into memory, not read; overwriting
    the file in place then changes the tensors. A state dict may be nested under "state_dict" or "model"; a "module."
    before every name is dropped; values that are not tensors are left out.

    Raises WeightsError for a file that is missing, damaged, holds no tensors, or holds more than tensors.
    """
    shown = printable(str(path))
    if path.exists() and not path.is_file():
        raise WeightsError(f"{shown}: not a regular file, so not a checkpoint")
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        raise WeightsError(f"{shown}: cannot open the weights: {error.strerror or error}") from error
    if cause := _not_weights(head):
        raise WeightsError(f"{shown}: {cause}")
    try:
        found = _read(path, head, mapped)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{shown}: holds more than tensors, or is damaged; no code in it was run. Use a safetensors file instead"
        ) from error
    except MemoryError as error:
        raise WeightsError(f"{shown}: not enough memory to read the weights") from error
    except Exception as error:
        said = printable(str(error).strip().split("\n")[0] or type(error).__name__, 120)
        raise WeightsError(f"{shown}: damaged or not a checkpoint ({said})") from error
    tensors = _flatten(found)
    if not tensors:
        raise WeightsError(f"{shown}: no tensors in it")
    for name, tensor in tensors.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise WeightsError(f"{shown}: the tensor {printable(name, 60)} is not a plain array of numbers")
    return tensors


def _not_weights(head: bytes) -> str | None:
    start = head.lstrip().lower()
    if not head:
        return "an empty file, not a checkpoint"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the weights; fetch them with 'git lfs pull'"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page, not a checkpoint; download the file itself"
    return None


def _read(path: Path, head: bytes, mapped: bool) -> Any:
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        from safetensors.torch import load_file

        tensors = load_file(path)
        return tensors if mapped else {name: tensor.clone() for name, tensor in tensors.items()}
    if head.startswith(b"PK"):
        _check_archive(path)
        if is_torchscript(path):
            return read_torchscript(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    return torch.load(path, map_location="cpu", weights_only=True)


def _check_archive(path: Path) -> None:
    """Raise ValueError for a zip that grows when it is read; PyTorch compresses only code, which is never read."""
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if "/code/" not in entry.filename]
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("a compressed archive, which PyTorch does not write")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("its entries claim more bytes than the file has")


def _flatten(found: Any) -> dict[str, Tensor]:
    if not isinstance(found, Mapping):
        return {}
    for nest in _NESTS:
        if isinstance(found.get(nest), Mapping):
            found = found[nest]
            break
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors
