"""A folder, a JSON file or a table of labelled or captioned images → the images with their labels or captions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from clipsim.errors import DataError, Failure, UsageError, printable
from clipsim.inputs.captions import CAPTION_COLUMNS, CAPTION_SUFFIX, read_value
from clipsim.inputs.paths import find_listed_images, is_left_out
from clipsim.inputs.rows import (
    IMAGE_COLUMNS,
    Row,
    RowTable,
    check_columns,
    choose_column,
    name_columns,
    rows_of_objects,
)
from clipsim.inputs.texts import is_text, parse_json, read_text
from clipsim.inputs.urls import as_path, is_url

FOLDERS, BESIDE = "folders", "text files"


def read_folder(folder: str, wants: str | None) -> Reading:
    """The images below a folder and their labels or captions; where both are there, captions unless labels are wanted.

    A class is a folder right below, with all images in it; `_` and `-` in its name become spaces. Raises DataError for
    a folder of neither layout, and for one that cannot be read.
    """
    paths = _images_below(folder)
    beside = [path for path in paths if os.path.isfile(_caption_file(path))]  # noqa: PTH113 (for each image)
    if wants != "label" and beside:
        return _read_beside(paths)
    classes = _class_folders(folder)
    if wants == "caption" or not any(classes.values()):
        raise DataError(f"{printable(folder)}: {_layouts(wants, bool(paths))}")
    direct = [path for path in paths if os.path.dirname(path) == folder.rstrip(os.sep)]  # noqa: PTH120
    failures = tuple(Failure(printable(path), "not in the folder of a class") for path in direct)
    images = tuple(LabelledImage(path, name) for name, class_images in classes.items() for path in class_images)
    return Reading(FOLDERS, "label", images, failures, {name: _as_words(name) for name in classes})


def _images_below(folder: str) -> list[str]:
    """The images below a folder, sorted; none where it has none."""
    paths = list(find_listed_images([folder]))
    return [] if paths == [folder] else paths


def _class_folders(folder: str) -> dict[str, list[str]]:
    """The folders right below, sorted, and the images in each."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted((entry for entry in listing if entry.is_dir()), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot read the folder: {error.strerror or error}") from error
    classes = {}
    for entry in entries:
        if is_left_out(entry.name):
            continue
        if not is_text(entry.name) or not _as_words(entry.name):
            raise DataError(f"{printable(entry.path)}: the folder's name is not a label; rename it")
        classes[entry.name] = _images_below(entry.path)
    return classes


def _as_words(name: str) -> str:
    """The label in a folder's name.

    >>> _as_words("bar_chart")
    'bar chart'
    """
    return " ".join(name.replace("_", " ").replace("-", " ").split())


def _read_beside(paths: list[str]) -> Reading:
    """Each image's captions from the file beside it, a line each."""
    images, failures = [], []
    for path in paths:
        try:
            lines = [line.strip() for line in read_text(Path(_caption_file(path))).split("\n") if line.strip()]
        except DataError as error:
            failures.append(Failure(printable(path), f"no caption: {error}"))
            continue
        if all(map(is_text, lines)):
            images.append(LabelledImage(path, None, tuple(lines)))
        else:
            failures.append(Failure(printable(path), f"{printable(_caption_file(path))} is not UTF-8"))
    return Reading(BESIDE, "caption", tuple(images), tuple(failures), {})


def _caption_file(path: str) -> str:
    return os.path.splitext(path)[0] + CAPTION_SUFFIX  # noqa: PTH122 (for each image)


def _layouts(wants: str | None, any_image: bool) -> str:
    expected = {
        "label": "a folder for each class",
        "caption": "a text file beside each image (x.txt beside x.jpg)",
    }
    layouts = expected[wants] if wants else " or ".join(expected.values())
    return f"expected {layouts}, or give a table" if any_image else f"no image in it; expected {layouts}"


COCO, OBJECT = "coco captions", "json"


def read_json(path: Path, columns: Columns, wants: str | None, root: str | None) -> Reading:
    """The images of a JSON file. Raises DataError for JSON of another layout, and for what is not JSON."""
    file = printable(str(path))
    value = parse_json(read_text(path), file)
    folder = path.parent if root is None else Path(root)
    if isinstance(value, list):
        rows = list(rows_of_objects(value))
        names = next((tuple(row.values) for row in rows if row.error is None), ())
        return read_labelled_rows(path, RowTable(names, lambda _: iter(rows)), columns, wants, root)
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        if not isinstance(value.get("annotations"), list):
            raise DataError(f"{file}: 'images' without 'annotations'; expected COCO's captions")
        failures: list[Failure] = []
        return collect_captions(file, folder, list(_coco(value, file, failures)), COCO, failures)
    if isinstance(value, dict):
        return collect_captions(file, folder, value.items(), OBJECT)
    raise DataError(f"{file}: expected COCO's captions, an object of images and captions, or a list of rows")


