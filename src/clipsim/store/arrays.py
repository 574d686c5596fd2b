"""Blocks of vectors → an .npy file, written a block at a time before the number of rows is known."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError

CHECKED_ROWS = 65_536


class ArrayFile:
    """An .npy file of (n, d) rows while it is written. Raises OSError where the system refuses to write."""

    def __init__(self, path: Path, dimensions: int, dtype: np.dtype[Any]) -> None:
        self.path, self.rows = path, 0
        self._dimensions, self._dtype = dimensions, dtype
        self._file = path.open("wb")
        self._file.write(self._header())

    def add(self, block: NDArray[np.floating[Any]]) -> None:
        """Append (k, d) rows."""
        self._file.write(np.ascontiguousarray(block, self._dtype).tobytes())
        self.rows += len(block)

    def close(self) -> None:
        """Write the number of rows into the header, and close."""
        if not self._file.closed:
            self._file.seek(0)
            self._file.write(self._header())
            self._file.close()

    def check(self) -> None:
        """Read the closed file back. Raises DatasetError where it is not the rows that were added, or not finite."""
        array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        if array.shape != (self.rows, self._dimensions) or array.dtype != self._dtype:
            raise DatasetError(f"{array.shape} {array.dtype} were written, not {(self.rows, self._dimensions)}")
        for start in range(0, self.rows, CHECKED_ROWS):
            if not np.isfinite(array[start : start + CHECKED_ROWS]).all():
                raise DatasetError("a vector that was written is not finite")

    def _header(self) -> bytes:
        """As `numpy.save` writes it; NumPy pads it so that its length does not depend on the number of rows."""
        buffer = io.BytesIO()
        facts = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.rows, self._dimensions)}
        np.lib.format.write_array_header_1_0(buffer, facts)
        return buffer.getvalue()
