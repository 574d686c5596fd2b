"""A table (CSV, TSV, JSON lines, Parquet) → its columns and its rows, read one at a time, broken ones as errors."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from clipsim.errors import DataError, ImageError, TransientError, printable, quote_some, requires
from clipsim.inputs.parquet_images import ParquetImage
from clipsim.inputs.paths import has_image_suffix
from clipsim.inputs.sources import Source
from clipsim.inputs.urls import file_suffix, is_url, open_location

if TYPE_CHECKING:
    from typing_extensions import Self


IMAGE_COLUMNS = ("image", "file_name", "filepath", "path", "filename", "image_path")
# where none of these is there: image files as img2dataset writes them, and addresses
SOURCE_COLUMNS = (*IMAGE_COLUMNS, "jpg", "jpeg", "png", "webp", "image_url", "url")
MAX_LINE_LENGTH = 1 << 20  # characters of a line, and of the lines of one row
_DELIMITERS = ",\t;"
_QUOTED = re.compile(r'(?:[^"]+|"")*')
_LINE_ENDS = ("\n", "\r")
_TOO_LONG = f"the line exceeds the limit of {MAX_LINE_LENGTH:,} characters"
_BATCH_ROWS, _BATCH_ROWS_WITH_FILES = 1024, 64  # of Parquet, that are in memory at once
_MAX_BROKEN_START = 1000  # lines of JSON before the first object


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number as a reader of the file counts, and its values by column, or what is wrong with it."""

    number: int
    values: Mapping[str, Any]
    error: str | None = None


