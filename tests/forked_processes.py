"""A process that has imported what clipsim imports, and forks for each command: for tests of anything but start-up.

`forked_command()` begins a command line that stands for `python -m clipsim`, or with "-c" for `python -c`: a small
client, which sends its arguments, environment, folder and streams to that process and ends as the fork does. Locales,
limits of the process, signals and further descriptors do not pass. Where processes are not forked, each command is an
ordinary process.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

FORKS = sys.platform == "linux"  # macOS can fork too, but not safely once its frameworks have started threads
COMMAND_LINE = "from clipsim.cli import main; main()"
PATIENCE = 300  # seconds after which a program that hangs is killed, so that a test fails instead of waiting
# what does not read the environment as it is imported; not open_clip either, which clipsim imports in its own way
PRELOADED = (
    "ftfy", "httpx", "regex", "typer", "clipsim.cli.app", "clipsim.embedding.embedder", "clipsim.render.table",
    "clipsim.tasks.duplicates", "clipsim.tasks.evaluate", "clipsim.tasks.rank", "clipsim.tasks.search",
)  # fmt: skip
NOT_PRELOADED = ("huggingface_hub", "open_clip", "torchvision")


@cache
def forked_command(*preloaded: str) -> tuple[str, ...]:
    """The beginning of a command line whose processes are forked from one that the first call starts.

    That one imports `preloaded` too: "torch" where models run, which makes each fork slower. No operator runs in it.
    """
    import subprocess
    import tempfile

    if not FORKS:
        return (sys.executable, __file__, "--run")

    folder = tempfile.mkdtemp(prefix="clipsim-forks-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = f"{folder}/socket"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--serve", path, *preloaded]
    # it ends with its standard input, however this process ends
    server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    atexit.register(server.wait)
    atexit.register(server.stdin.close)
    assert server.stdout.readline() == b"ready\n"
    server.stdout.close()
    return (sys.executable, "-I", "-S", __file__, path)


def _serve(path: str, preloaded: list[str]) -> None:
    """Fork for each client, until standard input ends."""
    import gc
    import importlib
    import select
    import socket

    for name in [*preloaded, *PRELOADED]:
        importlib.import_module(name)
    importlib.import_module("huggingface_hub.hf_api")  # for what it imports: itself, it reads the environment meanwhile
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        del sys.modules[name]
    assert not set(NOT_PRELOADED) & set(sys.modules)
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)
    while select.select([listener.fileno(), 0], [], [])[0] == [listener.fileno()]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(connection)
        connection.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _answer(connection: object) -> NoReturn:
    """In a fork: run what a client asks for in another one, and tell it the exit status."""
    import json
    import socket

    assert isinstance(connection, socket.socket)
    head, streams, _, _ = socket.recv_fds(connection, 8, 4)
    with connection.makefile("rb") as file:
        request = json.loads(file.read(int.from_bytes(head, "big")))
    child = os.fork()
    if child == 0:
        connection.close()
        _run(streams, **request)
    for stream in (0, 1, 2, *streams):
        os.close(stream)
    _, ended = os.waitpid(child, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(ended)).encode())
    os._exit(0)


def _run(streams: list[int], arguments: list[str], environment: dict[str, str]) -> NoReturn:
    """In the fork of a fork: be the program that the client stands for."""
    import importlib
    import threading
    import traceback

    signal.alarm(PATIENCE)
    for number, stream in enumerate(streams[:3]):
        os.dup2(stream, number)
    os.fchdir(streams[3])
    for stream in streams:
        os.close(stream)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    status = 0
    try:
        sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
        if any((Path(folder) / "sitecustomize.py").is_file() for folder in sys.path[:1]):
            sys.modules.pop("sitecustomize", None)
            hook = importlib.import_module("sitecustomize")
            if hook.PATCHED in sys.modules:
                hook.patch(sys.modules[hook.PATCHED])
        _execute(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter does as it ends
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _execute(arguments: list[str]) -> None:
    """Run clipsim, or the program after "-c", in this process."""
    code = COMMAND_LINE
    if arguments[:1] == ["-c"]:
        code = arguments[1]
        arguments = arguments[2:]
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})


def _ask(path: str, arguments: list[str]) -> int:
    """In the client: what the command ends with."""
    import json
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        request = json.dumps({"arguments": arguments, "environment": dict(os.environ)}).encode()
        streams = [0, 1, 2, os.open(".", os.O_RDONLY)]
        socket.send_fds(connection, [len(request).to_bytes(8, "big")], streams)
        connection.sendall(request)
        status = int(connection.recv(8))
    if status < 0:
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        _serve(sys.argv[2], sys.argv[3:])
    elif sys.argv[1] == "--run":
        _execute(sys.argv[2:])
    else:
        sys.exit(_ask(sys.argv[1], sys.argv[2:]))
