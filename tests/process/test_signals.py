"""Tests of `signals`: the end comes whatever the program is in the middle of."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A library that swallows every exception, and one that an exception in a destructor does not stop.
SWALLOWS = """
import sys, time
from clipsim.cli.signals import catch_signals
catch_signals()
class Held:
    def __del__(self):
        time.sleep(60)
print("ready", flush=True)
if sys.argv[1] == "except":
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
Held()
time.sleep(60)
"""


@pytest.mark.parametrize("place", ["except", "destructor"])
@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, -signal.SIGTERM, b"terminated")],
)
def test_no_library_can_swallow_a_signal(place: str, number: signal.Signals, status: int, word: bytes) -> None:
    """An interrupt ends the run at once, also where an exception would be caught or ignored."""
    process = subprocess.Popen([sys.executable, "-c", SWALLOWS, place], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=20)

    assert process.returncode == status
    assert err == b"clipsim: error: " + word + b"\n"
