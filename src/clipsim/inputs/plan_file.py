"""What names stood for when they were listed ↔ a compressed file, which is read in place of the stores.

The file is JSON lines, compressed by gzip: a header, then for each name that was listed a line with the name and the
time, a line for each source (`expand.to_record`), and a line with their number. A name without such a last line was not
listed to its end, and is not read. A file that has all that a command named ends with a line that says so.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from clipsim.errors import DataError, DatasetError, printable, system_cause
from clipsim.files import current_folder
from clipsim.inputs.ahead import Key
from clipsim.inputs.expand import from_record, to_record
from clipsim.inputs.sources import FailedSource, Source
from clipsim.inputs.urls import is_url

SCHEMA = "clipsim.inputs/1"
_NAME, _END, _COMPLETE = b'{"listing"', b'{"end"', b'{"complete"'
_COMPRESSION = 3  # a tenth of the size at the speed of a listing
_DAMAGES = (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Listing:
    """A name in a plan: when it was listed (seconds since 1970), how many sources it gave, which of the names it is."""

    listed: float
    sources: int
    number: int


class StoredPlan:
    """A plan that was written before; `complete` if it has all that a command named.

    Raises DataError, naming the file, for one that is damaged or of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections: list[tuple[Key, Listing]] = []
        self.complete = False
        with self._errors():
            lines = self._open()
            header = json.loads(next(lines, b"{}"))
            if header.get("schema") != SCHEMA:
                raise ValueError(f"not a plan that 'clipsim embed' wrote ({SCHEMA})")
            self._base = header["base"]
            number = 0
            begun: dict[str, Any] = {}
            for line in lines:
                if line.startswith(_NAME):
                    begun, self.complete = json.loads(line), False  # of what was added later, some may be missing
                    number += 1
                elif line.startswith(_END):
                    name, (image_column, caption_column) = begun["listing"], begun["columns"]
                    listing = Listing(float(begun["listed"]), int(json.loads(line)["end"]), number)
                    self.sections.append(((name, image_column, caption_column), listing))
                elif line.startswith(_COMPLETE):
                    self.complete = True
            self.listings = dict(reversed(self.sections))
        self._rewind()

    def read(self, listing: Listing) -> Iterator[Source]:
        """The sources of a name, one name at a time; names in the order of the file are read in one pass."""
        with self._errors():
            if listing.number <= self._number:
                self.close()
            for line in self._lines:
                if line.startswith(_NAME):
                    self._number += 1
                elif self._number == listing.number and line.startswith(_END):
                    return
                elif self._number == listing.number:
                    yield self._read_source(line)

    def close(self) -> None:
        """Close the file, until it is read again; Windows replaces and removes none that is open."""
        self._lines.close()
        self._rewind()

    def _rewind(self) -> None:
        self._lines, self._number = self._open(), 0

    def _open(self) -> Generator[bytes, None, None]:
        with gzip.open(self.path, "rb") as file:
            yield from cast(BinaryIO, file)

    def _read_source(self, line: bytes) -> Source:
        source = from_record(json.loads(line))
        anywhere = isinstance(source, FailedSource) or is_url(source.name) or os.path.isabs(source.name)  # noqa: PTH117
        if not anywhere and self._base != current_folder():
            raise DataError(
                f"{printable(str(self.path))}: its relative names start from {printable(str(self._base))}; run the "
                "command there"
            )
        return source

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Whatever a damaged file raises becomes a DataError that names it."""
        try:
            yield
        except _DAMAGES as error:
            if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
                cause = error.strerror or str(error)
            else:
                cause = f"damaged, or no plan: {error}"
            raise DataError(f"{printable(str(self.path))}: cannot read the plan: {printable(cause, 160)}") from error


class _PlanWriter:
    """Writes a plan, after what another one has, in the file that `make_path` names as soon as it is known."""

    def __init__(self, earlier: Path | None) -> None:
        self._earlier = earlier
        header = {"schema": SCHEMA, "base": current_folder()}
        self._waiting = [] if earlier is not None else [_to_line(header)]
        self._file: Any = None
        self._path: Path | None = None
        self._key: Key | None = None
        self._sources = 0
        self.ended = set[Key]()  # the names that were listed to their end
        self.make_path: Callable[[], Path] | None = None
        self.is_torn = False  # whether it could not be written

    def add(self, key: Key, source: Source, listed: float) -> None:
        """Add a source of a name."""
        if key != self._key:
            if self._key is not None and self._key[0] is None:
                self.end(self._key)
            name, *columns = key
            self._key, self._sources = key, 0
            self._write({"listing": name, "columns": columns, "listed": round(listed, 3)})
        self._sources += 1
        self._write(to_record(source))

    def end(self, key: Key) -> None:
        """Note that a name was listed to its end, if anything of it was added."""
        if key != self._key:
            return
        self._write({"end": self._sources})
        self._key = None
        self.ended.add(key)

    def abandon(self) -> None:
        """Leave the name that is listed without an end."""
        self._key = None

    def finish(self) -> None:
        """Note that all that was named is there."""
        if self._key is not None:
            self.end(self._key)
        self._write({"complete": True})

    def close(self) -> None:
        """Close the file. Raises DatasetError where it cannot be written."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                raise self._failure(error) from error

    def _write(self, record: object) -> None:
        self._waiting.append(_to_line(record))
        if self.make_path is None:
            return
        try:
            if self._file is None:
                self._path = self.make_path()
                if self._earlier is not None:
                    shutil.copyfile(self._earlier, self._path)
                self._file = gzip.open(self._path, "ab", compresslevel=_COMPRESSION)  # noqa: SIM115 (see `close`)
            self._file.write(b"".join(self._waiting))
        except OSError as error:
            raise self._failure(error) from error
        self._waiting.clear()

    def _failure(self, error: OSError) -> DatasetError:
        self.is_torn = True
        folder = "" if self._path is None else f"{printable(str(self._path.parent))}: "
        return DatasetError(f"{folder}cannot write down what was listed: {system_cause(error)}")


