"""Texts as people type them into a search, to try an index with where a data set has no captions."""

from __future__ import annotations

_THINGS = (
    "apple", "airplane", "baby", "banana", "beach", "bicycle", "bird", "boat", "book", "bridge", "bus",
    "butterfly", "cake", "candle", "car", "castle", "cat", "chair", "church", "city", "clock", "cloud",
    "coffee", "computer", "cow", "crowd", "desert", "dog", "door", "elephant", "fire", "fish", "flower", "forest",
    "garden", "glass", "guitar", "hat", "horse", "house", "island", "kitchen", "lake", "lamp", "lion", "map",
    "market", "moon", "mountain", "office", "painting", "park", "phone", "pizza", "portrait", "rain",
    "restaurant", "river", "road", "room", "shoe", "sky", "snow", "stadium", "street", "sunset", "table", "tower",
    "train", "tree", "truck", "umbrella", "watch", "wedding",
)  # fmt: skip
SAMPLE_TEXTS = tuple(form.format(thing) for thing in _THINGS for form in ("{}", "a photo of a {}"))
