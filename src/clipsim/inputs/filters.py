"""Include and exclude globs → which names are taken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from clipsim.errors import UsageError, printable
from clipsim.inputs.lists import list_given

_TOKEN = re.compile(r"(?P<any>\*\*/?)|\*|\?|\[(?P<not>[!^]?)(?P<set>\][^]]*|[^]]+)\]|(?P<plain>.)", re.DOTALL)


@dataclass(frozen=True)
class NameFilter:
    """Names that match one of `include` (or all, where there are none) and none of `exclude`.

    The patterns are those of .gitignore: one without `/` matches any part of a name, a folder too; one with `/` matches
    the name or its end, from a folder on. `*` and `?` do not match `/`, `**` does; `[abc]` and `[!abc]` are sets.
    Raises UsageError for an empty pattern and a set that is none.

    >>> NameFilter(include=("*.jpg",), exclude=("thumbs",)).accepts("photos/2024/a.jpg")
    True
    >>> NameFilter(include=("*.jpg",), exclude=("thumbs",)).accepts("photos/thumbs/a.jpg")
    False
    >>> NameFilter(include=("2024/**/*.jpg",)).accepts("photos/2024/may/trip/a.jpg")
    True
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the patterns."""
        _ = self._matchers
        if not all(pattern.strip("/") for pattern in (*self.include, *self.exclude)):
            raise UsageError("a pattern of include or exclude is empty")

    @classmethod
    def of(cls, include: object, exclude: object) -> NameFilter:
        """A filter of what a Python caller passed: a pattern or several. Raises UsageError for anything else."""
        given = {"include": list(list_given(include, "include")), "exclude": list(list_given(exclude, "exclude"))}
        for name, patterns in given.items():
            if wrong := [pattern for pattern in patterns if not isinstance(pattern, str)]:
                raise UsageError(f"{name}: {printable(repr(wrong[0]), 40)} is not a string")
        return cls(*(tuple(cast("list[str]", patterns)) for patterns in given.values()))

    def accepts(self, name: str) -> bool:
        """Whether a name is taken."""
        included, excluded = self._matchers
        return (included is None or included.search(name) is not None) and (
            excluded is None or excluded.search(name) is None
        )

    @cached_property
    def _matchers(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        return _compile(self.include), _compile(self.exclude)


def _compile(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    try:
        return re.compile("|".join(f"(?:{_translate(pattern)})" for pattern in patterns), re.DOTALL)
    except re.error as error:
        raise UsageError(f"not a pattern of names: {error}: {printable(' '.join(patterns), 80)}") from error


def _translate(pattern: str) -> str:
    """A glob as a regular expression to search for."""
    start = r"\A" if pattern.startswith("/") else r"(?:\A|/)"
    end = r"\Z" if "/" in pattern.strip("/") else r"(?:/|\Z)"
    return start + _TOKEN.sub(_translate_token, pattern.rstrip("/")) + end


def _translate_token(token: re.Match[str]) -> str:
    if token["any"]:
        return "(?:.*/)?" if token["any"].endswith("/") else ".*"
    if token["set"]:
        inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", token["set"])
        return f"[^/{inside}]" if token["not"] else f"[{inside}]"
    if token["plain"]:
        return re.escape(token["plain"])
    return "[^/]*" if token[0] == "*" else "[^/]"
