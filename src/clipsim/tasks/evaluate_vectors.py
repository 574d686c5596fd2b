"""A folder that `clipsim embed` wrote → the rows of its metadata, and their vectors as outcomes, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.errors import UsageError
from clipsim.inputs.labelled import LabelledData, LabelledRequest
from clipsim.inputs.rows import IMAGE_COLUMNS, Row, RowTable
from clipsim.store.dataset import Dataset
from clipsim.store.layout import is_dataset
from clipsim.tasks.stored_datasets import find_local

NAME, DIGEST = "image_path", "sha256"  # columns of the metadata
ROWS_AT_ONCE = 4096


def open_dataset(request: LabelledRequest, embedders: Sequence[Embedder]) -> Dataset | None:
    """The data set at the path of a request; None where there is none.

    Raises DatasetError for a damaged one, and UsageError for several models, of which one made its vectors.
    """
    if request.table is not None or not is_dataset(path := find_local(request.path)):
        return None
    if len(embedders) > 1:
        raise UsageError("a data set has the vectors of one model", parameter="models", hint="give that one alone")
    dataset = Dataset(path, embedders[0].digest_file)
    dataset.require_unit_rows()
    return dataset


def make_rows(dataset: Dataset) -> RowTable:
    """The metadata as a table, in the order of the vectors; images have their names as they are to be opened."""
    present = {shard: dataset.column_names(shard) for shard in dataset.shards}
    names = dict.fromkeys(name for columns in present.values() for name in columns)
    columns = tuple(name for name in names if name == NAME or name.lower() not in IMAGE_COLUMNS)

    def read(columns_read: Sequence[str]) -> Iterator[Row]:
        number = 0
        for shard in dataset.shards:
            values = dataset.columns(shard, [name for name in columns_read if name in present[shard]])
            for offset in range(len(values[NAME])):
                number += 1
                row = {name: column[offset] for name, column in values.items()}
                yield Row(number, dict.fromkeys(columns_read) | row | {NAME: dataset.locate(str(row[NAME]))})

    return RowTable(columns, read)


def read_batches(dataset: Dataset, data: LabelledData) -> Iterator[list[tuple[Outcome, ...]]]:
    """The vectors of labelled images, with the digests of their files."""
    for start in range(0, len(data.images), ROWS_AT_ONCE):
        images = data.images[start : start + ROWS_AT_ONCE]
        rows = [image.row or 0 for image in images]
        vectors, records = dataset.vectors(rows), dataset.describe(rows, (DIGEST,))
        yield [
            (ImageVector(image.path, vector, bytes.fromhex(record[DIGEST] or ""), index=row),)
            for image, vector, record, row in zip(images, vectors, records, rows, strict=True)
        ]
