"""Vectors and metadata, batch by batch → the files of one shard, verified before they take their place."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError, printable
from clipsim.files import digest_file, unescape_name
from clipsim.store.folders import DigestFile, Folder
from clipsim.store.layout import (
    KINDS,
    STATE_FOLDER,
    DatasetInfo,
    FileInfo,
    Files,
    from_sealed_json,
    import_parquet,
    numpy_dtype,
    read_files,
    shard_name,
    shard_names,
    to_sealed_json,
)
from clipsim.store.metadata import MetadataFile, Row, StoredVectors

CHECKED_ROWS = 65_536


class ArrayFile:
    """An .npy file of (n, d) rows while it is written. Raises OSError where the system refuses to write."""

    def __init__(self, path: Path, dimensions: int, dtype: np.dtype[Any]) -> None:
        self.path, self.rows = path, 0
        self._dimensions, self._dtype = dimensions, dtype
        self._file = path.open("wb")
        self._file.write(self._header())

    def add(self, block: NDArray[np.floating[Any]]) -> None:
        """Append (k, d) rows."""
        self._file.write(np.ascontiguousarray(block, self._dtype).tobytes())
        self.rows += len(block)

    def close(self) -> None:
        """Write the number of rows into the header, and close."""
        if not self._file.closed:
            self._file.seek(0)
            self._file.write(self._header())
            self._file.close()

    def check(self) -> None:
        """Read the closed file back. Raises DatasetError where it is not the rows that were added, or not finite."""
        array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        if array.shape != (self.rows, self._dimensions) or array.dtype != self._dtype:
            raise DatasetError(f"{array.shape} {array.dtype} were written, not {(self.rows, self._dimensions)}")
        for start in range(0, self.rows, CHECKED_ROWS):
            if not np.isfinite(array[start : start + CHECKED_ROWS]).all():
                raise DatasetError("a vector that was written is not finite")

    def _header(self) -> bytes:
        """As `numpy.save` writes it; NumPy pads it so that its length does not depend on the number of rows."""
        buffer = io.BytesIO()
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.rows, self._dimensions)}
        np.lib.format.write_array_header_1_0(buffer, header)
        return buffer.getvalue()


RECORD_SCHEMA = "clipsim.shard/1"


class FailedInput(NamedTuple):
    """An input without a vector, the cause, and the kind of the failure: one of `FAILURE_KINDS`."""

    name: str
    cause: str
    kind: str = "unknown"


@dataclass(frozen=True)
class ShardRecord:
    """The outcome of a shard: its images and captions with a vector, its files, and each failed input and its cause.

    `plan` is the digest of the inputs that it was made of. `retry` is how many inputs an earlier version could not
    read, and did not name.
    """

    images: int
    captions: int
    failures: tuple[FailedInput, ...] = ()
    files: Files = field(default_factory=dict)
    retry: int = 0
    plan: str = ""

    def to_json(self) -> str:
        """The text of the record's file."""
        return to_sealed_json({"schema": RECORD_SCHEMA, **asdict(self)})


def record_name(shard: int) -> str:
    """The name of the file of a shard's record.

    >>> record_name(3)
    '.clipsim/shard_0003.json'
    """
    return f"{STATE_FOLDER}/shard_{shard:04d}.json"


