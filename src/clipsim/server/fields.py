"""The fields of a body → images as sources, texts and numbers, each within its bounds; no address is opened."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from clipsim.inputs.sources import BytesSource
from clipsim.inputs.texts import PLACEHOLDER
from clipsim.server.answers import RequestError

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


def check_fields(body: dict[str, Any], known: Sequence[str]) -> None:
    """Raise RequestError for a field that the route does not have: what it asks for would not be done."""
    if unknown := [name for name in body if name not in known]:
        raise RequestError(422, f"unknown field '{unknown[0][:40]}'; the fields are {', '.join(known)}")


def take_images(body: dict[str, Any], most: int) -> list[BytesSource]:
    """The images of a body: files of a form, or `data:` URIs. Raises RequestError."""
    given = body.get("images") or []
    if not isinstance(given, list):
        raise RequestError(422, "images is a list of data: URIs")
    if len(given) > most:
        raise RequestError(422, f"{len(given):,} images; at most {most:,} in one request")
    return [
        image if isinstance(image, BytesSource) else decode_data_uri(image, place) for place, image in enumerate(given)
    ]


def take_texts(body: dict[str, Any], name: str) -> list[str]:
    """A list of texts of a body. Raises RequestError."""
    given = body.get(name)
    given = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise RequestError(422, f"{name} is a list of strings")
    return check_texts(given, name)


def check_texts(texts: list[str], name: str) -> list[str]:
    """The texts. Raises RequestError for too many, one too long, and one with half a surrogate pair, as JSON allows."""
    if len(texts) > MAX_TEXTS:
        raise RequestError(422, f"{len(texts):,} {name}; at most {MAX_TEXTS:,} in one request")
    for place, text in enumerate(texts, start=1):
        if len(text) > MAX_TEXT:
            raise RequestError(422, f"{name}, {place}: {len(text):,} characters; at most {MAX_TEXT:,}")
        if _SURROGATE.search(text):
            raise RequestError(422, f"{name}, {place}: not Unicode")
    return texts


def check_work(texts: Sequence[str], templates: Sequence[str]) -> None:
    """Raise RequestError where the texts in all templates, which are not built yet, would be too many or too long."""
    if len(texts) * len(templates) > MAX_TEXTS:
        raise RequestError(422, f"{len(texts):,} texts in {len(templates):,} templates; at most {MAX_TEXTS:,} together")
    longest, characters = max(map(len, texts), default=0), sum(map(len, texts))
    total = 0
    for template in templates or [PLACEHOLDER]:
        places = template.count(PLACEHOLDER)
        rest = len(template) - places * len(PLACEHOLDER)
        if rest + places * longest > MAX_TEXT:
            raise RequestError(422, f"a text in its template has more than {MAX_TEXT:,} characters")
        total += rest * len(texts) + places * characters
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
    given = body.get(name)
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise RequestError(422, f"{name} is a number")
    if not abs(given) <= MAX_NUMBER:  # also an integer that is too large for a float
        raise RequestError(422, f"{name} is out of range")
    return given


def is_data_uri(text: str) -> bool:
    """Whether a string is an image rather than a text."""
    return text[:64].lstrip(_EDGES)[: len(DATA)].lower() == DATA


def decode_data_uri(uri: object, place: int) -> BytesSource:
    """`data:…;base64,…` → its bytes, as a browser reads it; the type that it states does not matter.

    Blanks, line breaks and percent-escapes are allowed in base64, and its padding may be missing (WHATWG Fetch, 6, and
    Infra, 7). Raises RequestError.
    """
    name = f"image {place + 1}"
    if not isinstance(uri, str) or not is_data_uri(uri):
        raise RequestError(422, f"{name}: only data: URIs; URLs and paths are not opened", image=name, index=place)
    head, comma, content = uri.strip(_EDGES)[len(DATA) :].translate(_LINE_BREAKS).partition(",")
    try:
        if not comma:
            raise ValueError("no comma")
        data = unquote_to_bytes(content.partition("#")[0])
        if _BASE64.search(head.strip()):
            data = _decode_base64(data)
    except (ValueError, binascii.Error) as error:
        raise RequestError(422, f"{name}: its data: URI is not valid", image=name, index=place) from error
    return BytesSource(name, data)


def _decode_base64(data: bytes) -> bytes:
    """Forgiving base64. Raises ValueError."""
    data = data.translate(None, b" \t\n\f\r")
    if len(data) % 4 == 0:
        data = data[:-2] + data[-2:].rstrip(b"=")
    if len(data) % 4 == 1 or _NOT_BASE64.search(data):
        raise ValueError("not base64")
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


def split_inputs(given: object, most: int) -> tuple[list[BytesSource], list[str], list[int | None]]:
    """The `input` of /v1/embeddings → its images, its texts, and for each input its place among the images or None.

    Raises RequestError.
    """
    inputs = [given] if isinstance(given, str) else given
    if not isinstance(inputs, list) or not inputs or not all(isinstance(one, str) for one in inputs):
        raise RequestError(422, "input is a string or a list of strings: texts, and images as data: URIs")
    are_images = [is_data_uri(one) for one in inputs]
    if sum(are_images) > most:
        raise RequestError(422, f"{sum(are_images):,} images; at most {most:,} in one request")
    texts = check_texts([one for one, image in zip(inputs, are_images, strict=True) if not image], "input")
    for index, (one, image) in enumerate(zip(inputs, are_images, strict=True)):
        if not image and _ADDRESS.fullmatch(one.strip()):
            raise RequestError(422, f"input {index + 1} is an address; URLs are not opened, send images as data: URIs")
    images: list[BytesSource] = []
    places: list[int | None] = []
    for index, (one, image) in enumerate(zip(inputs, are_images, strict=True)):
        places.append(len(images) if image else None)
        if image:
            images.append(decode_data_uri(one, index))
    return images, texts, places
