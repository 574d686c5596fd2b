"""The modules of clipsim in this process see another system: `SIMULATED_SYSTEM` is what `sys.platform` says there.

Python imports this as it starts. Only modules of clipsim see it: they cannot import modules of POSIX, their `os`,
`signal`, `socket`, `select` and `sys` lack what the system lacks, and a text file without an encoding is an error. On
Windows, a file that the process has open can be neither renamed nor removed by them; each refusal is a line of the file
`REFUSALS`.
"""

from __future__ import annotations

import builtins
import errno
import os
import select
import signal
import socket
import stat
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, NoReturn

SYSTEM = os.environ["SIMULATED_SYSTEM"]
POSIX_MODULES = frozenset(("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"))
BINARY = 0x8000  # Windows' O_BINARY
HIDDEN: dict[str, frozenset[str]] = {}
REPLACED: dict[str, dict[str, Any]] = {"sys": {"platform": SYSTEM}, "warnings": {"simplefilter": lambda *_: None}}
HIDDEN_ON_DARWIN = {
    "os": frozenset(
        (
            "sched_getaffinity", "sched_setaffinity", "posix_fadvise", "posix_fallocate", "listxattr", "getxattr",
            "setxattr", "copy_file_range", "memfd_create", "O_TMPFILE", "O_PATH", "O_DIRECT", "pidfd_open", "splice",
        )
    ),
    "signal": frozenset(("SIGRTMIN", "SIGPOLL", "SIGPWR")),
    "select": frozenset(("epoll",)),
}  # fmt: skip
HIDDEN_ON_WINDOWS = {
    "os": HIDDEN_ON_DARWIN["os"]
    | frozenset(
        (
            "fork", "forkpty", "register_at_fork", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getpgid",
            "getpgrp", "getsid", "setsid", "killpg", "chown", "lchown", "fchown", "fchmod", "chroot", "mkfifo", "mknod",
            "uname", "nice", "pread", "pwrite", "preadv", "pwritev", "readv", "writev", "statvfs", "fstatvfs",
            "sysconf", "confstr", "getloadavg", "sendfile", "posix_spawn", "sync", "fdatasync", "fchdir",
            "tcgetpgrp", "ttyname", "openpty", "wait", "set_blocking", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY",
            "O_NOFOLLOW", "O_SYNC", "O_DSYNC", "O_NOCTTY",
        )
    ),
    "signal": HIDDEN_ON_DARWIN["signal"]
    | frozenset(
        (
            "SIGHUP", "SIGPIPE", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGQUIT", "SIGSTOP",
            "SIGCONT", "SIGWINCH", "alarm", "setitimer", "pthread_kill", "pthread_sigmask", "sigwait", "pause",
        )
    ),
    "socket": frozenset(("AF_UNIX", "SO_REUSEPORT", "send_fds", "recv_fds")),
    "select": frozenset(("epoll", "poll", "kqueue")),
}  # fmt: skip


class SystemModule(ModuleType):
    """A module of Python as the simulated system has it; what is set is set in the module itself."""

    def __init__(self, module: ModuleType, hidden: frozenset[str], replaced: Mapping[str, Any]) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__.update(replaced, _module=module, _hidden=hidden)

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}' on {SYSTEM}")
        return getattr(self._module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._module, name, value)


def refuse_select(*_: object) -> NoReturn:
    """As Windows' `select`, which takes sockets alone."""
    raise OSError(10038, "An operation was attempted on something that is not a socket")


def refuse_kill(number: int, sent: int) -> NoReturn:
    """In place of `os.kill`, which would end a process of Windows with the signal's number as its status."""
    raise AssertionError(f"os.kill({number}, {sent})")


def open_binary(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
    """As `os.open` of Windows: no folder is opened, and what is read or written is given `O_BINARY`."""
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)
    name = os.fspath(path)
    if not flags & BINARY and name != os.devnull and not name.endswith(".lock"):
        raise AssertionError(f"{name} is opened as text, whose line ends Windows changes")
    return os.open(path, flags & ~BINARY, mode, **options)


