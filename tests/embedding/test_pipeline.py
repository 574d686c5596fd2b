"""Tests of `embedding.pipeline`: in order, a little ahead of the model; streams and thumbnails on their way."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from pictures import saved
from PIL import Image, ImageFile

import clipsim
from clipsim.embedding import preparation
from clipsim.embedding.encode import FLUSH_SECONDS, Outcome, embed_images
from clipsim.embedding.pipeline import MAX_AHEAD, BackgroundReader, Pipeline
from clipsim.embedding.preparation import Prepared, decode_thumbnail, read_content, read_stamp, read_thumbnails
from clipsim.engines.encoder import Pixels
from clipsim.errors import ImageError, UsageError
from clipsim.images.limits import DecodingRules
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.inputs.sources import FailedSource, FileSource, PillowSource, Source
from clipsim.inputs.tars import read_tar
from clipsim.inputs.urls import Window
from clipsim.results.rank import RankResult
from clipsim.tasks.rank import RankRequest, run

PATIENCE = 60.0  # seconds, for what happens at once


def decoding_threads() -> list[threading.Thread]:
    """Those that are running."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def open_pipeline(
    encoder: FakeEncoder, sources: Iterator[Source], batch_size: int, *, workers: int = 2, live: bool = False
) -> Pipeline:
    """A pipeline without a cache."""
    return Pipeline(encoder, sources, rules=DecodingRules(), batch_size=batch_size, workers=workers, live=live)


@pytest.mark.parametrize("live", [False, True])
def test_sources_are_read_only_a_little_ahead(encoder: FakeEncoder, colours: Path, live: bool) -> None:
    """An endless list of paths is not opened before the first result is used; it ends with its reader."""
    opened = 0

    class CountedSource(FileSource):
        def open(self):  # type: ignore[no-untyped-def]
            nonlocal opened
            opened += 1
            return super().open()

    def endless() -> Iterator[Source]:
        while True:
            yield CountedSource(str(colours / "red.png"))

    pipeline = open_pipeline(encoder, endless(), 4, live=live)
    batches = embed_images(encoder, pipeline, batch_size=4, live=live)
    used = sum(len(next(batches)) for _ in range(3))

    assert 3 <= used <= 12
    assert opened <= used + 2 * 4
    batches.close()  # type: ignore[attr-defined]  # a generator
    pipeline.close()
    for thread in decoding_threads():
        thread.join(PATIENCE)
    assert not decoding_threads()


def test_a_closed_pipeline_opens_no_further_file(colours: Path) -> None:
    """Those that are being decoded are finished; those that wait are not begun."""

    class SlowEncoder(FakeEncoder):
        """Prepares four pictures, and more only when the gate is open."""

        def __init__(self) -> None:
            super().__init__()
            self.begun, self.count, self.gate = threading.Semaphore(0), 0, threading.Event()

        def prepare_image(self, image: Image.Image) -> Pixels:
            self.count += 1
            if self.count > 4:
                self.begun.release()
                self.gate.wait(PATIENCE)
            return super().prepare_image(image)

    encoder = SlowEncoder()
    pipeline = open_pipeline(encoder, (FileSource(str(colours / "red.png")) for _ in range(1000)), 4, workers=1)
    batches = embed_images(encoder, pipeline, batch_size=4)
    assert len(next(batches)) == 4
    assert encoder.begun.acquire(timeout=PATIENCE)

    batches.close()  # type: ignore[attr-defined]  # a generator
    pipeline.close()
    encoder.gate.set()
    for thread in decoding_threads():
        thread.join(PATIENCE)

    assert encoder.count == 5


def names_of(batches: Iterable[Iterable[Outcome]]) -> list[str]:
    """The names of all outcomes, in order."""
    return [Path(outcome.image).name for batch in batches for outcome in batch]


