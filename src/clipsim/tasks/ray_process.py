"""The process that is Ray's driver: messages to it and from it, while what Ray writes goes into a file.

Ray writes to the standard streams of its process, takes its signals, retries a wrong address for minutes, and ends the
process where the head of the cluster is lost. The process of a run must not have that done to it.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import Any

from clipsim.embedding.processes import end_at_interrupts
from clipsim.tasks.ray_cluster import MAX_LINE, Message, serve, summarise

END_SECONDS = 20.0  # for Ray to disconnect, and to stop what it has started on this machine
_PROGRAM = "import sys; sys.path[:] = {path!r}; from clipsim.tasks.ray_process import main; main()"


class DriverProcess:
    """The process, from the side of the run that started it."""

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM.format(path=[entry for entry in sys.path if isinstance(entry, str)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="messages of Ray's driver", daemon=True)
        self._reader.start()

    def send(self, value: Any) -> None:
        """Send a request; where the process has ended, that is received next."""
        assert self._process.stdin is not None
        with suppress(OSError):
            pickle.dump(value, self._process.stdin)
            self._process.stdin.flush()

    def receive(self, timeout: float | None = None) -> Message:
        """The next message; "ended", with the last line of what Ray wrote, or its status, where the process has ended.

        Raises queue.Empty where none comes in time.
        """
        return self._messages.get(timeout=timeout)

    def close(self, *, at_once: bool = False) -> None:
        """Have the process disconnect and end; with `at_once`, it is killed."""
        assert self._process.stdin is not None
        if at_once:
            self._process.kill()
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._log.close()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream, suppress(Exception):  # the end of the process; or bytes that are no messages, after which it ends
            while True:
                self._messages.put(pickle.load(stream))
        status = self._process.wait()
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 100 * MAX_LINE))
        line = summarise(self._log.read().decode(errors="replace"))
        self._messages.put(Message("ended", line or f"its process ended with status {status}"))


def main() -> None:
    """The process: serve the requests of standard input, and write messages to what was standard output."""
    import traceback

    end_at_interrupts()
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Ray writes to the descriptor, not only to sys.stdout
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stopped = threading.Event()

    def read() -> None:
        stream = os.fdopen(0, "rb", closefd=False)  # Python aborts at its end where a thread reads from `sys.stdin`
        with suppress(EOFError, OSError):
            while True:
                requests.put(pickle.load(stream))
        stopped.set()
        requests.put(None)
        threading.Event().wait(END_SECONDS)  # the run has ended: so does this process, whatever Ray is waiting for
        os._exit(1)

    def emit(message: Message) -> None:
        pickle.dump(message, messages)
        messages.flush()

    threading.Thread(target=read, daemon=True).start()
    try:
        serve(requests.get, emit, stopped)
    except Exception:
        emit(Message("bug", traceback.format_exc()))
