"""Draws the pictures that clipsim-mini learns from: every thing is registered here, with its ways to be drawn."""

from __future__ import annotations

from . import (  # noqa: F401 - importing these registers their things
    animals,
    board_games,
    charts,
    diagrams,
    games,
    mazes,
    nature,
    objects,
    pages,
    patterns,
    shapes,
    tables,
    vehicles,
)
from .colours import COLOURS
from .registry import THINGS, Thing, thing
from .scene import EVALUATION_SEEDS, GALLERY_SEEDS, Picture, draw_picture

__all__ = ["COLOURS", "EVALUATION_SEEDS", "GALLERY_SEEDS", "THINGS", "Picture", "Thing", "draw_picture", "thing"]
