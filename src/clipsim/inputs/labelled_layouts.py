"""A folder or a JSON file of labelled or captioned images → the images with their labels or captions."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clipsim.errors import DataError, Failure, printable
from clipsim.inputs.captions import CAPTION_SUFFIX
from clipsim.inputs.label_words import SPLITS
from clipsim.inputs.labelled_rows import (
    CAPTION,
    LABEL,
    LABELS,
    CollectedImages,
    Columns,
    LabelledImage,
    Reading,
    collect_objects,
    read_labelled_rows,
)
from clipsim.inputs.paths import find_listed_images, is_left_out
from clipsim.inputs.rows import Row, RowTable, rows_of_objects
from clipsim.inputs.texts import is_text, parse_json, read_text

FOLDERS, BESIDE = "folders", "text files"
FOLDER_LABELS = ("first", "last", "path")


def read_folder(folder: str, wants: str | None, folder_labels: str | None = None) -> Reading:
    """The images below a folder and their labels or captions; where both are there, captions unless labels are wanted.

    `folder_labels` says which of the folders on the way to an image is its class: the "first" below `folder`; the
    "last", which holds the image; or all of them, as a "path". None is for the path where all images are two folders
    deep or deeper, else the first. `_` and `-` in names become spaces.

    Raises DataError for a folder of neither layout, and for one that cannot be read.
    """
    paths = _images_below(folder)
    beside = [path for path in paths if os.path.isfile(_caption_file(path))]  # noqa: PTH113 (for each image)
    if wants in (None, CAPTION) and beside and folder_labels is None:
        return _read_beside(paths)
    classes = _class_folders(folder)
    if wants == CAPTION or not any(classes.values()):
        raise DataError(f"{printable(folder)}: {_layouts(wants, bool(paths))}")
    direct = [path for path in paths if _parent(path) == os.path.normpath(folder)]
    failures = tuple(Failure(printable(path), "not in the folder of a class") for path in direct)
    notices = []
    if folder_labels is None and _all_deeper(folder, classes):
        folder_labels = "path"
        notices.append(
            "no image is in a folder right below, so that labels are the paths of the folders, and their texts the "
            "last parts; folder_labels='first' takes the folders right below"
        )
    if folder_labels == "path":
        return _read_paths(folder, classes, failures, notices)
    if folder_labels == "last":
        classes = _regroup(classes, lambda path: os.path.basename(os.path.dirname(path)))  # noqa: PTH119, PTH120
    images = tuple(LabelledImage(path, name) for name, class_images in classes.items() for path in class_images)
    return Reading(FOLDERS, LABEL, images, failures, {name: _as_words(name) for name in classes}, tuple(notices))


def _all_deeper(folder: str, classes: Mapping[str, list[str]]) -> bool:
    """Whether there are images, and none in a folder right below; folders of splits are left as they are."""
    if {name.lower() for name in classes} <= SPLITS:
        return False
    parents = {_parent(path) for paths in classes.values() for path in paths}
    return not parents & {os.path.normpath(os.path.join(folder, name)) for name in classes}  # noqa: PTH118


def _parent(path: str) -> str:
    """The folder of a file, however its name was written: Windows knows two separators."""
    return os.path.normpath(os.path.dirname(path))  # noqa: PTH120


def _read_paths(
    folder: str, classes: Mapping[str, list[str]], failures: tuple[Failure, ...], notices: list[str]
) -> Reading:
    """The classes by the paths of their folders; a text is that of the last folder, or of all where two end alike."""
    classes = _regroup(classes, lambda path: Path(os.path.relpath(path, folder)).parent.as_posix())
    parts = {name: [_as_words(part) for part in name.split("/")] for name in classes}
    ends = Counter(own[-1] for own in parts.values())
    texts = {name: own[-1] if ends[own[-1]] == 1 else " ".join(own) for name, own in parts.items()}
    images = tuple(LabelledImage(path, name) for name, paths in classes.items() for path in paths)
    class_labels = {name: "/".join(own) for name, own in parts.items()}
    return Reading(FOLDERS, LABEL, images, failures, texts, tuple(notices), class_labels)


def _regroup(classes: Mapping[str, list[str]], name_class: Callable[[str], str]) -> dict[str, list[str]]:
    """The images by the class that a function gives for the path of each, in the order of the names of classes."""
    groups: dict[str, list[str]] = {}
    for paths in classes.values():
        for path in paths:
            name = name_class(path)
            if not is_text(name) or not _as_words(name):
                raise DataError(f"{printable(path)}: the name of its folder is not a label; rename the folder")
            groups.setdefault(name, []).append(path)
    return {name: groups[name] for name in sorted(groups)}


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
    return Reading(BESIDE, CAPTION, tuple(images), tuple(failures), {})


def _caption_file(path: str) -> str:
    return os.path.splitext(path)[0] + CAPTION_SUFFIX  # noqa: PTH122 (for each image)


def _layouts(wants: str | None, any_image: bool) -> str:
    folders, beside = "a folder for each class", "a text file beside each image (x.txt beside x.jpg)"
    layouts = f"{folders} or {beside}" if wants is None else beside if wants == CAPTION else folders
    return f"expected {layouts}, or give a table" if any_image else f"no image in it; expected {layouts}"


COCO, COCO_LABELS, OBJECT = "coco captions", "coco", "json"


def read_json(path: Path, columns: Columns, wants: str | None, root: str | None) -> Reading:
    """The images of a JSON file. Raises DataError for JSON of another layout, and for what is not JSON."""
    file = printable(str(path))
    value = parse_json(read_text(path), file)
    folder = path.parent if root is None else Path(root)
    if isinstance(value, list):
        rows = list(rows_of_objects(value))
        names = next((tuple(row.values) for row in rows if row.error is None), ())
        return read_labelled_rows(file, RowTable(names, lambda _: iter(rows)), columns, wants, folder)
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        if not isinstance(value.get("annotations"), list):
            raise DataError(f"{file}: 'images' without 'annotations'; expected COCO's captions or instances")
        if wants != CAPTION and isinstance(value.get("categories"), list) and _has_categories(value["annotations"]):
            return _read_coco_labels(value, file, folder, wants)
        failures: list[Failure] = []
        return collect_objects(file, folder, list(_coco(value, file, failures)), COCO, failures=failures)
    if isinstance(value, dict):
        return collect_objects(file, folder, value.items(), OBJECT, wants)
    raise DataError(f"{file}: expected COCO's JSON, an object of images and captions, or a list of rows")


def _has_categories(annotations: list[Any]) -> bool:
    return any(isinstance(one, dict) and "category_id" in one for one in annotations)


def _read_coco_labels(value: dict[str, Any], file: str, folder: Path, wants: str | None) -> Reading:
    """The images of COCO's instances with the names of the categories that are in them; an image may have none."""
    names: dict[Any, str] = {}
    for row in rows_of_objects(value["categories"]):
        key, name = row.values.get("id"), row.values.get("name")
        if not isinstance(key, int | str) or not is_text(name) or not str(name).strip():
            raise DataError(f"{file}: category {row.number} has no 'id' and 'name'")
        names[key] = str(name).strip()
    collected = CollectedImages(file, folder, wants)
    labels: dict[Any, list[str]] = {}
    for row in rows_of_objects(value["annotations"]):
        problem = row.error or _find_category_problem(row, names)
        if problem is None:
            labels.setdefault(row.values["image_id"], []).append(names[row.values["category_id"]])
        else:
            collected.failures.append(Failure(f"{file}: annotation {row.number}", problem))
    for row in rows_of_objects(value["images"]):
        key, name = row.values.get("id"), row.values.get("file_name")
        own = labels.pop(key, []) if isinstance(key, int | str) else []
        collected.add(Row(row.number, {"image": name, "labels": own}, row.error), "image", "labels", None)
    collected.failures += [
        Failure(f"{file}: image_id {printable(str(key), 40)}", "no such image, but it has labels") for key in labels
    ]
    return collected.reading(COCO_LABELS, LABELS, tuple(dict.fromkeys(names.values())))


def _find_category_problem(row: Row, names: Mapping[Any, str]) -> str | None:
    image, category = row.values.get("image_id"), row.values.get("category_id")
    if not isinstance(image, int | str):
        return "no 'image_id'"
    if not isinstance(category, int | str):
        return "no 'category_id'"
    return None if category in names else f"no category has the id {printable(str(category), 40)}"


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
