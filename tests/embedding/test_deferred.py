"""Tests of `embedding.deferred`: an encoder whose model is opened once, in the background, when it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.cache.database import Database
from clipsim.cache.vectors import Space
from clipsim.embedding.deferred import DeferredEncoder
from clipsim.engines.encoder import Encoder
from clipsim.engines.preprocessing import Preprocessing, find_preprocessing
from clipsim.errors import WeightsError
from clipsim.models.configs import read_config
from clipsim.models.files import find_files
from clipsim.models.names import find_model

PATIENCE = 60.0  # seconds, for what happens at once
SPEC = find_model("clipsim-mini")


def defer(
    open_model: Callable[[], Encoder],
    preprocessing: Preprocessing | None = None,
    on_open: Callable[[Encoder], None] = lambda _: None,
) -> DeferredEncoder:
    """An encoder that is expected to run on a GPU."""
    return DeferredEncoder(
        SPEC,
        open_model,
        engine="torch",
        device="cuda",
        precision="fp16",
        preprocessing=preprocessing,
        on_open=on_open,
    )


@pytest.fixture
def space(cache_folder: Path) -> Space:
    """An empty one."""
    return Space(Database(cache_folder), b"model")


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


def test_facts_of_an_earlier_run_need_no_model(encoder: FakeEncoder, space: Space) -> None:
    """They are stored with the model's vectors when it is opened."""
    first = defer(lambda: encoder)
    first.use_facts_of(space)
    assert (first.name, first.pretrained, first.device, first.precision) == ("clipsim-mini", "bundled", "cuda", "fp16")
    assert first.logit_scale == 10.0
    assert (first.device, first.precision) == ("cpu", "fp32")

    def fail() -> Encoder:
        raise AssertionError("it is not needed")

    second = defer(fail)
    second.use_facts_of(Space(space.database, space.key))
    facts = (second.embed_dim, second.image_size, second.logit_scale, second.logit_bias, second.head)
    assert facts == (4, 8, 10.0, None, "softmax")
    second.settle()


def test_pictures_are_prepared_while_the_model_is_opened(encoder: FakeEncoder) -> None:
    """Where the preprocessing is known from the model's files; preparing begins to open it."""
    begun, gate = threading.Event(), threading.Event()

    def open_slowly() -> Encoder:
        begun.set()
        gate.wait(PATIENCE)
        return encoder

    config = find_files(SPEC).config
    assert config is not None
    deferred = defer(open_slowly, find_preprocessing(SPEC, read_config(config)))
    pixels = deferred.prepare_image(Image.new("RGB", (90, 50), "red"))

    assert pixels.shape == (64, 64, 3)
    assert deferred.image_size == 64
    assert begun.wait(PATIENCE)
    assert deferred.device == "cuda"
    gate.set()
    assert deferred.encode_images(pixels[None]).shape == (1, 4)
    assert deferred.device == "cpu"


def test_the_opened_encoder_is_seen_before_anyone_uses_it(encoder: FakeEncoder, space: Space) -> None:
    """`on_open` may choose other facts, and comes before the real device shows."""
    seen = []

    def look(opened: Encoder) -> None:
        seen.append((opened, deferred.device))
        deferred.use_facts_of(space)

    deferred = defer(lambda: encoder, on_open=look)

    assert deferred.embed_dim == 4
    assert seen == [(encoder, "cuda")]
    assert Space(space.database, space.key).facts is not None


def test_an_error_is_raised_wherever_the_model_is_waited_for() -> None:
    """Not in the thread that opens it, and not by `settle`."""

    def fail() -> Encoder:
        raise WeightsError("damaged")

    deferred = defer(fail)
    deferred.start()
    deferred.settle()
    for _ in range(2):
        with pytest.raises(WeightsError, match="damaged"):
            deferred.encode_texts(["red"], truncate=False)
    with pytest.raises(WeightsError, match="damaged"):
        _ = deferred.embed_dim
