"""Every request → the application, or the error that it is answered with: host, origin, token, queue, body."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import h11
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from clipsim.render.json import to_json
from clipsim.server.answers import RequestError
from clipsim.server.metrics import Metrics
from clipsim.server.settings import ServerSettings

_log = logging.getLogger(__name__)
COUNTED_PATHS = ("/v1/thumbnails/", "/v1/images/")  # GETs that are bounded as POSTs are
BODY_FACTOR = 3  # bytes that a byte of a body takes: as it came, decoded, and as a string or an image's file
MIN_HELD_BYTES = 512_000_000  # that may wait at least, whatever the largest body is
PIECE_BYTES = 65_536  # of an answer that are written at a time
MIN_BYTES_A_SECOND = 20_000  # that a client reads of its answer at least
LOG_SECONDS = 10.0  # for which a bug is logged once
OPEN_ROUTES = ("/health", "/ready")
LINGER_SECONDS = 2.0  # that a body is read on after its error, so that the client gets to read the answer
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ClientGoneError(Exception):
    """The client has closed the connection, or does not read its answer."""


class Held:
    """The bytes of all requests that are not answered yet, never more than `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit, self.taken = limit, 0

    def take(self, amount: int) -> None:
        """Hold so many bytes more. Raises RequestError where they do not fit."""
        if self.taken + amount > self.limit:
            raise RequestError(429, "too much waits to be answered; try again", {"Retry-After": "1"})
        self.taken += amount


class Guard:
    """An ASGI application around another one; `open_paths` need no token, `names` are what counts call its endpoints.

    The other one finds "clipsim.charge" in the scope, to be called with the bytes that a request is going to hold.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        metrics: Metrics,
        open_paths: frozenset[str],
        names: Mapping[Any, str],
    ) -> None:
        self._app, self._settings, self._metrics, self._names = app, settings, metrics, names
        self._open_paths = open_paths | set(OPEN_ROUTES)
        self._running = 0
        self._held = Held(max(MIN_HELD_BYTES, 2 * BODY_FACTOR * settings.max_body))
        self._logged = -LOG_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        exchange = _Exchange(scope, receive, send, self._settings, self._held)
        scope["clipsim.charge"] = exchange.charge
        begun = time.perf_counter()
        counted = scope["method"] == "POST" or scope["path"].startswith(COUNTED_PATHS)
        try:
            self._check(scope, exchange.headers)
            if scope["method"] == "OPTIONS" and "origin" in exchange.headers:
                await Response(status_code=204)(scope, exchange.receive, exchange.send)
                return
            if counted and self._running >= self._settings.queue:
                counted = False
                raise RequestError(429, "the queue is full; try again", {"Retry-After": "1"})
            self._running += counted
            try:
                await self._answer(scope, exchange)
            finally:
                self._running -= counted
        except RequestError as error:
            if exchange.status is None:
                with suppress(ClientGoneError):
                    await error.response()(scope, exchange.receive, exchange.send)
        except ClientGoneError:
            exchange.status = 499  # uvicorn closes the connection of an answer that is not complete
        except Exception as error:  # a bug, which was answered by the application
            self._log_bug(error)
        finally:
            exchange.release()
            route = self._names.get(scope.get("endpoint"), "other")
            self._metrics.requests.labels(route, str(exchange.status or 499)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)

    async def _answer(self, scope: Scope, exchange: _Exchange) -> None:
        """Run the application until it has answered, or the client has gone."""
        work = asyncio.ensure_future(self._app(scope, exchange.receive, exchange.send))
        gone = asyncio.ensure_future(exchange.wait_until_gone())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not exchange.answered:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work
                raise ClientGoneError
            await work
        finally:
            work.cancel()
            gone.cancel()

    def _log_bug(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._logged >= LOG_SECONDS:
            self._logged = now
            _log.error("a bug; others within %g s are not shown", LOG_SECONDS, exc_info=error)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._settings.is_known_host(host):
            raise RequestError(421, "this server does not answer to that Host")
        if "content-length" in headers and "transfer-encoding" in headers:  # who reads it otherwise sees two requests
            raise RequestError(400, "Content-Length and Transfer-Encoding contradict each other; send one")
        if scope["method"] != "POST" and (int(headers.get("content-length", "0")) or "transfer-encoding" in headers):
            raise RequestError(400, "only a POST has a body")
        origin = headers.get("origin")
        if origin is not None and not self._settings.is_known_origin(origin, host):
            raise RequestError(403, "pages of that Origin may not call this server")
        if self._settings.token is None or scope["path"] in self._open_paths or scope["method"] == "OPTIONS":
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(token.strip().encode(), self._settings.token.encode())
        if scheme.lower() != "bearer" or not right:
            raise RequestError(401, "give the token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})


class _Exchange:
    """One request and its answer: counts the bytes that come, and the seconds they take."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: ServerSettings, held: Held) -> None:
        self.headers = Headers(scope=scope)
        self.status: int | None = None
        self.answered = False
        self._receive, self._send, self._settings, self._held = receive, send, settings, held
        length = self.headers.get("content-length", "0")
        self._length = int(length) if length.isdecimal() else 0  # h11 lets no more than 20 digits pass
        self._complete, self._gone = asyncio.Event(), asyncio.Event()
        if not self._length and "transfer-encoding" not in self.headers:
            self._complete.set()
        self._read = False  # whether the application has the whole body
        self._taken = self._charged = 0
        self._end = time.monotonic() + settings.body_seconds
        self._answer_end = 0.0

    def charge(self, amount: int) -> None:
        """Hold so many bytes until the answer has been sent. Raises RequestError where they do not fit."""
        self._held.take(amount)
        self._charged += amount

    def release(self) -> None:
        """Hold nothing any more."""
        self._held.taken -= self._charged
        self._charged = 0

    async def wait_until_gone(self) -> None:
        """Return once the client has closed its connection, or has its answer."""
        await self._complete.wait()  # before, whoever reads the body is told
        while not self._gone.is_set():
            self._record(await self._receive())

    async def receive(self) -> Message:
        """The next part of the body. Raises RequestError where it is too long or too slow."""
        if self._read:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        if self._complete.is_set():
            self._read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._length > self._settings.max_body:
            raise self._too_large()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._end - time.monotonic()))
        except asyncio.TimeoutError as error:
            raise RequestError(408, f"the body took more than {self._settings.body_seconds:g} s") from error
        self._record(message)
        if self._taken > self._settings.max_body:
            raise self._too_large()
        self.charge(BODY_FACTOR * len(message.get("body", b"")))
        self._read = self._complete.is_set()
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on; where the body has not been read to its end, close the connection after it."""
        complete = self._complete.is_set()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Content-Security-Policy", POLICY)
            headers.setdefault("Referrer-Policy", "no-referrer")
            headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
            headers.setdefault("Cache-Control", "no-store")
            if (origin := self.headers.get("origin")) in self._settings.origins:
                headers["Access-Control-Allow-Origin"] = str(origin)
                headers["Access-Control-Allow-Headers"] = "authorization, content-type"
                headers["Access-Control-Allow-Methods"] = "GET, POST"
                headers.add_vary_header("Origin")
            if not complete:
                headers["Connection"] = "close"
            await self._forward(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        last = max(0, len(body) - 1) // PIECE_BYTES * PIECE_BYTES
        for start in range(0, last, PIECE_BYTES):
            piece = body[start : start + PIECE_BYTES]
            await self._forward({"type": "http.response.body", "body": piece, "more_body": True})
        body = body[last:]
        if not complete and not more:
            await self._forward({"type": "http.response.body", "body": body, "more_body": True})
            await self._drain()
            body = b""
        self.answered = self.answered or not more
        await self._forward({"type": "http.response.body", "body": body, "more_body": more})

    async def _forward(self, message: Message) -> None:
        """Send; a client that does not read its answer must not keep its place in the queue."""
        now = time.monotonic()
        self._answer_end = max(self._answer_end or now + self._settings.body_seconds, now)
        self._answer_end += len(message.get("body", b"")) / MIN_BYTES_A_SECOND
        try:
            await asyncio.wait_for(self._send(message), self._answer_end - now)
        except asyncio.TimeoutError as error:
            raise ClientGoneError from error

    async def _drain(self) -> None:
        """Read and drop what still comes, for a while: a client that is reset does not see the answer."""
        end = time.monotonic() + LINGER_SECONDS
        with suppress(asyncio.TimeoutError):
            while not self._complete.is_set() and (left := end - time.monotonic()) > 0:
                self._record(await asyncio.wait_for(self._receive(), left))

    def _record(self, message: Message) -> None:
        """Count the bytes of a message, and note the end of the body or of the connection."""
        self._taken += len(message.get("body", b""))
        if message["type"] == "http.disconnect":
            self._gone.set()
        if self._gone.is_set() or not message.get("more_body", False):
            self._complete.set()

    def _too_large(self) -> RequestError:
        return RequestError(413, f"the body is larger than {self._settings.max_body:,} bytes")


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
    503 and closed.
    """

    def __init__(self, *args: Any, max_connections: int, **options: Any) -> None:
        super().__init__(*args, **options)
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
            self._refuse("503 Service Unavailable", "too_many_connections", "too many connections; try again")

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
            self._refuse("400 Bad Request", "bad_request", "this is not HTTP/1.1, or exceeds its limits")
        else:
            self.transport.abort()

    def _refuse(self, status: str, kind: str, message: str) -> None:
        if self.cycle is not None:  # whoever reads the body is told that there is no more of it
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = to_json({"error": {"type": kind, "message": message}}).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        self.transport.close()

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
