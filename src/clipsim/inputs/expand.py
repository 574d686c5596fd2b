"""What the user named (paths, addresses, tars, tables) → one `Source` a picture, in order; sources ↔ plain records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from clipsim.errors import UsageError
from clipsim.inputs.filters import NameFilter
from clipsim.inputs.lists import check_list
from clipsim.inputs.paths import find_images, find_listed_images
from clipsim.inputs.sources import FailedSource, FileSource, Source
from clipsim.inputs.urls import UrlSource, as_path, find_urls, is_table, is_tar, is_url

if TYPE_CHECKING:
    from clipsim.inputs.captions import CaptionsBeside


def find_sources(
    names: Iterable[str], chosen: NameFilter | None = None, *, listed: bool = False, captions: bool = False
) -> Iterator[Source]:
    """Expand files, folders, globs, addresses, tars and tables into sources, lazily and in the order given.

    Names are what `find_images` takes, or with `listed` what `find_listed_images` does, and addresses, of which folders
    and patterns are expanded likewise. A `.tar` gives its members, a `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.parquet`
    its rows. Sources whose names `chosen` does not accept are left out; failures stay. With `captions`, files have
    theirs, from `x.txt` beside `x.jpg` or the table of their folder. Raises MissingPackageError where an extra is
    needed.
    """
    beside = None
    if captions:
        from clipsim.inputs.captions import CaptionsBeside

        beside = CaptionsBeside()
    for name in names:
        find_paths = find_listed_images if listed else find_images
        found = find_urls(name) if is_url(name) else find_paths([as_path(name)])
        root = "" if is_url(name) else as_path(name)
        for place in found:
            for source in _open_collection(place, beside, root):
                if chosen is None or isinstance(source, FailedSource) or chosen.accepts(source.name):
                    yield source


def make_collection(inputs: object, chosen: NameFilter | None = None, *, captions: bool = False) -> Iterator[Source]:
    """What a Python caller passed to be embedded → sources, lazily and in order.

    `inputs` is a name as `find_sources` takes it (a string or a path), a `Source`, or an iterable of these; `captions`
    is that of `find_sources`. Raises UsageError for other types, for a mapping and for a table.
    """
    single = isinstance(inputs, str | os.PathLike | Source) or not isinstance(inputs, Iterable)
    if not single:
        check_list(inputs, "images")
    for given in [inputs] if single else cast("Iterable[object]", inputs):
        if isinstance(given, Source):
            if chosen is None or chosen.accepts(given.name):
                yield given
        elif isinstance(given, str | os.PathLike) and isinstance(os.fspath(given), str):
            yield from find_sources([os.fspath(given)], chosen, captions=captions)
        else:
            raise UsageError(f"an input is a path, an address or a Source, not {type(given).__name__}")


def _open_collection(name: str, beside: CaptionsBeside | None, root: str) -> Iterable[Source]:
    if is_tar(name):
        from clipsim.inputs.tars import read_tar  # tars and tables are imported where there are some

        return read_tar(name)
    if is_table(name):
        from clipsim.inputs.tables import read_table

        return read_table(name)
    if is_url(name):
        return (UrlSource(name),)
    return (FileSource(name),) if beside is None else beside.add(name, root)


def to_record(source: Source) -> dict[str, Any]:
    """A source as plain values, to be opened later or elsewhere. Raises UsageError for a picture in memory."""
    kind = next((name for name, kind in _kinds().items() if kind is type(source)), None)
    if kind is None:
        raise UsageError(f"'{source.name}' is a picture in memory; only files and addresses can be opened again")
    values = {key: value for key, value in asdict(source).items() if value is not None and key != "index"}
    return {"kind": kind, **values}


def from_record(record: dict[str, Any]) -> Source:
    """The source that `to_record` made the record of.

    >>> from_record(to_record(FileSource("a.jpg", caption="a cat")))
    FileSource(name='a.jpg', caption='a cat', facts=None)
    """
    fields = dict(record)
    return _kinds()[fields.pop("kind")](**fields)


@cache
def _kinds() -> dict[str, type[Source]]:
    from clipsim.inputs.tars import TarMember

    return {"file": FileSource, "url": UrlSource, "tar": TarMember, "failed": FailedSource}
