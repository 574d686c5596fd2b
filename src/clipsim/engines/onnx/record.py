"""An export's folder → `Export`, the record of what it is, checked against the files in it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipsim.errors import printable
from clipsim.files import FileStamp, digest_file
from clipsim.models.catalogue import BUNDLED
from clipsim.models.names import ModelSpec

SCHEMA = "clipsim.export/2"
FACTS_FILE = "export.json"
VERIFIED_FILE = "verified.json"


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

    `preprocessing` and `token_rules` are the fields of `Preprocessing` and `TokenRules`. With `texts_shorten`, the text
    tower takes rows of tokens that are cut behind the longest text. `source` identifies the weights file that was read
    (see `exports.describe_source`). `files` maps the names of the files beside `FACTS_FILE` to their sizes in bytes,
    `digests` to their SHA-256.
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
    notices: list[str]
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
            facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"its {FACTS_FILE} cannot be read") from error
        if not isinstance(facts, dict) or facts.pop("schema", None) != SCHEMA:
            raise ValueError("it was written by another version of clipsim, or is damaged")
        if facts.pop("digest", None) != _digest_facts(facts):
            raise ValueError(f"its {FACTS_FILE} is damaged")
        try:
            images, texts = Agreement(**facts.pop("images")), Agreement(**facts.pop("texts"))
            cosines = Difference(**facts.pop("cosines"))
            export = cls(folder=folder, images=images, texts=texts, cosines=cosines, **facts)
            wrong = [name for name, size in export.files.items() if size_of(folder / name) != size]
            source = isinstance(export.source["path"], str) and isinstance(export.source["stamp"] or {}, dict)
            if export.files.keys() != export.digests.keys() or not source:
                raise TypeError
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its {FACTS_FILE} is incomplete") from error
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
            packed = {name: stamp.packed().decode() for name, stamp in stamps.items()}
            if _read_verified(self.folder) == packed:
                return
            for name, digest in self.digests.items():
                if digest_file(self.folder / name) != digest:
                    raise ValueError(f"its {printable(name, 40)} is damaged")
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error
        if all(stamp.is_settled(begun) for stamp in stamps.values()):
            with suppress(OSError):  # a folder that cannot be written to is verified in every run
                draft = self.folder / f".{VERIFIED_FILE}-{os.getpid()}"
                draft.write_text(json.dumps(packed), encoding="utf-8")
                draft.replace(self.folder / VERIFIED_FILE)

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

    def is_of(self, spec: ModelSpec) -> bool:
        """Whether it was made from the model of that name or path, even if the model's files have changed since."""
        if spec.path is None or spec.name == BUNDLED:
            return (self.kind, self.name) == (spec.kind, spec.name)
        source = Path(self.source["path"])
        return self.kind == spec.kind and Path(os.path.abspath(spec.path)) in (source, source.parent)  # noqa: PTH100

    def to_dict(self) -> dict[str, Any]:
        """The content of `FACTS_FILE`: all fields but the folder, and a digest of them."""
        facts = {key: value for key, value in asdict(self).items() if key != "folder"}
        return {"schema": SCHEMA, **facts, "digest": _digest_facts(facts)}


def size_of(path: Path) -> int:
    """The size of a file in bytes; -1 where it cannot be found."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _digest_facts(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _read_verified(folder: Path) -> object:
    try:
        return json.loads((folder / VERIFIED_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
