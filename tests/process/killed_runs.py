"""A program that runs `clipsim` in a process for each moment at which it is killed; see `test_plan_kills`.

Its arguments are the folder to work in, another one that runs may write to, the number of moments, and the arguments of
clipsim. The folder has `tree`, which each run gets as `MOMENT/tree`, its current folder. It prints a line of JSON: the
number of calls to the system that change files in a whole run, and the moments at which runs were killed, spread over
these.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

EVENTS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.utime", "os.chmod", "open"}


class Clock:
    """Counts calls that change files below folders, from the first one on, and kills its process at one of them."""

    def __init__(self, folders: tuple[Path, ...], moment: int | None) -> None:
        self.folders, self.moment, self.count = folders, moment, 0

    def install(self) -> None:
        """Count from now on: Python's audit events, which come before the call, and writes, which are torn."""
        sys.addaudithook(self._audit)
        write, fsync = os.write, os.fsync

        def torn_write(descriptor: int, data: Any) -> int:
            if self.count and self._is_due():
                write(descriptor, bytes(data)[: len(data) // 2])
                self._kill()
            return write(descriptor, data)

        def counted_fsync(fd: Any) -> None:
            if self.count and self._is_due():
                self._kill()
            fsync(fd)

        os.write, os.fsync = torn_write, counted_fsync

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not any(self._is_below(argument) for argument in arguments):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if self._is_due():
            self._kill()

    def _is_below(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        absolute = Path(os.fsdecode(path)).absolute()
        return any(absolute.is_relative_to(folder) for folder in self.folders)

    def _is_due(self) -> bool:
        self.count += 1
        return self.count == self.moment

    def _kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()


def run(folder: Path, other: Path, name: str, moment: int | None, arguments: list[str]) -> tuple[int, int]:
    """Run clipsim in a process of its own: how it ended, and how many calls there were where it was not killed."""
    (folder / name).mkdir()
    shutil.copytree(folder / "tree", folder / name / "tree", symlinks=True)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ["XDG_STATE_HOME"] = str(folder / name / "state")
        os.environ["CLIPSIM_CACHE_DIR"] = str(folder / "cache")
        os.chdir(folder / name / "tree")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["clipsim", *(argument.replace("MOMENT", name) for argument in arguments)]
        clock = Clock((folder / name, other / name), moment)
        status = 0
        try:
            clock.install()
            from clipsim.cli import main

            main()
        except SystemExit as end:
            status = int(end.code or 0)
        os.set_blocking(writing, True)
        with os.fdopen(writing, "w") as file:
            file.write(str(clock.count))
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as file:
        count = file.read()
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended), int(count or 0)


def main() -> None:
    """Run once whole, then be killed at moments that are spread over the calls of that run."""
    folder, other, moments, arguments = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    import clipsim.cli.app  # once for all processes
    import clipsim.tasks.placements
    import clipsim.tasks.tag  # noqa: F401

    status, calls = run(folder, other, "whole", None, arguments)
    assert status == 0, status
    chosen = sorted({1 + number * (calls - 1) // max(1, moments - 1) for number in range(moments)})
    for moment in chosen:
        status, _ = run(folder, other, str(moment), moment, arguments)
        assert status == -signal.SIGKILL, (moment, status)
    print(json.dumps({"calls": calls, "moments": chosen}))


if __name__ == "__main__":
    main()
