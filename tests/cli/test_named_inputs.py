"""What a user names, through the commands: lists, addresses, tables, tars, captions, names that are hard to open."""

from __future__ import annotations

import errno
import http.server
import io
import json
import os
import socketserver
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fake_encoder import FakeEncoder
from PIL import Image

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
    options: dict[str, list[str | Path]] = {
        "rank": ["-t", "red", "-t", "blue", "--format", "jsonl"],
        "search": ["-t", "red", "--json"],
        "duplicates": ["--json", "--min-similarity", "-0.999", "--no-pixel-check"],
        "embed": ["-o", tmp_path / "out", "--json"],
    }
    given = ["-"] if door == "-" else ["--from-file", tmp_path / "list"]

    ended = clipsim(command, *given, *options[command], stdin=content if door == "-" else b"")

    assert ended.status == 0, ended.err
    if command == "rank":
        assert ranked(ended.out) == names
    elif command == "duplicates":
        assert {image["image"] for image in json.loads(ended.out)["groups"][0]["images"]} == set(names)
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


def test_a_list_of_positives(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """Of a file, beside those that are named; standard input is read once."""
    (tmp_path / "list").write_text(f"{colours}/red.png\n{colours}/none.png\n")
    options = ("threshold", "red", "--recall", "0.5", "--json", "-q")
    alone = clipsim(*options, "--from-file", tmp_path / "list")
    both = clipsim(*options, "--positives", colours / "green.png", "--from-file", tmp_path / "list")

    assert alone.status == both.status == 3
    assert [json.loads(ended.out)["thresholds"][0]["n"] for ended in (alone, both)] == [1, 2]
    assert clipsim(*options, "--positives", "-", "--from-file", "-").status == 2


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
    assert second == {"image": f"{address}/no.png", "index": 1, "error": "no such file"}


def captions_of(folder: Path) -> dict[str, str | None]:
    """The captions in a data set by the stems of the images."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(folder / "metadata" / "metadata_0000.parquet").to_pylist()
    return {row["image_path"].rpartition("/")[2]: row["caption"] for row in rows}


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """A tar of these members, in order."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_captions_in_a_tar(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """A sample's stem ends at the first dot; its mask is no picture of its own."""
    red = (colours / "red.png").read_bytes()
    tar = write_tar(
        tmp_path / "part.tar",
        {
            "d.x/1.png": red, "d.x/1.mask.png": red, "d.x/1.txt": b"a red",
            "2.rgb.png": red, "2.txt": b"red of two",
            "3.png": red, "3.caption.txt": b"red of three",
            "4.a.png": red, "4.a.txt": b"own", "4.txt": b"of all",
            "5.png": red, "5.json": b'{"caption": ["", "red of five", "x"]}',
            "6.png": red, "6.json": b'{"title": 6}',
        },
    )  # fmt: skip

    ended = clipsim("embed", tar, "--captions", "-o", tmp_path / "out", "--json")

    assert ended.status == 0, ended.err
    assert captions_of(tmp_path / "out") == {
        "1.png": "a red", "2.rgb.png": "red of two", "3.png": "red of three", "4.a.png": "own", "5.png": "red of five",
        "6.png": "6",
    }  # fmt: skip
    assert json.loads(ended.out)["captions"] == 6


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_captions_that_are_lists_and_numbers(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, suffix: str
) -> None:
    """The first of a list, and the digits of a number; what is neither is named."""
    cells: list[Any] = [["a red", "red"], [], None]
    cells += [7, 2.5, {"a": 1}] if suffix == ".jsonl" else []
    rows = [{"image": str(colours / "red.png"), "caption": cell} for cell in cells]
    table = tmp_path / f"t{suffix}"
    if suffix == ".jsonl":
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist(rows), table)

    ended = clipsim("embed", table, "--captions", "-o", tmp_path / "out", "--json")
    parquet = pytest.importorskip("pyarrow.parquet")
    found = parquet.read_table(tmp_path / "out" / "metadata" / "metadata_0000.parquet").to_pylist()

    expected = ["a red", None, "7", "2.5"] if suffix == ".jsonl" else ["a red", None]
    assert [row["caption"] for row in found] == expected
    assert ended.status == (3 if suffix == ".jsonl" else 0)
    assert ("t.jsonl:6: a caption is text, not dict" in ended.err) == (suffix == ".jsonl")


