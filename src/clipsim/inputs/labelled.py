"""A folder, a table or a JSON file of labelled or captioned images → `LabelledData`, whatever its layout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from clipsim.errors import DataError, Failure, Setting, UsageError, pluralise, printable
from clipsim.inputs.captions import CAPTION_COLUMNS, find_metadata
from clipsim.inputs.expand import identify_name
from clipsim.inputs.label_words import ClassWords, describe_labels, find_label_words, merge_labels
from clipsim.inputs.labelled_layouts import FOLDER_LABELS, read_folder, read_json
from clipsim.inputs.labelled_rows import (
    CAPTION,
    EITHER,
    LABEL,
    LABEL_COLUMNS,
    LABELS,
    TABLE,
    Columns,
    LabelledImage,
    Reading,
    read_labelled_rows,
)
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.rows import IMAGE_COLUMNS, RowTable, choose_column, read_table

TASKS = ("auto", "classify", "multilabel", "retrieve", "pairs")
CLASSIFY, MULTILABEL, RETRIEVE = "classify", "multilabel", "retrieve"
WITH_LABELS = (CLASSIFY, MULTILABEL)


@dataclass(frozen=True)
class LabelledData:
    """Images with a label or labels each, or with captions; paths as they are to be opened.

    `labels` are the texts to choose from, in order, without the label of none; `words` is what each of them stands for,
    None where each is its own only word; `failures` are the unusable rows.
    """

    layout: str
    task: str
    images: tuple[LabelledImage, ...]
    labels: tuple[str, ...]
    failures: tuple[Failure, ...]
    notices: tuple[str, ...]
    words: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True)
class LabelledRequest:
    """Which labelled data to read, and how; checked before anything is opened.

    `none` is the label of images that fit no label; `labels` is a file or a mapping that gives the words of each
    class; of the images only those are taken whose names `chosen` accepts. Raises UsageError for what contradicts
    itself.

    `table` has the rows of data that are in memory, which `path` is then the name of; `folder_labels` is as for
    `read_folder`.
    """

    path: str
    task: str = "auto"
    columns: Columns = field(default_factory=Columns)
    root: str | None = None
    labels: str | Mapping[str, ClassWords] | None = None
    none: str | None = None
    chosen: NameFilter = field(default_factory=NameFilter)
    folder_labels: str | None = None
    table: RowTable | None = None

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
        if self.folder_labels is not None and self.folder_labels not in FOLDER_LABELS:
            hint = f"choose {', '.join(FOLDER_LABELS)}"
            raise UsageError("unknown", parameter="folder_labels", value=self.folder_labels, hint=hint)
        if self.task in (RETRIEVE, "pairs"):
            for name, value in (
                ("labels", self.labels),
                ("none", self.none),
                ("label_column", self.columns.label),
                ("folder_labels", self.folder_labels),
            ):
                if value is not None:
                    raise UsageError(f"goes with the task classify, not {self.task}", parameter=name, value=value)
        if self.task in WITH_LABELS and self.columns.caption is not None:
            raise UsageError(
                f"goes with the tasks retrieve and pairs, not {self.task}",
                parameter="caption_column",
                value=self.columns.caption,
            )
        if self.columns.reference is not None and self.task != "pairs":
            raise UsageError(
                "goes with the task pairs only", parameter="reference_column", value=self.columns.reference
            )
        if self.task == MULTILABEL and self.none is not None:
            raise UsageError(
                "goes with the task classify; for multilabel, an image without labels fits none of them",
                parameter="none",
                value=self.none,
            )

    @property
    def wants(self) -> str | None:
        """What an image must have: "label", "labels", either of these, or "caption"; None for what the data have."""
        if self.task == MULTILABEL:
            return LABELS
        if self.task == CLASSIFY or self.none:
            return LABEL
        if self.columns.label or self.labels:
            return EITHER
        return CAPTION if self.task != "auto" or self.columns.caption else None


def read_labelled(request: LabelledRequest) -> LabelledData:
    """Read labelled data: paths and words only, no image is opened.

    A folder has a table (`metadata.jsonl`, `.csv` or `.parquet`), a folder for each class, or a text file beside each
    image; a `.json` file is COCO's captions, an object of images and captions, or a list of rows; any other file is a
    table (`rows.read_table`).

    Raises DataError, in one line, for data without a single usable image, of a layout that is not known, and for a
    table without the columns; UsageError for columns that were named and are not there.
    """
    reading = _read(request)
    if (reference := request.columns.reference) is not None and reading.layout != TABLE:
        raise UsageError("goes with a table", parameter="reference_column", value=reference)
    if request.task == MULTILABEL and reading.kind == LABEL:
        images = tuple(replace(image, labels=(image.label or "",), label=None) for image in reading.images)
        reading = replace(reading, kind=LABELS, images=images)
    chosen = tuple(image for image in reading.images if request.chosen.accepts(image.path))
    if reading.images and not chosen:
        raise DataError(f"{printable(request.path)}: include and exclude rejected all of its images")
    reading = merge_names(replace(reading, images=chosen))
    if not reading.images:
        first = next(iter(reading.failures), None)
        why = "" if first is None else f"; the first row that cannot be used: {first.image}: {first.error}"
        raise DataError(f"{printable(request.path)}: no image with a {reading.kind} in it{why}")
    if reading.kind == CAPTION:
        if request.wants not in (None, CAPTION):
            raise DataError(f"{printable(request.path)}: this data has captions, not labels; use task='retrieve'")
        task = RETRIEVE if request.task == "auto" else request.task
        return LabelledData(reading.layout, task, reading.images, (), reading.failures, reading.notices)
    return _with_labels(request, reading)


def _read(request: LabelledRequest) -> Reading:
    path, wants = Path(request.path), request.wants
    if request.folder_labels is not None and (request.table is not None or not path.is_dir()):
        raise UsageError("goes with a folder of classes", parameter="folder_labels", value=request.folder_labels)
    if request.table is not None:
        folder = Path(request.root or "")
        with request.table as table:
            return read_labelled_rows(request.path, table, request.columns, wants, folder)
    if os.path.isdir(path):  # noqa: PTH112 (a Path raises for a name that is too long)
        return _read_metadata(request) or read_folder(request.path, wants, request.folder_labels)
    if path.suffix.lower() == ".json":
        return read_json(path, request.columns, wants, request.root)
    return _read_table(path, request)


def merge_names(reading: Reading) -> Reading:
    """Each file once, under its first name, with all its captions or labels, each once; another label is a failure.

    Where images have several labels, hard links are names of one file: a folder a label is a way to give them.
    """
    images: dict[object, LabelledImage] = {}
    labels: dict[object, LabelledImage] = {}
    failures, repeated = list(reading.failures), 0
    for number, image in enumerate(reading.images):
        if image.source is not None:
            images[("row", number)] = image
            continue
        file = identify_name(image.path, hard_links=True) or image.path
        first = labels.setdefault(file, image)
        if first.label != image.label:
            label, other = printable(str(first.label), 40), printable(first.path)
            failures.append(Failure(printable(image.path), f"the file has the label '{label}' already, as {other}"))
            continue
        name = file if reading.kind == LABELS else identify_name(image.path) or image.path
        if name in images:
            repeated += 1
            old = images[name]
            own = tuple(dict.fromkeys((*old.labels, *image.labels)))
            captions, references = (*old.captions, *image.captions), (*old.references, *image.references)
            images[name] = replace(old, captions=captions, references=references, labels=own)
        else:
            images[name] = image
    notices = [*reading.notices]
    if repeated:
        names = "name of a file is" if repeated == 1 else "names of files are"
        notices.append(f"{repeated:,} more {names} taken together with it")
    distinct = [
        replace(image, captions=tuple(dict.fromkeys(image.captions))) if len(image.captions) > 1 else image
        for image in images.values()
    ]
    if equal := sum(len(image.captions) for image in images.values()) - sum(len(image.captions) for image in distinct):
        are = "is" if equal == 1 else "are"
        notices.append(f"{pluralise(equal, 'repeated caption')} of the same image {are} left out")
    return replace(reading, images=tuple(distinct), failures=tuple(failures), notices=tuple(notices))


def _read_table(path: Path, request: LabelledRequest) -> Reading:
    name = printable(str(path))
    try:
        table = read_table(str(path))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    with table:
        return read_labelled_rows(name, table, request.columns, request.wants, _folder_of(path, request))


def _folder_of(path: Path, request: LabelledRequest) -> Path:
    """The folder that a table's paths are relative to."""
    return path.parent if request.root is None else Path(request.root)


