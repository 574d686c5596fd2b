"""A server in this process, on a free port, whose model is a `FakeEncoder`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from conftest import Machine

httpx = pytest.importorskip("httpx")
pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")

Serve = Callable[..., Any]


@pytest.fixture
def serve(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Start a server with some `ServerSettings` and places to search; gives a client of it, by default once ready."""
    from clipsim.api import Session
    from clipsim.options import ModelOptions, RunOptions
    from clipsim.server.application import Service
    from clipsim.server.running import Server
    from clipsim.server.settings import ServerSettings

    with ExitStack() as stack:

        def start(*, places: Any = (), wait: bool = True, cache: bool = False, **settings: Any) -> Any:
            session = Session(ModelOptions("clipsim-mini"), RunOptions(batch_size=8, cache=cache))
            service = Service([("clipsim-mini", session)], ServerSettings(port=0, **settings))
            server = Server(service, places)
            thread = threading.Thread(target=server.run)
            client = httpx.Client(base_url=server.address, timeout=60, limits=httpx.Limits(max_connections=400))
            thread.start()
            stack.callback(service.close)
            stack.callback(thread.join, 30)
            stack.callback(server.stop)
            stack.callback(client.close)
            while wait and client.get("/ready").status_code != 200:
                time.sleep(0.01)
            return client

        yield start
