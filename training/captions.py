"""Turns what is true of a picture into captions, from bare words to sentences."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from .draw.colours import COLOURS
from .names import Concept

NUMBERS = {1: "one", 2: "two", 3: "three"}
_IRREGULAR = {
    "mouse": "mice",
    "fish": "fish",
    "sheep": "sheep",
    "leaf": "leaves",
    "scissors": "scissors",
    "glasses": "glasses",
    "knife": "knives",
    "dice": "dice",
    "die": "dice",
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "person": "people",
    "child": "children",
    "man": "men",
    "woman": "women",
    "aircraft": "aircraft",
    "cactus": "cacti",
    "bus": "buses",
    "wolf": "wolves",
    "loaf": "loaves",
    "snowman": "snowmen",
}
_NO_ARTICLE = frozenset(
    ("scissors", "glasses", "sunglasses", "text", "lightning", "stripes", "dots", "waves", "bricks", "spots", "lines")
)
_FRAMES = (
    "a photo of {}",
    "a photo of {}.",
    "a picture of {}",
    "a drawing of {}",
    "an image of {}",
    "an illustration of {}",
    "a cartoon of {}",
    "an icon of {}",
    "a sketch of {}",
    "a painting of {}",
    "clip art of {}",
    "a picture showing {}",
    "this is {}",
    "this is a photo of {}.",
    "a rendering of {}",
    "a good photo of {}.",
)
_MOODS = ("big", "small", "nice", "simple", "cute", "little", "beautiful")


@dataclass(frozen=True)
class Caption:
    """Words, and what they claim: `noun` is a name, an alias or a tag; the others are None where nothing is said."""

    words: str
    noun: str
    colour: str | None = None
    count: int | None = None
    background: str | None = None


def make_plural(noun: str) -> str:
    """Return the plural of a noun; the last word changes, or the one before "of".

    >>> make_plural("cat"), make_plural("bunch of grapes"), make_plural("butterfly"), make_plural("light switch")
    ('cats', 'bunches of grapes', 'butterflies', 'light switches')
    """
    if " of " in noun:
        head, rest = noun.split(" of ", 1)
        return f"{make_plural(head)} of {rest}"
    *before, last = noun.split(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif last.endswith(("ss", "us", "x", "ch", "sh")):
        last += "es"
    elif last.endswith("s"):
        pass  # a plural already
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return " ".join([*before, last])


def add_article(words: str) -> str:
    """Return the words with "a" or "an" before them, where they take one.

    >>> add_article("red apple"), add_article("apple"), add_article("scissors")
    ('a red apple', 'an apple', 'scissors')
    """
    if words.split(" ")[-1] in _NO_ARTICLE:
        return words
    vowel = words[0].lower() in "aeiou" and not words.lower().startswith(("uni", "one", "eu"))
    return f"{'an' if vowel else 'a'} {words}"


def _pick_noun(concept: Concept, rng: random.Random) -> str:
    """Return the concept's name most often, an alias at times, a tag now and then."""
    draw = rng.random()
    if concept.tags and draw < 0.08:
        return rng.choice(sorted(concept.tags))
    if concept.aliases and draw < 0.3:
        return rng.choice(sorted(concept.aliases))
    return concept.name


def write_caption(
    concept: Concept, colour: str | None, count: int, background: str | None, rng: random.Random
) -> Caption:
    """Return a random caption that is true of a picture of `count` things; unknown facts are None.

    Names that begin with a colour of their own take no other.
    """
    noun = _pick_noun(concept, rng)
    own = not COLOURS.keys().isdisjoint(noun.split())
    said_colour = colour if colour and not own and rng.random() < 0.6 else None
    shade = rng.choice(("gray", "gray", "grey")) if said_colour == "gray" else said_colour
    said_count = count if count > 1 and rng.random() < 0.7 else None
    phrase = make_plural(noun) if count > 1 and (said_count or rng.random() < 0.5) else noun
    if said_colour:
        phrase = f"{shade} {phrase}"
    elif rng.random() < 0.03:
        phrase = f"{rng.choice(_MOODS)} {phrase}"
    if said_count:
        phrase = f"{NUMBERS[count] if rng.random() < 0.85 else count} {phrase}"
    elif count == 1 and rng.random() < 0.03:
        phrase, said_count = f"one {phrase}", 1
    plain = rng.random()
    if plain > 0.4 and said_count is None and not phrase.endswith("s"):
        phrase = add_article(phrase) if plain > 0.45 else f"the {phrase}"
    said_background = background if background and rng.random() < 0.08 else None
    if said_background:
        phrase += f" on {add_article(said_background)} background"
    elif rng.random() < 0.04:
        phrase = rng.choice(("{} icon", "{} emoji", "{} drawing", "{} picture", "{} cartoon")).format(phrase)
    if plain > 0.6:
        phrase = rng.choice(_FRAMES).format(phrase)
    if rng.random() < 0.08:
        phrase = phrase[0].upper() + phrase[1:]
    return Caption(phrase, noun, said_colour, said_count, said_background)


def recolour(caption: Caption, colour: str) -> Caption:
    """Return the caption with another colour for the thing, so that it is wrong in this one word.

    >>> recolour(Caption("a grey cat", "cat", colour="gray"), "red").words
    'a red cat'
    """
    said = next(word for word in caption.words.split() if word.lower().replace("grey", "gray") == caption.colour)
    return replace(caption, words=caption.words.replace(said, colour, 1), colour=colour)
