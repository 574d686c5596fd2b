"""Tests of `engines.accelerator`, with a device that records its steps: order, overlap, slots, and what fails."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fake_accelerator import FakeAccelerator, QueuedEncoder
from fake_encoder import FakeEncoder
from numpy.typing import NDArray

from clipsim.embedding.encode import ImageVector, Outcome, embed_images
from clipsim.embedding.preparation import Prepared
from clipsim.engines.accelerator import BatchQueue, padded_size
from clipsim.errors import Failure, ImageError


def make_inputs(count: int, seed: int = 0) -> list[Prepared]:
    """Small images, each unlike the others."""
    pixels = np.random.default_rng(seed).integers(1, 256, (count, 8, 8, 3), dtype=np.uint8)
    return [Prepared(str(number), row) for number, row in enumerate(pixels)]


def run(encoder: FakeEncoder, inputs: Sequence[Prepared | None], batch_size: int = 4) -> list[Outcome]:
    """The outcomes of all batches."""
    return [one for batch in embed_images(encoder, inputs, batch_size=batch_size) for one in batch]


def features_of(outcomes: Sequence[Outcome]) -> NDArray[np.float32]:
    """The vectors, which must all be there."""
    assert all(isinstance(outcome, ImageVector) for outcome in outcomes)
    return np.stack([outcome.features for outcome in outcomes if isinstance(outcome, ImageVector)])


def check_slots(accelerator: FakeAccelerator) -> None:
    """No slot is filled again before its event, nor copied or launched out of turn."""
    last: dict[int, str] = {}
    follows = {"fill": (None, "fetch"), "copy": ("fill",), "launch": ("copy",), "wait": ("launch",), "fetch": ("wait",)}
    for name, slot in accelerator.steps:
        assert last.get(slot) in follows[name]
        last[slot] = name


def test_the_next_batches_begin_before_a_batch_is_waited_for() -> None:
    """The copies and launches of two further batches come before each wait, and everything in order."""
    encoder = QueuedEncoder()

    outcomes = run(encoder, make_inputs(20))

    steps = [name for name, _ in encoder.accelerator.steps if name in ("copy", "launch", "wait")]
    pair = ["copy", "launch"]
    assert steps == [*pair * 3, "wait", *pair, "wait", *pair, *["wait"] * 3]
    assert [slot for name, slot in encoder.accelerator.steps if name == "wait"] == [0, 1, 2, 0, 1]
    assert [outcome.image for outcome in outcomes if isinstance(outcome, ImageVector)] == list(map(str, range(20)))
    check_slots(encoder.accelerator)


def test_ten_thousand_images_as_by_the_simple_loop() -> None:
    """The same bits in the same order; cached, failed and unusable inputs stand in their places."""
    inputs = make_inputs(10_000)
    for number in range(0, 10_000, 97):
        inputs[number] = Prepared(str(number), error=ImageError("damaged"))
    for number in range(5, 10_000, 89):
        inputs[number] = Prepared(str(number), features=np.full(4, number, np.float32))
    inputs[4000:4100] = [Prepared(str(number), features=np.ones(4, np.float32)) for number in range(4000, 4100)]
    inputs[77] = Prepared("77", np.zeros((8, 8, 3), np.uint8))  # its vector is not finite
    plain, queued = FakeEncoder(), QueuedEncoder()

    expected, outcomes = run(plain, inputs, 32), run(queued, inputs, 32)

    assert len(outcomes) == 10_000
    assert not queued.image_batches
    check_slots(queued.accelerator)
    for one, other in zip(outcomes, expected, strict=True):
        if isinstance(other, Failure):
            assert one == other
        else:
            assert isinstance(one, ImageVector)
            assert (one.image, one.features.tobytes()) == (other.image, other.features.tobytes())


def test_a_wait_for_inputs_ends_with_all_that_was_submitted() -> None:
    """A stream that pauses gets the vectors of what came before the pause."""
    encoder = QueuedEncoder()
    inputs = [*make_inputs(8), None, *make_inputs(4)]

    batches = embed_images(encoder, inputs, batch_size=4, live=True)

    assert [len(next(batches)), len(next(batches))] == [4, 4]
    assert [name for name, _ in encoder.accelerator.steps].count("launch") == 2


def test_an_error_of_the_inputs_comes_after_the_vectors_before_it() -> None:
    """What was submitted is given first."""

    def inputs() -> Iterator[Prepared]:
        yield from make_inputs(10)
        raise OSError("the list ends here")

    batches = embed_images(QueuedEncoder(), inputs(), batch_size=4)

    assert [len(next(batches)) for _ in range(3)] == [4, 4, 2]
    with pytest.raises(OSError, match="the list ends here"):
        next(batches)


def test_the_first_unusable_input_comes_after_the_full_batches_before_it() -> None:
    """With `fail`, as by the simple loop."""
    inputs = make_inputs(10)
    inputs[9] = Prepared("9", error=ImageError("damaged"))
    for encoder in (FakeEncoder(), QueuedEncoder()):
        batches = embed_images(encoder, inputs, batch_size=4, fail=True)

        assert [len(next(batches)), len(next(batches))] == [4, 4]
        with pytest.raises(ImageError, match="9: damaged"):
            next(batches)


def test_batches_are_padded_to_few_sizes() -> None:
    """A power of two, or the size of full batches, whatever came before; the padding never shows."""
    encoder = QueuedEncoder()
    inputs = make_inputs(64)
    sizes = (1, 2, 3, 5, 24, 7, 17, 24, 9)

    tickets = [
        encoder.queue.submit([one.pixels for one in inputs[:size] if one.pixels is not None], 24) for size in sizes
    ]

    assert encoder.accelerator.counts == [1, 2, 4, 8, 24, 8, 24, 24, 16]
    expected = features_of(run(FakeEncoder(), inputs))
    for size, ticket in zip(sizes, tickets, strict=True):
        assert (encoder.queue.result(ticket) == expected[:size]).all()
    assert {padded_size(count, 128) for count in range(1, 129)} == {1, 2, 4, 8, 16, 32, 64, 128}


def fail_at(name: str, number: int, error: BaseException) -> Callable[[str], None]:
    """Raise an error at the nth step of a name."""
    counts = {name: 0}

    def on_step(step: str) -> None:
        if step == name:
            counts[name] += 1
            if counts[name] == number:
                raise error

    return on_step


@pytest.mark.parametrize("name", ["fill", "copy", "launch", "wait", "fetch"])
def test_an_error_stays_with_its_batch(name: str) -> None:
    """The batches before it are given, the error is raised in its turn, and the queue continues."""
    encoder = QueuedEncoder(fail_at(name, 3, RuntimeError("CUDA error: device-side assert triggered")))
    inputs = make_inputs(20)

    batches = embed_images(encoder, inputs, batch_size=4)

    assert [len(next(batches)), len(next(batches))] == [4, 4]
    with pytest.raises(RuntimeError, match="device-side assert"):
        next(batches)
    assert (features_of(run(encoder, inputs)) == features_of(run(FakeEncoder(), inputs))).all()


@pytest.mark.parametrize("name", ["fill", "copy", "launch", "wait", "fetch"])
def test_a_batch_that_can_be_encoded_otherwise(name: str) -> None:
    """One for which the device has too little memory has its vectors in its place."""
    encoder, inputs = QueuedEncoder(fail_at(name, 2, MemoryError())), make_inputs(20)

    assert (features_of(run(encoder, inputs)) == features_of(run(FakeEncoder(), inputs))).all()
    assert encoder.image_batches == [4]


@pytest.mark.parametrize("seed", range(20))
def test_interrupts_and_errors_at_random_steps(seed: int) -> None:
    """Whatever ends a run, and wherever, the next one has every vector, and no slot is lost."""
    chance = random.Random(seed)

    def on_step(_: str) -> None:
        if chance.random() < 0.03:
            raise chance.choice([KeyboardInterrupt, RuntimeError, MemoryError])

    encoder, inputs = QueuedEncoder(on_step), make_inputs(60, seed)
    expected = features_of(run(FakeEncoder(), inputs))
    for _ in range(20):
        done = 0
        try:
            for batch in embed_images(encoder, inputs, batch_size=4):
                assert (features_of(batch) == expected[done : done + len(batch)]).all()
                done += len(batch)
        except (KeyboardInterrupt, RuntimeError):
            continue
        assert done == 60
    chance.random = lambda: 1.0  # type: ignore[method-assign]  # no further error

    assert (features_of(run(encoder, inputs)) == expected).all()


def test_tickets_that_nobody_redeems() -> None:
    """A run that ends early leaves its batches behind; their slots are used again after their events."""
    encoder, inputs = QueuedEncoder(), make_inputs(40)
    for _ in range(5):
        next(embed_images(encoder, inputs, batch_size=4))

    assert (features_of(run(encoder, inputs)) == features_of(run(FakeEncoder(), inputs))).all()
    check_slots(encoder.accelerator)


def test_threads_share_a_queue() -> None:
    """More threads than slots; each gets the vectors of its own images."""
    encoder = QueuedEncoder()
    parts = [make_inputs(100, seed) for seed in range(8)]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda part: features_of(run(encoder, part)), parts))

    for part, features in zip(parts, outcomes, strict=True):
        assert (features == features_of(run(FakeEncoder(), part))).all()
    check_slots(encoder.accelerator)


def test_what_cannot_be_mended_is_raised_at_each_call() -> None:
    """A ticket keeps its error."""
    queue = BatchQueue(FakeAccelerator(FakeEncoder().encode_images, fail_at("wait", 1, OSError())), _raise)
    ticket = queue.submit([np.zeros((8, 8, 3), np.uint8)], 1)
    for _ in range(2):
        with pytest.raises(OSError):  # noqa: PT011 (it has no message)
            queue.result(ticket)


def _raise(error: Exception, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    raise error
