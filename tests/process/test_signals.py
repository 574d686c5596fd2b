"""SIGINT and SIGTERM: the end comes at once, by the signal itself, whatever the program is in the middle of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from process.programs import COLOURS, Program, make_names, rank

# A library that swallows every exception, and a destructor that waits.
SWALLOWS = """
import sys, time
from clipsim.cli.signals import catch_signals
catch_signals()
class Held:
    def __del__(self):
        time.sleep(600)
print("ready", flush=True)
if sys.argv[1] == "except":
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
Held()
time.sleep(600)
"""
# Runs the command line, which gets a signal at the first event of a kind that concerns a name with some text in it.
SIGNAL_AT_EVENT = """
import os, sys
number, kind, text, *rest = sys.argv[1:]
def watch(event, facts):
    global kind
    if event == kind and text in str(facts[0]):
        kind = None
        os.kill(os.getpid(), int(number))
sys.addaudithook(watch)
sys.argv = ["clipsim", *rest]
from clipsim.cli import main
main()
"""
EVENTS = {
    "while typer is imported": ("import", "typer.core"),
    "while NumPy is imported": ("import", "numpy.linalg"),
    "while torch is imported": ("import", "torch.nn.functional"),
    "while open_clip is imported": ("import", "open_clip.model"),
    "while Pillow is imported": ("import", "PIL.ImageOps"),
    "when the cache is opened": ("sqlite3.connect", ""),
    "when the weights are read": ("open", "safetensors"),
    "when a picture is opened": ("open", "green.png"),
}
WORDS = {signal.SIGINT: b"interrupted", signal.SIGTERM: b"terminated"}


@pytest.mark.parametrize("place", ["except", "destructor"])
@pytest.mark.parametrize("number", list(WORDS))
def test_no_library_can_swallow_a_signal(place: str, number: signal.Signals) -> None:
    """A signal ends the run also where an exception would be caught or ignored."""
    with Program([sys.executable, "-c", SWALLOWS, place], stdout=PIPE, stderr=PIPE) as program:
        assert program.lines(1) == [b"ready\n"]
        program.process.send_signal(number)
        status, _, err = program.finish()

    assert status == -number
    assert err == b"clipsim: error: " + WORDS[number] + b"\n"


@pytest.mark.parametrize("moment", list(EVENTS))
def test_a_signal_at_any_moment_of_the_start(colours: Path, moment: str) -> None:
    """The process ends by the signal, with one line and without a traceback."""
    arguments = rank(colours, "-q", "--format", "jsonl")[3:]
    command = [sys.executable, "-c", SIGNAL_AT_EVENT, str(int(signal.SIGINT)), *EVENTS[moment], *arguments]
    env = os.environ | (COLOURS if moment == "when a picture is opened" else {})
    done = subprocess.run(command, env=env, capture_output=True, timeout=300)

    assert done.returncode == -signal.SIGINT
    assert done.stdout == b""
    assert done.stderr == b"clipsim: error: interrupted\n"


@pytest.mark.parametrize("number", list(WORDS))
def test_a_signal_while_results_are_written(warm: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Every line that was begun is whole."""
    with Program(rank("-", "-q", "--format", "jsonl"), stdin=PIPE, stdout=PIPE, stderr=PIPE) as program:
        program.write(make_names([*warm.iterdir()], tmp_path / "names", 3000))
        first = program.lines(1)
        program.process.send_signal(number)
        status, rest, err = program.finish()

    assert status == -number
    assert err == b"clipsim: error: " + WORDS[number] + b"\n"
    assert rest == b"" or rest.endswith(b"\n")
    for line in (*first, *rest.splitlines()):
        assert json.loads(line)["best"] in ("red", "blue")


def test_a_signal_while_pictures_are_computed(colours: Path, tmp_path: Path) -> None:
    """The model and the threads that decode are not waited for."""
    command = rank("-", "-q", "--format", "jsonl", "--no-cache")
    env = COLOURS | {"FAKE_SECONDS": "0.05"}
    with Program(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env) as program:
        program.write(make_names([*colours.iterdir()], tmp_path / "names", 600))
        assert len(program.lines(1)) == 1
        program.process.send_signal(signal.SIGINT)
        status, rest, err = program.finish()

    assert (status, err) == (-signal.SIGINT, b"clipsim: error: interrupted\n")
    assert rest.count(b"\n") < 599


def test_an_interrupt_ends_the_loop_of_a_shell(warm: Path, tmp_path: Path) -> None:
    """A shell goes on with its next command where a program ends with a status, even 130, but not after a signal."""
    command = " ".join(rank("-", "-q", "--format", "jsonl"))
    loop = f"for i in 1 2 3; do echo run >> {tmp_path}/log; {command}; done"
    with Program(["bash", "-c", loop], stdin=PIPE, stdout=PIPE, stderr=PIPE) as program:
        program.write(make_names([warm / "red.png"], tmp_path / "names", 200))
        assert len(program.lines(1)) == 1
        os.killpg(program.process.pid, signal.SIGINT)  # as a terminal does at Ctrl-C
        status, _, _ = program.finish()

    assert status == -signal.SIGINT
    assert (tmp_path / "log").read_text() == "run\n"


def test_an_interrupt_that_the_parent_ignores(warm: Path) -> None:
    """Under nohup and the like, Ctrl-C does not end the run."""
    command = f"trap '' INT; exec {' '.join(rank('-', '-q', '--format', 'jsonl'))}"
    with Program(["bash", "-c", command], stdin=PIPE, stdout=PIPE) as program:
        program.write([warm / "red.png"])
        assert len(program.lines(1)) == 1
        program.process.send_signal(signal.SIGINT)
        program.write([warm / "blue.png"])
        status, rest, _ = program.finish()

    assert status == 0
    assert rest.count(b"\n") == 1


def test_an_interrupt_leaves_the_earlier_file(warm: Path, tmp_path: Path) -> None:
    """With `-o`, nothing of the run is left, and what was there before stays."""
    target = tmp_path / "result.jsonl"
    target.write_text("earlier")
    command = rank("-", "--format", "jsonl", "-o", target)
    with Program(command, stdin=PIPE, stderr=PIPE) as program:
        program.write([warm / "red.png"])
        while not (drafts := list(tmp_path.glob(".result*"))) or not drafts[0].stat().st_size:
            assert program.process.poll() is None
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(60) == -signal.SIGINT

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir() if path.is_file()] == [
        ("result.jsonl", "earlier")
    ]
