"""Fetched SVG files → tiles: square RGBA pictures with what is known of each, in memory-mapped files.

`python -m training.render` writes them into the work folder, after `python -m training.sources`.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import multiprocessing
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .draw import COLOURS, THINGS, draw_picture
from .names import Concept, Vocabulary
from .sources import OPENCLIPART, SOURCES, WORK, Source

SIDE = 96
MARGIN = 2  # pixels of a tile that stay free
OWN = "drawn"
CLIPART = "openclipart"
DRAWINGS = 220  # of each thing that is drawn by programs
MOST = 3  # pictures of one concept by one family, in colour and in ink each
MOST_CLIPARTS = 15  # of one concept: nearly each is by another hand
FEWEST_FAMILIES = 3  # that draw a concept which is no emoji
LEAST_SHARE = 0.4  # of a picture that a colour covers which is said of it
FAMILIES = (*dict.fromkeys(source.family for source in SOURCES), CLIPART, OWN)
KEPT = frozenset(source.family for source in SOURCES if source.kept)
COLOUR_NAMES = tuple(COLOURS)
FACTS = np.dtype(
    [("concept", "i4"), ("family", "i2"), ("ink", "?"), ("whole", "?")]
    + [(name, "i1") for name in ("colour", "count", "paper")]
)
_DULL = re.compile(r"(^|/)(themes?|signs_and_symbols/flags|geography)/|star_\d+pt|_theme|logo", re.IGNORECASE)


@dataclass(frozen=True)
class Job:
    """One picture to make: SVG text or a path to it, or a thing and a seed of the drawing programs."""

    concept: str
    family: str
    ink: bool
    svg: str | None = None
    path: Path | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Tiles:
    """`pixels` (n, SIDE, SIDE, 4) uint8 with straight alpha, `facts` (n,) of `FACTS`, and the concepts they name.

    In the facts -1 is an unknown colour, `whole` says that the picture fills its frame, and `paper` is the colour of
    the background of a drawing.
    """

    pixels: NDArray[np.uint8]
    facts: NDArray[Any]
    concepts: tuple[Concept, ...]


def _icon_jobs(sources: Path, vocabulary: Vocabulary) -> Iterator[Job]:
    """Yield the jobs of all collections of icons and emoji, whatever their concepts."""
    for source in SOURCES:
        folder = sources / f"iconify-json-{source.name}-{source.version}"
        data = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
        for name, icon in data["icons"].items():
            concept = _concept_of(source, name, vocabulary)
            if concept is None or icon.get("hidden"):
                continue
            box = [icon.get(k, data.get(k, d)) for k, d in (("left", 0), ("top", 0), ("width", 16), ("height", 16))]
            svg = (
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="{" ".join(map(str, box))}" width="{box[2]}" height="{box[3]}">{icon["body"]}</svg>'
            )
            ink = source.kind in ("ink", "ink emoji")
            yield Job(concept, source.family, ink, svg.replace("currentColor", "#000") if ink else svg)


def _concept_of(source: Source, name: str, vocabulary: Vocabulary) -> str | None:
    """Return the concept of an icon, by the kind of its collection."""
    if source.kind in ("emoji", "ink emoji"):
        return vocabulary.find_emoji(name)
    if source.kind == "flags":
        return vocabulary.find_flag(re.split(r"-\d", name)[0])
    return vocabulary.read_icon(name)


def _clipart_jobs(sources: Path, vocabulary: Vocabulary) -> Iterator[Job]:
    """Yield the jobs of Debian's openclipart whose title or file name says a known concept."""
    for path in sorted((sources / OPENCLIPART).rglob("*.svg*")):
        if _DULL.search(str(path.relative_to(sources / OPENCLIPART))):
            continue
        raw = path.read_bytes()
        with contextlib.suppress(gzip.BadGzipFile):
            raw = gzip.decompress(raw)
        text = raw.decode("utf-8", "replace")
        title = re.search(r"<dc:title>([^<]+)</dc:title>", text)
        words = re.findall(r"<rdf:li>([^<]+)</rdf:li>", text)
        concept = _read_title(title.group(1) if title else path.stem, words, vocabulary)
        if concept:
            yield Job(concept, CLIPART, False, text if len(text) < 400_000 else None, path)


