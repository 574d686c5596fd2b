"""The files of a data set of vectors, and `clipsim.json` ↔ `DatasetInfo`.

The layout is clip-retrieval's, so that other tools read it as well; shard N is

- `img_emb/img_emb_000N.npy`: (n, d) float16 or float32 unit vectors, one for each image that could be used
- `text_emb/text_emb_000N.npy`: (n, d) vectors of the captions, if embedded; a row of zeros has no caption
- `vectors/vectors_000N.parquet`: if asked for, the metadata and a column `vector`, for tools that read one table
- `metadata/metadata_000N.parquet`: image_path, caption, facts, width, height, sha256, file_size, modified_ns and row of
  the same n images, and the columns of tables

and `clipsim.json` says which model the vectors are from, and holds the size and digest of each of these files. Until
all shards are there, the records of the shards hold those of theirs (`shards.ShardRecord`). Every JSON file carries a
checksum over its own values, so that a changed one is told from one that was written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from clipsim.errors import DatasetError, printable, requires
from clipsim.results.base import ModelRecord

SCHEMA = "clipsim.embeddings/1"
INFO_FILE = "clipsim.json"
ERRORS_FILE = "errors.jsonl"
STATE_FOLDER = ".clipsim"  # what only `clipsim embed` reads: which inputs make up which shard, how each shard ended
REMEDY = "run the same 'clipsim embed' again to re-create it"


@dataclass(frozen=True)
class FileInfo:
    """What a file was when it was written: its size and the SHA-256 of its content, in hex."""

    bytes: int
    sha256: str


Files = dict[str, FileInfo]  # by their names in the folder


@dataclass(frozen=True)
class ShardPlan:
    """The inputs that make up a shard: their number, and the SHA-256 of their records, in hex."""

    sources: int
    sha256: str


@dataclass(frozen=True)
class VectorInfo:
    """What vectors depend on; `digest` is that of the model's files (`models.identity`).

    `warnings` say what was assumed of these files.
    """

    model: ModelRecord
    digest: str
    device: str
    engine: str
    precision: str
    preprocessing: dict[str, Any]
    warnings: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def dimensions(self) -> int:
        """The length of the vectors."""
        return self.model.embed_dim


@dataclass(frozen=True)
class DatasetInfo(VectorInfo):
    """What `clipsim.json` says.

    `plan` has the inputs of each shard. `columns` are the names and types ("string", "int64", "float64" or "bool") of
    those that the metadata have from the facts of the inputs; a shard made before others were named may lack some.
    `base` is the folder that relative names of images start from, None in data
    sets of earlier versions. `versions` are those of clipsim and other packages that made the vectors, by name, once
    for each set of them; one that is empty was not recorded.
    `images`, `captions` and `errors` are counts, None until the data set is complete; `captions` is None also where no
    captions were embedded. `rows` are the numbers of vectors in each shard and `files` the files of all shards, both
    empty until then. `replaces` are files of an earlier data set that `overwrite` has still to remove.
    """

    dtype: str
    shard_size: int
    with_captions: bool
    with_parquet: bool = False
    plan: tuple[ShardPlan, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    images: int | None = None
    captions: int | None = None
    errors: int | None = None
    base: str | None = None
    versions: tuple[Mapping[str, str], ...] = ()
    rows: tuple[int, ...] = ()
    files: Files = field(default_factory=dict)
    replaces: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every shard is there."""
        return self.images is not None

    @property
    def sources(self) -> int:
        """The number of inputs."""
        return sum(shard.sources for shard in self.plan)

    @property
    def shards(self) -> int:
        """How many shards a complete data set has."""
        return len(self.plan)

    def to_json(self) -> str:
        """The text of `clipsim.json`."""
        counts = {name: getattr(self, name) for name in ("sources", "images", "captions")}
        record = {
            "schema": SCHEMA,
            "complete": self.complete,
            **{key: value for key, value in asdict(self).items() if key not in (*counts, "errors")},
            "model": self.model.to_dict(),
            "dimensions": self.dimensions,
            "counts": {**counts, "shards": self.shards},
            "errors": self.errors,
        }
        return to_sealed_json(record)

    @classmethod
    def from_json(cls, text: str) -> DatasetInfo:
        """The record in the text of `clipsim.json`. Raises ValueError for anything else."""
        record = from_sealed_json(text, SCHEMA)
        try:
            names = {one.name for one in fields(cls)}
            values = {**record, **record["counts"], "model": ModelRecord.from_dict(record["model"])}
            values |= {"rows": tuple(record["rows"]), "files": read_files(record["files"])}
            values |= {"replaces": tuple(map(str, record["replaces"]))}
            values |= {"plan": tuple(ShardPlan(**shard) for shard in record["plan"])}
            values |= {"versions": tuple(read_versions(one) for one in record.get("versions", ()))}
            values |= {"columns": tuple((str(name), str(kind)) for name, kind in record["columns"])}
            values |= {"warnings": tuple(printable(str(warning)) for warning in list(record.get("warnings", ())))}
            info = cls(**{key: value for key, value in values.items() if key in names})
            if info.dtype not in ("fp16", "fp32") or info.shard_size < 1 or info.dimensions < 1:
                raise ValueError("a value out of range")
            if info.complete and len(info.rows) != info.shards:
                raise ValueError("rows of other shards")
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not the record of a data set: {error}") from error
        return info


