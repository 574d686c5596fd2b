"""Tests of `names`."""

from __future__ import annotations

import pytest

from clipsim.errors import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("[red]markup[/red]", "[red]markup[/red]"),
        ("猫 😀 é", "猫 😀 é"),
        ("line\nbreak\r", "line\\nbreak\\r"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("right\u202eleft", "right\\u202eleft"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\\xe9"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_could_act_is_escaped(name: str, shown: str) -> None:
    """Controls, directional marks and stray bytes become escapes; everything else stays."""
    assert printable(name) == shown


def test_a_long_name_keeps_both_ends() -> None:
    """The limit counts what is shown, escapes included."""
    assert printable("abcdefghij", 7) == "abc…hij"
    assert len(printable("\n" * 1000, 20)) == 20
    assert len(printable("x" * 10_000_000, 20)) == 20
