"""Places → all their pictures as one table: names, digests of the files, sizes and vectors."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

import numpy as np

from clipsim.api.places import Place, Progress
from clipsim.embedding.encode import FailedInput, Outcome
from clipsim.embedding.session import Session
from clipsim.inputs.sources import FileSource, Source
from clipsim.scoring.records import ImageFailure
from clipsim.scoring.similarity import unit_rows
from clipsim.store.dataset import Dataset
from clipsim.store.vector_table import VectorTable

Size = tuple[int, int]


class Collection:
    """The pictures of some places, a row each.

    `sources` open them, `digests` are the SHA-256 of their files, `sizes` width and height in pixels; both are
    None where they are not known. `errors` are the inputs that could not be used. A context manager.
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.digests: list[bytes | None] = []
        self.sizes: list[Size | None] = []
        self.errors: list[ImageFailure] = []
        self.vectors: VectorTable | None = None

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.sources)

    def fill(self, session: Session, places: Sequence[Place]) -> Generator[Progress, None, None]:
        """Embed sources, and take the vectors of data sets as they are."""
        self.vectors = VectorTable(session.encoder.embed_dim)
        total, done = sum(map(len, places)), 0
        for place in places:
            if isinstance(place, Dataset):
                place.require_unit_rows()
                self.vectors.add_dataset(place)
                self.describe(place)
                done += len(place)
                yield Progress("reading", done, total)
                continue
            with closing(session.open_pipeline(place)) as pipeline:
                start = 0
                for batch in session.embed_images(pipeline):
                    failures = self._add_batch(place[start : start + len(batch)], batch)
                    start += len(batch)
                    done += len(batch)
                    yield Progress("embedding", done, total, tuple(failures))

    def _add_batch(self, sources: Sequence[Source], outcomes: Sequence[Outcome]) -> list[ImageFailure]:
        """Append what could be used; the failures."""
        failures, features = [], []
        for source, outcome in zip(sources, outcomes, strict=True):
            if isinstance(outcome, FailedInput):
                failures.append(ImageFailure(outcome.name, outcome.error, outcome.index))
            else:
                features.append(outcome.features)
                self.add(source, outcome.digest)
        if features and self.vectors is not None:
            self.vectors.add(unit_rows(np.stack(features)))
        self.errors += failures
        return failures

    def add(self, source: Source, digest: bytes | None, size: Size | None = None) -> None:
        """Append a row."""
        self.sources.append(source)
        self.digests.append(digest)
        self.sizes.append(size)

    def describe(self, dataset: Dataset) -> None:
        """Append the rows of a data set."""
        row = dataset.first
        for shard in dataset.shards:
            columns = dataset.columns(shard, ["image_path", "sha256", "width", "height"])
            for name, digest, width, height in zip(*columns.values(), strict=True):
                size = (int(width), int(height)) if width and height else None
                self.add(
                    FileSource(dataset.locate(str(name)), index=row), bytes.fromhex(digest) if digest else None, size
                )
                row += 1

    def close(self) -> None:
        """Remove what is temporary."""
        if self.vectors is not None:
            self.vectors.close()
