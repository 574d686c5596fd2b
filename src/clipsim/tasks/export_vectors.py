"""A data set of vectors → the files or the database that other engines search: `ExportRequest`, and `run`."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass

from clipsim.errors import NoInputError, UsageError, printable
from clipsim.inputs.urls import as_path
from clipsim.options import check_flag
from clipsim.results.datasets import ExportResult
from clipsim.store.databases import export_schema, open_destination, read_rows
from clipsim.store.dataset import Dataset
from clipsim.store.layout import import_parquet
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.stored_datasets import find_local


@dataclass(frozen=True)
class ExportRequest:
    """A folder that `clipsim embed` wrote, and where its rows go.

    `to` is "parquet", "lance", "qdrant", or the address of a server, `qdrant://HOST:PORT/COLLECTION`; `output` is the
    folder of the first three, `name` that of the table or collection. With `overwrite`, what that holds is removed
    first; without, rows are replaced by their ids.
    """

    folder: str
    to: str
    output: str | None = None
    name: str = "images"
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check the values, and read addresses of files as paths."""
        check_flag("overwrite", self.overwrite)
        if not self.name:
            raise UsageError("empty", parameter="name")
        object.__setattr__(self, "folder", as_path(os.fspath(self.folder)))
        if self.output is not None:
            object.__setattr__(self, "output", as_path(os.fspath(self.output)))


def run(request: ExportRequest, progress: ProgressCallback = ignore_progress) -> ExportResult:
    """Write all rows of a data set.

    Raises DatasetError for another folder or a damaged one, and where the destination cannot be written; UsageError for
    an unknown destination, MissingPackageError without its package.
    """
    begun = time.monotonic()
    import_parquet()
    kind, destination = open_destination(request.to, request.output, request.name)
    dataset = Dataset(find_local(request.folder, lambda line: progress(Progress("copying", 0, None, notices=(line,)))))
    folder = printable(str(dataset.folder))
    if not len(dataset):
        raise NoInputError(f"{folder}: no vectors to export")
    warnings = []
    if not dataset.info.complete:
        warnings.append(f"{folder}: unfinished, {len(dataset.shards):,} of {dataset.info.shards:,} shards are there")
    progress(Progress("reading the vectors", 0, None, notices=tuple(warnings)))
    dataset.require_unit_rows()
    schema = export_schema(dataset)
    done = 0
    with closing(destination):
        destination.open(schema, overwrite=request.overwrite)
        for rows in read_rows(dataset):
            destination.add(rows)
            done += len(rows)
            progress(Progress("exporting", done, len(dataset)))
        warnings += destination.finish(done)
    return ExportResult(
        folder=str(dataset.folder),
        to=kind,
        destination=destination.label,
        name=destination.name,
        vectors=done,
        dimensions=dataset.info.dimensions,
        columns=tuple(schema.names),
        seconds=time.monotonic() - begun,
        warnings=tuple(warnings),
    )
