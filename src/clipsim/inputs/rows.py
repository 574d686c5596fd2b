"""A table (CSV, TSV, JSON lines, Parquet) → its columns and its rows, read one at a time, broken ones as errors."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from clipsim.errors import DataError, ImageError, MissingPackageError, printable
from clipsim.inputs.urls import open_location, suffix_of

if TYPE_CHECKING:
    from typing_extensions import Self

IMAGE_COLUMNS = ("image", "file_name", "filepath", "path", "filename", "image_path")
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
MAX_LINE_BYTES = 1 << 20
_DELIMITERS = ",\t;"
_BATCH_ROWS = 1024  # of Parquet, that are in memory at once
_MAX_BROKEN_START = 1000  # lines of JSON before the first object
_MAX_SHOWN_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number as a reader of the file counts, and its values by column, or what is wrong with it."""

    number: int
    values: Mapping[str, Any]
    error: str | None = None


@dataclass(frozen=True)
class RowTable:
    """An open table; a context manager that closes its file.

    `read` takes the columns that are wanted and gives the rows, once; their values may have other columns too. A table
    that cannot be read to its end has a last row with the error.
    """

    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Iterator[Row]]
    file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """The table itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()


def read_table(name: str) -> RowTable:
    """Open the table at a path or an address, in bounded memory; its suffix says of what kind it is.

    `.jsonl` and `.ndjson` have an object a line, and the columns are the keys of the first object. `.parquet` is
    Parquet. Anything else is a header and a row a line, whose delimiter is a comma, tab or semicolon, whichever the
    header has most of. Text is UTF-8 with or without a byte-order mark; bytes that are not UTF-8 become surrogates.

    Raises DataError, naming the cause but not the table, where it cannot be opened, is empty or has no rows of its
    kind; MissingPackageError for Parquet without pyarrow and for addresses without fsspec.
    """
    try:
        file = open_location(name, sequential=True)
    except ImageError as error:
        raise DataError(f"cannot read it: {error}") from error
    try:
        columns, read = _READERS.get(suffix_of(name), _open_delimited)(file)
    except ImageError as error:
        file.close()
        raise DataError(str(error)) from error
    except BaseException:
        file.close()
        raise
    return RowTable(columns, read, file)


def rows_of_objects(values: Iterable[Any]) -> Iterator[Row]:
    """The rows of a list of JSON objects."""
    for number, value in enumerate(values, start=1):
        yield _object_row(number, value)


def choose_column(columns: Sequence[str], usual: Sequence[str]) -> str | None:
    """The first of the usual columns that is there, whatever its case; None for none of them.

    >>> choose_column(("Path", "text"), IMAGE_COLUMNS)
    'Path'
    """
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in usual if name in lower), None)


def name_columns(columns: Sequence[str]) -> str:
    """Columns as a message names them: the first dozen, escaped."""
    shown = ", ".join(f"'{printable(column, 30)}'" for column in columns[:_MAX_SHOWN_COLUMNS])
    more = len(columns) - _MAX_SHOWN_COLUMNS
    return (shown or "none") + (f" and {more} more" if more > 0 else "")


_Opened = tuple[tuple[str, ...], Callable[[Sequence[str]], Iterator[Row]]]


def _read_lines(file: BinaryIO) -> Iterator[str]:
    """Lines with their ends. Raises ImageError for one that is too long."""
    mark = codecs.BOM_UTF8
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            raise ImageError(f"a line exceeds the limit of {MAX_LINE_BYTES:,} bytes")
        yield line.removeprefix(mark).decode("utf-8", "surrogateescape")
        mark = b""


def _open_delimited(file: BinaryIO) -> _Opened:
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = _read_lines(file)
    start: list[str] = []  # blank lines, and the first of the header
    for line in lines:
        start = [*start[-1:], line] if not line.strip() and start else [*start, line]
        if line.strip():
            break
    else:
        raise ImageError("the file is empty")
    delimiter = max(_DELIMITERS, key=start[-1].count)
    reader = csv.reader(chain(start, lines), delimiter=delimiter, strict=True)
    try:
        header = next(values for values in reader if values)
    except csv.Error as error:
        raise ImageError(f"not a table ({error})") from error
    columns = tuple(name.strip() for name in header)
    return columns, lambda _: _delimited_rows(reader, columns)


def _delimited_rows(reader: Any, columns: Sequence[str]) -> Iterator[Row]:
    while True:
        number = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, {}, f"not a row of the table ({error})")
            continue
        except ImageError as error:
            yield Row(number, {}, f"{error}; the rest of the table is not read")
            return
        if not values:
            continue
        if len(values) != len(columns):
            yield Row(number, {}, f"{len(values)} values for {len(columns)} columns")
            continue
        yield Row(number, dict(zip(columns, values, strict=True)))


def _open_json_lines(file: BinaryIO) -> _Opened:
    rows = _json_rows(_read_lines(file))
    start: list[Row] = []
    for row in rows:
        start.append(row)
        if row.error is None:
            return tuple(row.values), lambda _: chain(start, rows)
        if len(start) == _MAX_BROKEN_START:
            break
    if not start:
        raise ImageError("the file is empty")
    raise ImageError(f"not a table: row {start[0].number}: {start[0].error}")


def _json_rows(lines: Iterator[str]) -> Iterator[Row]:
    number = 0
    while True:
        number += 1
        try:
            line = next(lines)
        except StopIteration:
            return
        except ImageError as error:
            yield Row(number, {}, f"{error}; the rest of the table is not read")
            return
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, {}, f"not JSON ({printable(str(error), 80)})")
            continue
        yield _object_row(number, value)


def _object_row(number: int, value: Any) -> Row:
    if not isinstance(value, dict):
        return Row(number, {}, f"not a JSON object but {type(value).__name__}")
    return Row(number, value)


def _open_parquet(file: BinaryIO) -> _Opened:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError("Parquet tables need pyarrow: pip install 'clipsim[embed]'") from error
    try:
        table = pyarrow.parquet.ParquetFile(file)
        columns = tuple(table.schema_arrow.names)
    except Exception as error:  # pyarrow raises OSError, ValueError and their families, and others of its own
        raise ImageError(f"not a Parquet table, or damaged: {printable(str(error), 120)}") from error
    return columns, lambda wanted: _parquet_rows(table, wanted)


def _parquet_rows(table: Any, wanted: Sequence[str]) -> Iterator[Row]:
    number = 0
    try:
        for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=list(wanted)):
            for values in batch.to_pylist():
                number += 1
                yield Row(number, values)
    except Exception as error:  # as above
        yield Row(number + 1, {}, f"damaged ({printable(str(error), 120)}); the rest of the table is not read")


_READERS: dict[str, Callable[[BinaryIO], _Opened]] = {
    ".jsonl": _open_json_lines,
    ".ndjson": _open_json_lines,
    ".parquet": _open_parquet,
}
