"""Tests of `images.limits`: the limits on pixels and memory, in the library and beside Pillow's own."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
from pictures import saved
from PIL import Image

from clipsim.errors import ImageError, UsageError
from clipsim.images.decode import decoded_file, load_image
from clipsim.images.limits import DecodingRules, MemoryBudget, max_pixels


def test_a_file_too_large_for_any_picture_is_refused_unread(tmp_path: Path) -> None:
    """Fifty gigabytes that take no space on the disk; the limit follows the one on pixels."""
    with (tmp_path / "endless.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff\xe0")
        file.truncate(50 << 30)

    with pytest.raises(ImageError) as caught:
        load_image(str(tmp_path / "endless.jpg"))
    assert str(caught.value) == "a file of 53,687,091,200 bytes, larger than any image of 178,000,000 pixels"


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on width × height, and the error names the variable that raises it."""
    Image.new("1", (400, 300)).save(tmp_path / "large.png")
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "119999")
    with pytest.raises(ImageError, match="400 × 300: more pixels than the limit of 119,999; CLIPSIM_MAX_PIXELS"):
        load_image(str(tmp_path / "large.png"))

    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "120000")
    assert load_image(str(tmp_path / "large.png")).size == (400, 300)

    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "many")
    with pytest.raises(UsageError, match="whole number"):
        load_image(str(tmp_path / "large.png"))


@pytest.mark.parametrize("setting", ["0", "-5", "1e9", " 5", "٣½"])
def test_a_limit_that_is_not_a_positive_whole_number(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """It is wrong usage, and never silently the default."""
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", setting)

    with pytest.raises(UsageError, match="it must be a whole number of pixels"):
        max_pixels()


def test_a_raised_limit_opens_what_pillow_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """196 megapixels in a program that uses clipsim: Pillow's own limit is 179, and it warns from half of that."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # so that it is restored
    file = io.BytesIO(saved(Image.new("L", (14_000, 14_000), 200), "JPEG"))
    with pytest.raises(ImageError, match="more pixels than the limit of 178,000,000; CLIPSIM_MAX_PIXELS raises it"):
        load(file)

    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "400000000")
    file.seek(0)
    picture = load(file)
    assert picture.size == (1750, 1750)
    assert picture.getpixel((900, 900)) == (200, 200, 200)

    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "180000000")
    file.seek(0)
    with pytest.raises(ImageError, match="14000 × 14000: more pixels than the limit of 180,000,000; "):
        load(file)


def load(file: io.BytesIO) -> Image.Image:
    """Decode at an eighth of the size, to save time and memory."""
    with decoded_file(file, min_side=224) as picture:
        return picture


@pytest.mark.parametrize("own", [1000, 3000, None])
def test_every_picture_within_a_raised_limit_opens_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, own: int | None
) -> None:
    """Whatever Pillow's own limit is, which stays as it is, up to the last pixel of clipsim's."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", own)
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "6000")

    assert load(io.BytesIO(saved(Image.new("L", (100, 50), 1), "PNG"))).size == (100, 50)
    assert load(io.BytesIO(saved(Image.new("L", (6000, 1), 1), "PNG"))).size == (6000, 1)
    for width in (6001, 12_001):
        with pytest.raises(ImageError, match=r"than the limit of 6,000; CLIPSIM_MAX_PIXELS raises it"):
            load(io.BytesIO(saved(Image.new("L", (width, 1), 1), "PNG")))
    assert own == Image.MAX_IMAGE_PIXELS


def test_pillows_limit_is_left_alone_and_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that has lowered it means it, unless CLIPSIM_MAX_PIXELS is set; Pillow refuses at twice its setting."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.delenv("CLIPSIM_MAX_PIXELS", raising=False)

    with pytest.raises(ImageError) as caught:
        load(io.BytesIO(saved(Image.new("L", (51, 50), 1), "PNG")))
    assert str(caught.value) == (
        "more pixels than the limit of 2,000 that PIL.Image.MAX_IMAGE_PIXELS sets; CLIPSIM_MAX_PIXELS raises it"
    )
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_the_rules_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another limit, or `exact`, makes other rules."""
    usual, exact = DecodingRules(), DecodingRules(exact=True)
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "5")

    assert usual == DecodingRules(max_pixels=178_000_000)
    assert len({usual, exact, DecodingRules()}) == 3


def test_threads_wait_for_the_budget() -> None:
    """What is held together fits into the budget; a request larger than the budget is granted when nothing is held."""
    memory = MemoryBudget(10)
    held: list[int] = []
    seen: set[tuple[int, ...]] = set()
    guard = threading.Lock()

    def use(amount: int) -> None:
        with memory.take(amount):
            with guard:
                held.append(amount)
                seen.add(tuple(sorted(held)))
            time.sleep(0.01)
            with guard:
                held.remove(amount)

    threads = [threading.Thread(target=use, args=(amount,)) for amount in (4, 4, 4, 25, 6, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert memory.taken == 0
    assert held == []
    assert (25,) in seen
    assert all(sum(amounts) <= 10 for amounts in seen - {(25,)})
    assert any(len(amounts) > 1 for amounts in seen)
