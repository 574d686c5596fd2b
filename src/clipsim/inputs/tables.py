"""A table with a column of paths (CSV, JSON lines, Parquet) → one `Source` a row, with its caption."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from clipsim.errors import ImageError, MissingPackageError, printable
from clipsim.inputs.captions import CAPTION_COLUMNS, MAX_TEXT_BYTES, find_caption
from clipsim.inputs.rows import MAX_FIELD
from clipsim.inputs.sources import FailedSource, FileSource, Source
from clipsim.inputs.urls import UrlSource, as_path, is_url, join_location, open_location, suffix_of

PATH_COLUMNS = ("image", "file_name", "filepath", "path", "image_path")
MAX_LINE_BYTES = 1 << 20
BATCH_ROWS = 1024
_SHOWN_COLUMNS = 12

Row = tuple[int, Mapping[str, Any] | str]  # its line or number, and its fields or what is wrong with it


def is_table(name: str) -> bool:
    """Whether a path or address is named like a table.

    >>> is_table("data/pictures.CSV"), is_table("data/pictures.jpg")
    (True, False)
    """
    return suffix_of(name) in _READERS


def read_table(name: str) -> Iterator[Source]:
    """The rows of a table in order, in bounded memory; paths are relative to the table's own place.

    A row without a usable path is a FailedSource named `TABLE:LINE`; what is wrong with the table itself is one under
    the table's name. Raises MissingPackageError for Parquet without pyarrow, and for addresses without fsspec.
    """
    try:
        with open_location(name, sequential=True) as file:
            column: str | None = None
            for number, fields in _READERS[suffix_of(name)](file):
                if isinstance(fields, str):
                    yield FailedSource(f"{name}:{number}", fields)
                    continue
                column = column or _find_column(fields)
                yield _source_of(name, number, fields, column)
    except ImageError as error:
        yield FailedSource(name, str(error))


def _find_column(fields: Mapping[str, Any]) -> str:
    """The name of the column of paths. Raises ImageError that names the columns there are."""
    for column in PATH_COLUMNS:
        if column in fields:
            return column
    there = ", ".join(printable(str(column), 40) for column in list(fields)[:_SHOWN_COLUMNS])
    more = ", …" if len(fields) > _SHOWN_COLUMNS else ""
    raise ImageError(f"no column of paths ({', '.join(PATH_COLUMNS)}); its columns are: {there or 'none'}{more}")


def _source_of(table: str, number: int, fields: Mapping[str, Any], column: str) -> Source:
    path = fields.get(column)
    place = f"{table}:{number}"
    if path is None or path == "":
        return FailedSource(place, f"no path in column '{column}'")
    if not isinstance(path, str):
        return FailedSource(place, f"column '{column}' holds {type(path).__name__}, not a path")
    caption = find_caption(fields)
    if caption is not None and len(caption) > MAX_TEXT_BYTES:
        return FailedSource(
            place, f"a caption of {len(caption):,} characters, more than the limit of {MAX_TEXT_BYTES:,}"
        )
    location = join_location(table, path)
    if is_url(location):
        return UrlSource(location, caption=caption)
    return FileSource(as_path(location), caption=caption)


def _read_lines(file: BinaryIO) -> Iterator[str]:
    """Lines of text; bytes that are not UTF-8 become surrogates. Raises ImageError for a line without end."""
    start = codecs.BOM_UTF8
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            raise ImageError(f"not a table: a line exceeds the limit of {MAX_LINE_BYTES:,} bytes")
        yield line.removeprefix(start).decode("utf-8", "surrogateescape")
        start = b""


def _read_csv(file: BinaryIO, delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(MAX_FIELD)
    rows = csv.reader(_read_lines(file), delimiter=delimiter)
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise ImageError(f"not a table: {error}") from error
    names = [name.strip() for name in header]
    _find_column(dict.fromkeys(names))
    while True:
        try:
            values = next(rows, None)
        except csv.Error as error:
            yield rows.line_num, f"a damaged row: {error}"
            continue
        if values is None:
            return
        if values:  # an empty line is none
            yield rows.line_num, dict(zip(names, values, strict=False))


def _read_tsv(file: BinaryIO) -> Iterator[Row]:
    return _read_csv(file, "\t")


def _read_json_lines(file: BinaryIO) -> Iterator[Row]:
    for number, line in enumerate(_read_lines(file), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"not JSON: {printable(str(error), 80)}"
            continue
        yield number, fields if isinstance(fields, dict) else "not a JSON object"


def _read_parquet(file: BinaryIO) -> Iterator[Row]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError("Parquet tables need pyarrow: pip install 'clipsim[embed]'") from error
    try:
        table = pyarrow.parquet.ParquetFile(file)
        there = table.schema_arrow.names
        wanted = [name for name in there if name in (*PATH_COLUMNS, *CAPTION_COLUMNS)]
        _find_column(dict.fromkeys(there))
        number = 0
        for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
            for fields in batch.to_pylist():
                number += 1
                yield number, fields
    except ImageError:
        raise
    except Exception as error:  # pyarrow raises OSError, ValueError and their families, and others of its own
        raise ImageError(f"not a Parquet table, or damaged: {printable(str(error), 120)}") from error


_READERS: dict[str, Callable[[BinaryIO], Iterable[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
