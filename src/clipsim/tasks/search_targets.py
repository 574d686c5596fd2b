"""What the user named to be searched → data sets of vectors, and lists of sources, in the order named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import Outcome
from clipsim.errors import DatasetError, Failure, NoInputError, Setting, UsageError, printable
from clipsim.inputs.arguments import as_source, is_path, list_arguments, read_vectors
from clipsim.inputs.expand import Repeats, find_sources, identify_name
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import FailedSource, FileSource, Source
from clipsim.models.names import join_name, split_changes
from clipsim.store.clip_retrieval import ClipRetrievalFolder, is_clip_retrieval
from clipsim.store.dataset import BLOCK_ROWS, Accept, Dataset
from clipsim.store.layout import DatasetInfo, is_dataset, read_dataset_info
from clipsim.store.vector_table import VectorTable
from clipsim.tasks.progress import Progress, ProgressCallback
from clipsim.tasks.stored_datasets import find_copy, find_local
from clipsim.vectors.similarity import unit_rows

Target: TypeAlias = Dataset | list[Source]


@dataclass(frozen=True, eq=False)
class VectorTarget:
    """Vectors of images that a Python caller passed, compared as they lie: `vectors` is (n, d), of any length."""

    names: tuple[str, ...] | None
    vectors: NDArray[np.floating[Any]]

    @classmethod
    def of(cls, where: object) -> VectorTarget | None:
        """An array of vectors, or a mapping of names to vectors; None for anything else."""
        named = read_vectors(where)
        if named is None:
            return None
        if not len(named.rows):
            raise NoInputError("no vectors to search")
        if isinstance(named.rows, list) and len({len(row) for row in named.rows}) > 1:
            raise UsageError("vectors of several lengths", parameter="where")
        return cls(named.names, np.asarray(named.rows))

    def __len__(self) -> int:
        """The number of vectors."""
        return len(self.vectors)

    def name(self, row: int) -> str:
        """What a row is called."""
        return f"image {row + 1}" if self.names is None else self.names[row]


# Kinds of models whose files have one content under their name, so that only OpenCLIP can have changed.
PUBLISHED = ("tag", "hub")


class Targets(list[Target]):
    """Data sets and sources, each file once; `repeats` are the names that were left out.

    `chosen` says which images of the data sets are meant by their names, None for all; sources are those that it takes.
    """

    def __init__(self, chosen: NameFilter | None = None) -> None:
        super().__init__()
        self.repeats, self.chosen = Repeats(), chosen


def find_accept(targets: Sequence[Target]) -> Accept | None:
    """What says by its name whether an image of a data set among some targets is meant; None where all are."""
    chosen = targets.chosen if isinstance(targets, Targets) else None
    return None if chosen is None else chosen.accepts


def find_targets(
    where: object,
    chosen: NameFilter | None = None,
    name: str = "where",
    *,
    report: Callable[[str], None] = lambda _: None,
) -> Targets:
    """The data sets and sources that a Python caller named: one image of `make_sources`, or an iterable of these.

    A folder that `clipsim embed` or clip-retrieval wrote is a data set; other paths are expanded as `inputs.expand`
    does, and sources whose names `chosen` does not accept are left out, and so are further names of a file. All are
    numbered from 0, those that are left out and the rows of data sets too; what reads a data set leaves out the rows
    that `find_accept` does not take. An image without a file name is named "image n" when it is the n-th, counted from
    1. A data set in an object store is copied to this machine first, which `report` is told.

    Raises UsageError for other types, for a mapping and for a table, which it calls `name`; NoInputError where
    nothing is left, DatasetError for a damaged data set.
    """
    targets = Targets(chosen)
    index = 0
    for argument in list_arguments(where, name):
        if is_path(argument):
            path = find_local(str(os.fspath(cast("str", argument))), report)
            if is_dataset(path):
                if targets.repeats.is_repeated(("folder", identify_name(path) or path)):
                    continue
                targets.append(Dataset(path, first=index))
                index += len(targets[-1])
                continue
            if is_clip_retrieval(path):
                targets.append(ClipRetrievalFolder(path, first=index))
                index += len(targets[-1])
                continue
            named = list(find_sources([path]))
        else:
            named = [as_source(argument, index + 1)]
        sources = [replace(source, index=number) for number, source in enumerate(named, index)]
        index += len(named)
        if chosen is not None:
            sources = [source for source in sources if isinstance(source, FailedSource) or chosen.accepts(source.name)]
        sources = list(targets.repeats.leave_out(sources))
        if targets and isinstance(targets[-1], list):
            targets[-1] += sources
        else:
            targets.append(sources)
    if not any(len(target) for target in targets):
        raise NoInputError("no images found, or include and exclude rejected all of them")
    return targets


def recorded_model(where: Iterable[str]) -> str | None:
    """The name of the model that made the first data set among some paths; None where none of them is one.

    An adapter, or a state dict that was chosen, is not in the name.

    Raises DatasetError for one whose facts cannot be read.
    """
    for name in map(find_copy, where):
        if is_dataset(name):
            return split_changes(_model_name(read_dataset_info(Path(name))))[0]
    return None


def check_models(targets: Iterable[object], embedder: Embedder) -> list[str]:
    """Check that the data sets' vectors were made by the embedder's model; what the caller should know of them.

    The data sets' files are compared by the digests that the embedder remembers. Raises DatasetError for vectors of
    another model.
    """
    notices: list[str] = []
    for dataset in targets:
        if not isinstance(dataset, Dataset):
            continue
        dataset.digest_file = embedder.digest_file
        info = dataset.info
        folder = printable(str(dataset.folder))
        if isinstance(dataset, ClipRetrievalFolder):
            notices.append(_check_foreign(dataset, embedder))
            continue
        notices += info.warnings
        if info.digest != embedder.identity:
            model = embedder.facts
            made_by, opened = _model_name(info), join_name(model.name, model.pretrained)
            if made_by != opened:
                plain, changes = split_changes(made_by)
                more = (" with the adapter, or the weights_key, that is named behind the + sign",) if changes else ()
                raise DatasetError(
                    f"{folder}: its vectors are from {printable(made_by)}, not from {printable(opened)}",
                    hint=("give ", Setting("model", plain), *more),
                )
            changed = "the model's files, or the version of OpenCLIP, have changed since its vectors were made"
            if embedder.spec.kind not in PUBLISHED or info.dimensions != model.embed_dim:
                raise DatasetError(f"{folder}: {changed}; embed the images again")
            notices.append(f"{folder}: {changed}")
        if not info.complete:
            notices.append(f"{folder}: unfinished, {len(dataset.shards):,} of {info.shards:,} shards are there")
    return notices


def _check_foreign(dataset: ClipRetrievalFolder, embedder: Embedder) -> str:
    """The notice of which model a folder is taken to be from. Raises DatasetError for vectors of another length."""
    folder, facts = printable(str(dataset.folder)), embedder.facts
    opened = printable(join_name(facts.name, facts.pretrained))
    if dataset.info.dimensions != facts.embed_dim:
        raise DatasetError(
            f"{folder}: its vectors have {dataset.info.dimensions} numbers, and those of {opened} {facts.embed_dim}",
            hint=("give the ", Setting("model", None), " that made them"),
        )
    return f"{folder}: it does not say which model its vectors are from; they are taken for those of {opened}"


def _model_name(info: DatasetInfo) -> str:
    return join_name(info.model.name, info.model.pretrained)


Size = tuple[int, int]


class Collection:
    """The images of some targets, a row each.

    `sources` open them, `digests` are the SHA-256 of their files, `sizes` width and height in pixels; both are
    None where they are not known. `errors` are the inputs that could not be used.
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.digests: list[bytes | None] = []
        self.sizes: list[Size | None] = []
        self.errors: list[Failure] = []

    def __len__(self) -> int:
        """The number of images."""
        return len(self.sources)

    def add(self, source: Source, digest: bytes | None, size: Size | None = None) -> None:
        """Append a row."""
        self.sources.append(source)
        self.digests.append(digest)
        self.sizes.append(size)

    def add_dataset(self, dataset: Dataset, accept: Accept | None = None) -> list[int]:
        """Append the rows of a data set, or with `accept` those whose names it takes; which of its rows they are."""
        rows: list[int] = []
        row = -1
        for shard in dataset.shards:
            columns = dataset.columns(shard, ["image_path", "sha256", "width", "height"])
            for name, digest, width, height in zip(*columns.values(), strict=True):
                row += 1
                if accept is not None and not accept(str(name)):
                    continue
                size = (int(width), int(height)) if width and height else None
                source = FileSource(dataset.locate(str(name)), index=dataset.first + row)
                self.add(source, bytes.fromhex(digest) if digest else None, size)
                rows.append(row)
        return rows


