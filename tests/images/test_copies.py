"""Tests of `images.copies`: copies by content are told from pictures that only look alike; the better one is known."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confusable_pictures import FAMILIES, change_detail
from PIL import Image, ImageDraw, ImageFont

from clipsim.images.copies import CopyCheck, ImageHeader, could_be_copies, read_header
from clipsim.inputs.sources import BytesSource

Change = Callable[[Image.Image], bytes]
PLAIN = ImageHeader((400, 300), loss=0, frames=False, alpha=False, deep=False)


def encode(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def resized(factor: float, way: Image.Resampling, form: str = "PNG", **options: Any) -> Change:
    """The change to a picture of another size."""

    def change(image: Image.Image) -> bytes:
        size = round(image.width * factor), round(image.height * factor)
        return encode(image.resize(size, way), form, **options)

    return change


def draw_photo(seed: int) -> Image.Image:
    """Noise of several sizes, as a photo has it."""
    rng = np.random.default_rng(seed)
    total = np.zeros((300, 400), np.float32)
    for cells, strength in ((6, 90), (24, 45), (100, 25), (400, 18)):
        part = Image.fromarray(rng.normal(size=(cells * 3 // 4, cells)).astype(np.float32))
        total += strength * np.asarray(part.resize((400, 300), Image.Resampling.BICUBIC))
    tints = np.stack([total, total * 0.8 + 10, total * 0.6 + 20], -1) + 120
    return Image.fromarray(np.clip(tints, 0, 255).astype(np.uint8))


DRAWN = {**FAMILIES, "photo": draw_photo}


@cache
def drawn(kind: str, seed: int = 1) -> Image.Image:
    """A picture of a family."""
    return DRAWN[kind](seed)


@cache
def original(kind: str) -> bytes:
    """Its file, without loss."""
    return encode(drawn(kind))


WAYS, WAYS_TO_TURN = Image.Resampling, Image.Transpose
COPIES: dict[str, Change] = {
    "PNG": encode,
    "JPEG 5": lambda image: encode(image, "JPEG", quality=5),
    "JPEG 60": lambda image: encode(image, "JPEG", quality=60),
    "JPEG 95": lambda image: encode(image, "JPEG", quality=95),
    "WebP 80": lambda image: encode(image, "WEBP", quality=80),
    "metadata": lambda image: encode(image, "JPEG", quality=90, comment=b"holiday"),
    "0.75": resized(0.75, WAYS.LANCZOS),
    "half, box": resized(0.5, WAYS.BOX),
    "half, bicubic, JPEG 60": resized(0.5, WAYS.BICUBIC, "JPEG", quality=60),
    "a third, bilinear": resized(1 / 3, WAYS.BILINEAR),
}
CROPS: dict[str, Change] = {
    f"{percent} %": lambda image, cut=percent / 200: encode(  # type: ignore[misc]
        image.crop(
            (round(image.width * cut), round(image.height * cut), round(image.width * (1 - cut)),
             round(image.height * (1 - cut)))
        )
    )
    for percent in (1, 2, 5, 15)
}  # fmt: skip
OTHERS: dict[str, Change] = {
    **CROPS,
    "mirrored": lambda image: encode(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "turned by 180°": lambda image: encode(image.transpose(Image.Transpose.ROTATE_180)),
    "brighter": lambda image: encode(image.point(lambda value: min(255, value + 12))),
    "twice, quality 5": resized(2, WAYS.LANCZOS, "JPEG", quality=5),
}


def copied(kept: bytes, other: bytes) -> bool:
    """Whether the second file is a copy of the first, as `duplicates` asks."""
    first, second = BytesSource("kept", kept), BytesSource("other", other)
    return could_be_copies(read_header(first), read_header(second)) and CopyCheck().is_copy(first, second)


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("change", COPIES)
def test_copies(kind: str, change: str) -> None:
    """Re-encoded and reduced pictures of every family are copies of the original."""
    if (kind, change) == ("photo", "0.75"):
        pytest.skip("a soft photo has no more detail than its copy of three quarters")

    assert copied(original(kind), COPIES[change](drawn(kind)))


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("change", [name for name in COPIES if name != "PNG"])
def test_pictures_that_look_alike(kind: str, change: str) -> None:
    """Another picture of the family is none, however it was encoded or reduced."""
    assert not copied(original(kind), COPIES[change](drawn(kind, 2)))


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("change", ["PNG", "JPEG 60", "WebP 80", "half, box", "half, bicubic, JPEG 60"])
def test_one_detail(kind: str, change: str) -> None:
    """Neither is one in which a single figure, minute or mole differs."""
    image, changed = change_detail(kind)

    assert not copied(encode(image), COPIES[change](changed))
    assert copied(encode(changed), COPIES[change](changed))


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("change", OTHERS)
def test_changed_pictures(kind: str, change: str) -> None:
    """Crops, turns and pictures of another brightness or of bad quality stand for themselves, in both directions."""
    changed = OTHERS[change](drawn(kind))
    if (kind, change) == ("clocks", "mirrored"):
        pytest.skip("a clock may be its own mirror image")

    assert not copied(original(kind), changed)
    assert not copied(changed, original(kind))


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("quality", [5, 90])
@pytest.mark.parametrize("factor", [1.3, 2])
def test_an_enlargement_is_not_better(kind: str, quality: int, factor: float) -> None:
    """It has more pixels, and the original is not its copy, whatever the quality."""
    image = drawn(kind)

    assert not copied(resized(factor, WAYS.LANCZOS, "JPEG", quality=quality)(image), original(kind))
    assert not copied(resized(factor, WAYS.BICUBIC)(image), original(kind))


def write(said: str, ink: int = 0, size: int = 10, paper: int = 240) -> Image.Image:
    """A note."""
    image = Image.new("RGB", (300, 200), (paper,) * 3)
    ImageDraw.Draw(image).text((40, 60), said, fill=(ink,) * 3, font=ImageFont.load_default(size))
    return image


@pytest.mark.parametrize(
    ("note", "other"),
    [
        (write("lunch at 12."), write("lunch at 12:")),
        (write("lunch at 12,"), write("lunch at 12;")),
        (write("secret 4711", 228, 50), write("pencil 99", 228, 50)),
        (write("secret", 200), write("", 200)),
        (write("", paper=240), write("", paper=239)),
    ],
)
@pytest.mark.parametrize("change", ["PNG", "JPEG 95", "WebP 80"])
def test_small_and_faint_details(note: Image.Image, other: Image.Image, change: str) -> None:
    """A full stop, a pencil's writing: whatever the file shows and the kept one does not."""
    if note.getpixel((0, 0)) != other.getpixel((0, 0)) and change != "PNG":
        pytest.skip("one grey value is what encoders round")

    assert not copied(encode(note), COPIES[change](other))
    assert copied(encode(other), COPIES[change](other))


