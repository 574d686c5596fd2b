"""An open stream → its digest, and what to decode: bytes in memory, or a file where they are too many."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from contextlib import ExitStack
from typing import BinaryIO

from clipsim.files import CHUNK_BYTES, FileStamp, digest_stream
from clipsim.inputs.sources import reading_error

WHOLE_FILE_BYTES = 32_000_000  # a file up to this size is read once, into memory


def stamp_of(stream: BinaryIO) -> FileStamp | None:
    """The stamp of an open file; None where the stream is not a file of its own."""
    try:
        return FileStamp.of(os.fstat(stream.fileno()))
    except (OSError, AttributeError):
        return None


def read_content(stream: BinaryIO, size: int, is_file: bool, held: ExitStack) -> tuple[bytes, BinaryIO]:
    """The SHA-256 of a stream of `size` bytes, and what to decode.

    A stream that is no file of its own and too long for memory is copied to a temporary file, which `held` closes.
    Raises ImageError where it cannot be read.
    """
    try:
        stream.seek(0)
        if size <= WHOLE_FILE_BYTES:
            data = stream.read(WHOLE_FILE_BYTES + 1)
            if len(data) <= WHOLE_FILE_BYTES:
                return hashlib.sha256(data).digest(), io.BytesIO(data)
            stream.seek(0)
        content = stream
        if not is_file:
            content = held.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (closed with the source)
            shutil.copyfileobj(stream, content, CHUNK_BYTES)
            content.seek(0)
        digest = bytes.fromhex(digest_stream(content))
        content.seek(0)
    except OSError as error:
        raise reading_error("read", error) from error
    return digest, content
