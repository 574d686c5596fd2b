"""Vectors and the metadata of their images → one shard of a data set, complete and verified, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from clipsim.errors import DatasetError, printable
from clipsim.store.arrays import ArrayFile
from clipsim.store.folders import Folder
from clipsim.store.layout import STATE_FOLDER, find_shards, numpy_dtype, shard_name
from clipsim.store.metadata import MetadataFile, Row

if TYPE_CHECKING:
    from typing_extensions import Self

    from clipsim.scoring.similarity import Vectors


@dataclass(frozen=True)
class ShardRecord:
    """The outcome of a shard: how many images and captions have a vector, and each failed input with its cause."""

    images: int
    captions: int
    failures: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> bytes:
        """The content of the record's file."""
        return json.dumps(asdict(self)).encode() + b"\n"


def record_name(shard: int) -> str:
    """The name of the file of a shard's record.

    >>> record_name(3)
    '.clipsim/shard_0003.json'
    """
    return f"{STATE_FOLDER}/shard_{shard:04d}.json"


def read_record(folder: Folder, shard: int) -> ShardRecord | None:
    """The record of a shard; None where it is missing or damaged."""
    try:
        found = json.loads(folder.read(record_name(shard)) or b"")
        failures = tuple((str(name), str(cause)) for name, cause in found["failures"])
        return ShardRecord(int(found["images"]), int(found["captions"]), failures)
    except (ValueError, KeyError, TypeError):
        return None


def find_missing(folder: Folder, shards: int) -> list[int]:
    """Those of the shards 0 to `shards` - 1 that are not complete."""
    there = set(find_shards(folder.list_names("metadata"))) if shards else set()
    books = set(folder.list_names(STATE_FOLDER)) if there else set()
    return [shard for shard in range(shards) if shard not in there or record_name(shard).split("/")[1] not in books]


class ShardWriter:
    """The files of one shard while they are written; a context manager that removes them unless they are published.

    `dimensions` is the length of the vectors, `dtype` "fp16" or "fp32". Every method raises DatasetError where the
    system refuses to write.
    """

    def __init__(self, folder: Folder, shard: int, *, dimensions: int, dtype: str, with_captions: bool) -> None:
        self._folder, self._shard = folder, shard
        self._dimensions, self._dtype, self._with_captions = dimensions, dtype, with_captions
        self._captions = 0
        self._failures: list[tuple[str, str]] = []
        self._files: list[ArrayFile | MetadataFile] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Open the files."""
        place: Path = self._open.enter_context(self._folder.scratch())
        dtype = numpy_dtype(self._dtype)
        try:
            with self._errors():
                self._images = ArrayFile(place / "img_emb.npy", self._dimensions, dtype)
                self._texts = None
                if self._with_captions:
                    self._texts = ArrayFile(place / "text_emb.npy", self._dimensions, dtype)
                self._metadata = MetadataFile(place / "metadata.parquet")
        except BaseException:
            self._open.close()
            raise
        self._files = [self._images, *([self._texts] if self._texts else []), self._metadata]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files, and remove those that were not published."""
        for file in self._files:
            with suppress(OSError, ValueError):
                file.close()
        self._open.close()

    def add(self, rows: Sequence[Row], images: Vectors, texts: Vectors | None = None) -> None:
        """Append k images: their rows, (k, d) unit vectors, and with captions the (k, d) vectors of the captions."""
        with self._errors():
            self._images.add(images)
            self._metadata.add(rows)
            if self._texts is not None and texts is not None:
                self._texts.add(texts)
                self._captions += sum(row.caption is not None for row in rows)

    def add_failure(self, name: str, cause: str) -> None:
        """Record an input that could not be used."""
        self._failures.append((name, cause))

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
        record = ShardRecord(self._images.rows, self._captions, tuple(self._failures))
        self._folder.write(record_name(self._shard), record.to_json())
        for file in self._files:
            self._folder.publish(file.path, shard_name(file.path.stem, self._shard))
        return record

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DatasetError as error:
            if str(error).startswith(self._folder.shown):
                raise
            raise DatasetError(f"{self._folder.shown}: shard {self._shard}: {error}") from error
        except (OSError, ValueError) as error:  # of which pyarrow's errors are
            said = getattr(error, "strerror", None) or printable(str(error), 160)
            raise DatasetError(f"{self._folder.shown}: cannot write shard {self._shard}: {said}") from error
