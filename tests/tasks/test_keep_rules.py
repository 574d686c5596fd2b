"""Tests for `tasks.keep_rules`: which file of a group comes first."""

from __future__ import annotations

import pytest

from clipsim.errors import UsageError
from clipsim.images.copies import ImageHeader
from clipsim.tasks.keep_rules import KeepRules
from clipsim.tasks.kept_copies import FileState


def file(pixels: int, loss: int, size: int, modified: int) -> FileState:
    """A file with so many pixels and bytes, of that age."""
    header = ImageHeader((pixels, 1), loss, False, False, False)
    return FileState((pixels, size), 1, False, size, modified, header)


FILES = {
    "photos/many pixels.jpg": file(9, 1, 50, 30),
    "photos/lossless.png": file(5, 0, 40, 40),
    "originals/many bytes.jpg": file(5, 1, 90, 20),
    "old/a.jpg": file(5, 1, 10, 10),
}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], ["many pixels.jpg", "lossless.png", "many bytes.jpg", "a.jpg"]),
        (["best"], ["many pixels.jpg", "lossless.png", "many bytes.jpg", "a.jpg"]),
        (["largest"], ["many bytes.jpg", "many pixels.jpg", "lossless.png", "a.jpg"]),
        (["oldest"], ["a.jpg", "many bytes.jpg", "many pixels.jpg", "lossless.png"]),
        (["newest"], ["lossless.png", "many pixels.jpg", "many bytes.jpg", "a.jpg"]),
        (["originals"], ["many bytes.jpg", "many pixels.jpg", "lossless.png", "a.jpg"]),
        (["old/*", "photos", "newest"], ["a.jpg", "lossless.png", "many pixels.jpg", "many bytes.jpg"]),
    ],
)
def test_rules_in_order(rules: list[str], expected: list[str]) -> None:
    """Each decides where those before it find no difference."""
    keep = KeepRules(rules)
    ordered = sorted(FILES, key=lambda name: keep(name, FILES[name]))
    assert [name.partition("/")[2] for name in ordered] == expected
    assert keep.notices == []


def test_a_pattern_that_matches_nothing_is_said() -> None:
    """It may be a slip of the pen for one of the four words."""
    keep = KeepRules(["odlest"])
    for name, one in FILES.items():
        keep(name, one)
    assert keep.notices == ["keep: no file of a group matches 'odlest'"]


def test_an_empty_pattern_is_refused() -> None:
    """By the name of the option."""
    with pytest.raises(UsageError, match="keep=''"):
        KeepRules([""])
