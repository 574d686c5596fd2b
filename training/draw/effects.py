"""Makes a clean drawing look like a file that has been around: warped, blurred, noisy, pressed into a JPEG."""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from .registry import RGB


def _coefficients(corners: list[tuple[float, float]], width: int, height: int) -> list[float]:
    """Return Pillow's eight perspective coefficients that map the frame onto `corners` of the source."""
    frame = ((0, 0), (width, 0), (width, height), (0, height))
    rows, values = [], []
    for (x, y), (u, v) in zip(frame, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(number) for number in np.linalg.solve(np.array(rows, float), np.array(values, float))]


def tilt(image: Image.Image, amount: float, fill: RGB, rng: random.Random) -> Image.Image:
    """Return the image as if photographed at an angle; `amount` is a share of its size."""
    width, height = image.size
    corners = [
        (x + rng.uniform(-amount, amount) * width, y + rng.uniform(-amount, amount) * height)
        for x, y in ((0, 0), (width, 0), (width, height), (0, height))
    ]
    data = _coefficients(corners, width, height)
    return image.transform(image.size, Image.Transform.PERSPECTIVE, data, Image.Resampling.BILINEAR, fillcolor=fill)


def shade(image: Image.Image, bare: Image.Image, rng: random.Random) -> None:
    """Make what was drawn onto a bare background lighter towards one side and darker towards the other, in place."""
    drawn = ImageChops.difference(image, bare).convert("L").point(lambda level: 255 if level > 3 else 0)
    box = drawn.getbbox()
    if not box:
        return
    width, height = box[2] - box[0], box[3] - box[1]
    ramp = Image.linear_gradient("L").rotate(rng.choice((0, 0, 0, 20, -20, 45, -45)), expand=False, fillcolor=128)
    if rng.random() < 0.3:
        ramp = Image.radial_gradient("L")
    ramp = ramp.resize((width, height), Image.Resampling.BILINEAR)
    strength = rng.uniform(0.15, 0.45)
    part = image.crop(box)
    for tone, light in (((255, 255, 255), ImageChops.invert(ramp)), ((0, 0, 0), ramp)):
        level = light.point(lambda x: round(max(0, x - 110) * strength))
        part.paste(tone, (0, 0, width, height), level)
    image.paste(part, box, drawn.crop(box))


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
