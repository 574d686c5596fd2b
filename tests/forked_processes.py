"""Programs in processes that are forked from one that has imported torch: for tests of anything but start-up."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMAND_LINE = "from clipsim.cli import main; main()"
PATIENCE = 300.0  # seconds after which a program that hangs is killed, so that a test fails instead of waiting

_context = multiprocessing.get_context("forkserver")
# torch and nothing that clipsim imports in its own way; the server runs no operator, so that its children may
_context.set_forkserver_preload(["torch"])


def run_forked(
    code: str, arguments: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """Run Python code with these arguments and this environment; what it writes is kept in a folder meanwhile."""
    command = ["-c", *map(str, arguments)]
    streams = [str(folder / name) for name in ("stdout", "stderr")]
    process = _context.Process(target=_run, args=(code, command, dict(environment), *streams))
    process.start()
    process.join(PATIENCE)
    process.kill()
    process.join()
    out, err = (Path(stream).read_bytes() for stream in streams)
    assert process.exitcode is not None
    return subprocess.CompletedProcess(command, process.exitcode, out, err)


def _run(code: str, command: list[str], environment: dict[str, str], stdout: str, stderr: str) -> None:
    """In the forked process."""
    for number, path in ((0, os.devnull), (1, stdout), (2, stderr)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
