"""A service → a server that runs until it is told to end: its socket, uvicorn, and the thread that loads the models."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Sequence

import uvicorn

from clipsim.api.places import Place
from clipsim.errors import UsageError, printable
from clipsim.server.application import Service, make_application
from clipsim.server.protocol import TimedProtocol

Progress = Callable[[str, int, int], None]


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UsageError where the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        opened = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(f"cannot listen on {printable(host)}:{port}: {error.strerror or error}") from error
    opened.setblocking(False)
    return opened


def address_of(opened: socket.socket, host: str) -> str:
    """The address of the page."""
    return f"http://{f'[{host}]' if ':' in host else host}:{opened.getsockname()[1]}/"


def run_server(
    service: Service,
    opened: socket.socket,
    places: Sequence[Place],
    *,
    on_progress: Progress,
    on_loaded: Callable[[], None],
) -> None:
    """Answer until SIGINT or SIGTERM; the models are loaded meanwhile. Raises what loading them raises."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # not a line for each invalid request
    server = uvicorn.Server(
        uvicorn.Config(
            make_application(service),
            http=TimedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
        )
    )
    failure: list[BaseException] = []

    def load() -> None:
        try:
            for number, model in enumerate(service.models.values()):
                model.load(places if number == 0 else (), on_progress)
        except BaseException as error:
            failure.append(error)
            server.should_exit = True
        finally:
            on_loaded()

    threading.Thread(target=load, name="load the models", daemon=True).start()
    server.run(sockets=[opened])
    if failure:
        raise failure[0]
