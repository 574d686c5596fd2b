"""Tests of `engines.torch.batches`: batches that do not fit into memory, GPUs that fail, and the limit of MPS."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoints import open_path, random_model, write_folder
from engines.torch.test_devices import FAILURES, OTHERS, OUT_OF_MEMORY
from fake_gpu import fake_gpu
from PIL import Image
from torch import Tensor, nn

from clipsim.engines.torch.batches import BatchSplitter, attention_limit
from clipsim.errors import DeviceError, DeviceLostError

CUDA, MPS = torch.device("cuda"), torch.device("mps")
BATCH = torch.arange(20.0).reshape(10, 2)


class Device:
    """A device that computes so many rows at once, and raises an error for more."""

    def __init__(self, rows: int, error: Exception) -> None:
        self.rows, self.error = rows, error
        self.sizes: list[int] = []

    def encode(self, batch: Tensor) -> Tensor:
        """The same numbers."""
        self.sizes.append(len(batch))
        if len(batch) > self.rows:
            raise self.error
        return batch


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_a_batch_that_does_not_fit_is_halved_for_good(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever the error is called; the rows stay in order, and later batches are not tried in vain."""
    notices: list[str] = []
    with fake_gpu(monkeypatch) as gpu:
        batches, device = BatchSplitter(CUDA, torch.float16, notices.append), Device(4, error)
        for _ in range(2):
            assert batches.encode(device.encode, BATCH).tolist() == BATCH.tolist()

        assert device.sizes == [10, 5, *[2] * 5, *[2] * 5]
        assert gpu.releases == 2
    parts = "too little memory on the device for a batch of {}; it is encoded in parts of {}"
    assert notices == [parts.format(10, 5), parts.format(5, 2)]


@pytest.mark.parametrize("error", FAILURES, ids=str)
def test_a_gpu_that_fails_is_not_tried_again(error: Exception) -> None:
    """Everything else would fail in this process."""
    device = Device(4, error)
    with pytest.raises(DeviceLostError, match=r"the GPU has failed \(.*\), and this process cannot use it any more"):
        BatchSplitter(CUDA, torch.float16, print).encode(device.encode, BATCH)
    assert device.sizes == [10]


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_pass(error: Exception) -> None:
    """As they are."""
    with pytest.raises(type(error)) as raised:
        BatchSplitter(CUDA, torch.float16, print).encode(Device(4, error).encode, BATCH)
    assert raised.value is error


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [(torch.float32, "try device='cpu' or precision='fp16'"), (torch.float16, "try device='cpu'")],
)
def test_a_single_input_that_does_not_fit(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, hint: str) -> None:
    """One line with what may help, and the device's own words."""
    with fake_gpu(monkeypatch), pytest.raises(DeviceError) as raised:
        BatchSplitter(CUDA, dtype, lambda _: None).encode(Device(0, OUT_OF_MEMORY[1]).encode, BATCH)

    cause = "CUDA error: out of memory"
    assert str(raised.value) == f"the device has too little memory for this model ({cause}); {hint}"
    assert not isinstance(raised.value, DeviceLostError)


def test_no_rows_are_no_error() -> None:
    """As an encoder gets them of an empty list of texts."""
    assert BatchSplitter(CUDA, torch.float32, print).encode(lambda batch: batch, BATCH[:0]).shape == (0, 2)


@pytest.mark.parametrize("family", ["vit", "resnet", "siglip"])
def test_the_attention_of_a_tower_limits_the_batch_on_mps(family: str) -> None:
    """By its heads and tokens, wherever the tower has them; other devices need no limit."""
    tower = random_model(family).visual

    assert attention_limit(tower, CUDA) is attention_limit(tower, torch.device("cpu")) is None
    assert attention_limit(tower, MPS) == 32
    positions = [parameter for name, parameter in tower.named_parameters() if name.endswith(("embedding", "pos_embed"))]
    (position,) = (parameter for parameter in positions if parameter.dim() > 1)
    position.data = torch.empty(30_000, 1)  # as of an image of 2,400 pixels
    assert attention_limit(tower, MPS) == 1
    assert attention_limit(nn.Linear(2, 2), MPS) == 32


def test_a_batch_beyond_the_limit_is_split_before_it_is_tried(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MPS aborts the process, so that nothing could be caught."""
    monkeypatch.setattr("clipsim.engines.torch.encoder.attention_limit", lambda *_: 2)
    encoder = open_path(write_folder(tmp_path, "vit"), device="cpu")
    sizes = []
    encode_image = encoder.towers.model.encode_image

    def watch(images: Tensor) -> Tensor:
        sizes.append(len(images))
        encoded: Tensor = encode_image(images)
        return encoded

    monkeypatch.setattr(encoder.towers.model, "encode_image", watch)
    pixels = torch.stack([torch.from_numpy(encoder.prepare_image(picture)) for picture in pictures]).numpy()

    assert encoder.encode_images(pixels).shape == (3, 32)
    assert sizes == [2, 1]
    assert encoder.facts.notices == ()
