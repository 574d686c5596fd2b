"""Tests of `render.file_links`: addresses that open an image's file, and paths that a shell reads as they are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from skips import needs_bash

from clipsim.render.file_links import file_address, quote_for_shell

NAMES = [
    "a b.png",
    "100%.png",
    "a#b?c.png",
    "javascript:alert(1).png",
    "東京.png",
    "-rf",
    "it's $HOME `x` \\.png",
    "a\nb.png",
]


def write_file(folder: Path, name: str) -> Path:
    """An empty file, or a skip where the file system refuses the name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.touch()
    except OSError as error:
        pytest.skip(f"the file system refuses the name: {error}")
    return path


@pytest.mark.parametrize("name", [*NAMES, "caf\udce9.png"])
def test_an_address_leads_to_the_file(tmp_path: Path, name: str) -> None:
    """Relative to the folder of the page or whole, in ASCII, and decoded to the bytes of the path."""
    path = write_file(tmp_path, f"photos/{name}")
    relative, whole = file_address(str(path), tmp_path), file_address(str(path), None)

    assert relative is not None
    assert whole is not None
    assert (relative + whole).isascii()
    assert not set(relative) & set(":?#\"'<> ")
    assert os.fsdecode(unquote_to_bytes(relative)) == f"photos/{name}"
    assert os.fsdecode(unquote_to_bytes(whole.removeprefix("file://"))) == str(path)


def test_an_address_is_relative_below_the_page_only(tmp_path: Path) -> None:
    """A file beside the page's folder, or in one whose name begins alike, has its whole address."""
    path = write_file(tmp_path, "photos/a.png")

    assert file_address(str(path), tmp_path / "photos") == "a.png"
    assert file_address(str(path), tmp_path / "pages") == path.as_uri()
    assert file_address(str(path), tmp_path / "pho") == path.as_uri()


def test_a_name_is_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was typed; so is the folder of the page."""
    path = write_file(tmp_path, "photos/a.png")
    monkeypatch.chdir(tmp_path)

    assert file_address("photos/a.png", None) == path.as_uri()
    assert file_address("photos/a.png", Path()) == "photos/a.png"


@pytest.mark.parametrize("name", ["gone.png", "https://example.org/a.png", "a.tar/x.png", "a\0b", ""])
def test_what_is_no_file_has_no_address(name: str) -> None:
    """Nor has a folder."""
    assert file_address(name, None) is None
    assert file_address(os.curdir, None) is None


@needs_bash
def test_a_shell_reads_the_path(tmp_path: Path) -> None:
    """Every byte that a name may have comes through, each quoted path is one line in ASCII or printable text."""
    every = "".join(map(chr, range(1, 128))).replace("/", "")
    paths = [str(tmp_path / name) for name in [*NAMES, "caf\udce9\u202e1.png", every, "\x011"]]
    quoted = [quote_for_shell(path) for path in paths]
    printed = subprocess.run(
        ["bash", "-c", "printf '%s\\0' " + " \\\n".join(quoted)], capture_output=True, check=True
    ).stdout

    assert printed.split(b"\0")[:-1] == list(map(os.fsencode, paths))
    assert not any("\n" in path for path in quoted)
