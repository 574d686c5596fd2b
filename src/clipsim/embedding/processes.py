"""Processes that work for this one: started and ended without a word when Ctrl-C ends all of them."""

from __future__ import annotations

import signal
import sys
from multiprocessing.process import BaseProcess


def start_process(process: BaseProcess) -> None:
    """Start a process that calls `end_at_interrupts` as soon as it can; until then interrupts wait.

    A terminal sends Ctrl-C to all of its processes, and one that is still importing would write a traceback.
    """
    if sys.platform == "win32":
        process.start()
        return
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # which lets signals through again when it has started
    signals = {signal.SIGINT}
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # of this thread, and inherited
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def end_at_interrupts() -> None:
    """Let an interrupt end this process at once, also one that came while it was starting."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
