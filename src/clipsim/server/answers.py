"""Records and errors → the bodies of answers."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from clipsim.errors import ClipsimError, Setting
from clipsim.render.json import to_json
from clipsim.server.served_models import BadImageError

FIELDS = {"images", "texts", "templates", "plus", "minus", "weight", "top", "min_similarity", "model", "input"}
TYPES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden_origin",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    421: "wrong_host",
    422: "unusable_input",
    429: "queue_full",
    503: "loading",
}


class RequestError(Exception):
    """A request that is answered with an error; `headers` go with it."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.status, self.headers, self.facts = status, headers or {}, facts

    def response(self) -> Response:
        """The answer."""
        return error_response(self.status, str(self), self.headers, **self.facts)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as JSON; lone surrogates are escaped."""
    return Response(to_json(value), status, headers, "application/json")


def error_response(status: int, message: str, headers: dict[str, str] | None = None, **facts: Any) -> Response:
    """`{"error": {"type", "message"}}`, with further facts of some errors."""
    kind = TYPES.get(status, "internal" if status >= 500 else "bad_request")
    return json_response({"error": {"type": kind, "message": message, **facts}}, status, headers)


async def answer_request_error(_: Request, error: Exception) -> Response:
    """The answer to a RequestError."""
    assert isinstance(error, RequestError)
    return error.response()


async def answer_library_error(_: Request, error: Exception) -> Response:
    """The answer to an error of the library: what was asked for cannot be done."""
    assert isinstance(error, ClipsimError)
    facts: dict[str, Any] = {"image": error.image, "index": error.index} if isinstance(error, BadImageError) else {}
    return error_response(422, error.worded(word_field), **facts)


def word_field(setting: Setting) -> str | None:
    """A parameter of the library as the field of a request; None for one that only the server's operator can set.

    >>> word_field(Setting("top", 0)), word_field(Setting("texts", None)), word_field(Setting("truncate"))
    ('top 0', 'texts', None)
    """
    if setting.name not in FIELDS:
        return None
    return setting.name if setting.value is None else f"{setting.name} {setting.escaped}"


async def answer_http_error(_: Request, error: Exception) -> Response:
    """The answer to a path or method that there is not."""
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, str(error.detail), dict(error.headers or {}))


async def answer_nobody(_: Request, __: Exception) -> Response:
    """The answer that is counted where the client has gone."""
    return Response(status_code=499)


async def answer_bug(_: Request, __: Exception) -> Response:
    """The answer to a bug, whose traceback goes to standard error."""
    return error_response(500, "internal error; the server's log has its traceback")