@dataclass(frozen=True)
class RowTable:
    """An open table; a context manager that closes its file.

    `open_image`, where there is one, makes the source of an image whose file is in a row, from its name, the row and
    the column: the file is read again when it is needed. `class_names` are the names of all classes of a column, in
    order, where they are known.

    `read` takes the names of the columns to read, that of the images first, and yields the rows, once; their values may
    have other columns too. A table that cannot be read to its end has a last row with the error. `plain_columns` are
    those that do not hold bytes, vectors or records.
    """

    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Iterator[Row]]
    file: BinaryIO | None = None
    plain_columns: tuple[str, ...] = ()
    open_image: Callable[[str, Row, str], Source] | None = None
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)

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
    Every line that is not blank is part of a row that is given, or of one with an error.

    Raises DataError, naming the cause but not the table, where it cannot be opened, is empty or has no rows of its
    kind; MissingPackageError for Parquet without pyarrow and for addresses without fsspec.
    """
    try:
        file = open_location(name, sequential=True)
    except TransientError as error:
        raise TransientError(f"{printable(name)}: {error}") from error
    except ImageError as error:
        raise DataError(f"cannot read it: {error}") from error
    try:
        table = _READERS.get(file_suffix(name), _open_delimited)(file)
    except ImageError as error:
        file.close()
        raise DataError(str(error)) from error
    except BaseException:
        file.close()
        raise
    open_image = _parquet_opener(name) if file_suffix(name) == ".parquet" else None
    return replace(table, file=file, open_image=open_image)


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


def check_columns(columns: Sequence[str], names: Sequence[str]) -> None:
    """Raise DataError for a column of `names` that a table has more than once."""
    for name in names:
        if columns.count(name) > 1:
            raise DataError(f"it has {columns.count(name)} columns '{printable(name, 40)}'; rename all but one")


def name_columns(columns: Sequence[str]) -> str:
    """Columns as a message names them: the first dozen, escaped."""
    return quote_some(columns, most=12, width=30) or "none"


def _read_lines(file: BinaryIO) -> Iterator[str | None]:
    """Lines with their ends (LF, CR LF or a lone CR); None in place of one that exceeds `MAX_LINE_LENGTH`.

    Raises ImageError for UTF-16, and where the file cannot be read.
    """
    start = file.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise ImageError("the text is UTF-16; save the file as UTF-8")
    file.seek(0)
    text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    try:
        while line := text.readline(MAX_LINE_LENGTH):
            if len(line) < MAX_LINE_LENGTH or line.endswith(_LINE_ENDS):
                yield line
                continue
            while line and not line.endswith(_LINE_ENDS):
                line = text.readline(MAX_LINE_LENGTH)
            yield None
    finally:
        with suppress(ValueError):  # the table is closed
            text.detach()  # else it closes the file


def _open_delimited(file: BinaryIO) -> RowTable:
    lines = _Lines(_read_lines(file))
    header = next((line for line in lines if line is None or line.strip()), "")
    if not header:
        raise ImageError(_TOO_LONG if header is None else "the file is empty")
    delimiter = max(_DELIMITERS, key=header.count)
    try:
        columns = tuple(name.strip() for name in _split_values((header,), delimiter))
    except _QuoteError as error:
        raise ImageError(f"not a table ({error})") from error
    return RowTable(
        columns, lambda names: _DelimitedRows(lines, columns, delimiter, names).read(), plain_columns=columns
    )


class _Lines:
    """Lines that can be put back, and the number of the one that was given last, from 1."""

    def __init__(self, lines: Iterator[str | None]) -> None:
        self._lines = lines
        self._back: list[str | None] = []
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str | None:
        line = self._back.pop() if self._back else next(self._lines)
        self.number += 1
        return line

    def put_back(self, lines: Sequence[str | None]) -> None:
        """Give these lines again, next."""
        self._back += reversed(lines)
        self.number -= len(lines)


class _DelimitedRows:
    """The rows of a delimited table. Each line is part of one row, which is read or named.

    A quoted value may contain line ends. One whose next line is a row of its own is taken for a stray quote: its first
    line alone is the row that cannot be used, or, where tabs separate the values, its quotes are part of the text.
    """

    def __init__(self, lines: _Lines, columns: Sequence[str], delimiter: str, columns_read: Sequence[str]) -> None:
        self._lines, self._columns, self._delimiter = lines, columns, delimiter
        self._image = columns.index(columns_read[0]) if columns_read else 0

    def read(self) -> Iterator[Row]:
        """The rows, in order."""
        while True:
            try:
                line = next(self._lines)
            except StopIteration:
                return
            except ImageError as error:
                yield Row(self._lines.number + 1, {}, f"{error}; the rest of the table is not read")
                return
            number = self._lines.number
            if line is None:
                yield Row(number, {}, _TOO_LONG)
            elif line.strip():
                yield self._read_row(number, line)

    def _read_row(self, number: int, line: str) -> Row:
        taken = [line]
        try:
            values = _split_values(self._take(line, taken), self._delimiter)
        except (_QuoteError, ImageError) as error:
            self._lines.put_back(taken[1:])
            if self._delimiter != "\t":
                return Row(number, {}, f"not a row of the table ({error})")
            taken, values = [line], line.rstrip("\r\n").split("\t")
        if len(values) != len(self._columns):
            where = f" in lines {number:,} to {number + len(taken) - 1:,}" if len(taken) > 1 else ""
            return Row(number, {}, f"{len(values)} values for {len(self._columns)} columns{where}")
        return Row(number, dict(zip(self._columns, values, strict=True)))

    def _take(self, line: str, taken: list[str]) -> Iterator[str]:
        """The line, and those after it as a quoted value takes them; `taken` collects them."""
        yield line
        length = len(line)
        for following in self._lines:
            length += len(following or "")
            if following is None or length > MAX_LINE_LENGTH:
                self._lines.put_back([following])
                raise _QuoteError(f"a quote is not closed within {MAX_LINE_LENGTH:,} characters")
            if self._is_row(following, line):
                self._lines.put_back([following])
                raise _QuoteError("a quote is not closed before the next row")
            taken.append(following)
            yield following

    def _is_row(self, line: str, first: str) -> bool:
        """Whether a line reads as a row of its own: as many values as columns, one of them an image's name."""
        try:
            values = _split_values((line,), self._delimiter)
        except _QuoteError:
            values = line.rstrip("\r\n").split(self._delimiter)
        if len(values) != len(self._columns) or not (name := values[self._image].strip()):
            return False
        if has_image_suffix(name) or is_url(name) or ("/" in name and " " not in name):
            return True
        return _shape(name) == _shape(first.split(self._delimiter)[0]) if self._image == 0 else False


class _QuoteError(Exception):
    """A value begins with a quote and does not end with one."""


