"""Tests for `tasks.xmp`: keywords are added to XMP of every layout, and everything else stays to the byte."""

from __future__ import annotations

import difflib
import re
import xml.etree.ElementTree as ET

import pytest

from clipsim.errors import DataError
from clipsim.tasks.xmp import EMPTY, MAX_BYTES, MAX_ELEMENTS, RDF, add_keywords

DC = "http://purl.org/dc/elements/1.1/"
LR = "http://ns.adobe.com/lightroom/1.0/"
LISTS = f"{{{DC}}}subject", f"{{{LR}}}hierarchicalSubject"


def wrap(inside: str, attributes: str = "") -> bytes:
    """An XMP document with a description."""
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n <rdf:RDF xmlns:rdf="{RDF}">\n'
        f'  <rdf:Description rdf:about="" xmlns:dc="{DC}" xmlns:lr="{LR}"{attributes}{inside}'
        "\n </rdf:RDF>\n</x:xmpmeta>\n"
    ).encode()


DOCUMENTS = {
    "new": EMPTY,
    "with a byte-order mark": b"\xef\xbb\xbf" + EMPTY,
    "attributes alone, as Lightroom writes": wrap("/>", ' a="1 > 0" b=\'it is "so" />\''),
    "an element without children": wrap("></rdf:Description>"),
    "a list": wrap(
        ">\n   <dc:subject>\n    <rdf:Bag>\n     <rdf:li>old</rdf:li>\n    </rdf:Bag>\n   </dc:subject>\n"
        "  </rdf:Description>"
    ),
    "an empty list": wrap("><dc:subject><rdf:Bag/></dc:subject></rdf:Description>"),
    "a list in order": wrap("><dc:subject><rdf:Seq><rdf:li>old</rdf:li></rdf:Seq></dc:subject></rdf:Description>"),
    "both lists": wrap(
        "><lr:hierarchicalSubject><rdf:Bag><rdf:li>a|b</rdf:li></rdf:Bag></lr:hierarchicalSubject>"
        "<dc:subject><rdf:Bag><rdf:li>old</rdf:li></rdf:Bag></dc:subject></rdf:Description>"
    ),
    "two descriptions": wrap(
        f'/>\n  <rdf:Description rdf:about="" xmlns:s="{DC}"><s:subject><rdf:Bag><rdf:li>old</rdf:li></rdf:Bag>'
        "</s:subject></rdf:Description>"
    ),
    "other prefixes": f'<RDF xmlns="{RDF}"><Description><s xmlns="u"/></Description></RDF>'.encode(),
    "an edit of darktable": wrap(
        '>\n   <d:history xmlns:d="u">\n    <rdf:Seq>\n     <rdf:li d:params="gz04eJx=&#10;"/>\n    </rdf:Seq>\n'
        "   </d:history>\n  </rdf:Description>"
    ),
    "comments and a packet": b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<!-- <rdf:RDF> -->'
    + wrap("/>")
    + b" " * 200
    + b'\n<?xpacket end="w"?>',
    "line ends of Windows": wrap("><a:b xmlns:a='u'>caf\u00e9</a:b></rdf:Description>").replace(b"\n", b"\r\n"),
}


def keywords_of(content: bytes) -> list[list[str]]:
    """The keywords in either list, as another parser reads them."""
    tree = ET.fromstring(content)
    return [[item.text or "" for part in tree.iter(name) for item in part.iter(f"{{{RDF}}}li")] for name in LISTS]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_keywords_are_added_and_nothing_else_changes(name: str) -> None:
    """To both lists, in order after what was there; no byte is taken away but the slash of an empty element."""
    content = DOCUMENTS[name]
    before = keywords_of(content)
    changed = add_keywords(content, ["cat", "R&D <é>"])

    assert keywords_of(changed) == [[*words, "cat", "R&D <é>"] for words in before]
    matcher = difflib.SequenceMatcher(None, content.decode(), changed.decode(), autojunk=False)
    gone = [content[a:b] for tag, a, b, _, _ in matcher.get_opcodes() if tag in ("delete", "replace")]
    assert set(gone) <= {b"/"}
    inserted = re.sub(rb"\s+", b"", changed)
    assert add_keywords(changed, ["R&D <é>", "cat"]) is changed, inserted


def test_only_what_is_missing_is_added() -> None:
    """In the list that lacks it."""
    changed = add_keywords(DOCUMENTS["both lists"], ["old"])
    assert keywords_of(changed) == [["old"], ["a|b", "old"]]


def test_a_new_item_is_indented_as_the_others() -> None:
    """So that a person can read it."""
    lines = add_keywords(DOCUMENTS["a list"], ["cat"]).decode().splitlines()
    assert lines[lines.index("     <rdf:li>old</rdf:li>") + 1] == "     <rdf:li>cat</rdf:li>"
    lines = add_keywords(EMPTY, ["cat"]).decode().splitlines()
    assert lines[4:7] == [f'   <dc:subject xmlns:dc="{DC}">', "    <rdf:Bag>", "     <rdf:li>cat</rdf:li>"]


BOMB = b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>'
REFUSED = {
    "a document type": (b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + EMPTY.split(b"\n", 1)[1], "document type"),
    "entities": (BOMB + EMPTY.split(b"\n", 1)[1], "document type"),
    "an unknown entity": (wrap(">&a;</rdf:Description>"), "not well-formed"),
    "another encoding": (EMPTY.decode().replace("UTF-8", "ISO-8859-1").encode(), "not in UTF-8"),
    "UTF-16": (EMPTY.decode().replace("UTF-8", "UTF-16").encode("utf-16"), "not in UTF-8"),
    "a torn end": (EMPTY[:-20], "not well-formed"),
    "nothing": (b"", "not well-formed"),
    "another kind of XML": (b"<svg/>", "not an XMP document"),
    "a keyword that is an attribute": (wrap("/>", ' dc:subject="cat"'), "a way that is not known"),
    "a keyword without a list": (wrap("><dc:subject>cat</dc:subject></rdf:Description>"), "a way that is not known"),
    "two lists": (wrap(">" + "<dc:subject><rdf:Bag/></dc:subject>" * 2 + "</rdf:Description>"), "a way that is"),
    "too many elements": (wrap(">" + "<a/>" * MAX_ELEMENTS + "</rdf:Description>"), "too many elements"),
    "too much": (EMPTY + b" " * MAX_BYTES, "too large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_safe_or_not_known_is_refused(name: str) -> None:
    """Before anything is made of it."""
    content, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        add_keywords(content, ["cat"])


def test_a_keyword_that_xml_cannot_hold_is_refused() -> None:
    """Such as one with a control character."""
    with pytest.raises(DataError):
        add_keywords(EMPTY, ["bell \x07"])
