"""A table's rows of images and their labels or captions → `Reading`: each image once, with what all its rows say."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from clipsim.errors import DataError, Failure, UsageError, printable
from clipsim.inputs.arguments import as_source, is_path
from clipsim.inputs.captions import CAPTION_COLUMNS, read_value
from clipsim.inputs.rows import SOURCE_COLUMNS, Row, RowTable, check_columns, choose_column, name_columns
from clipsim.inputs.sources import Source
from clipsim.inputs.texts import is_text
from clipsim.inputs.urls import as_path, is_url

LABEL_COLUMNS, LABELS_COLUMN = ("label",), "labels"
LABEL_SEPARATOR = "|"  # between the labels of one image, where several are wanted
LABEL, LABELS, CAPTION = "label", "labels", "caption"  # what an image has
EITHER = "label or labels"
TABLE = "table"  # a layout


@dataclass(frozen=True)
class Columns:
    """The columns that hold the image, its label and its caption, where they are not found by their usual names.

    `reference` is a column of other captions of the image, which its caption is compared with.
    """

    image: str | None = None
    label: str | None = None
    caption: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image's path or name, and its label, its labels, or its captions and what these are compared with.

    `source` opens an image that is not the file, or at the address, of its name. `row` is where it came first among the
    rows of a table, from 0.
    """

    path: str
    label: str | None = None
    captions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    source: Source | None = None
    row: int | None = None
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What is read from labelled data; `kind` is "label", "labels" or "caption".

    `classes` is the text of each class, in order; `class_labels` the label of a class where that is not its text.
    """

    layout: str
    kind: str
    images: tuple[LabelledImage, ...]
    failures: tuple[Failure, ...]
    classes: Mapping[str, str]
    notices: tuple[str, ...] = ()
    class_labels: Mapping[str, str] = field(default_factory=dict)


def read_labelled_rows(name: str, table: RowTable, columns: Columns, wants: str | None, folder: Path) -> Reading:
    """Read a table's images, whose paths are relative to `folder`; several rows of an image are several captions.

    Labels are taken as they are written; with `wants` of "labels", a `|` stands between those of an image, and several
    rows of an image have one each. `name` is the table's, for messages.

    Raises DataError for a table without the columns, naming those it has; UsageError for named ones that it lacks.
    """
    image = _find(table.columns, columns.image, SOURCE_COLUMNS, "image", name)
    usual = (LABELS_COLUMN, *LABEL_COLUMNS) if wants == LABELS else LABEL_COLUMNS
    label = None if wants == CAPTION else _choose(table.columns, columns.label, usual, "label_column", name)
    caption = None
    if label is None:
        kinds = CAPTION_COLUMNS if wants in (None, CAPTION) else ()
        caption = _choose(table.columns, columns.caption, kinds, "caption_column", name)
    if label is None and caption is None and wants != CAPTION:
        label = choose_column(table.columns, (LABELS_COLUMN,))
    if label is None and caption is None:
        expected = [*(("label",) if wants != CAPTION else ()), *(CAPTION_COLUMNS if wants in (None, CAPTION) else ())]
        raise DataError(f"{name}: no column {_or(expected)}; it has {name_columns(table.columns)}")
    collected = CollectedImages(name, folder, wants, table)
    collected.reference = _choose(table.columns, columns.reference, (), "reference_column", name)
    read_columns = [column for column in (image, label, caption, collected.reference) if column is not None]
    try:
        check_columns(table.columns, read_columns)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    for row in table.read(read_columns):
        collected.add(row, image, label, caption)
    return collected.reading(TABLE, CAPTION if label is None else LABEL, table.class_names.get(label or "", ()))


def collect_objects(
    name: str,
    folder: Path,
    pairs: Iterable[tuple[Any, Any]],
    layout: str,
    wants: str | None = CAPTION,
    failures: Iterable[Failure] = (),
) -> Reading:
    """Images and their captions, or with `wants` their label or labels, as a `Reading`."""
    collected = CollectedImages(name, folder, wants)
    collected.failures += failures
    label, caption = (None, "value") if wants in (None, CAPTION) else ("value", None)
    for number, (image, value) in enumerate(pairs, start=1):
        collected.add(Row(number, {"image": image, "value": value}), "image", label, caption)
    return collected.reading(layout, CAPTION if label is None else LABEL)


@dataclass(slots=True)
class _Gathered:
    """What the rows of one image say, as far as they have been read."""

    name: str
    row: int
    source: Source | None = None
    labels: tuple[str, ...] = ()
    captions: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)

    def finish(self, *, several: bool) -> LabelledImage:
        """The image with its label, or with `several` its labels, and its captions."""
        label = None if several or not self.labels else self.labels[0]
        labels, captions, references = self.labels if several else (), tuple(self.captions), tuple(self.references)
        return LabelledImage(
            self.name, label, captions, references=references, labels=labels, source=self.source, row=self.row
        )


class CollectedImages:
    """The images met so far, in the order in which they came first."""

    def __init__(self, name: str, folder: Path, wants: str | None, table: RowTable | None = None) -> None:
        self.name, self.folder, self.wants = name, "" if folder == Path() else str(folder), wants
        self.failures: list[Failure] = []
        self.reference: str | None = None
        self._open = None if table is None else table.open_image
        self._images: dict[Hashable, _Gathered] = {}
        self._repeated = 0
        self._several = wants == LABELS

    def add(self, row: Row, image: str, label: str | None, caption: str | None) -> None:
        """Add a row, or name it among the failures."""
        error = row.error or self._add(row, image, label, caption)
        if error is not None:
            self.failures.append(Failure(f"{self.name}: row {row.number}", error))

    def _add(self, row: Row, image: str, label: str | None, caption: str | None) -> str | None:
        try:
            key, new = self._locate(row, image)
            old = self._images.get(key)
            if label is None:
                captions = _read_captions(row.values.get(caption or ""))
                references = _read_texts(row.values.get(self.reference), "reference") if self.reference else []
                known = self._images.setdefault(key, new)
                known.captions += captions
                known.references += references
            elif label not in row.values:
                return "no label"
            else:
                new.labels = self._find_labels(old, row.values[label])
                self._images.setdefault(key, new).labels = new.labels
        except (ValueError, UsageError) as error:
            return str(error)
        return None

    def _locate(self, row: Row, column: str) -> tuple[Hashable, _Gathered]:
        """What rows of one image have in common, and the image. Raises ValueError for a row without an image."""
        value = row.values.get(column)
        if isinstance(value, Mapping) and value.get("bytes") is None:
            value = value.get("path")
        if is_path(value):
            name = str(os.fspath(cast("str", value)))
            if not name.strip() or "\0" in name:
                raise ValueError("no image")
            path = name if is_url(name) else os.path.join(self.folder, as_path(name))  # noqa: PTH118 (keeps ./)
            return path, _Gathered(path, row.number - 1)
        if value is None or (isinstance(value, float) and value != value):  # NaN, as data frames write it
            raise ValueError("no image")
        source = as_source(value, row.number)
        if self._open is not None:
            source = self._open(source.name, row, column)
        return ("row", row.number), _Gathered(source.name, row.number - 1, source)

    def _find_labels(self, old: _Gathered | None, value: Any) -> tuple[str, ...]:
        """The labels of an image with those in a value. Raises ValueError for none, and for another in place of one."""
        several = self._several or isinstance(value, list | tuple)
        labels = _read_labels(value, split=self.wants == LABELS)
        if self.wants == LABEL and len(labels) > 1:
            raise ValueError(f"{len(labels)} labels; classify takes one, and task='multilabel' takes several")
        if not labels and not (several and self.wants != LABEL):
            raise ValueError("no label")
        self._several |= several and self.wants != LABEL
        if old is None:
            return labels
        if not several and set(old.labels) != set(labels):
            first = ", ".join(printable(label, 40) for label in old.labels)
            raise ValueError(f"the image has the label '{first}' already")
        self._repeated += set(labels) <= set(old.labels)
        return tuple(dict.fromkeys((*old.labels, *labels)))

    def reading(self, layout: str, kind: str, classes: Sequence[str] = ()) -> Reading:
        """What was collected; `classes` are labels that come first, with or without images."""
        several = self._several and kind != CAPTION
        images = tuple(image.finish(several=several) for image in self._images.values())
        failures = tuple(self.failures)
        if kind == CAPTION:
            return Reading(layout, kind, images, failures, {})
        used = {label for image in self._images.values() for label in image.labels}
        labels = [*classes, *sorted(used - set(classes))]
        notices = []
        if self._repeated:
            notices.append(f"{self._repeated} rows repeat an image and its label, and count once")
        barred = [label for label in labels if LABEL_SEPARATOR in label]
        if barred and not several:
            notices.append(
                f"labels with a '|' are taken as they are, such as '{printable(barred[0], 40)}'; "
                "with task='multilabel' it separates the labels of an image"
            )
        kind = LABELS if several else LABEL
        return Reading(layout, kind, images, failures, {label: label for label in labels}, tuple(notices))


def _read_captions(value: Any) -> list[str]:
    """The captions in a value. Raises ValueError for a value that is none."""
    captions = _read_texts(value, "caption")
    if not captions:
        raise ValueError("no caption")
    if isinstance(value, list | tuple) and len(captions) < len(value):
        raise ValueError("one of its captions is empty")
    return captions


def _read_texts(value: Any, what: str) -> list[str]:
    """The texts in a value, without empty ones. Raises ValueError for a value that is none."""
    texts = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(text, str) and not is_text(text) for text in texts):
        raise ValueError(f"the {what} is not UTF-8")
    return [clean for text in texts if (clean := read_value(text)) is not None]


def _read_labels(value: Any, *, split: bool) -> tuple[str, ...]:
    """The labels in a value: none where it is empty. Raises ValueError for what is no label."""
    if isinstance(value, str) and split and value.strip():
        value = value.split(LABEL_SEPARATOR)
    values = value if isinstance(value, list | tuple) else [] if _is_empty(value) else [value]
    labels = []
    for label in values:
        if isinstance(label, int | float | Decimal) and not isinstance(label, bool):
            label = read_value(label)
        if not isinstance(label, str) or not label.strip():
            raise ValueError("one of its labels is empty" if len(values) > 1 else "no label")
        if not is_text(label):
            raise ValueError("the label is not UTF-8")
        labels.append(label.strip())
    return tuple(dict.fromkeys(labels))


def _is_empty(value: Any) -> bool:
    return (
        value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, float) and value != value)
    )


def _find(columns: Sequence[str], named: str | None, usual: Sequence[str], what: str, table: str) -> str:
    column = _choose(columns, named, usual, f"{what}_column", table)
    if column is None:
        raise DataError(f"{table}: no column {_or(usual)}; it has {name_columns(columns)}")
    return column


def _choose(columns: Sequence[str], named: str | None, usual: Sequence[str], option: str, table: str) -> str | None:
    """The column that was named, or the first of the usual ones, whatever their case."""
    if named is not None:
        if named not in columns:
            raise UsageError(f"{table} has the columns {name_columns(columns)}", parameter=option, value=named)
        return named
    return choose_column(columns, usual)


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(f"'{name}'" for name in names[:-1]), f"'{names[-1]}'"][len(names) == 1 :])
