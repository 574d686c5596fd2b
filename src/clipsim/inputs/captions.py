"""A value of a table, a text file beside an image, or the table of its folder → the image's caption."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from clipsim.errors import DataError
from clipsim.inputs.rows import IMAGE_COLUMNS, check_columns, choose_column, read_table
from clipsim.inputs.sources import FailedSource, FileSource, Source

CAPTION_COLUMNS = ("caption", "text", "title")
CAPTION_SUFFIX = ".txt"
METADATA_FILES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")  # of an image folder, as `datasets` reads it
MAX_TEXT_BYTES = 1 << 16  # of a caption, or of the facts beside an image


def clean_text(text: bytes | str) -> str | None:
    r"""A caption without blanks at its ends; what is not Unicode becomes U+FFFD, a blank one None.

    >>> clean_text(b"\xef\xbb\xbfa caf\xc3\xa9\n"), clean_text(b" \n")
    ('a café', None)
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", "replace")
    else:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text.strip() or None


def read_value(value: object) -> str | None:
    """The caption in a value of a table: text, a number, or the first of a list; None for an empty one.

    Raises ValueError for a value of another type.

    >>> read_value(" a cat "), read_value(7), read_value(["", "a dog", "a pet"]), read_value(float("nan"))
    ('a cat', '7', 'a dog', None)
    """
    if isinstance(value, list | tuple):
        return next((text for text in map(read_value, value) if text is not None), None)
    if value is None or value != value:  # NaN, as data frames write it
        return None
    if isinstance(value, str | bytes):
        return clean_text(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(int(value) if value == int(value) else value)
    raise ValueError(f"a caption is text, not {type(value).__name__}")


def find_caption(record: Mapping[str, Any]) -> str | None:
    """The caption in a record's fields, by the names that data sets use. Raises ValueError as `read_value` does."""
    texts = (read_value(record.get(column)) for column in CAPTION_COLUMNS)
    return next((text for text in texts if text is not None), None)


def find_metadata(folder: str) -> str | None:
    """The table of an image folder; None where it has none."""
    tables = (os.path.join(folder, name) for name in METADATA_FILES)  # noqa: PTH118 (keeps names as they were given)
    return next(filter(os.path.isfile, tables), None)


class CaptionsBeside:
    """The captions of image files: in `x.txt` beside `x.jpg`, else in the table of its folder or of one above it."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, str] | None] = {}

    def add(self, path: str, root: str) -> Iterator[Source]:
        """The source of an image below the folder `root`, with its caption.

        Before the first image of a folder with a table come the table's unusable rows, as FailedSources.
        """
        text = self._read_beside(path)
        if text is not None and len(text) > MAX_TEXT_BYTES:
            yield FailedSource(path, f"the text beside it exceeds the limit of {MAX_TEXT_BYTES:,} bytes")
            return
        caption = None if text is None else clean_text(text)
        if caption is None:
            for folder in _folders_up(path, root):
                if folder not in self._tables:
                    self._tables[folder] = None
                    yield from self._read_metadata(folder)
                if (table := self._tables[folder]) is not None:
                    caption = table.get(os.path.normpath(path))
                    break
        yield FileSource(path, caption=caption)

    def _read_beside(self, path: str) -> bytes | None:
        try:
            with open(os.path.splitext(path)[0] + CAPTION_SUFFIX, "rb") as file:  # noqa: PTH122, PTH123 (each image)
                return file.read(MAX_TEXT_BYTES + 1)
        except (OSError, ValueError):
            return None

    def _read_metadata(self, folder: str) -> Iterator[FailedSource]:
        """Read the table of a folder; yields its unusable rows."""
        if (name := find_metadata(folder)) is None:
            return
        try:
            with read_table(name) as table:
                image = choose_column(table.columns, IMAGE_COLUMNS)
                captions = [column for column in table.columns if column.lower() in CAPTION_COLUMNS]
                if image is None or not captions:
                    return
                check_columns(table.columns, [image, *captions])
                table_captions = self._tables[folder] = {}
                for row in table.read([image, *captions]):
                    problem = row.error or _add_row(table_captions, folder, row.values, image)
                    if problem:
                        yield FailedSource(f"{name}:{row.number}", problem)
        except DataError as error:
            yield FailedSource(name, str(error))


def _add_row(captions: dict[str, str], folder: str, values: Mapping[str, Any], image: str) -> str | None:
    """Record the caption of a row; returns what is wrong with the row, or None."""
    name = values.get(image)
    if not isinstance(name, str) or not name:
        return f"no path in column '{image}'"
    path = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 (for each row)
    if "\0" in path or not os.path.lexists(path):
        return "no such file in the folder"
    try:
        caption = find_caption({column.lower(): value for column, value in values.items()})
    except ValueError as error:
        return str(error)
    if caption is not None:
        captions.setdefault(path, caption)
    return None


def _folders_up(path: str, root: str) -> Iterator[str]:
    """The folder of a file and those above it, up to the folder `root`."""
    folder = os.path.dirname(path)  # noqa: PTH120 (for each image)
    while True:
        yield folder
        if len(folder) <= len(root.rstrip("/")) or not folder:
            return
        folder = os.path.dirname(folder)  # noqa: PTH120