@pytest.mark.parametrize("batch_size", [2, 32])
def test_results_do_not_wait_for_paths_that_have_not_come(encoder: FakeEncoder, colours: Path, batch_size: int) -> None:
    """Three paths give three results while a fourth is waited for; afterwards all come, in order."""
    released = threading.Event()
    gone_on: list[bool] = []
    later = [f"{name}.png" for name in ("green", "red", "nope", "blue") * 10]
    first = ["red.png", "green.png", "blue.png"]

    def slow() -> Iterator[Source]:
        for name in first:
            yield FileSource(str(colours / name))
        gone_on.append(released.wait(PATIENCE))
        for name in later:
            yield FileSource(str(colours / name))

    pipeline = open_pipeline(encoder, slow(), batch_size, live=True)
    batches = embed_images(encoder, pipeline, batch_size=batch_size, live=True)
    before: list[list[Outcome]] = []
    while len(names_of(before)) < 3:
        before.append(next(batches))
    assert not gone_on
    assert names_of(before) == first

    released.set()
    assert names_of(batches) == later


@pytest.mark.parametrize("live", [False, True])
def test_an_error_of_the_list_comes_after_the_results_before_it(
    encoder: FakeEncoder, colours: Path, live: bool
) -> None:
    """What was named before a damaged list is cut off is ranked."""
    names = [f"{name}.png" for name in ("green", "red", "blue") * 3]

    def failing() -> Iterator[Source]:
        for name in names:
            yield FileSource(str(colours / name))
        raise UsageError("the list is damaged")

    batches = embed_images(encoder, open_pipeline(encoder, failing(), 4, live=live), batch_size=4, live=live)
    before: list[list[Outcome]] = []
    with pytest.raises(UsageError, match="the list is damaged"):
        before.extend(batches)

    assert names_of(before) == names


def test_results_do_not_wait_for_a_picture_that_is_slow_to_decode(colours: Path) -> None:
    """A pipe's reader gets what is ready, in order, while the next picture is decoded."""
    gate = threading.Event()

    class SlowEncoder(FakeEncoder):
        """Prepares two pictures, and the third only when the gate is open."""

        waits = True

        def prepare_image(self, image: Image.Image) -> Pixels:
            if image.getpixel((0, 0)) == (0, 0, 255):
                gate.wait(PATIENCE)
                self.waits = False
            return super().prepare_image(image)

    encoder = SlowEncoder()
    sources = (FileSource(str(colours / f"{name}.png")) for name in ("red", "green", "blue", "red"))
    batches = embed_images(encoder, open_pipeline(encoder, sources, 32, live=True), batch_size=32, live=True)
    before: list[list[Outcome]] = []
    while len(names_of(before)) < 2:
        before.append(next(batches))

    assert encoder.waits
    gate.set()
    assert names_of([*before, *batches]) == ["red.png", "green.png", "blue.png", "red.png"]


@pytest.mark.parametrize(("live", "sizes"), [(True, [3, 3, 1]), (False, [7])])
def test_a_steady_trickle_does_not_hold_results_back(
    encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, live: bool, sizes: list[int]
) -> None:
    """An input every quarter of a second: from a pipe, a batch is used half a second after its first."""
    now = 0.0

    def trickle() -> Iterator[Prepared]:
        nonlocal now
        for number in range(7):
            yield Prepared(str(number), encoder.prepare_image(Image.new("RGB", (9, 5), "red")))
            now += FLUSH_SECONDS / 2

    monkeypatch.setattr("clipsim.embedding.encode.time.monotonic", lambda: now)

    assert [len(batch) for batch in embed_images(encoder, trickle(), batch_size=32, live=live)] == sizes


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
    monkeypatch.setattr(preparation, "WHOLE_FILE_BYTES", whole_file_bytes)
    path, tar = packed
    file, member = prepare(encoder, [FileSource(str(path)), *read_tar(str(tar))])

    assert member.error is None
    assert file.pixels is not None
    np.testing.assert_array_equal(file.pixels, member.pixels)
    assert file.digest == member.digest == hashlib.sha256(path.read_bytes()).digest()
    assert file.size == member.size == (180, 120)
    assert member.stamp is None
    assert member.key is not None