def test_transparency() -> None:
    """White on nothing is not a white picture; an opaque picture with a channel for transparency is an opaque one."""
    logos = []
    for said in ("one", "two"):
        logo = Image.new("RGBA", (300, 200), (255, 255, 255, 0))
        ImageDraw.Draw(logo).text((40, 60), said, fill="white", font=ImageFont.load_default(40))
        logos.append(logo)
    first, second = map(encode, logos)
    photo = draw_photo(1)

    assert not copied(first, second)
    assert not copied(first, encode(Image.new("RGB", (300, 200), "white")))
    assert copied(first, encode(logos[0], "TIFF"))
    assert copied(encode(photo.convert("RGBA")), encode(photo, "JPEG", quality=80))


def test_a_photo_that_is_turned_by_its_exif_data() -> None:
    """It is encoded again as it lies in the file."""
    photo, exif = draw_photo(1), Image.Exif()
    for value, turn in ((2, WAYS_TO_TURN.FLIP_LEFT_RIGHT), (6, WAYS_TO_TURN.ROTATE_90), (8, WAYS_TO_TURN.ROTATE_270)):
        exif[0x0112] = value

        assert copied(encode(photo), encode(photo.transpose(turn), "JPEG", quality=70, exif=exif))
        assert not copied(encode(draw_photo(2)), encode(photo.transpose(turn), "JPEG", quality=70, exif=exif))


