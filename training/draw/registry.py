"""Collects the things that can be drawn: each `@thing` function is one way to draw one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pen import Pen

Way = Callable[["Pen"], None]
RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Thing:
    """One thing that has a name and at least one way to be drawn.

    Attributes
    ----------
    name : the first caption word, such as "cat"
    synonyms : other names, such as "kitten"
    kinds : hypernyms, such as "animal"
    coloured : whether the thing takes the caption's colour (a rainbow does not)
    whole : whether it fills a frame by itself (a maze, a page, a pattern), so that its count is one
    ways : clearly different ways to draw it
    natural : colours of its "main" ink when no caption asks for one; empty means any
    """

    name: str
    synonyms: tuple[str, ...]
    kinds: tuple[str, ...]
    coloured: bool
    whole: bool
    ways: tuple[Way, ...]
    natural: tuple[RGB, ...] = ()


THINGS: dict[str, Thing] = {}


def thing(
    name: str,
    *,
    synonyms: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
    coloured: bool = True,
    whole: bool = False,
    natural: tuple[RGB, ...] = (),
) -> Callable[[Way], Way]:
    """Register the decorated function as one more way to draw `name`; details may be given on the first way only."""

    def register(way: Way) -> Way:
        known = THINGS.get(name)
        if known is None:
            THINGS[name] = Thing(name, synonyms, kinds, coloured, whole, (way,), natural)
        else:
            THINGS[name] = replace(
                known,
                synonyms=known.synonyms or synonyms,
                kinds=known.kinds or kinds,
                coloured=known.coloured and coloured,
                whole=known.whole or whole,
                ways=(*known.ways, way),
                natural=known.natural or natural,
            )
        return way

    return register
