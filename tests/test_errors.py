"""Tests of `errors`: the exception tree, and text made safe to print."""

from __future__ import annotations

import inspect
import pickle
import re
import sys
import unicodedata
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsim import errors
from clipsim.errors import ClipsimError, NoInputError, printable


def acts_on_a_terminal(character: str) -> bool:
    """Whether a character moves the cursor, turns the direction of a line or cannot be encoded, by Unicode's data."""
    marks = "\u061c\u200e\u200f\ufeff"  # Arabic letter mark, left-to-right and right-to-left mark, byte-order mark
    embeddings = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in embeddings
        or character in marks
    )


@cache
def every_character() -> tuple[list[str], str]:
    """All of Unicode: the characters that act on a terminal, and a text of all others."""
    acting: list[str] = []
    harmless: list[str] = []
    for character in map(chr, range(sys.maxunicode + 1)):
        (acting if acts_on_a_terminal(character) else harmless).append(character)
    return acting, "".join(harmless)


def test_the_tree_of_the_docstring_is_the_tree_of_the_classes() -> None:
    """Every exception is drawn once, below its base and with its own docstring."""
    drawn = {}
    path: list[str] = []
    for indent, name, text in re.findall(r"^([│ ]*(?:[├└]── )?)(\w+Error)\b(.*)$", str(errors.__doc__), re.MULTILINE):
        path[len(indent) // 4 :] = [name]
        drawn[name] = (path[-2] if len(path) > 1 else "RuntimeError", text.strip())
    classes = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if name.endswith("Error")}

    assert {name: base for name, (base, _) in drawn.items()} == {
        name: kind.__mro__[1].__name__ for name, kind in classes.items()
    }
    for name, (_, text) in drawn.items():
        if name != "ClipsimError":
            assert str(classes[name].__doc__).lower().startswith(text.lower()), name


def test_every_error_is_caught_as_one() -> None:
    """A program needs one `except`; the failures of a run without usable inputs come with the error."""
    error = NoInputError("none", ("a record",))

    assert isinstance(error, errors.ImageError)
    assert isinstance(error, ClipsimError)
    assert (str(error), error.failures) == ("none", ("a record",))


def test_an_error_is_pickled_whole() -> None:
    """Its fields survive, also of a subclass with more of them and of a value that cannot be pickled."""
    error = pickle.loads(pickle.dumps(NoInputError("none", ("a record",), hint=errors.Setting("device", "cpu"))))
    assert (type(error), str(error), error.failures) == (NoInputError, "none; try device='cpu'", ("a record",))

    error = pickle.loads(pickle.dumps(errors.UsageError("not a string", parameter="model", value=lambda: None)))
    assert str(error).startswith("model=<function ")
    assert str(error).endswith(": not a string")


def test_a_hint_is_left_out_where_its_parameter_has_no_name() -> None:
    """A reader who cannot set a parameter is not told to."""
    error = errors.UsageError("too long", parameter="texts", hint=("cut it with ", errors.Setting("truncate")))

    assert error.worded(lambda setting: None if setting.name == "truncate" else setting.name) == "texts: too long"


def test_every_character_that_acts_on_a_terminal_is_escaped() -> None:
    """All of Unicode: ASCII stands for what acts, and no other character is changed."""
    acting, harmless = every_character()
    assert printable(harmless) == harmless
    for character in acting:
        shown = printable(character)
        assert shown.isascii(), hex(ord(character))
        assert shown.isprintable(), hex(ord(character))


ACTING = st.deferred(lambda: st.sampled_from(every_character()[0]))  # deferred: it takes a second
PIECES = st.text(st.one_of(st.characters(), ACTING), min_size=1)
TEXTS = st.lists(PIECES, max_size=40).map("".join)  # also longer than the limits


@given(TEXTS, st.integers(1, 50))
def test_printable_is_harmless_and_short(text: str, limit: int) -> None:
    """No character that acts is left, the limit holds, and the beginning and the end are kept."""
    shown, whole = printable(text, limit), printable(text)

    assert not any(map(acts_on_a_terminal, shown))
    assert len(shown) <= limit
    if len(whole) <= limit:
        assert shown == whole
    else:
        start, ellipsis, end = shown.partition("…") if "…" not in whole else (shown, "…", "")
        assert ellipsis
        assert "…" in whole or (whole.startswith(start) and whole.endswith(end))


@given(TEXTS, TEXTS)
def test_printable_escapes_character_by_character(left: str, right: str) -> None:
    """What stands beside a character does not matter."""
    assert printable(left + right) == printable(left) + printable(right)


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
def test_escapes(name: str, shown: str) -> None:
    """Controls, directional marks and bytes that are not UTF-8 are escaped; other characters are kept."""
    assert printable(name) == shown


def test_a_long_name_keeps_both_ends() -> None:
    """The limit counts the characters that are shown, escapes included."""
    assert printable("abcdefghij", 7) == "abc…hij"
    assert len(printable("\n" * 1000, 20)) == 20
    assert len(printable("x" * 10_000_000, 20)) == 20
