"""A model's spec and files → its accepted export: a folder that `models export` wrote."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipsim.errors import ModelError, WeightsError, printable
from clipsim.models.catalogue import BUNDLED
from clipsim.models.digests import FileStamp, digest_file
from clipsim.models.files import ModelFiles
from clipsim.models.identity import identify_model
from clipsim.models.names import ModelSpec
from clipsim.models.settings import cache_folder

_log = logging.getLogger(__name__)

SCHEMA = "clipsim.export/2"
FACTS_FILE = "export.json"
TOKENIZER_FILE = "tokenizer.json"
VERIFIED_FILE = "verified.json"
DAMAGED = ".damaged-"
UNFINISHED = ".unfinished-"
EXTRA = "pip install 'clipsim[onnx]'"


@dataclass(frozen=True)
class Agreement:
    """How near the export's vectors are to torch's: the least and the mean cosine over so many inputs."""

    count: int
    least: float
    mean: float


@dataclass(frozen=True)
class Export:
    """What a run needs to know of an export, and what its user may want to.

    `preprocessing` and `token_rules` are the fields of `Preprocessing` and `TokenRules`. With `texts_shorten`, the text
    tower takes rows of tokens that are cut behind the longest text. `source` says which weights were read. `files` are
    the sizes of the files beside `FACTS_FILE`, `digests` their SHA-256.
    """

    folder: Path
    engine: str
    identity: str
    name: str
    kind: str
    embed_dim: int
    image_size: int
    logit_scale: float
    logit_bias: float | None
    head: str
    preprocessing: dict[str, Any]
    token_rules: dict[str, Any]
    texts_shorten: bool
    images: Agreement
    texts: Agreement
    source: dict[str, Any]
    files: dict[str, int]
    digests: dict[str, str]
    versions: dict[str, str | None]
    made: str

    @property
    def precision(self) -> str:
        """What it computes in."""
        return "int8" if self.engine == "onnx-int8" else "fp32"

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(self.files.values())

    @classmethod
    def read(cls, folder: Path) -> Export:
        """The export in a folder. Raises ValueError, saying what is wrong, for one that cannot be used."""
        try:
            facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"its {FACTS_FILE} cannot be read") from error
        if not isinstance(facts, dict) or facts.pop("schema", None) != SCHEMA:
            raise ValueError("it was written by another version of clipsim, or is damaged")
        if facts.pop("digest", None) != _digest_facts(facts):
            raise ValueError(f"its {FACTS_FILE} was changed")
        try:
            images, texts = Agreement(**facts.pop("images")), Agreement(**facts.pop("texts"))
            export = cls(folder=folder, images=images, texts=texts, **facts)
            wrong = [name for name, size in export.files.items() if _size(folder / name) != size]
            if export.files.keys() != export.digests.keys() or not isinstance(export.source["path"], str):
                raise TypeError
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its {FACTS_FILE} is incomplete") from error
        if wrong:
            raise ValueError(f"its {printable(min(wrong), 40)} is missing or incomplete")
        return export

    def verify(self) -> None:
        """Compare the digests of all files with those that were noted; skipped while no file's stamp has changed.

        Raises ValueError, naming the first file that differs.
        """
        try:
            stamps = {name: FileStamp.of((self.folder / name).stat()).packed().decode() for name in self.files}
            if _read_verified(self.folder) == stamps:
                return
            for name, digest in self.digests.items():
                if digest_file(self.folder / name) != digest:
                    raise ValueError(f"its {printable(name, 40)} is damaged")
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error
        with suppress(OSError):  # in a folder that cannot be written to, it is verified again next time
            draft = self.folder / f".{VERIFIED_FILE}-{os.getpid()}"
            draft.write_text(json.dumps(stamps), encoding="utf-8")
            draft.replace(self.folder / VERIFIED_FILE)

    def __str__(self) -> str:
        """One line that is safe to print."""
        figures = ", ".join(
            f"{what} {check.mean:.5f} (least {check.least:.5f})"
            for what, check in (("images", self.images), ("texts", self.texts))
        )
        return (
            f"{self.engine}, {self.bytes / 1e6:,.0f} MB, mean cosine to torch: {figures}; {printable(str(self.folder))}"
        )

    def is_of(self, spec: ModelSpec) -> bool:
        """Whether it was made of the model of that name or path, even if the model's files have changed since."""
        if spec.path is None or spec.name == BUNDLED:
            return (self.kind, self.name) == (spec.kind, spec.name)
        source = Path(self.source["path"])
        return self.kind == spec.kind and Path(os.path.abspath(spec.path)) in (source, source.parent)  # noqa: PTH100

    def to_dict(self) -> dict[str, Any]:
        """Everything but the folder, as `FACTS_FILE` has it, with a digest of the rest."""
        facts = {key: value for key, value in asdict(self).items() if key != "folder"}
        return {"schema": SCHEMA, **facts, "digest": _digest_facts(facts)}


