"""Tests of `embedding.deferred`: an encoder whose model is opened once, in the background, when it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.cache.database import Database
from clipsim.cache.vectors import VectorNamespace
from clipsim.embedding.deferred import DeferredEncoder
from clipsim.engines.encoder import Encoder
from clipsim.engines.preprocessing import Preprocessing, find_preprocessing
from clipsim.errors import WeightsError
from clipsim.models.files import find_files
from clipsim.models.names import find_model

PATIENCE = 60.0  # seconds, for what happens at once
SPEC = find_model("clipsim-mini")


def defer(open_model: Callable[[], Encoder], preprocessing: Preprocessing | None = None) -> DeferredEncoder:
    """An encoder on the CPU."""
    return DeferredEncoder(
        open_model,
        name=SPEC.reported_name,
        pretrained=SPEC.reported_tag,
        engine="torch",
        device="cpu",
        precision="fp32",
        preprocessing=preprocessing,
    )


@pytest.fixture
def space(cache_folder: Path) -> VectorNamespace:
    """An empty one."""
    return VectorNamespace(Database(cache_folder), b"model")


def test_the_model_is_opened_once_for_all_threads(encoder: FakeEncoder) -> None:
    """All of them wait for it."""
    opened = []

    def open_model() -> Encoder:
        opened.append(encoder)
        return encoder

    deferred = defer(open_model)
    threads = [
        threading.Thread(target=deferred.encode_texts, args=(["red"],), kwargs={"truncate": False}) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert len(opened) == 1
    assert encoder.text_batches == [1, 1]


def test_facts_of_an_earlier_run_need_no_model(encoder: FakeEncoder, space: VectorNamespace) -> None:
    """They are stored with the model's vectors when it is opened."""
    encoder.name, encoder.pretrained = SPEC.reported_name, SPEC.reported_tag
    first = defer(lambda: encoder)
    first.use_facts_of(space)
    assert first.known_notices == ()
    assert first.facts == encoder.facts

    def fail() -> Encoder:
        raise AssertionError("it is not needed")

    second = defer(fail)
    second.use_facts_of(VectorNamespace(space.database, space.key))
    assert second.facts == encoder.facts
    assert second.image_size == 8


def test_facts_tell_how_the_model_has_run(encoder: FakeEncoder, space: VectorNamespace) -> None:
    """A notice that comes with a batch is in them from then on; the cache keeps those of the files."""
    deferred = defer(lambda: encoder)
    deferred.use_facts_of(space)
    deferred.load()
    encoder.notices = ("too little memory",)

    assert deferred.facts.notices == deferred.known_notices == ("too little memory",)
    assert (VectorNamespace(space.database, space.key).facts or {})["notices"] == []


def test_pictures_are_prepared_while_the_model_is_opened(encoder: FakeEncoder) -> None:
    """Where the preprocessing is known from the model's files; preparing begins to open it."""
    begun, gate = threading.Event(), threading.Event()

    def open_slowly() -> Encoder:
        begun.set()
        gate.wait(PATIENCE)
        return encoder

    deferred = defer(open_slowly, find_preprocessing(SPEC, find_files(SPEC)))
    pixels = deferred.prepare_image(Image.new("RGB", (90, 50), "red"))

    assert pixels.shape == (96, 96, 3)
    assert deferred.image_size == 96
    assert begun.wait(PATIENCE)
    gate.set()
    assert deferred.encode_images(pixels[None]).shape == (1, 4)


def test_an_error_is_raised_wherever_the_model_is_waited_for() -> None:
    """Not in the thread that opens it."""

    def fail() -> Encoder:
        raise WeightsError("damaged")

    deferred = defer(fail)
    deferred.start()
    for _ in range(2):
        with pytest.raises(WeightsError, match="damaged"):
            deferred.encode_texts(["red"], truncate=False)
    with pytest.raises(WeightsError, match="damaged"):
        _ = deferred.facts
