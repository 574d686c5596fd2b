"""Places → groups of files with the same bytes; no model is opened and no picture decoded."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from clipsim.embedding.pipeline import default_workers
from clipsim.errors import Failure, ImageError, printable
from clipsim.files import digest_stream
from clipsim.inputs.sources import FileSource, Source
from clipsim.results.search import DuplicatesResult
from clipsim.store.dataset import Dataset
from clipsim.tasks.duplicates import DescribedGroups, find_copies
from clipsim.tasks.search_targets import Collection, Place, Progress

BLOCK = 1024  # files that are read between two steps


class SameFiles:
    """A search for files with the same bytes: iterate over its progress to the end; then `result` is there.

    Only files are read whose size another one has; data sets know the digests of theirs.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self.warnings: tuple[str, ...] = ()
        self.result: DuplicatesResult | None = None

    def __iter__(self) -> Generator[Progress, None, None]:
        """Read what may be the same."""
        collection = Collection()
        for place in self._places:
            if isinstance(place, Dataset):
                collection.describe(place)
            else:
                for source in place:
                    collection.add(source, None)
        rows = list(_find_candidates(collection))
        yield Progress("reading", 0, len(rows))
        with ThreadPoolExecutor(default_workers(), "read") as pool:
            for begin in range(0, len(rows), BLOCK):
                part = rows[begin : begin + BLOCK]
                failures = []
                for row, found in zip(part, pool.map(_digest, (collection.sources[row] for row in part)), strict=True):
                    if isinstance(found, bytes):
                        collection.digests[row] = found
                    else:
                        failures.append(Failure(collection.sources[row].name, found, collection.sources[row].index))
                collection.errors += failures
                yield Progress("reading", begin + len(part), len(rows), tuple(failures))
        described = DescribedGroups(collection, self._places, find_copies(collection.digests), None)
        self.warnings = tuple(described.notices)
        self.result = DuplicatesResult(
            model=None,
            threshold=None,
            compared=len(collection) - len(collection.errors) - described.repeated,
            groups=described.groups,
            errors=tuple(collection.errors),
            warnings=self.warnings,
        )


def _find_candidates(collection: Collection) -> Iterator[int]:
    """The rows whose digest is to be found: all but files of a size that no other one has."""
    sizes: dict[int, int | None] = {}
    all_of_them = False
    for row, (source, digest) in enumerate(zip(collection.sources, collection.digests, strict=True)):
        if digest is None:
            found = source.stat()
            sizes[row] = found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None
            all_of_them |= found is None and not isinstance(source, FileSource)  # such as a member of a tar
        else:
            all_of_them = True  # of a file whose size is not known
    shared = {size for size, count in Counter(sizes.values()).items() if count > 1}
    for row, size in sizes.items():
        if all_of_them or size is None or size in shared:
            yield row


def _digest(source: Source) -> bytes | str:
    """The SHA-256 of a source's content, or what is wrong with it."""
    try:
        with source.open() as stream:
            stream.seek(0, os.SEEK_SET)
            return bytes.fromhex(digest_stream(stream))
    except ImageError as error:
        return str(error)
    except OSError as error:
        return printable(f"cannot read it: {error.strerror or error}")
