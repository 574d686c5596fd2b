"""Every request → the application, or the error that it is answered with: host, origin, token, queue, body, time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipsim.server.access import AccessLog, Entry, Pace, Tokens
from clipsim.server.answers import RequestError
from clipsim.server.metrics import Metrics
from clipsim.server.settings import PROBES, ServerSettings

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

    def __init__(self, limit: int, retry: Callable[[], dict[str, str]]) -> None:
        self.limit, self.taken = limit, 0
        self._retry = retry

    def take(self, amount: int) -> None:
        """Hold so many bytes more. Raises RequestError where they do not fit."""
        if self.taken + amount > self.limit:
            raise RequestError(429, "too much waits to be answered; try again", self._retry())
        self.taken += amount


class Guard:
    """An ASGI application around another one; `open_paths` need no token, `find_route` names the route of a path.

    The other one finds "clipsim.charge" in the scope, to be called with the bytes that a request is going to hold, and
    "clipsim.entry", for what it knows of the request. `log` is told of every request.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        tokens: Tokens,
        metrics: Metrics,
        open_paths: frozenset[str],
        find_route: Callable[[str], str],
        log: AccessLog | None = None,
    ) -> None:
        self._app, self._settings, self._tokens, self._metrics = app, settings, tokens, metrics
        self._open_paths, self._find_route, self._access_log = open_paths | set(OPEN_ROUTES), find_route, log
        self._pace = Pace()
        self._begun = 0
        self._exchanges: set[_Exchange] = set()
        self._held = Held(max(MIN_HELD_BYTES, 2 * BODY_FACTOR * settings.max_body), self._retry)
        self._logged = -LOG_SECONDS
        metrics.accepted.set_function(lambda: self._begun)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        root, path = self._settings.root_path, scope["path"]
        at_root = bool(root) and path == root
        if at_root or path.startswith(f"{root}/"):  # a proxy may also have taken it away
            scope["path"] = path[len(root) :] or "/"
        headers = Headers(scope=scope)
        entry = Entry.of(scope["method"], scope.get("client"), headers, self._find_route(scope["path"]))
        exchange = _Exchange(headers, receive, send, self._settings, self._held, entry)
        scope["clipsim.charge"], scope["clipsim.entry"] = exchange.charge, entry
        counted = scope["method"] == "POST" or scope["path"].startswith(COUNTED_PATHS)
        try:
            self._check(scope, headers, entry)
            if scope["method"] == "OPTIONS" and "origin" in headers:
                await Response(status_code=204)(scope, exchange.receive, exchange.send)
                return
            if at_root:
                await RedirectResponse(f"{root}/")(scope, exchange.receive, exchange.send)
                return
            if counted and self._begun >= self._settings.queue:
                raise RequestError(429, "the queue is full; try again", self._retry())
            entry.accepted = True
            self._begun += counted
            try:
                await self._answer(scope, exchange)
            finally:
                self._begun -= counted
                if counted and exchange.answered:
                    self._pace.note(entry.begun, time.monotonic())
        except RequestError as error:
            if exchange.status is None:
                entry.error = error.kind
                with suppress(ClientGoneError):
                    await error.response()(scope, exchange.receive, exchange.send)
        except ClientGoneError:
            exchange.status = 499  # uvicorn closes the connection of an answer that is not complete
        except Exception as error:  # a bug, which was answered by the application
            self._log_bug(error, entry)
        finally:
            exchange.release()
            entry.status = exchange.status or 499
            self.record(entry)

    def record(self, entry: Entry) -> None:
        """Count a request that has been answered, and write its line."""
        entry.seconds = time.monotonic() - entry.begun
        self._metrics.requests.labels(entry.route, str(entry.status)).inc()
        if entry.accepted:
            self._metrics.seconds.labels(entry.route).observe(entry.seconds)
        if self._access_log is not None and not self._access_log.add(entry):
            self._metrics.dropped.inc()

    def end(self) -> int:
        """Answer what is not answered yet with an error, since the server ends; the number of such requests."""
        unanswered = [exchange for exchange in self._exchanges if exchange.status is None]
        for exchange in unanswered:
            if not exchange.ended.done():
                exchange.ended.set_result(None)
        return len(unanswered)

    async def _answer(self, scope: Scope, exchange: _Exchange) -> None:
        """Run the application until it has answered, the client has gone, or the time is over."""
        work = asyncio.ensure_future(self._app(scope, exchange.receive, exchange.send))
        gone = asyncio.ensure_future(exchange.wait_until_gone())
        waited = {work, gone, exchange.ended}
        self._exchanges.add(exchange)
        try:
            await asyncio.wait(waited, timeout=self._settings.request_seconds, return_when=asyncio.FIRST_COMPLETED)
            if exchange.status is not None:  # an answer that has begun has its own time
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not exchange.answered:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work
                if gone.done():
                    raise ClientGoneError
                if exchange.ended.done():
                    raise RequestError(503, "the server ends; try again", self._retry(), kind="ending")
                raise RequestError(504, f"the answer took more than {self._settings.request_seconds:g} s")
            await work
        finally:
            self._exchanges.discard(exchange)
            for future in waited:
                future.cancel()

    def _retry(self) -> dict[str, str]:
        """The header that says when to try again: once what waits now is answered, at the rate of late."""
        return {"Retry-After": str(self._pace.seconds_for(self._begun))}

    def _log_bug(self, error: Exception, entry: Entry) -> None:
        now = time.monotonic()
        if now - self._logged >= LOG_SECONDS:
            self._logged = now
            text = "request %s to %s: a bug; others within %g s are not shown"
            _log.error(text, entry.request_id, entry.route, LOG_SECONDS, exc_info=error)

    def _check(self, scope: Scope, headers: Headers, entry: Entry) -> None:
        host = headers.get("host", "")
        probed = bool(self._tokens) and scope["path"] in PROBES  # by an address that the server may not know
        if not probed and not self._settings.is_known_host(host):
            raise RequestError(421, "this server does not answer to that Host")
        if "content-length" in headers and "transfer-encoding" in headers:  # who reads it otherwise sees two requests
            raise RequestError(400, "Content-Length and Transfer-Encoding contradict each other; send one")
        if scope["method"] != "POST" and (int(headers.get("content-length", "0")) or "transfer-encoding" in headers):
            raise RequestError(400, "only a POST has a body")
        origin = headers.get("origin")
        if origin is not None and not self._settings.is_known_origin(origin, host):
            raise RequestError(403, "pages of that Origin may not call this server")
        if not self._tokens or scope["method"] == "OPTIONS":
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        entry.token = self._tokens.find(token.strip()) if scheme.lower() == "bearer" else None
        if entry.token is None and scope["path"] not in self._open_paths:
            raise RequestError(401, "give the token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})


class _Exchange:
    """One request and its answer: counts the bytes that come, and the seconds they take."""

    def __init__(
        self, headers: Headers, receive: Receive, send: Send, settings: ServerSettings, held: Held, entry: Entry
    ) -> None:
        self.headers, self._entry = headers, entry
        self.status: int | None = None
        self.answered = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # by the end of the server
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
            headers["X-Request-Id"] = self._entry.request_id
            origin = self.headers.get("origin", "")
            if origin.lower() in self._settings.origins:
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Allow-Headers"] = "authorization, content-type, x-request-id"
                headers["Access-Control-Expose-Headers"] = "x-request-id, retry-after"
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
        self._entry.sent += len(message.get("body", b""))
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
        self._entry.received = self._taken
        if message["type"] == "http.disconnect":
            self._gone.set()
        if self._gone.is_set() or not message.get("more_body", False):
            self._complete.set()

    def _too_large(self) -> RequestError:
        return RequestError(413, f"the body is larger than {self._settings.max_body:,} bytes")
