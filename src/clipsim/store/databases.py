"""Rows of a data set with their vectors → Parquet files, a table of LanceDB or a collection of Qdrant.

`read_rows` gives the rows as tables of pyarrow, each with a stable id; a `Destination` takes them. Rows that are
written again under their ids take the place of the earlier ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError, UsageError, first_line, printable, requires
from clipsim.store.dataset import Dataset
from clipsim.store.folders import Folder, open_folder
from clipsim.store.layout import STATE_FOLDER, import_parquet
from clipsim.store.metadata import VECTOR, metadata_schema

ID = "id"
ROWS_PER_TABLE = 10_000
POINTS_PER_REQUEST = 256  # a request of Qdrant holds 32 MB at most
_PART = re.compile(r"part_\d+\.parquet")


def export_schema(dataset: Dataset) -> Any:
    """The columns of exported rows: `id`, those of the metadata, and `vector`, a list of fixed length in float32."""
    import pyarrow

    vector = pyarrow.list_(pyarrow.float32(), dataset.info.dimensions)
    fields = [pyarrow.field(ID, pyarrow.string()), *metadata_schema(_free_columns(dataset))]
    return pyarrow.schema([*fields, pyarrow.field(VECTOR, vector)])


def _free_columns(dataset: Dataset) -> list[tuple[str, str]]:
    """The columns of facts, without one of the name `id`, which stays in `facts`."""
    return [(name, kind) for name, kind in dataset.info.columns if name != ID]


def read_rows(dataset: Dataset) -> Iterator[Any]:
    """The rows of all shards in order, as tables of pyarrow with the columns of `export_schema`.

    Names are absolute paths or addresses. Raises DatasetError where a shard is damaged.
    """
    import pyarrow

    schema, ids = export_schema(dataset), RowIds(dataset)
    for shard in dataset.shards:
        metadata, vectors = dataset.metadata(shard), dataset.image_vectors(shard)
        for start in range(0, len(vectors), ROWS_PER_TABLE):
            part = metadata.slice(start, ROWS_PER_TABLE)
            names = [absolute_name(dataset, name) for name in part["image_path"].to_pylist()]
            numbers = np.asarray(vectors[start : start + ROWS_PER_TABLE], np.float32)
            columns: list[Any] = []
            for field in schema:
                if field.name == ID:
                    columns.append(pyarrow.array(map(ids.next, names), field.type))
                elif field.name == "image_path":
                    columns.append(pyarrow.array(names, field.type))
                elif field.name == VECTOR:
                    columns.append(pyarrow.FixedSizeListArray.from_arrays(numbers.ravel(), type=field.type))
                elif field.name in part.column_names:
                    columns.append(part[field.name].cast(field.type))
                else:  # a shard that was made before the column was known
                    columns.append(pyarrow.nulls(len(part), field.type))
            yield pyarrow.Table.from_arrays(columns, schema=schema)


def absolute_name(dataset: Dataset, name: str) -> str:
    """A name of the metadata as a path from the root, or an address."""
    base = dataset.info.base
    if base is None or "://" in name or os.path.isabs(name):  # noqa: PTH117 (of each row)
        return name
    return os.path.normpath(os.path.join(base, name))  # noqa: PTH118


class RowIds:
    """A UUID for each row, which follows from its image's name alone; several rows of an image are told by their order.

    The names are read once before, so that memory holds eight bytes a row and the names that come again.
    """

    def __init__(self, dataset: Dataset) -> None:
        hashes = np.concatenate([_hash_names(dataset, shard) for shard in dataset.shards])
        hashes.sort()
        self._repeated = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        self._counts: dict[str, int] = {}

    def next(self, name: str) -> str:
        """The id of the next row of an image."""
        before = 0
        if _hash(name) in self._repeated:
            before = self._counts.get(name, 0)
            self._counts[name] = before + 1
        return row_id(name, before)


def row_id(name: str, before: int = 0) -> str:
    """The id of the row of an image that comes after so many other rows of it.

    >>> row_id("/photos/a.jpg")
    '63b21463-6ac9-595d-b639-f34fa884af6c'
    >>> row_id("/photos/a.jpg", 1)
    '35ea084b-6f99-5a47-9368-7097c693d74b'
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}\0{before}" if before else name))