class EmbeddedCollection(Collection):
    """A collection with the unit vector of each image, in `vectors`, which `close` removes."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.vectors = VectorTable(embed_dim)

    def fill(
        self,
        embedder: Embedder,
        targets: Sequence[Target],
        progress: ProgressCallback,
        accept: Callable[[Dataset], Accept | None] = lambda _: None,
    ) -> None:
        """Embed sources, and take the vectors of data sets as they are, of the rows whose names `accept` takes."""
        total, done = sum(map(len, targets)), 0
        for target in targets:
            if isinstance(target, Dataset):
                target.require_unit_rows()
                self._add_rows(target, accept(target))
                done += len(target)
                progress(Progress("reading", done, total))
                continue
            with closing(embedder.open_pipeline(target)) as pipeline:
                start = 0
                for batch in embedder.embed_images(pipeline):
                    failures = self._add_batch(target[start : start + len(batch)], batch)
                    start += len(batch)
                    done += len(batch)
                    progress(Progress("embedding", done, total, tuple(failures)))

    def _add_rows(self, dataset: Dataset, accept: Accept | None) -> None:
        """Append the rows of a data set, or those whose names `accept` takes."""
        rows = self.add_dataset(dataset, accept)
        if accept is None:
            self.vectors.add_dataset(dataset)
            return
        for start in range(0, len(rows), BLOCK_ROWS):
            self.vectors.add(dataset.vectors(rows[start : start + BLOCK_ROWS]))

    def _add_batch(self, sources: Sequence[Source], outcomes: Sequence[Outcome]) -> list[Failure]:
        """Append what could be used; the failures."""
        failures, features = [], []
        for source, outcome in zip(sources, outcomes, strict=True):
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                features.append(outcome.features)
                self.add(source, outcome.digest)
        if features:
            self.vectors.add(unit_rows(np.stack(features)))
        self.errors += failures
        return failures

    def close(self) -> None:
        """Remove what is temporary."""
        self.vectors.close()