def test_what_a_comparison_does_not_see() -> None:
    """Frames, a film behind a photo and deep pixels, in the kept picture too."""
    still = Image.new("RGB", (64, 48), "red")
    moving = encode(still, "GIF", save_all=True, append_images=[Image.new("RGB", (64, 48), "blue")])
    filmed = encode(still, "JPEG", xmp=b'<rdf:Description GCamera:MotionPhoto="1"/>')
    deep = b"P6 64 48 65535 " + np.full((48, 64, 3), 40_000, ">u2").tobytes()
    for data in (moving, filmed, deep):
        assert not could_be_copies(read_header(BytesSource("a", encode(still))), read_header(BytesSource("b", data)))
        assert not could_be_copies(read_header(BytesSource("b", data)), read_header(BytesSource("a", encode(still))))


def test_the_facts_of_formats() -> None:
    """What loses nothing, what loses something, and what has more than the comparison sees."""
    image = draw_photo(1)
    palette, grey = image.quantize(256), Image.fromarray(np.full((300, 400), 40_000, np.uint16))
    frames = {"save_all": True, "append_images": [draw_photo(2)]}
    expected = {
        encode(image): PLAIN,
        encode(image, "BMP"): PLAIN,
        encode(image, "WEBP", lossless=True): PLAIN,
        encode(Image.new("P", (400, 300))): PLAIN,
        encode(image, "JPEG"): ImageHeader((400, 300), 1, frames=False, alpha=False, deep=False),
        encode(image, "WEBP"): ImageHeader((400, 300), 1, frames=False, alpha=False, deep=False),
        encode(image, "TIFF", compression="jpeg"): ImageHeader((400, 300), 1, frames=False, alpha=False, deep=False),
        encode(palette): ImageHeader((400, 300), 2, frames=False, alpha=False, deep=False),
        encode(image, "PNG", **frames): ImageHeader((400, 300), 0, frames=True, alpha=False, deep=False),
        encode(image, "TIFF", **frames): ImageHeader((400, 300), 0, frames=True, alpha=False, deep=False),
        encode(image.convert("RGBA")): ImageHeader((400, 300), 0, frames=False, alpha=True, deep=False),
        encode(grey): ImageHeader((400, 300), 0, frames=False, alpha=False, deep=True),
    }

    assert [read_header(BytesSource("x", data)) for data in expected] == list(expected.values())
    assert [could_be_copies(PLAIN, facts) for facts in expected.values()] == [True] * 8 + [False, False, True, False]
    assert not could_be_copies(read_header(BytesSource("x", encode(palette))), PLAIN)


@pytest.mark.parametrize(
    ("size", "possible"),
    [
        ((400, 300), True), ((200, 150), True), ((133, 100), True), ((399, 299), False), ((380, 285), False),
        ((300, 400), False), ((150, 200), False), ((200, 148), False), ((100, 75), False),
    ],
)  # fmt: skip
def test_sizes(size: tuple[int, int], possible: bool) -> None:
    """A copy has the same size or proportions, and is not so little smaller that it could be a crop."""
    other = ImageHeader(size, loss=1, frames=False, alpha=False, deep=False)

    assert could_be_copies(PLAIN, other) == possible


def test_the_page_has_the_thresholds() -> None:
    """The figures on the page are those of the code."""
    text = " ".join((Path(__file__).parents[2] / "docs" / "duplicates.md").read_text().split())

    assert "by at most 4 grey values" in text
    assert "at least 0.3 of the size" in text
    assert "more than 50 megapixels" in text
