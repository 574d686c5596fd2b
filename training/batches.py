"""Tiles → training batches: painted pixels, new captions, and the pairs that are excluded as negatives."""

from __future__ import annotations

import functools
import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .captions import Caption, recolour, write_caption
from .draw import THINGS
from .network import MEAN, STD
from .paint import Look, choose_look, paint
from .render import COLOUR_NAMES, FAMILIES, KEPT, OWN, Tiles

Tokenize = Callable[[list[str]], torch.Tensor]
# how often pictures are of emoji, of other things that icons show, and of what only the drawing programs draw
SHARES = {"emoji": 0.70, "icon": 0.15, "drawn": 0.15}
BRIGHT_SHARE = 0.65  # of the pictures of a concept that are in colour, where there are both
OWN_SHARE = 0.7  # of the pictures of what the programs draw that are theirs, where others draw it too
# the things that the tool is tried on first are shown more often
WEIGHTS = {"maze": 8.0, "bar chart": 2.0, "diagram": 2.0, "victory screen": 2.0}
CAPTIONED = 0.25  # of the images of a batch: texts cost as much as images, and learn sooner
_COLOURED = 2  # images of a batch whose captions are compared in all colours
# words of names whose pictures are other things when mirrored
_FIXED = frozenset(("left", "right", "flag", "button", "clock", "o'clock", "letters", "letter", "number", "arrow"))


@dataclass(frozen=True)
class Batch:
    """`images` (n, 3, s, s) and their `concepts` (n,); the first k have captions.

    `tokens` (m, length) are unique captions, and `target` (k,) is each image's own. Besides these there are bare names
    of things, and captions of the same things in other colours and counts. `ignore` (k, m) marks captions that may be
    true of an image without being its own, `owned` (m,) those that are some image's own. `coloured` (c,) are images
    whose caption names a colour, and `colours` (c, 12) that caption with each of the colours in its place, the true
    one first.
    """

    images: torch.Tensor
    tokens: torch.Tensor
    target: torch.Tensor
    ignore: torch.Tensor
    owned: torch.Tensor
    concepts: torch.Tensor
    coloured: torch.Tensor
    colours: torch.Tensor


class Deck:
    """Chooses tiles: a group, one of its concepts, one of the families that draw it, one of its pictures."""

    def __init__(self, tiles: Tiles, kept: bool = False) -> None:
        self.tiles = tiles
        self.names = [concept.name for concept in tiles.concepts]
        rows: dict[int, dict[tuple[int, bool], list[int]]] = defaultdict(lambda: defaultdict(list))
        for row, fact in enumerate(tiles.facts):
            if fact["concept"] >= 0 and (FAMILIES[fact["family"]] in KEPT) == kept:
                rows[int(fact["concept"])][int(fact["family"]), bool(fact["ink"])].append(row)
        self.rows = {concept: list(hands.values()) for concept, hands in rows.items()}
        self.bright = {c: [r for (_, ink), r in hands.items() if not ink] for c, hands in rows.items()}
        self.inked = {c: [r for (_, ink), r in hands.items() if ink] for c, hands in rows.items()}
        own = FAMILIES.index(OWN), False
        self.own = {concept: hands[own] for concept, hands in rows.items() if own in hands}
        groups: dict[str, list[int]] = defaultdict(list)
        for concept in self.rows:
            name = self.names[concept]
            groups["drawn" if name in THINGS else "emoji" if tiles.concepts[concept].emoji else "icon"].append(concept)
        self.groups = dict(groups)
        self.weights = {group: [self._weight(c) for c in concepts] for group, concepts in groups.items()}
        self.true_of = _truth(tiles)

    def _weight(self, concept: int) -> float:
        """Return how often a concept is chosen within its group: more where more hands draw it, less for flags."""
        name = self.names[concept]
        if name.startswith("flag "):
            return 0.3
        return WEIGHTS.get(name, 1.0) * math.sqrt(min(6, len(self.rows[concept])))

    def choose(self, count: int, rng: random.Random) -> list[int]:
        """Return the rows of random tiles."""
        groups = rng.choices(list(self.groups), [SHARES[group] for group in self.groups], k=count)
        rows = []
        for group in groups:
            concept = rng.choices(self.groups[group], self.weights[group])[0]
            bright, inked = self.bright[concept], self.inked[concept]
            hands = bright if bright and (not inked or rng.random() < BRIGHT_SHARE) else inked
            own = group == "drawn" and rng.random() < OWN_SHARE
            rows.append(rng.choice(self.own[concept] if own else rng.choice(hands)))
        return rows


