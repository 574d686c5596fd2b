"""Names, aliases and tags from emoji and icon packages → the concepts that pictures belong to.

A concept is one thing in many hands: pictures of all collections whose names mean the same are one class.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .sources import WORDS


# what collections add to a name for a style, a size or a second version of a picture
def _words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


_STYLES = _words(
    "outline outlined filled fill solid line linear bold light thin regular duotone twotone broken sharp rounded round "
    "alt color flat remix duo sm lg small large baseline big stroke glyph logo rect variant static still plain"
)
_TONE = re.compile(r"(dark|light|medium)( (dark|light))?( skin tone)?( (dark|medium|light) ?(dark|light)? skin tone)?$")
# words that make an icon's name the name of an action or a state, and its picture two pictures in one
_INTERFACE = _words(
    "off slash plus minus add remove edit cancel settings setting cog check checked checkmark x close disabled "
    "enabled search sync lock unlock share alert warning error question info exclamation up down left right top "
    "bottom in out forward back backward start end center middle horizontal vertical upload download import export "
    "new delete refresh pause play stop next previous rewind skip on user users square circle box api css html sql "
    "pdf svg json js ios beta multiple list simple group pin key bolt dollar euro yen pound bitcoin currency number "
    "align text format font ai git border layout grid table column columns row rows"
)
_COMPONENTS = 2  # the group of emojibase that holds skin tones and the like


@dataclass
class Concept:
    """`name` is what captions say most; `aliases` are as true; `tags` may be true of other concepts too."""

    name: str
    aliases: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    emoji: bool = False

    @property
    def words(self) -> set[str]:
        """Everything that may be said of it."""
        return {self.name} | self.aliases | self.tags


def squeeze(name: str) -> str:
    """Return the letters and digits of a name alone.

    >>> squeeze("1st-place medal"), squeeze("piñata")
    ('1stplacemedal', 'pinata')
    """
    plain = unicodedata.normalize("NFKD", name.lower())
    return "".join(c for c in plain if c.isalnum() and not unicodedata.combining(c))


def read_name(icon: str) -> str:
    """Return the words of an icon's name, without styles, sizes and numbers at its end.

    >>> read_name("alarm-clock-24-filled"), read_name("cat-2-duotone"), read_name("7-eleven")
    ('alarm clock', 'cat', '7 eleven')
    """
    words = [word for word in re.split(r"[-_ ]+", icon.lower()) if word]
    while len(words) > 1 and (words[-1] in _STYLES or words[-1].isdigit() or re.fullmatch(r"\d+px|v\d", words[-1])):
        words.pop()
    return " ".join(words)


def drop_tone(name: str) -> str | None:
    """Return a name if it has no skin tone in it.

    >>> drop_tone("waving hand medium light"), drop_tone("waving hand")
    (None, 'waving hand')
    """
    return None if _TONE.search(name) or "skin tone" in name else name


def _folder(sources: Path, package: str) -> Path:
    """The folder of a package of words."""
    return sources / f"{package.replace('/', '-').lstrip('@')}-{WORDS[package][0]}"


def _read(path: Path) -> Any:
    """The JSON in a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _emoji_concepts(sources: Path) -> tuple[dict[str, Concept], dict[str, str]]:
    """Return the concepts of emoji by name, and names by squeezed label, shortcode and Unicode name."""
    folder = _folder(sources, "emojibase-data") / "en"
    concepts: dict[str, Concept] = {}
    keys: dict[str, str] = {}
    codes = {
        part: _read(folder / "shortcodes" / f"{part}.json")
        for part in ("cldr", "emojibase", "github", "iamcal", "joypixels")
    }
    rows = [row for row in _read(folder / "data.json") if row.get("group", _COMPONENTS) != _COMPONENTS]
    for row in rows:
        name = row["label"].lower().replace(":", "").replace("“", "").replace("”", "")
        tags = {tag.lower() for tag in row.get("tags", ()) if len(tag) > 2 or name.startswith("flag ")}
        concepts[name] = Concept(name, set(), tags, emoji=True)
        keys[squeeze(name)] = name
        keys.setdefault(squeeze(row["label"].replace("flag:", "flag for")), name)
    labels = set(keys)
    for row in rows:  # aliases after all labels, which come first
        name = row["label"].lower().replace(":", "").replace("“", "").replace("”", "")
        for part in codes.values():
            said = part.get(row["hexcode"], [])
            for code in [said] if isinstance(said, str) else said:
                alias = re.sub(r"\d+$", "", code.lower()).replace("_", " ").strip()
                if len(alias) < 3 or squeeze(alias) in labels:
                    continue
                if keys.setdefault(squeeze(alias), name) == name and row["group"] != 9:
                    concepts[name].aliases.add(alias)
        if len(row["emoji"].replace("\ufe0f", "")) == 1:
            formal = unicodedata.name(row["emoji"][0], "").lower()
            keys.setdefault(squeeze(formal), name)
    return concepts, keys


