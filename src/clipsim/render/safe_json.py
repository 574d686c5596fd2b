"""Plain values → JSON that is safe to print; imports neither NumPy nor rich, for commands that start fast."""

from __future__ import annotations

import json
import re
from typing import Any

from clipsim.errors import UNSAFE


def to_json(value: Any) -> str:
    r"""JSON in UTF-8 where characters that could act on a terminal, and lone surrogates, are escaped.

    A file name that is not UTF-8 keeps its bytes as Python's surrogates, "\udc80" to "\udcff": `json.loads` and
    `os.fsencode` give the very bytes back.

    >>> to_json({"image": "caf\udce9 \u202e 猫.jpg"})
    '{"image": "caf\\udce9 \\u202e 猫.jpg"}'
    """
    return UNSAFE.sub(_escape, json.dumps(value, ensure_ascii=False, allow_nan=False))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
