"""Tests of `render.parts`: names of a given width that stay different."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import NASTY_NAMES
from rich.cells import cell_len

from clipsim.errors import UNSAFE
from clipsim.render.parts import shorten, shorten_all, shorten_paths, strip_common_folder

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


@given(name=NAMES, width=st.integers(3, 40))
def test_a_label_is_never_wider_than_its_column(name: str, width: int) -> None:
    """Whatever is in the name: wide characters, combining marks, controls."""
    label = shorten(name, width)

    assert cell_len(label) <= width
    assert not UNSAFE.search(label)


def test_a_name_that_fits_is_whole() -> None:
    """A longer one keeps its beginning and its end."""
    assert shorten("maze.jpeg", 9) == "maze.jpeg"
    assert shorten("a very long name.jpeg", 12) == "a very….jpeg"


@pytest.mark.parametrize("width", [12, 14, 18, 32])
def test_labels_stay_different(width: int) -> None:
    """Names that differ in the middle are shown from where they differ; equal names look equal."""
    names = [f"holiday_2024_beach_IMG_000{n}_edited_final_version_for_print.jpg" for n in (1, 2, 3, 3)]
    labels = shorten_all([*names, *NASTY_NAMES], width)

    assert len(set(labels)) == 3 + len(NASTY_NAMES)
    assert labels[2] == labels[3]
    assert all(cell_len(label) <= width for label in labels)


@pytest.mark.parametrize(
    ("names", "stripped"),
    [
        (["a/b/x.jpg", "a/c/y.jpg"], ["b/x.jpg", "c/y.jpg"]),
        (["a/x.jpg", "a/y.jpg"], ["x.jpg", "y.jpg"]),
        (["a/x.jpg"], ["x.jpg"]),
        (["x.jpg", "a/y.jpg"], ["x.jpg", "a/y.jpg"]),
        (["/a/x.jpg", "a/y.jpg"], ["/a/x.jpg", "a/y.jpg"]),
        (["/x.jpg", "/y.jpg"], ["x.jpg", "y.jpg"]),
        ([], []),
    ],
)
def test_the_folder_that_all_names_share_is_left_out(names: list[str], stripped: list[str]) -> None:
    """Only a folder that is the same for all; absolute and relative names share none."""
    assert strip_common_folder(names) == stripped


@pytest.mark.parametrize("width", range(4, 40))
def test_paths_are_told_apart(width: int) -> None:
    """Whatever the width, no label is wider; from 16 cells on, no two are alike."""
    names = [
        "holiday/2023/beach/IMG_0001.jpeg",
        "holiday/2024/beach/IMG_0001.jpeg",
        "holiday/2024/beach/IMG_0002.jpeg",
        "holiday/2024/IMG_0001.jpeg",
        "IMG_0001.jpeg",
        "other/" + "long " * 30 + ".jpeg",
        "東京/タワーの写真と夜景.png",
        "a\x1b.png",
    ]
    labels = shorten_paths(names, width)

    assert max(map(cell_len, labels)) <= width
    assert width < 16 or len(set(labels)) == len(names)
    assert not any("\x1b" in label for label in labels)


def test_a_path_loses_its_first_folders_first() -> None:
    """The file's name and the folders next to it stay; of alike ones, the folder in which they differ."""
    assert shorten_paths(["a/b/c/d.png", "d/e.png"], 9) == ["…/c/d.png", "d/e.png"]
    assert shorten_paths(["a/2023/c/d.png", "a/2024/c/d.png"], 14) == ["a/2023/c/d.png", "a/2024/c/d.png"]
    assert shorten_paths(["a/2023/cc/dd/e.png", "a/2024/cc/dd/e.png"], 15) == ["…/2023/…/e.png", "…/2024/…/e.png"]
    assert shorten_paths(["a\x1b.png", "a\\x1b.png"], 40) == shorten_all(["a\x1b.png", "a\\x1b.png"], 40)
    assert shorten_paths(["a/x.png", "a/x.png"], 6) == shorten_all(["a/x.png"] * 2, 6)
