"""The program among other processes: signals, terminals, locales, limits. Every test runs the real entry point."""

from __future__ import annotations

import json
import os
import pty
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Run

RANK = [sys.executable, "-m", "clipsim", "rank"]
ANSI = b"\x1b["


def many(folder: Path, count: int) -> bytes:
    """A list of paths for standard input: the same few pictures again and again."""
    paths = sorted(folder.iterdir())
    return b"".join(os.fsencode(paths[number % len(paths)]) + b"\n" for number in range(count))


def run_on_terminal(arguments: list[str], env: dict[str, str]) -> tuple[int, bytes]:
    """Run with standard output and error on a terminal of their own: exit status and all that was written to it."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([*RANK, *arguments], stdout=follower, stderr=follower, env={**os.environ, **env})
    os.close(follower)
    written = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other side is gone
            break
        if not chunk:
            break
        written += chunk
    os.close(leader)
    return process.wait(timeout=60), written


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment(colours: Path, tmp_path: Path, number: signal.Signals) -> None:
    """130 for Ctrl-C, the signal itself for SIGTERM; at most one line, and every line of JSON is whole."""
    (tmp_path / "list").write_bytes(many(colours, 200_000))
    command = [*RANK, "--from-file", str(tmp_path / "list"), "-t", "red", "-t", "blue", "-q", "--format", "jsonl"]
    for moment in (0.4, 1.5, 3.0, *(random.Random(1).uniform(3.5, 9.0) for _ in range(2))):
        with (tmp_path / "scores.jsonl").open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE)
        time.sleep(moment)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)

        assert process.returncode in ((130, -signal.SIGINT) if number == signal.SIGINT else (-signal.SIGTERM,)), moment
        assert err in (b"", b"clipsim: error: interrupted\n", b"clipsim: error: terminated\n"), moment
        for line in (tmp_path / "scores.jsonl").read_text().splitlines():
            assert json.loads(line)["best"] in ("red", "blue")


def test_a_terminal_gets_colours_and_a_bar(colours: Path) -> None:
    """The best text stands out in colour, and a run of more than a second shows a bar, which goes away."""
    status, written = run_on_terminal([str(colours), "-t", "red", "-t", "blue"], {"TERM": "xterm-256color"})

    assert status == 0
    assert b"loading the model" in written
    assert b"\x1b[1;32m" in written
    assert b"\x1b[?25h" in written  # the cursor is back


@pytest.mark.parametrize("env", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_terminals_that_want_no_colour(colours: Path, env: dict[str, str]) -> None:
    """NO_COLOR leaves the colours out, a dumb terminal gets plain text."""
    status, written = run_on_terminal([str(colours), "-t", "red", "-t", "blue", "-q"], env)

    assert status == 0
    assert b"32m" not in written
    assert env["TERM"] != "dumb" or ANSI not in written


def test_an_ascii_locale(run: Run, colours: Path) -> None:
    """The table is drawn in ASCII, prompts in UTF-8 are understood, and JSON is UTF-8 all the same."""
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (colours / "red.png").rename(colours / "röt.png")

    table = run("rank", colours, "-t", "café", "-t", "blue", "-q", env=env)
    assert table.returncode == 0, table.stderr
    assert table.stdout.isascii()

    record = run("rank", colours, "-t", "café", "-t", "blue", "-q", "--json", env=env)
    assert json.loads(record.stdout.decode("utf-8"))["texts"] == ["café", "blue"]


def test_few_file_descriptors_and_no_home(colours: Path) -> None:
    """64 descriptors are enough for any number of pictures, and a home that is not there is no reason to fail."""
    done = subprocess.run(
        [*RANK, "-", "-t", "red", "-t", "blue", "-q", "--format", "csv"],
        input=many(colours, 300),
        capture_output=True,
        timeout=300,
        env={**os.environ, "HOME": "/proc/nowhere", "XDG_CONFIG_HOME": ""},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"\n") == 601


def test_memory_does_not_grow_with_the_number_of_images(colours: Path) -> None:
    """Ten times as many images take no more memory, give or take a few megabytes."""
    peaks = []
    for count in (300, 3000):
        process = subprocess.Popen(
            [*RANK, "-", "-t", "red", "-t", "blue", "-q", "--format", "jsonl"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(many(colours, count))
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss / 1024)

    assert peaks[1] < peaks[0] + 60


@pytest.mark.parametrize("command", ["clipsim --help", "clipsim rank --help", "clipsim --version", "clipsim models"])
def test_help_into_closed_pipes_and_full_disks(command: str) -> None:
    """A reader that has had enough is no failure; a full disk is one line, and neither is a traceback."""
    command = command.replace("clipsim", f"{sys.executable} -m clipsim", 1)
    pipe = ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"]
    closed = subprocess.run(pipe, capture_output=True, timeout=60)
    full = subprocess.run(["bash", "-c", f"{command} > /dev/full"], capture_output=True, timeout=60)

    assert closed.stdout == b"0\n"
    assert closed.stderr == b""
    assert full.returncode == 1
    assert b"Traceback" not in full.stderr


def test_streams_that_are_closed(colours: Path) -> None:
    """A run with closed streams works on the others."""
    command = f"{sys.executable} -m clipsim rank {colours} -t red -t blue --format csv"
    no_error = subprocess.run(["bash", "-c", f"{command} 2>&-"], capture_output=True, timeout=60)
    no_output = subprocess.run(["bash", "-c", f"{command} >&-"], capture_output=True, timeout=60)
    no_input = subprocess.run(["bash", "-c", f"{command} - <&-"], capture_output=True, timeout=60)

    assert (no_error.returncode, no_error.stdout.count(b"\n")) == (0, 7)
    assert b"Traceback" not in no_output.stderr
    assert (no_input.returncode, no_input.stdout.count(b"\n")) == (0, 7)


def test_an_interrupt_that_the_parent_ignores(colours: Path) -> None:
    """Under nohup and the like, Ctrl-C does not end the run."""
    command = f"trap '' INT; exec {sys.executable} -m clipsim rank {colours} -t red -t blue -q --format csv"
    process = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)

    assert process.communicate(timeout=60)[0].count(b"\n") == 7
    assert process.returncode == 0
