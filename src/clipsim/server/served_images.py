"""What clients may search → the names and numbers that answers give to their images, and thumbnails."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from urllib.parse import urlsplit

from clipsim.embedding.preparation import read_thumbnails
from clipsim.errors import Failure, ImageError
from clipsim.files import FileStamp
from clipsim.images.limits import open_checked
from clipsim.images.thumbnails import MAX_SIDE, ThumbnailRules
from clipsim.inputs.expand import Repeats, find_sources
from clipsim.inputs.sources import FailedSource, FileSource, Source, number_sources
from clipsim.inputs.tars import TarMember
from clipsim.inputs.urls import is_url
from clipsim.results.search import SearchResult
from clipsim.server.following import Listing
from clipsim.store.layout import is_dataset
from clipsim.tasks.search_targets import Target

# Paths are compared as text, as they were named; a Path would be made for each of a million of them.
# ruff: noqa: PTH100, PTH112, PTH118, PTH119, PTH120


THUMBNAIL = ThumbnailRules(192)
LARGE = ThumbnailRules(MAX_SIDE)  # of an image that browsers do not show, or whose file is too large
MAX_FILE_BYTES = 32_000_000  # of a file that is sent as it is
MEDIA_TYPES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
}
LEAVES = "a link that leaves the served folder"
MAX_ERRORS = 100  # unusable images that an answer lists


class ServedImages:
    """The images of some targets under names that say nothing of where the folders are.

    `folders` are those named at the start: an image's name is relative to its folder, after the folder's own name
    where there are several. Other images are named from the folder that they have in common. A file within a folder
    that is a link to one outside of all of them is not served. `stamps` are those of the files when they were listed.
    """

    def __init__(self, targets: Sequence[Target], folders: Sequence[str] = ()) -> None:
        roots = {os.path.abspath(name): None for name in folders if os.path.isdir(name) and not is_dataset(name)}
        self._roots = sorted(roots, key=len, reverse=True)  # of nested ones, the inner one first
        self._targets = [os.path.realpath(root) for root in self._roots]
        self._names: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._sources: list[Source] = []
        self.targets = [
            [self._checked(source) for source in target] if isinstance(target, list) else target for target in targets
        ]
        sources = [source for target in self.targets if isinstance(target, list) for source in target]
        self.stamps = {source.name: _stamp_of(source) for source in sources}
        self._followed = [name for name in folders if os.path.abspath(name) in roots]
        self._others = [source for source in sources if (path := _path_of(source)) is None or not self._root_of(path)]

    def list_again(self) -> Listing:
        """What is in the folders now, and the other images that were named; data sets stay as they are."""
        listed = Repeats().leave_out(chain(find_sources(self._followed), self._others))
        sources = {source.name: source for source in number_sources(listed)}
        stamps = {name: _stamp_of(source) for name, source in sources.items()}
        return Listing(sources, stamps)

    def check(self, sources: Sequence[Source]) -> list[Source]:
        """The sources, with a FailedSource in place of each that leaves the served folders."""
        return [self._checked(source) for source in sources]

    def name(self, sources: Sequence[Source]) -> None:
        """Give names and numbers to sources that do not have them yet."""
        others = [path for source in sources if (path := _path_of(source)) and self._root_of(path) is None]
        base = ""
        with suppress(ValueError):  # several drives of Windows, or none at all
            base = os.path.commonpath([os.path.dirname(path) for path in others])
        for source in sources:
            if source.name not in self._names:
                self._names[source.name] = public = self._unused(self._relative(source.name, base))
                self._numbers[public] = len(self._sources)
                self._sources.append(source)

    def public_name(self, name: str) -> str:
        """The name that answers give to a source of a name."""
        return self._names.get(name) or self._relative(name)

    def number(self, public: str) -> int:
        """The number of an image, which its thumbnail is asked for by."""
        return self._numbers[public]

    def rename(self, result: SearchResult, errors: Sequence[Failure]) -> SearchResult:
        """A result with the names that answers give to images, and the first of the `errors` of what is searched."""
        listed = [Failure(self._relative(error.image), error.error, error.index) for error in errors[:MAX_ERRORS]]
        more = len(errors) - len(listed)
        queries = [
            replace(
                query, results=tuple(replace(match, image=self.public_name(match.image)) for match in query.results)
            )
            for query in result.queries
        ]
        return replace(
            result,
            queries=tuple(queries),
            errors=(*result.errors, *listed),
            warnings=(*result.warnings, *([f"{more:,} more images could not be used"] if more else [])),
        )

    def thumbnail(self, number: int) -> bytes | None:
        """A small WebP file of an image; None where there is none, or none that is on this machine."""
        source = self._find(number)
        return None if source is None else next(iter(read_thumbnails([source], THUMBNAIL).values()), None)

    def read(self, number: int) -> tuple[str, bytes] | None:
        """The media type and the content of an image that browsers show; of another, or a large one, a WebP file.

        None where there is no such image, or none on this machine that can be read.
        """
        source = self._find(number)
        if source is None:
            return None
        try:
            with open_checked(source) as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except (ImageError, OSError):
            return None
        if len(content) <= MAX_FILE_BYTES and (kind := _find_media_type(content)) is not None:
            return kind, content
        small = next(iter(read_thumbnails([source], LARGE).values()), None)
        return None if small is None else ("image/webp", small)

    def _find(self, number: int) -> Source | None:
        """The image of a number, unless its file is not on this machine or has left the served folders."""
        source = self._sources[number] if 0 <= number < len(self._sources) else None
        path = None if source is None else _path_of(source)
        return None if path is None or self._leaves(path) else source

    def _checked(self, source: Source) -> Source:
        path = _path_of(source)
        return (
            FailedSource(source.name, LEAVES, index=source.index) if path is not None and self._leaves(path) else source
        )

    def _leaves(self, path: str) -> bool:
        """Whether a file in a served folder is really in none of them."""
        if self._root_of(path) is None:
            return False
        real = os.path.realpath(path)
        return not any(_is_within(real, target) for target in self._targets)

    def _root_of(self, path: str) -> str | None:
        return next((root for root in self._roots if _is_within(path, root)), None)

    def _relative(self, name: str, base: str = "") -> str:
        if is_url(name):
            address = urlsplit(name)
            return f"{address.scheme}://{address.hostname or ''}{address.path}"
        path = os.path.abspath(name)
        root = self._root_of(path)
        if root is None:
            return os.path.relpath(path, base) if base and _is_within(path, base) else os.path.basename(path)
        relative = os.path.relpath(path, root)
        return relative if len(self._roots) == 1 else os.path.join(os.path.basename(root), relative)

    def _unused(self, public: str) -> str:
        """The name itself, or the first of "name (2)", "name (3)", … that no other image has."""
        number, name = 1, public
        while name in self._numbers:
            number += 1
            name = f"{public} ({number})"
        return name


def _stamp_of(source: Source) -> FileStamp | None:
    record = source.stat()
    return None if record is None else FileStamp.of(record)


def _find_media_type(content: bytes) -> str | None:
    r"""The media type of an image that browsers show, by its content; None for anything else.

    >>> _find_media_type(b"\xff\xd8\xff\xe0"), _find_media_type(b"RIFF0000WEBPVP8 "), _find_media_type(b"<svg>")
    ('image/jpeg', 'image/webp', None)
    """
    if content.startswith(b"RIFF"):
        return "image/webp" if content[8:12] == b"WEBP" else None
    if content[4:8] == b"ftyp":
        return "image/avif" if content[8:12] in (b"avif", b"avis") else None
    return next((kind for start, kind in MEDIA_TYPES.items() if content.startswith(start)), None)


def _path_of(source: Source) -> str | None:
    """The absolute path of the file that a source is in; None where it is not a file of this machine."""
    name = source.tar if isinstance(source, TarMember) else source.name if isinstance(source, FileSource) else None
    return None if name is None or is_url(name) else os.path.abspath(name)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))
