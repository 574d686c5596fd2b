"""Draws the example pictures of the repository's `images/`, from seeds that training never uses."""

from __future__ import annotations

from pathlib import Path

from .scene import GALLERY_SEEDS, draw_picture

# file: thing, seed after GALLERY_SEEDS, width, height
GALLERY: dict[str, tuple[str, int, int, int]] = {
    "maze1.jpeg": ("maze", 25, 512, 512),
    "maze2.jpeg": ("maze", 20, 480, 640),
    "maze3.jpeg": ("maze", 22, 512, 512),
    "cat1.jpeg": ("cat", 20, 512, 512),
    "cat2.jpeg": ("cat", 25, 640, 480),
    "dog1.jpeg": ("dog", 24, 512, 512),
    "bar_chart.jpeg": ("bar chart", 6, 640, 480),
    "diagram.jpeg": ("diagram", 4, 640, 512),
    "chessboard.jpeg": ("chessboard", 4, 512, 512),
    "house.jpeg": ("house", 20, 512, 512),
    "sailboat.jpeg": ("boat", 23, 600, 480),
    "butterfly.jpeg": ("butterfly", 5, 512, 512),
}


def draw_gallery(folder: Path) -> list[Path]:
    """Write the example pictures into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for file, (name, seed, width, height) in GALLERY.items():
        picture = draw_picture(GALLERY_SEEDS + seed, name, size=(width, height), tidy=True)
        picture.image.save(folder / file, "JPEG", quality=90)
        paths.append(folder / file)
    return paths