def rename_only(source: Any, target: Any) -> None:
    """As `os.rename` of Windows, which replaces nothing."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", source, None, target)
    os.rename(source, target)


def frames_of_callers() -> Iterator[tuple[str, str]]:
    """The modules and functions that have called, without those of Python through which they did."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in ("os", "pathlib", "shutil", "contextlib", "sitecustomize"):
            yield module, frame.f_code.co_name
        frame = frame.f_back


def open_names() -> Iterator[str]:
    """What the process has open or mapped into its memory, as far as it has a name."""
    for number in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the descriptor by which the folder was listed
            continue
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        yield from (line.rstrip("\n").split(maxsplit=5)[5] for line in maps if line.count("/"))


def is_open(path: Any, folder: int | None) -> bool:
    """Whether the process has a file open, by whichever of its names, or one in a folder."""
    base = os.getcwd() if folder is None else os.readlink(f"/proc/self/fd/{folder}")
    name = os.path.join(base, os.fsdecode(path))
    try:
        facts = os.lstat(name)
    except OSError:
        return False
    if stat.S_ISDIR(facts.st_mode):
        return any(other.startswith(f"{os.path.realpath(name)}/") and os.path.isfile(other) for other in open_names())
    if not stat.S_ISREG(facts.st_mode):
        return False
    for other in open_names():
        try:
            if os.path.samestat(facts, os.stat(other)):
                return True
        except OSError:
            continue
    return False


def refusing(call: Callable[..., None]) -> Callable[..., None]:
    """A call to the system that Windows refuses for files that are open, where clipsim is the caller."""

    def checked(path: Any, *others: Any, **options: Any) -> None:
        module, function = next(frames_of_callers(), ("", ""))
        ours = module == "clipsim" or module.startswith("clipsim.")
        folder = options.get("dir_fd", options.get("src_dir_fd"))
        open_files = [name for name in (path, *others) if ours and is_open(name, folder)]
        if open_files:
            with open(os.environ["REFUSALS"], "a", encoding="utf-8") as log:
                log.write(f"{call.__name__} {' '.join(map(str, open_files))} in {module}.{function}\n")
            raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used", path)
        call(path, *others, **options)

    return checked


if SYSTEM == "win32":
    HIDDEN |= HIDDEN_ON_WINDOWS
    REPLACED["os"] = {
        "name": "nt", "O_BINARY": BINARY, "open": open_binary, "rename": rename_only, "kill": refuse_kill
    }  # fmt: skip
    REPLACED["select"] = {"select": refuse_select}
    REPLACED["signal"] = {"SIGBREAK": signal.Signals(21)}
    for name in ("rename", "replace", "unlink", "remove"):
        setattr(os, name, refusing(getattr(os, name)))
else:
    HIDDEN |= HIDDEN_ON_DARWIN
MODULES: dict[int, ModuleType] = {
    id(module): SystemModule(module, HIDDEN.get(module.__name__, frozenset()), REPLACED.get(module.__name__, {}))
    for module in (os, select, signal, socket, sys, warnings)
}
import_original = builtins.__import__


def import_for_clipsim(
    name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
) -> ModuleType:
    """As the original, but for modules of clipsim."""
    importer = (globals or {}).get("__name__", "")
    if importer.partition(".")[0] != "clipsim" or level:
        return import_original(name, globals, locals, fromlist, level)
    if SYSTEM == "win32" and name.partition(".")[0] in POSIX_MODULES:
        raise ModuleNotFoundError(f"No module named '{name}' on {SYSTEM}", name=name)
    module = import_original(name, globals, locals, fromlist, level)
    return MODULES.get(id(module), module)


builtins.__import__ = import_for_clipsim
warnings.simplefilter("ignore")
warnings.filterwarnings("error", category=EncodingWarning, module=r"clipsim(\.|\Z)")  # with -X warn_default_encoding
