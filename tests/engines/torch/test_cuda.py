"""Tests of `engines.torch.cuda` with a stand-in for CUDA, whose tensors are on the CPU: no GPU has run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clipsim.embedding.encode import ImageVector, embed_images
from clipsim.embedding.preparation import Prepared
from clipsim.engines.torch import cuda
from clipsim.engines.torch.cuda import USES_WORTH_A_GRAPH, CudaAccelerator, GraphedTower, allocate_pinned
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.errors import DeviceLostError
from clipsim.models.files import find_files
from clipsim.models.settings import choose_model
from clipsim.options import ModelOptions

CPU = torch.device("cpu")


class FakeCuda:
    """The parts of `torch.cuda` that the module uses; `calls` are those of streams, events and graphs, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.capturing: FakeGraph | None = None
        self.capture_error: Exception | None = None
        self.device: str | None = None  # that was made the current one

    def run(self, work: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Run what a tower does; inside a capture it is kept, to be replayed into the same result."""
        result = work()
        if self.capturing is not None:
            self.capturing.work = lambda: result.copy_(work())
        return result


class FakeStream:
    """A stream by its name."""

    def __init__(self, fake: FakeCuda, name: str) -> None:
        self._fake, self.name = fake, name

    def wait_stream(self, other: FakeStream) -> None:
        """Recorded."""
        self._fake.calls.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event: FakeEvent) -> None:
        """Recorded."""
        assert event.recorded
        self._fake.calls.append(f"{self.name} waits for a copy")

    def synchronize(self) -> None:
        """Recorded."""
        self._fake.calls.append(f"{self.name} is waited for")


class FakeEvent:
    """An event that is reached at once."""

    def __init__(self, fake: FakeCuda) -> None:
        self._fake, self.recorded = fake, False

    def record(self, stream: FakeStream) -> None:
        """Recorded."""
        self.recorded = True
        self._fake.calls.append(f"event of {stream.name}")

    def synchronize(self) -> None:
        """Recorded."""
        assert self.recorded
        self._fake.calls.append("wait")


class FakeGraph:
    """A graph of what was run in its capture."""

    def __init__(self, fake: FakeCuda) -> None:
        self._fake = fake
        self.work: Callable[[], object] = lambda: None

    def replay(self) -> None:
        """Run it again."""
        self._fake.calls.append("replay")
        self.work()

    def pool(self) -> str:
        """The graph's memory."""
        return "pool"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """CUDA as far as the module sees it."""
    fake = FakeCuda()

    @contextmanager
    def within(stream: FakeStream) -> Iterator[None]:
        fake.calls.append(f"in {stream.name}")
        yield

    @contextmanager
    def capture(graph: FakeGraph, **options: Any) -> Iterator[None]:
        fake.calls.append(f"capture {options['pool']}")
        assert fake.device == "cpu"
        assert options["stream"].name == "side"
        if fake.capture_error is not None:
            raise fake.capture_error
        fake.capturing = graph
        yield
        fake.capturing = None

    @contextmanager
    def on(device: torch.device) -> Iterator[None]:
        fake.device = str(device)
        yield
        fake.device = None

    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: fake.calls.append(f"back to {stream.name}"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream(fake, "side"))
    monkeypatch.setattr(torch.cuda, "Event", lambda blocking=False: FakeEvent(fake))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream(fake, "main"))
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: FakeGraph(fake))
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(cuda, "allocate_pinned", lambda shape, dtype: torch.empty(shape, dtype=dtype))
    return fake


def mean_colours(pixels: torch.Tensor) -> torch.Tensor:
    """(n, h, w, 3) → (n, 3), in half precision."""
    return pixels.float().mean(dim=(1, 2)).half()


def test_the_steps_of_a_batch(fake: FakeCuda) -> None:
    """The copy has a stream of its own; the model waits for it, and the host for the vectors only."""
    accelerator = CudaAccelerator(mean_colours, CPU)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)

    accelerator.buffer(1, (4, 6, 5, 3))[:3] = pixels[:3]
    accelerator.copy(1, 3)
    accelerator.launch(1, 4)
    accelerator.wait(1)
    vectors = accelerator.fetch(1, 3)

    assert fake.calls == [
        "in main",
        "side waits for main",
        "in side",
        "event of side",
        "main waits for a copy",
        "in main",
        "event of main",
        "wait",
    ]
    assert vectors.dtype == np.float32
    assert (vectors == mean_colours(torch.from_numpy(pixels[:3])).float().numpy()).all()
    accelerator.buffer(1, (4, 6, 5, 3))[:] = 0
    assert vectors.any()  # they are the caller's own


