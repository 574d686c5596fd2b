"""The address of a data set in an object store → the folder of its copy on this machine; other names as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from clipsim.errors import printable
from clipsim.inputs.urls import as_path, file_suffix
from clipsim.models.settings import cache_folder
from clipsim.store.copies import copy_dataset
from clipsim.store.folders import is_store
from clipsim.store.layout import is_dataset


def find_local(name: str, report: Callable[[str], None] = lambda _: None) -> str:
    """The folder of the copy of a data set in a store, brought up to date; a path, or any other address, as it is.

    `report` is called with a line before anything is copied. Raises DatasetError where the store cannot be read or the
    disk has no room, MissingPackageError without fsspec.
    """
    name = as_path(name)
    if not _may_be_dataset(name):
        return name
    folder = copy_folder(name)

    def on_copy(size: int) -> None:
        report(f"copying {size / 1e6:,.1f} MB of {printable(name)} into {printable(str(folder))}")

    return str(folder) if copy_dataset(name, folder, on_copy) else name


def find_copy(name: str) -> str:
    """As `find_local`, but a copy that is there is not brought up to date."""
    name = as_path(name)
    if _may_be_dataset(name) and is_dataset(folder := copy_folder(name)):
        return str(folder)
    return find_local(name)


def copy_folder(address: str) -> Path:
    """Where the copy of the data set at an address is."""
    digest = hashlib.sha256(address.rstrip("/").encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return cache_folder() / "datasets" / f"{address.rstrip('/').rpartition('/')[2][:40]}-{digest}"


def _may_be_dataset(name: str) -> bool:
    return is_store(name) and not file_suffix(name) and not set("*[{") & set(name)
