"""Records and errors → the bodies of answers."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from clipsim.errors import ClipsimError, DeviceError, ServerError, Setting
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
    504: "deadline",
}


class RequestError(Exception):
    """A request that is answered with an error; `headers` go with it, and `facts` into its body.

    `kind` is its type, where that is not the one of its status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: dict[str, str] | None = None,
        *,
        kind: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.headers, self.facts = status, headers or {}, facts
        self.kind = kind or TYPES.get(status, "internal" if status >= 500 else "bad_request")

    def response(self) -> Response:
        """`{"error": {"type", "message"}}`, with the facts."""
        return json_response(
            {"error": {"type": self.kind, "message": str(self), **self.facts}}, self.status, self.headers
        )


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as JSON; lone surrogates are escaped."""
    return Response(to_json(value), status, headers, "application/json")


async def answer_error(request: Request, error: Exception) -> Response:
    """The answer to what a route raises; a traceback of anything unexpected goes to standard error."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)  # is counted; nobody reads it
    if isinstance(error, ServerError):  # the model has ended, or is not loaded
        error = RequestError(503, str(error), kind="unavailable")
    elif isinstance(error, DeviceError):  # which no other request would mend
        error = RequestError(503, error.message, kind="unavailable")
    elif isinstance(error, ClipsimError):  # what was asked for cannot be done
        facts: dict[str, Any] = {"image": error.image, "index": error.index} if isinstance(error, BadImageError) else {}
        error = RequestError(422, error.worded(word_field), **facts)
    elif isinstance(error, HTTPException):  # a path or a method that there is not
        error = RequestError(error.status_code, str(error.detail), dict(error.headers or {}))
    elif not isinstance(error, RequestError):
        error = RequestError(500, "internal error; the server's log has its traceback")
    request.scope["clipsim.entry"].error = error.kind
    return error.response()


def word_field(setting: Setting) -> str | None:
    """A parameter of the library as the field of a request; None for one that only the server's operator can set.

    >>> word_field(Setting("top", 0)), word_field(Setting("texts", None)), word_field(Setting("truncate"))
    ('top 0', 'texts', None)
    """
    if setting.name not in FIELDS:
        return None
    return setting.name if setting.value is None else f"{setting.name} {setting.escaped}"
