"""Labelled images that a Python caller holds in memory (lists, data frames, data sets of Hugging Face) → `RowTable`."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from clipsim.errors import ImageError, UsageError, pluralise, printable
from clipsim.inputs.arguments import as_source, is_array, is_path, list_arguments
from clipsim.inputs.label_words import ClassWords
from clipsim.inputs.lists import as_list, check_list
from clipsim.inputs.rows import Row, RowTable, name_classes, rows_of_objects
from clipsim.inputs.sources import Source, open_regular
from clipsim.inputs.texts import clean_labels

if TYPE_CHECKING:
    from PIL import Image

IMAGE = "image"
_MISSING = frozenset(("NAType", "NaTType"))  # of pandas


def make_table(data: object) -> RowTable:
    """A data frame, a table of Arrow, a data set of Hugging Face, or a list of rows → its rows.

    They are known by their parts, so that no package needs to be there. Numbers of classes become their names. Images
    of a data set are read when they are needed.

    Raises UsageError for anything else, and for several data sets where one is meant.
    """
    columns = _find_columns(data)
    if columns is not None:
        features = getattr(data, "features", None)
        if isinstance(features, Mapping):
            return _table_of_dataset(data, columns, features)
        return RowTable(columns, lambda read: _read_frame(data, read))
    if isinstance(data, Mapping):
        parts = [name for name, part in data.items() if _find_columns(part) is not None]
        if parts:
            hint = f"pass one of them, such as data[{printable(repr(parts[0]), 40)}]"
            raise UsageError("several data sets", parameter="data", hint=hint)
        check_list(data, "data")
    if isinstance(data, list | tuple) and data and all(isinstance(row, Mapping) for row in data):
        rows = [Row(row.number, _plain_row(row.values), row.error) for row in rows_of_objects(map(dict, data))]
        return RowTable(tuple(map(str, data[0])), lambda _: iter(rows))
    kind = "None" if data is None else type(data).__name__
    raise UsageError(f"not a path, a data frame or a data set, but {printable(kind, 40)}", parameter="data")


def _find_columns(data: object) -> tuple[str, ...] | None:
    """The names of the columns of a table in memory; None for what is not one."""
    names = getattr(data, "column_names", None)
    if names is None and hasattr(data, "shape"):
        names = getattr(data, "columns", None)
    if isinstance(data, Mapping) or names is None or isinstance(names, str) or not isinstance(names, Iterable):
        return None
    return tuple(map(str, names))


def _read_frame(data: Any, read: Sequence[str]) -> Iterator[Row]:
    columns = [_list_values(data[name]) for name in read]
    for number, values in enumerate(zip(*columns, strict=True), start=1):
        yield Row(number, _plain_row(dict(zip(read, values, strict=True))))


def _list_values(column: Any) -> list[Any]:
    """The values of a column, as Python's own types where the frame converts them."""
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(column, method):
            values: list[Any] = getattr(column, method)()
            return values
    return list(column)


