"""Pictures as people keep them, for tests of many: a folder with broken files in it, tar shards, a torn one."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}


@dataclass(frozen=True)
class Collection:
    """What to embed (`inputs`), the names of the good pictures in order, and the names of what is broken."""

    inputs: list[str]
    good: list[str]
    broken: list[str]


def encoded(rng: np.random.Generator, form: str = "JPEG") -> bytes:
    """A small picture of two smooth colours, not square."""
    image = Image.fromarray(rng.integers(0, 256, (2, 3, 3), dtype=np.uint8)).resize((48, 36), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def make_collection(folder: Path, pictures: int = 200, broken: int = 20, members: int = 10) -> Collection:
    """A folder of pictures, every so many broken in some way, and three tars with captions, the last torn."""
    rng = np.random.default_rng(pictures)
    (folder / "pictures").mkdir(parents=True)
    good: list[str] = []
    bad: list[str] = []
    for number in range(pictures):
        suffix = list(FORMATS)[number % len(FORMATS)]
        path = folder / "pictures" / f"{number:04}.{suffix}"
        content = encoded(rng, FORMATS[suffix])
        damaged = broken and number % (pictures // broken) == 3
        (bad if damaged else good).append(str(path))
        if damaged:
            kind = len(bad) % 6
            if kind == 0 and hasattr(os, "mkfifo"):
                os.mkfifo(path)
                continue
            if kind in (0, 1):
                path.symlink_to("nowhere")
                continue
            content = {2: b"", 3: content[: len(content) // 2], 4: b"<html>", 5: os.urandom(99)}[kind]
        path.write_bytes(content)
    tars = [str(folder / f"part{number}.tar") for number in range(3)]
    for tar in tars:
        with tarfile.open(tar, "w") as made:
            for number in range(members):
                for suffix, content in (("jpg", encoded(rng)), ("txt", f"picture {number}".encode())):
                    info = tarfile.TarInfo(f"{number:04}.{suffix}")
                    info.size = len(content)
                    made.addfile(info, io.BytesIO(content))
        with tarfile.open(tar) as made:
            cut = made.getmember(f"{members // 2:04}.jpg").offset_data + 100
        whole = members // 2 if tar == tars[-1] else members
        good += [f"{tar}/{number:04}.jpg" for number in range(whole)]
    os.truncate(tars[-1], cut)
    return Collection([str(folder / "pictures"), *tars], good, [*bad, tars[-1]])