@pytest.mark.parametrize("metadata", ["metadata.jsonl", "metadata.csv"])
def test_captions_of_an_image_folder(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, metadata: str
) -> None:
    """A text beside the picture, else the row of the folder's table; a row without its picture is named."""
    sub = colours / "sub"
    sub.mkdir()
    (colours / "green.png").rename(sub / "green.png")
    (colours / "red.txt").write_text("a red, beside\n")
    rows = [("blue.png", "a blue"), ("sub/green.png", "a green"), ("gone.png", "a blue"), ("red.png", "not this")]
    if metadata.endswith("csv"):
        (colours / metadata).write_text("file_name,text\n" + "".join(f'{name},"{text}"\n' for name, text in rows))
    else:
        lines = [json.dumps({"file_name": name, "text": text}) + "\n" for name, text in rows]
        (colours / metadata).write_text("".join(lines))
    line = 4 if metadata.endswith("csv") else 3

    ended = clipsim("embed", colours, "--captions", "-o", tmp_path / "out")

    assert ended.status == 3
    assert f"{metadata}:{line}: no such file in the folder" in ended.err
    assert captions_of(tmp_path / "out") == {"blue.png": "a blue", "green.png": "a green", "red.png": "a red, beside"}

    measured = clipsim("evaluate", colours, "--json")
    assert measured.status == 3
    data = json.loads(measured.out)["data"]
    assert (data["layout"], data["images"], data["captions"]) == ("table", 3, 3)


def test_captions_of_none(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """The run says that it found none, and where it looks for them."""
    ended = clipsim("embed", colours, "--captions", "-o", tmp_path / "out", "--json")

    assert ended.status == 0
    assert "note: no caption was found: they are looked for" in ended.err
    assert "no caption was found" in json.loads(ended.out)["warnings"][-1]
    assert clipsim("embed", colours, "-o", tmp_path / "other", "--json").err.count("caption") == 0


@pytest.mark.parametrize("header", ["image,caption,caption", "image,image,caption"])
@pytest.mark.parametrize("command", ["embed", "evaluate"])
def test_a_column_that_is_there_twice(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, command: str, header: str
) -> None:
    """Which one is meant is not guessed."""
    (tmp_path / "t.csv").write_text(f"{header}\n{colours}/red.png,red,blue\n")

    ended = clipsim(command, tmp_path / "t.csv", *(["-o", tmp_path / "out"] if command == "embed" else []))
    assert ended.status == 1
    assert "it has 2 columns '" in ended.err


@pytest.mark.parametrize("command", ["embed", "evaluate"])
def test_every_line_of_a_table_is_accounted_for(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, command: str
) -> None:
    """A stray quote in one of 100 rows: that row is named, and the other 99 are used."""
    for number in range(100):
        (tmp_path / f"img{number}.png").write_bytes((colours / "red.png").read_bytes())
    lines = [f"img{number}.png,red {number}" for number in range(100)]
    lines[30], lines[69] = 'img30.png,"red', 'img69.png,red"'
    (tmp_path / "t.csv").write_text("\n".join(["image,caption", *lines]))

    ended = clipsim(command, tmp_path / "t.csv", "--json", *(["-o", tmp_path / "out"] if command == "embed" else []))

    assert ended.status == 3
    assert ended.err.count("t.csv") == 1
    assert "a quote is not closed before the next row" in ended.err
    answer = json.loads(ended.out)
    assert (answer["images"] if command == "embed" else answer["data"]["images"]) == 99


def test_progressive_jpegs_in_a_tar(clipsim: Clipsim, colour_model: FakeEncoder, tmp_path: Path) -> None:
    """They have thumbnails, and two that are different are no duplicates."""
    members = {}
    for name, colours in (("a.jpg", ("red", "blue")), ("b.jpg", ("blue", "red"))):
        picture = Image.new("RGB", (80, 40), colours[0])
        picture.paste(colours[1], (0, 0, 40, 40))
        file = io.BytesIO()
        picture.save(file, "JPEG", progressive=True)
        members[name] = file.getvalue()
    tar = write_tar(tmp_path / "part.tar", members)

    page = clipsim("search", tar, "-t", "red", "--format", "html")
    assert page.status == 0
    assert page.out.count("data:image/webp") == 2
    alike = clipsim("duplicates", tar, "--min-similarity", "0.9", "--json")
    assert "could not be opened" not in alike.err


ALIKE = ["-t", "red", "-t", "a  dog", "-t", "Red", "-t", "A dog"]
NOTICE = "the same text to this model, counted once: 'red' and 'Red', 'a  dog' and 'A dog'"


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "table"])
@pytest.mark.parametrize("cache", [[], ["--no-cache"]])
def test_texts_that_are_one_to_the_model_count_once(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, form: str, cache: list[str]
) -> None:
    """Under their first name, with a notice, whether the vectors are computed or cached."""
    alone = clipsim("rank", colours, *ALIKE[:4], "--format", form)
    for _ in range(2):
        ended = clipsim("rank", colours, *ALIKE, "--format", form, "--sort-by", "Red", *cache)
        assert ended.status == 0
        assert f"note: {NOTICE}\n" in ended.err
        if form == "json":
            assert NOTICE in json.loads(ended.out)["warnings"]
            assert json.loads(ended.out)["texts"] == ["red", "a  dog"]
        else:
            assert sorted(ended.out.splitlines()) == sorted(alone.out.splitlines())


