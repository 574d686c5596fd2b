"""The body of a request → images as sources, texts and numbers, each within its bounds; no address is opened.

A body is JSON or a form; it is bounded before anything is built of it.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from clipsim.inputs.sources import BytesSource
from clipsim.inputs.texts import PLACEHOLDER
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
FLAGS = ("truncate",)
MAX_TEXTS = 1_000  # of a request, each in all its templates
MAX_TEXT = 10_000  # characters of a text, in its template
MAX_CHARACTERS = 1_000_000  # of all texts of a request, each in all its templates
MAX_SCORES = 100_000  # pairs of a text and an image in an answer
MAX_MATCHES = 10_000  # images in an answer of a search, all queries together
MAX_NUMBER = 1e9
DATA = "data:"
_SURROGATE = re.compile("[\ud800-\udfff]")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://\S*")
_EDGES = "".join(map(chr, range(33)))  # what a URL parser strips at both ends (WHATWG URL, 4.4)
_LINE_BREAKS = str.maketrans("", "", "\t\r\n")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_BASE64 = re.compile(r"; *base64\Z", re.IGNORECASE)


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
        raise RequestError(422, "the body has more values than any request needs; send texts as strings, not as tokens")
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
            body[name] = _parse_field(name, text)
    return body


def _parse_field(name: str, text: str) -> Any:
    if name in FLAGS:
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    return _parse_number(name, text) if name in NUMBERS else text


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
    start = 0 if content.startswith(mark[2:]) else content.find(mark) + 2
    if start == 1:  # not found
        raise RequestError(400, "the form cannot be read: its boundary is nowhere in it")
    start += len(mark) - 2
    parts: list[tuple[str, str | None, bytes]] = []
    while not content.startswith(b"--", start):
        end_of_line = content.find(b"\r\n", start, start + MAX_PART_HEADER)
        if end_of_line < 0 or content[start:end_of_line].strip(b" \t"):
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
        start = end + len(mark)
    return parts


def _read_disposition(headers: bytes) -> tuple[str, str | None]:
    for line in headers.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"content-disposition":
            kind, options = parse_options_header(value.strip())
            if kind == b"form-data" and b"name" in options:
                filename = options.get(b"filename")
                text = None if filename is None else filename.decode("utf-8", "replace")
                return options[b"name"].decode("utf-8", "replace"), text
    raise RequestError(400, "a part of the form has no Content-Disposition with a name")


def check_fields(body: dict[str, Any], known: Iterable[str]) -> None:
    """Raise RequestError for a field that the route does not have: what it asks for would not be done."""
    if unknown := [name for name in body if name not in known]:
        raise RequestError(422, f"unknown field '{unknown[0][:40]}'; the fields are {', '.join(known)}")


def take_images(body: dict[str, Any], most: int) -> list[BytesSource]:
    """The images of a body: files of a form, or `data:` URIs. Raises RequestError."""
    images = body.get("images") or []
    if not isinstance(images, list):
        raise RequestError(422, "images is a list of data: URIs")
    if len(images) > most:
        raise RequestError(422, f"{len(images):,} images; at most {most:,} in one request")
    return [
        image if isinstance(image, BytesSource) else decode_data_uri(image, index) for index, image in enumerate(images)
    ]


def take_texts(body: dict[str, Any], name: str) -> list[str]:
    """A list of texts of a body. Raises RequestError."""
    texts = body.get(name)
    texts = [] if texts is None else [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RequestError(422, f"{name} is a list of strings")
    return check_texts(texts, name)


def check_texts(texts: list[str], name: str) -> list[str]:
    """The texts. Raises RequestError for too many, one too long, and one with half a surrogate pair, as JSON allows."""
    if len(texts) > MAX_TEXTS:
        raise RequestError(422, f"{len(texts):,} {name}; at most {MAX_TEXTS:,} in one request")
    for number, text in enumerate(texts, start=1):
        if len(text) > MAX_TEXT:
            raise RequestError(422, f"{name}, {number}: {len(text):,} characters; at most {MAX_TEXT:,}")
        if _SURROGATE.search(text):
            raise RequestError(422, f"{name}, {number}: not Unicode")
    return texts


def check_work(texts: Sequence[str], templates: Sequence[str]) -> None:
    """Raise RequestError where the texts in all templates, which are not built yet, would be too many or too long."""
    if len(texts) * len(templates) > MAX_TEXTS:
        raise RequestError(422, f"{len(texts):,} texts in {len(templates):,} templates; at most {MAX_TEXTS:,} together")
    longest, characters = max(map(len, texts), default=0), sum(map(len, texts))
    total = 0
    for template in templates or [PLACEHOLDER]:
        repeats = template.count(PLACEHOLDER)
        rest = len(template) - repeats * len(PLACEHOLDER)
        if rest + repeats * longest > MAX_TEXT:
            raise RequestError(422, f"a text in its template has more than {MAX_TEXT:,} characters")
        total += rest * len(texts) + repeats * characters
    if total > MAX_CHARACTERS:
        raise RequestError(422, f"{total:,} characters of texts in templates; at most {MAX_CHARACTERS:,}")


def check_answer(texts: int, images: int) -> None:
    """Raise RequestError for an answer of too many scores."""
    if texts * images > MAX_SCORES:
        raise RequestError(422, f"{texts:,} texts and {images:,} images; at most {MAX_SCORES:,} pairs in one answer")


def check_matches(queries: int, top: int, searched: int, shared: Iterable[str]) -> None:
    """Raise RequestError for an answer of too many matches; `shared` are the texts that it repeats with each query."""
    if queries * min(top, searched) > MAX_MATCHES:
        raise RequestError(422, f"{queries:,} queries with top={top:,}; at most {MAX_MATCHES:,} matches in one answer")
    if queries * sum(map(len, shared)) > MAX_CHARACTERS:
        raise RequestError(422, f"plus and minus have too many characters for {queries:,} queries")


def take_number(body: dict[str, Any], name: str, default: Any) -> Any:
    """A number of a body; None counts as not given. Raises RequestError."""
    number = body.get(name)
    if number is None:
        return default
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise RequestError(422, f"{name} is a number")
    if not abs(number) <= MAX_NUMBER:  # also an integer that is too large for a float
        raise RequestError(422, f"{name} is out of range")
    return number


def is_data_uri(text: str) -> bool:
    """Whether a string is an image rather than a text."""
    return text[:64].lstrip(_EDGES)[: len(DATA)].lower() == DATA


def decode_data_uri(uri: object, index: int) -> BytesSource:
    """`data:…;base64,…` → its bytes, as a browser reads it; the type that it states does not matter.

    Blanks, line breaks and percent-escapes are allowed in base64, and its padding may be missing (WHATWG Fetch, 6, and
    Infra, 7). Raises RequestError.
    """
    name = f"image {index + 1}"
    if not isinstance(uri, str) or not is_data_uri(uri):
        raise RequestError(422, f"{name}: only data: URIs; URLs and paths are not opened", image=name, index=index)
    head, comma, content = uri.strip(_EDGES)[len(DATA) :].translate(_LINE_BREAKS).partition(",")
    try:
        if not comma:
            raise ValueError("no comma")
        data = unquote_to_bytes(content.partition("#")[0])
        if _BASE64.search(head.strip()):
            data = _decode_base64(data)
    except (ValueError, binascii.Error) as error:
        raise RequestError(422, f"{name}: its data: URI is not valid", image=name, index=index) from error
    return BytesSource(name, data)


def _decode_base64(data: bytes) -> bytes:
    """Forgiving base64. Raises ValueError."""
    data = data.translate(None, b" \t\n\f\r")
    if len(data) % 4 == 0:
        data = data[:-2] + data[-2:].rstrip(b"=")
    if len(data) % 4 == 1 or _NOT_BASE64.search(data):
        raise ValueError("not base64")
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


def is_address(text: str) -> bool:
    """Whether a string is a URL rather than a text."""
    return _ADDRESS.fullmatch(text.strip()) is not None


def take_flag(body: dict[str, Any], name: str) -> bool | None:
    """A yes or no of a body; None where it is not given. Raises RequestError."""
    flag = body.get(name)
    if not isinstance(flag, bool | None):
        raise RequestError(422, f"{name} is true or false")
    return flag
