"""Tests of `embedding.processes`: Ctrl-C ends processes without a word, at whatever moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clipsim.embedding.processes import end_at_interrupts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
PROGRAM = """
import multiprocessing, os, signal, sys
sys.path.insert(0, {folder!r})
from clipsim.embedding.processes import start_process
import interrupted

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=interrupted.work, args=(sys.argv[1],))
    start_process(process)
    os.kill(process.pid, signal.SIGINT)  # while it imports
    process.join()
    print(process.exitcode, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
CHILD = """
from clipsim.embedding.processes import end_at_interrupts

def work(file):
    open(file, "w").close()
    end_at_interrupts()
    raise RuntimeError("it went on")
"""


def test_an_interrupt_while_a_process_starts(tmp_path: Path) -> None:
    """It waits until the process can take it, which then ends by it; this process takes its own again."""
    (tmp_path / "interrupted.py").write_text(CHILD)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(folder=str(tmp_path)))
    begun = tmp_path / "begun"
    run = subprocess.run([sys.executable, program, begun], capture_output=True, text=True, timeout=120, check=False)

    assert (run.stdout, run.stderr) == (f"{-signal.SIGINT} set()\n", "")
    assert begun.exists()  # the interrupt had waited for it


def test_an_interrupt_while_a_process_works(capfd: pytest.CaptureFixture[str]) -> None:
    """No traceback is written."""
    connection, other = multiprocessing.Pipe()

    def work() -> None:
        end_at_interrupts()
        other.send("ready")
        signal.pause()

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    connection.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join()

    assert process.exitcode == -signal.SIGINT
    assert capfd.readouterr() == ("", "")
