"""Tests of `embedding.decoders`: the processes give what threads give, and their ends cost nothing but time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.cache.database import Database
from clipsim.cache.vectors import EmbeddingCache, FileDigests, VectorNamespace
from clipsim.embedding import decoders
from clipsim.embedding.decoders import DecoderPool, Preparer
from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, embed_images
from clipsim.embedding.pipeline import Pipeline
from clipsim.embedding.preparation import Prepared
from clipsim.engines.preprocessing import Preprocessing
from clipsim.errors import ImageError
from clipsim.images.decode import decoded_file
from clipsim.images.limits import DecodingRules, MemoryBudget, OverBudgetError
from clipsim.inputs.sources import BytesSource, FileSource, PillowSource, Source
from clipsim.options import ModelOptions, RunOptions

PREPROCESSING = Preprocessing.of(8, {"resize_mode": "squash", "interpolation": "bilinear"})
PATIENCE = 120.0  # seconds, for what happens at once


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[DecoderPool]:
    """Two processes, which begin with the first image."""
    monkeypatch.setattr(decoders, "IMAGES_BEFORE_PROCESSES", 1)
    pool = DecoderPool(2, PREPROCESSING, DecodingRules())
    yield pool
    pool.close()
    for process in pool.processes:
        process.join(PATIENCE)
        assert not process.is_alive()


def wait_for_processes(pool: DecoderPool, source: Source) -> Prepared:
    """What the first process that is ready makes of a source."""
    end = time.monotonic() + PATIENCE
    while (prepared := pool.prepare(source, True, None)) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    return prepared


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    """Files of several sizes, one damaged, one missing, one in memory, and an image of the calling program."""
    rng = np.random.default_rng(0)
    for number in range(12):
        noise = Image.fromarray(rng.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8))
        noise.save(tmp_path / f"{number}.jpg")
    (tmp_path / "3.jpg").write_text("no image")
    content = (tmp_path / "5.jpg").read_bytes()
    files: list[Source] = [FileSource(str(tmp_path / f"{number}.jpg")) for number in range(13)]
    return [*files, BytesSource("bytes", content), PillowSource("image", Image.new("RGB", (9, 5), "red"))]


def prepare_all(sources: Sequence[Source], pool: DecoderPool | None) -> list[Prepared]:
    """By a pipeline of two threads."""
    pipeline = Pipeline(
        Preparer(PREPROCESSING), sources, rules=DecodingRules(), batch_size=4, workers=2, measure=True, decoders=pool
    )
    return [prepared for prepared in pipeline if prepared is not None]


def check_equal(one: Prepared, other: Prepared) -> None:
    """Everything of two inputs is the same, apart from stamps."""
    # whether a stamp is kept depends on how long ago the file was written
    plain = [replace(prepared, pixels=None, error=None, stamp=None) for prepared in (one, other)]
    assert plain[0] == plain[1]
    assert (str(one.error), type(one.error)) == (str(other.error), type(other.error))
    assert (one.pixels is None) == (other.pixels is None)
    if one.pixels is not None and other.pixels is not None:
        assert np.array_equal(one.pixels, other.pixels)


def test_processes_prepare_as_threads_do(pool: DecoderPool, sources: list[Source]) -> None:
    """Pixels, digests, sizes and errors are the same, in order."""
    expected = prepare_all(sources, None)
    check_equal(wait_for_processes(pool, sources[0]), expected[0])

    for one, other in zip(prepare_all(sources, pool), expected, strict=True):
        check_equal(one, other)


def test_processes_that_are_killed(pool: DecoderPool, sources: list[Source]) -> None:
    """The images that they had are prepared by threads, and so are all once no process is left."""
    expected = prepare_all(sources, None)
    wait_for_processes(pool, sources[0])
    pool.processes[0].kill()

    for one, other in zip(prepare_all(sources, pool), expected, strict=True):
        check_equal(one, other)
    for process in pool.processes:
        process.kill()
    for one, other in zip(prepare_all(sources, pool), expected, strict=True):
        check_equal(one, other)
    assert pool.prepare(sources[0], True, None) is None


def test_more_threads_than_processes(pool: DecoderPool, sources: list[Source]) -> None:
    """No answer goes to the wrong thread."""
    expected = {prepared.name: prepared for prepared in prepare_all(sources, None)}
    wait_for_processes(pool, sources[0])

    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda source: (source, pool.prepare(source, True, None)), sources[:13] * 20)
        for source, prepared in answers:
            if prepared is not None:
                check_equal(prepared, expected[source.name])


def test_the_first_images_are_left_to_threads(sources: list[Source]) -> None:
    """A short run starts no process."""
    pool = DecoderPool(2, PREPROCESSING, DecodingRules())

    assert all(pool.prepare(source, False, None) is None for source in sources)
    assert not pool.processes


def test_a_closed_pool_starts_nothing(monkeypatch: pytest.MonkeyPatch, sources: list[Source]) -> None:
    """Nor does it take anything."""
    monkeypatch.setattr(decoders, "IMAGES_BEFORE_PROCESSES", 1)
    pool = DecoderPool(2, PREPROCESSING, DecodingRules())
    pool.close()

    assert pool.prepare(sources[0], False, None) is None
    assert not pool.processes


class _OneAnswer:
    """In place of a pool."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    def prepare(self, *_: object) -> Prepared:
        """Always the same."""
        return self._prepared


