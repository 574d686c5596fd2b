"""A model's spec and files → its export: a folder that `clipsim models export` wrote, and that is not damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipsim.errors import ModelError, WeightsError, printable
from clipsim.files import FileStamp, digest_file, digest_files, write_atomically
from clipsim.models.catalogue import BUNDLED
from clipsim.models.files import ModelFiles
from clipsim.models.identity import DigestFiles, identify_model
from clipsim.models.names import ModelSpec
from clipsim.models.settings import cache_folder

TOKENIZER_FILE = "tokenizer.json"
DAMAGED = ".damaged-"
UNFINISHED = ".unfinished-"


def exports_folder() -> Path:
    """Where exports live, each in a folder of its own."""
    return cache_folder() / "exports"


def describe_source(path: Path, digest: str, begun: int) -> dict[str, Any]:
    """What identifies a weights file: its path, its digest, computed from `begun` (ns) on, and its stamp.

    The stamp is None where the file may have changed within a tick of the clock. Raises OSError.
    """
    stamp = FileStamp.of(path.stat())
    settled = stamp.is_settled(begun)
    return {"path": os.path.abspath(path), "digest": digest, "stamp": stamp._asdict() if settled else None}  # noqa: PTH100


def find_export(
    spec: ModelSpec,
    files: ModelFiles,
    engine: str,
    folder: Path | None = None,
    read_digests: DigestFiles = digest_files,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Export | None:
    """The export of exactly this model for "onnx" or "onnx-int8"; None where there is none that can be used.

    Damaged exports are set aside; an export that was made from other files stays. `on_notice` is told of both. The
    weights are not read unless an export may have been made from them.
    """
    base = folder or exports_folder()
    paths = [path for path in _folders(base) if path.name.endswith(f"-{engine}")]
    exports = [export for path in paths if (export := _read(path, on_notice))]
    weights = os.path.abspath(files.weights)  # noqa: PTH100
    size = size_of(files.weights)
    near = [
        export
        for export in exports
        if export.source["path"] == weights or (export.source["stamp"] or {}).get("size", size) == size
    ]
    if not near:
        return None
    try:
        recorded = _find_recorded(files.weights, near)
        known = {} if recorded is None else {files.weights: recorded}
        identity = identify_model(
            spec, files, lambda paths: known | read_digests([path for path in paths if path not in known])
        )
    except OSError as error:
        raise WeightsError(f"{printable(str(error.filename))}: cannot read it: {error.strerror}") from error
    for export in exports:
        if export.folder.name == f"{identity}-{engine}":
            try:
                export.verify()
            except ValueError as error:
                _set_aside(export.folder, str(error), on_notice)
                return None
            return export
    if any(export.source["path"] == weights and export.is_like(spec) for export in near):
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
    if spec.weights_key is not None:
        weights += f" --weights-key {printable(spec.weights_key)}"
    if spec.adapter is not None:
        weights += f" --adapter {printable(str(spec.adapter.folder))}"
    int8 = " --int8" if engine == "onnx-int8" else ""
    return ModelError(
        f"there is no {engine} export of {printable(spec.name)} to run; 'clipsim models export "
        f"{printable(spec.name)}{weights}{int8}' makes one"
    )


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
        if (folder / INFO_FILE).exists():  # not while another process replaces or removes it
            _set_aside(folder, str(error), on_notice)
        return None


def _set_aside(folder: Path, cause: str, on_notice: Callable[[str], None]) -> None:
    """Rename a damaged export, in place of an earlier one that was renamed, and say so."""
    aside = folder.with_name(f"{DAMAGED}{folder.name}")
    with suppress(OSError):
        shutil.rmtree(aside, ignore_errors=True)
        folder.replace(aside)
    on_notice(f"the export {printable(str(folder))} is not used: {cause}; 'clipsim models export' makes a new one")


def _find_recorded(path: Path, exports: list[Export]) -> str | None:
    """The digest of a weights file that has not changed since an export was made from it."""
    for export in exports:
        stamp = export.source["stamp"]
        if stamp and export.source["path"] == os.path.abspath(path):  # noqa: PTH100
            try:
                if stamp == FileStamp.of(path.stat())._asdict():
                    return str(export.source["digest"])
            except OSError:
                return None
    return None


SCHEMA = "clipsim.export/2"
INFO_FILE = "export.json"
VERIFIED_FILE = "verified.json"
# What an export states of the `EncoderFacts` of its model, as JSON; the others are of the run.
FACTS = ("embed_dim", "image_size", "logit_scale", "logit_bias", "head", "preprocessing", "notices")


@dataclass(frozen=True)
class Agreement:
    """How well the export's vectors agree with torch's, over `count` inputs.

    `least` and `mean` are of the cosine between both vectors of an input; `centred` is the mean cosine after torch's
    mean vector is subtracted from both. What all vectors of a model have in common raises a plain cosine; a centred one
    compares only what tells one input from another.
    """

    count: int
    least: float
    mean: float
    centred: float


@dataclass(frozen=True)
class Difference:
    """How far the cosines of all pairs of checked texts and images are from torch's: the greatest and the mean."""

    greatest: float
    mean: float