def to_sealed_json(record: Mapping[str, Any]) -> str:
    """A JSON object with a checksum over its values, as `from_sealed_json` reads it."""
    plain = json.loads(json.dumps(record))
    return json.dumps({**plain, "checksum": _checksum(plain)}, indent=1) + "\n"


def from_sealed_json(text: str, schema: str) -> dict[str, Any]:
    """The object that `to_sealed_json` wrote. Raises ValueError for another schema, and where a value has changed."""
    try:
        record = json.loads(text)
    except RecursionError as error:
        raise ValueError("brackets without end") from error
    if not isinstance(record, dict) or record.get("schema") != schema:
        raise ValueError("another schema")
    if record.pop("checksum", None) != _checksum(record):
        raise ValueError("its values are not those that were written")
    return record


def _checksum(record: Mapping[str, Any]) -> str:
    """The SHA-256 of an object's values, however its text is spaced."""
    return hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_files(record: Mapping[str, Mapping[str, Any]]) -> Files:
    """Size and digest of each file in a JSON object. Raises TypeError, KeyError or AttributeError for anything else."""
    return {name: FileInfo(**values) for name, values in record.items()}


def read_versions(record: Mapping[str, str]) -> dict[str, str]:
    """Versions of packages by name in a JSON object. Raises AttributeError for anything else."""
    return {printable(str(name)): printable(str(version)) for name, version in record.items()}


def is_dataset(folder: str | Path) -> bool:
    """Whether a folder holds a data set of vectors, readable or not."""
    return os.path.isfile(Path(folder) / INFO_FILE)  # noqa: PTH113 (a Path raises for names that are hard to reach)


def read_dataset_info(folder: Path) -> DatasetInfo:
    """The record of a data set. Raises DatasetError where there is none, or it is of another version."""
    path = folder / INFO_FILE
    label = printable(str(path))
    try:
        return DatasetInfo.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DatasetError(f"{printable(str(folder))}: not a folder of vectors: it has no {INFO_FILE}") from error
    except OSError as error:
        raise DatasetError(f"{label}: cannot read it: {error.strerror or error}") from error
    except ValueError as error:
        raise DatasetError(
            f"{label}: damaged, edited or of another version (not {SCHEMA}); embed the images into a new folder"
        ) from error


def shard_name(kind: str, shard: int) -> str:
    """The name of a shard's file of one kind: "img_emb", "text_emb", "vectors" or "metadata".

    >>> shard_name("img_emb", 3)
    'img_emb/img_emb_0003.npy'
    """
    return f"{kind}/{kind}_{shard:04d}.{'npy' if kind in ARRAYS else 'parquet'}"


ARRAYS = ("img_emb", "text_emb")
KINDS = (*ARRAYS, "vectors", "metadata")  # of the files of a shard, in the order in which they are moved into place


def shard_names(shard: int, *, with_captions: bool, with_parquet: bool = False) -> list[str]:
    """The names of all files of a shard.

    >>> shard_names(3, with_captions=False)
    ['img_emb/img_emb_0003.npy', 'metadata/metadata_0003.parquet']
    """
    left_out = {"text_emb": not with_captions, "vectors": not with_parquet}
    return [shard_name(kind, shard) for kind in KINDS if not left_out.get(kind)]


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The type of the elements in a shard: "fp16" or "fp32".

    >>> numpy_dtype("fp16")
    dtype('float16')
    """
    return np.dtype({"fp16": np.float16, "fp32": np.float32}[name])


def import_parquet() -> Any:
    """`pyarrow.parquet`. Raises MissingPackageError, which says how to install it."""
    with requires("embed", "tables of metadata need pyarrow"):
        import pyarrow.parquet
    return pyarrow.parquet
