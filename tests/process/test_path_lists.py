"""Lists of paths on a standard input that is slow, or never ends."""

from __future__ import annotations

import subprocess
import sys
from subprocess import PIPE

import pytest

# Takes the names that have come from a list that goes on, and ends while a thread waits for more.
LEAVES_EARLY = """
from clipsim.embedding.pipeline import BackgroundReader
from clipsim.inputs.paths import read_path_list
feed, names = BackgroundReader(read_path_list("-")), []
while len(names) < 2:
    feed.wait(60)
    names += feed.take(5)
print(*names, flush=True)
"""
READS_ALL = """
import os, sys
from clipsim.inputs.paths import read_path_list
os.set_blocking(0, {blocking})
for name in read_path_list("-"):
    print(name, flush=True)
"""


def test_a_program_ends_while_a_thread_waits_for_paths() -> None:
    """The interpreter is not aborted at its end, although standard input is still open and nothing comes."""
    with subprocess.Popen([sys.executable, "-c", LEAVES_EARLY], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"a.png\nb.png\n")
        process.stdin.flush()

        assert process.stdout.readline() == b"a.png b.png\n"
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize("blocking", [True, False])
def test_names_are_given_as_their_lines_end(blocking: bool) -> None:
    """Also from a pipe that another process has made non-blocking: that nothing is there yet is not its end."""
    command = [sys.executable, "-c", READS_ALL.format(blocking=blocking)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for sent, received in ((b"a.png\nb.p", b"a.png\n"), (b"ng\n", b"b.png\n"), (b"c.png\nd.png", b"c.png\n")):
            process.stdin.write(sent)
            process.stdin.flush()
            assert process.stdout.readline() == received
        process.stdin.close()

        assert process.stdout.read() == b"d.png\n"
        assert process.wait(60) == 0
