"""The code as any system runs it: processes that are spawned, text files with an encoding and line feeds, no shell."""

from __future__ import annotations

import ast
import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_architecture import FILES, PACKAGE, called, imports_of, parsed

# What may start processes, and by what; `errors` quotes words for Windows' shells by `subprocess`, and starts nothing.
MAY_START = {
    "errors.py": {"subprocess"},
    "embedding/decoders.py": {"multiprocessing"},
    "embedding/processes.py": {"multiprocessing"},
    "tasks/devices.py": {"multiprocessing"},
    "tasks/ray_process.py": {"subprocess"},
    "tasks/shard_workers.py": {"multiprocessing"},
}
STARTERS = {"multiprocessing", "subprocess", "_posixsubprocess"}
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
# where each is imported inside a function, behind a test of the system
GUARDED = {"cli/signals.py": {"fcntl"}, "files.py": {"fcntl"}, "server/running.py": {"resource"}}


def name_of(path: Path) -> str:
    """The path of a module below the package."""
    return path.relative_to(PACKAGE).as_posix()


def calls_in(path: Path) -> Iterator[ast.Call]:
    """The calls in a module."""
    return (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_processes_are_spawned_on_every_system(path: Path) -> None:
    """By the modules that start any; threads do the other work."""
    tops = {name.split(".")[0] for name in imports_of(path)}
    calls = [call for call in calls_in(path) if isinstance(call.func, ast.Attribute | ast.Name)]
    names = {ast.unparse(call.func) for call in calls}
    contexts = [ast.unparse(call) for call in calls if ast.unparse(call.func).endswith("get_context")]
    processes = {
        name for name in names if name.rpartition(".")[2] in ("Process", "Pool", "ProcessPoolExecutor", "Popen")
    }

    assert tops & STARTERS <= MAY_START.get(name_of(path), set())
    assert set(contexts) <= {"multiprocessing.get_context('spawn')"}
    own = {"subprocess.Popen"} if "subprocess" in MAY_START.get(name_of(path), ()) else set()
    assert processes <= ({"_context.Process"} if contexts else own)
    assert names & {"os.fork", "os.forkpty", "os.system", "os.popen", "os.posix_spawn"} == set()
    assert not any(name.endswith("set_start_method") for name in names)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_modules_of_posix_are_imported_behind_a_test_of_the_system(path: Path) -> None:
    """In functions of three modules, and at the top of none."""
    at_the_top = {alias.name for node in parsed(path).body if isinstance(node, ast.Import) for alias in node.names}

    assert set(imports_of(path)) & POSIX_MODULES == GUARDED.get(name_of(path), set())
    assert at_the_top & POSIX_MODULES == set()


def opened_text(call: ast.Call) -> str | None:
    """The mode of a call that opens a text file by its path; None for other calls."""
    name, owner = called(call), ""
    if isinstance(call.func, ast.Attribute):
        name, owner = call.func.attr, ast.unparse(call.func.value)
    keywords = {key.arg: key.value for key in call.keywords}
    if owner and name in ("read_text", "write_text"):
        return name[0]
    if name not in ("open", "fdopen") or owner in ("os", "webbrowser", "Image", "tarfile"):
        return None
    values = [*(call.args if owner else call.args[1:]), *([keywords["mode"]] if "mode" in keywords else [])]
    modes = [node.value for node in values if isinstance(node, ast.Constant)]
    if owner and not modes and not {"encoding", "errors", "newline"} & keywords.keys():
        return None  # a method of another object, such as a source
    mode = modes[0] if modes else "r"
    return mode if isinstance(mode, str) and set(mode) <= set("rwxa+t") else None


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_text_files_have_an_encoding_and_line_feeds(path: Path) -> None:
    """Windows would read and write them in its code page, and end lines with two characters."""
    for call in calls_in(path):
        mode = opened_text(call)
        keywords = {key.arg for key in call.keywords}
        if mode is None or (called(call) == "open" and "devnull" in ast.unparse(call)):
            continue
        assert "encoding" in keywords, f"{name_of(path)}:{call.lineno}"
        assert "r" in mode or "newline" in keywords, f"{name_of(path)}:{call.lineno}"


def test_the_check_of_text_files_finds_them() -> None:
    """Each way to open one, and none of what is read as bytes."""
    modes = {
        "open(a)": "r",
        "open(a, 'w')": "w",
        "path.read_text()": "r",
        "Path(a).open('w')": "w",
        "path.write_text(b)": "w",
        "path.open(mode='r')": "r",
        "path.open(encoding='utf-8')": "r",
        "open(a, 'rb')": None,
        "path.open('wb')": None,
        "source.open()": None,
        "read_text(path)": None,
        "os.open(a, flags)": None,
        "filesystem.open(path, 'rb', cache_type='none')": None,
    }
    for line, mode in modes.items():
        call = ast.parse(line, mode="eval").body
        assert isinstance(call, ast.Call)
        assert opened_text(call) == mode, line


def rank_colours(folder: str) -> bytes:
    """In a process of its own: the texts that fit a red and a blue image, and how sure that is."""
    import clipsim

    with clipsim.open() as session:
        result = session.rank([f"{folder}/red.png", f"{folder}/blue.png"], ["red", "blue"])
    return pickle.dumps(result)


def test_a_spawned_process_ranks_as_this_one(colours: Path) -> None:
    """The start method of Windows and macOS: nothing of this process is there, and the result comes back pickled."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ranked = pickle.loads(pool.apply(rank_colours, (str(colours),)))

    assert np.allclose(ranked.similarity, pickle.loads(rank_colours(str(colours))).similarity, atol=1e-6)
