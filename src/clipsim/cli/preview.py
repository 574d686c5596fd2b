"""The environment and `--preview` → how images are shown in the terminal, if at all; the terminal is never asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from clipsim.cli.parameters import OUTPUT
from clipsim.errors import UsageError

if TYPE_CHECKING:
    from clipsim.images.thumbnails import ThumbnailRules
    from clipsim.render.preview import Preview


MAX_PREVIEWS = 1000  # images in a table of images; their files are held in memory
_ITERM_PROGRAMS = ("iTerm.app", "WezTerm", "mintty", "rio")
_KONSOLE_WITH_ITERM = 220400  # KONSOLE_VERSION from which Konsole knows iTerm2's protocol


class PreviewMode(str, Enum):
    """How images are shown in the terminal."""

    auto = "auto"
    kitty = "kitty"
    iterm = "iterm"
    blocks = "blocks"
    off = "off"


PreviewOption = Annotated[
    PreviewMode,
    typer.Option(
        "--preview",
        help="Show images in the terminal: by the protocol of kitty or iterm, as blocks of colour, or with auto as "
        "the environment says that the terminal can.",
        rich_help_panel=OUTPUT,
    ),
]


def choose_preview(mode: PreviewMode, environment: Mapping[str, str] = os.environ) -> PreviewMode:
    """What a mode stands for here: kitty, iterm, blocks or off. Images are shown on a terminal only."""
    if mode is PreviewMode.off or not sys.stdout.isatty() or environment.get("TERM") == "dumb":
        return PreviewMode.off
    chosen = _guess(environment) if mode is PreviewMode.auto else mode
    drawn = "utf" in sys.stdout.encoding.lower() and not environment.get("NO_COLOR")
    return chosen if chosen is not PreviewMode.blocks or drawn else PreviewMode.off


def _guess(environment: Mapping[str, str]) -> PreviewMode:
    """By the terminal's name. A program in between, which may not pass images on, gets none."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or "STY" in environment or term.startswith(("tmux", "screen")):
        return PreviewMode.off
    if program in _ITERM_PROGRAMS or environment.get("LC_TERMINAL") == "iTerm2":
        return PreviewMode.iterm
    if term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return PreviewMode.kitty
    if "KITTY_WINDOW_ID" in environment and not program and term.startswith("xterm"):  # others may have inherited it
        return PreviewMode.kitty
    konsole = environment.get("KONSOLE_VERSION", "")
    if konsole.isascii() and konsole.isdigit() and int(konsole) >= _KONSOLE_WITH_ITERM:
        return PreviewMode.iterm
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return PreviewMode.blocks
    return PreviewMode.off


def preview_rules(mode: PreviewMode) -> ThumbnailRules:
    """The thumbnails that a mode draws."""
    from clipsim.images.thumbnails import ThumbnailRules
    from clipsim.render.preview import HalfBlocks, InlineImage

    if mode is PreviewMode.blocks:
        return ThumbnailRules(HalfBlocks.side, "ppm")
    return ThumbnailRules(InlineImage.side, "png")


def make_preview(mode: PreviewMode) -> Preview:
    """What draws a thumbnail of those rules."""
    from clipsim.render.preview import HalfBlocks, InlineImage

    if mode is PreviewMode.blocks:
        return HalfBlocks
    return lambda png: InlineImage(png, mode.value)


MAX_PAGE_IMAGES = 10_000
MAX_SCORES = 1_000_000  # of a page; a browser opens as many in some ten seconds

MaxPageImages = Annotated[
    int,
    typer.Option(
        "--max-images",
        min=1,
        metavar="N",
        help="The most images that a page of --format html may hold.",
        rich_help_panel=OUTPUT,
    ),
]


def check_terminal() -> None:
    """Raise UsageError where the page would be written to a terminal."""
    if sys.stdout.isatty():
        raise UsageError("a page is for a browser, not for the terminal; write it to a file: --format html > page.html")


def check_page(images: int, scores_per_image: int, max_images: int) -> None:
    """Raise UsageError for a page with more images or scores than a browser is asked to open."""
    if images > max_images:
        raise UsageError(
            f"{images:,} images are more than the {max_images:,} that a page holds; --max-images {images} allows it"
        )
    if images * scores_per_image > MAX_SCORES:
        raise UsageError(
            f"{images:,} images with {scores_per_image:,} scores each are more than the {MAX_SCORES:,} scores that a "
            f"page holds; --top {max(1, MAX_SCORES // images)} or less keeps the best of each image"
        )
