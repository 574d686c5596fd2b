"""Maps unit-square drawing commands to pixels of a supersampled Pillow canvas, in one of three styles."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from .curves import Point, arc_points, ellipse_points, rectangle_points
from .letters import draw_words
from .registry import RGB

Ink = str | RGB
STYLES = ("flat", "outlined", "line")


class Pen:
    """Draws in unit coordinates: x right, y down, the thing in [-1, 1] squared.

    Parameters
    ----------
    image : the RGB canvas, usually three times the final size
    rng : the source of all randomness of the drawing
    palette : role name ("main", "second", "light", "dark", "line", "shade", "tint", "paper") to colour
    style : one of `STYLES`
    centre : canvas position of the unit origin, in pixels
    size : pixels of one unit
    turn : rotation in degrees, clockwise
    flip : mirror left and right (words never are)
    shear, stretch : small deformations; 0 and 1 leave the drawing as it is
    stroke : outline width in units
    frame : half the width and half the height that a thing which fills its frame has to fill, in units
    """

    def __init__(
        self,
        image: Image.Image,
        rng: random.Random,
        palette: Mapping[str, RGB],
        style: str = "outlined",
        *,
        centre: Point,
        size: float,
        turn: float = 0.0,
        flip: bool = False,
        shear: float = 0.0,
        stretch: float = 1.0,
        stroke: float = 0.05,
        frame: Point = (1.0, 1.0),
    ) -> None:
        self.image = image
        self.rng = rng
        self.style = style
        self.palette = palette
        self.centre = centre
        self.size = size
        self.turn = turn
        self.stroke = stroke
        self.frame = frame
        self._draw = ImageDraw.Draw(image)
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        side = -1.0 if flip else 1.0
        self._xx, self._xy = cos * side * stretch * size, (cos * shear - sin) * size
        self._yx, self._yy = sin * side * stretch * size, (sin * shear + cos) * size

    def jitter(self, amount: float = 0.1) -> float:
        """Return a number between -amount and amount."""
        return self.rng.uniform(-amount, amount)

    def chance(self, p: float) -> bool:
        """Return True with probability p."""
        return self.rng.random() < p

    def place(self, x: float, y: float) -> Point:
        """Return the canvas pixel of a unit point."""
        return self.centre[0] + self._xx * x + self._xy * y, self.centre[1] + self._yx * x + self._yy * y

    def colour(self, ink: Ink) -> RGB:
        """Return the colour that an ink has, whatever the style."""
        return self.palette[ink] if isinstance(ink, str) else ink

    def polygon(self, points: Sequence[Point], ink: Ink = "main", outline: bool = True) -> None:
        """Draw a closed polygon."""
        self._shape(list(points), ink, outline)

    def circle(self, cx: float, cy: float, r: float, ink: Ink = "main", outline: bool = True) -> None:
        """Draw a circle."""
        self._shape(ellipse_points(cx, cy, r, r, 0.0), ink, outline)

    def rectangle(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        ink: Ink = "main",
        radius: float = 0.0,
        turn: float = 0.0,
        outline: bool = True,
    ) -> None:
        """Draw a rectangle, with round corners of `radius`, turned by degrees about its centre."""
        self._shape(rectangle_points(x0, y0, x1, y1, radius, turn), ink, outline)

    def arc(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        start: float,
        end: float,
        width: float = 0.06,
        ink: Ink = "line",
    ) -> None:
        """Draw a part of an ellipse's edge from start to end degrees, clockwise from three o'clock."""
        self.line(arc_points(cx, cy, rx, ry, start, end), width, ink)

    def line(self, points: Sequence[Point], width: float = 0.06, ink: Ink = "line", closed: bool = False) -> None:
        """Draw a line with round caps; it is visible in every style."""
        path = [*points, points[0]] if closed else points
        self._stroke([self.place(*point) for point in path], width, self._line_colour(ink))

    def text(self, x: float, y: float, height: float, words: str, ink: Ink = "dark") -> None:
        """Write words centred at x, y; `height` is that of the letters."""
        draw_words(self.image, self.place(x, y), height * self.size, words, self._line_colour(ink), self.turn, self.rng)

    def _fill(self, ink: Ink, small: bool) -> RGB:
        """Return what the style fills an ink with."""
        if self.style == "line":
            return self.palette["line"] if small and ink in ("dark", "line") else self.palette["paper"]
        return self.colour(ink)

    def _line_colour(self, ink: Ink) -> RGB:
        """Return what the style draws a line with, so that it stays visible."""
        return self.palette["line"] if self.style == "line" else self.colour(ink)

    def _shape(self, points: list[Point], ink: Ink, outline: bool) -> None:
        """Fill a closed path and draw its edge as the style asks."""
        across = [x for x, _ in points]
        extent = max(across) - min(across)
        pixels = [self.place(*point) for point in points]
        fill = self._fill(ink, extent < 0.3)
        self._draw.polygon(pixels, fill=fill)
        if outline and self.style in ("outlined", "line"):
            self._stroke([*pixels, pixels[0]], self.stroke, self.palette["line"])

    def _stroke(self, pixels: list[Point], width: float, colour: RGB) -> None:
        """Draw a path in canvas pixels with round joints and caps."""
        thick = max(2, round(width * self.size))
        self._draw.line(pixels, fill=colour, width=thick, joint="curve" if thick > 3 else None)
        if thick > 3:
            half = thick / 2 - 0.5
            for x, y in (pixels[0], pixels[-1]):
                self._draw.ellipse((x - half, y - half, x + half, y + half), fill=colour)
