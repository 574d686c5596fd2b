"""Random damage to a file, as disks, transfers and people cause it."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def damage(path: Path, others: Sequence[Path], rng: random.Random) -> str:
    """Damage one file, in half of all cases with its old times; what was done.

    `others` are files whose content may come in its place.
    """
    times = path.stat()
    kinds: list[Callable[..., str]] = [_flip, _flip_several, _cut, _append, _zero, _swap, _remove, _empty, _make_folder]
    if path.suffix == ".json":
        kinds += [_edit] * 8
    done = rng.choice(kinds)(path, others, rng)
    if path.is_file() and rng.random() < 0.5:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return f"{path.name}: {done}"


def _flip(path: Path, _: Sequence[Path], rng: random.Random, count: int = 1) -> str:
    content = bytearray(path.read_bytes() or b"x")
    places = [rng.randrange(len(content)) for _ in range(count)]
    for place in places:
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return f"bits flipped at {places}"


def _flip_several(path: Path, others: Sequence[Path], rng: random.Random) -> str:
    return _flip(path, others, rng, rng.randint(2, 40))


def _cut(path: Path, _: Sequence[Path], rng: random.Random) -> str:
    size = rng.randrange(max(1, path.stat().st_size))
    os.truncate(path, size)
    return f"cut to {size}"


def _append(path: Path, _: Sequence[Path], rng: random.Random) -> str:
    count = rng.randint(1, 200)
    with path.open("ab") as file:
        file.write(rng.randbytes(count))
    return f"{count} bytes appended"


def _zero(path: Path, _: Sequence[Path], rng: random.Random) -> str:
    content = bytearray(path.read_bytes())
    start = rng.randrange(max(1, len(content)))
    count = min(rng.choice([8, 64, 512, 4096]), len(content) - start)
    content[start : start + count] = bytes(count)
    path.write_bytes(content)
    return f"{count} zeros at {start}"


def _swap(path: Path, others: Sequence[Path], rng: random.Random) -> str:
    other = rng.choice(others)
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)
    return f"swapped with {other.name}"


def _remove(path: Path, *_: object) -> str:
    path.unlink()
    return "removed"


def _empty(path: Path, *_: object) -> str:
    path.write_bytes(b"")
    return "emptied"


def _make_folder(path: Path, *_: object) -> str:
    path.unlink()
    path.mkdir()
    return "a folder in its place"


def _edit(path: Path, _: Sequence[Path], rng: random.Random) -> str:
    """Another value, of the same or of another type, somewhere in a JSON file; or a key less or more."""
    record = json.loads(path.read_bytes())
    container: Any = record
    while True:
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        key = rng.choice(keys) if keys else None
        if key is None or not isinstance(container[key], dict | list) or not container[key] or rng.random() < 0.3:
            break
        container = container[key]
    if key is None:
        return "nothing to edit"
    old = container[key]
    if rng.random() < 0.15 and isinstance(container, dict):
        del container[key]
        done = f"{key} removed"
    else:
        values: list[Any] = [
            None,
            True,
            -1,
            0,
            7,
            10**30,
            1.5,
            float("nan"),
            "",
            "x",
            "../../x",
            [],
            {},
            [old],
            "1" * 64,
        ]
        if isinstance(old, int) and not isinstance(old, bool):
            values += [old + 1, old - 1, old * 2, str(old), float(old)] * 3
        if isinstance(old, str):
            values += [old + "x", old.upper(), old[1:], old[::-1]] * 3
        container[key] = rng.choice(values)
        done = f"{key}: {old!r:.40} → {container[key]!r:.40}"
    path.write_text(json.dumps(record, indent=1))
    return done


def restore(folder: Path, whole: Path) -> None:
    """Make a folder what another one is."""
    shutil.rmtree(folder)
    shutil.copytree(whole, folder)
