"""An archive that lives: what other programs and upgrades change, and which vectors are computed again for it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Machine
from PIL import Image

import clipsim
from clipsim.models import identity

EXIFTOOL = shutil.which("exiftool")
XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'>holiday</x:xmpmeta>"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a JPEG, a PNG and a WebP, none of them square."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for name, colour in (("a.jpg", "red"), ("b.png", "blue"), ("c.webp", "green")):
        image = Image.new("RGB", (60, 40), colour)
        image.paste("white", (0, 0, 20, 10))
        image.save(folder / name)
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", 0)
    return folder


def computed(machine: Machine, archive: Path, **options: object) -> int:
    """How many images a run encodes now."""
    before = sum(sum(encoder.image_batches) for encoder in machine.encoders)
    with clipsim.open("clipsim-mini", **options) as session:  # type: ignore[arg-type]
        session.search(archive, ["red"])
    return sum(sum(encoder.image_batches) for encoder in machine.encoders) - before


def write_tags(*arguments: str | Path) -> None:
    """Let ExifTool change files."""
    if EXIFTOOL is None:
        pytest.skip("needs exiftool")
    subprocess.run([EXIFTOOL, "-q", "-overwrite_original", *map(str, arguments)], check=True)


def test_keywords_of_exiftool(machine: Machine, archive: Path) -> None:
    """They change the files and no vector."""
    assert computed(machine, archive) == 3
    before = {path: path.read_bytes() for path in archive.iterdir()}
    write_tags("-XMP:Subject=holiday", "-Artist=somebody", archive)

    assert all(path.read_bytes() != data for path, data in before.items())
    assert computed(machine, archive) == 0
    assert computed(machine, archive) == 0  # the new files are known by their stamps


def test_a_turn_by_exiftool(machine: Machine, archive: Path) -> None:
    """Shows another image; turned back, it is the one of before."""
    computed(machine, archive)
    write_tags("-n", "-Orientation=6", archive / "a.jpg")
    assert computed(machine, archive) == 1
    write_tags("-n", "-Orientation=1", archive / "a.jpg")
    assert computed(machine, archive) == 0


def test_metadata_of_any_program(machine: Machine, archive: Path) -> None:
    """A segment with a keyword, written and removed again."""
    computed(machine, archive)
    path = archive / "a.jpg"
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(XMP) + 2).to_bytes(2, "big") + XMP + data[2:])
    assert computed(machine, archive) == 0
    path.write_bytes(data)
    assert computed(machine, archive) == 0


def test_names_and_times(machine: Machine, archive: Path) -> None:
    """A file that was moved, copied or touched is the same image."""
    computed(machine, archive)
    (archive / "sorted").mkdir()
    (archive / "a.jpg").rename(archive / "sorted" / "2024.jpg")
    shutil.copy(archive / "b.png", archive / "copy.png")
    (archive / "c.webp").touch()

    assert computed(machine, archive) == 0


def test_other_pixels(machine: Machine, archive: Path) -> None:
    """Only the image that was edited is computed again."""
    computed(machine, archive)
    Image.new("RGB", (60, 40), "yellow").save(archive / "b.png")

    assert computed(machine, archive) == 1


@pytest.mark.parametrize("package", ["torch", "Pillow", "onnxruntime", "numpy"])
def test_an_upgrade(machine: Machine, archive: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Of a library that does the work computes nothing again."""
    machine.identity = None  # by the model's files, and what else decides its vectors
    assert computed(machine, archive) == 3
    original = identity.package_version
    for module in ("clipsim.models.identity", "clipsim.embedding.embedder"):
        monkeypatch.setattr(f"{module}.package_version", lambda name: "99.1" if name == package else original(name))
    monkeypatch.setattr("PIL.__version__", "99.1")

    assert computed(machine, archive) == 0


def test_an_export_and_its_removal(machine: Machine, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is no part of what decides a vector."""
    assert computed(machine, archive) == 3
    original = machine.plan_engine
    monkeypatch.setattr(
        "clipsim.embedding.embedder.plan_engine",
        lambda *args, **options: replace(original(*args, **options), engine="onnx"),
    )
    assert computed(machine, archive) == 0
    monkeypatch.setattr("clipsim.embedding.embedder.plan_engine", original)
    assert computed(machine, archive) == 0


def test_the_limit_on_pixels(machine: Machine, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another limit changes no vector; a lower one refuses what is larger, cached or not."""
    Image.new("RGB", (30, 20), "blue").save(archive / "small.png")
    computed(machine, archive)
    for limit in ("300000000", "2400"):
        monkeypatch.setenv("CLIPSIM_MAX_PIXELS", limit)
        assert computed(machine, archive) == 0
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "2399")
    with clipsim.open("clipsim-mini") as session:
        result = session.rank(archive, ["red"])

    assert [Path(image).name for image in result.images] == ["small.png"]
    assert {error.error.split(":")[0] for error in result.errors} == {"60 × 40"}


def test_exact_decoding(machine: Machine, archive: Path) -> None:
    """Only large JPEGs are decoded otherwise, and only they are computed again; both vectors are kept."""
    rng = np.random.default_rng(0)
    large = Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)).resize((2448, 1672))
    large.save(archive / "large.jpg", quality=60)
    assert computed(machine, archive) == 4
    assert computed(machine, archive, exact=True) == 1
    assert computed(machine, archive) == 0
    assert computed(machine, archive, exact=True) == 0
