"""Names → labels of a given width in terminal cells, escaped and still different from each other."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from clipsim.errors import printable


def shorten(name: str, width: int) -> str:
    """The name, escaped and in at most `width` cells: its beginning and its end around an ellipsis.

    >>> shorten("东京塔的照片.jpg", 9)
    '东京….jpg'
    """
    text = printable(name, 4 * width)
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    head = set_cell_size(text, width - 1 - tail).rstrip()
    return f"{head}…{set_cell_size(text[::-1], tail).rstrip()[::-1]}"


def shorten_all(names: Sequence[str], width: int) -> list[str]:
    """The names shortened; those that would look alike are shown from where they begin to differ.

    >>> shorten_all(["holiday_picture_0001_final.jpg", "holiday_picture_0002_final.jpg", "x.jpg"], 12)
    ['…1_final.jpg', '…2_final.jpg', 'x.jpg']
    """
    labels = [shorten(name, width) for name in names]
    alike: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        alike[label].append(index)
    for indices in alike.values():
        group = [names[index] for index in indices]
        if len(set(group)) > 1:
            start = len(os.path.commonprefix(group))  # noqa: RUF071 (characters are meant)
            for index in indices:
                labels[index] = shorten(f"…{names[index][start:]}", width)
    return labels


def strip_common_folder(names: Sequence[str]) -> list[str]:
    """The names without the folder that all of them share.

    >>> strip_common_folder(["a/b/x.jpg", "a/c/y.jpg"])
    ['b/x.jpg', 'c/y.jpg']
    """
    folders = {str(Path(name).parent) for name in names}
    try:
        common = os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative ones, or several drives
        common = ""
    return [os.path.relpath(name, common) if common else name for name in names]
