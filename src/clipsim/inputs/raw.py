"""Names of the RAW files of cameras: which they are, whether they can be opened here, and which show one shot."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

from clipsim.errors import install_command, pluralise
from clipsim.inputs.sources import FileSource, Source

RAW_SUFFIXES = frozenset((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"))
_DEVELOPED = frozenset((".jpg", ".jpeg", ".jpe", ".heic", ".heif"))  # what cameras write beside a RAW file


def has_raw_suffix(name: str) -> bool:
    """Whether a file is taken for a RAW file by its name."""
    return os.path.splitext(name)[1].lower() in RAW_SUFFIXES  # noqa: PTH122 (a million times; a Path costs more)


@cache
def can_open_raw() -> bool:
    """Whether the package that opens RAW files is installed."""
    return find_spec("rawpy") is not None


def describe_unopened(names: Sequence[str]) -> str:
    """Why RAW files were left out, in one line, and what opens them.

    >>> describe_unopened(["a.NEF", "b.cr2", "c.nef"])
    "3 RAW files (2 nef, 1 cr2) need rawpy, which is not installed; pip install 'clipsim[raw]'"
    """
    kinds = Counter(os.path.splitext(name)[1].lower().lstrip(".") for name in names)  # noqa: PTH122
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    verb = "needs" if len(names) == 1 else "need"
    files = pluralise(len(names), "RAW file")
    return f"{files} ({listed}) {verb} rawpy, which is not installed; {install_command('raw')}"


def same_shot(path_a: str, path_b: str) -> bool:
    """Whether two files are a RAW file and what the camera, or a program, developed from it.

    They are in the same folder under the same name, but for the suffix: one is a RAW file, the other a JPEG or HEIC.

    >>> same_shot("a/IMG_1.CR2", "a/IMG_1.jpg"), same_shot("a/IMG_1.CR2", "b/IMG_1.jpg"), same_shot("a.jpg", "a.jpeg")
    (True, False, False)
    """
    kinds = has_raw_suffix(path_a) and _is_developed(path_b), has_raw_suffix(path_b) and _is_developed(path_a)
    return any(kinds) and find_stem(path_a) == find_stem(path_b)


def merge_shots(sources: Sequence[Source]) -> list[Source]:
    """The sources without RAW files that are the `same_shot` as another of them, which stands for both."""
    stems = {
        find_stem(source.name) for source in sources if isinstance(source, FileSource) and _is_developed(source.name)
    }
    return [
        source
        for source in sources
        if not (isinstance(source, FileSource) and has_raw_suffix(source.name) and find_stem(source.name) in stems)
    ]


def find_stem(name: str) -> str:
    """The absolute path of a file without its suffix, which the files of one shot share."""
    return os.path.abspath(os.path.splitext(name)[0])  # noqa: PTH100, PTH122


def _is_developed(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _DEVELOPED  # noqa: PTH122
