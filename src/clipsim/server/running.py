"""A service → a server that runs until it is told to end: a socket, uvicorn, and the thread that loads the models."""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence

import uvicorn

from clipsim.api.places import Place
from clipsim.errors import ServerError, printable
from clipsim.server.application import Service, make_application
from clipsim.server.protocol import TimedProtocol

Progress = Callable[[str, int, int], None]
BACKLOG = 2048  # connections that wait to be accepted
END_SECONDS = 30  # after a signal, for the answers that were begun
KEEP_ALIVE_SECONDS = 30  # that a connection without a request stays open


class Server:
    """A server that listens on its port once it is made, and answers while it runs.

    `places` are what clients may search. `on_progress` is told what is loaded, and how much of it; `on_loaded` is
    called when nothing is any more. Raises ServerError where the address cannot be used.
    """

    def __init__(
        self,
        service: Service,
        places: Sequence[Place] = (),
        *,
        on_progress: Progress | None = None,
        on_loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self._service, self._places = service, places
        self._on_progress, self._on_loaded = on_progress, on_loaded
        self._failure: BaseException | None = None
        for name in ("uvicorn.error", "python_multipart"):
            logging.getLogger(name).setLevel(logging.ERROR)  # not a line for each invalid request
        config = uvicorn.Config(
            make_application(service),
            http=TimedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=END_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._socket = _open_socket(service.settings.host, service.settings.port)

    @property
    def address(self) -> str:
        """The address of its page."""
        host = self._service.settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}/"

    def run(self) -> None:
        """Answer until `stop`, SIGINT or SIGTERM; the models are loaded meanwhile. Raises what loading them raises."""
        threading.Thread(target=self._load, name="load the models", daemon=True).start()
        self._server.run(sockets=[self._socket])
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Answer what was begun, and let `run` return."""
        self._server.should_exit = True

    def _load(self) -> None:
        try:
            for number, model in enumerate(self._service.models.values()):
                model.load(() if number else self._places, self._on_progress)
            gc.collect()
            gc.freeze()  # a model's objects stay; a full collection would go through all of them, request after request
        except BaseException as error:
            self._failure = error
            self.stop()
        finally:
            self._on_loaded()


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