def read_record(folder: Folder, shard: int) -> ShardRecord | None:
    """The record of a shard; None where it is missing, damaged or that of another shard."""
    try:
        values = from_sealed_json((folder.read(record_name(shard)) or b"").decode(), RECORD_SCHEMA)
        failures = tuple(FailedInput(*map(str, failure)) for failure in values["failures"])
        record = ShardRecord(
            int(values["images"]),
            int(values["captions"]),
            failures,
            read_files(values["files"]),
            int(values.get("retry", 0)),
            str(values["plan"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if shard_name("metadata", shard) in record.files else None


def find_made(folder: Folder, info: DatasetInfo) -> dict[int, ShardRecord]:
    """The records of the shards of an incomplete data set that are there, by their numbers.

    One that was being replaced when the run was interrupted is not.
    """
    sizes = {} if info.replaces else _sizes(folder)
    made = {}
    for shard in range(info.shards):
        record = read_record(folder, shard) if shard_name("metadata", shard) in sizes else None
        if record is not None and all(sizes.get(name) == known.bytes for name, known in record.files.items()):
            made[shard] = record
    return made


def _sizes(folder: Folder) -> dict[str, int]:
    """The size of each file of all shards, by its name."""
    return {f"{kind}/{name}": size for kind in KINDS for name, size in folder.sizes(kind).items()}


@dataclass(frozen=True)
class ShardState:
    """A shard as it is there: its inputs that failed, by the kind of failure, and what is wrong with it.

    `problem` is None where nothing is, and "" where the shard has not been made of these inputs.
    """

    problem: str | None = None
    failures: Mapping[str, int] = field(default_factory=dict)


def check_shards(
    folder: Folder, info: DatasetInfo, shards: Iterable[int], digest: DigestFile | None = None
) -> dict[int, ShardState]:
    """The states of some shards, whose records are read once.

    The sizes of all files are compared with what was written; with `digest`, which finds that of a file on this
    machine, their content too.
    """
    sizes = _sizes(folder)
    records = set(folder.list_names(STATE_FOLDER))
    states = {}
    for shard in shards:
        made = record_name(shard).partition("/")[2] in records
        record = read_record(folder, shard) if made else None
        if record is not None:
            problem = _find_problem(folder, info, shard, record, sizes, digest)
            states[shard] = ShardState(problem, Counter(failure.kind for failure in record.failures))
        elif made or info.complete:
            states[shard] = ShardState(f"{record_name(shard)} is {'damaged' if made else 'missing'}")
        else:
            states[shard] = ShardState("")
    return states


def _find_problem(
    folder: Folder,
    info: DatasetInfo,
    shard: int,
    record: ShardRecord,
    sizes: dict[str, int],
    digest: DigestFile | None,
) -> str | None:
    """The `problem` of a shard's state."""
    names = shard_names(shard, with_captions=info.with_captions, with_parquet=info.with_parquet)
    if set(record.files) != set(names):
        return f"{record_name(shard)} is damaged"
    if record.retry or record.plan != info.plan[shard].sha256:
        return ""
    if info.complete and any(record.files[name] != info.files.get(name) for name in names):
        return f"{record_name(shard)} is of another data set"
    if names[-1] not in sizes and not info.complete:
        return ""  # interrupted before the last file was moved into place
    problems = (_problem(folder, name, record.files[name], sizes, digest) for name in names)
    return next(filter(None, problems), None)


def _problem(folder: Folder, name: str, recorded: FileInfo, sizes: dict[str, int], digest: DigestFile | None) -> str:
    """What is wrong with a file of a shard; "" where nothing is."""
    if name not in sizes:
        return f"{name} is missing"
    if sizes[name] != recorded.bytes:
        return f"{name} has {sizes[name]:,} bytes, not {recorded.bytes:,}"
    if digest is not None and folder.digest(name, digest) != recorded.sha256:
        return f"the content of {name} has changed"
    return ""


class EarlierShard:
    """The rows of a shard as it was made before, which a new one can take over: `find` gives the row of an image.

    `images` and `texts` are (n, d); `texts` is None where captions are not embedded. `failures` has the inputs that
    failed by their names, where the shard was made of the same inputs, none of which has changed since.
    """

    def __init__(
        self,
        rows: Sequence[Row] = (),
        images: StoredVectors | None = None,
        texts: StoredVectors | None = None,
        failures: Mapping[str, FailedInput] | None = None,
    ) -> None:
        self._rows, self.failures = rows, failures or {}
        self._images = np.empty((0, 0), np.float32) if images is None else images
        self._texts = texts
        self._positions: dict[str, list[int]] = {}
        for position, row in enumerate(rows):
            self._positions.setdefault(row.image_path, []).append(position)

    def find(self, name: str, caption: str | None) -> int | None:
        """The position of an image of that name, one with that caption where there are several; None without any."""
        positions = self._positions.get(name, [])
        alike = [position for position in positions if self._rows[position].caption == caption]
        return next(iter(alike or positions), None)

    def row(self, position: int) -> Row:
        """The metadata of a row."""
        return self._rows[position]

    def images(self, positions: Sequence[int]) -> StoredVectors:
        """(k, d): the vectors of k rows, as they are on the disk."""
        vectors: StoredVectors = self._images[list(positions)]
        return vectors

    def texts(self, positions: Sequence[int]) -> StoredVectors | None:
        """(k, d): the vectors of the captions of k rows; None where captions are not embedded."""
        return None if self._texts is None else self._texts[list(positions)]


def read_earlier_shard(folder: Folder, shard: int, info: DatasetInfo) -> EarlierShard:
    """A shard as it was made before; an empty one where it was not made, or one of its files is damaged."""
    names = shard_names(shard, with_captions=info.with_captions, with_parquet=info.with_parquet)
    record = read_record(folder, shard)
    if record is None or set(record.files) != set(names):
        return EarlierShard()
    if any(folder.digest(name, digest_file) != known.sha256 for name, known in record.files.items()):
        return EarlierShard()
    images, *others = [
        np.load(io.BytesIO(folder.read(name) or b""), allow_pickle=False) for name in names[: -1 - info.with_parquet]
    ]
    metadata = io.BytesIO(folder.read(names[-1]) or b"")
    fields = [field.name for field in dataclass_fields(Row)]
    table = import_parquet().ParquetFile(metadata).read(columns=fields)
    rows = [Row(**{**values, "image_path": unescape_name(values["image_path"])}) for values in table.to_pylist()]
    same_inputs = record.plan == info.plan[shard].sha256 and not record.retry
    failures = {failure.name: failure for failure in record.failures} if same_inputs else None
    return EarlierShard(rows, images, others[0] if info.with_captions else None, failures)


@contextmanager
def open_shard(
    folder: Folder, shard: int, info: DatasetInfo, on_ready: Callable[[], None] = lambda: None
) -> Iterator[ShardWriter]:
    """The files of a shard, which are removed at the end unless they have been published.

    `on_ready` is called when the files are complete and verified, before they are moved into place.
    """
    with folder.scratch() as scratch:
        writer = ShardWriter(folder, shard, info, scratch, on_ready)
        try:
            yield writer
        finally:
            writer.close()


class ShardWriter:
    """The files of one shard while they are written. Raises DatasetError where the system refuses to write."""

    def __init__(
        self, folder: Folder, shard: int, info: DatasetInfo, scratch: Path, on_ready: Callable[[], None]
    ) -> None:
        self._folder, self._shard, self._on_ready = folder, shard, on_ready
        self._plan = info.plan[shard].sha256
        self._captions = 0
        self._failures: list[FailedInput] = []
        dtype = numpy_dtype(info.dtype)
        with self._errors():
            self._images = ArrayFile(scratch / "img_emb.npy", info.dimensions, dtype)
            self._texts = ArrayFile(scratch / "text_emb.npy", info.dimensions, dtype) if info.with_captions else None
            self._metadata = MetadataFile(scratch / "metadata.parquet", info.columns)
            self._table = None
            if info.with_parquet:
                self._table = MetadataFile(scratch / "vectors.parquet", info.columns, dimensions=info.dimensions)
        files = (self._images, self._texts, self._table, self._metadata)
        self._files: list[ArrayFile | MetadataFile] = [file for file in files if file is not None]

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            with suppress(OSError, ValueError):
                file.close()

    def add(self, rows: Sequence[Row], images: StoredVectors, texts: StoredVectors | None = None) -> None:
        """Append k images: their rows, (k, d) unit vectors, and with captions the (k, d) vectors of the captions."""
        with self._errors():
            self._images.add(images)
            self._metadata.add(rows)
            if self._table is not None:
                self._table.add(rows, images)
            if self._texts is not None and texts is not None:
                self._texts.add(texts)
                self._captions += sum(row.caption is not None for row in rows)

    def add_failure(self, failure: FailedInput) -> None:
        """Record an input that could not be used."""
        self._failures.append(failure)

    def publish(self) -> ShardRecord:
        """Close the files, verify them and move them into place; the metadata last, which makes the shard exist.

        Raises DatasetError where the rows that are read back are not those that were added, or not finite.
        """
        with self._errors():
            for file in self._files:
                file.close()
            for file in self._files:
                if file.rows != self._images.rows:
                    raise DatasetError(f"{file.rows:,} rows for {self._images.rows:,} vectors")
                file.check()
            names = {shard_name(file.path.stem, self._shard): file.path for file in self._files}
            files = {name: FileInfo(path.stat().st_size, digest_file(path)) for name, path in names.items()}
        record = ShardRecord(self._images.rows, self._captions, tuple(self._failures), files, plan=self._plan)
        self._on_ready()
        self._folder.write(record_name(self._shard), record.to_json().encode())
        for name, path in names.items():
            self._folder.publish(path, name)
        return record

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DatasetError as error:
            raise DatasetError(f"{self._folder.label}: shard {self._shard}: {error}") from error
        except (OSError, ValueError) as error:  # of which pyarrow's errors are
            cause = getattr(error, "strerror", None) or printable(str(error), 160)
            raise DatasetError(f"{self._folder.label}: cannot write shard {self._shard}: {cause}") from error
