"""Tests of `clipsim duplicates … -l -0 | xargs -0 rm` as the page recommends it: no picture loses its last copy."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from colorsys import hsv_to_rgb
from pathlib import Path

import numpy as np
import pytest
from forked_processes import forked_command
from PIL import Image
from process.programs import COLOURS


def draw(seed: int, size: tuple[int, int] = (120, 80)) -> Image.Image:
    """A pattern of its own, not square, around a colour of its own."""
    rng = np.random.default_rng(seed)
    pattern = rng.integers(0, 80, (6, 9, 3)) + 170 * np.array(hsv_to_rgb(0.19 * seed % 1, 1, 1))
    return Image.fromarray(pattern.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)


def draw_flat(number: int) -> Image.Image:
    """A picture of one colour."""
    return Image.new("RGB", (64, 48), (12 * number, 128, 255 - 12 * number))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """`photos` with three pictures and a folder `2024` with two, and copies: of one the bytes, of one a re-encoding."""
    photos = tmp_path / "photos"
    (photos / "2024").mkdir(parents=True)
    for seed in range(3):
        draw(seed).save(photos / f"{seed}.png")
    for seed in (3, 4):
        draw(seed).save(photos / "2024" / f"{seed}.png")
    shutil.copy(photos / "1.png", photos / "2024" / "1 again.png")
    draw(3).save(photos / "3 small.jpg", quality=90)
    return tmp_path


def contents(folder: Path) -> dict[str, list[str]]:
    """The digest of each content below a folder and beside it, and the names that have it; links that lead nowhere
    have none.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(path.name)
    return found


def clipsim(folder: Path, *arguments: str, input: bytes = b"") -> bytes:
    """Run the command in a folder; what it prints."""
    command = [*forked_command(), *arguments, "-q"]
    environment = os.environ | COLOURS
    ended = subprocess.run(command, cwd=folder, env=environment, input=input, capture_output=True, timeout=300)
    assert ended.returncode in (0, 1, 3), ended.stderr.decode()
    assert b"clipsim: error" not in ended.stderr, ended.stderr.decode()
    assert b"Traceback" not in ended.stderr, ended.stderr.decode()
    return ended.stdout


def link_before_its_target(library: Path) -> None:
    (library / "photos" / "0 a link.png").symlink_to("2.png")


def links_in_both_directions(library: Path) -> None:
    (library / "photos" / "albums").mkdir()
    for name in ("0", "1", "2"):
        shutil.move(library / "photos" / f"{name}.png", library / "photos" / "albums")
        (library / "photos" / f"{name}.png").symlink_to(library / "photos" / "albums" / f"{name}.png")


def linked_folders(library: Path) -> None:
    (library / "linked").symlink_to("photos")
    (library / "photos" / "up").symlink_to("..")
    (library / "photos" / "loop.png").symlink_to("loop.png")
    (library / "photos" / "nowhere.png").symlink_to("gone.png")


def hard_links(library: Path) -> None:
    (library / "other").mkdir()
    (library / "photos" / "0 hard.png").hardlink_to(library / "photos" / "0.png")
    (library / "other" / "1.png").hardlink_to(library / "photos" / "1.png")
    (library / "other" / "1 again.png").hardlink_to(library / "photos" / "2024" / "1 again.png")


def odd_names(library: Path) -> None:
    photos = library / "photos"
    shutil.copy(photos / "0.png", photos / "0\n2.png")
    shutil.copy(photos / "0.png", photos / "-rf.png")
    shutil.copy(photos / "2.png", photos / "2.PNG")
    (photos / CAFE).write_bytes((photos / "2.png").read_bytes())


def nothing(library: Path) -> None:
    """The library as it is."""


def embed(*names: str) -> Callable[[Path], None]:
    def run(library: Path) -> None:
        clipsim(library, "embed", *names, "-o", "vectors")

    return run


def keeper_vanishes(library: Path) -> None:
    embed("photos")(library)
    (library / "photos" / "1.png").unlink()
    (library / "photos" / "2024" / "3.png").unlink()


def files_are_replaced(library: Path) -> None:
    embed("photos")(library)
    draw(90).save(library / "photos" / "1.png")
    draw(91).save(library / "photos" / "3 small.jpg", quality=90)


def flat_pictures(library: Path) -> None:
    for number in range(20):
        draw_flat(number).save(library / "photos" / f"f{number}.png")
    embed("photos")(library)


CAFE = os.fsdecode(b"caf\xe9.png")
# Each: what is prepared, then the folder to run in and the arguments, and the names that are removed.
BYTES, ENCODED = {"1 again.png"}, {"3 small.jpg"}
USUAL = BYTES | ENCODED
SETUPS: dict[str, tuple[Callable[[Path], None], str, list[str], set[str]]] = {
    "a link that sorts before its target": (link_before_its_target, ".", ["photos"], USUAL),
    "links to files that are there too": (links_in_both_directions, ".", ["photos"], USUAL),
    "a folder twice": (nothing, ".", ["photos", "photos"], USUAL),
    "a folder in two spellings": (nothing, ".", ["photos", "./photos", "{library}/photos"], USUAL),
    "a folder and one within it": (nothing, ".", ["photos", "photos/2024"], USUAL),
    "the current folder and its full name": (nothing, "photos", [".", "{library}/photos", "../photos"], USUAL),
    "two globs": (nothing, ".", ["photos/*.png", "photos/**/*.*g"], USUAL),
    "a linked folder, a link to a parent, a loop and a broken link": (linked_folders, ".", ["linked", "photos"], USUAL),
    "a list with repeats": (nothing, ".", ["-"], USUAL),
    "hard links across folders": (hard_links, ".", ["photos"], ENCODED),
    "names of one file in a data set": (embed("photos", "./photos", "photos/2024"), ".", ["vectors", "photos"], USUAL),
    "the kept files are gone since": (keeper_vanishes, ".", ["vectors"], set()),
    "files are replaced since": (files_are_replaced, ".", ["vectors"], set()),
    "a data set searched from another folder": (flat_pictures, "photos", ["../vectors"], USUAL),
    "names that a shell or a list takes apart": (
        odd_names,
        ".",
        ["photos"],
        USUAL | {"0\n2.png", "-rf.png", "2.PNG", CAFE},
    ),
}


@pytest.mark.parametrize("exact_files", [False, True])
@pytest.mark.parametrize("setup", SETUPS)
def test_no_last_copy_is_removed(library: Path, setup: str, exact_files: bool) -> None:
    """Every content that was there is there afterwards, except re-encodings of what stays; and copies do go."""
    prepare, where, names, removed = SETUPS[setup]
    prepare(library)
    before = contents(library / "photos")
    names = [name.format(library=library) for name in names]
    listed = b"".join(os.fsencode(path) + b"\n" for path in [*sorted(library.glob("photos/**/*.*g"))] * 2)
    output = clipsim(
        library / where, "duplicates", *names, "-l", "-0", *(["--exact-files"] if exact_files else []),
        input=listed if names == ["-"] else b"",
    )  # fmt: skip
    subprocess.run(["xargs", "-0", "rm", "--"], cwd=library / where, input=output, check=bool(output))
    after = contents(library / "photos")
    gone = {os.fsdecode(name).rpartition("/")[2] for name in output.split(b"\0") if name}

    lost = {name for digest in before.keys() - after.keys() for name in before[digest]}
    assert lost <= ({"3 small.jpg"} if not exact_files else set())
    expected = removed - (ENCODED if exact_files else set())
    assert gone == expected
