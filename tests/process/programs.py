"""`clipsim` as a process of its own among pipes and terminals, for the tests of this folder."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pytest

_NEED = "needs the terminals and process groups of POSIX"
fcntl = pytest.importorskip("fcntl", reason=_NEED)
pty = pytest.importorskip("pty", reason=_NEED)
termios = pytest.importorskip("termios", reason=_NEED)
CLIPSIM = (sys.executable, "-m", "clipsim")
_TESTS = Path(__file__).parents[1]
_PATHS = (_TESTS / "process" / "colour_models", _TESTS, *filter(None, [os.environ.get("PYTHONPATH")]))
# the environment of processes, and of theirs, where a model that knows colours stands for every other: no torch
COLOURS = {"PYTHONPATH": os.pathsep.join(map(str, _PATHS))}
PATIENCE = 300.0  # seconds after which a program that hangs is killed, so that a test fails instead of waiting


class Program:
    """A program that runs, in a session of its own; after `PATIENCE` it is killed, with all that it has started."""

    def __init__(self, command: Sequence[str], *, env: dict[str, str] | None = None, **options: Any) -> None:
        self.process = subprocess.Popen(command, env=os.environ | (env or {}), start_new_session=True, **options)
        self._watch = threading.Timer(PATIENCE, self._kill)
        self._watch.daemon = True

    def __enter__(self) -> Program:
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._watch.cancel()
        self._kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self.process.wait()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def write(self, paths: Iterable[str | Path]) -> None:
        """Write a list of paths to its standard input, which stays open."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(os.fsencode(path) + b"\n" for path in paths))
        self.process.stdin.flush()

    def lines(self, count: int) -> list[bytes]:
        """The next lines of its standard output; fewer when it ends before."""
        stream: IO[bytes] | None = self.process.stdout
        assert stream is not None
        return [line for _ in range(count) if (line := stream.readline())]

    def finish(self) -> tuple[int, bytes, bytes]:
        """Close its standard input, and wait for its end: exit status, the rest of its output, standard error."""
        process = self.process
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        # not communicate(), which leaves out what `lines` has read ahead; messages are too few to fill a pipe
        out, err = (b"" if stream is None else stream.read() for stream in (process.stdout, process.stderr))
        return process.wait(), out, err


class Terminal:
    """The far end of a terminal for a program's streams: everything that is written to it, and what it shows."""

    def __init__(self, columns: int, rows: int = 50) -> None:
        self.columns = columns
        self._leader, self.end = pty.openpty()
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.written = b""

    def read_until(self, seen: Callable[[bytes], bool]) -> None:
        """Read until what was written satisfies a condition, or the program has ended."""
        while not seen(self.written):
            try:
                chunk = os.read(self._leader, 65536)
            except OSError:  # no program has the other end any more
                return
            self.written += chunk

    def close_end(self) -> None:
        """Close the end that programs write to, so that reading ends with them."""
        os.close(self.end)

    def close(self) -> None:
        """Close the other end."""
        os.close(self._leader)

    def screen(self) -> list[str]:
        """The lines that are visible at the end, blank ones at the end left out.

        Knows what bars and error lines use: carriage return, line feed, wrapping at the last column, and the escapes
        that erase a line (K), move the cursor up (A) or change colours and modes, which show nothing.
        """
        lines, row, column = [""], 0, 0
        for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|.", self.written.decode(), re.DOTALL):
            if part == "\r":
                column = 0
            elif part == "\n":
                row += 1
            elif part.endswith("A") and part.startswith("\x1b"):
                row = max(0, row - int(part[2:-1] or 1))
            elif part.endswith("K") and part.startswith("\x1b"):
                kept = "" if part == "\x1b[2K" else lines[row][:column]
                lines[row] = kept
            elif not part.startswith("\x1b"):
                if column == self.columns:
                    row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
                lines[row] = lines[row].ljust(column)[:column] + part + lines[row][column + 1 :]
                column += 1
            lines += [""] * (row + 1 - len(lines))
        while lines and not lines[-1].strip():
            lines.pop()
        return [line.rstrip() for line in lines]


def make_names(images: Iterable[Path], folder: Path, count: int) -> list[Path]:
    """Files that are different ones for clipsim, by turns hard links to these: one name after another counts once."""
    names = [folder / f"{number:04} {path.name}" for number, path in zip(range(count), cycle(images))]
    folder.mkdir(exist_ok=True)
    for name, path in zip(names, cycle(images)):
        name.hardlink_to(path)
    return names


def rank(*arguments: str | Path) -> list[str]:
    """The command line of `clipsim rank`, for two colours."""
    return [*CLIPSIM, "rank", *map(str, arguments), "-t", "red", "-t", "blue"]
