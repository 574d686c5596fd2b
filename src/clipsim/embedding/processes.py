"""Processes that work for this one: started and ended without a word when Ctrl-C ends all of them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing.process import BaseProcess, parent_process


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


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, in the middle of whatever it does.

    A process that is killed cannot end its own, which would go on writing beside those of the next run.
    """
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end with the parent", daemon=True).start()
