"""One cold `clipsim rank` of two images → how often its main thread changes the room of the code (docs/code.md).

Consecutive calls of clipsim's named functions are compared, by sys.setprofile: neither the code of a module when it is
imported, nor a comprehension, nor a generator that goes on is a call. With --edges, the most frequent changes are
listed, from one function to the next.

    python scripts/count_rooms.py [--edges] [IMAGE IMAGE]
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import clipsim

PACKAGE = str(Path(clipsim.__file__).parent) + os.sep
FIRST_INSTRUCTIONS = 8  # bytes of code before a generator's own first line
IMAGES = [str(Path(__file__).parents[1] / "images" / name) for name in ("cat1.jpeg", "cat2.jpeg")]


def find_room(frame: FrameType) -> str | None:
    """The room of a frame's code: the module or package at the top level of clipsim; None for other code."""
    name = frame.f_code.co_filename
    if not name.startswith(PACKAGE):
        return None
    return Path(name.removeprefix(PACKAGE)).parts[0].removesuffix(".py")


class Profiler:
    """Counts the changes of room between consecutive calls; `edges` says between which functions."""

    def __init__(self) -> None:
        self.changes = 0
        self.edges: Counter[str] = Counter()
        self._last: tuple[str, str] | None = None

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """What sys.setprofile calls."""
        if event != "call" or frame.f_code.co_name.startswith("<") or (room := find_room(frame)) is None:
            return
        if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            return  # the body of a class, run when its module is imported
        if frame.f_code.co_flags & inspect.CO_GENERATOR and frame.f_lasti > FIRST_INSTRUCTIONS:
            return  # a generator that goes on
        name = f"{room}.{frame.f_code.co_name}"
        if self._last is not None and self._last[0] != room:
            self.changes += 1
            self.edges[f"{self._last[1]} -> {name}"] += 1
        self._last = (room, name)


def main() -> None:
    """Run and print the number."""
    arguments = sys.argv[1:]
    edges = "--edges" in arguments
    images = [argument for argument in arguments if argument != "--edges"] or IMAGES
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CLIPSIM_CACHE_DIR"] = folder
        from clipsim.cli.app import run

        sys.argv = ["clipsim", "rank", *images, "-t", "maze", "-t", "cat"]
        profiler = Profiler()
        sys.setprofile(profiler)
        try:
            run()
        except SystemExit:
            pass
        finally:
            sys.setprofile(None)
    print(f"{profiler.changes} changes of room", file=sys.stderr)
    for edge, number in profiler.edges.most_common(60 if edges else 0):
        print(f"{number:5} {edge}", file=sys.stderr)


if __name__ == "__main__":
    main()