def test_a_text_that_is_left_alone_has_no_probability(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path
) -> None:
    """As with one text that is given alone; a notice says so."""
    ended = clipsim("rank", colours, "-t", "red", "-t", "RED", "--format", "jsonl")

    assert json.loads(ended.out.splitlines()[0])["scores"][0]["probability"] is None
    assert "with one text there is no probability" in ended.err


def test_alike_queries_labels_and_thresholds(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path
) -> None:
    """Queries stay apart and have equal scores; labels that are alike are named; a threshold is the same for both."""
    clipsim("search", colours, "-t", "blue")  # one of the vectors is cached
    queries = json.loads(clipsim("search", colours, "-t", "Blue", "-t", "blue", "--json").out)["queries"]
    assert queries[0]["results"] == queries[1]["results"]

    (tmp_path / "t.csv").write_text(f"image,label\n{colours}/red.png,Red\n{colours}/blue.png,red\n")
    measured = clipsim("evaluate", tmp_path / "t.csv", "--json")
    assert "the same text to this model, which count as the first of them: 'Red' and 'red'" in measured.err
    assert "'Red' and 'red'" in json.loads(measured.out)["results"][0]["warnings"][-1]

    found = clipsim("threshold", "Red", "red", "--positives", colours, "--recall", "0.5", "--json")
    first, second = json.loads(found.out)["thresholds"]
    assert first["threshold"] == second["threshold"]
    assert "with one threshold: 'Red' and 'red'" in found.err


DOORS = [
    ["rank", "@", "-t", "red"], ["rank", "red.png", "-t", "red", "--from-file", "@"],
    ["rank", "red.png", "--text-file", "@"], ["rank", "red.png", "-t", "red", "--thresholds", "@"],
    ["rank", "red.png", "-t", "red", "--preprocess", "@"], ["search", "@", "-t", "red"],
    ["search", "red.png", "--image", "@"], ["duplicates", "@"], ["duplicates", "@", "--exact-files"],
    ["embed", "@", "-o", "out"], ["embed", "red.png", "-o", "@"], ["embed", "@.csv", "-o", "out"],
    ["embed", "@.tar", "-o", "out"], ["index", "@"], ["evaluate", "@"], ["evaluate", "@.csv"],
    ["threshold", "red", "--positives", "@", "--recall", "0.5"],
    ["threshold", "red", "--positives", "red.png", "--recall", "0.5", "-o", "@"], ["compare", "@", "@"],
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS, ids=" ".join)
@pytest.mark.parametrize(
    "name", ["x" * 300, "d/" * 2600 + "x", "loop", "loop/x", "red.png/x"], ids=lambda name: name[:8]
)
def test_names_that_are_hard_to_open(
    clipsim: Clipsim,
    colour_model: FakeEncoder,
    colours: Path,
    monkeypatch: pytest.MonkeyPatch,
    door: list[str],
    name: str,
) -> None:
    """Too long, a link to itself, below a file: a line that names the cause, and no traceback, at every door."""
    monkeypatch.chdir(colours)
    Path("loop").symlink_to("loop")

    ended = clipsim(*(word.replace("@", name) for word in door))

    assert ended.status in ((1, 2) if door[0] != "threshold" or name != "loop" else (0, 1)), ended.err
    assert "Traceback" not in ended.err


def test_names_that_are_not_utf_8_survive_a_data_set(
    clipsim: Clipsim,
    colour_model: FakeEncoder,
    colours: Path,
    tmp_path: Path,
) -> None:
    """Their bytes come back from it; other tools read them as an address, which clipsim takes too."""
    odd = os.fsencode(colours) + b"/caf\xe9 1.png"
    (colours / "red.png").rename(os.fsdecode(odd))
    assert clipsim("embed", colours, "-o", tmp_path / "out", "-q").status == 0

    parquet = pytest.importorskip("pyarrow.parquet")
    names = parquet.read_table(tmp_path / "out" / "metadata" / "metadata_0000.parquet")["image_path"].to_pylist()
    assert f"file://{colours}/caf%E9%201.png" in names

    for where in (colours, tmp_path / "out"):
        found = clipsim("search", where, "-t", "red", "--top", "1", "-l0", "-q")
        assert os.fsencode(found.out) == odd + b"\0"
    ranked_again = clipsim("rank", f"file://{colours}/caf%E9%201.png", "-t", "red", "-t", "blue", "--json", "-q")
    assert os.fsencode(json.loads(ranked_again.out)["images"][0]) == odd


