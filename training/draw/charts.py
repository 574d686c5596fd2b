"""Draws charts with axes: bar charts, line charts and scatter plots."""

from __future__ import annotations

import math

from .colours import any_colour, brightness, mix
from .curves import smooth_curve
from .pen import Ink, Pen
from .registry import RGB, thing

_SETS: tuple[tuple[RGB, ...], ...] = (
    ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (140, 86, 75)),
    ((66, 133, 244), (234, 67, 53), (251, 188, 5), (52, 168, 83), (255, 109, 1), (70, 189, 198)),
    ((68, 114, 196), (237, 125, 49), (165, 165, 165), (255, 192, 0), (91, 155, 213), (112, 173, 71)),
)
_NATURAL = ((31, 119, 180), (66, 133, 244), (68, 114, 196), (52, 168, 83), (214, 39, 40), (255, 127, 14))
TITLES = ("Sales", "Results", "2024", "Growth", "Revenue", "Survey", "Total by year", "Users", "Temperature")
_LABELS = ("A", "B", "C", "D", "E", "F", "G", "H", "I", "J")


def series_colours(pen: Pen, count: int) -> list[Ink]:
    """Return colours for several series: a usual set of office software or any."""
    if pen.chance(0.75):
        usual = pen.rng.choice(_SETS)
        return [usual[i % len(usual)] for i in range(count)]
    return [any_colour(pen.rng) for _ in range(count)]


def text_ink(pen: Pen) -> Ink:
    """Return a colour for words and axes that can be read on the paper."""
    return (40, 40, 45) if brightness(pen.colour("paper")) > 110 else (235, 235, 235)


def _axes(pen: Pen) -> tuple[float, float, float, float]:
    """Draw title, axes and grid lines of a chart, and return the box of its data."""
    width, height = pen.frame
    ink = text_ink(pen)
    left, right = -width + pen.rng.uniform(0.12, 0.35), width - pen.rng.uniform(0.08, 0.2)
    top, bottom = -height + pen.rng.uniform(0.12, 0.4), height - pen.rng.uniform(0.12, 0.32)
    if pen.chance(0.55):
        pen.text(0, (-height + top) / 2, 0.08, pen.rng.choice(TITLES), ink)
    lines = pen.rng.randint(3, 7)
    faint = mix(pen.colour("paper"), pen.colour(ink), 0.2)
    numbers = pen.chance(0.5)
    if pen.chance(0.6):
        for i in range(lines + 1):
            y = top + (bottom - top) * i / lines
            pen.line([(left, y), (right, y)], 0.008, faint)
            if numbers:
                pen.text(left - 0.08, y, 0.05, str(10 * (lines - i)), ink)
    thin = pen.rng.choice((0.01, 0.02, 0.035))
    if pen.chance(0.85):
        pen.line([(left, bottom), (right, bottom)], thin, ink)
    if pen.chance(0.75):
        pen.line([(left, top), (left, bottom)], thin, ink)
        if pen.chance(0.15):
            pen.line([(left, top), (right, top), (right, bottom)], thin, ink)
    return left, top, right, bottom


def draw_legend(pen: Pen, colours: list[Ink]) -> None:
    """Draw a small legend in the upper right corner."""
    for i, colour in enumerate(colours[:5]):
        x, y = pen.frame[0] - 0.3, -pen.frame[1] + 0.15 + 0.12 * i
        pen.rectangle(x, y - 0.03, x + 0.06, y + 0.03, colour, outline=False)
        pen.text(x + 0.17, y, 0.05, pen.rng.choice(("one", "two", "men", "2023", "total")), text_ink(pen))


@thing(
    "bar chart",
    synonyms=("bar graph", "bar plot", "histogram", "column chart"),
    kinds=("chart", "graph"),
    whole=True,
    natural=_NATURAL,
)
def bars_upright(pen: Pen) -> None:
    """Draw upright bars of one series."""
    left, top, right, bottom = _axes(pen)
    count = pen.rng.randint(3, 12)
    step, full = (right - left) / count, bottom - top
    wide = step * pen.rng.choice((0.45, 0.6, 0.75, 0.95))
    many = series_colours(pen, count) if pen.chance(0.25) else None
    labels = pen.chance(0.4)
    bell = pen.chance(0.2)
    for i in range(count):
        share = math.exp(-(((i + 0.5) / count - 0.5) ** 2) * 9) * 0.95 if bell else pen.rng.uniform(0.1, 1.0)
        x = left + step * (i + 0.5)
        pen.rectangle(
            x - wide / 2,
            bottom - full * share,
            x + wide / 2,
            bottom,
            many[i] if many else "main",
            outline=pen.stroke > 0.02,
        )
        if labels:
            pen.text(x, bottom + 0.07, 0.05, _LABELS[i % 10], text_ink(pen))


