"""Tests of `inputs.expand`, tables and addresses: everything that can be named becomes sources, in one list."""

from __future__ import annotations

import http.server
import io
import json
import os
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from clipsim.errors import ImageError, MissingPackageError, UsageError
from clipsim.inputs.expand import find_sources, from_record, read_table_sources, to_record
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.rows import MAX_LINE_LENGTH
from clipsim.inputs.sources import FailedSource, FileSource, PillowSource
from clipsim.inputs.tars import TarMember
from clipsim.inputs.urls import UrlSource, is_table, open_location


@pytest.fixture
def bucket() -> Iterator[str]:
    """An object store in memory: two pictures in a folder, hidden ones, a tar and a table."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in (("1.jpg", b"in a tar"), ("1.txt", b"a caption")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    files = {
        "photos/b.jpg": b"b", "photos/sub/a.png": b"a", "photos/.hidden/c.jpg": b"", "photos/.d.jpg": b"",
        "photos/notes.md": b"", "part.tar": packed.getvalue(), "t.csv": b"image\nphotos/b.jpg\n",
    }  # fmt: skip
    for name, content in files.items():
        memory.pipe_file(f"/bucket/{name}", content)
    yield "memory://bucket"
    memory.rm("/bucket", recursive=True)


def test_every_kind_of_name(tmp_path: Path, colours: Path) -> None:
    """Folders, tars and tables follow each other in the order given."""
    with tarfile.open(tmp_path / "part.tar", "w") as tar:
        tar.add(colours / "red.png", "red.png")
    (tmp_path / "t.csv").write_text("image,caption\ncolours/blue.png,blue\nmissing.png,\n")
    names = [str(colours), str(tmp_path / "*.tar"), str(tmp_path / "t.csv"), str(tmp_path / "none.jpg")]
    sources = list(find_sources(names))

    assert [source.name.removeprefix(f"{tmp_path}/") for source in sources] == [
        "colours/blue.png", "colours/green.png", "colours/red.png", "part.tar/red.png", "colours/blue.png",
        "missing.png", "none.jpg",
    ]  # fmt: skip
    assert [type(source) for source in sources] == [*[FileSource] * 3, TarMember, *[FileSource] * 3]


def test_a_filter_applies_to_all_of_them(tmp_path: Path, colours: Path) -> None:
    """Names within folders and tars are chosen alike, and failures are not filtered away."""
    with tarfile.open(tmp_path / "part.tar", "w") as tar:
        tar.add(colours / "red.png", "red.png")
        tar.add(colours / "blue.png", "blue.png")
    chosen = NameFilter(include=("*.png",), exclude=("blue.*",))
    names = [str(colours), str(tmp_path / "part.tar"), str(tmp_path / "torn.tar")]
    sources = list(find_sources(names, chosen))

    assert [source.name.rpartition("/")[2] for source in sources] == ["green.png", "red.png", "red.png", "torn.tar"]
    assert isinstance(sources[-1], FailedSource)


def test_a_list_names_no_patterns(tmp_path: Path) -> None:
    """A path from a list is taken literally."""
    (tmp_path / "a.tar").touch()

    assert [source.name for source in find_sources([f"{tmp_path}/*.tar"], listed=True)] == [f"{tmp_path}/*.tar"]


def test_sources_as_records(tmp_path: Path, colours: Path) -> None:
    """A source comes back from its record as it was, unless it is an image in memory."""
    with tarfile.open(tmp_path / "part.tar", "w") as tar:
        tar.add(colours / "red.png", "red.png")
    sources = [
        *find_sources([str(colours), str(tmp_path / "part.tar"), str(tmp_path / "none.tar")]),
        UrlSource("s3://bucket/a.jpg", caption="a", facts="{}"),
    ]

    assert [from_record(to_record(source)) for source in sources] == sources
    with pytest.raises(UsageError, match="in memory"):
        to_record(PillowSource("image 1", Image.new("RGB", (4, 3))))


def test_addresses(bucket: str) -> None:
    """Folders, patterns, tars and tables of an object store give what local ones do."""
    names = [
        f"{bucket}/photos",
        f"{bucket}/photos/*.jpg",
        f"{bucket}/part.tar",
        f"{bucket}/t.csv",
        f"{bucket}/none.jpg",
    ]
    sources = list(find_sources(names))

    assert [source.name.removeprefix("memory://").lstrip("/") for source in sources] == [
        "bucket/photos/b.jpg", "bucket/photos/sub/a.png", "bucket/photos/b.jpg", "bucket/part.tar/1.jpg",
        "bucket/photos/b.jpg", "bucket/none.jpg",
    ]  # fmt: skip
    assert sources[3].caption == "a caption"
    for source, content in zip(sources, [b"b", b"a", b"b", b"in a tar", b"b"], strict=False):
        with source.open() as file:
            assert file.read() == content
    with pytest.raises(ImageError, match="no such file"):
        sources[-1].open()


def test_a_web_server(tmp_path: Path) -> None:
    """A picture is fetched by its address; what the server refuses is one line."""
    pytest.importorskip("aiohttp")
    (tmp_path / "a.jpg").write_bytes(b"content")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            with open_location(f"{address}/a.jpg?size=1") as file:
                assert file.read(100) == b"content"
            with pytest.raises(ImageError, match="no such file"):
                open_location(f"{address}/b.jpg")
        finally:
            server.shutdown()


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra."""
    monkeypatch.setitem(sys.modules, "fsspec.core", None)

    with pytest.raises(MissingPackageError, match=r"clipsim\[remote\]"):
        list(find_sources(["s3://bucket/a.jpg"]))
    with pytest.raises(MissingPackageError, match=r"clipsim\[remote\]"):
        UrlSource("s3://bucket/a.jpg").open()