@contextmanager
def failing_server(answer: bytes | None) -> Iterator[tuple[str, list[bytes | None]]]:
    """A server on loopback that answers each connection with these bytes, or with None never; they may be changed."""
    answers = [answer]
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            if answers[0] is None:
                ended.wait(60)
            else:
                self.request.sendall(answers[0])

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", answers
        ended.set()
        server.shutdown()


def answer_with(status: bytes, content: bytes = b"") -> bytes:
    """An answer of HTTP."""
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\nAccept-Ranges: bytes\r\n\r\n"
    return head % (status, len(content)) + content


@pytest.mark.parametrize("answer", [None, answer_with(b"503 Busy"), b""], ids=["stalls", "busy", "hangs up"])
def test_a_server_that_fails_for_now(
    clipsim: Clipsim,
    colour_model: FakeEncoder,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes | None,
) -> None:
    """The image is named as to be tried again, is no bad image in the data set, and the same command adds it."""
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("CLIPSIM_TIMEOUT", "0.3")
    with failing_server(answer) as (address, answers):
        command = ("embed", colours, f"{address}/late.png", "-o", tmp_path / "out", "--json")
        ended = clipsim(*command)
        assert ended.status == 3, ended.err
        assert f"{address}/late.png: cannot " in ended.err
        assert "to be tried again" in ended.err
        assert "no such file" not in ended.err
        assert "1 input failed for now (" in ended.err
        failure = json.loads((tmp_path / "out" / "errors.jsonl").read_text())
        assert failure["class"] in ("throttled", "timed_out", "unavailable")

        with web_server(colours) as good:
            host = good.removeprefix("http://")
            location = b"302 Found\r\nLocation: http://%s/red.png" % host.encode()
            answers[0] = answer_with(location)
            again = clipsim(*command)
        assert again.status == 0, again.err
        assert json.loads(again.out)["images"] == 4
        assert (tmp_path / "out" / "errors.jsonl").read_bytes() == b""


def test_too_many_open_files(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Says so, and that the picture is to be tried again."""
    real = os.open

    def fail(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("blue.png"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, *arguments, **options)

    monkeypatch.setattr("clipsim.inputs.sources.os.open", fail)
    ended = clipsim("rank", colours, "-t", "red", "--format", "jsonl", "--no-cache")
    assert ended.status == 3
    assert "blue.png: cannot open it: Too many open files; to be tried again" in ended.err


def test_a_timeout_that_is_no_number(clipsim: Clipsim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong usage, in one line."""
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("CLIPSIM_TIMEOUT", "soon")
    ended = clipsim("rank", "http://127.0.0.1:9/a.png", "-t", "red", "-t", "blue")
    assert "CLIPSIM_TIMEOUT is a number of seconds, not 'soon'" in ended.err


def test_an_image_of_a_query_at_an_address(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in a file: the same bytes come first, the page shows it, additions may be addresses too."""
    pytest.importorskip("aiohttp")
    monkeypatch.chdir(colours)
    with web_server(colours) as host:
        ended = clipsim("search", ".", "--image", f"{host}/red.png", "--json")
        missing = clipsim("search", ".", "-t", "red", "--image", f"{host}/none.png", "-q")
        added = clipsim(
            "search", ".", "red", "--plus-image", f"2:{host}/blue.png", "--minus-image", f"{host}/red.png", "-l"
        )
        page = clipsim("search", ".", "--image", f"{host}/red.png", "--format", "html", "-q")
    (query,) = json.loads(ended.out)["queries"]

    assert (ended.status, query["image"]) == (0, f"{host}/red.png")
    assert sorted((Path(match["image"]).name, match["same"]) for match in query["results"]) == [
        ("blue.png", None), ("green.png", None), ("red.png", "bytes"),
    ]  # fmt: skip
    assert query["results"][0]["same"] == "bytes"
    assert missing.status == 3
    assert f"clipsim: skipped: {host}/none.png: no such file" in missing.err
    assert added.out.splitlines()[0] == "./blue.png"
    assert page.out.count('<img src="data:image/webp') == 4
