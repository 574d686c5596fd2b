"""Tests of `images.raw`: the preview of a RAW file, upright, and what damaged files do."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_files import make_dng

from clipsim.errors import ImageError
from clipsim.images.decode import decoded_file, load_image, read_size
from clipsim.images.raw import is_raw

TURNS = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_270,
    8: Image.Transpose.ROTATE_90,
}


def written(folder: Path, data: bytes, name: str = "shot.dng") -> str:
    """The path of a new file."""
    (folder / name).write_bytes(data)
    return str(folder / name)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two images of a size, in grey values."""
    assert one.size == other.size
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())


@pytest.mark.parametrize("orientation", TURNS)
def test_the_preview_is_upright(tmp_path: Path, photo: Image.Image, orientation: int) -> None:
    """It is turned as the RAW file says; its size is the preview's, not that of the sensor."""
    pytest.importorskip("rawpy")
    path = written(tmp_path, make_dng(photo, orientation), "any name.jpg")
    turn = TURNS[orientation]
    upright = photo if turn is None else photo.transpose(turn)

    assert difference(load_image(path), upright) < 3
    with Path(path).open("rb") as file:
        assert read_size(file) == upright.size
        file.seek(0)
        with decoded_file(file, 16, draft_pixels=0) as reduced:
            assert reduced.size != upright.size
            assert read_size(file, reduced) == upright.size


def test_a_preview_that_was_turned_already_stays(tmp_path: Path, photo: Image.Image) -> None:
    """Its sides say so: they are those of the sensor's image after the turn."""
    pytest.importorskip("rawpy")
    upright = photo.transpose(Image.Transpose.ROTATE_270)

    assert difference(load_image(written(tmp_path, make_dng(upright, 6))), upright) < 3


def test_without_its_package_the_extra_is_named(
    tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than decoding a small preview that Pillow finds in the file."""
    monkeypatch.setitem(sys.modules, "rawpy", None)

    with pytest.raises(ImageError, match=r"^a RAW file, which needs rawpy; pip install 'clipsim\[raw\]'$"):
        load_image(written(tmp_path, make_dng(photo)))


@pytest.mark.parametrize(
    "start",
    [
        b"II*\0\x10\0\0\0CR\2\0", b"FUJIFILMCCD-RAW 0201FF", b"IIRO\x08\0\0\0", b"MMOR\0\0\0\x08", b"IIU\0\x18\0\0\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    ],
)  # fmt: skip
def test_every_kind_is_known_by_its_start(tmp_path: Path, start: bytes) -> None:
    """CR2, RAF, ORF, RW2 and CR3, none of which Pillow opens; damaged here."""
    pytest.importorskip("rawpy")
    with pytest.raises(ImageError, match=r"^a (damaged )?RAW file"):
        load_image(written(tmp_path, start + b"\0" * 200))


def test_a_tiff_is_no_raw_file(tmp_path: Path, photo: Image.Image) -> None:
    """Nor is anything else that Pillow writes."""
    for kind in ("TIFF", "PNG", "JPEG", "WEBP"):
        buffer = io.BytesIO()
        photo.save(buffer, kind)
        buffer.seek(0)
        assert not is_raw(buffer, buffer.getvalue()[:512])
        assert buffer.tell() == 0


def refusal(path: str) -> str | None:
    """Why a file is refused; None where it is not."""
    try:
        load_image(path)
    except ImageError as error:
        return str(error)
    return None


def test_damaged_files_are_one_clear_error(tmp_path: Path, photo: Image.Image) -> None:
    """Wherever they are cut, and whatever is written over them."""
    pytest.importorskip("rawpy")
    whole = make_dng(photo)
    rng = np.random.default_rng(0)
    damaged = [whole[:length] for length in rng.integers(8, len(whole), 40)]
    for _ in range(150):
        changed = bytearray(whole)
        for position in rng.integers(4, 700, 6):
            changed[position] = int(rng.integers(256))
        damaged.append(bytes(changed))
    messages = [message for data in damaged if (message := refusal(written(tmp_path, data))) is not None]

    assert len(messages) > 30
    assert all("\n" not in message and len(message) < 300 for message in messages)


def test_the_limit_on_pixels_holds_for_both(
    tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the sensor's image, and for the preview, which our own decoder reads."""
    pytest.importorskip("rawpy")
    path = written(tmp_path, make_dng(photo))
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "1000")
    with pytest.raises(ImageError, match=r"^64 × 48: more pixels than the limit of 1,000"):
        load_image(path)
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "10000")
    with pytest.raises(ImageError, match=r"^180 × 120: more pixels than the limit of 10,000"):
        load_image(path)
