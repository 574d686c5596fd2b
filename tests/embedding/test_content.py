"""Tests of `embedding.content` and of a pipeline's sources that are no files of their own: members of tars, streams."""

from __future__ import annotations

import hashlib
import io
import tarfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.embedding import pipeline as content
from clipsim.embedding.pipeline import Pipeline, Prepared, read_content, stamp_of
from clipsim.errors import ImageError
from clipsim.images.limits import DecodingRules
from clipsim.inputs.sources import FailedSource, FileSource, PictureSource, Source
from clipsim.inputs.tars import read_tar
from clipsim.inputs.urls import Window


def prepare(encoder: FakeEncoder, sources: list[Source], *, measure: bool = True) -> list[Prepared]:
    """All sources, prepared."""
    pipeline = Pipeline(encoder, sources, rules=DecodingRules(), batch_size=4, workers=2, measure=measure)
    return [prepared for prepared in pipeline if prepared is not None]


@pytest.fixture
def packed(tmp_path: Path, photo: Image.Image) -> tuple[Path, Path]:
    """A progressive JPEG, and a tar with the same file in it."""
    photo.save(tmp_path / "a.jpg", progressive=True)
    with tarfile.open(tmp_path / "part.tar", "w") as tar:
        tar.add(tmp_path / "a.jpg", "a.jpg")
    return tmp_path / "a.jpg", tmp_path / "part.tar"


@pytest.mark.parametrize("whole_file_bytes", [32_000_000, 1000])
def test_a_member_of_a_tar_is_the_file_that_was_packed(
    encoder: FakeEncoder, packed: tuple[Path, Path], whole_file_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the same pixels, digest and size, also when it is too long for memory; only the file has a stamp."""
    monkeypatch.setattr(content, "WHOLE_FILE_BYTES", whole_file_bytes)
    path, tar = packed
    file, member = prepare(encoder, [FileSource(str(path)), *read_tar(str(tar))])

    assert member.error is None
    assert file.pixels is not None
    np.testing.assert_array_equal(file.pixels, member.pixels)
    assert file.digest == member.digest == hashlib.sha256(path.read_bytes()).digest()
    assert file.size == member.size == (180, 120)
    assert member.stamp is None
    assert member.cacheable


def test_sizes_are_found_only_where_they_are_asked_for(encoder: FakeEncoder, packed: tuple[Path, Path]) -> None:
    """A picture in memory has one too, of the upright picture."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.new("RGB", (40, 24))
    turned.info["exif"] = exif.tobytes()
    sources = [FileSource(str(packed[0])), PictureSource("image 1", turned)]

    assert [prepared.size for prepared in prepare(encoder, sources)] == [(180, 120), (24, 40)]
    assert prepare(encoder, sources[:1], measure=False)[0].size is None


def test_an_input_that_is_known_to_fail(encoder: FakeEncoder) -> None:
    """Its error is in its place."""
    (prepared,) = prepare(encoder, [FailedSource("t.csv:3", "no path")])

    assert (prepared.name, str(prepared.error)) == ("t.csv:3", "no path")


@dataclass(frozen=True, slots=True)
class BrokenSource(Source):
    """A stream whose connection breaks while it is read."""

    def open(self) -> BinaryIO:
        """The stream."""

        class Broken(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                raise ConnectionResetError("the server went away")

        return Window(Broken(bytes(100)), 0, 100)  # type: ignore[return-value]


def test_a_connection_that_breaks(encoder: FakeEncoder) -> None:
    """It is that input's failure."""
    (prepared,) = prepare(encoder, [BrokenSource("s3://bucket/a.jpg")])

    assert isinstance(prepared.error, ImageError)
    assert "ConnectionResetError: the server went away" in str(prepared.error)


def test_a_stream_that_is_too_long_for_memory_goes_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders can map it into memory, and it is gone afterwards."""
    monkeypatch.setattr(content, "WHOLE_FILE_BYTES", 10)
    data = np.random.default_rng(0).bytes(5000)
    with ExitStack() as held:
        digest, file = read_content(io.BytesIO(data), len(data), False, held)
        assert file.fileno() > 0
        assert file.read() == data

    assert digest == hashlib.sha256(data).digest()
    assert file.closed
    assert stamp_of(io.BytesIO(data)) is None
