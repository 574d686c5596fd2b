"""What is in the served folders now → the collections that clients search, brought up to date while a server runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipsim.embedding.encode import Outcome
from clipsim.errors import Failure
from clipsim.files import FileStamp
from clipsim.inputs.sources import Source
from clipsim.store.vector_table import VectorTable
from clipsim.tasks.search_targets import EmbeddedCollection
from clipsim.vectors.similarity import Vectors, unit_rows

if TYPE_CHECKING:
    from clipsim.server.served_images import ServedImages
    from clipsim.server.served_models import ServedModel

SCAN_SECONDS = 3.0  # between two looks at the folders, at least
SCAN_SHARE = 10  # and as many times as long as the last look took
MAX_FRESH = 1_000  # images that are embedded before the next look
FRESH_GROUP = 8  # images that are encoded together, so that requests get their turn between them
Stamps = dict[str, FileStamp | None]


@dataclass(frozen=True)
class Listing:
    """The sources that are there now and the stamps of their files, by their names."""

    sources: dict[str, Source]
    stamps: Stamps

    def find_fresh(self, before: Stamps) -> list[Source]:
        """The sources that are new or have changed since."""
        return [
            source for name, source in self.sources.items() if name not in before or before[name] != self.stamps[name]
        ]

    def stamps_after(self, before: Stamps, embedded: Sequence[Source]) -> Stamps:
        """The stamps of what is there once some of the fresh sources are embedded, and the others wait."""
        names = {source.name for source in embedded}
        return {
            name: stamp if name in names else before[name]
            for name, stamp in self.stamps.items()
            if name in names or name in before
        }


class FollowedCollection(EmbeddedCollection):
    """Some rows of a collection, and behind them images that came later."""

    def __init__(self, base: EmbeddedCollection, rows: NDArray[np.int64], added: Vectors) -> None:
        super().__init__(base.vectors.dimensions)
        self.base, self.rows, self.added = base, rows, added
        self.vectors = _FollowedTable(base.vectors, rows, added)


class _FollowedTable(VectorTable):
    """Some rows of a table, in their order, and behind them rows in memory."""

    def __init__(self, base: VectorTable, rows: NDArray[np.int64], added: Vectors) -> None:
        super().__init__(base.dimensions)
        self._base, self._rows, self._new = base, rows, added

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._rows) + len(self._new)

    def take(self, rows: NDArray[np.int64]) -> Vectors:
        """(k, d) float32: the vectors of k rows, which are in ascending order."""
        edge = int(np.searchsorted(rows, len(self._rows)))
        taken: Vectors = np.concatenate(
            [self._base.take(self._rows[rows[:edge]]), self._new[rows[edge:] - len(self._rows)]]
        )
        return taken

    def close(self) -> None:
        """Close the table beneath."""
        self._base.close()


def update_collection(
    old: EmbeddedCollection, before: Stamps, listing: Listing, now: Stamps, outcomes: Sequence[Outcome]
) -> FollowedCollection:
    """The collection without what is gone or has changed, and with the outcomes of what is fresh.

    `before` and `now` are the stamps that the two rest on. Rows of names in neither are those of data sets; they stay.
    """

    def stays(name: str) -> bool:
        return name not in before or (name in now and now[name] == before[name])

    kept = np.array([row for row, source in enumerate(old.sources) if stays(source.name)], np.int64)
    if isinstance(old, FollowedCollection):
        edge = int(np.searchsorted(kept, len(old.rows)))
        base, rows, added = old.base, old.rows[kept[:edge]], old.added[kept[edge:] - len(old.rows)]
    else:
        base, rows, added = old, kept, np.empty((0, old.vectors.dimensions), np.float32)
    images = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    if images:
        added = np.concatenate([added, unit_rows(np.stack([image.features for image in images]))])
    collection = FollowedCollection(base, rows, added)
    for row in kept.tolist():
        source = old.sources[row]
        collection.add(listing.sources.get(source.name, source), old.digests[row], old.sizes[row])
    for image in images:
        collection.add(listing.sources[image.image], image.digest)
    collection.errors = [error for error in old.errors if stays(error.image)]
    collection.errors += [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return collection


async def follow_folders(images: ServedImages, models: Sequence[ServedModel], at_once: asyncio.Event) -> None:
    """Look at the folders again and again, and bring the collections of the models up to date, until cancelled.

    The pause between two looks ends where `at_once` is set. What goes wrong is told to the event loop, and tried again.
    """
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(1, "folders")
    pause = SCAN_SECONDS
    try:
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(at_once.wait(), pause)
            at_once.clear()
            begun = time.monotonic()
            try:
                listing = await loop.run_in_executor(pool, images.list_again)
                pause = max(SCAN_SECONDS, SCAN_SHARE * (time.monotonic() - begun))
                for model in models:
                    await model.follow(listing, pool)
                if any(model.indexing for model in models):
                    pause = 0.0
            except Exception as error:
                loop.call_exception_handler({"message": "the folders cannot be followed", "exception": error})
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