def _plain_row(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    """A value without the types of a frame: None for a missing one, and lists for short arrays."""
    if type(value).__name__ in _MISSING:
        return None
    if is_array(value) and value.ndim <= 1:
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return (
        value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") and not is_array(value) else value
    )


def _table_of_dataset(data: Any, columns: tuple[str, ...], features: Mapping[str, Any]) -> RowTable:
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        hint = "take a part of it into memory, such as list(data.take(1000))"
        raise UsageError("a data set that streams, whose images can be read once only", parameter="data", hint=hint)

    classes = {name: names for name, feature in features.items() if (names := _class_names(feature))}

    def read(names: Sequence[str]) -> Iterator[Row]:
        image, *others = names
        feature = features.get(image)
        rows = data
        if getattr(feature, "decode", False) and callable(getattr(data, "cast_column", None)):
            undecoded: Any = type(feature)
            rows = data.cast_column(image, undecoded(decode=False))
        opened = _DatasetColumn(rows, image)
        in_files = not hasattr(feature, "decode") and getattr(feature, "dtype", None) == "string"
        values = [list(data[name]) for name in others]
        for number in range(len(data)):
            row = {
                name: name_classes(_plain_value(column[number]), classes.get(name, ()))
                for name, column in zip(others, values, strict=True)
            }
            source = opened.read(number) if in_files else DatasetImage(f"image {number + 1}", opened, number)
            yield Row(number + 1, {image: source, **row})

    return RowTable(columns, read, class_names=classes)


def _class_names(feature: Any) -> Sequence[str]:
    """The names of the classes of a feature, or of the lists of it."""
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
    return list(names) if isinstance(names, Sequence) else ()


class _DatasetColumn:
    """The images of a data set, of which one thread at a time reads a row."""

    def __init__(self, rows: Any, column: str) -> None:
        self._rows, self._column = rows, column
        self._lock = threading.Lock()

    def read(self, row: int) -> Any:
        with self._lock:
            return self._rows[row][self._column]


@dataclass(frozen=True, slots=True)
class DatasetImage(Source):
    """The image in a row of a data set of Hugging Face, which is read when it is needed."""

    column: _DatasetColumn = field(repr=False, compare=False)
    row: int

    def open(self) -> BinaryIO:
        """Open its file. Raises ImageError."""
        value = self._read()
        if isinstance(value, Mapping) and value.get("bytes") is not None:
            return io.BytesIO(value["bytes"])
        if isinstance(value, Mapping) and isinstance(value.get("path"), str):
            return open_regular(value["path"])
        return self._as_source(value).open()

    def decoded(self) -> Image.Image | None:
        """The image itself, where the data set decodes it."""
        value = self._read()
        return None if isinstance(value, Mapping) else self._as_source(value).decoded()

    def _read(self) -> Any:
        try:
            return self.column.read(self.row)
        except Exception as error:  # whatever a data set raises, of files, networks and decoders
            raise ImageError(f"its row of the data set cannot be read: {printable(str(error), 120)}") from error

    def _as_source(self, value: Any) -> Source:
        try:
            return as_source(value, self.row + 1)
        except UsageError as error:
            raise ImageError(str(error)) from error


def make_pairs(
    images: object, labels: object, captions: object, texts: object
) -> tuple[RowTable, dict[str, ClassWords] | None]:
    """Images, and the label or the captions of each → rows; and the labels to choose from, where `texts` has them.

    A label is a string, a number, or a list of these; a number counts the `texts` from 0. The labels of all images may
    be an array of zeros and ones with a column for each of the `texts`.

    Raises UsageError where the numbers of images and labels differ, and for a number that no text has.
    """
    if (labels is None) == (captions is None):
        raise UsageError("give the labels or the captions of the images", parameter="images")
    choices = None if texts is None else clean_labels(texts)
    names = () if choices is None else choices.labels
    if choices is not None and not names:
        raise UsageError("none given", parameter="texts", hint="give at least one")
    rows = list(list_arguments(images))
    name, column = ("labels", "label") if captions is None else ("captions", "caption")
    values = _list_labels(labels if captions is None else captions, name, names)
    if len(rows) != len(values):
        counts = f"{pluralise(len(rows), 'image')} and {pluralise(len(values), name.removesuffix('s'))}"
        raise UsageError(f"{counts}; give one for each image", parameter=name)
    if captions is None:
        values = [_name_numbers(value, names) for value in values]
    pairs = [
        Row(number, {IMAGE: image if is_path(image) else as_source(image, number), column: value})
        for number, (image, value) in enumerate(zip(rows, values, strict=True), start=1)
    ]
    words = None if choices is None else choices.words or tuple((label,) for label in choices.labels)
    classes = None if words is None else {
        label: ClassWords(label, own) for label, own in zip(names, words, strict=True)
    }  # fmt: skip
    return RowTable((IMAGE, column), lambda _: iter(pairs)), classes


def _list_labels(values: object, name: str, names: Sequence[str]) -> list[Any]:
    if is_array(values) and values.ndim == 2:
        if len(names) != values.shape[1]:
            columns = f"{pluralise(values.shape[1], 'column')} and {pluralise(len(names), 'text')}"
            raise UsageError(f"an array of {columns}; give a text for each column", parameter=name)
        if not ((values == 0) | (values == 1)).all():
            raise UsageError("an array of labels with a row an image has zeros and ones only", parameter=name)
        return [[label for label, has in zip(names, row, strict=True) if has] for row in values.tolist()]
    if isinstance(values, str):
        raise UsageError("a string; give a list with one for each image", parameter=name)
    return [_plain_value(value) for value in _list_values(as_list(values, name))]


def _name_numbers(value: Any, names: Sequence[str]) -> Any:
    """A label, or the labels of an image, with the texts in place of their numbers."""
    if isinstance(value, list | tuple):
        return [_name_numbers(one, names) for one in value]
    if not names or isinstance(value, bool) or not isinstance(value, int):
        return value
    if not 0 <= value < len(names):
        raise UsageError(f"no text has the number {value}; there are {len(names)}, from 0", parameter="labels")
    return names[value]
