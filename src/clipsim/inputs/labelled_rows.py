"""Rows of a table, found by their columns → labelled or captioned images, and the rows that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from clipsim.errors import DataError, UsageError, printable
from clipsim.inputs.captions import CAPTION_COLUMNS, read_value
from clipsim.inputs.rows import IMAGE_COLUMNS, Row, RowTable, check_columns, choose_column, name_columns
from clipsim.inputs.text_files import is_text
from clipsim.inputs.urls import as_path, is_url

LABEL_COLUMNS = ("label",)


@dataclass(frozen=True)
class Columns:
    """The columns that hold the image, its label and its caption, where they are not found by their usual names."""

    image: str | None = None
    label: str | None = None
    caption: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image's path, and its label or its captions."""

    path: str
    label: str | None = None
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowFailure:
    """A row or a file that cannot be used, and why (one escaped line)."""

    name: str
    error: str


@dataclass(frozen=True)
class Reading:
    """What is read from labelled data; `kind` is "label" or "caption", `classes` the text of each class, in order."""

    layout: str
    kind: str
    images: tuple[LabelledImage, ...]
    failures: tuple[RowFailure, ...]
    classes: Mapping[str, str]
    notices: tuple[str, ...] = ()


def read_rows(path: Path, table: RowTable, columns: Columns, wants: str | None, root: str | None) -> Reading:
    """Read a table's images; several rows of an image are several captions. Labels are taken as they are written.

    Raises DataError for a table without the columns, naming those it has; UsageError for named ones that it lacks.
    """
    image = _find(table.columns, columns.image, IMAGE_COLUMNS, "image", path)
    label = None if wants == "caption" else _choose(table.columns, columns.label, LABEL_COLUMNS, "label_column", path)
    caption = None
    if label is None:
        kinds = CAPTION_COLUMNS if wants != "label" else ()
        caption = _choose(table.columns, columns.caption, kinds, "caption_column", path)
    if label is None and caption is None:
        wanted = [*(LABEL_COLUMNS if wants != "caption" else ()), *(CAPTION_COLUMNS if wants != "label" else ())]
        raise DataError(f"{printable(str(path))}: no column {_or(wanted)}; it has {name_columns(table.columns)}")
    folder = path.parent if root is None else Path(root)
    collected = _Collected(printable(str(path)), folder)
    wanted = [column for column in (image, label, caption) if column is not None]
    try:
        check_columns(table.columns, wanted)
    except DataError as error:
        raise DataError(f"{printable(str(path))}: {error}") from error
    for row in table.read(wanted):
        collected.add(row, image, label, caption)
    return collected.reading("table", "caption" if label is None else "label")


def collect_captions(
    shown: str, folder: Path, pairs: Iterable[tuple[str, Any]], layout: str, failures: Iterable[RowFailure] = ()
) -> Reading:
    """Images and their captions (a string or a list of strings each) as a `Reading`."""
    collected = _Collected(shown, folder)
    collected.failures += failures
    for number, (name, captions) in enumerate(pairs, start=1):
        collected.add(Row(number, {"image": name, "caption": captions}), "image", None, "caption")
    return collected.reading(layout, "caption")


class _Collected:
    """The images met so far, in the order in which they came first."""

    def __init__(self, shown: str, folder: Path) -> None:
        self.shown, self.folder = shown, "" if folder == Path() else str(folder)
        self.labels: dict[str, str] = {}
        self.captions: dict[str, list[str]] = {}
        self.failures: list[RowFailure] = []
        self.repeated = 0

    def add(self, row: Row, image: str, label: str | None, caption: str | None) -> None:
        error = row.error or self._add(row.values, image, label, caption)
        if error is not None:
            self.failures.append(RowFailure(f"{self.shown}: row {row.number}", error))

    def _add(self, values: Mapping[str, Any], image: str, label: str | None, caption: str | None) -> str | None:
        name = values.get(image)
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            return "no image"
        path = name if is_url(name) else os.path.join(self.folder, as_path(name))  # noqa: PTH118 (keeps bytes, and ./)
        if label is not None:
            return self._add_label(path, values.get(label))
        found = values.get(caption or "")
        texts = found if isinstance(found, list) else [found]
        if any(isinstance(text, str) and not is_text(text) for text in texts):
            return "the caption is not UTF-8"
        try:
            captions = [clean for text in texts if (clean := read_value(text)) is not None]
        except ValueError as error:
            return str(error)
        if not captions:
            return "no caption"
        if len(captions) < len(texts):
            return "one of its captions is empty"
        self.captions.setdefault(path, []).extend(captions)
        return None

    def _add_label(self, path: str, label: Any) -> str | None:
        if isinstance(label, int | float | Decimal) and not isinstance(label, bool):
            label = read_value(label)
        if not isinstance(label, str) or not label.strip():
            return "no label"
        if not is_text(label):
            return "the label is not UTF-8"
        label = label.strip()
        known = self.labels.setdefault(path, label)
        if known != label:
            return f"the image has the label '{printable(known, 40)}' already"
        self.repeated += path in self.captions
        self.captions[path] = []
        return None

    def reading(self, layout: str, kind: str) -> Reading:
        if kind == "caption":
            images = tuple(LabelledImage(path, None, tuple(found)) for path, found in self.captions.items())
            return Reading(layout, kind, images, tuple(self.failures), {})
        labels = sorted(set(self.labels.values()))
        notices = (f"{self.repeated} rows repeat an image and its label, and count once",) if self.repeated else ()
        images = tuple(LabelledImage(path, label) for path, label in self.labels.items())
        return Reading(layout, kind, images, tuple(self.failures), {label: label for label in labels}, notices)


def _find(columns: Sequence[str], named: str | None, usual: Sequence[str], what: str, path: Path) -> str:
    found = _choose(columns, named, usual, f"{what}_column", path)
    if found is None:
        raise DataError(f"{printable(str(path))}: no column {_or(usual)}; it has {name_columns(columns)}")
    return found


def _choose(columns: Sequence[str], named: str | None, usual: Sequence[str], option: str, path: Path) -> str | None:
    """The column that was named, or the first of the usual ones, whatever their case."""
    if named is not None:
        if named not in columns:
            shown = printable(str(path))
            raise UsageError(f"{option}='{printable(named, 40)}': {shown} has the columns {name_columns(columns)}")
        return named
    return choose_column(columns, usual)


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(f"'{name}'" for name in names[:-1]), f"'{names[-1]}'"][len(names) == 1 :])
