"""Makes a clean drawing look like a file that has been around: blurred, noisy, pressed into a JPEG."""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from .registry import RGB


def measure_share(image: Image.Image, bare: Image.Image, colour: RGB) -> float:
    """Return the share of what was drawn onto a bare background that has nearly the given colour, 0 to 1."""
    drawn = np.asarray(image, np.int16)
    changed = np.abs(drawn - np.asarray(bare, np.int16)).max(axis=-1) > 3
    near = np.abs(drawn - np.array(colour, np.int16)).max(axis=-1) < 40
    return float((changed & near).sum() / max(1, changed.sum()))


def press_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after a round trip through a JPEG of that quality."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    buffer.seek(0)
    return Image.open(buffer).convert("RGB")


def add_noise(image: Image.Image, spread: float, rng: random.Random) -> Image.Image:
    """Return the image with Gaussian noise of a standard deviation in grey levels."""
    source = np.random.default_rng(rng.getrandbits(32))
    pixels = np.asarray(image, np.float32)
    grey = rng.random() < 0.4
    noise = source.standard_normal((*pixels.shape[:2], 1 if grey else 3), np.float32) * spread
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def wear(image: Image.Image, rng: random.Random, strength: float = 1.0) -> Image.Image:
    """Return the image after some of blur, noise, light changes and JPEG; `strength` scales their probability."""
    if rng.random() < 0.09 * strength:
        radius = rng.uniform(0.2, 0.8) * min(image.size) / 64
        image = image.filter(ImageFilter.GaussianBlur(radius))
    if rng.random() < 0.2 * strength:
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.85, 1.12))
    if rng.random() < 0.15 * strength:
        image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.85, 1.15))
    if rng.random() < 0.09 * strength:
        image = add_noise(image, rng.uniform(3, 15), rng)
    if rng.random() < 0.3 * strength:
        image = press_jpeg(image, rng.randint(35, 92))
    return image
