"""The index of weights that are in several files (`model.safetensors.index.json`) → those files, beside the index."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clipsim.errors import WeightsError, printable
from clipsim.models.configs import read_settings

INDEX_SUFFIX = ".index.json"


def is_index(path: Path) -> bool:
    """Whether a file is, by its name, an index of weights in several files."""
    return path.name.endswith(INDEX_SUFFIX)


def with_indexes(names: Iterable[str]) -> tuple[str, ...]:
    """Names of weights, and behind each that of the index of its parts, in the order of `transformers`."""
    suffixes = (".safetensors", ".bin")
    return tuple(
        written for name in names for written in ((name, name + INDEX_SUFFIX) if name.endswith(suffixes) else (name,))
    )


def read_index(path: Path) -> dict[str, tuple[str, ...]]:
    """The parts that an index lists, by file name, each with the names of its tensors.

    Raises WeightsError for an index that is damaged, names a tensor twice, or a file outside its folder.
    """
    shown = printable(str(path))
    content = read_settings(path, unique_names=True)
    listed = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(listed, dict) or not listed:
        raise WeightsError(f"{shown}: not an index of weights ('weight_map' is missing or empty)")
    parts: dict[str, list[str]] = {}
    for tensor, name in listed.items():
        if not isinstance(name, str):
            raise WeightsError(f"{shown}: the file of {printable(tensor, 60)} is not a name")
        if name not in parts and not _is_plain(name):
            raise WeightsError(f"{shown}: names {printable(name, 60)}, which is not a file of weights in its folder")
        parts.setdefault(name, []).append(tensor)
    return {name: tuple(tensors) for name, tensors in sorted(parts.items())}


def find_parts(weights: Path) -> tuple[Path, ...]:
    """The files that hold the tensors of an index; none for a file of weights.

    Raises WeightsError for one that is missing.
    """
    if not is_index(weights):
        return ()
    parts = tuple(weights.parent / name for name in read_index(weights))
    missing = [path.name for path in parts if not path.is_file()]
    if missing:
        raise WeightsError(
            f"{printable(str(weights))}: {len(missing)} of its {len(parts)} files are missing, "
            f"{printable(missing[0], 60)} for one"
        )
    return parts


def _is_plain(name: str) -> bool:
    return not any(mark in name for mark in ("/", "\\", ":", "\0")) and name.endswith((".safetensors", ".bin"))
