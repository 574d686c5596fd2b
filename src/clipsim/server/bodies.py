"""The body of a request → pictures as sources, and texts; no address is fetched and no path opened."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from clipsim.inputs.sources import BytesSource
from clipsim.server.answers import RequestError

MAX_TEXTS = 1_000  # of a request, each in all its templates
MAX_NUMBER = 1e9
DATA = "data:"


async def read_body(request: Request) -> dict[str, Any]:
    """A JSON object, or the fields of a form with its files under "images"."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request)
    if kind not in ("application/json", ""):
        raise RequestError(415, "send application/json or multipart/form-data")
    try:
        body = await run_in_threadpool(json.loads, await request.body())
    except (ValueError, RecursionError) as error:
        raise RequestError(400, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise RequestError(400, "the body is not a JSON object")
    return body


async def _read_form(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = {"images": []}
    boundary = parse_options_header(request.headers["content-type"])[1].get(b"boundary")
    if boundary and b"--" + boundary + b"--" not in await request.body():
        raise RequestError(400, "the form ends before its last boundary")
    parser = MultiPartParser(request.headers, request.stream(), max_part_size=1 << 40, max_fields=2 * MAX_TEXTS)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise RequestError(400, f"the form cannot be read: {getattr(error, 'message', error)}") from error
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != "images":
                    raise RequestError(422, f"the files of a form are 'images', not '{name[:40]}'")
                shown = value.filename or f"image {len(body['images']) + 1}"
                body["images"].append(BytesSource(shown, await value.read()))
            elif name == "images":
                raise RequestError(422, "an image of a form is a file; URLs and paths are not opened")
            elif name in ("texts", "templates"):
                body.setdefault(name, []).append(value)
            else:
                body[name] = value
    finally:
        await form.close()
    return body


async def take_images(body: dict[str, Any], most: int) -> list[BytesSource]:
    """The pictures of a body: files of a form, or `data:` URIs. Raises RequestError."""
    given = body.get("images") or []
    if not isinstance(given, list):
        raise RequestError(422, "images is a list of data: URIs")
    if len(given) > most:
        raise RequestError(422, f"{len(given):,} images; at most {most:,} in one request")

    def decode() -> list[BytesSource]:
        return [
            image if isinstance(image, BytesSource) else decode_data_uri(image, place)
            for place, image in enumerate(given)
        ]

    return await run_in_threadpool(decode)


def take_texts(body: dict[str, Any], name: str) -> list[str]:
    """A list of texts of a body. Raises RequestError."""
    given = body.get(name)
    given = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise RequestError(422, f"{name} is a list of strings")
    if len(given) > MAX_TEXTS:
        raise RequestError(422, f"{len(given):,} {name}; at most {MAX_TEXTS:,} in one request")
    return check_unicode(given)


def check_unicode(texts: list[str]) -> list[str]:
    """The texts. Raises RequestError for one with half a surrogate pair, which JSON can carry."""
    for place, text in enumerate(texts, start=1):
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise RequestError(422, f"text {place} is not Unicode")
    return texts


def check_work(texts: int, templates: int) -> None:
    """Raise RequestError for more texts in templates than one request may ask for."""
    if texts * templates > MAX_TEXTS:
        raise RequestError(422, f"{texts:,} texts in {templates:,} templates; at most {MAX_TEXTS:,} together")


def take_number(body: dict[str, Any], name: str, default: Any) -> Any:
    """A number of a body; None counts as not given. Raises RequestError."""
    given = body.get(name)
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise RequestError(422, f"{name} is a number")
    if abs(given) > MAX_NUMBER:  # also an integer that is too large for a float
        raise RequestError(422, f"{name} is out of range")
    return given


def decode_data_uri(uri: object, place: int) -> BytesSource:
    """`data:…;base64,…` → its bytes; the type that it states does not matter. Raises RequestError."""
    name = f"image {place + 1}"
    if not isinstance(uri, str) or uri[: len(DATA)].lower() != DATA:
        raise RequestError(422, f"{name}: only data: URIs; URLs and paths are not opened", image=name, index=place)
    head, comma, content = uri[len(DATA) :].partition(",")
    try:
        if not comma:
            raise ValueError("no comma")
        if head.lower().endswith(";base64"):
            return BytesSource(name, base64.b64decode(content, validate=True))
        return BytesSource(name, unquote_to_bytes(content))
    except (ValueError, binascii.Error) as error:
        raise RequestError(422, f"{name}: its data: URI is not valid", image=name, index=place) from error


def split_inputs(given: object) -> tuple[list[BytesSource], list[str], Sequence[int | None]]:
    """The `input` of /v1/embeddings → its pictures, its texts, and for each input its place among the pictures or None.

    Raises RequestError.
    """
    inputs = [given] if isinstance(given, str) else given
    if not isinstance(inputs, list) or not inputs or not all(isinstance(one, str) for one in inputs):
        raise RequestError(422, "input is a string or a list of strings: texts, and images as data: URIs")
    images: list[BytesSource] = []
    texts: list[str] = []
    places: list[int | None] = []
    for index, one in enumerate(inputs):
        if one[: len(DATA)].lower() == DATA:
            places.append(len(images))
            images.append(decode_data_uri(one, index))
        else:
            places.append(None)
            texts.append(one)
    if len(texts) > MAX_TEXTS:
        raise RequestError(422, f"{len(texts):,} texts; at most {MAX_TEXTS:,} in one request")
    return images, check_unicode(texts), places
