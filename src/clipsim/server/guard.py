"""Every request → the application, or the error that it is answered with: host, origin, token, queue, body."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipsim.server.answers import RequestError
from clipsim.server.metrics import Metrics
from clipsim.server.settings import ServerSettings

_log = logging.getLogger(__name__)
COUNTED_PATHS = "/v1/thumbnails/"  # GETs that are bounded as POSTs are
BODY_FACTOR = 3  # bytes that a byte of a body takes: as it came, decoded, and as a string or a picture's file
MIN_HELD_BYTES = 512_000_000  # that may wait at least, whatever the largest body is
PIECE_BYTES = 65_536  # of an answer that are written at a time
MIN_BYTES_A_SECOND = 20_000  # that a client reads of its answer at least
LOG_SECONDS = 10.0  # for which a bug is logged once
OPEN_ROUTES = ("/health", "/ready", "/docs", "/openapi.json")
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
    """An ASGI application around another one; `open_paths` need no token.

    The other one finds "clipsim.charge" in the scope, to be called with the bytes that a request is going to hold.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics, open_paths: frozenset[str]) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
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
            route = getattr(scope.get("route"), "path", "other")
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
        given = headers.get("authorization", "")
        scheme, _, token = given.partition(" ")
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
            self._note(await self._receive())

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
        self._note(message)
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
            headers.setdefault("Cache-Control", "no-store")
            if (origin := self.headers.get("origin")) in self._settings.origins:
                headers["Access-Control-Allow-Origin"] = str(origin)
                headers["Access-Control-Allow-Headers"] = "authorization, content-type"
                headers["Access-Control-Allow-Methods"] = "GET, POST"
                headers.add_vary_header("Origin")
            if not complete:
                headers["Connection"] = "close"
            await self._pass(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        last = max(0, len(body) - 1) // PIECE_BYTES * PIECE_BYTES
        for start in range(0, last, PIECE_BYTES):
            piece = body[start : start + PIECE_BYTES]
            await self._pass({"type": "http.response.body", "body": piece, "more_body": True})
        body = body[last:]
        if not complete and not more:
            await self._pass({"type": "http.response.body", "body": body, "more_body": True})
            await self._drain()
            body = b""
        self.answered = self.answered or not more
        await self._pass({"type": "http.response.body", "body": body, "more_body": more})

    async def _pass(self, message: Message) -> None:
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
                self._note(await asyncio.wait_for(self._receive(), left))

    def _note(self, message: Message) -> None:
        self._taken += len(message.get("body", b""))
        if message["type"] == "http.disconnect":
            self._gone.set()
        if self._gone.is_set() or not message.get("more_body", False):
            self._complete.set()

    def _too_large(self) -> RequestError:
        return RequestError(413, f"the body is larger than {self._settings.max_body:,} bytes")
