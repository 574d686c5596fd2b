"""A path → which file it names, whatever the name."""

from __future__ import annotations

import os
from pathlib import Path


def file_identity(path: str | os.PathLike[str], stat_result: os.stat_result | None = None) -> tuple[object, ...]:
    """Return a key that is equal for two names exactly if they name the same file now.

    Symbolic links are followed. The key is the device and inode, or the real path where the file system reports no
    inode numbers.

    Raises
    ------
    OSError
        The file does not exist or cannot be reached.
    """
    stat_result = stat_result or Path(path).stat()
    if stat_result.st_ino:
        return (stat_result.st_dev, stat_result.st_ino)
    return (os.path.realpath(path),)