def test_a_caller_in_another_stream(fake: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model runs in the stream in which it always ran: graphs share their memory, and must not overlap."""
    accelerator = CudaAccelerator(mean_colours, CPU)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream(fake, "caller"))

    accelerator.buffer(0, (2, 6, 5, 3))[:] = 7
    accelerator.copy(0, 2)
    accelerator.launch(0, 2)

    assert not [call for call in fake.calls if "caller" in call]


def test_a_buffer_is_kept_until_it_is_too_small(fake: FakeCuda) -> None:
    """Pinned memory is slow to get."""
    accelerator = CudaAccelerator(mean_colours, CPU)
    first = accelerator.buffer(0, (4, 6, 5, 3))

    assert np.shares_memory(first, accelerator.buffer(0, (2, 6, 5, 3)))
    assert not np.shares_memory(first, accelerator.buffer(1, (4, 6, 5, 3)))
    assert accelerator.buffer(0, (8, 6, 5, 3)).shape == (8, 6, 5, 3)


def test_a_slot_is_never_half_made(fake: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the device has no room for its part, the next batch of that size asks for it again."""
    accelerator, empty = CudaAccelerator(mean_colours, CPU), torch.empty

    def full(*shape: Any, **options: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("simulated")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(torch.OutOfMemoryError):
        accelerator.buffer(0, (4, 6, 5, 3))
    with pytest.raises(torch.OutOfMemoryError):
        accelerator.buffer(0, (4, 6, 5, 3))
    monkeypatch.setattr(torch, "empty", empty)
    assert accelerator.buffer(0, (4, 6, 5, 3)).shape == (4, 6, 5, 3)


def test_a_slot_that_was_made_in_inference_mode(fake: FakeCuda) -> None:
    """It is used outside of it as well."""
    accelerator = CudaAccelerator(mean_colours, CPU)
    with torch.inference_mode():
        accelerator.buffer(0, (2, 6, 5, 3))[:] = 7

    accelerator.copy(0, 2)
    accelerator.launch(0, 2)
    assert (accelerator.fetch(0, 2) == 7).all()


def test_a_tower_that_fails_leaves_no_copy_under_way(fake: FakeCuda) -> None:
    """The copy is waited for, since the slot is used again."""

    def fail(pixels: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("simulated")

    accelerator = CudaAccelerator(fail, CPU)
    accelerator.buffer(0, (2, 6, 5, 3))
    accelerator.copy(0, 2)
    with pytest.raises(torch.OutOfMemoryError):
        accelerator.launch(0, 2)

    assert fake.calls[-1] == "side is waited for"


def test_a_shape_that_is_used_often_has_a_graph(fake: FakeCuda) -> None:
    """Others run as they are; the graphs share their memory, and the vectors are the same."""
    tower = GraphedTower(lambda pixels: fake.run(lambda: mean_colours(pixels)))
    rng = np.random.default_rng(0)
    for count in [4] * (USES_WORTH_A_GRAPH + 2) + [2] * (USES_WORTH_A_GRAPH + 1) + [4, 1]:
        pixels = torch.from_numpy(rng.integers(0, 256, (count, 6, 5, 3), dtype=np.uint8))
        assert torch.equal(tower(pixels), mean_colours(pixels))

    replays = [call for call in fake.calls if call == "replay" or call.startswith("capture")]
    assert replays == ["capture None", *["replay"] * 3, "capture pool", *["replay"] * 3]

    tower.release()
    assert torch.equal(tower(pixels), mean_colours(pixels))
    assert [call for call in fake.calls if call == "replay"] == ["replay"] * 6


def test_a_tower_that_cannot_be_captured(fake: FakeCuda) -> None:
    """It runs without a graph, is not tried again with any shape, and the thread has its stream back."""
    fake.capture_error = RuntimeError("operation not permitted when stream is capturing")
    tower = GraphedTower(mean_colours)
    pixels = torch.ones((2, 6, 5, 3), dtype=torch.uint8)

    assert all(torch.equal(tower(pixels), mean_colours(pixels)) for _ in range(3 * USES_WORTH_A_GRAPH))
    assert fake.calls[-1] == "back to main"
    assert all(torch.equal(tower(pixels[:1]), mean_colours(pixels[:1])) for _ in range(3 * USES_WORTH_A_GRAPH))
    assert [call for call in fake.calls if call.startswith("capture")] == ["capture None"]


def test_pageable_memory_where_none_can_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a low limit on locked memory."""
    empty = torch.empty

    def limited(*shape: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        if pin_memory:
            raise RuntimeError("CUDA error: out of memory")
        return empty(*shape, **options)

    monkeypatch.setattr(torch, "empty", limited)

    assert allocate_pinned((2, 3), torch.uint8).shape == (2, 3)


@pytest.fixture
def encoder(fake: FakeCuda) -> ClipEncoder:
    """The bundled model with a queue, as on a GPU."""
    spec, _ = choose_model(ModelOptions("clipsim-mini"))
    encoder = ClipEncoder(spec, find_files(spec), device="cpu")
    encoder.towers.keep_plain()  # a GPU has no packed layers
    encode = encoder._encode_pixels
    encoder._encode_pixels = lambda towers, pixels: fake.run(lambda: encode(towers, pixels))  # type: ignore[method-assign]
    encoder.queue = encoder._open_queue(CPU)
    return encoder


def make_inputs(encoder: ClipEncoder, count: int) -> list[Prepared]:
    """Prepared noise."""
    rng = np.random.default_rng(0)
    images = (Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)) for _ in range(count))
    return [Prepared(str(number), encoder.prepare_image(image)) for number, image in enumerate(images)]


def features_of(encoder: ClipEncoder, inputs: list[Prepared]) -> list[bytes]:
    """The bits of all vectors."""
    batches = embed_images(encoder, inputs, batch_size=4)
    return [one.features.tobytes() for batch in batches for one in batch if isinstance(one, ImageVector)]


def test_a_model_through_the_queue(encoder: ClipEncoder, fake: FakeCuda) -> None:
    """The same bits as by the simple loop, with graphs too."""
    inputs = make_inputs(encoder, 40)
    queued = features_of(encoder, inputs)
    encoder.queue = None

    assert len(queued) == 40
    assert queued == features_of(encoder, inputs)
    assert "replay" in fake.calls


def test_too_little_memory_for_a_batch(encoder: ClipEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """All later batches are encoded one after the other, in parts that fit; the vectors stay in order."""
    inputs = make_inputs(encoder, 24)
    encode_image, room = encoder.towers.model.encode_image, 4

    def limited(batch: torch.Tensor) -> torch.Tensor:
        if len(batch) > room:
            raise torch.OutOfMemoryError("simulated")
        features: torch.Tensor = encode_image(batch)
        return features

    expected = features_of(encoder, inputs)
    monkeypatch.setattr(encoder.towers.model, "encode_image", limited)
    encoder.queue = encoder._open_queue(CPU)
    room = 2

    features = np.stack([np.frombuffer(one, np.float32) for one in features_of(encoder, inputs)])

    assert np.abs(features - np.stack([np.frombuffer(one, np.float32) for one in expected])).max() < 1e-5
    assert encoder.queue is None
    assert any("several batches" in notice for notice in encoder.facts.notices)
    assert any("encoded in parts of 2" in notice for notice in encoder.facts.notices)


@pytest.mark.parametrize(
    "error", ["CUDA error: device-side assert triggered", "cuDNN error: CUDNN_STATUS_MAPPING_ERROR"]
)
def test_a_gpu_that_fails(encoder: ClipEncoder, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    """It is not tried again: this process cannot use it any more."""
    calls = []

    def fail(batch: torch.Tensor) -> torch.Tensor:
        calls.append(len(batch))
        raise RuntimeError(error)

    monkeypatch.setattr(encoder.towers.model, "encode_image", fail)
    with pytest.raises(DeviceLostError, match=f"the GPU has failed \\({error}\\)"):
        features_of(encoder, make_inputs(encoder, 4))
    assert calls == [4]


def test_vectors_that_are_not_finite(fake: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the queue are computed again in fp32, too."""
    spec, _ = choose_model(ModelOptions("clipsim-mini"))
    encoder, exact = (ClipEncoder(spec, find_files(spec), device="cpu", precision=name) for name in ("fp16", "fp32"))
    encoder.towers.keep_plain()  # a GPU has no packed layers
    inputs = make_inputs(encoder, 3)
    encode_image = encoder.towers.model.encode_image

    def overflow(batch: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = encode_image(batch).clone()
        features[1] = torch.nan
        return features

    monkeypatch.setattr(encoder.towers.model, "encode_image", overflow)
    encoder.queue = encoder._open_queue(CPU)
    features = np.frombuffer(features_of(encoder, inputs)[1], np.float32)

    expected = exact.encode_images(np.stack([one.pixels for one in inputs if one.pixels is not None]))[1]
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-5)
    assert encoder.facts.notices == ("vectors that are not finite in fp16 are computed again in fp32",)
