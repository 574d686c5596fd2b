"""Images → groups of files with the same bytes; no model is opened and no image decoded."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from clipsim.engines.choice import default_workers
from clipsim.errors import Failure, ImageError, printable
from clipsim.files import digest_stream
from clipsim.inputs.sources import FileSource, Source
from clipsim.results.search import DuplicatesResult
from clipsim.store.dataset import Dataset
from clipsim.tasks.duplicates import GroupRecords
from clipsim.tasks.near_images import find_copies
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.search_targets import Collection, Target, find_accept

FILES_PER_STEP = 1024  # of progress


def run(
    targets: Sequence[Target], progress: ProgressCallback = ignore_progress, *, keep: Sequence[str] = ()
) -> DuplicatesResult:
    """Find groups of files with the same bytes; `keep` are the rules of `KeepRules`.

    Only files are read whose size another one has; data sets know the digests of theirs.
    """
    collection = Collection()
    for target in targets:
        if isinstance(target, Dataset):
            collection.add_dataset(target, find_accept(targets))
        else:
            for source in target:
                collection.add(source, None)
    rows = list(_find_candidates(collection))
    progress(Progress("reading", 0, len(rows)))
    with ThreadPoolExecutor(default_workers(), "read") as pool:
        for begin in range(0, len(rows), FILES_PER_STEP):
            part = rows[begin : begin + FILES_PER_STEP]
            failures = []
            for row, digest in zip(part, pool.map(_digest, (collection.sources[row] for row in part)), strict=True):
                if isinstance(digest, bytes):
                    collection.digests[row] = digest
                else:
                    failures.append(Failure(collection.sources[row].name, digest, collection.sources[row].index))
            collection.errors += failures
            progress(Progress("reading", begin + len(part), len(rows), tuple(failures)))
    records = GroupRecords(collection, targets, find_copies(collection.digests), None, keep, progress)
    return DuplicatesResult(
        model=None,
        min_similarity=None,
        compared=len(collection) - len(collection.errors) - records.repeated,
        groups=records.groups,
        errors=tuple(collection.errors),
        warnings=tuple(records.notices),
    )


def _find_candidates(collection: Collection) -> Iterator[int]:
    """The rows whose digest is to be found: all but files of a size that no other one has."""
    sizes: dict[int, int | None] = {}
    all_of_them = False
    for row, (source, digest) in enumerate(zip(collection.sources, collection.digests, strict=True)):
        if digest is None:
            stat_result = source.stat()
            is_file = stat_result is not None and stat.S_ISREG(stat_result.st_mode)
            sizes[row] = stat_result.st_size if stat_result is not None and is_file else None
            all_of_them |= stat_result is None and not isinstance(source, FileSource)  # such as a member of a tar
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
