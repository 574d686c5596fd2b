"""The body of /v1/embeddings, in the shapes that clients send it → images and texts, and the order of both."""

from __future__ import annotations

from typing import Any, NamedTuple

from clipsim.inputs.sources import BytesSource
from clipsim.server.answers import RequestError
from clipsim.server.bodies import check_texts, decode_data_uri, is_address, is_data_uri

MODALITIES = ("text", "image")
TOKENS = (
    "a list of token ids; this model has a tokenizer of its own, so send texts as strings "
    "(LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False))"
)


class Inputs(NamedTuple):
    """The images and texts of a request; `positions` has, for each input, its index among the images or None."""

    images: list[BytesSource]
    texts: list[str]
    positions: list[int | None]


class _Input(NamedTuple):
    modality: str
    content: str


def split_inputs(body: dict[str, Any], max_images: int) -> Inputs:
    """The inputs of a body, in `input` or in `messages`. Raises RequestError."""
    modality = body.get("modality")
    if modality is not None and modality not in MODALITIES:
        raise RequestError(422, "modality is text or image")
    value: object = body.get("input") if body.get("messages") is None else _take_message(body)
    items = [value] if isinstance(value, str | dict) else value
    if not isinstance(items, list) or not items:
        raise RequestError(422, "input is a text or an image as a data: URI, or a list of them that is not empty")
    if all(isinstance(item, int) for item in items):
        raise RequestError(422, f"input is {TOKENS}")
    inputs = [_read_item(item, f"input {number}", modality) for number, item in enumerate(items, start=1)]
    if (count := sum(one.modality == "image" for one in inputs)) > max_images:
        raise RequestError(422, f"{count:,} images; at most {max_images:,} in one request")
    images: list[BytesSource] = []
    texts: list[str] = []
    positions: list[int | None] = []
    for index, (kind, content) in enumerate(inputs):
        if kind == "image":
            positions.append(len(images))
            images.append(decode_data_uri(content, index))
        else:
            positions.append(None)
            texts.append(content)
    return Inputs(images, check_texts(texts, "input"), positions)


def _read_item(item: object, name: str, modality: str | None) -> _Input:
    """One input: a string, or a part as chats have it. Raises RequestError."""
    if isinstance(item, dict):
        one = _read_part(item, name)
        if modality not in (None, one.modality):
            raise RequestError(422, f"{name} is of type {one.modality}, and modality is {modality}")
    elif isinstance(item, str):
        one = _Input(modality or ("image" if is_data_uri(item) else "text"), item)
    elif isinstance(item, list) and item and all(isinstance(token, int) for token in item):
        raise RequestError(422, f"{name} is {TOKENS}")
    else:
        raise RequestError(422, f"{name} is not a string; input is a list of strings: texts, and images as data: URIs")
    if is_address(one.content) and (one.modality == "image" or (modality is None and isinstance(item, str))):
        raise RequestError(422, f"{name} is an address; URLs are not opened, send images as data: URIs")
    return one


def _read_part(part: dict[str, Any], name: str) -> _Input:
    """`{"type": "text", "text": …}` or `{"type": "image_url", "image_url": {"url": "data:…"}}`. Raises RequestError."""
    kind = part.get("type")
    if kind not in ("text", "image_url"):
        raise RequestError(422, f"{name} has the type {str(kind)[:40]!r}; the types are 'text' and 'image_url'")
    content = part.get(kind)
    if kind == "image_url" and isinstance(content, dict):
        content = content.get("url")
    if not isinstance(content, str):
        raise RequestError(422, f"{name} has no string in its '{kind}'")
    if unknown := set(part) - {"type", kind}:
        raise RequestError(422, f"{name} has the unknown field '{min(unknown)[:40]}'")
    return _Input("text" if kind == "text" else "image", content)


def _take_message(body: dict[str, Any]) -> str | dict[str, Any]:
    """The only part of the only message. Raises RequestError."""
    messages = body["messages"]
    if body.get("input") is not None:
        raise RequestError(422, "give input or messages, not both")
    if not isinstance(messages, list) or len(messages) != 1 or not isinstance(messages[0], dict):
        raise RequestError(422, "messages is a list of one message: a vector is of one text or one image")
    content = messages[0].get("content")
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if not isinstance(content, str | dict):
        raise RequestError(422, "a message has one text or one image as its content; send several as input")
    return content
