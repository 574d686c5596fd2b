"""A folder that clip-retrieval wrote, without `clipsim.json` → `Dataset`: its vectors, and names from its metadata."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipsim.errors import DatasetError, printable
from clipsim.files import current_folder, digest_file
from clipsim.results.base import ModelRecord
from clipsim.store.dataset import Dataset, StoredVectors
from clipsim.store.layout import DatasetInfo, import_parquet, is_dataset

NAME_COLUMNS = ("image_path", "url")  # of the metadata: the first of them that is there names the images
_PART = re.compile(r"img_emb_(\d+)\.npy")


def is_clip_retrieval(folder: str | Path) -> bool:
    """Whether a folder holds vectors in clip-retrieval's layout that `clipsim embed` did not write."""
    return not is_dataset(folder) and bool(_list_parts(Path(folder)))


class ClipRetrievalFolder(Dataset):
    """The parts of one folder, in the order of their numbers.

    Nothing says which model the vectors are from, nor what the files were when they were written.

    Opening raises DatasetError where a file is not an array of vectors, or they have several lengths; `columns` where
    the metadata are missing or of another number of rows.
    """

    remedy = "divide each vector by its length"

    def __init__(self, folder: str | Path, *, first: int = 0) -> None:
        self.folder, self.first, self.digest_file = Path(folder), first, digest_file
        self._here = current_folder()
        self._parts = _list_parts(self.folder)
        self.shards = sorted(self._parts)
        arrays = [self.image_vectors(shard) for shard in self.shards]
        widths = {array.shape[1] for array in arrays}
        if len(widths) > 1:
            raise DatasetError(f"{printable(str(self.folder))}: vectors of several lengths: {sorted(widths)}")
        self.rows = [len(array) for array in arrays]
        self.starts = [0, *np.cumsum(self.rows, dtype=np.int64).tolist()]
        self._shard_indices = {shard: index for index, shard in enumerate(self.shards)}
        self.info = DatasetInfo(
            ModelRecord("unknown", None, widths.pop(), 0, 0.0, None, "softmax"),
            digest="",
            device="",
            engine="",
            precision="",
            preprocessing={},
            dtype="fp16",
            shard_size=max(self.rows),
            with_captions=False,
            images=len(self),
        )

    def fingerprint(self, shards: int | None = None) -> str:  # noqa: ARG002 (of the base)
        """None of any vectors: no index is built for them."""
        return ""

    def image_vectors(self, shard: int) -> StoredVectors:
        """(n, d) memory-mapped vectors of one part. Raises DatasetError for another file."""
        path = self.folder / "img_emb" / f"img_emb_{self._parts[shard]}.npy"
        try:
            vectors: StoredVectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # NumPy raises errors of many families for damaged headers
            cause = printable(str(error), 120)
            raise DatasetError(f"{printable(str(path))}: not an array of vectors: {cause}") from error
        if vectors.ndim != 2 or vectors.dtype not in (np.float16, np.float32):
            got = f"{vectors.shape} {vectors.dtype}"
            raise DatasetError(f"{printable(str(path))}: not an array of (n, d) float16 or float32, but {got}")
        return vectors

    def columns(
        self, shard: int, columns: Sequence[str], positions: Sequence[int] | None = None
    ) -> dict[str, list[Any]]:
        """Columns of one part's metadata, or their values at `positions`.

        What it does not have is None, and `image_path` is the address where there is no path.
        """
        path = self.folder / "metadata" / f"metadata_{self._parts[shard]}.parquet"
        label, rows = printable(str(path)), self.rows[self._shard_indices[shard]]
        parquet = import_parquet()
        try:
            present = set(parquet.read_schema(path).names)
            names = next((name for name in NAME_COLUMNS if name in present), None)
            if names is None:
                raise DatasetError(f"{label}: no column {' or '.join(NAME_COLUMNS)}, which names the images")
            read = {names if name == "image_path" else name for name in columns} & present
            table = parquet.read_table(path, columns=sorted(read), partitioning=None)
        except (OSError, ValueError) as error:  # pyarrow's own are among them
            raise DatasetError(f"{label}: cannot read it: {printable(str(error), 120)}") from error
        if len(table) != rows:
            raise DatasetError(f"{label}: {len(table):,} rows for {rows:,} vectors")
        if positions is not None:
            table, rows = table.take(list(positions)), len(positions)
        values: dict[str, list[Any]] = table.to_pydict()
        return {name: values.get(names if name == "image_path" else name, [None] * rows) for name in columns}


def _list_parts(folder: Path) -> dict[int, str]:
    """The numbers of a folder's files of vectors, and how the names of these write them."""
    try:
        names = sorted(path.name for path in (folder / "img_emb").iterdir())
    except (OSError, ValueError):
        return {}
    matches = (_PART.fullmatch(name) for name in names)
    return {int(match[1]): match[1] for match in matches if match is not None}
