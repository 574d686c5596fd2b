"""Tests of `inputs.shards` and its callers: folders of shards as img2dataset writes them, and ranges in braces."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from clipsim.errors import UsageError
from clipsim.inputs.expand import find_sources, make_collection
from clipsim.inputs.shards import expand_ranges
from clipsim.inputs.sources import FailedSource
from clipsim.inputs.urls import UrlSource


def jpeg(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (12, 8), colour).save(stream, "JPEG")
    return stream.getvalue()


def write_tar(path: Path, number: int) -> None:
    """A shard of img2dataset: an image with its caption and record, and beside it the table and the statistics."""
    with tarfile.open(path, "w") as tar:
        for suffix, content in (("jpg", jpeg("red")), ("txt", b"a caption"), ("json", b'{"url": "https://host/a"}')):
            member = tarfile.TarInfo(f"{number:05d}0000.{suffix}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """A folder as img2dataset writes it with tars."""
    folder = tmp_path / "downloaded"
    folder.mkdir()
    for number in range(3):
        write_tar(folder / f"{number:05d}.tar", number)
        (folder / f"{number:05d}.parquet").write_bytes(b"a table of what was downloaded")
        (folder / f"{number:05d}_stats.json").write_text(json.dumps({"count": 1}))
    return folder


def names_of(*inputs: str | Path, folder: Path) -> list[str]:
    return [source.name.removeprefix(f"{folder}/") for source in find_sources(map(str, inputs))]


MEMBERS = [f"{number:05d}.tar/{number:05d}0000.jpg" for number in range(3)]


def test_a_folder_of_tars(downloaded: Path) -> None:
    """Its tars are the inputs, with captions and facts; tables and statistics beside them are not."""
    assert names_of(downloaded, folder=downloaded) == MEMBERS
    assert names_of(downloaded / "*", folder=downloaded) == MEMBERS
    (source, *_) = find_sources([str(downloaded)])
    assert (source.caption, source.facts) == ("a caption", '{"url": "https://host/a"}')


def test_a_folder_with_images_too(downloaded: Path) -> None:
    """Then the images are the inputs, as in any folder."""
    (downloaded / "cover.jpg").write_bytes(jpeg("blue"))

    assert names_of(downloaded, folder=downloaded) == ["cover.jpg"]


def test_a_folder_of_tables(tmp_path: Path) -> None:
    """Without tars, the Parquet files hold the images; a download that failed is a failure with its cause."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = {
        "jpg": [jpeg("red"), None], "caption": ["red", "gone"], "url": ["https://host/a", "https://host/b"],
        "error_message": [None, "HTTP Error 404"],
    }  # fmt: skip
    parquet.write_table(pa.table(rows), tmp_path / "00000.parquet")
    parquet.write_table(pa.table(rows), tmp_path / "notes.parquet")
    (tmp_path / "00000_stats.json").write_text("{}")

    red, gone = find_sources([str(tmp_path)])
    assert (red.caption, red.facts) == ("red", '{"url": "https://host/a"}')
    assert red.open().read() == jpeg("red")
    assert gone == FailedSource(f"{tmp_path}/00000.parquet:2", "it was not downloaded: HTTP Error 404")


def test_a_column_of_addresses(tmp_path: Path) -> None:
    """It is read where no column of paths is there, in any case of letters."""
    pytest.importorskip("fsspec")
    (tmp_path / "t.csv").write_text("URL,TEXT\nhttps://host/a.jpg,a cat\n")
    (tmp_path / "u.csv").write_text("url,path\nhttps://host/a.jpg,b.jpg\n")

    assert list(find_sources([str(tmp_path / "t.csv")])) == [UrlSource("https://host/a.jpg", caption="a cat")]
    assert names_of(tmp_path / "u.csv", folder=tmp_path) == ["b.jpg"]


def test_a_store(downloaded: Path) -> None:
    """Folders, patterns and ranges of a store are taken likewise."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for path in downloaded.iterdir():
        memory.pipe_file(f"/shards/{path.name}", path.read_bytes())
    try:
        for named in ("memory://shards", "memory://shards/*", "memory://shards/{00000..00002}.tar"):
            members = [source.name.rpartition("shards/")[2] for source in find_sources([named])]
            assert members == MEMBERS, named
    finally:
        memory.rm("/shards", recursive=True)


def test_ranges(downloaded: Path) -> None:
    """Names that are typed and those from Python are expanded; names in a list and of files that exist are not."""
    ranged = downloaded / "{00001..00002}.tar"
    assert names_of(ranged, folder=downloaded) == MEMBERS[1:]
    assert [source.name for source in make_collection(ranged)] == [f"{downloaded}/{name}" for name in MEMBERS[1:]]
    assert [source.name for source in find_sources([str(ranged)], listed=True)] == [str(ranged)]
    odd = downloaded / "{0..1}.jpg"
    odd.write_bytes(jpeg("red"))
    assert names_of(odd, folder=downloaded) == ["{0..1}.jpg"]


def test_how_ranges_count() -> None:
    """Padded where an end is, downwards and in steps, each with each, as in a shell."""
    assert list(expand_ranges("{9..11}")) == ["9", "10", "11"]
    assert list(expand_ranges("{2..0}{a,b}")) == ["2a", "1a", "0a", "2b", "1b", "0b"]
    assert list(expand_ranges("{000..10..5}-{0..1}")) == ["000-0", "000-1", "005-0", "005-1", "010-0", "010-1"]
    assert list(expand_ranges("{a..b}.tar")) == ["{a..b}.tar"]
    with pytest.raises(UsageError, match="a range of more than 10,000,000 names"):
        next(expand_ranges("{0..9999}{0..9999}"))