@dataclass(frozen=True)
class Export:
    """An export: what a run needs to know to use it, and what `clipsim models show` prints.

    `facts` are the `FACTS` of the model, and `token_rules` the fields of `TokenRules`. With `texts_shorten`, the text
    tower takes rows of tokens that are cut behind the longest text. `source` identifies the weights file that was read
    (see `exports.describe_source`). `files` maps the names of the files beside `INFO_FILE` to their sizes in bytes,
    `digests` to their SHA-256.
    """

    folder: Path
    engine: str
    identity: str
    name: str
    kind: str
    facts: dict[str, Any]
    token_rules: dict[str, Any]
    texts_shorten: bool
    images: Agreement
    texts: Agreement
    cosines: Difference
    source: dict[str, Any]
    files: dict[str, int]
    digests: dict[str, str]
    versions: dict[str, str | None]
    made: str

    @property
    def precision(self) -> str:
        """The numbers that it computes in: "fp32" or "int8"."""
        return "int8" if self.engine == "onnx-int8" else "fp32"

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return sum(self.files.values())

    @classmethod
    def read(cls, folder: Path) -> Export:
        """The export in a folder. Raises ValueError, whose message is the cause, where it cannot be used."""
        try:
            fields = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"its {INFO_FILE} cannot be read") from error
        if not isinstance(fields, dict) or fields.pop("schema", None) != SCHEMA:
            raise ValueError("it was written by another version of clipsim, or is damaged")
        if fields.pop("digest", None) != _digest_fields(fields):
            raise ValueError(f"its {INFO_FILE} is damaged")
        try:
            images, texts = Agreement(**fields.pop("images")), Agreement(**fields.pop("texts"))
            cosines = Difference(**fields.pop("cosines"))
            facts = {name: fields.pop(name) for name in FACTS}
            export = cls(folder=folder, facts=facts, images=images, texts=texts, cosines=cosines, **fields)
            wrong = [name for name, size in export.files.items() if size_of(folder / name) != size]
            source = isinstance(export.source["path"], str) and isinstance(export.source["stamp"] or {}, dict)
            if export.files.keys() != export.digests.keys() or not source:
                raise TypeError
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its {INFO_FILE} is incomplete") from error
        if wrong:
            raise ValueError(f"its {printable(min(wrong), 40)} is missing or incomplete")
        return export

    def verify(self) -> None:
        """Compare the digests of all files with the recorded ones, unless no file's stamp has changed since.

        Raises ValueError, whose message names the first file that differs.
        """
        begun = time.time_ns()
        try:
            stamps = {name: FileStamp.of((self.folder / name).stat()) for name in self.files}
            if _read_verified(self.folder) == {name: list(stamp) for name, stamp in stamps.items()}:
                return
            for name, digest in self.digests.items():
                if digest_file(self.folder / name) != digest:
                    raise ValueError(f"its {printable(name, 40)} is damaged")
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error
        if all(stamp.is_settled(begun) for stamp in stamps.values()):
            with suppress(OSError):  # a folder that cannot be written to is verified in every run
                write_atomically(self.folder / VERIFIED_FILE, json.dumps(stamps))

    def __str__(self) -> str:
        """One line that is safe to print."""
        figures = ", ".join(
            f"{what} {check.mean:.5f} (least {check.least:.5f}, centred {check.centred:.4f})"
            for what, check in (("images", self.images), ("texts", self.texts))
        )
        return (
            f"{self.engine}, {self.bytes / 1e6:,.0f} MB, mean cosine to torch: {figures}; cosines of pairs differ by "
            f"{self.cosines.mean:.1e} on average, {self.cosines.greatest:.1e} at most; {printable(str(self.folder))}"
        )

    def is_like(self, spec: ModelSpec) -> bool:
        """Whether it was made from a model of that kind, with the same adapter and state dict."""
        changes = self.source.get("changes", "")  # exports of before had none
        return (self.kind, changes) == (spec.kind, spec.changes)

    def is_of(self, spec: ModelSpec) -> bool:
        """Whether it was made from the model of that name or path, even if the model's files have changed since."""
        if spec.path is None or spec.name == BUNDLED:
            return self.name == spec.name and self.is_like(spec)
        source = Path(self.source["path"])
        return self.is_like(spec) and Path(os.path.abspath(spec.path)) in (source, source.parent)  # noqa: PTH100

    def to_dict(self) -> dict[str, Any]:
        """The content of `INFO_FILE`: all fields but the folder, and a digest of them."""
        fields = {key: value for key, value in asdict(self).items() if key not in ("folder", "facts")} | self.facts
        return {"schema": SCHEMA, **fields, "digest": _digest_fields(fields)}


def size_of(path: Path) -> int:
    """The size of a file in bytes; -1 where it cannot be found."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _digest_fields(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _read_verified(folder: Path) -> object:
    try:
        return json.loads((folder / VERIFIED_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
