"""Draws what no collection of icons offers: mazes, charts, boards, diagrams, pages, screens, patterns and shapes."""

from __future__ import annotations

from . import (  # noqa: F401 - importing these registers their things
    board_games,
    charts,
    diagrams,
    games,
    mazes,
    pages,
    patterns,
    shapes,
    tables,
)
from .colours import COLOURS
from .registry import THINGS, Thing, thing
from .scene import EVALUATION_SEEDS, Picture, draw_picture

__all__ = ["COLOURS", "EVALUATION_SEEDS", "THINGS", "Picture", "Thing", "draw_picture", "thing"]
