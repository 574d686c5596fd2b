"""Tests of `--preview`: shown only on a terminal, in the way that the environment is known to support."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from cli.conftest import Clipsim
from PIL import Image

from clipsim.cli.preview import MAX_PREVIEWS, PreviewMode, choose_preview
from clipsim.render.preview import ROWS


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output says that it is a terminal; what is written to it can be read all the same."""
    # the stream of a test is another one than that of its fixtures, but of the same class
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda stream: stream is sys.stdout, raising=False)
    for name in ("TMUX", "STY", "TERM_PROGRAM", "LC_TERMINAL", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "off"),
        ({"TERM": "xterm-256color"}, "off"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "alacritty", "KITTY_WINDOW_ID": "1"}, "off"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1", "TERM_PROGRAM": "vscode"}, "off"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM_PROGRAM": "WezTerm", "COLORTERM": "truecolor"}, "iterm"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"KONSOLE_VERSION": "230805"}, "iterm"),
        ({"KONSOLE_VERSION": "210400"}, "off"),
        ({"KONSOLE_VERSION": "new"}, "off"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "blocks"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "off"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, "off"),
        ({"TERM": "tmux-256color", "COLORTERM": "truecolor"}, "off"),
        ({"TERM": "screen", "TERM_PROGRAM": "iTerm.app"}, "off"),
        ({"STY": "1.pts", "COLORTERM": "24bit"}, "off"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "off"),
    ],
)
def test_auto_goes_by_the_environment(terminal: None, environment: dict[str, str], expected: str) -> None:
    """And shows nothing where it does not know, or where a program is in between."""
    assert choose_preview("auto", "table", environment=environment) == expected


@pytest.mark.parametrize("mode", ["kitty", "iterm", "blocks"])
def test_what_is_asked_for_is_shown(terminal: None, mode: PreviewMode) -> None:
    """In tmux too, but never where there is no terminal."""
    assert choose_preview(mode, "table", environment={"TERM": "tmux-256color", "TMUX": "x"}) == mode
    assert choose_preview(mode, "table", environment={"TERM": "dumb"}) == "off"
    assert choose_preview("off", "table", environment={"TERM": "xterm-kitty"}) == "off"