class SourcePlan:
    """What the names of a run stand for: read in a stored plan that has them, else listed, and written to a new one.

    `names` and `sources` count what was read, `oldest` is the time when the first of it was listed. With `everything`,
    the new plan has all names, also those that need no store.
    """

    def __init__(self, stored: StoredPlan | None = None, *, everything: bool = False) -> None:
        self.stored, self._everything = stored, everything
        self._writer = _PlanWriter(None if stored is None or everything else stored.path)
        self.names = self.sources = 0
        self.oldest: float | None = None

    @property
    def is_new(self) -> bool:
        """Whether the new plan is to take the place of the stored one, after which it is written."""
        return bool(self._writer.ended) and not self._writer.is_torn

    def read(self, key: Key) -> Iterator[Source] | None:
        """The sources of a name in the stored plan; None where they have to be listed."""
        if self.stored is None or (listing := self._find(key)) is None:
            return None
        self._count(listing)
        return self.stored.read(listing)

    def read_all(self) -> Iterator[Source]:
        """All sources of the stored plan, in order. Raises DataError where it does not have all that was named."""
        if self.stored is None:
            return
        if not self.stored.complete:
            raise DataError(
                f"{printable(str(self.stored.path))}: the plan was not listed to its end; name the sources too"
            )
        for key, listing in self.stored.sections:
            self._count(listing)
            for source in self.stored.read(listing):
                if self._everything:
                    self._writer.add(key, source, listing.listed)
                yield source
            self._writer.end(key)

    def add(self, key: Key, source: Source) -> None:
        """Take down a source of a name."""
        listing = self._find(key)
        if self._everything or (key[0] is not None and listing is None):
            self._writer.add(key, source, time.time() if listing is None else listing.listed)

    def end(self, key: Key) -> None:
        """Note that a name was listed to its end."""
        if key[0] is not None:
            self._writer.end(key)

    @contextmanager
    def writing(self, make_path: Callable[[], Path]) -> Iterator[None]:
        """Write the new plan while the sources are read, in the file that `make_path` names.

        Where that ends early, it gets what else the stored plan has, whose place it is to take. Raises DatasetError
        where it cannot be written.
        """
        self._writer.make_path = make_path
        try:
            yield
            if self._everything:
                self._writer.finish()
        except BaseException:
            if self._everything and not self._writer.is_torn:
                self._add_rest()
            raise
        finally:
            if self.stored is not None:
                self.stored.close()
            self._writer.close()

    def _add_rest(self) -> None:
        """Add the names of stores in the stored plan that the new one does not have to their end."""
        self._writer.abandon()
        if self.stored is None:
            return
        self.stored.close()
        for key, listing in self.stored.sections:
            if key[0] is not None and key not in self._writer.ended:
                for source in self.stored.read(listing):
                    self._writer.add(key, source, listing.listed)
                self._writer.end(key)

    def _find(self, key: Key) -> Listing | None:
        return None if self.stored is None or key[0] is None else self.stored.listings.get(key)

    def _count(self, listing: Listing) -> None:
        self.names += 1
        self.sources += listing.sources
        self.oldest = listing.listed if self.oldest is None else min(self.oldest, listing.listed)


def _to_line(record: object) -> bytes:
    return json.dumps(record).encode() + b"\n"
