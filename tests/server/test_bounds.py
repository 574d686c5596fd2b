"""What a request may send and ask for: each bound through its route, and the ways a browser writes an image."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import saved
from PIL import Image

from clipsim.tasks.search_targets import find_targets

Serve = Callable[..., Any]
RED = saved(Image.new("RGB", (40, 24), "red"), "PNG")
ENCODED = base64.b64encode(RED).decode()
URI = "data:image/png;base64," + ENCODED


def message(answer: Any, status: int = 422) -> str:
    """What the error of an answer says."""
    assert answer.status_code == status, answer.text[:200]
    error: dict[str, str] = answer.json()["error"]
    assert set(error) >= {"type", "message"}
    return error["message"]


@pytest.mark.parametrize(
    ("route", "body", "words"),
    [
        ("rank", {"images": [URI], "texts": ["x" * 10_001]}, "10,001 characters"),
        ("rank", {"images": [URI], "texts": ["x" * 100], "templates": ["{}" * 101]}, "10,000 characters"),
        ("rank", {"images": [URI], "texts": ["x" * 500] * 10, "templates": ["{}{}{}"] * 90}, "1,350,000 characters"),
        ("rank", {"images": [URI], "texts": ["abc"], "templates": ["{}" + "y" * 9_998]}, "10,000 characters"),
        ("rank", {"images": [URI], "texts": ["a"] * 1_001}, "at most 1,000"),
        ("rank", {"images": [URI] * 33, "texts": ["a"]}, "at most 32"),
        ("rank", {"images": [URI], "texts": ["a"] * 5_000}, "strings"),
        ("rank", {"images": [URI], "texts": list(range(20_000))}, "values"),
        ("embeddings", {"input": [URI] * 33}, "at most 32"),
        ("embeddings", {"input": ["a"] * 1_001}, "at most 1,000"),
        ("embeddings", {"input": ["x" * 2_000] * 501}, "1,002,000 characters"),
        ("search", {"texts": ["x" * 140_000]}, "140,000 characters"),
        ("search", {"texts": [f"{n}" for n in range(400)], "plus": ["y" * 5_000]}, "plus and minus"),
    ],
)
def test_what_is_too_much_is_refused(client: Any, route: str, body: dict[str, Any], words: str) -> None:
    """Before anything is built of it."""
    assert words in message(client.post(f"/v1/{route}", json=body))


def test_an_answer_has_a_bounded_number_of_matches(serve: Serve, tmp_path: Path) -> None:
    """Of all queries together; as many as there are images count."""
    for number in range(20):
        Image.new("RGB", (8, 8), (number, 0, 255)).save(tmp_path / f"{number}.png")
    client = serve(places=find_targets(str(tmp_path)))
    few = client.post("/v1/search", json={"texts": [f"{n}" for n in range(500)], "top": 1_000})
    many = client.post("/v1/search", json={"texts": [f"{n}" for n in range(501)], "top": 1_000})

    assert sum(len(query["results"]) for query in few.json()["queries"]) == 10_000
    assert "at most 10,000 matches" in message(many)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"texts": ' + b"[" * 17 + b"]" * 17 + b"}", "deep"),
        (b"[" * 100_000, "lists"),
        (b'{"top": ' + b"9" * 1_001 + b"}", "not JSON"),
        (b'{"top": 0.' + b"9" * 1_001 + b"}", "not JSON"),
        (b'{"top": NaN}', "not JSON"),
        (b'{"top": -Infinity}', "not JSON"),
        ('{"texts": ["a"]}'.encode("utf-16"), "not JSON"),
        (b'{"texts": ["\xff"]}', "not JSON"),
    ],
)
def test_what_is_not_json_as_it_should_be(client: Any, body: bytes, words: str) -> None:
    """Numbers of any length, nesting of any depth and other encodings are not read."""
    assert words in message(client.post("/v1/search", content=body), 400)


@pytest.mark.parametrize(
    ("route", "body", "words"),
    [
        ("rank", {"images": [URI], "texts": ["a"], "modality": "image"}, "modality"),
        ("embeddings", {"input": "red", "modality": "audio"}, "modality"),
        ("embeddings", {"input": "red", "dimensions": 3}, "4 dimensions"),
        ("embeddings", {"input": "https://example.org/cat.jpg"}, "address"),
        ("embeddings", {"input": ["red", " file:///etc/passwd"]}, "address"),
        ("embeddings", {"input": [{"type": "image_url", "image_url": {"url": URI}, "detail": "low"}]}, "'detail'"),
        ("embeddings", {"input": [["red"]]}, "list of strings"),
        ("search", {"texts": ["red"], "limit": 3}, "limit"),
    ],
)
def test_what_would_be_ignored_is_refused(client: Any, route: str, body: dict[str, Any], words: str) -> None:
    """Rather than answered as if it had not been asked for."""
    assert words in message(client.post(f"/v1/{route}", json=body))


def test_fields_that_are_given_twice_or_in_the_address(client: Any) -> None:
    """Are not dropped."""
    assert "twice" in message(client.post("/v1/search", content=b'{"texts": ["red"], "texts": ["blue"]}'))
    assert "query string" in message(client.post("/v1/search?top=1", json={"texts": ["red"]}))
    files = {"model": (None, "clipsim-mini")}
    body = [("texts", (None, "red")), *files.items(), *files.items()]
    assert "'model' is given twice" in message(client.post("/v1/search", files=body))


def test_what_openai_clients_send_is_honoured(client: Any) -> None:
    """The dimensions that the vectors have, and who asks."""
    answer = client.post(
        "/v1/embeddings", json={"input": "red", "dimensions": 4, "user": "me", "model": "clipsim-mini"}
    )

    assert len(answer.json()["data"][0]["embedding"]) == 4


def test_a_form_may_repeat_its_inputs_and_has_numbers(client: Any) -> None:
    """Each input has its vector, and a number is one."""
    fields = [("input", (None, "red")), ("input", (None, "blue"))]
    data = client.post("/v1/embeddings", files=fields).json()["data"]
    found = client.post("/v1/search", files=[("texts", (None, "red")), ("top", (None, "2"))]).json()["queries"]

    assert [int(np.argmax(entry["embedding"])) for entry in data] == [0, 2]
    assert len(found[0]["results"]) == 2
    assert "top is a number" in message(client.post("/v1/search", files=[("top", (None, "two"))]))


LINES = "\r\n".join(ENCODED[start : start + 76] for start in range(0, len(ENCODED), 76))


@pytest.mark.parametrize(
    "uri",
    [
        URI,
        "data:image/png;base64," + LINES,
        URI + "\n",
        " " + URI,
        "DATA:;BASE64," + ENCODED,
        "data:image/png; base64," + ENCODED,
        "data:image/png;charset=utf-8;base64," + ENCODED,
        "data:image/png;base64," + ENCODED.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        "data:image/png;base64," + ENCODED.rstrip("="),
        URI + "#part",
        "data:image/png," + "".join(f"%{byte:02x}" for byte in RED),
    ],
    ids=range(11),
)
def test_a_data_uri_is_read_as_browsers_read_it(client: Any, uri: str) -> None:
    """Line breaks, escapes, blanks and missing padding do not matter."""
    answer = client.post("/v1/embeddings", json={"input": uri})

    assert answer.status_code == 200, answer.text
    assert int(np.argmax(answer.json()["data"][0]["embedding"])) == 0


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:;base64,A", "data:;base64,A===", "data:;base64,A*AA"])
def test_what_browsers_refuse_is_refused(client: Any, uri: str) -> None:
    """With the place of the image."""
    assert "image 2: its data: URI is not valid" in message(client.post("/v1/embeddings", json={"input": [URI, uri]}))


def form(*parts: bytes, boundary: bytes = b"XX") -> dict[str, Any]:
    """A request with these parts, each with its headers."""
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"
    return {"content": body, "headers": {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}}


def field(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    """A part of a form."""
    return b'Content-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n" + value


@pytest.mark.parametrize(
    ("parts", "status", "words"),
    [
        ([b"a: b\r\n" * 2_000 + field(b"texts", b"red")], 400, "headers"),
        ([field(b"texts", b"red")] * 4_100, 422, "parts"),
        ([field(b"texts", b"\xff")], 422, "UTF-8"),
        ([b"X: y\r\n\r\nred"], 400, "Content-Disposition"),
        ([field(b"images", b"https://example.org/a.png")], 422, "not opened"),
        ([field(b"input", RED, b'; filename="a.png"')], 422, "'images'"),
        ([field(b"images", RED, b'; filename="a.png"')] * 33, 422, "at most 32"),
        ([field(b"top", b"[" * 900)], 422, "top is a number"),
    ],
)
def test_a_form_is_bounded_too(client: Any, parts: list[bytes], status: int, words: str) -> None:
    """In its parts, their headers and their files."""
    assert words in message(client.post("/v1/search", **form(*parts)), status)


def test_a_form_without_a_boundary(client: Any) -> None:
    """Is not read."""
    for kind in ("multipart/form-data", "multipart/form-data; boundary=" + "x" * 71):
        answer = client.post(
            "/v1/rank", content=form(field(b"texts", b"red"))["content"], headers={"Content-Type": kind}
        )
        assert "boundary" in message(answer, 400)


def test_names_of_files_and_contents_with_line_ends(client: Any) -> None:
    """A file's content is its bytes; a name in UTF-8, and an empty one, are shown."""
    texts = [field(b"texts", b"red"), field(b"texts", "größe\r\n--X".encode())]
    names = [b'; filename="gr\xc3\xbcn.png"', b'; filename=""']
    answer = client.post("/v1/rank", **form(*[field(b"images", RED, name) for name in names], *texts)).json()

    assert answer["images"] == ["grün.png", "image 2"]
    assert answer["texts"] == ["red", "größe\r\n--X"]
    assert answer["best"] == [0, 0]


def test_a_compressed_body_is_not_read(client: Any) -> None:
    """It could be far larger than the limit once it is unpacked."""
    import gzip

    body = gzip.compress(json.dumps({"input": "red"}).encode())
    answer = client.post("/v1/embeddings", content=body, headers={"Content-Encoding": "gzip"})

    assert "Content-Encoding" in message(answer, 415)


def test_what_waits_is_bounded_in_bytes(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few requests it is; afterwards there is room again."""
    monkeypatch.setattr("clipsim.server.guard.MIN_HELD_BYTES", 0)
    client = serve(max_body=2_000)  # six times as much may be held
    large = client.post("/v1/embeddings", json={"input": ["red"] * 200})
    small = client.post("/v1/embeddings", json={"input": "red"})

    assert (large.status_code, small.status_code) == (429, 200)
    assert "Retry-After" in large.headers
