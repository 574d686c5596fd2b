"""SIGINT and SIGTERM → the end of the process by that very signal, at once, after one line; SIGHUP → what it should."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
if sys.platform == "win32":
    _WORDS[signal.SIGBREAK] = "interrupted"  # Ctrl-Break, the one signal that another process can send
_CONTROL_C_EXIT = 0xC000013A - (1 << 32)  # the status of a process of Windows that Ctrl-C has ended
_CLEAR_LINE = "\r\x1b[K\x1b[?25h"  # removes the line of a progress bar and shows the cursor
_clean_ups: list[Callable[[], None]] = []
_standard_error = 2


def catch_signals() -> None:
    """End the process in the handler itself.

    An exception raised there could surface anywhere, also in a library's `except:` or in a destructor, where it is lost
    and the run goes on. Called before anything large is imported. Standard error is duplicated for the last line: an
    export redirects it while torch writes a graph.
    """
    global _standard_error
    with suppress(ImportError, OSError):  # Windows; or it is closed
        import fcntl

        _standard_error = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 3)  # not the number of a stream that is closed
    for number in _WORDS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _end)


@contextmanager
def clean_up_at_signal(clean_up: Callable[[], None]) -> Iterator[None]:
    """Call `clean_up` where a signal ends the process within the block: no `finally` of it is run then."""
    _clean_ups.append(clean_up)
    try:
        yield
    finally:
        _clean_ups.remove(clean_up)


@contextmanager
def stop_at_first_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGINT or SIGTERM within the block; a second one ends the process at once, as before."""
    before = {number: signal.getsignal(number) for number in _WORDS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop_once(_: int, __: object) -> None:
        restore()
        stop()

    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, stop_once)
    try:
        yield
    finally:
        restore()


@contextmanager
def reload_at_hangup(reload: Callable[[], None]) -> Iterator[None]:
    """Call `reload`, in a thread, at each SIGHUP within the block; where a terminal has hung up, end as by SIGTERM."""
    if not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # Windows; or as nohup does
        yield
        return
    terminals = [number for number in range(3) if os.isatty(number)]
    signals: SimpleQueue[bool] = SimpleQueue()  # may be filled in the middle of anything

    def note(_: int, __: object) -> None:
        if all(map(os.isatty, terminals)):
            signals.put(True)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def wait() -> None:
        while signals.get():
            reload()

    threading.Thread(target=wait, name="reload", daemon=True).start()
    before = signal.signal(signal.SIGHUP, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        signals.put(False)


def _end(number: int, _: object) -> None:
    """Print the cause, and end without waiting for images that are being decoded; results are flushed line by line.

    A shell ends its loop only where the process ends by the signal; an exit status of 130 does not tell it.
    """
    for other in _WORDS:
        signal.signal(other, signal.SIG_IGN)  # a second one must not interrupt the clean-up, or print another line
    line = f"clipsim: error: {_WORDS[signal.Signals(number)]}\n"
    with suppress(Exception):  # standard error may be closed
        if os.isatty(_standard_error) and os.environ.get("TERM", "dumb") != "dumb":
            line = _CLEAR_LINE + line
        os.write(_standard_error, line.encode())  # not through the stream, which may be in the middle of a write
    for clean_up in _clean_ups:
        with suppress(Exception):
            clean_up()
    if sys.platform == "win32":  # where `os.kill` sends no signal, and ends with its number as the status
        os._exit(_CONTROL_C_EXIT)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # where the signal is not delivered at once
