"""Tests of what people type first: it runs, or is answered with a command that does."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from forked_processes import forked_command
from PIL import Image
from process.programs import COLOURS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `images`, in which there are five."""
    (tmp_path / "images").mkdir()
    (tmp_path / "list").write_text("images/red.png\n")
    for name in ("red", "green", "blue", "white", "lime"):
        Image.new("RGB", (40, 24), name).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    own = {"CLIPSIM_CACHE_DIR": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}
    environment = os.environ | COLOURS | own
    return subprocess.run(
        [*forked_command(), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("red", "search red"),
        ("'light blue'", "search 'light blue'"),
        ("-t red", "search -t red"),
        ("images -t red", "search images -t red"),
        ("images 'light blue' --top 1", "search images 'light blue' --top 1"),
        ("images red blue", "rank images -t red -t blue"),
        ("images -t red -t blue --sort-by red", "rank images -t red -t blue --sort-by red"),
        ("rank images red blue", "rank images -t red -t blue"),
        ("rank images --sort-by blue red blue", "rank images -t red -t blue --sort-by blue"),
        ("rank images/blue.png images/green.png images/lime.png images/red.png images/white.png red",
         "rank 'images/*.png' -t red"),
        ("rank images --txt red", "rank images --text red"),
        ("rank images --prompt=red", "rank images --text=red"),
        ("search images -k 3 -t red", "search images --top 3 -t red"),
        ("search images -t red --csv", "search images -t red --format=csv"),
        ("search images -t red --since 2019", "search images -t red --after 2019"),
        ("search images -t red --without blue", "search images -t red --minus blue"),
        ("summary images", "overview images"),
        ("similar images images/red.png", "search images --image images/red.png"),
        ("rank images -t red --from list", "rank images -t red --from-file list"),
        ("search red blue", "search -t red -t blue"),
        ("find images -t red", "search images -t red"),
        ("find images", "search images TEXT"),
        ("classify images red blue", "rank images -t red -t blue"),
        ("Rank images -t red", "rank images -t red"),
        ("duplicate images", "duplicates images"),
        ("sort images red blue --copy-to to", "sort images -t red -t blue --copy-to to"),
        ("tag images red blue --xmp", "tag images -t red -t blue --xmp"),
        ("organize images -t red -t blue --copy-to to", "sort images -t red -t blue --copy-to to"),
        ("duplicates images --link -y", "duplicates images --link --yes"),
        ("models lst", "models list"),
        ("rank images -t red -m CLIPSIM-Mini", None),
    ],
)  # fmt: skip
def test_the_command_that_was_meant(folder: Path, typed: str, suggested: str | None) -> None:
    """One line, which ends in a command that runs."""
    answered = run(folder, *shlex.split(typed))

    assert (answered.returncode in (1, 2), answered.stdout, answered.stderr.count("\n")) == (True, "", 1)
    if suggested is None:  # the name alone
        assert "did you mean clipsim-mini? " in answered.stderr
        return
    line = answered.stderr.partition("did you mean: ")[2]
    assert line == f"clipsim {suggested}\n"
    meant = run(folder, *shlex.split(line)[1:])
    assert meant.returncode == 0, meant.stderr
    assert meant.stdout


@pytest.mark.parametrize(
    ("typed", "first", "note"),
    [
        ("search red", "images/red.png", True),
        ("search -t red", "images/red.png", True),
        ("search images red", "images/red.png", False),
        ("search 'images/*.png' red", "images/red.png", False),
        ("search red images --plus red", "images/red.png", False),
    ],
)
def test_a_search_as_one_types_it(folder: Path, typed: str, first: str, note: bool) -> None:
    """The one argument that names nothing is the text; without a folder it is the current one, as a note says."""
    ended = run(folder, *shlex.split(typed), "--paths", "--top", "1")

    assert (ended.returncode, Path(ended.stdout.strip())) == (0, Path(first))
    assert ("note: searching the current folder" in ended.stderr) == note


def test_a_slip_in_a_path_is_not_a_text(folder: Path) -> None:
    """What is written like a path is one, also where nothing is there."""
    for slip in ("imagse/", "red.jpgg/x", "imgs/red.png", "rde.png"):
        ended = run(folder, "search", slip)
        assert (ended.returncode, "nothing to search for; give a text" in ended.stderr) == (2, True)


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("search red", "search -t red"),
        ("search images red --top 1", "search images -t red --top 1"),
        ("rank images red", "rank images -t red"),
        ("search images/red.png", "search --image images/red.png"),
        ("search images images/red.png --top 1", "search images --image images/red.png --top 1"),
    ],
)
def test_a_text_that_is_also_a_folder(folder: Path, typed: str, suggested: str) -> None:
    """The remedy comes first, and then the command that was meant if the last path is the query; it runs."""
    (folder / "red").mkdir()
    answered = run(folder, *shlex.split(typed))

    assert (answered.returncode, answered.stdout, answered.stderr.count("\n")) == (2, "", 1)
    assert "; give " in answered.stderr
    assert answered.stderr.rpartition(": ")[2] == f"clipsim {suggested}\n"
    assert run(folder, *shlex.split(suggested)).returncode == 0


@pytest.mark.parametrize("typed", ["--model clipsim-mini search images red", "search images red --yse"])
def test_options_that_are_never_guessed(folder: Path, typed: str) -> None:
    """A slip is not answered with `--yes`, which changes files, nor with `--help`."""
    ended = run(folder, *shlex.split(typed))

    assert (ended.returncode, "no such option" in ended.stderr, "did you mean" in ended.stderr) == (2, True, False)


def test_a_folder_that_is_not_there(folder: Path) -> None:
    """Of two words that name nothing the first may be a slip in a folder, so it is named."""
    ended = run(folder, "search", "photos", "light blue")

    assert "error: no file or folder is called photos; did you mean: clipsim search -t photos -t " in ended.stderr


def test_help_and_version(folder: Path) -> None:
    """As other commands have them."""
    assert run(folder, "help").stdout == run(folder, "--help").stdout
    assert run(folder, "help", "models", "show").stdout == run(folder, "models", "show", "--help").stdout
    assert run(folder, "version").stdout == run(folder, "-V").stdout == run(folder, "--version").stdout
    assert run(folder, "help", "no-such").returncode == 2
