"""Tests of `inputs.tars`: samples in tar files, whole, torn and hostile ones."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from skips import needs_fifos

from clipsim.inputs.sources import FailedSource, Source
from clipsim.inputs.tars import MAX_HEADER_BYTES, TAR_BLOCK_BYTES, TarMember, read_tar


def make_tar(path: Path, members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    """A tar of these members, in order."""
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def contents(sources: list[Source]) -> dict[str, bytes]:
    """What each source that opens holds, by the end of its name."""
    found = {}
    for source in sources:
        if not isinstance(source, FailedSource):
            with source.open() as file:
                found[source.name.rpartition(".tar/")[2]] = file.read()
    return found


def failures(sources: list[Source]) -> dict[str, str]:
    """The sources that are known to fail, and why."""
    return {source.name: source.error for source in sources if isinstance(source, FailedSource)}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_samples(tmp_path: Path, form: int) -> None:
    """Every picture is a source with the caption and the facts beside it, whichever comes first."""
    long = "directory/" * 9 + "d.jpg"
    members = {
        "0001.jpg": b"one", "0001.txt": b"\xef\xbb\xbf a cat \n", "0001.json": b'{"id": 7}',
        "0002.json": b'{"caption": "a dog"}', "0002.png": b"two",
        "./0003.v2.WEBP": b"three", "./0003.v2.txt": b"",
        "notes.txt": b"not a caption of any picture", "._0001.jpg": b"hidden",
        long: b"four",
    }  # fmt: skip
    tar = make_tar(tmp_path / "part.tar", members, form)
    sources = list(read_tar(str(tar)))

    assert contents(sources) == {"0001.jpg": b"one", "0002.png": b"two", "0003.v2.WEBP": b"three", long: b"four"}
    assert sources[0].name == f"{tar}/0001.jpg"
    assert [source.caption for source in sources] == ["a cat", "a dog", None, None]
    assert [source.facts and json.loads(source.facts) for source in sources] == [
        {"id": 7}, {"caption": "a dog"}, None, None,
    ]  # fmt: skip


def test_two_pictures_with_one_stem(tmp_path: Path) -> None:
    """Both have the caption that stands beside them."""
    tar = make_tar(tmp_path / "part.tar", {"1.jpg": b"a", "1.png": b"b", "1.txt": b"both", "2.jpg": b"c"})

    assert [source.caption for source in read_tar(str(tar))] == ["both", "both", None]


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.77, 0.999])
def test_a_torn_tar(tmp_path: Path, kept: float) -> None:
    """Every picture that is whole is given, and one failure names the tar."""
    members = {f"{number:04}.jpg": bytes([number]) * 700 for number in range(20)}
    tar = make_tar(tmp_path / "part.tar", members)
    end = 20 * (TAR_BLOCK_BYTES + 2 * TAR_BLOCK_BYTES)
    os.truncate(tar, int(end * kept))
    sources = list(read_tar(str(tar)))
    found = contents(sources)

    assert found == {name: members[name] for name in list(members)[: len(found)]}
    assert len(found) == max(0, int((end * kept - TAR_BLOCK_BYTES - 700) // (3 * TAR_BLOCK_BYTES)) + 1)
    assert list(failures(sources)) == [str(tar)]
    assert sources[-1].name == str(tar)


def test_a_tar_cut_between_two_members(tmp_path: Path) -> None:
    """Even a cut at a border is noticed: the blocks of zeros at the end are missing."""
    tar = make_tar(tmp_path / "part.tar", {"1.jpg": b"a" * 512, "2.jpg": b"b" * 512})
    os.truncate(tar, 1024)

    sources = list(read_tar(str(tar)))
    assert list(contents(sources)) == ["1.jpg"]
    assert "truncated" in failures(sources)[str(tar)]


def test_a_damaged_header_in_the_middle(tmp_path: Path) -> None:
    """What comes before it is given; what comes after it cannot be found."""
    tar = make_tar(tmp_path / "part.tar", {"1.jpg": b"a" * 512, "2.jpg": b"b" * 512, "3.jpg": b"c" * 512})
    data = bytearray(tar.read_bytes())
    data[1024:1100] = b"\xff" * 76
    tar.write_bytes(data)

    sources = list(read_tar(str(tar)))
    assert list(contents(sources)) == ["1.jpg"]
    assert "damaged" in failures(sources)[str(tar)]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "empty file"),
        (b"\xff" * 2048, "not a tar"),
        (b"\xff\xd8\xff\xe0 a picture that was renamed", "not a tar"),
        (gzip.compress(bytes(10_000), mtime=0), "decompress it"),
    ],
)
def test_what_is_no_tar(tmp_path: Path, content: bytes, cause: str) -> None:
    """One failure says what it is."""
    (tmp_path / "part.tar").write_bytes(content)

    assert cause in failures(list(read_tar(str(tmp_path / "part.tar"))))[str(tmp_path / "part.tar")]


@needs_fifos
def test_a_tar_that_is_not_there(tmp_path: Path) -> None:
    """One failure says so; a FIFO is not waited for."""
    os.mkfifo(tmp_path / "fifo.tar")

    assert failures(list(read_tar(str(tmp_path / "none.tar")))) == {str(tmp_path / "none.tar"): "no such file"}
    assert failures(list(read_tar(str(tmp_path / "fifo.tar")))) == {str(tmp_path / "fifo.tar"): "not a regular file"}


def test_members_that_are_no_files(tmp_path: Path) -> None:
    """Links are named as failures, and folders are not taken for pictures."""
    tar = tmp_path / "part.tar"
    with tarfile.open(tar, "w") as made:
        made.addfile(tarfile.TarInfo("1.jpg"))
        for name, kind in (("2.jpg", tarfile.SYMTYPE), ("3.jpg", tarfile.LNKTYPE), ("4.jpg", tarfile.DIRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "1.jpg"
            made.addfile(info)

    sources = list(read_tar(str(tar)))
    assert list(contents(sources)) == ["1.jpg"]
    assert set(failures(sources)) == {f"{tar}/2.jpg", f"{tar}/3.jpg"}


def test_a_sparse_member_that_is_larger_than_the_tar(tmp_path: Path) -> None:
    """What is not stored of it is not missing: the images after it are whole."""
    tar = tmp_path / "part.tar"
    stored = b"1\n0\n4\n".ljust(TAR_BLOCK_BYTES, b"\0") + b"disk"
    info = tarfile.TarInfo("disk.bin")
    info.size = len(stored)
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "disk.bin",
        "GNU.sparse.realsize": "1000000",
    }  # fmt: skip
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(info, io.BytesIO(stored))
        made.addfile(tarfile.TarInfo("1.jpg"))

    sources = list(read_tar(str(tar)))
    assert list(contents(sources)) == ["1.jpg"]
    assert failures(sources) == {}


def test_a_caption_of_gigabytes(tmp_path: Path) -> None:
    """A text beside a picture that is too large is that picture's failure, and is not read."""
    tar = make_tar(tmp_path / "part.tar", {"1.jpg": b"a", "1.txt": b"x" * 70_000, "2.jpg": b"b"})

    sources = list(read_tar(str(tar)))
    assert list(contents(sources)) == ["2.jpg"]
    assert "more than the limit" in failures(sources)[f"{tar}/1.jpg"]