def _read_title(title: str, words: list[str], vocabulary: Vocabulary) -> str | None:
    """Return the concept of a clip-art: its title, or the last words of the title where a keyword says them too."""
    said = re.sub(r"[^a-z ]", " ", title.lower()).split()
    keywords = {word.strip().lower() for word in words}
    whole = " ".join(said)
    if known := vocabulary.match(whole):
        return known
    for length in (2, 1):
        for first in range(len(said) - length, -1, -1):
            phrase = " ".join(said[first : first + length])
            if phrase in keywords and (known := vocabulary.match(phrase)):
                return known
    return None


def plan_jobs(sources: Path, seed: int = 0) -> tuple[list[Job], list[Concept]]:
    """Return what is to be made, at most `MOST` of a concept by one hand, and the concepts of it."""
    vocabulary = Vocabulary(sources)
    jobs = list(_icon_jobs(sources, vocabulary))
    families = defaultdict(set)
    for job in jobs:
        families[job.concept].add(job.family)
    vocabulary.add(name for name in families if len(families[name]) >= FEWEST_FAMILIES)
    vocabulary.add(THINGS)
    jobs += _clipart_jobs(sources, vocabulary)
    jobs = [job for job in jobs if job.concept in vocabulary.concepts]
    random.Random(seed).shuffle(jobs)
    made: dict[tuple[str, str, bool], int] = defaultdict(int)
    kept = []
    for job in jobs:
        key = (job.concept, job.family, job.ink)
        made[key] += 1
        if made[key] <= (MOST_CLIPARTS if job.family == CLIPART else MOST):
            kept.append(job)
    kept += [Job(name, OWN, False, seed=seed + i) for name in THINGS for i in range(DRAWINGS)]
    for name, thing in THINGS.items():
        vocabulary.concepts[name].aliases.update(thing.synonyms)
        vocabulary.concepts[name].tags.update(thing.kinds)
    used = {job.concept for job in kept}
    return kept, [concept for name, concept in sorted(vocabulary.concepts.items()) if name in used]


def render_svg(svg: str) -> NDArray[np.uint8] | None:
    """Return an SVG file's picture as a tile, cut to what is drawn; None where nothing is."""
    import resvg_py

    wide = _aspect(svg) >= 1
    try:
        data = resvg_py.svg_to_bytes(
            svg_string=svg,
            skip_system_fonts=True,
            width=2 * SIDE if wide else None,
            height=None if wide else 2 * SIDE,
        )
        image = Image.open(io.BytesIO(bytes(data))).convert("RGBA")
    except (ValueError, OSError):
        return None
    box = image.getchannel("A").point(lambda level: 255 if level > 20 else 0).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 4:
        return None
    return _fit(image.crop(box))


def _aspect(svg: str) -> float:
    """Return width by height as the head of an SVG file says; 1 where it does not."""
    box = re.search(r'viewBox="\s*[-\d.e]+[ ,]+[-\d.e]+[ ,]+([\d.e]+)[ ,]+([\d.e]+)', svg[:4000])
    return float(box.group(1)) / max(1e-6, float(box.group(2))) if box else 1.0


