"""The device that "auto" stood for → a note in the cache, for later runs with the same torch on the same hardware."""

from __future__ import annotations

from clipsim.cache.database import Database
from clipsim.engines.devices import describe_gpus
from clipsim.errors import UsageError
from clipsim.models.identity import package_version
from clipsim.options import check_device


def recall_device(database: Database | None) -> str | None:
    """The device of an earlier run; None where there is none. It is checked when the model is loaded."""
    if database is None:
        return None
    name = database.read_note(_note())
    try:
        check_device(name or "")
    except UsageError:
        return None
    return name


def remember_device(database: Database | None, device: str) -> None:
    """Write the device down, where there is a cache."""
    if database is not None:
        database.write_note(_note(), device)


def _note() -> str:
    return f"auto: {package_version('torch')} {describe_gpus()}"
