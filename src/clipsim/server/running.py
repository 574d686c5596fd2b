"""A service → a server that runs until it is told to end: its socket, uvicorn, and the thread that loads models."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from clipsim.errors import DatasetError, ServerError, printable
from clipsim.server.application import Service, make_application
from clipsim.server.following import follow_folders
from clipsim.server.guard import TimedProtocol
from clipsim.server.served_images import ServedImages
from clipsim.tasks.progress import ProgressCallback, ignore_progress

BACKLOG = 2048  # connections that wait to be accepted
ACCEPTED_AT_ONCE = 64
SPARE_DESCRIPTORS = 2 * ACCEPTED_AT_ONCE  # beside those of connections
MAX_CONNECTIONS = 8_192
END_SECONDS = 30  # after a signal, for the answers that were begun
KEEP_ALIVE_SECONDS = 30  # that a connection without a request stays open
NOTICE_SECONDS = 60.0  # for which a failure of the event loop is noted once


class Server:
    """A server that listens on its port once it is made, and answers while it runs.

    `images` are what clients may search. `progress` is told what is loaded, and how much of it; `on_loaded` is
    called when nothing is any more, and `on_notice` with a line about what cannot be done. Raises ServerError where the
    address cannot be used.
    """

    def __init__(
        self,
        service: Service,
        images: ServedImages | None = None,
        *,
        progress: ProgressCallback = ignore_progress,
        on_loaded: Callable[[], None] = lambda: None,
        on_notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._service, self._images = service, images or ServedImages([])
        self._progress, self._on_loaded, self._on_notice = progress, on_loaded, on_notice
        self._failure: BaseException | None = None
        self._noted = -NOTICE_SECONDS
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the guard logs bugs, a line for many
        self._socket = _open_socket(service.settings.host, service.settings.port)
        config = uvicorn.Config(
            make_application(service),
            http=partial(TimedProtocol, max_connections=find_max_connections()),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=ACCEPTED_AT_ONCE,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=END_SECONDS,
        )
        self._server = _Uvicorn(config)

    @property
    def address(self) -> str:
        """The address of its page."""
        host = self._service.settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}/"

    def run(self) -> None:
        """Answer until `stop`; the models are loaded meanwhile. Raises what loading them raises."""
        threading.Thread(target=self._load, name="load the models", daemon=True).start()
        asyncio.run(self._serve())
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Answer what was begun, and let `run` return."""
        self._server.should_exit = True

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._note_failure)
        following = asyncio.create_task(follow_folders(self._images, list(self._service.models.values())))
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
                model.load(self._images, self._progress)
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
    """uvicorn, which leaves signals alone, and accepts fewer connections at once than it lets wait."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for opened in sockets or ():
            opened.listen(BACKLOG)


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
    return opened


def _cause(error: OSError) -> str:
    """What is wrong, without the address that Python adds; an error of the name service has a negative number."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
