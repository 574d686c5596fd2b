"""A column of a Parquet table that holds image files → sources, which read a file again when they are opened."""

from __future__ import annotations

import io
import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, BinaryIO

from clipsim.errors import ImageError, printable, requires
from clipsim.files import FileStamp
from clipsim.inputs.sources import Source
from clipsim.inputs.urls import as_path, open_location

KEPT_GROUPS = 2  # groups of rows in memory: threads read ahead, in about the order of the rows


class ParquetColumn:
    """The values of one column of a table, which are read a group of rows at a time; threads may share it."""

    def __init__(self, table: str, column: str) -> None:
        self.table, self.column = table, column
        self._lock = threading.Lock()
        self._ends: list[int] = []
        self._groups: OrderedDict[int, Any] = OrderedDict()

    def read(self, row: int) -> Any:
        """The value in a row, counted from 0. Raises ImageError where the table can no longer be read."""
        with self._lock:
            try:
                return self._read(row)
            except ImageError:
                raise
            except Exception as error:  # pyarrow raises OSError, ValueError and their families, and others of its own
                raise ImageError(f"cannot read its row of the table: {printable(str(error), 120)}") from error

    def _read(self, row: int) -> Any:
        group = bisect_right(self._ends, row)
        if not self._ends or group not in self._groups:
            with requires("embed", "Parquet tables need pyarrow"):
                import pyarrow.parquet
            with open_location(self.table) as file:
                reader = pyarrow.parquet.ParquetFile(file)
                counts = map(reader.metadata.row_group, range(reader.metadata.num_row_groups))
                self._ends = list(accumulate(one.num_rows for one in counts))
                group = bisect_right(self._ends, row)
                self._groups[group] = reader.read_row_group(group, columns=[self.column]).column(0)
            if len(self._groups) > KEPT_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        start = self._ends[group - 1] if group else 0
        return self._groups[group][row - start].as_py()


@lru_cache(maxsize=8)
def _open_column(table: str, column: str, _: object) -> ParquetColumn:
    """The column of a table, until its file changes."""
    return ParquetColumn(table, column)


def _stamp(table: str) -> object:
    with suppress(OSError, ValueError):
        return FileStamp.of(os.stat(as_path(table)))  # noqa: PTH116 (called for each image)
    return None


@dataclass(frozen=True, slots=True)
class ParquetImage(Source):
    """The image file in a row of a Parquet table: bytes, or bytes and a path as the package datasets writes them."""

    table: str
    column: str
    row: int  # counted from 0

    def open(self) -> BinaryIO:
        """Read the image file. Raises ImageError."""
        value = _open_column(self.table, self.column, _stamp(self.table)).read(self.row)
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise ImageError("its row of the table has no image file")
        return io.BytesIO(data)
