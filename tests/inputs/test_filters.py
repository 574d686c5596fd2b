"""Tests of `inputs.filters`: which names include and exclude patterns take."""

from __future__ import annotations

import pytest

from clipsim.errors import UsageError
from clipsim.inputs.paths import NameFilter


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.jpg", "a.jpg", True),
        ("*.jpg", "/data/photos/a.jpg", True),
        ("*.jpg", "a.jpg.png", False),
        ("*.jpg", "a.JPG", False),
        ("thumbs", "photos/thumbs/a.jpg", True),
        ("thumbs", "photos/thumbs2/a.jpg", False),
        ("2024/*.jpg", "photos/2024/a.jpg", True),
        ("2024/*.jpg", "photos/2024/may/a.jpg", False),
        ("2024/**/*.jpg", "photos/2024/a.jpg", True),
        ("2024/**", "2024/may/a.jpg", True),
        ("/data/*.jpg", "/data/a.jpg", True),
        ("/data/*.jpg", "old/data/a.jpg", False),
        ("a?.jpg", "ab.jpg", True),
        ("a?.jpg", "a/.jpg", False),
        ("[!a-c]*.jpg", "photos/d.jpg", True),
        ("[!a-c]*.jpg", "b.jpg", False),
        ("[^]]x", "ax", True),
        ("a[1].(jpg)", "a1.(jpg)", True),
        ("*.jpg", "part.tar/0001.jpg", True),
        ("part.tar", "data/part.tar/0001.jpg", True),
        ("x[", "x[", True),
        ("[]]x", "]x", True),
        ("a**b", "a/x/b", True),
        ("[\\d]", "d", True),
        ("[\\d]", "1", False),
    ],
)
def test_a_pattern(pattern: str, name: str, matches: bool) -> None:
    """A pattern takes what .gitignore's rules say, alone and as an exclusion."""
    assert NameFilter(include=(pattern,)).accepts(name) is matches
    assert NameFilter(exclude=(pattern,)).accepts(name) is not matches


def test_exclusion_wins() -> None:
    """A name must match an inclusion, if there is one, and no exclusion."""
    chosen = NameFilter(include=("*.jpg", "*.png"), exclude=("b.*",))

    assert [name for name in ("a.jpg", "b.jpg", "c.png", "d.gif") if chosen.accepts(name)] == ["a.jpg", "c.png"]


@pytest.mark.parametrize(("pattern", "cause"), [("", "empty"), ("/", "empty"), ("//", "empty"), ("[z-a]", "not a")])
def test_what_is_no_pattern(pattern: str, cause: str) -> None:
    """A pattern that says nothing is a mistake, not one that matches nothing or everything."""
    with pytest.raises(UsageError, match=cause):
        NameFilter(exclude=(pattern,))
