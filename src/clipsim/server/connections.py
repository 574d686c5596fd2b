"""Bytes of a client → requests: HTTP/1.1 whose headers come, and whose answers are read, in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import h11
from starlette.datastructures import Headers
from uvicorn.protocols.http.h11_impl import H11Protocol

from clipsim.render.json import to_json
from clipsim.server.access import Entry, find_client

HEADER_SECONDS = 15.0  # in which a header has to come
WRITE_SECONDS = 30.0  # for which a client may read nothing of an answer
TICK_SECONDS = 0.5  # between two looks at a connection
MAX_HEADER_BYTES = 16_384
MAX_HEADERS = 100
MAX_PIPELINED_BYTES = 65_536  # that may come before the request before them is answered
SMALL_CHUNK_BYTES = 1_024
MAX_SMALL_CHUNKS = 2_000  # of a body; each takes as long to read as a large one


class BoundedConnection(h11.Connection):
    """h11's state of a connection, which refuses large headers and bodies of many small chunks."""

    _small_chunks = 0

    def next_event(self) -> Any:
        """The next event. Raises h11.RemoteProtocolError."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._small_chunks = 0
            headers = sum(len(name) + len(value) for name, value in event.headers)
            if len(event.headers) > MAX_HEADERS or len(event.target) + headers > MAX_HEADER_BYTES:
                raise h11.RemoteProtocolError("the header is too large")
        elif isinstance(event, h11.Data) and event.chunk_end and len(event.data) < SMALL_CHUNK_BYTES:
            self._small_chunks += 1
            if self._small_chunks > MAX_SMALL_CHUNKS:
                raise h11.RemoteProtocolError("too many small chunks")
        return event


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which ends a connection whose header does not come or whose answer is not read.

    It reads on while a request is answered, so that it sees the client go. More than `max_connections` are answered
    503 and closed. `record` is told of what is refused here, before there is a request.
    """

    def __init__(self, *args: Any, max_connections: int, record: Callable[[Entry], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._record = record
        self.conn = BoundedConnection(h11.SERVER, MAX_HEADER_BYTES)
        self._max_connections = max_connections
        self._header_since: float | None = None
        self._unread_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first header."""
        super().connection_made(transport)
        self._header_since = self.loop.time()
        self._timer = self.loop.call_later(min(TICK_SECONDS, HEADER_SECONDS), self._look)
        if len(self.connections) > self._max_connections:
            self._refuse(503, "too_many_connections", "too many connections; try again")

    def data_received(self, data: bytes) -> None:
        """Read on; a later header has its own time."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._is_idle():
            self._header_since = self._header_since or self.loop.time()
            return
        self._header_since = None
        if self.conn.their_state is h11.DONE:
            if len(self.conn.trailing_data[0]) > MAX_PIPELINED_BYTES:
                self.transport.abort()
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._unread_since = None
        super().resume_writing()

    def send_400_response(self, _: str) -> None:
        """Answer what is not HTTP, where no answer has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._refuse(400, "bad_request", "this is not HTTP/1.1, or exceeds its limits")
        else:
            self.transport.abort()

    def _refuse(self, status: int, kind: str, message: str) -> None:
        if self.cycle is not None:  # whoever reads the body is told that there is no more of it
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = to_json({"error": {"type": kind, "message": message}}).encode()
        entry = Entry(client=find_client(self.client, Headers()), status=status, sent=len(body), error=kind)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-Id: {entry.request_id}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
        self._record(entry)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _look(self) -> None:
        """End the connection where one of its times is over."""
        now = self.loop.time()
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        waits = ((self._header_since, HEADER_SECONDS), (self._unread_since, WRITE_SECONDS))
        if any(since is not None and now - since >= seconds for since, seconds in waits):
            self.transport.abort()
            return
        self._timer = self.loop.call_later(min(TICK_SECONDS, HEADER_SECONDS), self._look)
