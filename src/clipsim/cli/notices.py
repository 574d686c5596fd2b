"""What the library logs → notes on standard error."""

from __future__ import annotations

import logging

from clipsim.cli.output import say
from clipsim.names import printable


class _Notices(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say("note", printable(record.getMessage()))


def listen(*, quiet: bool = False) -> None:
    """Write the library's warnings down, unless nobody wants them."""
    log = logging.getLogger("clipsim")
    log.handlers = [_Notices(logging.CRITICAL if quiet else logging.WARNING)]
    log.propagate = False
