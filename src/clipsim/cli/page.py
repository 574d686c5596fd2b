"""What an HTML page can hold, checked before a run: its pictures and scores are in one file, for a browser."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from clipsim.errors import UsageError

MAX_PICTURES = 10_000
MAX_SCORES = 1_000_000  # of a page; a browser opens as many in some ten seconds

MaxPictures = Annotated[
    int,
    typer.Option("--max-pictures", min=1, metavar="N", help="The most images that a page of --format html may hold."),
]


def check_terminal() -> None:
    """Raise UsageError where the page would be written to a terminal."""
    if sys.stdout.isatty():
        raise UsageError("a page is for a browser, not for the terminal; write it to a file: --format html > page.html")


def check_page(images: int, scores_per_image: int, max_pictures: int) -> None:
    """Raise UsageError for a page with more pictures or scores than a browser is asked to open."""
    if images > max_pictures:
        raise UsageError(
            f"{images:,} images are more than the {max_pictures:,} that a page holds; --max-pictures {images} allows it"
        )
    if images * scores_per_image > MAX_SCORES:
        raise UsageError(
            f"{images:,} images with {scores_per_image:,} scores each are more than the {MAX_SCORES:,} scores that a "
            f"page holds; --top {max(1, MAX_SCORES // images)} or less keeps the best of each image"
        )
