"""A checkpoint file that may not be trusted → its tensors by name; no code in the file is ever run."""

from __future__ import annotations

import collections
import io
import pickle
import pickletools
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from clipsim.errors import WeightsError, first_line, printable
from clipsim.models.shards import is_index, read_index

# Where training programs put the model's tensors, and where the averages of them.
_NESTS = ("state_dict", "model_state_dict", "model", "module")
_EMA_NESTS = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "model_ema_state_dict")
# What wrappers put into names: compiled, distributed and checkpointed modules in any place, others before all names.
_WRAPPERS = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_PREFIXES = ("model.", "clip.", "clip_model.")
_EMA_PREFIXES = ("ema.", "ema_model.", "model_ema.")
_EVERY_MODELS = "logit_scale"  # the tensor that every CLIP model has
_COUNTS = {"n_averaged"}  # of an averaged model, beside its tensors
_MAX_NESTS = 4
_MAX_SHOWN = 5  # entries of a file that an error names
_UNKNOWN_CLASS = re.compile(r"GLOBAL ([\w.]{1,120})")  # in the message of PyTorch's reader


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint by name, and notices of what else is in it."""

    tensors: dict[str, Tensor]
    notices: tuple[str, ...] = ()


def read_checkpoint(path: Path, *, key: str | None = None, mapped: bool = True) -> Checkpoint:
    """The tensors of a safetensors file, a pickled state dict, a TorchScript archive or an index of several files, on
    the CPU.

    The content decides the format. With `mapped`, formats that allow it are mapped into memory, not read; overwriting
    the file in place then changes the tensors. A state dict may be nested, as training programs do it; what wrappers
    put into names is dropped; EMA weights beside others are left out, with a notice; so are values that are not
    tensors. A `key` chooses the state dict of that name, or the tensors whose names begin with it.

    Raises WeightsError for a file that is missing, damaged, holds no tensors, an adapter, or more than tensors.
    """
    shown = printable(str(path))
    content = _read_parts(path, mapped) if is_index(path) else _read_file(path, mapped)
    return select_tensors(content, shown, key)


def select_tensors(content: Any, shown: str, key: str | None = None) -> Checkpoint:
    """The tensors of a model in what a checkpoint holds, as `read_checkpoint`; `shown` names it in errors."""
    nested, notices = _choose_nest(content) if key is None else (_chosen_nest(content, key, shown), [])
    tensors, averaged = _strip_names(nested, shown)
    if averaged:
        notices.append(f"EMA weights beside others ({printable(averaged[0], 60)} for one) are not used")
    if others := _choose_prefix(tensors):
        notices.append(f"tensors beside the model's ({printable(others[0], 60)} for one) are not used")
    if not tensors:
        entries = sorted(str(name) for name in content) if isinstance(content, Mapping) else []
        more = f"; its entries are {printable(', '.join(entries[:_MAX_SHOWN]), 80)}" if entries else ""
        raise WeightsError(f"{shown}: no tensors of a model in it{more}")
    if adapted := next((name for name in tensors if "lora_" in name.lower()), None):
        raise WeightsError(
            f"{shown}: an adapter, or a model with one in it ({printable(adapted, 80)}); merge it and save the model"
        )
    _check_plain(tensors, shown)
    return Checkpoint(tensors, tuple(f"the checkpoint: {notice}" for notice in notices))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by the names in it. Raises WeightsError as `read_checkpoint` does for the file itself."""
    content = _read_file(path, mapped=False)
    entries = content if isinstance(content, Mapping) else {}
    tensors = {str(name): value for name, value in entries.items() if isinstance(value, Tensor)}
    _check_plain(tensors, printable(str(path)))
    return tensors


def _check_plain(tensors: Mapping[str, Tensor], shown: str) -> None:
    """Raise WeightsError for a tensor that claims more numbers than the file holds, or has another layout."""
    for name, tensor in tensors.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise WeightsError(f"{shown}: the tensor {printable(name, 60)} is not a plain array of numbers")


def _read_parts(index: Path, mapped: bool) -> dict[str, Tensor]:
    """The tensors of all files that an index lists.

    Raises WeightsError where a tensor is in two of them, or is not in the file that the index names.
    """
    tensors: dict[str, Tensor] = {}
    for name, listed in read_index(index).items():
        part = _read_file(index.parent / name, mapped)
        held = {str(key): value for key, value in part.items() if isinstance(value, Tensor)}
        shown = printable(str(index.parent / name))
        if (missing := next((tensor for tensor in listed if tensor not in held), None)) is not None:
            raise WeightsError(f"{shown}: lacks the tensor {printable(missing, 60)}, which {index.name} says is in it")
        if (repeated := next((tensor for tensor in held if tensor in tensors), None)) is not None:
            raise WeightsError(f"{shown}: the tensor {printable(repeated, 60)} is in another file of {index.name} too")
        tensors |= held
    return tensors


