"""The routes of a server → its OpenAPI document: what each takes, what it answers, and its errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from clipsim import __version__

Schema = dict[str, Any]


def _texts(what: str) -> dict[str, Any]:
    return {"type": ["array", "string", "null"], "items": {"type": "string"}, "description": what}


# The fields of each route, as the schema describes them.
_SHARED: dict[str, Any] = {
    "images": {
        "type": ["array", "null"],
        "items": {"type": "string", "pattern": "^\\s*[Dd][Aa][Tt][Aa]:"},
        "description": "image files as data: URIs",
    },
    "templates": _texts("such as 'a photo of a {}.'; the vectors of several are averaged"),
    "model": {"type": ["string", "null"], "description": "one of /v1/models; the default where it is null"},
}
RANK_FIELDS: dict[str, Any] = {
    "texts": _texts("what to compare with; none for the labels of a classifier"),
    **_SHARED,
}
_PARTS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
        "required": ["type", "text"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {
            "type": {"const": "image_url"},
            "image_url": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]},
                ],
                "description": "an image file as a data: URI",
            },
        },
        "required": ["type", "image_url"],
        "additionalProperties": False,
    },
]
_INPUTS: list[dict[str, Any]] = [{"type": "string"}, *_PARTS]
EMBEDDINGS_FIELDS: dict[str, Any] = {
    "input": {
        "anyOf": [*_INPUTS, {"type": "array", "items": {"anyOf": _INPUTS}, "minItems": 1}],
        "description": "texts, and image files as data: URIs; or parts as chats have them",
    },
    "messages": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "role": {"type": "string"},
                "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": _PARTS}}]},
            },
            "required": ["content"],
        },
        "description": "in place of input: one message with one text or one image",
    },
    "modality": {
        "type": ["string", "null"],
        "enum": ["text", "image", None],
        "description": "what every input is; without it, data: URIs are images",
    },
    "model": _SHARED["model"],
    "encoding_format": {"type": ["string", "null"], "enum": ["float", "base64", None], "description": "of vectors"},
    "dimensions": {"type": ["integer", "null"], "description": "those that the model's vectors have, or 0"},
    "truncate": {"type": ["boolean", "null"], "description": "whether texts that are too long are cut"},
    "user": {"description": "is not used"},
}
SEARCH_FIELDS: dict[str, Any] = {
    "texts": _texts("each is a query"),
    "plus": _texts("added to every query"),
    "minus": _texts("subtracted from every query"),
    **_SHARED,
    "weight": {"type": ["number", "null"], "default": 1},
    "top": {"type": ["integer", "null"], "default": 10},
    "min_similarity": {"type": ["number", "null"]},
}


def _object(properties: Mapping[str, Schema], *optional: str, **more: Any) -> Schema:
    """An object whose properties are all required but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, **more}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _refer(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}