def test_a_kind_of_address_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of fsspec name the package."""
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, "gcsfs", None)

    with pytest.raises(ImageError, match="gcsfs"):
        UrlSource("gs://bucket/a.jpg").open()


ROWS = [("a.jpg", "a cat"), ("sub/b.png", "a dog, running"), ("/abs/c.webp", "")]


def write_table(path: Path, columns: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    """A table with a column of paths and one of captions, in the format that the name says."""
    if path.suffix in (".csv", ".tsv"):
        separator = "," if path.suffix == ".csv" else "\t"
        lines = [separator.join(columns), *(separator.join((name, f'"{caption}"')) for name, caption in rows)]
        path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    elif path.suffix == ".parquet":
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(
            arrow.table({name: [row[place] for row in rows] for place, name in enumerate(columns)}), path
        )
    else:
        path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
@pytest.mark.parametrize("columns", [("image", "caption"), ("file_name", "text"), ("filepath", "title"), ("path", "x")])
def test_rows(tmp_path: Path, suffix: str, columns: tuple[str, str]) -> None:
    """Each row is a file beside the table, with its caption; a blank caption is none."""
    table = write_table(tmp_path / f"table{suffix}", columns, ROWS)
    captions: list[str | None] = ["a cat", "a dog, running", None]
    facts: list[str | None] = [None] * 3
    if columns[1] == "x":  # not a column of captions: a fact
        captions, facts = facts, ['{"x": "a cat"}', '{"x": "a dog, running"}', None]

    assert is_table(table)
    assert list(read_table_sources(table)) == [
        FileSource(name, caption=caption, facts=fact)
        for name, caption, fact in zip(
            [f"{tmp_path}/a.jpg", f"{tmp_path}/sub/b.png", "/abs/c.webp"], captions, facts, strict=True
        )
    ]


def test_addresses_in_a_table(tmp_path: Path) -> None:
    """An address is taken as such, and a file:// address as the path that it stands for."""
    (tmp_path / "t.csv").write_text("image\nhttps://host/a.jpg\nfile:///data/b.jpg\n")

    assert list(read_table_sources(str(tmp_path / "t.csv"))) == [
        UrlSource("https://host/a.jpg"),
        FileSource("/data/b.jpg"),
    ]


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    """Each is a failure with its line, and the others are given."""
    lines = [
        '{"image": "a.jpg"}',
        "{",
        "[1]",
        '{"image": ""}',
        '{"image": 7}',
        "",
        '{"caption": "x"}',
        '{"image": "b"}',
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    sources = list(read_table_sources(str(tmp_path / "t.jsonl")))
    failed = {source.name.rpartition(":")[2]: source.error for source in sources if isinstance(source, FailedSource)}

    assert [source.name for source in sources if isinstance(source, FileSource)] == [
        f"{tmp_path}/a.jpg", f"{tmp_path}/b",
    ]  # fmt: skip
    assert list(failed) == ["2", "3", "4", "5", "7"]
    assert "no path" in failed["4"]
    assert "int" in failed["5"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_without_paths(tmp_path: Path, suffix: str) -> None:
    """One failure names the columns that are there."""
    table = write_table(tmp_path / f"t{suffix}", ("img", "words"), ROWS)

    (failed,) = read_table_sources(table)
    assert isinstance(failed, FailedSource)
    assert failed.name == table
    assert failed.error.endswith("its columns are: 'img', 'words'")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_line_without_end(tmp_path: Path, suffix: str) -> None:
    """It is not read into memory."""
    (tmp_path / f"t{suffix}").write_text("image\na.jpg\n" if suffix == ".csv" else '{"image": "a.jpg"}\n')
    os.truncate(tmp_path / f"t{suffix}", MAX_LINE_LENGTH * 200)

    *good, failed = read_table_sources(str(tmp_path / f"t{suffix}"))
    assert [source.name for source in good] == [f"{tmp_path}/a.jpg"]
    assert isinstance(failed, FailedSource)
    assert "exceeds the limit" in failed.error


def test_a_huge_field(tmp_path: Path) -> None:
    """A row with one is a failure of its own."""
    (tmp_path / "t.csv").write_text(f"image,caption\na.jpg,{'x' * 200_000}\nb.jpg,y\n")

    failed, good = read_table_sources(str(tmp_path / "t.csv"))
    assert isinstance(failed, FailedSource)
    assert "a caption of 200,000 characters" in failed.error
    assert good == FileSource(f"{tmp_path}/b.jpg", caption="y")


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really PAR1", b"\0" * 5000])
def test_what_is_no_parquet(tmp_path: Path, content: bytes) -> None:
    """One failure says so."""
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(content)

    (failed,) = read_table_sources(str(tmp_path / "t.parquet"))
    assert isinstance(failed, FailedSource)
    assert "Parquet" in failed.error


def test_a_parquet_column_that_holds_something_else(tmp_path: Path) -> None:
    """Rows whose column has neither paths nor image files say what it has."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"image": [{"url": b"x", "path": "a"}]}), tmp_path / "t.parquet")

    (failed,) = read_table_sources(str(tmp_path / "t.parquet"))
    assert isinstance(failed, FailedSource)
    assert failed.error == "column 'image' holds dict, not a path"


def test_names_and_captions_that_are_not_utf8(tmp_path: Path) -> None:
    """A path keeps its bytes, a caption gets a replacement."""
    (tmp_path / "t.csv").write_bytes(b"image,caption\ncaf\xe9.jpg,caf\xe9\n")

    (source,) = read_table_sources(str(tmp_path / "t.csv"))
    assert os.fsencode(source.name).endswith(b"/caf\xe9.jpg")
    assert source.caption == "caf\ufffd"


def test_column_names_in_any_case(tmp_path: Path) -> None:
    """As `evaluate` takes them."""
    (tmp_path / "t.csv").write_text("Caption;FileName;Path\na cat;x;a.jpg\n")

    assert list(read_table_sources(str(tmp_path / "t.csv"))) == [
        FileSource(f"{tmp_path}/a.jpg", caption="a cat", facts='{"FileName": "x"}')
    ]


def test_a_row_of_another_length(tmp_path: Path) -> None:
    """It is a failure with its line: its values may be in other columns."""
    (tmp_path / "t.csv").write_text("image,caption\na.jpg,a cat, running\nb.jpg,a dog\n")

    failed, good = read_table_sources(str(tmp_path / "t.csv"))
    assert failed == FailedSource(f"{tmp_path}/t.csv:2", "3 values for 2 columns")
    assert good == FileSource(f"{tmp_path}/b.jpg", caption="a dog")