@thing("bar chart")
def bars_lying(pen: Pen) -> None:
    """Draw lying bars of one series."""
    left, top, right, bottom = _axes(pen)
    count = pen.rng.randint(3, 9)
    step = (bottom - top) / count
    wide = step * pen.rng.choice((0.5, 0.65, 0.8))
    many = series_colours(pen, count) if pen.chance(0.25) else None
    for i in range(count):
        y = top + step * (i + 0.5)
        end = left + (right - left) * pen.rng.uniform(0.15, 1.0)
        pen.rectangle(left, y - wide / 2, end, y + wide / 2, many[i] if many else "main", outline=pen.stroke > 0.02)


@thing("bar chart")
def bars_grouped(pen: Pen) -> None:
    """Draw groups or stacks of bars in several colours, the first in the main one."""
    left, top, right, bottom = _axes(pen)
    groups, series = pen.rng.randint(2, 6), pen.rng.randint(2, 4)
    colours: list[Ink] = ["main", *series_colours(pen, series)[1:]]
    stacked = pen.chance(0.4)
    step = (right - left) / groups
    for g in range(groups):
        floor = bottom
        for s in range(series):
            tall = (bottom - top) * pen.rng.uniform(0.1, 1.0) / (series if stacked else 1)
            if stacked:
                x0, x1 = left + step * (g + 0.2), left + step * (g + 0.8)
            else:
                x0 = left + step * (g + 0.1 + 0.8 * s / series)
                x1 = x0 + step * 0.8 / series
            pen.rectangle(x0, floor - tall, x1, floor, colours[s], outline=False)
            floor = floor - tall if stacked else bottom
    if pen.chance(0.5):
        draw_legend(pen, colours)


@thing(
    "line chart",
    synonyms=("line graph", "line plot", "stock chart", "time series"),
    kinds=("chart", "graph"),
    whole=True,
    natural=_NATURAL,
)
def lines(pen: Pen) -> None:
    """Draw one to four lines over an x axis."""
    left, top, right, bottom = _axes(pen)
    series = pen.rng.choice((1, 1, 1, 2, 3, 4))
    colours: list[Ink] = ["main", *series_colours(pen, series)[1:]]
    count, width = pen.rng.randint(4, 24), pen.rng.choice((0.025, 0.04, 0.06))
    smooth, dots = pen.chance(0.3), pen.chance(0.4)
    for colour in colours:
        level, points = pen.rng.uniform(0.2, 0.8), []
        slope = pen.rng.uniform(-0.6, 0.6) / count
        for i in range(count):
            level = min(1.0, max(0.02, level + slope + pen.jitter(1.2 / count**0.7)))
            points.append((left + (right - left) * i / (count - 1), bottom - (bottom - top) * level))
        if series == 1 and pen.chance(0.2):
            pen.polygon([(left, bottom), *points, (right, bottom)], mix(pen.colour("main"), pen.colour("paper"), 0.6))
        pen.line(smooth_curve(points) if smooth else points, width, colour)
        if dots:
            for x, y in points:
                pen.circle(x, y, width * 0.9, colour, outline=False)
    if pen.chance(0.4):
        draw_legend(pen, colours)


@thing(
    "scatter plot",
    synonyms=("scatter chart", "scatter graph", "scatterplot"),
    kinds=("chart", "graph"),
    whole=True,
    natural=_NATURAL,
)
def scatter(pen: Pen) -> None:
    """Draw many points between two axes, in clouds or along a line."""
    left, top, right, bottom = _axes(pen)
    clouds = pen.rng.choice((1, 1, 2, 3))
    colours: list[Ink] = ["main", *series_colours(pen, clouds)[1:]]
    r = pen.rng.uniform(0.018, 0.05)
    for colour in colours:
        cx, cy, slope = pen.rng.uniform(0.3, 0.7), pen.rng.uniform(0.3, 0.7), pen.jitter(1.2)
        spread = pen.rng.uniform(0.12, 0.3) if clouds == 1 else 0.1
        for _ in range(pen.rng.randint(14, 60)):
            u = pen.rng.gauss(0, spread)
            x, y = cx + u, cy + slope * u + pen.rng.gauss(0, spread * 0.5)
            if 0.02 < x < 0.98 and 0.02 < y < 0.98:
                pen.circle(left + (right - left) * x, top + (bottom - top) * y, r, colour, outline=False)
    if clouds == 1 and pen.chance(0.25):
        pen.line([(left, bottom), (right, top)], 0.015, "second")
