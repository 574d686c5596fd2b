"""Images and what is known of them → the rows of a shard's metadata, in Parquet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError
from clipsim.files import escape_name
from clipsim.store.layout import import_parquet

StoredVectors = NDArray[np.floating[Any]]
ROWS_PER_GROUP = 10_000


@dataclass(frozen=True)
class Row:
    """The metadata of one image.

    `facts` is a JSON object; `width` and `height` are those of the upright image; `sha256` is that of its file, in hex.
    `file_size` and `modified_ns` are those of the file, or of the tar that holds it, when the images were listed.
    """

    image_path: str
    caption: str | None = None
    facts: str | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    file_size: int | None = None
    modified_ns: int | None = None


def metadata_schema(columns: Sequence[tuple[str, str]]) -> Any:
    """The schema of pyarrow that metadata have: the fields of `Row`, the row's number, and the columns of the facts."""
    import pyarrow

    text, number = pyarrow.string(), pyarrow.int32()
    return pyarrow.schema(
        [
            ("image_path", text),
            ("caption", text),
            ("facts", text),
            ("width", number),
            ("height", number),
            ("sha256", text),
            ("file_size", pyarrow.int64()),
            ("modified_ns", pyarrow.int64()),
            ("row", pyarrow.int64()),
            *((name, pyarrow.type_for_alias(kind)) for name, kind in columns),
        ]
    )


class MetadataFile:
    """A Parquet file while it is written; memory holds at most `ROWS_PER_GROUP` rows.

    Raises OSError and ValueError, of which pyarrow's errors are.
    """

    def __init__(self, path: Path, columns: Sequence[tuple[str, str]] = (), *, dimensions: int | None = None) -> None:
        import pyarrow

        self.path, self.rows = path, 0
        self._columns = columns
        self._kept: list[dict[str, Any]] = []
        self._vectors: list[StoredVectors] = []
        self._vector_type = None if dimensions is None else pyarrow.list_(pyarrow.float32(), dimensions)
        self._schema = metadata_schema(columns)
        whole = self._schema if dimensions is None else self._schema.append(pyarrow.field(VECTOR, self._vector_type))
        self._writer = import_parquet().ParquetWriter(path, whole)

    def add(self, rows: Sequence[Row], vectors: StoredVectors | None = None) -> None:
        """Append k rows, and their (k, d) vectors where the file has a column for them."""
        for start in range(0, len(rows), ROWS_PER_GROUP):
            part = rows[start : start + ROWS_PER_GROUP]
            if len(self._kept) + len(part) > ROWS_PER_GROUP:
                self._write()
            for row in part:
                name = escape_name(row.image_path)  # Parquet text is UTF-8
                values = find_columns(row.facts, self._columns)
                self._kept.append({**vars(row), "image_path": name, "row": self.rows, **values})
                self.rows += 1
            if vectors is not None:
                self._vectors.append(np.asarray(vectors[start : start + ROWS_PER_GROUP], np.float32))

    def close(self) -> None:
        """Write what is kept, and close."""
        if self._writer.is_open:
            self._write()
            self._writer.close()

    def check(self) -> None:
        """Read the closed file's footer back. Raises DatasetError where it has another number of rows."""
        row_count = import_parquet().read_metadata(self.path).num_rows
        if row_count != self.rows:
            raise DatasetError(f"{row_count:,} rows of metadata were written, not {self.rows:,}")

    def _write(self) -> None:
        import pyarrow

        if self._kept:
            table = pyarrow.Table.from_pylist(self._kept, schema=self._schema)
            if self._vector_type is not None:
                numbers = pyarrow.array(np.concatenate(self._vectors).ravel())
                column = pyarrow.FixedSizeListArray.from_arrays(numbers, type=self._vector_type)
                table = table.append_column(VECTOR, column)
            self._writer.write_table(table)
            self._kept, self._vectors = [], []


VECTOR = "vector"
MAX_COLUMNS = 100
_OWN_COLUMNS = {*Row.__dataclass_fields__, "row", VECTOR}
_KINDS: dict[type, str] = {bool: "bool", int: "int64", float: "float64", str: "string"}


class ColumnTypes:
    """The columns of metadata that the facts of inputs give, each of a type that all its values have, or text."""

    def __init__(self, known: Sequence[tuple[str, str]] = ()) -> None:
        self._fixed = dict(known)
        self._types: dict[str, str] = {}

    def add(self, facts: str | None) -> None:
        """Take the facts of one input into account, a JSON object."""
        for name, value in (json.loads(facts) if facts else {}).items():
            if value is None or name in self._fixed or name in _OWN_COLUMNS or not _is_column_name(name):
                continue
            kind, earlier = _KINDS.get(type(value), "string"), self._types.get(name)
            if kind == "int64" and not _fits_int64(value):
                kind = "string"
            if earlier is None:
                if len(self._types) + len(self._fixed) < MAX_COLUMNS:
                    self._types[name] = kind
            elif earlier != kind:
                self._types[name] = "float64" if {earlier, kind} == {"int64", "float64"} else "string"

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """The names and types, those known before first."""
        return (*self._fixed.items(), *self._types.items())


def find_columns(facts: str | None, columns: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The values of columns in the facts of an image; None for what it lacks, or has of another type.

    >>> find_columns('{"label": "cat", "id": 7}', [("label", "string"), ("id", "string"), ("url", "string")])
    {'label': 'cat', 'id': '7', 'url': None}
    """
    values = json.loads(facts) if facts and columns else {}
    return {name: _as_kind(values.get(name), kind) for name, kind in columns}


def _as_kind(value: Any, kind: str) -> Any:
    if kind == "string":
        if not isinstance(value, str):
            return None if value is None else json.dumps(value)
        return value.encode("utf-8", "replace").decode()  # half a character (`\ud83d`) has no place in Parquet
    if kind == "float64" and type(value) is int and _fits_int64(value):
        return float(value)
    if _KINDS.get(type(value)) != kind or (kind == "int64" and not _fits_int64(value)):
        return None
    return value


def _fits_int64(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _is_column_name(name: str) -> bool:
    return bool(name) and not any("\ud800" <= character <= "\udfff" for character in name)
