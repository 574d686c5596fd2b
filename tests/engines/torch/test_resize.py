"""Tests of `engines.torch.resize`: as Pillow resizes, within two levels; where it is used, and what is cached then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Machine
from PIL import Image

import clipsim
from clipsim.engines.preprocessing import Preprocessing
from clipsim.engines.torch.resize import resize_by_torch


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
@pytest.mark.parametrize("size", [(64, 48), (90, 200), (360, 1), (400, 300), (150, 100)])
def test_as_pillow_within_two_levels(photo: Image.Image, resample: Image.Resampling, size: tuple[int, int]) -> None:
    """Smaller, larger and turned; the next test says how many values are off."""
    expected = np.asarray(photo.resize(size, resample), np.int16)

    actual = resize_by_torch(photo, size, resample)

    assert (actual.mode, actual.size) == ("RGB", size)
    difference = np.abs(np.asarray(actual, np.int16) - expected)
    assert difference.max() <= 2


def test_few_values_are_off() -> None:
    """Of an image of the usual size, with grain."""
    rng = np.random.default_rng(0)
    fields = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize((640, 480))
    image = Image.fromarray(
        np.clip(np.asarray(fields, np.float32) + rng.normal(0, 5, (480, 640, 1)), 0, 255).astype(np.uint8)
    )
    for resample in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
        by_torch = np.asarray(resize_by_torch(image, (299, 224), resample), np.int16)
        by_pillow = np.asarray(image.resize((299, 224), resample), np.int16)

        assert (by_torch != by_pillow).mean() < 0.02


@pytest.mark.parametrize("size", [64, 150, 400])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_all_modes_of_a_model(photo: Image.Image, mode: str, size: int) -> None:
    """Crops and padding are as by Pillow."""
    by_pillow = Preprocessing.of(size, {"resize_mode": mode, "fill_color": 7})
    by_torch = Preprocessing(**{**vars(by_pillow), "backend": "torch"})

    difference = by_torch.prepare(photo).astype(int) - by_pillow.prepare(photo)

    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize(
    ("device", "precision", "exact", "backend"),
    [
        ("cuda", None, False, "torch"),
        ("cuda:1", "bf16", False, "torch"),
        ("cuda", "fp32", False, "pillow"),
        ("cuda", "fp16", True, "pillow"),
        ("cpu", "fp16", False, "pillow"),
        ("mps", "fp16", False, "pillow"),
    ],
)
def test_where_images_are_resized_by_torch(
    machine: Machine, colours: Path, device: str, precision: str | None, exact: bool, backend: str
) -> None:
    """On a GPU in half precision; the result of a session says so, and its vectors are kept apart."""
    options = {"model": "clipsim-mini", "exact": exact}
    with clipsim.open(**options, device=device, precision=precision) as session:  # type: ignore[arg-type]
        session.encode_images(colours)
        assert session.embedder.facts.preprocessing.backend == backend
    with clipsim.open(**options, device="cpu", precision=precision or "fp16") as session:  # type: ignore[arg-type]
        session.encode_images(colours)
    by_device = [sum(encoder.image_batches) for encoder in machine.encoders]

    assert by_device == ([3, 3] if backend == "torch" else [3])