def test_sizes_are_found_only_where_they_are_asked_for(encoder: FakeEncoder, packed: tuple[Path, Path]) -> None:
    """A picture in memory has one too, of the upright picture."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.new("RGB", (40, 24))
    turned.info["exif"] = exif.tobytes()
    sources = [FileSource(str(packed[0])), PillowSource("image 1", turned)]

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
    monkeypatch.setattr(preparation, "WHOLE_FILE_BYTES", 10)
    data = np.random.default_rng(0).bytes(5000)
    with ExitStack() as copies:
        keys, file = read_content(io.BytesIO(data), False, copies)
        assert file.fileno() > 0
        assert file.read() == data

    assert keys.digest == keys.key == hashlib.sha256(data).digest()
    assert file.closed
    assert read_stamp(io.BytesIO(data)) is None


def rank(*sources: Source, rules: ThumbnailRules | None = ThumbnailRules()) -> RankResult:  # noqa: B008 (frozen)
    """Rank in a new session."""
    with clipsim.open("clipsim-mini") as session:
        return run(session.embedder, RankRequest.check(sources, ["red", "blue"], thumbnails=rules))


def colour_of(thumbnail: bytes | None) -> str:
    """The name of the colour that a thumbnail is of."""
    assert thumbnail is not None
    pixel = Image.open(io.BytesIO(thumbnail)).convert("RGB").getpixel((5, 5))
    assert isinstance(pixel, tuple)
    return {0: "red", 1: "green", 2: "blue"}[max(range(3), key=lambda channel: float(pixel[channel]))]


def test_each_image_has_its_thumbnail(machine: Machine, colours: Path) -> None:
    """Files and pictures of the calling program, in the order of the images; a failure has none."""
    red, blue = FileSource(str(colours / "red.png")), FileSource(str(colours / "blue.png"))
    result = rank(red, FileSource("nope.png"), PillowSource("image 3", Image.new("RGB", (30, 20), "green")), blue)

    assert [colour_of(image.thumbnail) for image in result.scores] == ["red", "green", "blue"]
    assert [failure.image for failure in result.errors] == ["nope.png"]


def test_without_rules_there_are_none(machine: Machine, colours: Path) -> None:
    """Thumbnails are made for those who ask."""
    assert rank(FileSource(str(colours / "red.png")), rules=None).scores[0].thumbnail is None


def test_a_cached_vector_comes_with_a_thumbnail_too(machine: Machine, colours: Path) -> None:
    """Its file is decoded for that, and the model is not loaded."""
    sources = [FileSource(str(colours / f"{name}.png")) for name in ("red", "green", "blue")]
    first = rank(*sources, rules=None)
    again = rank(*sources)

    assert len(machine.encoders) == 1
    assert again == first
    assert [colour_of(image.thumbnail) for image in again.scores] == ["red", "green", "blue"]


def test_a_file_is_read_once(machine: Machine, colours: Path) -> None:
    """The vector and the thumbnail come from one reading, so they are of the same picture."""
    opened: list[str] = []

    class Changing(FileSource):
        """A file that becomes another picture once it is opened."""

        def open(self) -> BinaryIO:
            file = super().open()
            opened.append(self.name)
            (colours / "blue.png").replace(self.name)
            return file

    result = rank(Changing(str(colours / "red.png")))

    assert len(opened) == 1
    assert result.scores[0].best == 0
    assert colour_of(result.scores[0].thumbnail) == "red"


def test_records_are_compared_by_their_numbers(machine: Machine, colours: Path) -> None:
    """A thumbnail makes no result another one, and is not part of the JSON."""
    plain, pictured = (rank(FileSource(str(colours / "red.png")), rules=rules) for rules in (None, ThumbnailRules()))

    assert pictured == plain
    assert hash(pictured.scores[0]) == hash(plain.scores[0])
    assert pictured.to_dict() == plain.to_dict()


def test_a_thumbnail_is_decoded_no_larger_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JPEG of a megapixel is decoded at an eighth of its size."""
    sizes: list[tuple[int, int]] = []

    def watch(picture: Image.Image, rules: ThumbnailRules) -> bytes:
        sizes.append(picture.size)
        return make_thumbnail(picture, rules)

    monkeypatch.setattr("clipsim.embedding.preparation.make_thumbnail", watch)
    decode_thumbnail(io.BytesIO(saved(Image.new("RGB", (1600, 1640), "red"), "JPEG")), ThumbnailRules())

    assert sizes == [(200, 205)]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_pixels_thumbnail_and_size_come_from_one_decoding(
    encoder: FakeEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Of a page's image, and of one whose size is measured."""
    sources = []
    for name in ("red", "green", "blue"):
        Image.new("RGB", (320, 240), name).save(tmp_path / f"{name}.{suffix}")
        sources.append(FileSource(str(tmp_path / f"{name}.{suffix}")))
    loaded: list[tuple[int, int]] = []
    load = ImageFile.ImageFile.load

    def count(image: ImageFile.ImageFile) -> object:
        if image.tile:  # a second call gives what was decoded
            loaded.append(image.size)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", count)
    pipeline = Pipeline(
        encoder, sources, rules=DecodingRules(), batch_size=4, workers=2, measure=True, thumbnails=ThumbnailRules()
    )
    prepared = [one for one in pipeline if one is not None]

    assert [one.size for one in prepared] == [(320, 240)] * 3
    assert all(one.pixels is not None and one.thumbnail for one in prepared)
    assert loaded == [(320, 240)] * 3


def test_thumbnails_of_a_few_files(colours: Path) -> None:
    """By name, of files and pictures, each once; one that can no longer be read has none, and ends nothing."""
    (colours / "broken.png").write_bytes(b"\x89PNG broken")
    names = ["blue.png", "broken.png", "nope.png", "red.png", "blue.png"]
    sources: list[Source] = [FileSource(str(colours / name)) for name in names]
    found = read_thumbnails([*sources, PillowSource("x", Image.new("RGB", (9, 9), "green"))], ThumbnailRules())

    assert {Path(name).name: colour_of(thumbnail) for name, thumbnail in found.items()} == {
        "blue.png": "blue", "red.png": "red", "x": "green",
    }  # fmt: skip


def test_a_file_that_is_no_picture(tmp_path: Path) -> None:
    """What cannot be decoded is an error of that file."""
    with pytest.raises(ImageError, match="plain text"):
        decode_thumbnail(io.BytesIO(b"hello, this is text"), ThumbnailRules())


def take_all(feed: BackgroundReader[int]) -> Iterator[int]:
    """Everything that comes."""
    while not feed.ended:
        assert feed.wait(PATIENCE)
        yield from feed.take(7)


def test_items_come_in_order_and_none_is_lost() -> None:
    """Many more than are read ahead."""
    assert list(take_all(BackgroundReader(range(3 * MAX_AHEAD)))) == list(range(3 * MAX_AHEAD))
    assert list(take_all(BackgroundReader([]))) == []


def test_waiting_is_given_up_while_nothing_comes() -> None:
    """What has come can be taken while the next item is waited for."""
    released = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        released.wait(PATIENCE)
        yield 2

    feed = BackgroundReader(slow())
    assert feed.wait(PATIENCE)
    assert feed.take(7) == [1]
    assert not feed.wait(0.01)
    assert feed.take(7) == []
    assert not feed.ended
    released.set()

    assert list(take_all(feed)) == [2]


def test_no_more_is_read_than_may_be_ahead() -> None:
    """An endless iterable does not fill the memory."""
    read = 0

    def endless() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    feed = BackgroundReader(endless())
    while len(feed.take(1)) == 0:
        feed.wait(PATIENCE)
    for _ in range(100):
        feed.wait(0.001)

    assert read <= MAX_AHEAD + 2
    feed.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    """It is raised once."""

    def failing() -> Iterator[int]:
        yield from range(20)
        raise UsageError("no more")

    feed = BackgroundReader(failing())
    taken: list[int] = []
    with pytest.raises(UsageError, match="no more"):
        taken.extend(take_all(feed))

    assert taken == list(range(20))
    assert feed.ended


def test_a_closed_feed_ends_its_thread_at_the_next_item() -> None:
    """A thread that waits for room, or for an item that comes later."""
    released = threading.Event()
    before = set(threading.enumerate())

    def slow() -> Iterator[int]:
        yield 1
        released.wait(PATIENCE)
        yield from range(100)

    slow_feed, full_feed = BackgroundReader(slow()), BackgroundReader(range(10 * MAX_AHEAD))
    threads = [thread for thread in threading.enumerate() if thread not in before]
    assert len(threads) == 2
    slow_feed.close()
    full_feed.close()
    released.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert not any(thread.is_alive() for thread in threads)
    assert slow_feed.take(7) == full_feed.take(7) == []