def _hash_names(dataset: Dataset, shard: int) -> NDArray[np.uint64]:
    names = dataset.metadata(shard, ["image_path"])["image_path"].to_pylist()
    return np.fromiter((_hash(absolute_name(dataset, name)) for name in names), np.uint64, len(names))


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


class Destination(ABC):
    """What takes rows; `label` names it in messages, `name` is that of its table or collection.

    Every method raises DatasetError where it cannot be opened or written.
    """

    label: str
    name: str

    @abstractmethod
    def open(self, schema: Any, *, overwrite: bool) -> None:
        """Make or open what the rows go into; with `overwrite`, without what it has held."""

    @abstractmethod
    def add(self, rows: Any) -> None:
        """Write rows, in place of earlier ones with their ids."""

    @abstractmethod
    def finish(self, rows: int) -> list[str]:
        """Complete it, after so many rows; what the caller should know."""

    def close(self) -> None:  # noqa: B027 (only some hold a connection)
        """Disconnect."""

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except DatasetError:
            raise
        except Exception as error:  # client libraries raise errors of their own
            raise DatasetError(f"{self.label}: cannot {verb} it: {first_line(error, 200)}") from error

    def _surplus(self, count: int, rows: int) -> list[str]:
        if count <= rows:
            return []
        return [f"{self.label}: '{printable(self.name)}' holds {count - rows:,} rows that are not of this data set"]


class ParquetFiles(Destination):
    """A file for each table of rows, in a folder or an object store; those of an earlier export are replaced."""

    def __init__(self, location: str) -> None:
        self.label, self.name = printable(location), "part_*.parquet"
        self._folder: Folder = open_folder(location)
        self._parts = 0

    def open(self, schema: Any, *, overwrite: bool) -> None:
        """Refuse a folder with other files, unless they are to stay beside these."""
        import_parquet()
        others = [name for name in self._folder.list_names() if not _PART.fullmatch(name) and name != STATE_FOLDER]
        if others and not overwrite:
            raise DatasetError(f"{self.label}: it holds other files, such as {printable(min(others), 60)}")
        self._schema = schema

    def add(self, rows: Any) -> None:
        """Write the next file."""
        with self._folder.scratch() as scratch, self._errors("write to"):
            made = scratch / "part.parquet"
            import_parquet().write_table(rows, made)
            self._folder.publish(made, _part_name(self._parts))
        self._parts += 1

    def finish(self, rows: int) -> list[str]:  # noqa: ARG002 (as above)
        """Remove files that an earlier, longer export has left."""
        own = {_part_name(number) for number in range(self._parts)}
        for name in self._folder.list_names():
            if _PART.fullmatch(name) and name not in own:
                self._folder.remove(name)
        if not self._folder.list_names(STATE_FOLDER):  # in which files were made
            self._folder.remove(STATE_FOLDER)
        return []


def _part_name(number: int) -> str:
    return f"part_{number:05d}.parquet"


class LanceTable(Destination):
    """A table of LanceDB, in a folder or an object store."""

    def __init__(self, location: str, name: str) -> None:
        self.label, self.name = printable(location), name
        self._location = location

    def open(self, schema: Any, *, overwrite: bool) -> None:
        """Make the table, or open the one that is there, whose rows are kept unless they are written again."""
        with requires("lance", "LanceDB needs lancedb"):
            import lancedb
        with self._errors("open"):
            database = lancedb.connect(self._location)
            self._new = overwrite or self.name not in _list_tables(database)
            if self._new:
                mode = "overwrite" if overwrite else "create"
                self._table: Any = database.create_table(self.name, schema=schema, mode=mode)
            else:
                self._table = database.open_table(self.name)
                if self._table.schema.names != schema.names or self._table.schema.field(VECTOR) != schema.field(VECTOR):
                    raise DatasetError(
                        f"{self.label}: its table '{printable(self.name)}' has other columns, or vectors of another "
                        "length",
                        hint="give another name, or overwrite it",
                    )

    def add(self, rows: Any) -> None:
        """Append rows, or merge them by their ids into what is there."""
        with self._errors("write to"):
            if self._new:
                self._table.add(rows)
            else:
                merge = self._table.merge_insert(ID).when_matched_update_all().when_not_matched_insert_all()
                merge.execute(rows)

    def finish(self, rows: int) -> list[str]:
        """Count the rows."""
        with self._errors("read"):
            return self._surplus(self._table.count_rows(), rows)


