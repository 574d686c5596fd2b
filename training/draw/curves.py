"""Turns shapes of the unit square into lists of points."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]


def ellipse_points(cx: float, cy: float, rx: float, ry: float, turn: float = 0.0, steps: int = 32) -> list[Point]:
    """Return points around an ellipse that is turned by degrees."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    points = []
    for step in range(steps):
        angle = 2 * math.pi * step / steps
        x, y = rx * math.cos(angle), ry * math.sin(angle)
        points.append((cx + cos * x - sin * y, cy + sin * x + cos * y))
    return points


def arc_points(cx: float, cy: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    """Return points on an ellipse from start to end degrees, clockwise from three o'clock."""
    if end < start:
        end += 360.0
    steps = max(2, int((end - start) / 10))
    angles = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(cx + rx * math.cos(angle), cy + ry * math.sin(angle)) for angle in angles]


def rectangle_points(x0: float, y0: float, x1: float, y1: float, radius: float, turn: float) -> list[Point]:
    """Return the outline of a rectangle with round corners, turned by degrees about its centre."""
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    radius = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
    if radius <= 0:
        points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    else:
        corners = (
            (x1 - radius, y0 + radius, 270.0),
            (x1 - radius, y1 - radius, 0.0),
            (x0 + radius, y1 - radius, 90.0),
            (x0 + radius, y0 + radius, 180.0),
        )
        points = [point for x, y, a in corners for point in arc_points(x, y, radius, radius, a, a + 90.0)]
    if not turn:
        return points
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    return [(cx + cos * (x - cx) - sin * (y - cy), cy + sin * (x - cx) + cos * (y - cy)) for x, y in points]


def _between(a: Point, b: Point, c: Point, d: Point, steps: int) -> list[Point]:
    """Return Catmull-Rom points from b to c, without c."""
    t = np.arange(steps)[:, None] / steps
    p, q, r, s = np.array([a, b, c, d])
    curve = q + t / 2 * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)))
    return [(x, y) for x, y in curve.tolist()]


def close_curve(points: Sequence[Point], steps: int = 6) -> list[Point]:
    """Return a closed smooth curve through the points."""
    count = len(points)
    if count < 3:
        return list(points)
    curve: list[Point] = []
    for i in range(count):
        curve += _between(points[i - 1], points[i], points[(i + 1) % count], points[(i + 2) % count], steps)
    return curve


def smooth_curve(points: Sequence[Point], steps: int = 6) -> list[Point]:
    """Return an open smooth curve through the points."""
    if len(points) < 3:
        return list(points)
    padded = [points[0], *points, points[-1]]
    curve: list[Point] = []
    for i in range(len(points) - 1):
        curve += _between(padded[i], padded[i + 1], padded[i + 2], padded[i + 3], steps)
    return [*curve, points[-1]]
