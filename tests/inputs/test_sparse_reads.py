"""Tests of `inputs.sparse_reads`, and of the tars of a store that are listed by it: few bytes, few requests."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterable

import pytest

from clipsim.inputs.sparse_reads import KEPT_BLOCKS, MAX_BLOCK_BYTES, SparseReads

pytest.importorskip("fsspec")
from paged_store import PagedStore, paged_store  # noqa: F401 (the fixture)

from clipsim.inputs.sources import FailedSource
from clipsim.inputs.tars import read_tar


def pack(members: Iterable[tuple[str, bytes]]) -> bytes:
    """A tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def test_any_reads() -> None:
    """Are those of the stream itself, forwards, back and beyond the end."""
    draw = random.Random(7)
    content = draw.randbytes(3_000_000)
    sparse, plain = SparseReads(io.BytesIO(content)), io.BytesIO(content)
    for _ in range(300):
        offset, size = draw.choice([(draw.randrange(3_000_100), 600), (draw.randrange(5000), 20)])
        whence = draw.choice([0, 1]) if plain.tell() < 2_900_000 else 0
        assert sparse.seek(offset, whence) == plain.seek(offset, whence)
        assert sparse.read(size) == plain.read(size)
        assert sparse.tell() == plain.tell()

    assert sparse.seek(-10, 2) == plain.seek(-10, 2)
    assert sparse.read() == plain.read()


def test_memory_is_bounded() -> None:
    """It keeps the last few blocks."""
    sparse = SparseReads(io.BytesIO(bytes(20_000_000)))
    while sparse.read(4096):
        assert sum(len(block) for _, block in sparse.blocks) <= KEPT_BLOCKS * MAX_BLOCK_BYTES


@pytest.mark.parametrize(("size", "share", "requests"), [(100_000, 0.012, 1.01), (1_000_000, 0.009, 1.1)])
def test_a_tar_of_images(paged_store: type[PagedStore], size: int, share: float, requests: float) -> None:  # noqa: F811
    """Of 15 MB costs about a hundredth of its bytes, and a request an image."""
    count = 15_000_000 // size
    packed = pack((f"{number:05}.jpg", bytes([number % 251]) * (size - number)) for number in range(count))
    paged_store.objects["bucket/part.tar"] = packed
    sources = list(read_tar("s3://bucket/part.tar"))

    assert len(sources) == count
    assert paged_store.requests.bytes < share * len(packed)
    assert len(paged_store.requests.ranges) <= requests * count + 2
    with sources[7].open() as stream:
        assert stream.read() == bytes([7]) * (size - 7)


def test_a_tar_with_captions(paged_store: type[PagedStore]) -> None:  # noqa: F811
    """Has these read too, with two requests an image."""
    facts = {"url": "https://host/" + "x" * 700}
    packed = pack(
        member
        for number in range(100)
        for member in (
            (f"{number:05}.jpg", bytes(100_000)),
            (f"{number:05}.json", json.dumps(facts).encode()),
            (f"{number:05}.txt", f"caption {number}".encode()),
        )
    )
    paged_store.objects["bucket/part.tar"] = packed
    sources = list(read_tar("s3://bucket/part.tar"))

    assert [source.caption for source in sources] == [f"caption {number}" for number in range(100)]
    assert json.loads(sources[42].facts or "") == facts
    assert paged_store.requests.bytes < 0.041 * len(packed)
    assert len(paged_store.requests.ranges) <= 2 * 100 + 2


def test_a_tar_of_small_images(paged_store: type[PagedStore]) -> None:  # noqa: F811
    """Is read through in large blocks: a request for each would take longer than its bytes."""
    packed = pack((f"{number:05}.jpg", bytes(8_000 + number)) for number in range(1000))
    paged_store.objects["bucket/part.tar"] = packed

    assert sum(1 for _ in read_tar("s3://bucket/part.tar")) == 1000
    assert len(paged_store.requests.ranges) < 40
    assert paged_store.requests.bytes <= len(packed)


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.98])
def test_a_torn_tar(paged_store: type[PagedStore], kept: float) -> None:  # noqa: F811
    """Gives the whole images, and one failure names the tar."""
    packed = pack((f"{number:05}.jpg", bytes(50_000)) for number in range(40))
    paged_store.objects["bucket/part.tar"] = packed[: int(len(packed) * kept)]
    *whole, torn = read_tar("s3://bucket/part.tar")

    assert len(whole) == int(len(packed) * kept) // (50_176 + 512)
    assert isinstance(torn, FailedSource)
    assert "truncated" in torn.error


def test_an_image_is_one_request(paged_store: type[PagedStore]) -> None:  # noqa: F811
    """A member of a tar, whose place is known, and an object of S3: nothing asks for its size."""
    from clipsim.inputs.urls import UrlSource

    paged_store.objects |= {
        "bucket/part.tar": pack([("1.jpg", b"one" * 999)]),
        "bucket/a.jpg": b"two",
        "bucket/b.jpg": b"",
    }
    (member,) = read_tar("s3://bucket/part.tar")
    paged_store.requests.ranges.clear()
    paged_store.requests.sizes.clear()
    for source, content in ((member, b"one" * 999), (UrlSource("s3://bucket/a.jpg"), b"two")):
        with source.open() as stream:
            assert stream.seek(0, 2) == len(content)
            stream.seek(0)
            assert stream.read(32_000_000) == content

    assert paged_store.requests.ranges == [("bucket/part.tar", 2997), ("bucket/a.jpg", 3)]
    assert paged_store.requests.sizes == []


def test_an_object_that_is_too_large_for_memory(
    paged_store: type[PagedStore], monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    """Is read in the parts that are asked for."""
    from clipsim.inputs.urls import UrlSource

    monkeypatch.setattr("clipsim.inputs.urls.WHOLE_OBJECT_BYTES", 1000)
    paged_store.objects["bucket/a.jpg"] = bytes(5000)
    with UrlSource("s3://bucket/a.jpg").open() as stream:
        assert stream.seek(0, 2) == 5000
        stream.seek(4990)
        assert stream.read(100) == bytes(10)

    assert [size for _, size in paged_store.requests.ranges] == [1001, 10]
