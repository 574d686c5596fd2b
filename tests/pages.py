"""An HTML page → what is in it, for tests: its elements, its text, the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"img", "input", "link", "meta", "br"}
# Names that are markup, end elements, look like templates, change direction, or are not UTF-8.
HOSTILE_NAMES = [
    "<img src=x onerror=alert(1)>.png",
    "</script><script>alert(2)</script>.png",
    "</style><b>x</b>.png",
    '" onmouseover="alert(3)" x=".png',
    "' onmouseover='alert(4)' x='.png",
    "{{ 7 * 7 }}{% raw %}.png",
    "&lt;b&gt;&amp;.png",
    "javascript:alert(5).png",
    "-->.png",
    "שלום עולם.png",
    "مرحبا بالعالم.png",
    "東京タワーの写真と夜景.png",
    "rtl\u202egpj.exe",
    "a\x1b[2Jb\n.png",
    "caf\udce9.png",
]


@dataclass
class Element:
    """One element: its name, attributes, and the text in it and in its elements."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def find(self, tag: str, **attributes: str) -> list[Element]:
        """All elements below with that name and with those classes or attributes; `class_` is one class."""
        found = []
        for child in self.children:
            if child.tag == tag and all(child.has(name, value) for name, value in attributes.items()):
                found.append(child)
            found += child.find(tag, **attributes)
        return found

    def has(self, name: str, value: str) -> bool:
        """Whether an attribute has a value, or `class_` is among its classes."""
        if name == "class_":
            return value in self.attributes.get("class", "").split()
        return self.attributes.get(name) == value


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def parse_page(pieces: Iterable[str]) -> Element:
    """The tree of a page; every element must be ended in its place."""
    parser = _Parser()
    parser.feed("".join(pieces))
    parser.close()
    assert parser.open == [parser.root]
    return parser.root
