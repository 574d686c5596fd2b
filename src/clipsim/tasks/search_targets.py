"""What a search is told to look in → data sets of vectors, and lists of sources, in the order named."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import Outcome
from clipsim.errors import DatasetError, Failure, NoInputError, Setting, printable
from clipsim.inputs.arguments import as_source, is_path, list_arguments
from clipsim.inputs.expand import Repeats, find_sources, identify_name
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import FailedSource, FileSource, Source
from clipsim.inputs.urls import as_path
from clipsim.models.names import join_name
from clipsim.store.dataset import Dataset
from clipsim.store.layout import DatasetInfo, is_dataset, read_dataset_info
from clipsim.store.vector_table import VectorTable
from clipsim.vectors.similarity import unit_rows

Place: TypeAlias = Dataset | list[Source]

# Kinds of models whose files have one content under their name, so that only OpenCLIP can have changed.
PUBLISHED = ("tag", "hub")


@dataclass(frozen=True)
class Progress:
    """How far a step of a run is, and which step: images that are done of `total`, and those that just failed."""

    what: str
    done: int
    total: int
    failures: tuple[Failure, ...] = ()


class Places(list[Place]):
    """Data sets and sources, each file once; `repeats` are the names that were left out."""

    def __init__(self) -> None:
        super().__init__()
        self.repeats = Repeats()


def find_places(where: object, chosen: NameFilter | None = None, name: str = "where") -> Places:
    """The data sets and sources that a Python caller named: one image of `make_sources`, or an iterable of these.

    A folder that `clipsim embed` wrote is a data set; other paths are expanded as `inputs.expand` does, and sources
    whose names `chosen` does not accept are left out, and so are further names of a file. All are numbered from 0,
    those that are left out and the rows of data sets too. A picture without a file name is named "image n" when it is
    the n-th, counted from 1.

    Raises UsageError for other types, for a mapping and for a table, which it calls `name`; NoInputError where
    nothing is left, DatasetError for a damaged data set.
    """
    places = Places()
    index = 0
    for given in list_arguments(where, name):
        if is_path(given):
            path = as_path(str(os.fspath(cast("str", given))))
            if is_dataset(path):
                if places.repeats.is_repeated(("folder", identify_name(path) or path)):
                    continue
                places.append(Dataset(path, first=index))
                index += len(places[-1])
                continue
            named = list(find_sources([path]))
        else:
            named = [as_source(given, index + 1)]
        found = [replace(source, index=index + place) for place, source in enumerate(named)]
        index += len(named)
        if chosen is not None:
            found = [source for source in found if isinstance(source, FailedSource) or chosen.accepts(source.name)]
        found = list(places.repeats.leave_out(found))
        if places and isinstance(places[-1], list):
            places[-1] += found
        else:
            places.append(found)
    if not any(len(place) for place in places):
        raise NoInputError("no images: none was named, or none has a name that is asked for")
    return places


def recorded_model(where: Iterable[str]) -> str | None:
    """The name of the model that made the first data set among some paths; None where none of them is one.

    Raises DatasetError for one whose facts cannot be read.
    """
    for name in map(as_path, where):
        if is_dataset(name):
            return _model_name(read_dataset_info(Path(name)))
    return None


def check_models(places: Sequence[Place], session: Embedder) -> list[str]:
    """Hold the data sets' model against the session's; notices of what the caller should know.

    The data sets' files are compared by the digests that the session remembers. Raises DatasetError for vectors of
    another model.
    """
    notices: list[str] = []
    for place in places:
        if isinstance(place, Dataset):
            place.digest_file = session.digest_file
            info, encoder = place.info, session.encoder
            shown = printable(str(place.folder))
            notices += info.warnings
            if info.digest != session.identity:
                there, here = _model_name(info), join_name(encoder.name, encoder.pretrained)
                if there != here:
                    raise DatasetError(
                        f"{shown}: its vectors are from {printable(there)}, not from {printable(here)}",
                        hint=("give ", Setting("model", there)),
                    )
                changed = "the model's files, or the version of OpenCLIP, have changed since its vectors were made"
                if session.spec.kind not in PUBLISHED or info.dimensions != encoder.embed_dim:
                    raise DatasetError(f"{shown}: {changed}; embed the images again")
                notices.append(f"{shown}: {changed}")
            if not info.complete:
                notices.append(f"{shown}: unfinished, {len(place.shards):,} of {info.shards:,} shards are there")
    return notices


def _model_name(info: DatasetInfo) -> str:
    return join_name(info.model.name, info.model.pretrained)


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
        self.errors: list[Failure] = []
        self.vectors: VectorTable | None = None

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.sources)

    def fill(self, session: Embedder, places: Sequence[Place]) -> Generator[Progress, None, None]:
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

    def _add_batch(self, sources: Sequence[Source], outcomes: Sequence[Outcome]) -> list[Failure]:
        """Append what could be used; the failures."""
        failures, features = [], []
        for source, outcome in zip(sources, outcomes, strict=True):
            if isinstance(outcome, Failure):
                failures.append(outcome)
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