def _icon_words(sources: Path) -> tuple[dict[str, set[str]], set[str]]:
    """Return further words by icon name, from three collections, and the names of brands."""
    words: dict[str, set[str]] = {}
    brands: set[str] = set()
    for icon in _read(_folder(sources, "@mdi/svg") / "meta.json"):
        name = read_name(icon["name"])
        if "Brand / Logo" in icon["tags"]:
            brands.add(name)
        else:
            words.setdefault(name, set()).update(read_name(alias) for alias in icon["aliases"])
    for icon in _read(_folder(sources, "@tabler/icons") / "icons.json").values():
        name = read_name(icon["name"])
        if name.startswith("brand "):
            brands.add(name.removeprefix("brand "))
        else:
            words.setdefault(name, set()).update(tag.replace("-", " ") for tag in icon["tags"] if isinstance(tag, str))
    listing = (_folder(sources, "@phosphor-icons/core") / "dist" / "icons.d.ts").read_text(encoding="utf-8")
    for name, tags in re.findall(r'name: "([^"]+)".*?readonly tags: readonly \[([^]]*)\]', listing, re.DOTALL):
        if name.endswith("-logo"):
            brands.add(read_name(name.removesuffix("-logo")))
        else:
            words.setdefault(read_name(name), set()).update(re.findall(r'"([a-z ]{3,})"', tags))
    return words, brands


class Vocabulary:
    """All concepts, and which of them an icon's name means."""

    def __init__(self, sources: Path) -> None:
        self.concepts, self._keys = _emoji_concepts(sources)
        self._words, self._brands = _icon_words(sources)
        flags = [concept for name, concept in self.concepts.items() if name.startswith("flag ")]
        self._flags = {tag: concept.name for concept in flags for tag in concept.tags if len(tag) == 2}

    def match(self, name: str) -> str | None:
        """Return the concept that a name is known for, without adding one."""
        return self._keys.get(squeeze(name))

    def find_emoji(self, icon: str) -> str | None:
        """Return the concept of an emoji collection's icon; None for skin tones and what no emoji is."""
        name = drop_tone(read_name(icon))
        if name is None:
            return None
        return self.match(name) or self.match(icon.replace("-", " "))

    def find_flag(self, code: str) -> str | None:
        """Return the concept of a country's flag."""
        return self._flags.get(code.lower())

    def read_icon(self, icon: str) -> str | None:
        """Return the name of the thing on an icon; None for brands and for signs of user interfaces."""
        name = read_name(icon)
        words = name.split()
        if name in self._brands or (words[0] in self._brands and len(words) == 2) or len(words) > 3 or len(name) < 3:
            return None
        if len(words) > 1 and not _INTERFACE.isdisjoint(words) and not self.match(name):
            return None
        return self.match(name) or name

    def add(self, names: Iterable[str]) -> None:
        """Make concepts of names that have none, with the words that collections of icons have for them."""
        for name in names:
            if name not in self.concepts:
                self.concepts[name] = Concept(name)
                self._keys.setdefault(squeeze(name), name)
        for concept in self.concepts.values():
            known = {word for word in self._words.get(concept.name, ()) if len(word) > 2 and len(word.split()) <= 3}
            concept.tags |= known - {concept.name}
