"""What the OpenAPI schema says of the bodies of requests, which `bodies` reads."""

from __future__ import annotations

from typing import Any


def _list(what: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": what}


def _body(fields: dict[str, Any], required: list[str], *, files: bool = False) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": required}
    content = {"application/json": {"schema": schema}}
    if files:
        images = {"type": "array", "items": {"type": "string", "format": "binary"}}
        form = {"type": "object", "properties": {**fields, "images": images}, "required": required}
        content["multipart/form-data"] = {"schema": form}
    return {"requestBody": {"required": True, "content": content}}


_IMAGES = _list("image files as data: URIs")
_MODEL = {"type": ["string", "null"], "description": "one of /v1/models; the default where it is null"}
_TEMPLATES = _list("such as 'a photo of a {}.'; the vectors of several are averaged")
RANK = _body(
    {"images": _IMAGES, "texts": _list("what to compare with"), "templates": _TEMPLATES, "model": _MODEL},
    ["images", "texts"],
    files=True,
)
EMBEDDINGS = _body(
    {
        "input": {
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": "texts, and image files as data: URIs",
        },
        "model": _MODEL,
        "encoding_format": {"type": "string", "enum": ["float", "base64"]},
    },
    ["input"],
)
SEARCH = _body(
    {
        "texts": _list("each is a query"),
        "images": _IMAGES,
        "plus": _list("added to every query"),
        "minus": _list("subtracted from every query"),
        "templates": _TEMPLATES,
        "weight": {"type": "number", "default": 1},
        "top": {"type": "integer", "default": 10},
        "min_similarity": {"type": ["number", "null"]},
    },
    [],
)
