"""A folder, a table or a JSON file of labelled or captioned images → `LabelledData`, whatever its layout."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from clipsim.errors import DataError, Failure, Setting, UsageError, printable, quote_some
from clipsim.inputs.captions import CAPTION_COLUMNS, find_metadata
from clipsim.inputs.expand import identify_name
from clipsim.inputs.labelled_layouts import (
    LABEL_COLUMNS,
    Columns,
    LabelledImage,
    Reading,
    read_folder,
    read_json,
    read_labelled_rows,
)
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.rows import IMAGE_COLUMNS, choose_column, read_table
from clipsim.inputs.texts import is_text, parse_json, read_text

TASKS = ("auto", "classify", "retrieve", "pairs")
CLASSIFY, RETRIEVE = "classify", "retrieve"
_SPLITS = frozenset(("train", "training", "val", "valid", "validation", "dev", "test"))


@dataclass(frozen=True)
class LabelledData:
    """Images with a label each, or with captions; paths as they are to be opened.

    `labels` are the texts to choose from, in order, without the label of none; `failures` are the unusable rows.
    """

    layout: str
    task: str
    images: tuple[LabelledImage, ...]
    labels: tuple[str, ...]
    failures: tuple[Failure, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True)
class LabelledRequest:
    """Which labelled data to read, and how; checked before anything is opened.

    `none` is the label of images that fit no label; `labels` is a file that gives the text of each label; of the images
    only those are taken whose names `chosen` accepts. Raises UsageError for what contradicts itself.
    """

    path: str
    task: str = "auto"
    columns: Columns = field(default_factory=Columns)
    root: str | None = None
    labels: str | None = None
    none: str | None = None
    chosen: NameFilter = field(default_factory=NameFilter)

    def __post_init__(self) -> None:
        """Check the combination."""
        if self.task not in TASKS:
            raise UsageError("unknown task", parameter="task", value=self.task, hint=f"choose {', '.join(TASKS)}")
        if self.columns.label is not None and self.columns.caption is not None and self.task == "auto":
            raise UsageError(
                "goes with another task than the caption column",
                parameter="label_column",
                value=self.columns.label,
                hint=(
                    "leave out ",
                    Setting("caption_column", self.columns.caption),
                    ", or choose the ",
                    Setting("task", None),
                ),
            )
        if self.task in (RETRIEVE, "pairs"):
            for name, value in (("labels", self.labels), ("none", self.none), ("label_column", self.columns.label)):
                if value is not None:
                    raise UsageError(f"goes with the task classify, not {self.task}", parameter=name, value=value)
        if self.task == CLASSIFY and self.columns.caption is not None:
            raise UsageError(
                "goes with the tasks retrieve and pairs, not classify",
                parameter="caption_column",
                value=self.columns.caption,
            )

    @property
    def wants(self) -> str | None:
        """What an image must have: "label" or "caption"; None for whichever the data have."""
        if self.task == CLASSIFY or self.columns.label or self.labels or self.none:
            return "label"
        return "caption" if self.task != "auto" or self.columns.caption else None


def read_labelled(request: LabelledRequest) -> LabelledData:
    """Read labelled data: paths and words only, no image is opened.

    A folder has a table (`metadata.jsonl`, `.csv` or `.parquet`), a folder for each class, or a text file beside each
    image; a `.json` file is COCO's captions, an object of images and captions, or a list of rows; any other file is a
    table (`rows.read_table`).

    Raises DataError, in one line, for data without a single usable image, of a layout that is not known, and for a
    table without the columns; UsageError for columns that were named and are not there.
    """
    path = Path(request.path)
    if os.path.isdir(path):  # noqa: PTH112 (a Path raises for a name that is too long)
        reading = _read_metadata(request) or read_folder(request.path, request.wants)
    elif path.suffix.lower() == ".json":
        reading = read_json(path, request.columns, request.wants, request.root)
    else:
        reading = _read_table(path, request)
    chosen = tuple(image for image in reading.images if request.chosen.accepts(image.path))
    if reading.images and not chosen:
        raise DataError(f"{printable(request.path)}: include and exclude rejected all of its images")
    reading = merge_names(replace(reading, images=chosen))
    if not reading.images:
        first = next(iter(reading.failures), None)
        why = "" if first is None else f"; the first row that cannot be used: {first.image}: {first.error}"
        raise DataError(f"{printable(request.path)}: no image with a {reading.kind} in it{why}")
    if reading.kind == "caption":
        if request.task == CLASSIFY:
            raise DataError(f"{printable(request.path)}: this data has captions, not labels; use task='retrieve'")
        task = RETRIEVE if request.task == "auto" else request.task
        return LabelledData(reading.layout, task, reading.images, (), reading.failures, reading.notices)
    return _with_labels(request, reading)


def merge_names(reading: Reading) -> Reading:
    """Each file once, under its first name, with all its captions; another label of a file is a failure."""
    images: dict[object, LabelledImage] = {}
    labels: dict[object, LabelledImage] = {}
    failures, repeated = list(reading.failures), 0
    for image in reading.images:
        file = identify_name(image.path, hard_links=True) or image.path
        first = labels.setdefault(file, image)
        if first.label != image.label:
            label, other = printable(str(first.label), 40), printable(first.path)
            failures.append(Failure(printable(image.path), f"the file has the label '{label}' already, as {other}"))
            continue
        name = identify_name(image.path) or image.path
        if name in images:
            repeated += 1
            images[name] = replace(images[name], captions=(*images[name].captions, *image.captions))
        else:
            images[name] = image
    if not repeated and len(failures) == len(reading.failures):
        return reading
    notice = (
        f"{repeated:,} more {'name of a file is' if repeated == 1 else 'names of files are'} taken together with it"
    )
    notices = (*reading.notices, notice) if repeated else reading.notices
    return replace(reading, images=tuple(images.values()), failures=tuple(failures), notices=notices)


def _read_table(path: Path, request: LabelledRequest) -> Reading:
    try:
        table = read_table(str(path))
    except DataError as error:
        raise DataError(f"{printable(str(path))}: {error}") from error
    with table:
        return read_labelled_rows(path, table, request.columns, request.wants, request.root)


def _read_metadata(request: LabelledRequest) -> Reading | None:
    """The images in the table of an image folder; None without such a table, or where it lacks what is wanted."""
    if (name := find_metadata(request.path)) is None:
        return None
    with suppress(DataError), read_table(name) as table:
        label = None if request.wants == "caption" else choose_column(table.columns, LABEL_COLUMNS)
        caption = None if request.wants == "label" else choose_column(table.columns, CAPTION_COLUMNS)
        named = request.columns.label or request.columns.caption
        if (label or caption or named) and choose_column(table.columns, IMAGE_COLUMNS):
            return read_labelled_rows(Path(name), table, request.columns, request.wants, request.root)
    return None


def _with_labels(request: LabelledRequest, reading: Reading) -> LabelledData:
    """Give every class its text, and find the labels to choose from."""
    texts = dict(reading.classes)  # class → text, also of classes without images
    notices = list(reading.notices)
    nothing = {name for name, text in texts.items() if request.none in (name, text)}
    if request.none is not None and not nothing:
        raise UsageError("not one of the labels", parameter="none", value=request.none)
    if request.labels is not None:
        texts = read_label_texts(Path(request.labels), [name for name in texts if name not in nothing])
    texts |= dict.fromkeys(nothing, request.none or "")
    labels, merged = merge_labels([text for text in texts.values() if text != request.none])
    notices += merged
    if not labels:
        raise DataError(f"{printable(request.path)}: there is no label but '{printable(str(request.none), 40)}'")
    images = tuple(replace(image, label=texts[image.label]) for image in reading.images if image.label)
    empty = set(labels) - {image.label for image in images}
    notices += _notices([label for label in labels if label in empty], labels)
    return LabelledData(reading.layout, CLASSIFY, images, tuple(labels), reading.failures, tuple(notices))


def _notices(empty: Sequence[str], labels: Sequence[str]) -> list[str]:
    notices = []
    if empty:
        notices.append(f"no image has the label {quote_some(empty)}; it can still be predicted")
    if 2 * sum(map(looks_like_id, labels)) > len(labels):
        notices.append(f"the labels look like ids: {quote_some(labels[:3])}; map them to words with labels=FILE")
    if {label.lower() for label in labels} <= _SPLITS:
        notices.append("the labels look like the splits of a data set; give one of the folders instead")
    return notices


# No run of three letters that is not merely the word for a class: "0", "n01440764", "class 12", "c3".
_ID = re.compile(r"(?:class|label|cat|category|id|cls|c|n)?[\W_]*\d[\W_\da-f]*|[0-9a-f]{8,}", re.IGNORECASE)
_HEADER = frozenset(("class", "folder", "label", "id", "name", "wnid", "synset"))


def read_label_texts(path: Path, needed: Sequence[str]) -> dict[str, str]:
    """A file's text for each class, in the file's order: a JSON object, or lines of a class, a tab or comma, a text.

    Only the first tab or comma of a line divides it, so that a text may have commas. Raises DataError for a file that
    cannot be read, and for one without the text of a class that is needed.
    """
    label_file = printable(str(path))
    text = read_text(path)
    pairs = (
        _object(parse_json(text, label_file), label_file)
        if path.suffix.lower() == ".json"
        else _lines(text, label_file)
    )
    label_texts: dict[str, str] = {}
    for number, (name, label) in enumerate(pairs):
        if number == 0 and name.lower() in _HEADER and name not in needed:
            continue
        if not is_text(label) or not label.strip():
            raise DataError(f"{label_file}: the class '{printable(name, 40)}' has no text")
        label_texts[name] = label.strip()
    if missing := [name for name in needed if name not in label_texts]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(f"{label_file}: no text for the class '{printable(missing[0], 40)}'{more}")
    return label_texts


def merge_labels(labels: Iterable[str]) -> tuple[list[str], list[str]]:
    """The labels without repetition, in order; and a notice of those that several classes have.

    >>> merge_labels(["crane", "cat", "crane"])
    (['crane', 'cat'], ["several classes have the label 'crane', and count as one"])
    """
    counts = Counter(label.strip() for label in labels)
    several = [label for label, count in counts.items() if count > 1]
    notice = f"several classes have the label {quote_some(several)}, and count as one"
    return list(counts), [notice] if several else []


def looks_like_id(label: str) -> bool:
    """Whether a label is a number or code that says nothing to a model.

    >>> [looks_like_id(label) for label in ("n01440764", "class 3", "17", "cat", "4x4 car", "7 up")]
    [True, True, True, False, False, False]
    """
    return _ID.fullmatch(label.strip()) is not None


def _object(value: object, label_file: str) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        raise DataError(f"{label_file}: expected an object of classes and texts")
    return list(value.items())


def _lines(text: str, label_file: str) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            name, separator, label = line.partition("\t" if "\t" in line else ",")
            if not separator:
                raise DataError(f"{label_file}: line {number} has no tab or comma between a class and its text")
            pairs.append((name.strip(), label.strip().removeprefix('"').removesuffix('"')))
    return pairs
