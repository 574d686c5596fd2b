"""A small image file → a picture in a terminal's table: half blocks, or escapes of kitty and iTerm2.

Escapes are control segments, which rich writes to terminals only. They are sent when the cursor is at the end of the
last line of the picture's cell: the terminal has scrolled by then, and the cell is above and to the left.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import ControlType, Segment
from rich.style import Style

COLUMNS, ROWS = 16, 8  # cells of a picture; a cell is taken to be twice as high as wide
CHUNK = 4096  # bytes of base64 in one escape of kitty's protocol, which allows no more
SAVE_CURSOR, RESTORE_CURSOR = "\x1b7", "\x1b8"


@dataclass(frozen=True)
class HalfBlocks:
    """A picture of coloured half blocks, two pixels a cell; `ppm` is a binary PPM file of at most 16 × 16 pixels."""

    side: ClassVar[int] = COLUMNS
    ppm: bytes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines of the picture, each as wide as the picture, and a blank one."""
        _, size, _, pixels = self.ppm.split(b"\n", 3)
        width, height = map(int, size.split())

        def colour(x: int, y: int) -> Color | None:
            place = 3 * (y * width + x)
            return Color.from_rgb(*pixels[place : place + 3]) if y < height else None

        for y in range(0, height, 2):
            for x in range(width):
                yield Segment("▀", Style(color=colour(x, y), bgcolor=colour(x, y + 1)))
            yield Segment.line()
        yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """All pictures are as wide as the widest may be."""
        return Measurement(COLUMNS, COLUMNS)


@dataclass(frozen=True)
class InlineImage:
    """A PNG file that the terminal draws itself over a cell of blanks, by the protocol "kitty" or "iterm"."""

    side: ClassVar[int] = 192
    png: bytes
    protocol: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Blank lines, after the last of which the picture is drawn over them."""
        for _ in range(ROWS):
            yield Segment(" " * COLUMNS)
            yield Segment.line()
        yield Segment(" " * COLUMNS)  # a line between pictures, which also covers cells lower than they are taken to be
        draw = "".join(kitty_escapes(self.png) if self.protocol == "kitty" else iterm_escapes(self.png))
        placed = f"{SAVE_CURSOR}\x1b[{ROWS}A\x1b[{COLUMNS}D{draw}{RESTORE_CURSOR}"
        yield Segment(placed, None, [(ControlType.CURSOR_UP, ROWS)])
        yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as the cell of blanks."""
        return Measurement(COLUMNS, COLUMNS)


def kitty_escapes(png: bytes) -> Iterator[str]:
    """The picture by kitty's graphics protocol: at the cursor, which stays, without an answer, in the cell's bounds.

    Keys of https://sw.kovidgoyal.net/kitty/graphics-protocol: a=T transmit and show, f=100 PNG, q=2 no answer, C=1 keep
    the cursor, c or r columns or rows to scale to, m=1 more follows.
    """
    bound = f"c={COLUMNS}" if _is_wide(png) else f"r={ROWS}"
    data = base64.b64encode(png).decode("ascii")
    for start in range(0, len(data), CHUNK):
        keys = [] if start else ["a=T,f=100,q=2,C=1", bound]
        keys.append(f"m={int(start + CHUNK < len(data))}")
        yield f"\x1b_G{','.join(keys)};{data[start : start + CHUNK]}\x1b\\"


def iterm_escapes(png: bytes) -> Iterator[str]:
    """The picture by iTerm2's inline images protocol, in the cell's bounds; the cursor stays where the terminal can.

    See https://iterm2.com/documentation-images.html; doNotMoveCursor is WezTerm's.
    """
    data = base64.b64encode(png).decode("ascii")
    bound = f"width={COLUMNS};height=auto" if _is_wide(png) else f"width=auto;height={ROWS}"
    keys = f"inline=1;size={len(png)};{bound};preserveAspectRatio=1;doNotMoveCursor=1"
    yield f"\x1b]1337;File={keys}:{data}\x07"


def _is_wide(png: bytes) -> bool:
    """Whether the width of a PNG file (RFC 2083, section 11.2.1) fills the cell before its height does."""
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    return width * 2 * ROWS >= height * COLUMNS