_STRINGS = _array(_STRING)
_RESULT: dict[str, Schema] = {
    "model": _object({"name": _STRING, "embed_dim": _INTEGER, "head": {"enum": ["softmax", "sigmoid"]}}),
    "device": _STRING,
    "precision": _STRING,
    "engine": _STRING,
    "errors": _array({"type": "object"}),
    "warnings": _STRINGS,
}
_MODEL: dict[str, Schema] = {
    "id": _STRING,
    "object": {"const": "model"},
    "created": _INTEGER,
    "owned_by": _STRING,
    "loaded": _FLAG,
    "default": _FLAG,
    "search": _FLAG,
    "warnings": _STRINGS,
    "embed_dim": _INTEGER,
    "image_size": _INTEGER,
    "max_input_length": _INTEGER,
    "head": _STRING,
    "device": _STRING,
    "precision": _STRING,
    "engine": _STRING,
    "classifier": {"type": "object"},
}
_KNOWN_ONCE_LOADED = ("embed_dim", "image_size", "max_input_length", "head", "device", "precision", "engine")
SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        {
            "error": _object(
                {
                    "type": {**_STRING, "description": "one word for programs"},
                    "message": {**_STRING, "description": "one line for people"},
                    "image": {**_STRING, "description": "the image that cannot be used"},
                    "index": {**_INTEGER, "description": "its index among the images"},
                },
                "image",
                "index",
            )
        }
    ),
    "Ranking": _object(
        {
            "schema": {"const": "clipsim.rank/1"},
            **_RESULT,
            "templates": _STRINGS,
            "texts": _STRINGS,
            "images": _STRINGS,
            "similarity": {**_array(_array(_NUMBER)), "description": "a row for each text: the cosines of the images"},
            "probabilities": {"type": ["array", "null"], "items": _array({"type": ["number", "null"]})},
            "best": {**_array({"type": ["integer", "null"]}), "description": "for each image, the index of its text"},
        }
    ),
    "Embeddings": _object(
        {
            "object": {"const": "list"},
            "model": _STRING,
            "data": _array(
                _object(
                    {
                        "object": {"const": "embedding"},
                        "index": _INTEGER,
                        "embedding": {
                            "anyOf": [_array(_NUMBER), {**_STRING, "contentEncoding": "base64"}],
                            "description": "a unit vector; in base64, of little-endian float32",
                        },
                    }
                )
            ),
            "usage": _object({"prompt_tokens": _INTEGER, "total_tokens": _INTEGER}),
            "warnings": _STRINGS,
        }
    ),
    "Matches": _object(
        {
            "schema": {"const": "clipsim.search/1"},
            **_RESULT,
            "searched": _INTEGER,
            "indexed": _INTEGER,
            "indexing": _INTEGER,
            "queries": _array(
                _object(
                    {
                        "text": {"type": ["string", "null"]},
                        "image": {"type": ["string", "null"]},
                        "results": _array(
                            _object(
                                {
                                    "rank": _INTEGER,
                                    "image": _STRING,
                                    "similarity": _NUMBER,
                                    "thumbnail": _STRING,
                                    "file": _STRING,
                                }
                            )
                        ),
                    }
                )
            ),
        }
    ),
    "Model": _object(_MODEL, "classifier", *_KNOWN_ONCE_LOADED),
    "Models": _object(
        {
            "object": {"const": "list"},
            "data": _array(_refer("Model")),
            "limits": _object({"max_images": _INTEGER, "max_body": _INTEGER}),
            "search": {
                "anyOf": [{"type": "null"}, _object({"images": _INTEGER, "indexing": _INTEGER, "model": _STRING})]
            },
        }
    ),
    "Info": _object(
        {
            "model_id": _STRING,
            "model_dtype": _STRING,
            "max_concurrent_requests": _INTEGER,
            "max_input_length": _INTEGER,
            "max_batch_tokens": _INTEGER,
            "max_batch_requests": _INTEGER,
            "max_client_batch_size": _INTEGER,
            "max_client_batch_images": _INTEGER,
            "auto_truncate": _FLAG,
            "tokenization_workers": _INTEGER,
            "version": _STRING,
        }
    ),
    "Status": _object({"status": _STRING}),
}
_ERRORS = {
    400: "not HTTP, JSON or a form, or two lengths",
    401: "no token, or a wrong one",
    403: "a page of another origin",
    404: "an unknown model, an image that there is not, or nothing to search",
    408: "the body took too long",
    413: "the body is too large",
    415: "another kind of body, or a compressed one",
    421: "an unknown Host",
    422: "an image, a text or a field that cannot be used",
    429: "too much waits to be answered",
    500: "an error in the code",
    503: "a model is being loaded, the server ends, or too many connections are open",
    504: "the answer takes too long",
}
_ALWAYS = (400, 403, 421, 500, 503)
_OF_BODIES = (404, 408, 413, 415, 422, 429, 504)
_OF_IMAGES = (404, 429, 504)
_RETRY = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "Bearer", "schema": _STRING}}
_ERROR_HEADERS: dict[int, Schema] = {401: _CHALLENGE, 429: _RETRY, 503: _RETRY}
_REQUEST_ID = {"X-Request-Id": {"description": "that of the request, or a new one", "schema": _STRING}}