def exports_folder() -> Path:
    """Where exports live, each in a folder of its own."""
    return cache_folder() / "exports"


def describe_source(path: Path, digest: str, begun: int) -> dict[str, Any]:
    """What tells a weights file from another: its digest, read from `begun` (ns) on, and what the file is like.

    Without the stamp where the file may have changed within a tick of the clock. Raises OSError.
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
) -> Export | None:
    """The export of exactly this model for "onnx" or "onnx-int8"; None where there is none that can be used.

    One that is damaged is set aside, and one that was made of other files left where it is, with a warning. Weights of
    which no export was made are not read.
    """
    base = folder or exports_folder()
    found: list[Export] = []
    doubtful = False
    for path in _folders(base):
        if path.name.endswith(f"-{engine}"):
            try:
                found.append(Export.read(path))
            except ValueError:
                doubtful = True
    weights = os.path.abspath(files.weights)  # noqa: PTH100
    size = _size(files.weights)
    near = [
        export
        for export in found
        if export.source["path"] == weights or (export.source.get("stamp") or {}).get("size", size) == size
    ]
    if not (near or doubtful):
        return None
    try:
        identity = identify_model(spec, files, lambda path: _remembered(path, near) or digest(path))
    except OSError as error:
        raise WeightsError(f"{printable(str(error.filename))}: cannot read it: {error.strerror}") from error
    target = base / f"{identity}-{engine}"
    if target.is_dir():
        try:
            export = Export.read(target)
            export.verify()
            return export
        except ValueError as error:
            _set_aside(target)
            _warn(spec, engine, str(error))
    elif any(export.source["path"] == weights and export.kind == spec.kind for export in near):
        _warn(spec, engine, "the model's files or OpenCLIP have changed since it was made")
    return None


def list_exports(folder: Path | None = None) -> Iterator[Export]:
    """Every export that can be used."""
    for path in _folders(folder or exports_folder()):
        try:
            yield Export.read(path)
        except ValueError:
            continue


def missing_export(spec: ModelSpec, engine: str) -> ModelError:
    """What to say where an export is asked for and there is none."""
    weights = f" --weights {printable(str(spec.path))}" if spec.kind == "weights" else ""
    int8 = " --int8" if engine == "onnx-int8" else ""
    return ModelError(
        f"there is no {engine} export of {printable(spec.name)} to run; 'clipsim models export "
        f"{printable(spec.name)}{weights}{int8}' makes one"
    )


def now() -> str:
    """The time, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _folders(base: Path) -> list[Path]:
    try:
        return sorted(path for path in base.iterdir() if path.name.rpartition("-onnx")[1] and path.name[0] != ".")
    except OSError:
        return []


def _digest_facts(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _read_verified(folder: Path) -> object:
    try:
        return json.loads((folder / VERIFIED_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _set_aside(target: Path) -> None:
    """Rename a damaged export, in place of an earlier one that was renamed."""
    aside = target.with_name(f"{DAMAGED}{target.name}")
    with suppress(OSError):
        shutil.rmtree(aside, ignore_errors=True)
        target.replace(aside)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _remembered(path: Path, exports: list[Export]) -> str | None:
    """The digest of a weights file that is as it was when an export was made of it."""
    for export in exports:
        stamp = export.source.get("stamp")
        if stamp and export.source.get("path") == os.path.abspath(path):  # noqa: PTH100
            try:
                if stamp == asdict(FileStamp.of(path.stat())):
                    return str(export.source["digest"])
            except OSError:
                return None
    return None


def _warn(spec: ModelSpec, engine: str, cause: str) -> None:
    _log.warning(
        "the %s export of %s is not used: %s; 'clipsim models export' makes a new one",
        engine, printable(spec.name), cause,
    )  # fmt: skip
