"""Small reads here and there in an object of a store → requests for few, small ranges of it."""

from __future__ import annotations

import os
from collections import deque
from typing import BinaryIO

from clipsim.inputs.urls import Window

MIN_BLOCK_BYTES, MAX_BLOCK_BYTES = 1 << 10, 1 << 19
TEXT_BLOCK_BYTES = 3 << 10  # with the first block, the usual caption and facts of an image and the next header
# What lies nearer than this to the last block is read with the part between: a request takes the time of some MB.
NEAR_BYTES = 1 << 15
FAR_SHARE = 128  # of the way to the next block, one part is read
KEPT_BLOCKS = 6


class SparseReads(Window):
    """A stream of which little is read, mostly forwards, such as the headers of a tar.

    Each request is for a block. A jump of 100 KB is followed by one of 1 KB, a longer one by a 128th of it. Blocks with
    less than 32 KB between them follow each other: 3 KB, then twice as much each, up to 512 KB, which reads small parts
    through.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, 0, stream.seek(0, os.SEEK_END))
        self.blocks = deque[tuple[int, bytes]](maxlen=KEPT_BLOCKS)  # with the positions where they start
        self._end = 0  # of the last block
        self._near = 0  # blocks in a row that were near the one before

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, fewer at the end. Raises what the stream does."""
        stop = self._size if size is None or size < 0 else min(self._position + size, self._size)
        parts = []
        while self._position < stop:
            start, block = self._find_block(stop)
            parts.append(block[self._position - start : stop - start])
            self._position += len(parts[-1])
        return b"".join(parts)

    def _find_block(self, stop: int) -> tuple[int, bytes]:
        """The block that holds the position; a new one reaches to `stop` at least."""
        position = self._position
        for start, block in reversed(self.blocks):
            if start <= position < start + len(block):
                return start, block
        distance = position - self._end
        if distance < 0:  # back, to what is kept no longer
            length = MIN_BLOCK_BYTES
        elif distance < NEAR_BYTES:
            position = self._end
            length = max(min(TEXT_BLOCK_BYTES << min(self._near, 16), MAX_BLOCK_BYTES), distance + MIN_BLOCK_BYTES)
            self._near += 1
        else:
            length = min(max(distance // FAR_SHARE, MIN_BLOCK_BYTES), MAX_BLOCK_BYTES)
            self._near = 0
        length = min(max(length, stop - position), self._size - position)
        self._stream.seek(position)
        block = self._stream.read(length)
        if not block:
            raise EOFError("the stream is shorter than its size")
        self.blocks.append((position, block))
        self._end = max(self._end, position + len(block))
        return position, block
