"""The names that a result shows, and the places they are from → thumbnails, for pages and terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clipsim.api.places import Place
from clipsim.embedding.thumbnails import read_thumbnails
from clipsim.images.thumbnail_files import ThumbnailRules
from clipsim.inputs.sources import FileSource


def read_shown_pictures(names: Iterable[str], places: Sequence[Place], rules: ThumbnailRules) -> dict[str, bytes]:
    """Small image files by name, without those that can no longer be decoded.

    A name that is not of a source in `places` is of a file, as the names in data sets are.
    """
    wanted = dict.fromkeys(names)
    known = {
        source.name: source for place in places if isinstance(place, list) for source in place if source.name in wanted
    }
    return read_thumbnails((known.get(name) or FileSource(name) for name in wanted), rules)
