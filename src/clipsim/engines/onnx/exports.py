"""A model's spec and files → its export: a folder that `clipsim models export` wrote, and that is not damaged."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clipsim.engines.onnx.record import FACTS_FILE, Export, size_of
from clipsim.errors import ModelError, WeightsError, printable
from clipsim.files import FileStamp, digest_file
from clipsim.models.files import ModelFiles
from clipsim.models.identity import identify_model
from clipsim.models.names import ModelSpec
from clipsim.models.settings import cache_folder

TOKENIZER_FILE = "tokenizer.json"
DAMAGED = ".damaged-"
UNFINISHED = ".unfinished-"
EXTRA = "pip install 'clipsim[onnx]'"


def exports_folder() -> Path:
    """Where exports live, each in a folder of its own."""
    return cache_folder() / "exports"


def describe_source(path: Path, digest: str, begun: int) -> dict[str, Any]:
    """What identifies a weights file: its path, its digest, computed from `begun` (ns) on, and its stamp.

    The stamp is None where the file may have changed within a tick of the clock. Raises OSError.
    """
    stamp = FileStamp.of(path.stat())
    settled = stamp.is_settled(begun)
    return {"path": os.path.abspath(path), "digest": digest, "stamp": asdict(stamp) if settled else None}  # noqa: PTH100


def find_export(
    spec: ModelSpec,
    files: ModelFiles,
    engine: str,
    folder: Path | None = None,
    digest: Callable[[Path], str] = digest_file,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Export | None:
    """The export of exactly this model for "onnx" or "onnx-int8"; None where there is none that can be used.

    Damaged exports are set aside; an export that was made from other files stays. `on_notice` is told of both. The
    weights are not read unless an export may have been made from them.
    """
    base = folder or exports_folder()
    paths = [path for path in _folders(base) if path.name.endswith(f"-{engine}")]
    found = [export for path in paths if (export := _read(path, on_notice))]
    weights = os.path.abspath(files.weights)  # noqa: PTH100
    size = size_of(files.weights)
    near = [
        export
        for export in found
        if export.source["path"] == weights or (export.source["stamp"] or {}).get("size", size) == size
    ]
    if not near:
        return None
    try:
        identity = identify_model(spec, files, lambda path: _remembered(path, near) or digest(path))
    except OSError as error:
        raise WeightsError(f"{printable(str(error.filename))}: cannot read it: {error.strerror}") from error
    for export in found:
        if export.folder.name == f"{identity}-{engine}":
            try:
                export.verify()
            except ValueError as error:
                _set_aside(export.folder, str(error), on_notice)
                return None
            return export
    if any(export.source["path"] == weights and export.kind == spec.kind for export in near):
        on_notice(
            f"the {engine} export of {printable(spec.name)} is not used: the model's files or OpenCLIP have changed "
            "since it was made; 'clipsim models export' makes a new one"
        )
    return None


def list_exports(folder: Path | None = None) -> Iterator[Export]:
    """Every export that can be used."""
    for path in _folders(folder or exports_folder()):
        try:
            yield Export.read(path)
        except ValueError:
            continue


def missing_export(spec: ModelSpec, engine: str) -> ModelError:
    """The error for an export that is asked for and does not exist."""
    weights = f" --weights {printable(str(spec.path))}" if spec.kind == "weights" else ""
    int8 = " --int8" if engine == "onnx-int8" else ""
    return ModelError(
        f"there is no {engine} export of {printable(spec.name)} to run; 'clipsim models export "
        f"{printable(spec.name)}{weights}{int8}' makes one"
    )


def now() -> str:
    """The time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _folders(base: Path) -> list[Path]:
    try:
        return sorted(path for path in base.iterdir() if path.name.rpartition("-onnx")[1] and path.name[0] != ".")
    except OSError:
        return []


def _read(folder: Path, on_notice: Callable[[str], None]) -> Export | None:
    """The export in a folder; one that is damaged is set aside."""
    try:
        return Export.read(folder)
    except ValueError as error:
        if (folder / FACTS_FILE).exists():  # not while another process replaces or removes it
            _set_aside(folder, str(error), on_notice)
        return None


def _set_aside(folder: Path, cause: str, on_notice: Callable[[str], None]) -> None:
    """Rename a damaged export, in place of an earlier one that was renamed, and say so."""
    aside = folder.with_name(f"{DAMAGED}{folder.name}")
    with suppress(OSError):
        shutil.rmtree(aside, ignore_errors=True)
        folder.replace(aside)
    on_notice(f"the export {printable(str(folder))} is not used: {cause}; 'clipsim models export' makes a new one")


def _remembered(path: Path, exports: list[Export]) -> str | None:
    """The digest of a weights file that has not changed since an export was made from it."""
    for export in exports:
        stamp = export.source["stamp"]
        if stamp and export.source["path"] == os.path.abspath(path):  # noqa: PTH100
            try:
                if stamp == asdict(FileStamp.of(path.stat())):
                    return str(export.source["digest"])
            except OSError:
                return None
    return None
