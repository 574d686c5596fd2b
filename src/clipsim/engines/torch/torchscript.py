"""A TorchScript archive → the tensors of its modules, without compiling or running the code inside.

The archive is a zip file: `data.pkl` pickles a tree of modules whose tensors refer to storages by key, and `data/KEY`
holds the bytes of each storage. Only that pickle is read, by an unpickler that replaces the few names of such a tree by
inert classes and refuses all others. The layout is described in PyTorch's torch/csrc/jit/docs/serialization.md.
"""

from __future__ import annotations

import collections
import io
import pickle
import pickletools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Module:
    """The attributes of a scripted module, without its code."""

    def __init__(self, *_: Any) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.attributes = state


@dataclass(frozen=True)
class _StorageType:
    dtype: torch.dtype


def is_torchscript(path: Path) -> bool:
    """Whether a zip file is a TorchScript archive and not a pickled state dict."""
    with zipfile.ZipFile(path) as archive:
        return any(name.count("/") == 1 and name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """The tensors of the archive's modules by dotted name.

    Raises pickle.UnpicklingError when the tree holds anything but modules, tensors and plain values.
    """
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
        pickled = archive.read(name)
        for code, argument, _ in pickletools.genops(pickled):
            if "PUT" in code.name and isinstance(argument, int) and argument > len(pickled):
                raise pickle.UnpicklingError("a memo index beyond the pickle")  # the unpickler would allocate that much
        root = _Unpickler(io.BytesIO(pickled), archive, name.removesuffix("data.pkl")).load()
    return dict(_walk(root, ""))


def _walk(value: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, _Module):
        for name, attribute in value.attributes.items():
            if isinstance(attribute, Tensor):
                yield f"{prefix}{name}", attribute
            else:
                yield from _walk(attribute, f"{prefix}{name}.")


class _Unpickler(pickle.Unpickler):
    """Reads a tree of modules and builds tensors from the bytes beside it; calls no function that the file names."""

    def __init__(self, pickled: IO[bytes], archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(pickled)
        self.archive = archive
        self.folder = folder
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Inert classes and functions for the names of a module tree."""
        if module.startswith("__torch__"):
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module == "torch" and name in _DTYPES:
            return _StorageType(_DTYPES[name])
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch.jit._pickle":
            return _first
        raise pickle.UnpicklingError(f"the archive asks for {module}.{name}")

    def persistent_load(self, reference: Any) -> Tensor:
        """The storage that a tensor refers to, as a flat tensor."""
        kind, storage_type, key, _device, count = reference
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise pickle.UnpicklingError("an unknown kind of reference in the archive")
        if key not in self.storages:
            entry = self.archive.getinfo(f"{self.folder}data/{key}")
            size = count * storage_type.dtype.itemsize
            if entry.file_size < size:
                raise pickle.UnpicklingError(f"the storage {key} is too short")
            raw = bytearray(self.archive.read(entry))
            self.storages[key] = (
                torch.frombuffer(raw, dtype=storage_type.dtype, count=count) if count else torch.empty(0)
            )
        return self.storages[key]


def _view(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _first(value: Any = None, *_: Any) -> Any:
    return value
