"""RAW files for tests: a DNG of a few pixels with a JPEG preview in it, as libraw reads it."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

Entry = tuple[int, int, list[int]]  # a tag, its type, its values
_FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 10: "i"}
_BYTE, _TEXT, _SHORT, _LONG, _RATIONAL = 1, 2, 3, 4, 10


def make_dng(preview: Image.Image, orientation: int = 1, sensor: tuple[int, int] = (64, 48)) -> bytes:
    """A DNG whose first directory is the preview, a JPEG without EXIF, and whose second is a sensor's image."""
    buffer = io.BytesIO()
    preview.save(buffer, "JPEG", quality=92)
    jpeg = buffer.getvalue()
    width, height = sensor
    pixels = np.random.default_rng(0).integers(0, 4000, (height, width)).astype("<u2").tobytes()

    def directories(raw_at: int, jpeg_at: int, second_at: int) -> tuple[bytes, bytes]:
        first: list[Entry] = [
            (254, _LONG, [1]), (256, _LONG, [preview.width]), (257, _LONG, [preview.height]), (258, _SHORT, [8, 8, 8]),
            (259, _SHORT, [7]), (262, _SHORT, [6]), (271, _TEXT, list(b"Maker\0")), (272, _TEXT, list(b"Model\0")),
            (273, _LONG, [jpeg_at]), (274, _SHORT, [orientation]), (277, _SHORT, [3]), (278, _LONG, [preview.height]),
            (279, _LONG, [len(jpeg)]), (330, _LONG, [second_at]), (50706, _BYTE, [1, 4, 0, 0]),
            (50708, _TEXT, list(b"Maker Model\0")), (50721, _RATIONAL, [1, 1, *[0, 1] * 3] * 2 + [1, 1]),
        ]  # fmt: skip
        second: list[Entry] = [
            (254, _LONG, [0]), (256, _LONG, [width]), (257, _LONG, [height]), (258, _SHORT, [16]), (259, _SHORT, [1]),
            (262, _SHORT, [32803]), (273, _LONG, [raw_at]), (277, _SHORT, [1]), (278, _LONG, [height]),
            (279, _LONG, [len(pixels)]), (33421, _SHORT, [2, 2]), (33422, _BYTE, [0, 1, 1, 2]),
        ]  # fmt: skip
        return _directory(first, 8), _directory(second, second_at)

    first, second = directories(0, 0, 0)
    second_at = 8 + len(first)
    raw_at = second_at + len(second)
    first, second = directories(raw_at, raw_at + len(pixels), second_at)
    return b"II*\0" + struct.pack("<I", 8) + first + second + pixels + jpeg


def _directory(entries: list[Entry], offset: int) -> bytes:
    """A directory of a TIFF at an offset, with the values that do not fit into it behind it."""
    table, beyond = struct.pack("<H", len(entries)), b""
    behind = offset + 2 + 12 * len(entries) + 4
    for tag, kind, values in entries:
        data = struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
        count = len(values) // (2 if kind == _RATIONAL else 1)
        if len(data) > 4:
            position = behind + len(beyond)
            beyond += data + b"\0" * (len(data) % 2)
            data = struct.pack("<I", position)
        table += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
    return table + struct.pack("<I", 0) + beyond
