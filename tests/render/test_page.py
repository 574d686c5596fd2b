"""Tests of `render.page`: a page that loads nothing, and whose policy is for its own style and script."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from jinja2 import UndefinedError
from made_results import make_result
from pages import HOSTILE_NAMES, Element, parse_page

from clipsim.errors import printable
from clipsim.render.page import render_page
from clipsim.render.rank_page import format_rank_page, format_top_images_page

RESULT = make_result(HOSTILE_NAMES, HOSTILE_NAMES[:4])
PAGES = [list(format_rank_page(RESULT)), list(format_rank_page(RESULT, 2)), list(format_top_images_page(RESULT, 9))]


def hash_of(element: Element) -> str:
    """The source expression of a policy for an inline element (Content Security Policy Level 3, section 2.3.1)."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode() + "'"


def test_the_policy_allows_the_page_itself_and_nothing_else() -> None:
    """The hashes are those of its one style and its one script."""
    for page in map(parse_page, PAGES):
        (policy,) = page.find("meta", **{"http-equiv": "Content-Security-Policy"})
        (style,), (script,) = page.find("style"), page.find("script")

        assert policy.attributes["content"] == (
            f"default-src 'none'; img-src data: file:; style-src {hash_of(style)}; script-src {hash_of(script)}; "
            "base-uri 'none'; form-action 'none'"
        )


def test_nothing_in_the_page_is_an_address() -> None:
    """No element has an address but a data URI, none has an inline style or a handler, none refers elsewhere."""
    for page in map(parse_page, PAGES):
        stack = [page]
        while stack:
            element = stack.pop()
            stack += element.children
            assert not any(name.startswith("on") or name == "style" for name in element.attributes), element
            for name in ("src", "href", "srcset", "action", "data", "poster"):
                assert element.attributes.get(name, "data:").startswith("data:"), element
        (style,) = page.find("style")
        assert not re.search(r"url\(|@import|https?:", style.text)


def test_names_are_text() -> None:
    """Markup, quotes and template syntax in names come out as they are; what acts on a line is escaped."""
    for page in map(parse_page, PAGES):
        shown = [element.text for element in page.find("bdi", class_="name")]
        assert {printable(name) for name in HOSTILE_NAMES} <= set(shown)
        assert {element.tag for element in page.find("b")} == {"b"}
        assert len(page.find("script")) == len(page.find("style")) == 1
        assert not [image for image in page.find("img") if not image.attributes["src"].startswith("data:")]
        assert "onmouseover" not in "".join(str(list(e.attributes)) for e in [*page.find("td"), *page.find("option")])


def test_the_page_is_utf_8() -> None:
    """No lone surrogate of a name that is not UTF-8 is left, and no character that changes the direction."""
    for pieces in PAGES:
        text = "".join(pieces)
        text.encode("utf-8")
        assert not re.search("[\x00-\x08\x1b\u202a-\u202e\u2066-\u2069]", text)


def test_a_large_page_comes_in_pieces() -> None:
    """A page of thousands of rows is never one string."""
    result = make_result([f"{number}.png" for number in range(2000)], ["a", "b"])
    pieces = list(format_rank_page(result))

    assert len(pieces) > 20
    assert max(map(len, pieces)) < 50_000


def test_a_value_that_is_missing_is_an_error() -> None:
    """A template cannot leave something out silently."""
    with pytest.raises(UndefinedError):
        list(render_page("rank.html"))
