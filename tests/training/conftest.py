"""A small folder of sources, as the fetched packages are laid out, with pictures and words of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training import render, sources

SMALL = (
    sources.Source("twemoji", "1", "CC-BY-4.0", "someone", "emoji", "twemoji"),
    sources.Source("fxemoji", "1", "Apache-2.0", "someone", "emoji", "fxemoji", kept=True),
    sources.Source("circle-flags", "1", "MIT", "someone", "flags", "circle-flags"),
    sources.Source("mdi", "1", "Apache-2.0", "someone", "ink", "mdi"),
    sources.Source("tabler", "1", "MIT", "someone", "ink", "tabler"),
    sources.Source("lucide", "1", "ISC", "someone", "ink", "lucide"),
)
RED_DISC = '<circle cx="16" cy="16" r="14" fill="#e02020"/>'
BLUE_BAR = '<path d="M2 12h28v8H2z" fill="#2050e0"/>'
INK_RING = '<circle cx="12" cy="12" r="9" fill="none" stroke="currentColor" stroke-width="3"/>'
INK_CROSS = '<path d="M3 3L21 21M21 3L3 21" stroke="currentColor" stroke-width="3"/>'
ICONS = {
    "twemoji": {"cat-face": RED_DISC, "red-apple": RED_DISC, "dog-face-medium-light-skin-tone": BLUE_BAR},
    "fxemoji": {"catface": BLUE_BAR, "redapple": BLUE_BAR},
    "circle-flags": {"fr": BLUE_BAR},
    "mdi": {"anvil": INK_RING, "anvil-outline": INK_CROSS, "acme": INK_RING, "cat-off": INK_CROSS, "rare": INK_RING},
    "tabler": {"anvil": INK_CROSS, "brand-acme": INK_RING},
    "lucide": {"anvil-2": INK_RING, "apple": INK_CROSS},
}
EMOJI = (
    {"label": "cat face", "hexcode": "1F431", "emoji": "🐱", "tags": ["cat", "pet"], "group": 3},
    {"label": "red apple", "hexcode": "1F34E", "emoji": "🍎", "tags": ["fruit", "red"], "group": 4},
    {"label": "flag: France", "hexcode": "1F1EB-1F1F7", "emoji": "🇫🇷", "tags": ["FR", "flag"], "group": 9},
    {"label": "light skin tone", "hexcode": "1F3FB", "emoji": "🏻", "group": 2},
)
CLIPART = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 32" width="64" height="32"><metadata>'
    "<dc:title>{title}</dc:title><rdf:li>{keyword}</rdf:li></metadata>" + BLUE_BAR + "</svg>"
)


def _write(path: Path, content: Any) -> None:
    """Write JSON, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def source_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of six collections, three packages of words and two clip-arts."""
    monkeypatch.setattr(render, "SOURCES", SMALL)
    folder = tmp_path / "sources"
    for name, icons in ICONS.items():
        side = 24 if name in ("mdi", "tabler", "lucide") else 32
        data = {"width": side, "height": side, "icons": {key: {"body": body} for key, body in icons.items()}}
        _write(folder / f"iconify-json-{name}-1" / "icons.json", data)
    words = {package: version for package, (version, _) in sources.WORDS.items()}
    emojibase = folder / f"emojibase-data-{words['emojibase-data']}" / "en"
    _write(emojibase / "data.json", EMOJI)
    for part in ("cldr", "emojibase", "github", "iamcal", "joypixels"):
        _write(emojibase / "shortcodes" / f"{part}.json", {"1F34E": ["apple"], "1F431": "cat_face"})
    mdi = [
        {"name": "acme", "aliases": [], "tags": ["Brand / Logo"]},
        {"name": "anvil", "aliases": ["forge"], "tags": []},
    ]
    _write(folder / f"mdi-svg-{words['@mdi/svg']}" / "meta.json", mdi)
    tabler = {"anvil": {"name": "anvil", "tags": ["smith"]}, "brand-acme": {"name": "brand-acme", "tags": []}}
    _write(folder / f"tabler-icons-{words['@tabler/icons']}" / "icons.json", tabler)
    listing = folder / f"phosphor-icons-core-{words['@phosphor-icons/core']}" / "dist" / "icons.d.ts"
    listing.parent.mkdir(parents=True)
    listing.write_text('readonly name: "acorn";\nreadonly tags: readonly ["nut"];', encoding="utf-8")
    clipart = folder / sources.OPENCLIPART
    for path, title in (("food/apple_someone_01.svg", "Red Apple"), ("themes/apple.svg", "Apple")):
        (clipart / path).parent.mkdir(parents=True, exist_ok=True)
        (clipart / path).write_text(CLIPART.format(title=title, keyword="apple"), encoding="utf-8")
    return folder


@pytest.fixture
def tiles(source_folder: Path, monkeypatch: pytest.MonkeyPatch) -> render.Tiles:
    """The tiles of the small folder, one drawing of each thing beside them, made in this process."""
    monkeypatch.setattr(render, "DRAWINGS", 1)
    folder = source_folder.parent / "tiles"
    render.render_all(source_folder, folder, processes=0)
    return render.open_tiles(folder)
