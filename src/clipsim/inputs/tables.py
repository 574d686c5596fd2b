"""A table with a column of paths → one `Source` a row, with its caption."""

from __future__ import annotations

from collections.abc import Iterator

from clipsim.errors import DataError
from clipsim.inputs.captions import CAPTION_COLUMNS, MAX_TEXT_BYTES, find_caption
from clipsim.inputs.rows import IMAGE_COLUMNS, Row, check_columns, choose_column, name_columns
from clipsim.inputs.rows import read_table as read_rows
from clipsim.inputs.sources import FailedSource, FileSource, Source
from clipsim.inputs.urls import UrlSource, as_path, is_url, join_location


def read_table(name: str) -> Iterator[Source]:
    """The rows of a table in order, in bounded memory; paths are relative to the table's own place.

    A row without a usable path is a FailedSource named `TABLE:ROW`; what is wrong with the table itself is one under
    the table's name. Raises MissingPackageError for Parquet without pyarrow, and for addresses without fsspec.
    """
    try:
        table = read_rows(name)
    except DataError as error:
        yield FailedSource(name, str(error))
        return
    with table:
        column = choose_column(table.columns, IMAGE_COLUMNS)
        if column is None:
            there = name_columns(table.columns)
            yield FailedSource(name, f"no column of paths ({', '.join(IMAGE_COLUMNS)}); its columns are: {there}")
            return
        captions = [there for there in table.columns if there.lower() in CAPTION_COLUMNS]
        try:
            check_columns(table.columns, [column, *captions])
        except DataError as error:
            yield FailedSource(name, str(error))
            return
        for row in table.read([column, *captions]):
            yield _source_of(name, row, column)


def _source_of(table: str, row: Row, column: str) -> Source:
    path = row.values.get(column)
    place = f"{table}:{row.number}"
    if row.error is not None:
        return FailedSource(place, row.error)
    if path is None or path == "":
        return FailedSource(place, f"no path in column '{column}'")
    if not isinstance(path, str):
        return FailedSource(place, f"column '{column}' holds {type(path).__name__}, not a path")
    try:
        caption = find_caption({name.lower(): value for name, value in row.values.items()})
    except ValueError as error:
        return FailedSource(place, str(error))
    if caption is not None and len(caption) > MAX_TEXT_BYTES:
        return FailedSource(
            place, f"a caption of {len(caption):,} characters, more than the limit of {MAX_TEXT_BYTES:,}"
        )
    location = join_location(table, path)
    if is_url(location):
        return UrlSource(location, caption=caption)
    return FileSource(as_path(location), caption=caption)