def test_headers_that_claim_much(tmp_path: Path) -> None:
    """A name of gigabytes is refused before it is read."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    tar = tmp_path / "part.tar"
    tar.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    os.truncate(tar, 8 * MAX_HEADER_BYTES)

    assert "header" in failures(list(read_tar(str(tar))))[str(tar)]


def test_memory_does_not_grow_with_the_members(tmp_path: Path) -> None:
    """The headers of a tar are not kept."""
    import tracemalloc

    tar = make_tar(tmp_path / "part.tar", {f"{number}.jpg": b"" for number in range(5000)}, tarfile.USTAR_FORMAT)
    tracemalloc.start()
    assert sum(1 for _ in read_tar(str(tar))) == 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000


def test_a_member_opens_by_itself(tmp_path: Path) -> None:
    """A source is a place in the tar: it is read without what comes before it, and is a seekable stream."""
    tar = make_tar(tmp_path / "part.tar", {"1.jpg": b"0123456789", "2.jpg": b"b"})
    source = next(iter(read_tar(str(tar))))
    assert isinstance(source, TarMember)

    with source.open() as file:
        assert file.seek(-3, os.SEEK_END) == 7
        assert (file.read(100), file.read(1)) == (b"789", b"")
        file.seek(2)
        assert file.read(3) == b"234"
