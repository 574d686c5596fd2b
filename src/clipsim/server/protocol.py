"""Bytes of a connection → requests, as uvicorn reads them; a header that comes too late ends the connection."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 15.0


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which waits for a header `HEADER_SECONDS` at most."""

    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first header."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on; a later header has its own time."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        if self._header_timer is not None:
            self._header_timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        reading = self.cycle is None or self.cycle.response_complete
        if reading and self._header_timer is None:
            self._header_timer = self.loop.call_later(HEADER_SECONDS, self.transport.close)
        elif not reading and self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
