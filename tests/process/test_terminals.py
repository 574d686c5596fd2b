"""What a terminal gets: colours, a bar that leaves nothing behind, a table as wide as it is."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest
from process.programs import Program, Terminal, make_names, rank

TERM = {"TERM": "xterm-256color"}
ANSI = b"\x1b["


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment says how wide or how colourful a terminal is."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """A terminal of the width that the test's parameter names."""
    made = Terminal(request.param)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("terminal", "number"),
    [(40, signal.SIGTERM), (60, signal.SIGINT), (66, signal.SIGINT), (80, signal.SIGINT), (80, signal.SIGTERM)],
    indirect=["terminal"],
)
def test_the_bar_leaves_nothing_behind_at_a_signal(
    warm: Path, terminal: Terminal, number: signal.Signals, tmp_path: Path
) -> None:
    """Of a bar that was in the middle of its work only the line that says why it ended is left, whatever the width."""
    command = rank("-", "--format", "jsonl", "-m", "clipsim-mini")
    with Program(command, stdin=PIPE, stdout=DEVNULL, stderr=terminal.end, env=TERM) as program:
        program.write(make_names([*warm.iterdir()], tmp_path / "names", 1200))
        terminal.read_until(lambda written: b"1,200" in written)  # the list stays open: the run cannot end by itself
        program.process.send_signal(number)
        assert program.process.wait() == -number
        terminal.close_end()
        terminal.read_until(lambda _: False)

    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert terminal.screen() == [f"clipsim: error: {word}"]
    assert terminal.written.endswith(b"\n")
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize("terminal", [40, 80], indirect=True)
def test_the_bar_goes_away_when_the_work_is_done(warm: Path, terminal: Terminal, tmp_path: Path) -> None:
    """It shows after a second, stays on one line, and is gone when the results are there."""
    command = rank("-", "--format", "jsonl", "-m", "clipsim-mini")
    results = tmp_path / "scores.jsonl"
    with (
        results.open("wb") as file,
        Program(command, stdin=PIPE, stdout=file, stderr=terminal.end, env=TERM) as program,
    ):
        program.write(make_names([*warm.iterdir()], tmp_path / "names", 1200))
        terminal.read_until(lambda written: b"1,200" in written)
        assert len(terminal.screen()) == 1
        status, _, _ = program.finish()
        terminal.close_end()
        terminal.read_until(lambda _: False)

    assert status == 0
    assert results.read_bytes().count(b"\n") == 1200
    assert terminal.screen() == []


def run_on_terminal(columns: int, arguments: list[str], env: dict[str, str]) -> tuple[int, Terminal]:
    """Run with standard output and error on a terminal: exit status, and the terminal."""
    terminal = Terminal(columns)
    with Program(rank(*arguments), stdin=PIPE, stdout=terminal.end, stderr=terminal.end, env=env) as program:
        terminal.close_end()
        terminal.read_until(lambda _: False)
        status = program.process.wait()
    terminal.close()
    return status, terminal


def test_the_best_text_stands_out_in_colour(warm: Path) -> None:
    """A terminal with colours gets them, and the table ends where the terminal ends."""
    status, terminal = run_on_terminal(70, [str(warm)], TERM)

    assert status == 0, terminal.written
    assert b"\x1b[1;32m" in terminal.written
    assert max(map(len, terminal.screen())) <= 70


@pytest.mark.parametrize("env", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_terminals_that_want_no_colour(warm: Path, env: dict[str, str]) -> None:
    """NO_COLOR leaves the colours out, a dumb terminal gets plain text."""
    status, terminal = run_on_terminal(80, [str(warm), "-q"], env)

    assert status == 0, terminal.written
    assert b"32m" not in terminal.written
    assert env["TERM"] != "dumb" or ANSI not in terminal.written


def piped_table(columns: int, folder: Path, *arguments: str) -> str:
    """A table on a pipe, printed while standard error is a terminal."""
    terminal = Terminal(columns)
    env = dict(os.environ)  # given, since GNU readline, which pytest loads, sets COLUMNS behind Python's back
    command = rank(*arguments, "-q")
    done = subprocess.run(
        command, stdin=DEVNULL, stdout=PIPE, stderr=terminal.end, timeout=300, cwd=folder, env=env, encoding="utf-8"
    )
    terminal.close_end()
    terminal.close()
    return done.stdout


def test_a_piped_table_is_as_wide_as_the_terminal_of_standard_error(warm: Path) -> None:
    """`clipsim rank … | less` fits the terminal, whose width nothing else tells."""
    printed = {columns: piped_table(columns, warm, ".", "-t", "café") for columns in (40, 66)}

    for columns, text in printed.items():
        assert max(map(len, text.splitlines())) <= columns
    assert printed[40].splitlines()[1].split() == ["best"]
    assert printed[66].splitlines()[1].split() == ["./blue.png", "./green.png", "./red.png"]


def test_a_piped_table_has_whole_names(warm: Path, tmp_path: Path) -> None:
    """`clipsim rank … | grep NAME` finds what it looks for, though the table gets wider than the terminal."""
    name = f"{'long ' * 30}name.png"
    shutil.copy(warm / "red.png", tmp_path / name)
    text = piped_table(66, tmp_path, name)

    assert name in text
    assert "…" not in text


@pytest.mark.parametrize("terminal", [40, 70], indirect=True)
def test_messages_are_broken_between_words(terminal: Terminal) -> None:
    """On a terminal; a word that is longer than a line stays whole, elsewhere a message is one line."""
    name = "x" * 90 + ".png"
    command = rank(name, "-t", "cat", "-m", "clipsim-mini")
    with Program(command, stdout=DEVNULL, stderr=terminal.end, env=TERM) as program:
        program.finish()
        terminal.close_end()
        terminal.read_until(lambda _: False)
    with Program(command, stdout=DEVNULL, stderr=PIPE, env=TERM) as program:
        _, _, errors = program.finish()

    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.written.decode()).splitlines()
    whole = errors.decode().splitlines()
    assert " ".join(lines) == " ".join(whole)
    assert len(lines) > len(whole) == 2
    assert all(len(line) <= terminal.columns or line == f"{name}:" for line in lines)