def _read_metadata(request: LabelledRequest) -> Reading | None:
    """The images in the table of an image folder; None without such a table, or where it lacks what is wanted."""
    if (name := find_metadata(request.path)) is None:
        return None
    with suppress(DataError), read_table(name) as table:
        label = None if request.wants == CAPTION else choose_column(table.columns, (*LABEL_COLUMNS, LABELS))
        caption = choose_column(table.columns, CAPTION_COLUMNS) if request.wants in (None, CAPTION) else None
        named = request.columns.label or request.columns.caption
        if (label or caption or named) and choose_column(table.columns, IMAGE_COLUMNS):
            folder = _folder_of(Path(name), request)
            return read_labelled_rows(printable(name), table, request.columns, request.wants, folder)
    return None


def _with_labels(request: LabelledRequest, reading: Reading) -> LabelledData:
    """Give every class its label and its words, and find the labels to choose from."""
    classes = {
        name: ClassWords(reading.class_labels.get(name, text), (text,)) for name, text in reading.classes.items()
    }
    nothing = {name for name, own in classes.items() if request.none in (name, own.label, *own.words)}
    if request.none is not None and not nothing:
        raise UsageError("not one of the labels", parameter="none", value=request.none)
    if request.labels is not None:
        classes = find_label_words(request.labels, [name for name in classes if name not in nothing])
    none = ClassWords.of([request.none or ""])
    classes |= dict.fromkeys(nothing, none)
    merged = merge_labels([own for own in classes.values() if own != none])
    labels = merged.labels
    if not labels:
        raise DataError(f"{printable(request.path)}: there is no label but '{printable(str(request.none), 40)}'")
    images = reading.images
    if any(name != own.label for name, own in classes.items()):
        images = tuple(
            replace(
                image,
                label=None if image.label is None else classes[image.label].label,
                labels=tuple(dict.fromkeys(classes[label].label for label in image.labels)),
            )
            for image in images
        )
    used = {image.label for image in images} | {label for image in images for label in image.labels}
    notices = (
        *reading.notices,
        *merged.notices,
        *describe_labels([label for label in labels if label not in used], labels),
    )
    task = CLASSIFY if reading.kind == LABEL else MULTILABEL
    return LabelledData(reading.layout, task, images, labels, reading.failures, notices, merged.words)
