"""A folder with a folder for each class, or with a text file beside each image → labelled or captioned images."""

from __future__ import annotations

import os
from pathlib import Path

from clipsim.errors import DataError, printable
from clipsim.inputs.captions import CAPTION_SUFFIX
from clipsim.inputs.labelled_rows import LabelledImage, Reading, RowFailure
from clipsim.inputs.paths import find_listed_images
from clipsim.inputs.text_files import is_text, read_text

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
    failures = tuple(RowFailure(printable(path), "not in the folder of a class") for path in direct)
    images = tuple(LabelledImage(path, name) for name, found in classes.items() for path in found)
    return Reading(FOLDERS, "label", images, failures, {name: _as_words(name) for name in classes})


def _images_below(folder: str) -> list[str]:
    """The images below a folder, sorted; none where it has none."""
    paths = list(find_listed_images([folder]))
    return [] if paths == [folder] else paths


def _class_folders(folder: str) -> dict[str, list[str]]:
    """The folders right below, sorted, and the images in each."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if entry.is_dir()), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot read the folder: {error.strerror or error}") from error
    classes = {}
    for entry in entries:
        if entry.name.startswith("."):
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
            failures.append(RowFailure(printable(path), f"no caption: {error}"))
            continue
        if all(map(is_text, lines)):
            images.append(LabelledImage(path, None, tuple(lines)))
        else:
            failures.append(RowFailure(printable(path), f"{printable(_caption_file(path))} is not UTF-8"))
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