def _list_tables(database: Any) -> list[str]:
    """The names of all tables of LanceDB, which lists them in pages."""
    names: list[str] = []
    while page := list(database.table_names(page_token=names[-1] if names else None, limit=1000)):
        names += page
    return names


class QdrantCollection(Destination):
    """A collection of Qdrant: a server's, whose key is in `QDRANT_API_KEY`, or one in a folder, by its local mode."""

    def __init__(self, location: str, name: str) -> None:
        self.label, self.name = printable(location), name
        self._location = location
        self._client: Any = None

    def open(self, schema: Any, *, overwrite: bool) -> None:
        """Make the collection, or open the one that is there, whose points are kept unless they are written again."""
        with requires("qdrant", "Qdrant needs qdrant-client"):
            from qdrant_client import QdrantClient, models
        self._models, size = models, schema.field(VECTOR).type.list_size
        with self._errors("open"):
            if "://" in self._location:
                self._client = QdrantClient(url=self._location, api_key=os.environ.get("QDRANT_API_KEY") or None)
            else:
                self._client = QdrantClient(path=self._location)
            there = self._client.collection_exists(self.name)
            if there and overwrite:
                self._client.delete_collection(self.name)
            if overwrite or not there:
                shape = models.VectorParams(size=size, distance=models.Distance.COSINE)
                self._client.create_collection(self.name, vectors_config=shape)
                return
            shape = self._client.get_collection(self.name).config.params.vectors
            if getattr(shape, "size", None) != size or getattr(shape, "distance", None) != models.Distance.COSINE:
                raise DatasetError(
                    f"{self.label}: its collection '{printable(self.name)}' does not hold single vectors of {size} "
                    "numbers that are compared by cosine",
                    hint="give another name, or overwrite it",
                )

    def add(self, rows: Any) -> None:
        """Write points, with what is known of each row as its payload."""
        for batch in rows.to_batches(max_chunksize=POINTS_PER_REQUEST):
            points = [_to_point(self._models, values) for values in batch.to_pylist()]
            with self._errors("write to"):
                self._client.upsert(self.name, points)

    def finish(self, rows: int) -> list[str]:
        """Count the points."""
        with self._errors("read"):
            return self._surplus(self._client.count(self.name, exact=True).count, rows)

    def close(self) -> None:
        """Disconnect, which gives a folder free."""
        if self._client is not None:
            self._client.close()


def _to_point(models: Any, values: dict[str, Any]) -> Any:
    number, vector = values.pop(ID), values.pop(VECTOR)
    payload = {name: value for name, value in values.items() if value is not None}
    if "facts" in payload:
        payload["facts"] = json.loads(payload["facts"])
    return models.PointStruct(id=number, vector=vector, payload=payload)


def open_destination(to: str, output: str | None, name: str) -> tuple[str, Destination]:
    """The kind of what `to` names, "parquet", "lance" or "qdrant", and what takes the rows there.

    `output` is a folder or an address, which all need but a server of Qdrant (`qdrant://HOST:PORT/COLLECTION`, or
    `qdrant+https://`). Raises UsageError for anything else.
    """
    kind, scheme, _ = to.partition("://")
    if scheme and kind in ("qdrant", "qdrant+https"):
        parts = urlsplit(to)
        if not parts.hostname:
            raise UsageError("no host in the address", parameter="to", value=to)
        if output is not None:
            raise UsageError("goes without a server's address", parameter="output", value=output)
        protocol = "https" if kind == "qdrant+https" else "http"
        port = parts.port or (443 if protocol == "https" else 6333)
        return "qdrant", QdrantCollection(f"{protocol}://{parts.hostname}:{port}", parts.path.strip("/") or name)
    if to not in ("parquet", "lance", "qdrant"):
        raise UsageError(
            "unknown", parameter="to", value=to, hint="choose parquet, lance, qdrant or qdrant://HOST:PORT/COLLECTION"
        )
    if not output:
        raise UsageError("no folder to write to", parameter="output", hint=f"name the one for {to}")
    if to == "parquet":
        return to, ParquetFiles(output)
    if to == "lance":
        return to, LanceTable(output, name)
    if "://" in output:
        raise UsageError("Qdrant's local mode needs a folder of this machine", parameter="output", value=output)
    return to, QdrantCollection(output, name)
