"""Names and stamps of files → the digests of their content, while the stamps are unchanged."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from clipsim.cache.database import MAX_QUERY_VALUES, Database, crc
from clipsim.files import FileStamp, digest_file

DIGEST_BYTES = 32
FileRecord = tuple[str, FileStamp, bytes]  # a source's name, the stamp of its file, the digest of its content


class FileDigests:
    """The digests of files that were read before."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def find(self, stamps: Mapping[str, FileStamp]) -> dict[str, bytes]:
        """The digests (32 bytes) of those names whose files have the stamp they had when they were read."""
        found: dict[str, bytes] = {}
        names = iter(stamps)
        while block := {_key(name): name for name in islice(names, MAX_QUERY_VALUES)}:
            marks = ",".join("?" * len(block))
            rows = self.database.select(
                f"SELECT path, stamp, content, checksum FROM files WHERE path IN ({marks})",
                list(block),
                check=lambda *row, paths=block: row[0] in paths and _is_sound(*row),
            )
            for path, stamp, content, _ in rows:
                if stamp == stamps[block[path]].packed():
                    found[block[path]] = content
        return found

    @staticmethod
    def statement(records: Sequence[FileRecord]) -> tuple[str, list[tuple[object, ...]]]:
        """The statement and rows that store digests, each with the stamp its file had before and after reading."""
        rows: list[tuple[object, ...]] = []
        for name, stamp, content in records:
            key, packed = _key(name), stamp.packed()
            rows.append((key, packed, content, crc(key, packed, content)))
        return "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows

    def is_known(self, path: Path) -> bool:
        """Whether `digest` need not read the file."""
        return self._recall(path) is not None

    def digest(self, path: Path) -> str:
        """The SHA-256 of a model's file in hex, read only if it is not known. Raises OSError.

        These digests are kept apart from those of image files, so that pruning vectors does not forget them.
        """
        if known := self._recall(path):
            return known
        begun, before = time.time_ns(), FileStamp.of(path.stat())
        digest = digest_file(path)
        if before.is_settled(begun) and before == FileStamp.of(path.stat()):
            self.database.write_note(_note(path), f"{before.packed().decode()} {digest}")
        return digest

    def _recall(self, path: Path) -> str | None:
        note = self.database.read_note(_note(path))
        try:
            stamp = FileStamp.of(path.stat()).packed().decode()
        except OSError:
            return None
        if note is None or not note.startswith(f"{stamp} "):
            return None
        return note.removeprefix(f"{stamp} ")


def _is_sound(path: object, stamp: object, content: object, checksum: object) -> bool:
    return isinstance(content, bytes) and len(content) == DIGEST_BYTES and checksum == crc(path, stamp, content)


def _key(name: str) -> bytes:
    return os.fsencode(os.path.abspath(name))  # noqa: PTH100 (os.path keeps names that are not UTF-8, and is fast)


def _note(path: Path) -> str:
    return f"file {os.path.abspath(path)!a}"  # noqa: PTH100
