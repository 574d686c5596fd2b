"""SIGINT and SIGTERM → the end of the program, at once, with one line and the promised exit status."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

INTERRUPTED = 130
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_CLEAR = "\r\x1b[K\x1b[?25h"  # the line of a progress bar goes, the cursor comes back


def catch_signals() -> None:
    """End the program in the handler itself.

    An exception raised there could come up anywhere, also in a library's `except:` or in a destructor, where it is
    lost and the run goes on. Called before anything large is imported.
    """
    for number in _WORDS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    """Say why, and end without waiting for pictures that are being decoded; results are flushed line by line."""
    line = f"clipsim: error: {_WORDS[signal.Signals(number)]}\n"
    with suppress(Exception):  # standard error may be closed
        if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            line = _CLEAR + line
        os.write(2, line.encode())  # not through the stream, which may be in the middle of a write
    if number == signal.SIGTERM:  # by the signal itself, so that whoever sent it sees that it worked
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    os._exit(INTERRUPTED)
