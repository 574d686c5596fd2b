"""A service → a server that runs until it is told to end: its socket, uvicorn, and the thread that loads models."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import math
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from clipsim.errors import DatasetError, ServerError, pluralise, printable
from clipsim.files import lock_file
from clipsim.server.access import AccessLog
from clipsim.server.application import Service, make_application
from clipsim.server.connections import TimedProtocol
from clipsim.server.following import follow_folders
from clipsim.server.model_thread import ENDED, call_in_loop
from clipsim.server.served_images import ServedImages
from clipsim.tasks.progress import ProgressCallback, ignore_progress

BACKLOG = 2048  # connections that wait to be accepted
ACCEPTED_AT_ONCE = 64
SPARE_DESCRIPTORS = 2 * ACCEPTED_AT_ONCE  # beside those of connections
MAX_CONNECTIONS = 8_192
LAST_SECONDS = 3  # after those for the answers that were begun, for telling the others that there will be none
KEEP_ALIVE_SECONDS = 30  # that a connection without a request stays open
MAX_SOCKET_PATH = 107 if sys.platform == "linux" else 103  # bytes, without the NUL at its end
SOCKET_MODE = 0o660
NOTICE_SECONDS = 60.0  # for which a failure of the event loop is noted once


class Server:
    """A server that listens on its port once it is made, and answers while it runs.

    `images` are what clients may search. `progress` is told what is loaded, and how much of it; `on_loaded` is
    called when nothing is any more, and `on_notice` with a line about what cannot be done. `log` is told of every
    request. Raises ServerError where the address cannot be used.
    """

    def __init__(
        self,
        service: Service,
        images: ServedImages | None = None,
        *,
        progress: ProgressCallback = ignore_progress,
        on_loaded: Callable[[], None] = lambda: None,
        on_notice: Callable[[str], None] = lambda _: None,
        log: AccessLog | None = None,
    ) -> None:
        self._service, self._images = service, images or ServedImages([])
        self._progress, self._on_loaded, self._on_notice = progress, on_loaded, on_notice
        self._failure: BaseException | None = None
        self._noted = -NOTICE_SECONDS
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the guard logs bugs, a line for many
        settings = service.settings
        if settings.unix_socket is None:
            self._socket = _open_socket(settings.host, settings.port)
        else:
            self._socket = _open_unix_socket(settings.unix_socket)
            self._file = os.lstat(settings.unix_socket)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._at_once = asyncio.Event()
        self._guard = make_application(service, log)
        config = uvicorn.Config(
            self._guard,
            http=partial(  # type: ignore[arg-type]
                TimedProtocol, max_connections=find_max_connections(), record=self._guard.record
            ),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=ACCEPTED_AT_ONCE,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=math.ceil(settings.drain_seconds) + LAST_SECONDS,
        )
        self._server = _Uvicorn(config, self._end_drain, settings.drain_seconds)

    @property
    def address(self) -> str:
        """The address of its page, or its socket."""
        settings = self._service.settings
        if settings.unix_socket is not None:
            return f"unix:{settings.unix_socket}"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"http://{host}:{self._socket.getsockname()[1]}{settings.root_path}/"

    def run(self) -> None:
        """Answer until `stop`; the models are loaded meanwhile. Raises what loading them raises."""
        threading.Thread(target=self._load, name="load the models", daemon=True).start()
        try:
            asyncio.run(self._serve())
        finally:
            self._remove_socket()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Answer what was begun, and let `run` return."""
        self._server.should_exit = True

    def look_again(self) -> None:
        """Look at the folders at once; may be called in any thread."""
        if self._loop is not None:
            call_in_loop(self._loop, self._at_once.set)

    def _remove_socket(self) -> None:
        """Remove the file of the socket, unless another server has replaced it."""
        path = self._service.settings.unix_socket
        with suppress(OSError):
            if path is not None and os.path.samestat(os.lstat(path), self._file):
                Path(path).unlink()

    def _end_drain(self) -> None:
        if unanswered := self._guard.end():
            self._on_notice(f"{pluralise(unanswered, 'request')} not answered within the time to end")

    def _fail(self) -> None:
        self._failure = ServerError(ENDED)
        self.stop()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._note_failure)
        models = list(self._service.models.values())
        following = asyncio.create_task(follow_folders(self._images, models, self._at_once))
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            following.cancel()

    def _note_failure(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell what the event loop cannot do, such as accept a connection with no descriptor free: a line a minute."""
        now = time.monotonic()
        if now - self._noted < NOTICE_SECONDS:
            return
        self._noted = now
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            message = "no file descriptor is free for another connection; clients wait until one is"
        else:
            message = f"{context.get('message')}: {error}"
        self._on_notice(message)

    def _load(self) -> None:
        try:
            self._service.images = self._images
            for model in self._service.models.values():
                model.load(self._images, self._progress, self._fail)
            models = self._service.models.values()
            if self._images.targets and all(model.collection is None for model in models):
                raise DatasetError(next(iter(models)).unsearchable)
            gc.collect()
            gc.freeze()  # a model's objects stay; a full collection would go through all of them, request after request
        except BaseException as error:
            self._failure = error
            self.stop()
        finally:
            self._on_loaded()


class _Uvicorn(uvicorn.Server):
    """uvicorn, which leaves signals alone, and accepts fewer connections at once than it lets wait.

    `end_drain` is called where, after `drain_seconds` of its end, there are still connections.
    """

    def __init__(self, config: uvicorn.Config, end_drain: Callable[[], None], drain_seconds: float) -> None:
        super().__init__(config)
        self._end_drain, self._drain_seconds = end_drain, drain_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for opened in sockets or ():
            opened.listen(BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and wait for what was begun."""
        timer = asyncio.get_running_loop().call_later(self._drain_seconds, self._end_drain)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()


def find_max_connections() -> int:
    """The number of connections that the process has descriptors for, some of which are kept for other files."""
    try:
        import resource
    except ImportError:  # Windows
        return MAX_CONNECTIONS
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, limit - max(SPARE_DESCRIPTORS, limit // 4)))


def _open_socket(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        opened = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ServerError(f"cannot listen on {printable(host)}, port {port}: {_cause(error)}") from error
    opened.setblocking(False)
    # asyncio leaves it out for such sockets; without it, an answer's body waits 40 ms for the client's acknowledgement
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def _open_unix_socket(path: str) -> socket.socket:
    """A socket in the file system, for its owner and group, in place of one that nobody listens on any more."""
    name = printable(path)
    if not hasattr(socket, "AF_UNIX"):
        raise ServerError("there are no Unix sockets on this system")
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise ServerError(f"{name}: the path of a socket has at most {MAX_SOCKET_PATH} bytes")
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _locked_folder(path):
            _remove_stale_socket(path)
            umask = os.umask(0o177)
            try:
                opened.bind(path)
            finally:
                os.umask(umask)
            Path(path).chmod(SOCKET_MODE)
            opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise ServerError(f"cannot listen on {name}: {_cause(error)}") from error
    except ServerError:
        opened.close()
        raise
    opened.setblocking(False)
    return opened


@contextmanager
def _locked_folder(path: str) -> Iterator[None]:
    """Let one server at a time look for a socket in a folder and replace it."""
    try:
        folder = os.open(Path(path).parent, os.O_RDONLY)
    except PermissionError:  # one that may be written to but not be listed
        yield
        return
    try:
        lock_file(folder, wait=True)
        yield
    finally:
        os.close(folder)


def _remove_stale_socket(path: str) -> None:
    """Remove a socket that nobody listens on. Raises ServerError for a live one and for another file, OSError."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServerError(f"cannot listen on {printable(path)}: there is a file, which is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
        except (TimeoutError, BlockingIOError):  # it is listened on, and too many wait
            pass
    raise ServerError(f"cannot listen on {printable(path)}: another server does")


def _cause(error: OSError) -> str:
    """What is wrong, without the address that Python adds; an error of the name service has a negative number."""
    if error.errno is not None and error.errno > 0 and sys.platform != "win32":  # whose numbers strerror does not know
        return os.strerror(error.errno)
    return (error.strerror or str(error)).partition(" (while attempting")[0]