@pytest.mark.parametrize("mode", ["auto", "kitty", "iterm", "blocks"])
def test_only_a_terminal_gets_pictures(mode: PreviewMode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe or a file gets the plain table."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)

    assert choose_preview(mode, "table", environment={"TERM": "xterm-kitty"}) == "off"


@pytest.mark.usefixtures("colour_model")
class TestRank:
    """`clipsim rank --preview`."""

    @pytest.fixture(autouse=True)
    def in_colours(self, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Start in the folder of coloured pictures."""
        monkeypatch.chdir(colours)

    def test_half_blocks_have_the_colours_of_the_picture(
        self, clipsim: Clipsim, terminal: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each row has the picture of its image."""
        monkeypatch.setenv("COLORTERM", "truecolor")
        done = clipsim("rank", "red.png", "blue.png", "-t", "red", "-t", "blue", "-q", "--preview", "auto")
        red, blue = (f"\x1b[38;2;{colour};48;2;{colour}m▀" for colour in ("255;0;0", "0;0;255"))

        assert done.status == 0
        assert done.out.count(red) == done.out.count(blue) == 16 * 5
        assert done.out.index(red) < done.out.index("red.png") < done.out.index(blue) < done.out.index("blue.png")

    @pytest.mark.parametrize(("mode", "escape"), [("kitty", "\x1b_Ga=T,"), ("iterm", "\x1b]1337;File=inline=1")])
    @pytest.mark.parametrize("top", [[], ["--top-images", "2"]])
    def test_protocols(self, clipsim: Clipsim, terminal: None, mode: str, escape: str, top: list[str]) -> None:
        """One escape for each picture of the table."""
        done = clipsim("rank", ".", "-t", "red", "-t", "blue", "-q", "--preview", mode, *top)

        assert done.out.count(escape) == (4 if top else 3)
        assert done.out.count(f"\x1b[{ROWS}A") == (4 if top else 3)

    def test_a_pipe_gets_the_plain_table(self, clipsim: Clipsim) -> None:
        """The same as without the option."""
        plain = clipsim("rank", ".", "-t", "red", "-t", "blue", "-q")

        assert clipsim("rank", ".", "-t", "red", "-t", "blue", "-q", "--preview", "kitty") == plain

    def test_other_formats_have_none(self, clipsim: Clipsim, terminal: None) -> None:
        """Pictures are part of the table."""
        assert "\x1b" not in clipsim("rank", ".", "-t", "red", "--preview", "kitty", "--format", "csv").out

    def test_too_many_pictures(self, clipsim: Clipsim, terminal: None) -> None:
        """Are not held in memory; a note says that there are none."""
        for number in range(MAX_PREVIEWS - 2):
            Path(f"{number}.png").hardlink_to("red.png")
        done = clipsim("rank", ".", "-t", "red", "-t", "blue", "--preview", "kitty")

        assert "\x1b_G" not in done.out
        assert f"no images in the terminal for more than {MAX_PREVIEWS:,} images" in done.err

    def test_a_failure_is_reported_as_ever(self, clipsim: Clipsim, terminal: None) -> None:
        """A file that cannot be used has no row."""
        Path("broken.png").write_bytes(b"GIF89a")
        done = clipsim("rank", ".", "-t", "red", "-t", "blue", "-q", "--preview", "kitty")

        assert done.status == 3
        assert done.out.count("\x1b_Ga=T") == 3
        assert "broken.png" not in done.out
        assert "skipped: ./broken.png" in done.err


def test_a_search_shows_pictures(clipsim: Clipsim, terminal: None, colour_model: object, colours: Path) -> None:
    """Those that are found."""
    done = clipsim("search", colours, "-t", "red", "-t", "blue", "--top", "2", "-q", "--preview", "kitty")

    assert done.status == 0
    assert done.out.count("\x1b_Ga=T") == 4
    assert done.out.index("red.png") < done.out.index("1. 1.0000")
    plain = clipsim("search", colours, "-t", "red", "-l", "-q", "--preview", "kitty")
    assert "\x1b" not in plain.out


def test_duplicates_show_images(
    clipsim: Clipsim, terminal: None, colour_model: object, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of each group, with how near they are to the best; not more than are held in memory."""
    shutil.copy(colours / "red.png", colours / "copy.png")
    done = clipsim("duplicates", colours, "-q", "--preview", "kitty")
    monkeypatch.setattr("clipsim.cli.preview.MAX_PREVIEWS", 1)
    plain = clipsim("duplicates", colours, "--exact-files", "--preview", "kitty")

    assert done.status == 0
    assert done.out.count("\x1b_Ga=T") == 2
    assert "same bytes · copy · 40 × 24" in done.out
    assert "\x1b_G" not in plain.out
    assert "no images in the terminal for more than 1 images" in plain.err


def test_an_evaluation_shows_images(
    clipsim: Clipsim, terminal: None, colour_model: object, colours: Path, tmp_path: Path
) -> None:
    """Those whose label the model contradicts."""
    (tmp_path / "labels.csv").write_text("image,label\nred.png,blue\ngreen.png,lime\nblue.png,red\n")
    options = ("evaluate", tmp_path / "labels.csv", "--root", colours, "-q")
    done = clipsim(*options, "--preview", "kitty")

    assert done.status == 0
    assert done.out.count("\x1b_Ga=T") == 2
    assert "label blue" in done.out
    assert "\x1b_G" not in clipsim(*options, "--preview", "kitty", "--json").out


def test_pictures_of_one_pixel(clipsim: Clipsim, terminal: None, colour_model: object, tmp_path: Path) -> None:
    """Are drawn as one cell."""
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    done = clipsim("rank", tmp_path / "dot.png", "-t", "red", "-t", "blue", "-q", "--preview", "blocks")

    assert done.out.count("▀") == 1