class _Operation(NamedTuple):
    """What a route answers, by its media type, the errors beside those of every route, and the fields of its body."""

    answers: Schema
    errors: Sequence[int] = ()
    fields: Schema | None = None
    required: Sequence[str] = ()


def _json(name: str) -> Schema:
    return {"application/json": {"schema": _refer(name)}}


_BINARY: Schema = {"schema": {}}
_EMBEDDINGS = _Operation(_json("Embeddings"), _OF_BODIES, EMBEDDINGS_FIELDS)
_OPERATIONS = {
    "/v1/rank": _Operation(_json("Ranking"), _OF_BODIES, RANK_FIELDS, ("images", "texts")),
    "/v1/embeddings": _EMBEDDINGS,
    "/embeddings": _EMBEDDINGS,
    "/v1/search": _Operation(_json("Matches"), _OF_BODIES, SEARCH_FIELDS),
    "/v1/models": _Operation(_json("Models")),
    "/models": _Operation(_json("Models")),
    "/v1/models/{name}": _Operation(_json("Model"), (404,)),
    "/info": _Operation(_json("Info")),
    "/v1/thumbnails/{number}": _Operation({"image/webp": _BINARY}, _OF_IMAGES),
    "/v1/images/{number}": _Operation({"image/*": _BINARY}, _OF_IMAGES),
    "/health": _Operation(_json("Status")),
    "/ready": _Operation(_json("Status")),
    "/metrics": _Operation({"text/plain": {"schema": _STRING}}),
}


def describe_api(
    routes: Iterable[tuple[str, str]], *, open_routes: Iterable[str], classified: bool, token: bool, root_path: str
) -> Schema:
    """The OpenAPI document of routes, each its path and description.

    `open_routes` need no token where others do; where requests are `classified`, rankings need no texts.
    """
    paths: Schema = {}
    for path, description in routes:
        operation = _OPERATIONS[path]
        needs_token = token and path not in open_routes
        errors = sorted({*_ALWAYS, *operation.errors, *((401,) if needs_token else ())})
        answer = {"description": "the answer", "headers": _REQUEST_ID, "content": operation.answers}
        responses = {str(status): {"$ref": f"#/components/responses/{status}"} for status in errors}
        described: Schema = {"description": description, "responses": {"200": answer, **responses}}
        if names := [part[1:-1] for part in path.split("/") if part.startswith("{")]:
            described["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": _STRING} for name in names
            ]
        if needs_token:
            described["security"] = [{"token": []}]
        if operation.fields is not None:
            required = [name for name in operation.required if not (classified and name == "texts")]
            described["requestBody"] = _describe_body(operation.fields, required)
        paths[path] = {"get" if operation.fields is None else "post": described}
    components: Schema = {
        "schemas": SCHEMAS,
        "responses": {
            str(status): {
                "description": description,
                "headers": {**_REQUEST_ID, **_ERROR_HEADERS.get(status, {})},
                "content": _json("Error"),
            }
            for status, description in _ERRORS.items()
        },
    }
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "clipsim", "version": __version__},
        "servers": [{"url": root_path or "/"}],
        "paths": paths,
        "components": components,
    }


def _describe_body(fields: Schema, required: Sequence[str]) -> Schema:
    """A body in JSON, or as a form whose images are files."""
    schema: Schema = {"type": "object", "properties": fields, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    form = {name: _without_null(field) for name, field in fields.items()}
    form |= {"images": _array({"type": "string", "format": "binary"})} if "images" in fields else {}
    forms = {"application/json": {"schema": schema}, "multipart/form-data": {"schema": {**schema, "properties": form}}}
    return {"required": True, "content": forms}


def _without_null(field: Schema) -> Schema:
    """A field of a form, whose values are never null."""
    field = dict(field)
    if isinstance(field.get("type"), list):
        field["type"] = [kind for kind in field["type"] if kind != "null"]
    if "enum" in field:
        field["enum"] = [value for value in field["enum"] if value is not None]
    return field
