"""The files of a data set of vectors: where they are, and `clipsim.json` ↔ `DatasetFacts`.

The layout is clip-retrieval's, so that other tools read it as well; shard N is

- `img_emb/img_emb_000N.npy`: (n, d) float16 or float32 unit vectors, one a picture that could be used
- `text_emb/text_emb_000N.npy`: (n, d) vectors of the captions, where they were asked for; a row of zeros has no caption
- `metadata/metadata_000N.parquet`: image_path, caption, facts, width, height, sha256 and row of the same n pictures

and `clipsim.json` says which model the vectors are from. A shard exists where its metadata file exists: that file is
written last.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from clipsim.errors import DatasetError, MissingPackageError, printable
from clipsim.scoring.records import ModelRecord

SCHEMA = "clipsim.embeddings/1"
FACTS_FILE = "clipsim.json"
ERRORS_FILE = "errors.jsonl"
STATE_FOLDER = ".clipsim"  # what only `clipsim embed` reads: which inputs make up which shard, how each shard ended
_METADATA_NAME = re.compile(r"metadata_([0-9]{4,9})\.parquet")


@dataclass(frozen=True)
class VectorFacts:
    """What vectors depend on; `digest` is that of the model's files (`models.identity`)."""

    model: ModelRecord
    digest: str
    device: str
    engine: str
    precision: str
    preprocessing: dict[str, Any]

    @property
    def dimensions(self) -> int:
        """The length of the vectors."""
        return self.model.embed_dim


@dataclass(frozen=True)
class DatasetFacts(VectorFacts):
    """What `clipsim.json` says.

    `sources` is the number of inputs that were named, and `sources_digest` the SHA-256 of their names and places.
    `base` is the folder that relative names of pictures start from, None in data sets of earlier versions.
    `images`, `captions` and `errors` are counts, None until the data set is complete; `captions` is None also where no
    captions were embedded.
    """

    dtype: str
    shard_size: int
    with_captions: bool
    sources: int
    sources_digest: str
    images: int | None = None
    captions: int | None = None
    errors: int | None = None
    base: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every shard is there."""
        return self.images is not None

    @property
    def shards(self) -> int:
        """How many shards a complete data set has."""
        return -(-self.sources // self.shard_size)

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
        return json.dumps(record, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DatasetFacts:
        """The facts in the text of `clipsim.json`. Raises ValueError and its family for anything else."""
        record = json.loads(text)
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            raise ValueError("another schema")
        known = {field.name for field in fields(cls)}
        values = {**record, **record["counts"], "model": ModelRecord.from_dict(record["model"])}
        return cls(**{key: value for key, value in values.items() if key in known})


def current_folder() -> str | None:
    """The folder that relative names start from now; None where it has been removed."""
    with suppress(OSError):
        return os.getcwd()  # noqa: PTH109
    return None


def is_dataset(folder: str | Path) -> bool:
    """Whether a folder holds a data set of vectors, readable or not."""
    return (Path(folder) / FACTS_FILE).is_file()


def read_facts(folder: Path) -> DatasetFacts:
    """The facts of a data set. Raises DatasetError where there is none, or it is of another version."""
    path = folder / FACTS_FILE
    shown = printable(str(path))
    try:
        return DatasetFacts.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DatasetError(f"{printable(str(folder))}: not a folder of vectors: it has no {FACTS_FILE}") from error
    except OSError as error:
        raise DatasetError(f"{shown}: cannot read it: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatasetError(f"{shown}: not the facts of a data set ({SCHEMA}), or damaged") from error


def find_shards(names: Iterable[str]) -> list[int]:
    """The numbers of the shards that are there, in order, from the names of the files in the folder `metadata`."""
    return sorted(int(match[1]) for name in names if (match := _METADATA_NAME.fullmatch(name)))


def shard_name(kind: str, shard: int) -> str:
    """The name of a shard's file of one kind: "img_emb", "text_emb" or "metadata".

    >>> shard_name("img_emb", 3)
    'img_emb/img_emb_0003.npy'
    """
    return f"{kind}/{kind}_{shard:04d}.{'parquet' if kind == 'metadata' else 'npy'}"


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The type of the elements in a shard: "fp16" or "fp32".

    >>> numpy_dtype("fp16")
    dtype('float16')
    """
    return np.dtype({"fp16": np.float16, "fp32": np.float32}[name])


def import_parquet() -> Any:
    """`pyarrow.parquet`. Raises MissingPackageError, which says how to install it."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError("tables of metadata need pyarrow: pip install 'clipsim[embed]'") from error
    return pyarrow.parquet