def _split_values(lines: Iterable[str], delimiter: str) -> list[str]:
    r"""The values of one row (RFC 4180), from as many lines as its quoted values take. Raises _QuoteError.

    >>> _split_values(['a,"b, ""c""\n', 'd",12"\n'], ",")
    ['a', 'b, "c"\nd', '12"']
    """
    values: list[str] = []
    quoted: list[str] | None = None  # the parts of a value whose quote is open
    for line in lines:
        index = 0
        while True:
            if quoted is None and not line.startswith('"', index):
                end = line.find(delimiter, index)
                if end < 0:
                    return [*values, line[index:].rstrip("\r\n")]
                values.append(line[index:end])
                index = end + 1
                continue
            index += quoted is None
            text = _QUOTED.match(line, index)
            assert text is not None
            quoted = [*(quoted or ()), text[0]]
            index = text.end() + 1
            if index > len(line):
                break
            values.append("".join(quoted).replace('""', '"'))
            quoted = None
            if not line[index:].rstrip("\r\n"):
                return values
            if not line.startswith(delimiter, index):
                raise _QuoteError("there is text behind a closing quote")
            index += 1
    raise _QuoteError("a quote is not closed")


def _shape(name: str) -> str:
    """A name without what differs between numbered names."""
    return re.sub(r"[0-9]+", "0", name.strip())


def _open_json_lines(file: BinaryIO) -> RowTable:
    rows = _json_rows(_read_lines(file))
    start: list[Row] = []
    for row in rows:
        start.append(row)
        if row.error is None:
            columns = tuple(row.values)
            return RowTable(columns, lambda _: chain(start, rows), plain_columns=columns)
        if len(start) == _MAX_BROKEN_START:
            break
    if not start:
        raise ImageError("the file is empty")
    raise ImageError(f"not a table: row {start[0].number}: {start[0].error}")


def _json_rows(lines: Iterator[str | None]) -> Iterator[Row]:
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
        if line is None:
            yield Row(number, {}, _TOO_LONG)
            continue
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


def _open_parquet(file: BinaryIO) -> RowTable:
    with requires("embed", "Parquet tables need pyarrow"):
        import pyarrow.parquet
    try:
        table = pyarrow.parquet.ParquetFile(file)
        columns = tuple(table.schema_arrow.names)
        plain = tuple(field.name for field in table.schema_arrow if not _is_heavy(field.type))
    except Exception as error:  # pyarrow raises OSError, ValueError and their families, and others of its own
        raise ImageError(f"not a Parquet table, or damaged: {printable(str(error), 120)}") from error
    classes = _class_names(table.schema_arrow.metadata)
    return RowTable(
        columns, lambda names: _parquet_rows(table, names, classes), plain_columns=plain, class_names=classes
    )


def _is_heavy(kind: Any) -> bool:
    """Whether a type of pyarrow is one of bytes, records or lists."""
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_nested(kind))


def _parquet_opener(name: str) -> Callable[[str, Row, str], Source]:
    return lambda image, row, column: ParquetImage(image, name, column, row.number - 1)


def _parquet_rows(table: Any, columns_read: Sequence[str], classes: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    number = 0
    try:
        files = any("binary" in str(table.schema_arrow.field(column).type) for column in columns_read)
        rows = _BATCH_ROWS_WITH_FILES if files else _BATCH_ROWS
        for batch in table.iter_batches(batch_size=rows, columns=list(columns_read)):
            for values in batch.to_pylist():
                number += 1
                named = {column: name_classes(values[column], classes[column]) for column in classes.keys() & values}
                yield Row(number, values | named)
    except Exception as error:  # as above
        yield Row(number + 1, {}, f"damaged ({printable(str(error), 120)}); the rest of the table is not read")


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """The names behind the numbers of the columns of classes, as the package datasets writes them into a table."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        named = {column: feature.get("feature", feature) for column, feature in features.items()}
        return {column: list(one["names"]) for column, one in named.items() if one.get("_type") == "ClassLabel"}
    except (LookupError, ValueError, TypeError, AttributeError):
        return {}


def name_classes(value: Any, names: Sequence[str]) -> Any:
    """The name of the class of a number, or those of a list of numbers; what is no such number stays as it is.

    >>> name_classes([0, 1], ["cat", "dog"]), name_classes(7, ["cat", "dog"])
    (['cat', 'dog'], 7)
    """
    if isinstance(value, list | tuple):
        return [name_classes(one, names) for one in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


_READERS: dict[str, Callable[[BinaryIO], RowTable]] = {
    ".jsonl": _open_json_lines,
    ".ndjson": _open_json_lines,
    ".parquet": _open_parquet,
}
