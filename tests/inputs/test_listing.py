"""Tests of `inputs.listing`: folders and patterns of stores, page by page."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("fsspec")
from paged_store import PagedStore, paged_store  # noqa: F401 (the fixture)

from clipsim.errors import TransientError
from clipsim.inputs.expand import find_sources
from clipsim.inputs.listing import find_urls

KEYS = [
    "photos/.hidden/1.jpg", "photos/a-b.jpg", "photos/a.jpg", "photos/a/1.png", "photos/a/@eaDir/2.png",
    "photos/a/é.jpg", "photos/a0.jpg", "photos/notes.txt", "photos/part.tar", "photos2/b.jpg",
    "shards/0.parquet", "shards/0.tar", "shards/0_stats.json", "shards/00.tar", "shards/1.parquet",
    "shards/1_stats.json", "why? #1/a#b.tar", "why? #1/x.txt", "why? #1/y.txt",
]  # fmt: skip


def listed(address: str) -> list[str]:
    """What an address stands for, without its bucket."""
    return [url.removeprefix("s3://bucket/") for url in find_urls(address)]


@pytest.fixture
def bucket(paged_store: type[PagedStore], monkeypatch: pytest.MonkeyPatch) -> type[PagedStore]:  # noqa: F811
    """A bucket of a few keys, which are listed three at a time."""
    monkeypatch.setattr("paged_store.PAGE_KEYS", 3)
    paged_store.objects.update((f"bucket/{key}", b"") for key in KEYS)
    return paged_store


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("photos", ["a-b.jpg", "a.jpg", "a/1.png", "a/é.jpg", "a0.jpg"]),
        ("photos/", ["a-b.jpg", "a.jpg", "a/1.png", "a/é.jpg", "a0.jpg"]),
        ("photos/*.jpg", ["a-b.jpg", "a.jpg", "a0.jpg"]),
        ("photos/*/*", [".hidden/1.jpg", "a/1.png", "a/é.jpg"]),
        ("photos/**/*.png", ["a/1.png", "a/@eaDir/2.png"]),
        ("shards", ["0.tar", "00.tar"]),
        ("shards/*", ["0.tar", "00.tar", "1.parquet"]),
        ("why? #1", ["a#b.tar"]),
    ],
)
def test_folders_and_patterns_of_s3(bucket: type[PagedStore], address: str, expected: list[str]) -> None:
    """Give what is below them, sorted, by pages of keys."""
    assert listed(f"s3://bucket/{address}") == [f"{address.partition('/')[0]}/{name}" for name in expected]
    assert len(bucket.requests.pages) > 1


def test_what_is_not_there(bucket: type[PagedStore]) -> None:
    """It is given back, so that opening it says why."""
    assert listed("s3://bucket/none") == ["none"]
    assert listed("s3://bucket/none/*.jpg") == ["none/*.jpg"]
    assert len(bucket.requests.pages) == 2


def test_a_page_that_is_refused(bucket: type[PagedStore], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends the run, also where images came before it."""
    call = PagedStore.call_s3

    def refuse(self: PagedStore, method: str, **arguments: object) -> dict[str, object]:
        if "ContinuationToken" in arguments:
            raise ValueError("a token of another listing")
        return call(self, method, **arguments)

    monkeypatch.setattr(PagedStore, "call_s3", refuse)
    urls = find_urls("s3://bucket/photos")
    assert next(urls) == "s3://bucket/photos/a-b.jpg"
    with pytest.raises(TransientError, match=r"s3://bucket/photos: cannot list it.*another listing"):
        list(urls)
    assert len(bucket.requests.pages) == 1


@pytest.mark.parametrize("token", [None, "again"])
def test_a_store_that_cannot_go_on(
    bucket: type[PagedStore], monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    """Since it knows no tokens, or gives the same one again: one line says so, and the run ends."""

    def answer(self: PagedStore, method: str, **arguments: object) -> dict[str, object]:
        page: dict[str, object] = {"Contents": [{"Key": "photos/a.jpg"}], "IsTruncated": True}
        return page if token is None else {**page, "NextContinuationToken": token}

    monkeypatch.setattr(PagedStore, "call_s3", answer)
    with pytest.raises(TransientError, match="s3://bucket/photos: cannot list it: the store has more keys"):
        listed("s3://bucket/photos")


def test_tars_whose_keys_have_marks(bucket: type[PagedStore]) -> None:
    """A query begins in addresses of web servers alone."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("1.jpg"))
    bucket.objects["bucket/why? #1/a#b.tar"] = packed.getvalue()

    for address in ("s3://bucket/why? #1", "s3://bucket/why? #1/a#b.tar"):
        assert [source.name for source in find_sources([address])] == ["s3://bucket/why? #1/a#b.tar/1.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs the module resource")
def test_a_million_keys(tmp_path: Path) -> None:
    """Are listed, and each compared with all before it, in less than 200 MB."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import resource, sys
            import fsspec
            from paged_store import PagedStore
            from clipsim.inputs.expand import Repeats, find_sources

            fsspec.register_implementation("s3", PagedStore, clobber=True)
            PagedStore.make_keys = lambda: (f"photos/{n // 1000:05}/a rather long {n:09}.jpg" for n in range(10**6))
            repeats = Repeats()
            sources = find_sources(["s3://bucket/photos", "s3://bucket/photos/00000/a rather long 000000007.jpg"])
            count = sum(1 for _ in repeats.leave_out(sources))
            if sys.platform == "linux":  # where ru_maxrss is at least that of the process that started this one
                status = open("/proc/self/status").read()
                peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
            else:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(count, repeats.count, peak)
        """)
    )
    command = [sys.executable, str(script)]
    paths = f"{Path(__file__).parents[1]}"
    made = subprocess.run(command, env={"PYTHONPATH": paths}, capture_output=True, text=True, check=True)
    count, repeated, peak = map(int, made.stdout.split())

    assert (count, repeated) == (10**6, 1)
    assert peak < 200e6
