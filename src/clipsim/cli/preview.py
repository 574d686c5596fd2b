"""The environment and `--preview` → how images are shown in the terminal, if at all; the terminal is never asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from clipsim.cli.output import NoticePrinter
from clipsim.cli.parameters import OUTPUT, option
from clipsim.errors import UsageError

if TYPE_CHECKING:
    from clipsim.images.thumbnails import ThumbnailRules
    from clipsim.render.preview import Preview

MAX_PREVIEWS = 1000  # images in a table of images; their files are held in memory
_ITERM_PROGRAMS = ("iTerm.app", "WezTerm", "mintty", "rio")
_KONSOLE_WITH_ITERM = 220400  # KONSOLE_VERSION from which Konsole knows iTerm2's protocol


PreviewMode = Literal["auto", "kitty", "iterm", "blocks", "off"]
PreviewOption = Annotated[
    PreviewMode,
    option(
        "--preview",
        "MODE",
        OUTPUT,
        "Show images in the terminal's table, by the protocol of kitty or iterm or as blocks of colour; auto: as the "
        "environment says that the terminal can.",
    ),
]


def choose_preview(
    mode: PreviewMode, output: str, paths: bool = False, environment: Mapping[str, str] = os.environ
) -> PreviewMode:
    """What a mode stands for here: kitty, iterm, blocks or off. Images are shown in a table on a terminal only."""
    if output != "table" or paths or not sys.stdout.isatty() or environment.get("TERM") == "dumb":
        return "off"
    chosen = _guess(environment) if mode == "auto" else mode
    drawn = "utf" in sys.stdout.encoding.lower() and not environment.get("NO_COLOR")
    return chosen if chosen != "blocks" or drawn else "off"


def limit_preview(mode: PreviewMode, images: int, notices: NoticePrinter) -> PreviewMode:
    """The mode, or off with a notice for more images than are held in memory."""
    if mode == "off" or images <= MAX_PREVIEWS:
        return mode
    notices.print([f"no images in the terminal for more than {MAX_PREVIEWS:,} images"])
    return "off"


def _guess(environment: Mapping[str, str]) -> PreviewMode:
    """By the terminal's name. A program in between, which may not pass images on, gets none."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or "STY" in environment or term.startswith(("tmux", "screen")):
        return "off"
    if program in _ITERM_PROGRAMS or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return "kitty"
    if "KITTY_WINDOW_ID" in environment and not program and term.startswith("xterm"):  # others may have inherited it
        return "kitty"
    konsole = environment.get("KONSOLE_VERSION", "")
    if konsole.isascii() and konsole.isdigit() and int(konsole) >= _KONSOLE_WITH_ITERM:
        return "iterm"
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return "blocks"
    return "off"


def thumbnail_rules(output: str, mode: PreviewMode) -> ThumbnailRules | None:
    """The thumbnails that a page or a mode shows; None where there are none."""
    if output != "html" and mode == "off":
        return None
    from clipsim.images.thumbnails import ThumbnailRules  # with Pillow

    if output == "html":
        return ThumbnailRules()
    from clipsim.render.preview import HalfBlocks, InlineImage

    return ThumbnailRules(HalfBlocks.side, "ppm") if mode == "blocks" else ThumbnailRules(InlineImage.side, "png")


def make_preview(mode: PreviewMode) -> Preview:
    """What draws a thumbnail of those rules."""
    from clipsim.render.preview import HalfBlocks, InlineImage

    if mode == "blocks":
        return HalfBlocks
    return lambda png: InlineImage(png, mode)


MAX_PAGE_IMAGES = 10_000
MAX_SCORES = 1_000_000  # of a page; a browser opens as many in some ten seconds

MaxPageImages = Annotated[
    int, option("--max-images", "N", OUTPUT, "The most images that a page of --format html may hold.", min=1)
]


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
