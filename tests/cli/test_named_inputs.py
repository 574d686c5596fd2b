"""What a user names, through the commands: lists, addresses, tables, tars, captions, names that are hard to open."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fake_encoder import FakeEncoder

if TYPE_CHECKING:
    from cli.conftest import Clipsim


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """The address of a server on loopback that gives the files of a folder."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def ranked(text: str) -> list[str]:
    """The names of the images in JSON lines."""
    return [json.loads(line)["image"] for line in text.splitlines()]


@pytest.mark.parametrize("end", [b"\n", b"\0", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("door", ["-", "--from-file"])
@pytest.mark.parametrize("command", ["rank", "search", "duplicates", "embed"])
def test_lists_of_paths(
    clipsim: Clipsim,
    colour_model: FakeEncoder,
    colours: Path,
    tmp_path: Path,
    command: str,
    door: str,
    mark: bytes,
    end: bytes,
) -> None:
    """Every command that goes through pictures reads them, from standard input and files, split by what they hold."""
    names = [str(colours / f"{name}.png") for name in ("green", "red")]
    content = mark + b"".join(name.encode() + end for name in names)
    (tmp_path / "list").write_bytes(content)
    options = {
        "rank": ["-t", "red", "-t", "blue", "--format", "jsonl"],
        "search": ["-t", "red", "--json"],
        "duplicates": ["--json", "--threshold", "-0.999", "--no-pixel-check"],
        "embed": ["-o", tmp_path / "out", "--json"],
    }
    given = ["-"] if door == "-" else ["--from-file", tmp_path / "list"]

    ended = clipsim(command, *given, *options[command], stdin=content if door == "-" else b"")

    assert ended.status == 0, ended.err
    if command == "rank":
        assert ranked(ended.out) == names
    elif command == "duplicates":
        assert [image["image"] for image in json.loads(ended.out)["groups"][0]["images"]] == names
    else:
        assert json.loads(ended.out)["searched" if command == "search" else "images"] == 2


@pytest.mark.parametrize("command", ["rank", "search"])
def test_a_list_in_utf_16(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, command: str) -> None:
    """The error names the encoding."""
    ended = clipsim(command, "-", "-t", "red", stdin=f"{colours}/red.png\n".encode("utf-16"))

    assert ended.status == 1
    assert ended.err == "clipsim: error: standard input: the list of paths is UTF-16; save it as UTF-8\n"


def test_a_list_for_threshold(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """Positives or negatives may come from standard input."""
    ended = clipsim(
        "threshold", "red", "--positives", "-", "--negatives", colours / "blue.png", "--recall", "0.5", "--json",
        stdin=f"{colours}/red.png\0".encode(),
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert clipsim("threshold", "red", "--positives", "-", "--negatives", "-", "--recall", "0.5").status == 2


@pytest.mark.parametrize("host", ["", "localhost"])
def test_file_addresses(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, host: str) -> None:
    """Their percent-encoded bytes are decoded, in arguments, lists and tables; a `%` in a path stays one."""
    odd = colours / "50% #1 é.png"
    (colours / "red.png").rename(odd)
    address = f"file://{host}{colours}/50%25%20%231%20%C3%A9.png"
    (tmp_path / "t.csv").write_text(f"image\n{address}\n{odd}\n")

    ended = clipsim(
        "rank",
        address,
        "-",
        tmp_path / "t.csv",
        odd,
        "-t",
        "red",
        "-t",
        "blue",
        "--format",
        "jsonl",
        stdin=address.encode(),
    )
    assert ended.status == 0, ended.err
    assert set(ranked(ended.out)) == {str(odd)}


def test_addresses_are_ranked(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """As embed takes them; one that is not there is skipped, and named with its cause."""
    pytest.importorskip("aiohttp")
    with web_server(colours) as address:
        ended = clipsim(
            "rank", f"{address}/red.png", f"{address}/no.png", "-t", "red", "-t", "blue", "--format", "jsonl"
        )

    assert ended.status == 3
    first, second = map(json.loads, ended.out.splitlines())
    assert (first["image"], first["best"]) == (f"{address}/red.png", "red")
    assert second == {"image": f"{address}/no.png", "error": "no such file"}
