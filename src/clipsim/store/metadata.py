"""The metadata of images → the rows of a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipsim.errors import DatasetError
from clipsim.files import escape_name
from clipsim.store.layout import import_parquet

ROWS_PER_GROUP = 10_000


@dataclass(frozen=True)
class Row:
    """The metadata of one image.

    `facts` is a JSON object; `width` and `height` are those of the upright image; `sha256` is that of its file, in hex.
    """

    image_path: str
    caption: str | None = None
    facts: str | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None


class MetadataFile:
    """A Parquet file while it is written; memory holds at most `ROWS_PER_GROUP` rows.

    Raises OSError and ValueError, of which pyarrow's errors are.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow

        self.path, self.rows = path, 0
        self._kept: list[dict[str, Any]] = []
        text, number = pyarrow.string(), pyarrow.int32()
        self._schema = pyarrow.schema(
            [
                ("image_path", text),
                ("caption", text),
                ("facts", text),
                ("width", number),
                ("height", number),
                ("sha256", text),
                ("row", pyarrow.int64()),
            ]
        )
        self._writer = import_parquet().ParquetWriter(path, self._schema)

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows."""
        for row in rows:
            name = escape_name(row.image_path)  # Parquet text is UTF-8
            self._kept.append({**vars(row), "image_path": name, "row": self.rows})
            self.rows += 1
            if len(self._kept) == ROWS_PER_GROUP:
                self._write()

    def close(self) -> None:
        """Write what is kept, and close."""
        if self._writer.is_open:
            self._write()
            self._writer.close()

    def check(self) -> None:
        """Read the closed file's footer back. Raises DatasetError where it has another number of rows."""
        found = import_parquet().read_metadata(self.path).num_rows
        if found != self.rows:
            raise DatasetError(f"{found:,} rows of metadata were written, not {self.rows:,}")

    def _write(self) -> None:
        import pyarrow

        if self._kept:
            self._writer.write_table(pyarrow.Table.from_pylist(self._kept, schema=self._schema))
            self._kept = []