def test_a_vector_that_is_known_by_its_content(sources: list[Source], cache_folder: Path) -> None:
    """A process has no cache: what it prepared is looked up afterwards, and not encoded again."""
    database = Database(cache_folder)
    cache = EmbeddingCache(
        VectorNamespace(database, b"texts"), VectorNamespace(database, b"images"), FileDigests(database)
    )
    (prepared,) = prepare_all(sources[:1], None)
    assert prepared.key is not None
    cache.images.add({prepared.key: np.array([1, 2, 3, 4], np.float32)})
    encoder = FakeEncoder()
    pool = _OneAnswer(prepared)
    pipeline = Pipeline(
        encoder,
        sources[:1],
        rules=DecodingRules(),
        batch_size=4,
        workers=1,
        cache=cache,
        decoders=pool,  # type: ignore[arg-type]
    )

    ((vector,),) = embed_images(encoder, pipeline, batch_size=4, cache=cache)

    assert isinstance(vector, ImageVector)
    assert vector.features.tolist() == [1, 2, 3, 4]
    assert not encoder.image_batches
    database.close()


def test_a_process_refuses_what_takes_too_much_memory(monkeypatch: pytest.MonkeyPatch, sources: list[Source]) -> None:
    """The budget of the process that asks is shared by its threads; that of a decoding process is a part of it."""
    monkeypatch.setattr("clipsim.images.decode._memory", MemoryBudget(1000, strict=True))
    with sources[0].open() as file, pytest.raises(OverBudgetError), decoded_file(file):
        pass
    pixels = np.zeros((8, 8, 3), np.uint8)
    answer = decoders._prepare(sources[0], False, None, Preparer(PREPROCESSING), DecodingRules(), pixels)

    assert answer == (None, False)
    assert issubclass(OverBudgetError, ImageError)


@pytest.mark.parametrize(
    ("device", "own_process", "expected"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_where_processes_decode(machine: Machine, device: str, own_process: bool, expected: bool) -> None:
    """Beside a GPU, for the command line alone: a Python program may not be importable by other processes."""
    options = ModelOptions("clipsim-mini", device=device), RunOptions(cache=False, exact=True)
    with Embedder(*options, own_process=own_process) as embedder:
        assert (embedder.open_pipeline([])._decoders is not None) == expected


def test_processes_are_not_this_one(pool: DecoderPool, sources: list[Source]) -> None:
    """The test above would pass if threads did all the work."""
    wait_for_processes(pool, sources[0])

    assert pool.processes
    assert os.getpid() not in [process.pid for process in pool.processes]


def test_processes_are_started_once(pool: DecoderPool, sources: list[Source]) -> None:
    """Not again by the image with which they would begin, where they have been started before."""
    pool.start()
    assert len(pool.processes) == 2

    pool.prepare(sources[0], False, None)

    for thread in threading.enumerate():
        if thread.name == "start decoders":
            thread.join(PATIENCE)
    assert len(pool.processes) == 2


def test_as_many_processes_as_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what is free is left to the rest."""
    monkeypatch.setattr(decoders, "usable_cores", lambda: 64)
    for memory, count in ((None, 16), (100 << 30, 16), (4_000_000_000, 7), (0, 1)):
        monkeypatch.setattr(decoders, "available_memory", lambda memory=memory: memory)
        assert decoders.default_processes() == count
