"""Figures and sources → clipsim-mini's card and its list of names: `python -m training.card`."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from .draw import THINGS
from .evaluate import Figures, score_model
from .names import Concept
from .network import MODEL_CONFIG, MODEL_FOLDER
from .render import CLIPART, FAMILIES, KEPT, OWN, Tiles, open_tiles
from .sources import OPENCLIPART, OPENCLIPART_VERSION, SOURCES, WORDS, WORK

MARKERS = ("<!-- {}: begin -->", "<!-- {}: end -->")
NAMES_FILE = "names.txt"


def format_figures(figures: Figures) -> str:
    """Return the figures as the card's Markdown."""
    lines = [
        "| pictures by | names | right first | among five | right of 26 | calibration error of 26 |",
        "|---|---|---|---|---|---|",
        *(
            f"| {f.name} | {f.names} | {f.top1:.1%} | {f.top5:.1%} | {f.easy:.1%} | {f.error:.3f} |"
            for f in figures.families
        ),
        "",
        f"Of the {len(THINGS)} things that only drawing programs offer, on pictures from unused seeds: "
        f"{figures.drawn:.1%} are right among all of them, {figures.colour:.1%} of the colours and "
        f"{figures.count:.1%} of the counts.",
        "",
        "The worst confusions of these families: "
        + "; ".join(f"{shown} taken for {taken}" for shown, taken, _ in figures.pairs)
        + ".",
    ]
    return "\n".join(lines)


def count_concepts(concepts: tuple[Concept, ...]) -> dict[str, int]:
    """Return how many concepts of each category there are."""
    drawn = sum(concept.name in THINGS for concept in concepts)
    flags = sum(concept.name.startswith("flag ") for concept in concepts)
    emoji = sum(concept.emoji for concept in concepts)
    return {
        "emoji": emoji - flags,
        "flags of countries": flags,
        "other things that at least three hands draw as icons": len(concepts) - emoji - drawn,
        "mazes, charts, boards, pages, screens, patterns and shapes": drawn,
    }


def format_names(tiles: Tiles) -> str:
    """Return the sentences that say what the model knows."""
    counts = ", ".join(f"{count:,} {category}" for category, count in count_concepts(tiles.concepts).items())
    hands = len(set(FAMILIES) - KEPT - {OWN})
    text = f"It knows {len(tiles.concepts):,} names ([{NAMES_FILE}]({NAMES_FILE})): {counts}; from {hands} families."
    return textwrap.fill(text, 120, break_on_hyphens=False, break_long_words=False)


def format_sources() -> str:
    """Return the table of sources, licences and credits."""
    rows = [
        f"| `@iconify-json/{s.name}` {s.version} | {s.credit} | {s.licence} | {'choosing' if s.kept else 'learning'} |"
        for s in SOURCES
    ]
    words = [
        f"| `{package}` {version} | its authors | MIT or Apache-2.0 | words |" for package, version in WORDS.items()
    ]
    clipart = f"| Debian `{OPENCLIPART}` {OPENCLIPART_VERSION} | {CLIPART}'s artists | public domain | learning |"
    return "\n".join(["| source | by | licence | for |", "|---|---|---|---|", *rows, clipart, *words])


def fill_between(text: str, name: str, content: str) -> str:
    r"""Replace the part of a text between the two markers of a name.

    >>> fill_between("a <!-- x: begin --> old <!-- x: end --> b", "x", "new")
    'a <!-- x: begin -->\nnew\n<!-- x: end --> b'
    """
    begin, end = MARKERS[0].format(name), MARKERS[1].format(name)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def update_card(folder: Path, figures: Figures, tiles: Tiles) -> None:
    """Write figures, names and sources into a folder's card, between their markers, and the list of names."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    for name, content in (
        ("figures", format_figures(figures)),
        ("names", format_names(tiles)),
        ("sources", format_sources()),
    ):
        text = fill_between(text, name, content)
    card.write_text(text, encoding="utf-8")
    names = "".join(f"{concept.name}\n" for concept in tiles.concepts)
    (folder / NAMES_FILE).write_text(names, encoding="utf-8")


def main() -> None:
    """Read the options, score, and write."""
    parser = argparse.ArgumentParser(prog="python -m training.card", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--work", type=Path, default=WORK)
    options = parser.parse_args()
    tiles = open_tiles(options.work / "tiles")
    update_card(options.model, score_model(options.model, tiles, 20), tiles)
    print(f"side {MODEL_CONFIG['vision_cfg']['image_size']}: {options.model / 'README.md'} is written")


if __name__ == "__main__":
    main()
