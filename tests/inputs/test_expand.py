"""Tests of `inputs.expand` and `inputs.urls`: everything that can be named, in one list, and addresses."""

from __future__ import annotations

import http.server
import io
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from clipsim.errors import ImageError, MissingPackageError, UsageError
from clipsim.inputs.expand import find_sources, from_record, to_record
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import FailedSource, FileSource, PictureSource
from clipsim.inputs.tars import TarMember
from clipsim.inputs.urls import UrlSource, open_location


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
    """A source comes back from its record as it was, unless it is a picture in memory."""
    with tarfile.open(tmp_path / "part.tar", "w") as tar:
        tar.add(colours / "red.png", "red.png")
    sources = [
        *find_sources([str(colours), str(tmp_path / "part.tar"), str(tmp_path / "none.tar")]),
        UrlSource("s3://bucket/a.jpg", caption="a", facts="{}"),
    ]

    assert [from_record(to_record(source)) for source in sources] == sources
    with pytest.raises(UsageError, match="in memory"):
        to_record(PictureSource("image 1", Image.new("RGB", (4, 3))))


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
