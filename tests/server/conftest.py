"""A server in this process, on a free port, whose model is a `FakeEncoder`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from conftest import Machine
from PIL import Image

from clipsim.server.served_images import ServedImages
from clipsim.tasks.search_targets import find_targets

httpx = pytest.importorskip("httpx")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

Serve = Callable[..., Any]


def open_client(address: str) -> Any:
    """A client of a server, or of the socket of one."""
    limits = httpx.Limits(max_connections=400)
    if address.startswith("unix:"):
        transport = httpx.HTTPTransport(uds=address.removeprefix("unix:"), limits=limits)
        return httpx.Client(base_url="http://localhost/", timeout=60, transport=transport)
    return httpx.Client(base_url=address, timeout=60, limits=limits)


@contextmanager
def running_servers() -> Iterator[Serve]:
    """Start servers, which end at the end; gives what `serve` describes."""
    from clipsim.embedding.embedder import Embedder
    from clipsim.options import ModelOptions, RunOptions
    from clipsim.server.application import Service
    from clipsim.server.running import Server
    from clipsim.server.settings import ServerSettings

    with ExitStack() as stack:

        def start(
            *,
            places: Any = (),
            folders: Any = (),
            wait: bool = True,
            cache: bool = False,
            models: Any = ("clipsim-mini",),
            log: Any = None,
            classifier: Any = None,
            **settings: Any,
        ) -> Any:
            run = RunOptions(batch_size=8, cache=cache)
            embedders = [(name, Embedder(ModelOptions("clipsim-mini"), run)) for name in models]
            service = Service(embedders, ServerSettings(port=0, **settings), classifier)
            notices: list[str] = []
            server = Server(service, ServedImages(places, folders), on_notice=notices.append, log=log)
            failures: list[BaseException] = []

            def run_server() -> None:
                try:
                    server.run()
                except BaseException as error:
                    failures.append(error)

            thread = threading.Thread(target=run_server)
            client = open_client(server.address)
            client.server, client.service, client.thread = server, service, thread
            client.notices, client.failures = notices, failures
            thread.start()
            stack.callback(service.close)
            stack.callback(thread.join, 30)
            stack.callback(server.stop)
            stack.callback(client.close)
            while wait and client.get("/ready").status_code != 200:
                time.sleep(0.01)
            return client

        yield start


@pytest.fixture
def serve(machine: Machine) -> Iterator[Serve]:
    """Start a server with some `ServerSettings` and places to search; gives a client of it, by default once ready.

    The client has the `server`, its `service` and `thread`, its `notices`, and what ended it in `failures`.
    """
    with running_servers() as start:
        yield start


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of one server for all tests that only ask; an image of each colour can be searched there."""
    folder = tmp_path_factory.mktemp("searched")
    for name in ("red", "green", "blue"):
        Image.new("RGB", (40, 24), name).save(folder / f"{name}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clipsim.embedding.embedder.plan_engine", Machine().plan_engine)
        patch.setenv("CLIPSIM_CACHE_DIR", str(folder / "cache"))
        with running_servers() as start:
            yield start(places=find_targets(str(folder)))
