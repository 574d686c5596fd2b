"""Commands of clipsim, one after the other, each in a fork of one process that has imported PyTorch.

Standard input has JSON: an object a command, with `arguments` ("@journal" is the newest journal), `input`, and the
`encoding` of the streams, whose lines end as Windows' do. A line of JSON is printed for each: its status and streams.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from typing import Any, NoReturn


def main() -> None:
    """Run what standard input names."""
    commands = json.load(sys.stdin)
    import torch  # noqa: F401

    import clipsim.cli.app
    import clipsim.embedding.embedder
    import clipsim.tasks.rank  # noqa: F401

    for command in commands:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = os.fork()
            if process == 0:
                run(command, out.fileno(), err.fileno())
            _, status = os.waitpid(process, 0)
            out.seek(0)
            err.seek(0)
            streams = {"out": out.read().decode("latin-1"), "err": err.read().decode("latin-1")}
            print(json.dumps({"status": os.waitstatus_to_exitcode(status), **streams}), flush=True)


def run(command: dict[str, Any], out: int, err: int) -> NoReturn:
    """Be one command, and end."""
    given, keyboard = os.pipe()
    os.write(keyboard, command.get("input", "").encode())
    os.close(keyboard)
    for number, descriptor in enumerate((given, out, err)):
        os.dup2(descriptor, number)
    encoding = command.get("encoding", "utf-8")
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "wb", closefd=False)), encoding, newline="\r\n")
        for number in (1, 2)
    )
    sys.argv = ["clipsim", *(newest_journal() if part == "@journal" else part for part in command["arguments"])]
    from clipsim.cli import main as run_clipsim

    status = 1
    try:
        run_clipsim()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def newest_journal() -> str:
    """The journal that was made last."""
    from clipsim.models.settings import state_folder

    return str(max((state_folder() / "journals").iterdir(), key=lambda path: path.stat().st_mtime_ns))


if __name__ == "__main__":
    main()
