"""An XMP document and keywords → the document with them: its bytes stay, and only what is new is inserted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape

from clipsim.errors import DataError

MAX_BYTES = 16_000_000  # of a sidecar; darktable's with long histories have less than one
MAX_ELEMENTS = 200_000
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
PROPERTIES = {  # the lists that hold keywords
    "http://purl.org/dc/elements/1.1/ subject": "dc",
    "http://ns.adobe.com/lightroom/1.0/ hierarchicalSubject": "lr",
}
EMPTY = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="clipsim">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about="">
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
""".encode()
_ARRAYS = {f"{RDF} {name}" for name in ("Bag", "Seq", "Alt")}
_TAG = re.compile(rb"""<([^\s/>]+)(?:[^>"']|"[^"]*"|'[^']*')*>""")
_SPACE = re.compile(rb"\s*\Z")


@dataclass
class _Element:
    """An element: where its start tag begins and ends, where its content ends, and where the whole ends."""

    name: str
    start: int
    inside: int
    closed: bool  # by its own start tag
    inside_end: int = 0
    end: int = 0
    text: list[str] = field(default_factory=list)
    children: list[_Element] = field(default_factory=list)


def add_keywords(content: bytes, keywords: Sequence[str]) -> bytes:
    """Add keywords to `dc:subject` and `lr:hierarchicalSubject`; the very content where both have them all.

    Raises DataError for what is not XMP in UTF-8, for a document type or an entity, and for keywords that are not kept
    as lists.
    """
    changed = _insert(content, keywords)
    if changed is not content and _insert(changed, keywords) is not changed:
        raise DataError("its keywords are kept in a way that is not known")
    return changed


def _insert(content: bytes, keywords: Sequence[str]) -> bytes:
    description = _find_description(content)
    edits: list[tuple[int, int, bytes]] = []  # from, to, and what takes the place
    new = b""
    for name, prefix in PROPERTIES.items():
        lists = [child for parent in description for child in parent.children if child.name == name]
        if not lists:
            new += _make_property(content, description[0], name, prefix, keywords)
            continue
        arrays = [child for child in lists[0].children if child.name in _ARRAYS]
        if len(lists) > 1 or len(arrays) != 1:
            raise DataError("its keywords are kept in a way that is not known")
        present = {"".join(item.text).strip() for item in arrays[0].children}
        if missing := [keyword for keyword in keywords if keyword not in present]:
            edits.append(_extend(content, arrays[0], missing))
    if new:
        first = description[0]
        at = first.children[-1].end if first.children else first.inside
        edits.append(_fill(content, first, at, new))
    for start, end, text in sorted(edits, reverse=True):
        content = content[:start] + text + content[end:]
    return content


def _extend(content: bytes, array: _Element, keywords: Iterable[str]) -> tuple[int, int, bytes]:
    """The edit that appends items to a list, indented as its last one is."""
    prefix = _prefix(content, array)
    last = array.children[-1] if array.children else None
    space = b"" if last is None else _space_before(content, last.start)
    items = b"".join(space + _item(prefix, keyword) for keyword in keywords)
    return _fill(content, array, array.inside if last is None else last.end, items)


def _fill(content: bytes, element: _Element, at: int, text: bytes) -> tuple[int, int, bytes]:
    """The edit that puts text into an element, which gets an end tag where it has none."""
    if not element.closed:
        return at, at, text
    match = _TAG.match(content, element.start)
    name = match[1] if match else b""
    space = _space_before(content, element.start) if b"\n" in text else b""
    return element.inside - 2, element.inside, b">" + text + space + b"</" + name + b">"


def _make_property(content: bytes, parent: _Element, name: str, prefix: str, keywords: Iterable[str]) -> bytes:
    """A list of keywords as a new property of a description."""
    rdf = _prefix(content, parent)
    space = _space_before(content, parent.start) or b"\n"
    address, local = name.split(" ")
    tag = f"{prefix}:{local}".encode()
    items = b"".join(space + b"   " + _item(rdf, keyword) for keyword in keywords)
    return (
        space + b" <" + tag + f' xmlns:{prefix}="{address}">'.encode() + space + b"  <" + rdf + b"Bag>" + items
        + space + b"  </" + rdf + b"Bag>" + space + b" </" + tag + b">"
    )  # fmt: skip


def _item(prefix: bytes, keyword: str) -> bytes:
    return b"<" + prefix + b"li>" + escape(keyword).encode() + b"</" + prefix + b"li>"


def _prefix(content: bytes, element: _Element) -> bytes:
    """The prefix of an element's name with its colon, as the document writes it."""
    match = _TAG.match(content, element.start)
    head, colon, _ = match[1].rpartition(b":") if match else (b"", b"", b"")
    return head + colon


def _space_before(content: bytes, position: int) -> bytes:
    """The white space that ends before a position: a line end and an indentation, where there are."""
    match = _SPACE.search(content, max(0, position - 200), position)
    space = match[0] if match else b""
    return space[space.rfind(b"\n") :] if b"\n" in space else space


def _find_description(content: bytes) -> list[_Element]:
    """The descriptions of an XMP document. Raises DataError for what is none."""
    if len(content) > MAX_BYTES:
        raise DataError("too large for XMP")
    root = _parse(content)
    rdf = root if root.name == f"{RDF} RDF" else next((e for e in root.children if e.name == f"{RDF} RDF"), None)
    descriptions = [] if rdf is None else [e for e in rdf.children if e.name == f"{RDF} Description"]
    if not descriptions:
        raise DataError("not an XMP document")
    return descriptions


def _parse(content: bytes) -> _Element:
    """The tree of a document, with the offsets of its elements. Raises DataError."""
    parser = expat.ParserCreate(namespace_separator=" ")
    top = _Element("", 0, 0, False)
    stack, count = [top], 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > MAX_ELEMENTS:
            raise DataError("too many elements for XMP")
        at = parser.CurrentByteIndex
        match = _TAG.match(content, at)
        if match is None or set(attributes) & set(PROPERTIES):
            raise DataError("its keywords are kept in a way that is not known")
        element = _Element(name, at, match.end(), match[0].endswith(b"/>"))
        stack[-1].children.append(element)
        stack.append(element)

    def end(_: str) -> None:
        element = stack.pop()
        element.inside_end = element.inside if element.closed else parser.CurrentByteIndex
        element.end = element.inside if element.closed else content.index(b">", element.inside_end) + 1

    def text(data: str) -> None:
        stack[-1].text.append(data)

    def declare(_: str, encoding: str | None, __: int) -> None:
        if (encoding or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
            raise DataError("not in UTF-8")

    def refuse(*_: object) -> NoReturn:
        raise DataError("it has a document type or an entity, which XMP does not")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.XmlDeclHandler = text, declare
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("not in UTF-8")
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise DataError(f"not well-formed XML ({expat.ErrorString(error.code)}, line {error.lineno})") from error
    return top.children[0]