def _fit(image: Image.Image) -> NDArray[np.uint8]:
    """Return an RGBA picture in the middle of a square tile."""
    room = SIDE - 2 * MARGIN
    factor = room / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    tile = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    tile.paste(image.resize((width, height), Image.Resampling.BOX), ((SIDE - width) // 2, (SIDE - height) // 2))
    return np.asarray(tile)


def main_colour(tile: NDArray[np.uint8]) -> int:
    """Return the index of the named colour that covers at least `LEAST_SHARE` of a tile; -1 where none does."""
    solid = tile[tile[..., 3] > 128][:, :3]
    if not len(solid):
        return -1
    shares = np.zeros(len(COLOURS))
    usual = np.array([row[3] for row in COLOURS.values()], np.float32)
    weights = np.array([0.3, 0.5, 0.2], np.float32)
    away = (((solid[:, None].astype(np.float32) - usual) ** 2) * weights).sum(-1) ** 0.5
    near = away.argmin(-1)[away.min(-1) < 45]
    np.add.at(shares, near, 1 / len(solid))
    best = int(shares.argmax())
    return best if shares[best] >= LEAST_SHARE else -1


def make_tile(job: Job, number: int) -> tuple[NDArray[np.uint8], tuple[bool, int, int, int]] | None:
    """Return a job's tile, whether it is whole, its colour, count and background; None where nothing is drawn."""
    if job.seed is not None:
        picture = draw_picture(job.seed * 1009 + number, job.concept, size=(SIDE, SIDE))
        tile = np.dstack([np.asarray(picture.image), np.full((SIDE, SIDE), 255, np.uint8)])
        colour = COLOUR_NAMES.index(picture.colour) if picture.colour else -1
        paper = COLOUR_NAMES.index(picture.background) if picture.background else -1
        return tile, (True, colour, picture.count, paper)
    svg = job.svg
    if svg is None and job.path is not None:
        return None  # clip-arts of megabytes take seconds each
    made = render_svg(svg or "")
    if made is None:
        return None
    return made, (False, -1 if job.ink else main_colour(made), 1, -1)


def _render(rows: list[tuple[int, Job]], folder: Path) -> None:
    """Make some of the tiles, into the files that are open for all."""
    pixels = np.load(folder / "pixels.npy", mmap_mode="r+")
    facts = np.load(folder / "facts.npy", mmap_mode="r+")
    concepts = {concept["name"]: i for i, concept in enumerate(json.loads((folder / "concepts.json").read_text()))}
    for number, job in rows:
        made = make_tile(job, number)
        if made is not None:
            pixels[number] = made[0]
            facts[number] = (concepts[job.concept], FAMILIES.index(job.family), job.ink, *made[1])


def render_all(sources: Path, folder: Path, processes: int = 2) -> None:
    """Write all tiles into a folder, in this process where no others are asked for."""
    jobs, concepts = plan_jobs(sources)
    folder.mkdir(parents=True, exist_ok=True)
    np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, (len(jobs), SIDE, SIDE, 4)).flush()
    facts = np.lib.format.open_memmap(folder / "facts.npy", "w+", FACTS, (len(jobs),))
    facts["concept"] = -1
    facts.flush()
    rows = [{"name": c.name, "aliases": sorted(c.aliases), "tags": sorted(c.tags), "emoji": c.emoji} for c in concepts]
    (folder / "concepts.json").write_text(json.dumps(rows), encoding="utf-8")
    numbered = list(enumerate(jobs))
    if not processes:
        _render(numbered, folder)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_render, args=(numbered[first::processes], folder)) for first in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit("a process that renders ended early")
    print(f"{int((facts['concept'] >= 0).sum())} tiles of {len(concepts)} concepts", flush=True)


def open_tiles(folder: Path) -> Tiles:
    """Open the tiles in a folder; those that could not be made are left out by their concept of -1."""
    rows = json.loads((folder / "concepts.json").read_text(encoding="utf-8"))
    concepts = tuple(Concept(r["name"], set(r["aliases"]), set(r["tags"]), r["emoji"]) for r in rows)
    return Tiles(np.load(folder / "pixels.npy", mmap_mode="r"), np.load(folder / "facts.npy"), concepts)


def main() -> None:
    """Read the options and render."""
    parser = argparse.ArgumentParser(prog="python -m training.render", description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    render_all(options.work / "sources", options.work / "tiles", options.processes)


if __name__ == "__main__":
    main()
