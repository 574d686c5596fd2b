"""SIGINT and SIGTERM → the end of the process by that very signal, at once, after one line."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_CLEAR_LINE = "\r\x1b[K\x1b[?25h"  # removes the line of a progress bar and shows the cursor


def catch_signals() -> None:
    """End the process in the handler itself.

    An exception raised there could surface anywhere, also in a library's `except:` or in a destructor, where it is lost
    and the run goes on. Called before anything large is imported.
    """
    for number in _WORDS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    """Print the cause, and end without waiting for pictures that are being decoded; results are flushed line by line.

    A shell ends its loop only where the process ends by the signal; an exit status of 130 does not tell it.
    """
    line = f"clipsim: error: {_WORDS[signal.Signals(number)]}\n"
    with suppress(Exception):  # standard error may be closed
        if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            line = _CLEAR_LINE + line
        os.write(2, line.encode())  # not through the stream, which may be in the middle of a write
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # where the signal is not delivered at once
