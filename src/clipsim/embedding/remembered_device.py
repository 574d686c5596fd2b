"""What "auto" stood for in an earlier run → a hint for this one, which is checked when the model is loaded."""

from __future__ import annotations

from clipsim.cache.database import Database
from clipsim.engines.devices import describe_gpus
from clipsim.errors import UsageError
from clipsim.models.identity import package_version
from clipsim.options import check_device


def recall_device(database: Database | None) -> str | None:
    """The device that "auto" stood for in an earlier run on this hardware; None where none is known."""
    if database is None:
        return None
    name = database.read_note(_note())
    try:
        check_device(name or "")
    except UsageError:
        return None
    return name


def remember_device(database: Database | None, device: str) -> None:
    """Store the device that "auto" stands for now."""
    if database is not None:
        database.write_note(_note(), device)


def _note() -> str:
    return f"auto: {package_version('torch')} {describe_gpus()}"