def _truth(tiles: Tiles) -> dict[str, NDArray[np.bool_]]:
    """Return for each word of the vocabulary the concepts that it may be true of."""
    true: dict[str, NDArray[np.bool_]] = defaultdict(lambda: np.zeros(len(tiles.concepts), bool))
    for i, concept in enumerate(tiles.concepts):
        for word in concept.words:
            true[word][i] = True
    return dict(true)


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Return (n, 3, s, s) between 0 and 1 as the floats that the network takes."""
    return (pixels - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def may_be_true(
    captions: Sequence[Caption], looks: Sequence[Look], concepts: NDArray[np.int64], deck: Deck
) -> NDArray[np.bool_]:
    """Return an (images, captions) mask of captions that may be true; facts that are unknown may be anything."""

    def column(values: list[int]) -> NDArray[np.int64]:
        return np.array(values, np.int64)[None, :]

    def row(values: list[int]) -> NDArray[np.int64]:
        return np.array(values, np.int64)[:, None]

    true = np.stack([deck.true_of[caption.noun][concepts] for caption in captions], axis=1)
    colour = column([COLOUR_NAMES.index(c.colour) if c.colour else -1 for c in captions])
    count = column([c.count or -1 for c in captions])
    paper = column([COLOUR_NAMES.index(c.background) if c.background else -1 for c in captions])
    colours, papers = row([look.colour for look in looks]), row([look.paper for look in looks])
    true &= (colour < 0) | (colours < 0) | (colour == colours)
    true &= (count < 0) | (count == row([look.count for look in looks]))
    true &= (paper < 0) | (papers < 0) | (paper == papers)
    return true


def _said(number: int) -> str | None:
    """Return the name of a colour's index; None for -1."""
    return COLOUR_NAMES[number] if number >= 0 else None


def _captions(
    deck: Deck, concepts: NDArray[np.int64], looks: list[Look], words: random.Random
) -> tuple[list[Caption], list[Caption], list[int], list[list[Caption]]]:
    """Return each image's caption, others that are wrong, coloured images, and their captions in other colours."""
    known = [deck.tiles.concepts[concept] for concept in concepts]
    own = [
        write_caption(concept, _said(look.colour), look.count, _said(look.paper), words)
        for concept, look in zip(known, looks, strict=True)
    ]
    wrong = [
        write_caption(concept, words.choice(COLOUR_NAMES), words.randint(1, 3), None, words) for concept in known[::8]
    ]
    coloured = [i for i, caption in enumerate(own) if caption.colour][:_COLOURED]
    others = [[recolour(own[i], colour) for colour in COLOUR_NAMES if colour != own[i].colour] for i in coloured]
    names = words.sample(range(len(deck.names)), min(len(deck.names), len(own) // 5))
    wrong += [Caption(deck.names[i], deck.names[i]) for i in names]
    return own, wrong, coloured, others


def make_batch(deck: Deck, size: int, side: int, seed: int, tokenize: Tokenize) -> Batch:
    """Return the batch of a seed: `size` images of `side` pixels."""
    words = random.Random(seed)
    rows = deck.choose(size, words)
    facts = deck.tiles.facts[rows]
    concepts = facts["concept"].astype(np.int64)
    looks = [choose_look(bool(f["ink"]), bool(f["whole"]), int(f["colour"]), words) for f in facts]
    for look, fact in zip(looks, facts, strict=True):
        if fact["whole"]:
            look.count, look.paper = int(fact["count"]), int(fact["paper"])
    fixed = [not _FIXED.isdisjoint(deck.names[concept].split()) for concept in concepts]
    images = normalise(paint(deck.tiles.pixels[rows], looks, facts["whole"], fixed, side, seed))
    captioned = math.ceil(size * CAPTIONED)
    own, wrong, coloured, others = _captions(deck, concepts[:captioned], looks[:captioned], words)
    everything = [*own, *wrong, *(caption for row in others for caption in row)]
    unique = list({caption.words: caption for caption in everything}.values())
    place = {caption.words: i for i, caption in enumerate(unique)}
    target = torch.tensor([place[caption.words] for caption in own])
    tokens = tokenize([caption.words for caption in unique])
    longest = int(tokens.argmax(dim=-1).max()) + 1
    mine = torch.nn.functional.one_hot(target, len(unique)).bool()
    colours = [[place[c.words] for c in (own[i], *row)] for i, row in zip(coloured, others, strict=True)]
    return Batch(
        images.contiguous(memory_format=torch.channels_last),
        tokens[:, :longest],
        target,
        torch.from_numpy(may_be_true(unique, looks[:captioned], concepts[:captioned], deck)) & ~mine,
        mine.any(dim=0),
        torch.from_numpy(concepts),
        torch.tensor(coloured, dtype=torch.int64),
        torch.tensor(colours, dtype=torch.int64).view(-1, len(COLOUR_NAMES)),
    )


def make_tokenize() -> Tokenize:
    """Return OpenCLIP's default tokenizer, which keeps the tokens of captions."""
    import open_clip

    tokenize = open_clip.get_tokenizer("RN50")
    cached = functools.lru_cache(maxsize=200_000)(lambda words: tokenize([words])[0])
    return lambda captions: torch.stack([cached(words) for words in captions])
