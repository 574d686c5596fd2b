"""Sources, some of which are one file under several names → each file once, under its first name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from clipsim.files import file_identity, name_identity
from clipsim.inputs.sources import FileSource, Source
from clipsim.inputs.tars import TarMember
from clipsim.inputs.urls import UrlSource, as_path, is_url


class Repeats:
    """The files met so far; `count` is the number of names that led to one of them again.

    Symbolic links, `a` and `./a`, and folders that were named twice are names of one file. Hard links are files of
    their own: each is there when the other is removed. Memory is some hundred bytes a file.
    """

    def __init__(self) -> None:
        self.count = 0
        self._seen: set[object] = set()

    @property
    def notices(self) -> list[str]:
        """One notice of how many names were left out; empty where none was."""
        if not self.count:
            return []
        names = "1 name leads" if self.count == 1 else f"{self.count:,} names lead"
        return [f"{names} to a file that was named before; each file counts once"]

    def leave_out(self, sources: Iterable[Source], *, texts: bool = False) -> Iterator[Source]:
        """Pass on the first source of each file, lazily; with `texts`, each with another caption or other facts.

        What has no file, such as a picture in memory or a file that does not exist, is passed on.
        """
        for source in sources:
            identity = identify(source)
            known_by = (identity, source.caption, source.facts) if texts else identity
            if identity is None or not self.is_repeated(known_by):
                yield source

    def is_repeated(self, identity: object) -> bool:
        """Whether this was met before; it is from now on, and is counted where it was."""
        if identity in self._seen:
            self.count += 1
            return True
        self._seen.add(identity)
        return False


def identify(source: Source, *, hard_links: bool = False) -> object:
    """A key that is equal for two sources exactly if they open the same thing now; None for what has no identity.

    With `hard_links`, it is equal for hard links of a file too.
    """
    if isinstance(source, FileSource):
        return identify_name(source.name, hard_links=hard_links)
    if isinstance(source, TarMember):
        tar = source.tar if is_url(source.tar) else identify_name(as_path(source.tar))
        return None if tar is None else (tar, source.offset)
    return source.name if isinstance(source, UrlSource) else None


def identify_name(name: str, *, hard_links: bool = False) -> object:
    """`files.name_identity`, or with `hard_links` `files.file_identity`; None for a name of nothing."""
    with suppress(OSError, ValueError):
        return file_identity(name) if hard_links else name_identity(name)
    return None