def _coco(value: dict[str, Any], file: str, failures: list[Failure]) -> Iterator[tuple[str, Any]]:
    """The pairs of COCO's two lists, images in their order: "annotations" with "image_id" and "caption"."""
    captions: dict[Any, list[str]] = {}
    for row in rows_of_objects(value["annotations"]):
        problem = row.error or _add_caption(row, captions)
        if problem:
            failures.append(Failure(f"{file}: annotation {row.number}", problem))
    if not captions:
        raise DataError(f"{file}: no annotation in it has a 'caption'; expected COCO's captions")
    for row in rows_of_objects(value["images"]):
        name, key = row.values.get("file_name"), row.values.get("id")
        image_captions = captions.pop(key, None) if isinstance(key, int | str) else None
        if image_captions is None or not isinstance(name, str):
            problem = row.error or ("no 'file_name'" if image_captions else "no annotation has a caption for it")
            failures.append(Failure(f"{file}: image {row.number}", problem))
            continue
        yield name, image_captions
    failures += [
        Failure(f"{file}: image_id {printable(str(key), 40)}", "no such image, but it has captions") for key in captions
    ]


def _add_caption(row: Row, captions: dict[Any, list[str]]) -> str | None:
    key, caption = row.values.get("image_id"), row.values.get("caption")
    if not isinstance(key, int | str):
        return "no 'image_id'"
    if not isinstance(caption, str) or not caption.strip():
        return "no 'caption'"
    captions.setdefault(key, []).append(caption)
    return None


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
class Reading:
    """What is read from labelled data; `kind` is "label" or "caption", `classes` the text of each class, in order."""

    layout: str
    kind: str
    images: tuple[LabelledImage, ...]
    failures: tuple[Failure, ...]
    classes: Mapping[str, str]
    notices: tuple[str, ...] = ()


def read_labelled_rows(path: Path, table: RowTable, columns: Columns, wants: str | None, root: str | None) -> Reading:
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
        read_columns = [*(LABEL_COLUMNS if wants != "caption" else ()), *(CAPTION_COLUMNS if wants != "label" else ())]
        raise DataError(f"{printable(str(path))}: no column {_or(read_columns)}; it has {name_columns(table.columns)}")
    folder = path.parent if root is None else Path(root)
    collected = _Collected(printable(str(path)), folder)
    read_columns = [column for column in (image, label, caption) if column is not None]
    try:
        check_columns(table.columns, read_columns)
    except DataError as error:
        raise DataError(f"{printable(str(path))}: {error}") from error
    for row in table.read(read_columns):
        collected.add(row, image, label, caption)
    return collected.reading("table", "caption" if label is None else "label")


def collect_captions(
    file: str, folder: Path, pairs: Iterable[tuple[str, Any]], layout: str, failures: Iterable[Failure] = ()
) -> Reading:
    """Images and their captions (a string or a list of strings each) as a `Reading`."""
    collected = _Collected(file, folder)
    collected.failures += failures
    for number, (name, captions) in enumerate(pairs, start=1):
        collected.add(Row(number, {"image": name, "caption": captions}), "image", None, "caption")
    return collected.reading(layout, "caption")


class _Collected:
    """The images met so far, in the order in which they came first."""

    def __init__(self, file: str, folder: Path) -> None:
        self.file, self.folder = file, "" if folder == Path() else str(folder)
        self.labels: dict[str, str] = {}
        self.captions: dict[str, list[str]] = {}
        self.failures: list[Failure] = []
        self.repeated = 0

    def add(self, row: Row, image: str, label: str | None, caption: str | None) -> None:
        error = row.error or self._add(row.values, image, label, caption)
        if error is not None:
            self.failures.append(Failure(f"{self.file}: row {row.number}", error))

    def _add(self, values: Mapping[str, Any], image: str, label: str | None, caption: str | None) -> str | None:
        name = values.get(image)
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            return "no image"
        path = name if is_url(name) else os.path.join(self.folder, as_path(name))  # noqa: PTH118 (keeps bytes, and ./)
        if label is not None:
            return self._add_label(path, values.get(label))
        value = values.get(caption or "")
        texts = value if isinstance(value, list) else [value]
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
        first = self.labels.setdefault(path, label)
        if first != label:
            return f"the image has the label '{printable(first, 40)}' already"
        self.repeated += path in self.captions
        self.captions[path] = []
        return None

    def reading(self, layout: str, kind: str) -> Reading:
        if kind == "caption":
            images = tuple(LabelledImage(path, None, tuple(texts)) for path, texts in self.captions.items())
            return Reading(layout, kind, images, tuple(self.failures), {})
        labels = sorted(set(self.labels.values()))
        notices = (f"{self.repeated} rows repeat an image and its label, and count once",) if self.repeated else ()
        images = tuple(LabelledImage(path, label) for path, label in self.labels.items())
        return Reading(layout, kind, images, tuple(self.failures), {label: label for label in labels}, notices)


def _find(columns: Sequence[str], named: str | None, usual: Sequence[str], what: str, path: Path) -> str:
    column = _choose(columns, named, usual, f"{what}_column", path)
    if column is None:
        raise DataError(f"{printable(str(path))}: no column {_or(usual)}; it has {name_columns(columns)}")
    return column


def _choose(columns: Sequence[str], named: str | None, usual: Sequence[str], option: str, path: Path) -> str | None:
    """The column that was named, or the first of the usual ones, whatever their case."""
    if named is not None:
        if named not in columns:
            raise UsageError(
                f"{printable(str(path))} has the columns {name_columns(columns)}", parameter=option, value=named
            )
        return named
    return choose_column(columns, usual)


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(f"'{name}'" for name in names[:-1]), f"'{names[-1]}'"][len(names) == 1 :])
