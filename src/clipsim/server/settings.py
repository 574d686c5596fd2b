"""What a server allows → a frozen, checked record."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from clipsim.errors import Setting, UsageError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
PROBES = ("/health", "/ready", "/metrics")  # whose callers name the server by an address that it may not know
MAX_SECONDS = 86_400  # a day
_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_IPV6 = re.compile(r"\[[0-9a-f:.]+(%[a-z0-9._~-]+)?\]")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._~:\[\]-]+")
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, whom it answers and how much it takes.

    `port` 0 is any free one; `unix_socket` is a path in place of host and port. Requests must carry one of `tokens`,
    where there are any. `hosts` are further names and addresses of the server, without a port; `origins` the other
    sites whose pages may call it, with scheme, host and port; `root_path` is the path before all routes that a proxy
    serves them under. `max_body` is in bytes, `max_images` the images of a request, `queue` the requests that are
    accepted and not answered yet. In seconds: `body_seconds` how long a body may take to arrive, `request_seconds` how
    long a request may take until its answer begins (None: any time), `drain_seconds` how long the end waits for what
    was begun.

    Raises UsageError for values out of range, and for an address that others can reach without a token.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    tokens: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body: int = 32_000_000
    max_images: int = 32
    queue: int = 256
    body_seconds: float = 30.0
    request_seconds: float | None = None
    drain_seconds: float = 30.0
    unix_socket: str | None = None
    root_path: str = ""

    def __post_init__(self) -> None:
        """Check the values, and write hosts and origins as requests have them."""
        object.__setattr__(self, "hosts", tuple(map(_check_host, self.hosts)))
        object.__setattr__(self, "origins", tuple(map(_check_origin, self.origins)))
        for name in ("max_body", "max_images", "queue"):
            if getattr(self, name) < 1:
                raise UsageError("less than 1", parameter=name, value=getattr(self, name))
        if not 0 <= self.port <= 65_535:
            raise UsageError("not a number from 0 to 65,535", parameter="port", value=self.port)
        if self.request_seconds is not None and not 0 < self.request_seconds <= MAX_SECONDS:
            raise UsageError(
                f"not above 0 and up to {MAX_SECONDS:,}", parameter="request_seconds", value=self.request_seconds
            )
        if not 0 <= self.drain_seconds <= MAX_SECONDS:
            raise UsageError(
                f"not a number from 0 to {MAX_SECONDS:,}", parameter="drain_seconds", value=self.drain_seconds
            )
        if not _ROOT_PATH.fullmatch(self.root_path):
            raise UsageError("not a path like /clip, of letters, digits, '-', '.', '_' and '~'", parameter="root_path")
        if not self.tokens and self.unix_socket is None and not is_loopback(self.host):
            raise UsageError(
                "reachable from other machines",
                parameter="host",
                value=self.host,
                hint=("set ", Setting("tokens", None), " or listen on 127.0.0.1"),
            )
        for token in self.tokens:
            if not (token.isascii() and token.isprintable() and token):
                raise UsageError("one is empty, or has characters that a header cannot carry", parameter="tokens")

    def is_known_host(self, header: str) -> bool:
        """Whether the Host of a request names this server; its port does not matter."""
        name, _, port = header.lower().rpartition(":")
        if not port.isdigit():
            name = header.lower()
        return _normalise_host(name) in {_normalise_host(self.host), *LOOPBACK_NAMES, *self.hosts}

    def is_known_origin(self, origin: str, host: str) -> bool:
        """Whether a page of that origin may call: this server's own, or one that was allowed."""
        return origin.lower() in self.origins or origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def _normalise_host(name: str) -> str:
    """A name in small letters; an address of IPv6 as URLs have it, in brackets.

    >>> _normalise_host("Clip.example.org"), _normalise_host("FD00:0::1"), _normalise_host("[fd00::1]")
    ('clip.example.org', '[fd00::1]', '[fd00::1]')
    """
    name = name.lower()
    address = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        return f"[{ipaddress.IPv6Address(address)}]"
    except ValueError:
        return name


def _check_host(name: str) -> str:
    """A further name of the server, normalised. Raises UsageError for what the Host of no request could match."""
    host = _normalise_host(name)
    if not _HOST_NAME.fullmatch(host) and not _IPV6.fullmatch(host):
        raise UsageError("not a host name or address; give it without a port", parameter="hosts", value=name)
    return host


def _check_origin(site: str) -> str:
    """A site whose pages may call, as browsers write it. Raises UsageError for what they never write."""
    origin = site.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise UsageError("not a site such as https://example.org, without a path", parameter="origins", value=site)
    return origin


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