def _read_file(path: Path, mapped: bool) -> Any:
    """What a file of weights holds. Raises WeightsError."""
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
        return _read(path, head, mapped)
    except pickle.UnpicklingError as error:
        unknown = _UNKNOWN_CLASS.search(str(error))
        beside = f" (it asks for {unknown[1]})" if unknown else ", or is damaged"
        raise WeightsError(
            f"{shown}: holds more than tensors{beside}; no code in it was run. Use a safetensors file instead"
        ) from error
    except MemoryError as error:
        raise WeightsError(f"{shown}: not enough memory to read the weights") from error
    except Exception as error:
        raise WeightsError(f"{shown}: damaged or not a checkpoint ({first_line(error)})") from error


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
        return _load(path, mmap=mapped)
    return _load(path)


class _Unread:
    """What stands for a value that is no tensor, such as the options of a training program; it holds nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __new__(cls, *_: Any) -> _Unread:
        """One more of them, whatever it is made of."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


# Classes of values that training programs save beside the tensors. None of them is imported, made or called.
_VALUES_BESIDE = (
    "argparse.Namespace", "types.SimpleNamespace", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.Path",
    "pathlib._local.PosixPath", "pathlib._local.WindowsPath", "pathlib._local.Path", "numpy.dtype", "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{function}" for core in ("core", "_core") for function in ("scalar", "_reconstruct")),
)  # fmt: skip
_loading = threading.Lock()  # which classes PyTorch's reader knows is a setting of the whole process


def _load(path: Path, **options: Any) -> Any:
    """A pickled state dict, read without calling anything that it names."""
    with _loading, torch.serialization.safe_globals([(_Unread, name) for name in _VALUES_BESIDE]):
        return torch.load(path, map_location="cpu", weights_only=True, **options)


def _check_archive(path: Path) -> None:
    """Raise ValueError for a zip that grows when it is read; PyTorch compresses only code, which is never read."""
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if "/code/" not in entry.filename]
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("a compressed archive, which PyTorch does not write")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("its entries claim more bytes than the file has")


def _choose_nest(content: Any) -> tuple[Mapping[Any, Any], list[str]]:
    """The state dict in a file's content, and notices of the other entries."""
    notices: list[str] = []
    for _ in range(_MAX_NESTS):
        if not isinstance(content, Mapping):
            return {}, notices
        names = [name for name in _NESTS if _is_nest(content.get(name))]
        averaged = [name for name in _EMA_NESTS if isinstance(content.get(name), Mapping) and content[name]]
        if names:
            notices += [f"the EMA weights in it ('{name}') are not used" for name in averaged]
            notices += [f"'{name}' in it is not used, '{names[0]}' is" for name in names[1:]]
            content = content[names[0]]
        elif any(isinstance(value, Tensor) for value in content.values()):
            return content, notices + [f"the EMA weights in it ('{name}') are not used" for name in averaged]
        elif averaged and _is_nest(content[averaged[0]]):
            notices.append(f"only EMA weights are in it ('{averaged[0]}'), so they are used")
            content = content[averaged[0]]
        else:
            return content, notices
    return {}, notices


def _chosen_nest(content: Any, key: str, shown: str) -> Mapping[Any, Any]:
    """The state dict that a key names: an entry of the file or of a nest in it, or a module among the tensors."""
    names: set[str] = set()
    for _ in range(_MAX_NESTS):
        if not isinstance(content, Mapping):
            break
        if isinstance(content.get(key), Mapping):
            chosen: Mapping[Any, Any] = content[key]
            return chosen
        names |= {str(name) for name, value in content.items() if _is_nest(value)}
        tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        names |= {name.partition(".")[0] for name in tensors if name.startswith(_EMA_PREFIXES)}
        module = {name.removeprefix(f"{key}."): value for name, value in tensors.items() if name.startswith(f"{key}.")}
        if module:
            return module
        content = next((content[name] for name in _NESTS if _is_nest(content.get(name))), None)
    listed = printable(", ".join(sorted(names)), 120)
    raise WeightsError(
        f"{shown}: no state dict is called '{printable(key, 60)}' in it"
        + (f"; it has {listed}" if listed else ", and it does not hold several")
    )


def _is_nest(value: Any) -> bool:
    """Whether a value is a state dict, or a nest around one."""
    if not isinstance(value, Mapping):
        return False
    if any(isinstance(inner, Tensor) for inner in value.values()):
        return True
    return any(isinstance(value.get(name), Mapping) for name in (*_NESTS, *_EMA_NESTS))


def _strip_names(entries: Mapping[Any, Any], shown: str) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors by the names that they have in their model, and the names of averages beside them."""
    tensors = {str(name): value for name, value in entries.items() if isinstance(value, Tensor)}
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


def _choose_prefix(tensors: dict[str, Tensor]) -> list[str]:
    """Keep the tensors of the module that is a model, under names of its own; the names of the others.

    A training program saves what else it holds too, a loss or a metric. Every CLIP model has a logit_scale.
    """
    if _EVERY_MODELS in tensors:
        return []
    prefix = next((prefix for prefix in _PREFIXES if f"{prefix}{_EVERY_MODELS}" in tensors), None)
    if prefix is None:
        return []
    others = [name for name in tensors if not name.startswith(prefix)]
    kept = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    tensors.clear()
    tensors.update(kept)
    return others


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
