"""Every request → the application, or the error that it is answered with: host, origin, token, queue, body."""

from __future__ import annotations

import asyncio
import hmac
import time
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipsim.server.answers import RequestError
from clipsim.server.metrics import Metrics
from clipsim.server.settings import ServerSettings

OPEN_ROUTES = ("/health", "/ready", "/docs", "/openapi.json")
LINGER_SECONDS = 2.0  # that a body is read on after its error, so that the client gets to read the answer
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """An ASGI application around another one; `open_paths` need no token."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics, open_paths: frozenset[str]) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._open_paths = open_paths | set(OPEN_ROUTES)
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        exchange = _Exchange(scope, receive, send, self._settings)
        begun = time.perf_counter()
        counted = scope["method"] == "POST"
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
                await self._app(scope, exchange.receive, exchange.send)
            finally:
                self._running -= counted
        except RequestError as error:
            if exchange.status is None:
                await error.response()(scope, exchange.receive, exchange.send)
        except asyncio.TimeoutError:
            exchange.status = 499  # uvicorn closes the connection of an answer that is not complete
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(exchange.status or 499)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._settings.is_known_host(host):
            raise RequestError(421, "this server does not answer to that Host")
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

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: ServerSettings) -> None:
        self.headers = Headers(scope=scope)
        self.status: int | None = None
        self._receive, self._send, self._settings = receive, send, settings
        length = self.headers.get("content-length", "0")
        self._length = int(length) if length.isdecimal() else 0  # h11 lets no more than 20 digits pass
        self._complete = not self._length and "transfer-encoding" not in self.headers
        self._taken = 0
        self._end = time.monotonic() + settings.body_seconds

    async def receive(self) -> Message:
        """The next part of the body. Raises RequestError where it is too long or too slow."""
        if self._complete:
            return await self._receive()
        if self._length > self._settings.max_body:
            raise self._too_large()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._end - time.monotonic()))
        except asyncio.TimeoutError as error:
            raise RequestError(408, f"the body took more than {self._settings.body_seconds:g} s") from error
        self._note(message)
        if self._taken > self._settings.max_body:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on; where the body has not been read to its end, close the connection after it."""
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
            if not self._complete:
                headers["Connection"] = "close"
        elif not self._complete and not message.get("more_body", False):
            await self._pass({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._pass(message)

    async def _pass(self, message: Message) -> None:
        """Send; a client that does not read its answer must not keep its place in the queue."""
        await asyncio.wait_for(self._send(message), self._settings.body_seconds)

    async def _drain(self) -> None:
        """Read and drop what still comes, for a while: a client that is reset does not see the answer."""
        end = time.monotonic() + LINGER_SECONDS
        with suppress(asyncio.TimeoutError):
            while not self._complete and (left := end - time.monotonic()) > 0:
                self._note(await asyncio.wait_for(self._receive(), left))

    def _note(self, message: Message) -> None:
        self._taken += len(message.get("body", b""))
        self._complete = message["type"] == "http.disconnect" or not message.get("more_body", False)

    def _too_large(self) -> RequestError:
        return RequestError(413, f"the body is larger than {self._settings.max_body:,} bytes")
