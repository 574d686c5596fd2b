"""Tests of `embedding.pipeline`: a little ahead of the model, in order, without waiting for what does not come."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.embedding.encode import FLUSH_SECONDS, Outcome, embed_images
from clipsim.embedding.pipeline import Pipeline, Prepared
from clipsim.engines.encoder import Pixels
from clipsim.errors import UsageError
from clipsim.images.limits import DecodingRules
from clipsim.inputs.sources import FileSource, Source

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
