"""The name of an image → the address of its file for a page, and its path as a shell reads it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from urllib.parse import quote_from_bytes

from clipsim.errors import join_words, printable


def file_address(name: str, page_folder: Path | None) -> str | None:
    """The address of an image's file, in ASCII; None where the name is not that of a file on this machine.

    It is relative where the file is in `page_folder`, the folder of the page, or below it, so that the folder can be
    moved with the page; otherwise it begins with "file:".
    """
    if not os.path.isfile(name):  # noqa: PTH113 (a Path raises for names that no file can have)
        return None
    path = Path(os.path.abspath(name))  # noqa: PTH100 (links stay as they are)
    if page_folder is not None:
        folder = Path(os.path.abspath(page_folder))  # noqa: PTH100
        if path.is_relative_to(folder):
            return quote_from_bytes(os.fsencode(path.relative_to(folder).as_posix()))
    return path.as_uri()


def quote_for_shell(name: str) -> str:
    r"""A file's absolute path in one line, quoted for a shell: on Windows in double quotes, else for a POSIX shell.

    Names that cannot be shown as they are, such as those with a line feed or bytes that are not UTF-8, are written as
    $'…' (POSIX 2024; bash, zsh and ksh).

    >>> quote_for_shell("/a/it's.png"), quote_for_shell("/a\nb.png"), quote_for_shell("/caf\udce9'.png")
    ('\'/a/it\'"\'"\'s.png\'', "$'/a\\nb.png'", "$'/caf\\351\\'.png'")
    """
    path = os.path.abspath(name)  # noqa: PTH100 (links stay as they are)
    if sys.platform == "win32":
        return join_words([path])
    return shlex.quote(path) if printable(path) == path else f"$'{''.join(map(_escape, os.fsencode(path)))}'"


def _escape(byte: int) -> str:
    if byte == ord("\n"):
        return "\\n"
    character = chr(byte)
    if character in "'\\":
        return f"\\{character}"
    return character if character.isascii() and character.isprintable() else f"\\{byte:03o}"
