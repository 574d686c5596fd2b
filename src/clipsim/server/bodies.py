"""The bytes of a body → a JSON object, or the fields and files of a form; bounded before anything is built of them."""

from __future__ import annotations

import json
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from clipsim.inputs.sources import BytesSource
from clipsim.server.answers import RequestError

MAX_PARTS = 4_000  # of a form, and strings of a JSON body, beside its images
MAX_MARKS = 10_000  # brackets, or commas and colons, of a JSON body; a value takes many times its own bytes once parsed
MAX_DEPTH = 16  # of a JSON body
MAX_DIGITS = 1_000  # of a number; Python's own limit came with 3.10.7
MAX_PART_HEADER = 8_192  # bytes of the headers of a part
MAX_NAME = 255  # characters of a file's name that an answer repeats
LISTS = ("texts", "templates", "plus", "minus", "input")  # the fields that a form may repeat
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
NUMBERS = ("top", "weight", "min_similarity", "dimensions")


async def read_body(request: Request) -> tuple[str, bytes]:
    """Read a body to its end; its kind, for `parse_body`, and its bytes. Raises RequestError for another kind."""
    header = request.headers.get("content-type", "")
    kind = header.partition(";")[0].strip().lower()
    if kind not in ("application/json", "multipart/form-data", ""):
        raise RequestError(415, "send application/json or multipart/form-data")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RequestError(415, "a body with a Content-Encoding is not read; send it as it is")
    if request.url.query:
        raise RequestError(422, "the address has a query string; the fields of a request go in its body")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
    return header if kind == "multipart/form-data" else "", bytes(content)


def parse_body(header: str, content: bytes, most_files: int) -> dict[str, Any]:
    """What `read_body` gave → the fields of the body; the files of a form are in "images". Raises RequestError."""
    return _parse_form(header, content, most_files) if header else _parse_json(content, most_files)


def _parse_json(content: bytes, most_files: int) -> dict[str, Any]:
    _check_structure(content, most_files)
    try:
        body = json.loads(
            content.decode("utf-8-sig"),
            object_pairs_hook=_make_object,
            parse_int=lambda digits: int(_check_digits(digits)),
            parse_float=lambda digits: float(_check_digits(digits)),
            parse_constant=_check_digits,
        )
    except (ValueError, RecursionError) as error:
        raise RequestError(400, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise RequestError(400, "the body is not a JSON object")
    return body


def _check_structure(content: bytes, most_files: int) -> None:
    """Raise RequestError for JSON of more values, or more deeply nested, than any request needs.

    Counted in the bytes outside its strings: without escapes, quotes enclose exactly the strings.
    """
    plain = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 2 * (MAX_PARTS + most_files):
        raise RequestError(422, f"the body has more than {MAX_PARTS + most_files:,} strings")
    outside = b"".join(plain.split(b'"')[::2])
    brackets = outside.translate(None, _NOT_BRACKETS)
    if len(brackets) > MAX_MARKS + most_files:
        raise RequestError(400, "the body has more objects and lists than any request needs")
    if outside.count(b",") + outside.count(b":") > MAX_MARKS + most_files:
        raise RequestError(422, "the body has more values than any request needs")
    depth = 0
    for byte in brackets:
        depth += 1 if byte in b"[{" else -1
        if depth > MAX_DEPTH:
            raise RequestError(400, f"the body is nested more than {MAX_DEPTH} deep")


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise RequestError(422, "a field of the body is given twice")
    return made


def _check_digits(digits: str) -> str:
    """The digits. Raises ValueError for too many of them, NaN and Infinity."""
    if len(digits) > MAX_DIGITS or digits.endswith(("NaN", "Infinity")):
        raise ValueError("not a number of JSON")
    return digits


def _parse_form(header: str, content: bytes, most_files: int) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, filename, value in _split_form(header, content, most_files):
        if name == "images" and filename is None:
            raise RequestError(422, "an image of a form is a file; URLs and paths are not opened")
        if filename is not None:
            if name != "images":
                raise RequestError(422, f"the files of a form are 'images', not '{name[:40]}'")
            files = body.setdefault(name, [])
            if len(files) >= most_files:
                raise RequestError(422, f"at most {most_files:,} images in one request")
            files.append(BytesSource(filename[:MAX_NAME] or f"image {len(files) + 1}", value))
            continue
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RequestError(422, f"the field '{name[:40]}' is not UTF-8") from error
        if name in LISTS:
            body.setdefault(name, []).append(text)
        elif name in body:
            raise RequestError(422, f"the field '{name[:40]}' is given twice")
        else:
            body[name] = _parse_number(name, text) if name in NUMBERS else text
    return body


def _parse_number(name: str, text: str) -> int | float:
    try:
        number = json.loads(_check_digits(text.strip()), parse_constant=_check_digits)
    except (ValueError, RecursionError):
        number = None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise RequestError(422, f"{name} is a number")
    return number


def _split_form(header: str, content: bytes, most_files: int) -> list[tuple[str, str | None, bytes]]:
    """The parts of a form (RFC 7578): the name of the field, the name of the file or None, and the content."""
    boundary = parse_options_header(header)[1].get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:
        raise RequestError(400, "the form cannot be read: its Content-Type has no boundary of 1 to 70 characters")
    mark = b"\r\n--" + boundary
    if content.count(b"--" + boundary) > MAX_PARTS + most_files:
        raise RequestError(422, f"the form has more than {MAX_PARTS + most_files:,} parts")
    place = 0 if content.startswith(mark[2:]) else content.find(mark) + 2
    if place == 1:  # not found
        raise RequestError(400, "the form cannot be read: its boundary is nowhere in it")
    place += len(mark) - 2
    parts: list[tuple[str, str | None, bytes]] = []
    while not content.startswith(b"--", place):
        end_of_line = content.find(b"\r\n", place, place + MAX_PART_HEADER)
        if end_of_line < 0 or content[place:end_of_line].strip(b" \t"):
            raise RequestError(400, "the form ends before its last boundary, or has something behind one")
        blank = content.find(b"\r\n\r\n", end_of_line, end_of_line + MAX_PART_HEADER)
        if blank < 0 and len(content) - end_of_line < MAX_PART_HEADER:
            raise RequestError(400, "the form ends before its last boundary")
        if blank < 0:
            raise RequestError(400, f"a part of the form has no end of its headers within {MAX_PART_HEADER:,} bytes")
        end = content.find(mark, blank + 2)  # an empty part's mark begins where its headers end
        if end < 0:
            raise RequestError(400, "the form ends before its last boundary")
        parts.append((*_read_disposition(content[end_of_line + 2 : blank]), content[blank + 4 : end]))
        place = end + len(mark)
    return parts


def _read_disposition(headers: bytes) -> tuple[str, str | None]:
    for line in headers.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"content-disposition":
            kind, options = parse_options_header(value.strip())
            if kind == b"form-data" and b"name" in options:
                filename = options.get(b"filename")
                shown = None if filename is None else filename.decode("utf-8", "replace")
                return options[b"name"].decode("utf-8", "replace"), shown
    raise RequestError(400, "a part of the form has no Content-Disposition with a name")


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
