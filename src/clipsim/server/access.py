"""What is known of a request → its line in the log; the tokens that requests carry, and how fast they are answered."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal
from uuid import uuid4

from starlette.datastructures import Headers

from clipsim.errors import UsageError, printable
from clipsim.server.settings import is_loopback

LogFormat = Literal["text", "json"]
OTHER = "other"  # the route of a path that there is not
MAX_WAITING_LINES = 10_000  # of the log, beyond which lines are dropped
GATHER_SECONDS = 0.05  # in which lines are gathered that are written together
MAX_RETRY_SECONDS = 60
PACE_SHARE = 1 / 32  # of the average time of an answer that the last one makes up
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")
_PLAIN = re.compile(r"[\w.,:+/@-]+", re.ASCII)
_METHOD = re.compile(r"[A-Z]{1,16}")


@dataclass
class Entry:
    """One request, as far as it is known; `route` is a template, never a path, which may hold secrets.

    `token` is the number of the token that it carried, `sent` and `received` are bytes of bodies. `accepted` is false
    for what was refused before any work.
    """

    request_id: str = field(default_factory=lambda: uuid4().hex)
    client: str = "-"
    method: str = "-"
    route: str = OTHER
    status: int = 499
    received: int = 0
    sent: int = 0
    model: str | None = None
    images: int | None = None
    texts: int | None = None
    token: int | None = None
    error: str | None = None
    accepted: bool = False
    begun: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @classmethod
    def of(cls, method: str, peer: tuple[str, int] | None, headers: Headers, route: str) -> Entry:
        """What is known at the start."""
        ids = headers.getlist("x-request-id")
        entry = cls(client=find_client(peer, headers), method=method, route=route)
        if not _METHOD.fullmatch(method):
            entry.method = OTHER
        if len(ids) == 1 and _REQUEST_ID.fullmatch(ids[0]):
            entry.request_id = ids[0]
        return entry


def find_client(peer: tuple[str, int] | None, headers: Headers) -> str:
    """The address of a client; a proxy on this machine says in X-Forwarded-For whose request it passes on.

    >>> find_client(("127.0.0.1", 1), Headers({"x-forwarded-for": "10.0.0.1, 10.0.0.2"}))
    '10.0.0.2'
    >>> find_client(("10.0.0.3", 1), Headers({"x-forwarded-for": "10.0.0.1"})), find_client(None, Headers({}))
    ('10.0.0.3', 'unix')
    """
    if peer is None or is_loopback(peer[0]):
        last = ",".join(headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
        with suppress(ValueError):
            if "%" not in last:  # behind it, anything is taken for a scope
                return str(ipaddress.ip_address(last))
    return "unix" if peer is None else peer[0]


def format_entry(entry: Entry, form: LogFormat, when: datetime) -> str:
    """One line, which ends in a line feed; the text leaves out what is not known."""
    time_of_day = when.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    facts = {"time": time_of_day, "request_id": entry.request_id, "client": entry.client, "method": entry.method}
    numbers = {"status": entry.status, "received": entry.received, "bytes": entry.sent}
    names = ("model", "images", "texts", "token", "error")
    more = {name: getattr(entry, name) for name in names}
    if form == "json":
        seconds = {"seconds": round(entry.seconds, 6)}
        return json.dumps({**facts, "route": entry.route, **numbers, **seconds, **more}) + "\n"
    known = "".join(f" {name}={_quoted(str(value))}" for name, value in more.items() if value is not None)
    return (
        f"{time_of_day} {entry.client} {entry.method} {entry.route} {entry.status} {entry.seconds:.4f}s "
        f"received={entry.received} bytes={entry.sent} request_id={entry.request_id}{known}\n"
    )


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(printable(value))


class AccessLog:
    """Lines about requests, which a thread writes: a reader that stalls, or a full disk, does not stall the server."""

    def __init__(self, form: LogFormat, write: Callable[[str], None]) -> None:
        self._form, self._write = form, write
        self._lines: deque[str] = deque()
        self._waiting = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def add(self, entry: Entry) -> bool:
        """Write the line of a request before long; False where it is dropped, since too many wait."""
        if len(self._lines) >= MAX_WAITING_LINES:
            return False
        self._lines.append(format_entry(entry, self._form, datetime.now(timezone.utc)))
        self._waiting.set()
        return True

    def close(self) -> None:
        """Write what waits, unless that takes long."""
        self._closed = True
        self._waiting.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            self._waiting.wait()
            self._waiting.clear()
            closed = self._closed
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            with suppress(OSError, ValueError):
                self._write("".join(lines))
            if closed:
                return
            time.sleep(GATHER_SECONDS)


class Pace:
    """How fast requests are answered, and so how long a queue of them takes."""

    def __init__(self) -> None:
        self._average: float | None = None
        self._last = -math.inf

    def note(self, begun: float, ended: float) -> None:
        """Count an answer; several at once that end together have taken the time of one."""
        gap = ended - max(begun, self._last)
        self._last = ended
        self._average = gap if self._average is None else self._average + PACE_SHARE * (gap - self._average)

    def seconds_for(self, requests: int) -> int:
        """Whole seconds, from 1 to 60, in which so many requests are answered.

        >>> pace = Pace()
        >>> pace.note(0.0, 2.0)
        >>> pace.seconds_for(5), pace.seconds_for(0), pace.seconds_for(1_000)
        (10, 1, 60)
        """
        return min(MAX_RETRY_SECONDS, max(1, math.ceil(requests * (self._average or 0.0))))


class Tokens:
    """The tokens of which requests must carry one; none where they need none."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.replace(tokens)

    def __bool__(self) -> bool:
        """Whether requests need a token."""
        return bool(self._digests)

    def replace(self, tokens: Sequence[str]) -> None:
        """Accept these from now on."""
        self._digests = [hashlib.sha256(token.encode()).digest() for token in tokens]

    def find(self, token: str) -> int | None:
        """The number of a token, from 1; None for another. Takes as long for each of them."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        equal = [hmac.compare_digest(digest, one) for one in self._digests]
        return equal.index(True) + 1 if True in equal else None


def parse_tokens(text: str) -> tuple[str, ...]:
    r"""One token a line; blanks at its ends and empty lines do not count. Raises UsageError, without a token's text.

    >>> parse_tokens("\ufefffirst\r\n\n second \n")
    ('first', 'second')
    """
    tokens = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        token = line.strip()
        if not token:
            continue
        if not (token.isascii() and token.isprintable()):
            raise UsageError(f"line {number} has characters that a token in a header cannot have")
        tokens.append(token)
    if not tokens:
        raise UsageError("there is no token in it")
    return tuple(tokens)
