"""A checkpoint file that may not be trusted → its tensors by name; no code in the file is ever run."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipsim.engines.torch.torchscript import is_torchscript, read_torchscript
from clipsim.errors import WeightsError, printable

# Where training programs put the model's tensors, and where the averages of them.
_NESTS = ("state_dict", "model_state_dict", "model", "module")
_EMA_NESTS = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "model_ema_state_dict")
# What wrappers put into names: compiled, distributed and checkpointed modules in any place, others before all names.
_WRAPPERS = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_PREFIXES = ("model.", "clip.", "clip_model.")
_EMA_PREFIXES = ("ema.", "ema_model.", "model_ema.")
_COUNTS = {"n_averaged"}  # of an averaged model, beside its tensors
_MAX_NESTS = 4
_MAX_SHOWN = 5  # entries of a file that an error names


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint by name, and notices of what else is in it."""

    tensors: dict[str, Tensor]
    notices: tuple[str, ...] = ()


def read_checkpoint(path: Path, *, mapped: bool = True) -> Checkpoint:
    """The tensors of a safetensors file, a pickled state dict or a TorchScript archive, on the CPU.

    The content decides the format. With `mapped`, formats that allow it are mapped into memory, not read; overwriting
    the file in place then changes the tensors. A state dict may be nested, as training programs do it; what wrappers
    put into names is dropped; EMA weights beside others are left out, with a notice; so are values that are not
    tensors.

    Raises WeightsError for a file that is missing, damaged, holds no tensors, an adapter, or more than tensors.
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
    nested, notices = _choose_nest(found)
    tensors, averaged = _strip_names(nested, shown)
    if averaged:
        notices.append(f"EMA weights beside others ({printable(averaged[0], 60)} for one) are not used")
    if not tensors:
        entries = sorted(str(name) for name in found) if isinstance(found, Mapping) else []
        more = f"; its entries are {printable(', '.join(entries[:_MAX_SHOWN]), 80)}" if entries else ""
        raise WeightsError(f"{shown}: no tensors of a model in it{more}")
    if adapted := next((name for name in tensors if "lora_" in name.lower()), None):
        raise WeightsError(
            f"{shown}: an adapter, or a model with one in it ({printable(adapted, 80)}); merge it and save the model"
        )
    for name, tensor in tensors.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise WeightsError(f"{shown}: the tensor {printable(name, 60)} is not a plain array of numbers")
    return Checkpoint(tensors, tuple(f"the checkpoint: {notice}" for notice in notices))


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


def _choose_nest(found: Any) -> tuple[Mapping[Any, Any], list[str]]:
    """The state dict in what a file holds, and what is to be said of the others."""
    notices: list[str] = []
    for _ in range(_MAX_NESTS):
        if not isinstance(found, Mapping):
            return {}, notices
        names, averaged = ([name for name in nests if _is_nest(found.get(name))] for nests in (_NESTS, _EMA_NESTS))
        if names:
            notices += [f"the EMA weights in it ('{name}') are not used" for name in averaged]
            notices += [f"'{name}' in it is not used, '{names[0]}' is" for name in names[1:]]
            found = found[names[0]]
        elif averaged and not any(isinstance(value, Tensor) for value in found.values()):
            notices.append(f"only EMA weights are in it ('{averaged[0]}'), so they are used")
            found = found[averaged[0]]
        else:
            return found, notices
    return {}, notices


def _is_nest(value: Any) -> bool:
    """Whether a value is a state dict, or a nest around one."""
    if not isinstance(value, Mapping):
        return False
    if any(isinstance(inner, Tensor) for inner in value.values()):
        return True
    return any(isinstance(value.get(name), Mapping) for name in (*_NESTS, *_EMA_NESTS))


def _strip_names(found: Mapping[Any, Any], shown: str) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors by the names that they have in their model, and the names of averages beside them."""
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    wrapped = {name for name in tensors if _WRAPPERS.intersection(name.split("."))}
    stripped: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = ".".join(part for part in name.split(".") if part not in _WRAPPERS) if name in wrapped else name
        if plain in stripped:
            raise WeightsError(
                f"{shown}: two tensors are called {printable(plain, 60)}, with and without a wrapper's name"
            )
        if plain not in _COUNTS:
            stripped[plain] = tensor
    averaged = [name for name in stripped if name.startswith(_EMA_PREFIXES)]
    if len(averaged) < len(stripped):
        stripped = {name: tensor for name, tensor in stripped.items() if not name.startswith(_EMA_PREFIXES)}
    else:
        averaged = []
    while prefix := next((p for p in (*_PREFIXES, *_EMA_PREFIXES) if all(n.startswith(p) for n in stripped)), None):
        if not stripped:
            break
        stripped = {name.removeprefix(prefix): tensor for name, tensor in stripped.items()}
    return stripped, averaged
