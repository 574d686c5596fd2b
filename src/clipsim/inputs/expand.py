"""Paths, addresses, tars and tables that were named → one `Source` an image, in order; sources ↔ plain records."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, cast

from clipsim.errors import DataError, UsageError, printable
from clipsim.inputs.ahead import Collection, read_ahead
from clipsim.inputs.captions import CAPTION_COLUMNS, MAX_TEXT_BYTES, find_caption, read_value
from clipsim.inputs.digests import DigestSet
from clipsim.inputs.listing import find_urls, needs_requests
from clipsim.inputs.lists import check_list
from clipsim.inputs.paths import NameFilter, find_images, find_listed_images, is_left_out
from clipsim.inputs.raw import describe_unopened
from clipsim.inputs.rows import SOURCE_COLUMNS, Row, RowTable, check_columns, choose_column, name_columns, read_table
from clipsim.inputs.shards import choose_shards, expand_ranges, leave_out_sidecars
from clipsim.inputs.sources import FailedSource, FileSource, Source
from clipsim.inputs.tars import TarMember
from clipsim.inputs.urls import UrlSource, as_path, is_table, is_tar, is_url, join_location

if TYPE_CHECKING:
    from clipsim.inputs.captions import CaptionsBeside
    from clipsim.inputs.plan_file import SourcePlan


MAX_FACT_CHARACTERS = 10_000  # of a value of a table that is kept


def find_sources(
    names: Iterable[str],
    chosen: NameFilter | None = None,
    *,
    listed: bool = False,
    captions: bool = False,
    image_column: str | None = None,
    caption_column: str | None = None,
    plan: SourcePlan | None = None,
) -> Iterator[Source]:
    """Expand files, folders, globs, addresses, tars and tables into sources, lazily and in the order given.

    Names are what `find_images` takes, or with `listed` what `find_listed_images` does, and addresses, of which folders
    and patterns are expanded likewise; unless `listed`, braces (`{000..099}.tar`) are expanded first where no file has
    the name. A folder without image files gives the shards below it (`choose_shards`). A `.tar` gives its members, a
    `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.parquet` its rows, whose image is in `image_column` and whose caption in
    `caption_column`, by default those with usual names. Sources whose names `chosen` does not accept are left out;
    failures stay. With `captions`, files have theirs, from `x.txt` beside `x.jpg` or the table of their folder. The RAW
    files of a folder or pattern that cannot be opened here are one failure, under its name. With a `plan`, addresses
    that it has are not listed again, and several tars of a store are listed at a time. Raises MissingPackageError where
    an extra is needed, and UsageError for a range of too many names.
    """
    beside = None
    if captions:
        from clipsim.inputs.captions import CaptionsBeside

        beside = CaptionsBeside()

    def expand(name: str) -> Iterator[Collection]:
        key = (name if needs_requests(name) else None, image_column, caption_column)
        stored = None if plan is None else plan.read(key)
        if stored is not None:
            yield Collection(key, stored, last=True)
            return
        unopened: list[str] = []
        root = "" if is_url(name) else as_path(name)
        for location in _find_locations(name, unopened, listed=listed):
            sources = _open_collection(location, beside, root, image_column, caption_column)
            yield Collection(key, sources, remote=not isinstance(sources, tuple) and is_url(location))
        if unopened := [path for path in unopened if chosen is None or chosen.accepts(path)]:
            yield Collection(key, (FailedSource(name, describe_unopened(unopened)),))
        yield Collection(key, (), last=True)

    collections = chain.from_iterable(map(expand, names if listed else chain.from_iterable(map(_expand_name, names))))
    for collection in collections if plan is None else read_ahead(collections):
        for source in collection.sources:
            if plan is not None:
                plan.add(collection.key, source)
            if chosen is None or isinstance(source, FailedSource) or chosen.accepts(source.name):
                yield source
        if plan is not None and collection.last:
            plan.end(collection.key)


def _expand_name(name: str) -> Iterable[str]:
    """The names that one with braces stands for; itself where a file has that name."""
    if "{" not in name or os.path.lexists(as_path(name)):
        return (name,)
    return expand_ranges(name)


def _find_locations(name: str, unopened: list[str], *, listed: bool) -> Iterable[str]:
    """The images, tars and tables that a path or an address stands for."""
    if is_url(name):
        return find_urls(name)
    path = as_path(name)
    if os.path.isdir(path):  # noqa: PTH112 (a Path raises for names that are not accessible)
        return chain.from_iterable(
            _find_shards(path) or [path] if image == path else [image] for image in find_listed_images([path], unopened)
        )
    if listed:
        return find_listed_images([path], unopened)
    matches = list(find_images([path], unopened))
    return leave_out_sidecars(matches) if len(matches) > 1 else matches


def _find_shards(folder: str) -> list[str]:
    """The tars below a folder, or what else holds images, sorted."""
    names: list[str] = []
    for below, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if not is_left_out(one)]
        names += (os.path.join(below, one) for one in files if not is_left_out(one))  # noqa: PTH118 (keeps ./)
    return choose_shards(names)


def make_collection(
    inputs: object,
    chosen: NameFilter | None = None,
    *,
    captions: bool = False,
    image_column: str | None = None,
    caption_column: str | None = None,
    plan: SourcePlan | None = None,
) -> Iterator[Source]:
    """What a Python caller passed to be embedded → sources, lazily and in order.

    `inputs` is a name as `find_sources` takes it (a string or a path), a `Source`, or an iterable of these; the rest
    is as for `find_sources`. Raises UsageError for other types, for a mapping and for a table.
    """
    single = isinstance(inputs, str | os.PathLike | Source) or not isinstance(inputs, Iterable)
    if not single:
        check_list(inputs, "images")
    items = [inputs] if single else cast("Iterable[object]", inputs)
    for are_sources, group in groupby(items, lambda item: isinstance(item, Source)):
        if are_sources:
            sources = cast("Iterator[Source]", group)
            yield from (source for source in sources if chosen is None or chosen.accepts(source.name))
        else:
            yield from find_sources(
                map(_check_name, group),
                chosen,
                captions=captions,
                image_column=image_column,
                caption_column=caption_column,
                plan=plan,
            )


def _check_name(item: object) -> str:
    """A path or address as text. Raises UsageError for anything else."""
    name = os.fspath(item) if isinstance(item, str | os.PathLike) else None
    if not isinstance(name, str):
        raise UsageError(f"an input is a path, an address or a Source, not {type(item).__name__}")
    return name


def _open_collection(
    name: str, beside: CaptionsBeside | None, root: str, image_column: str | None, caption_column: str | None
) -> Iterable[Source]:
    if is_tar(name):
        from clipsim.inputs.tars import read_tar  # imported only where there is a tar

        return read_tar(name)
    if is_table(name):
        return read_table_sources(name, image_column, caption_column)
    if is_url(name):
        return (UrlSource(name),)
    return (FileSource(name),) if beside is None else beside.add(name, root)


def to_record(source: Source) -> dict[str, Any]:
    """A source as plain values, to be opened later or elsewhere. Raises UsageError for an image in memory."""
    kind = next((name for name, kind in _kinds().items() if kind is type(source)), None)
    if kind is None:
        raise UsageError(f"'{source.name}' is an image in memory; only files and addresses can be opened again")
    names = (one.name for one in fields(source) if one.name != "index")
    return {"kind": kind, **{name: value for name in names if (value := getattr(source, name)) is not None}}


def from_record(record: dict[str, Any]) -> Source:
    """The source that `to_record` made the record of.

    >>> from_record(to_record(FileSource("a.jpg", caption="a cat")))
    FileSource(name='a.jpg', caption='a cat', facts=None)
    """
    fields = dict(record)
    return _kinds()[fields.pop("kind")](**fields)


@cache
def _kinds() -> dict[str, type[Source]]:
    from clipsim.inputs.parquet_images import ParquetImage
    from clipsim.inputs.tars import TarMember

    return {"parquet": ParquetImage, "file": FileSource, "url": UrlSource, "tar": TarMember, "failed": FailedSource}


def read_table_sources(
    name: str, image_column: str | None = None, caption_column: str | None = None
) -> Iterator[Source]:
    """The sources in a table's rows, in order, in bounded memory; paths are relative to the table's folder.

    The other columns of a row are the facts of its source. A row of Parquet may hold the image file itself; its source
    is named `TABLE:ROW`. A row without a usable path is a FailedSource named
    `TABLE:ROW`; what is wrong with the table itself is one under the table's name. Raises MissingPackageError for
    Parquet without pyarrow, and for addresses without fsspec.
    """
    try:
        table = read_table(name)
    except DataError as error:
        yield FailedSource(name, str(error))
        return
    with table:
        try:
            column = _choose_image_column(table.columns, image_column)
            captions = [name for name in table.columns if _holds_caption(name, caption_column)]
            if caption_column is not None:
                _require_column(table.columns, caption_column)
            check_columns(table.columns, [column, *captions])
        except DataError as error:
            yield FailedSource(name, str(error))
            return
        others = [other for other in table.plain_columns if other not in (column, *captions)]
        for row in table.read([column, *captions, *others]):
            yield _source_of(name, table, row, column, caption_column)


def _choose_image_column(columns: tuple[str, ...], named: str | None) -> str:
    """The column of paths. Raises DataError where there is none."""
    column = choose_column(columns, SOURCE_COLUMNS) if named is None else _require_column(columns, named)
    if column is None:
        raise DataError(f"no column of paths ({', '.join(SOURCE_COLUMNS)}); its columns are: {name_columns(columns)}")
    return column


def _holds_caption(column: str, named: str | None) -> bool:
    """Whether a column is the one `named` for captions, or has a usual name for them."""
    return column == named if named is not None else column.lower() in CAPTION_COLUMNS


def _require_column(columns: tuple[str, ...], name: str) -> str:
    if name not in columns:
        raise DataError(f"no column '{printable(name, 40)}'; its columns are: {name_columns(columns)}")
    return name


def _source_of(table: str, opened: RowTable, row: Row, column: str, caption_column: str | None) -> Source:
    value = row.values.get(column)
    name = f"{table}:{row.number}"
    if row.error is not None:
        return FailedSource(name, row.error)
    path, is_file = value, isinstance(value, bytes)
    if isinstance(value, Mapping) and set(value) == {"bytes", "path"}:  # as the package datasets writes an image
        path, is_file = value["path"], value["bytes"] is not None
    is_file = is_file and opened.open_image is not None
    if not is_file and (path is None or path == ""):
        if refusal := row.values.get("error_message"):  # of img2dataset, whose rows of failed downloads are empty
            return FailedSource(name, f"it was not downloaded: {printable(str(refusal), 120)}")
        return FailedSource(name, f"no path in column '{column}'")
    if not is_file and not isinstance(path, str):
        return FailedSource(name, f"column '{column}' holds {type(path).__name__}, not a path")
    try:
        if caption_column is None:
            caption = find_caption({key.lower(): value for key, value in row.values.items()})
        else:
            caption = read_value(row.values.get(caption_column))
    except ValueError as error:
        return FailedSource(name, str(error))
    if caption is not None and len(caption) > MAX_TEXT_BYTES:
        return FailedSource(
            name, f"a caption of {len(caption):,} characters, more than the limit of {MAX_TEXT_BYTES:,}"
        )
    others = {key: value for key, value in row.values.items() if key != column}
    facts = _find_facts({key: value for key, value in others.items() if not _holds_caption(key, caption_column)})
    if is_file and opened.open_image is not None:
        return replace(opened.open_image(name, row, column), caption=caption, facts=facts)
    location = join_location(table, str(path))
    if is_url(location):
        return UrlSource(location, caption=caption, facts=facts)
    return FileSource(as_path(location), caption=caption, facts=facts)


def _find_facts(values: Mapping[str, Any]) -> str | None:
    """The other values of a row as a JSON object, without bytes, blanks and what is very long; None for none."""
    facts: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, bytes) or value is None or value == "" or value != value:  # NaN, as data frames write it
            continue
        text = json.dumps(value, default=str)
        if len(text) <= MAX_FACT_CHARACTERS:
            facts[name] = json.loads(text)
    return json.dumps(facts) if facts else None


class Repeats:
    """The files met so far; `count` is the number of names that led to one of them again.

    Symbolic links, `a` and `./a`, and folders that were named twice are names of one file. Hard links count as files of
    their own, since each stays when the other is removed. Takes some twenty bytes of memory a file.
    """

    def __init__(self) -> None:
        self.count = 0
        self._seen = DigestSet()

    @property
    def notices(self) -> list[str]:
        """One notice of how many names were left out; empty where none was."""
        if not self.count:
            return []
        names = "1 name leads" if self.count == 1 else f"{self.count:,} names lead"
        return [f"{names} to a file that was named before; each file counts once"]

    def leave_out(self, sources: Iterable[Source], *, texts: bool = False) -> Generator[Source, None, None]:
        """Pass on the first source of each file, lazily; with `texts`, each with another caption or other facts.

        What has no file, such as an image in memory or a file that does not exist, is passed on.
        """
        for source in sources:
            key = _repeat_key(source, texts=texts)
            if key is None or not self.is_repeated(key):
                yield source

    def has_met(self, source: Source, *, texts: bool = False) -> bool:
        """Whether `leave_out` has passed on this file, under this name or another."""
        key = _repeat_key(source, texts=texts)
        return key is not None and repr(key) in self._seen

    def is_repeated(self, identity: object) -> bool:
        """Whether this was met before; it is from now on, and is counted where it was."""
        added = self._seen.add(repr(identity))  # equal for equal names and numbers, which identities are made of
        self.count += not added
        return not added


def _repeat_key(source: Source, *, texts: bool) -> object:
    identity = identify(source)
    return (identity, source.caption, source.facts) if texts and identity is not None else identity


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
    """A key that is equal for two names exactly if removing one file removes the other; None for a name of nothing.

    So it is where one name is a symbolic link, leads through one, or is another spelling (`a`, `./a`); with
    `hard_links`, for hard links too.
    """
    with suppress(OSError, ValueError):
        return identify_stat(name, os.stat(name), hard_links=hard_links)  # noqa: PTH116 (called a million times)
    return None


def identify_stat(name: str, stat_result: os.stat_result, *, hard_links: bool = False) -> object:
    """As `identify_name`, of a file's `os.stat` record. Raises OSError."""
    if not stat_result.st_ino:  # a file system without inode numbers
        return os.path.realpath(name)
    inode = (stat_result.st_dev, stat_result.st_ino)
    return inode if hard_links or stat_result.st_nlink == 1 else (*inode, os.path.realpath(name))
