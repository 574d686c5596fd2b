"""What a server allows → a frozen, checked record."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from clipsim.errors import Setting, UsageError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, whom it answers and how much it takes.

    `port` 0 is any free one; `token` is what requests must carry; `hosts` are further names of the server, `origins`
    the other sites whose pages may call it. `max_body` is in bytes, `max_images` the images of a request, `queue` the
    requests that are accepted and not answered yet, `body_seconds` how long a body may take to arrive.

    Raises UsageError for values out of range, and for an address that others can reach without a token.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body: int = 32_000_000
    max_images: int = 32
    queue: int = 256
    body_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("max_body", "max_images", "queue"):
            if getattr(self, name) < 1:
                raise UsageError("less than 1", parameter=name, value=getattr(self, name))
        if not 0 <= self.port <= 65_535:
            raise UsageError("not a number from 0 to 65,535", parameter="port", value=self.port)
        if self.token is None and not is_loopback(self.host):
            raise UsageError(
                "reachable from other machines",
                parameter="host",
                value=self.host,
                hint=("set ", Setting("token", None), " or listen on 127.0.0.1"),
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token):
            raise UsageError("it is empty, or has characters that a header cannot carry", parameter="token")

    def is_known_host(self, header: str) -> bool:
        """Whether the Host of a request names this server; its port does not matter."""
        name, _, port = header.lower().rpartition(":")
        if not port.isdigit():
            name = header.lower()
        host = f"[{self.host}]" if ":" in self.host else self.host
        return name in {host.lower(), *LOOPBACK_NAMES, *map(str.lower, self.hosts)}

    def is_known_origin(self, origin: str, host: str) -> bool:
        """Whether a page of that origin may call: this server's own, or one that was allowed."""
        return origin in self.origins or origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
