"""The shapes that clients send to /v1/embeddings, and the routes that they look at first."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from pictures import saved
from PIL import Image

COLOURS = ("red", "green", "blue")
URIS = {
    name: "data:image/png;base64," + base64.b64encode(saved(Image.new("RGB", (40, 24), name), "PNG")).decode()
    for name in COLOURS
}


def embed(client: Any, **body: Any) -> Any:
    """The answer of /v1/embeddings, which is one."""
    answer = client.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client: Any, **body: Any) -> str:
    """Why /v1/embeddings does not answer."""
    answer = client.post("/v1/embeddings", json=body)
    assert answer.status_code == 422, answer.text[:200]
    message: str = answer.json()["error"]["message"]
    return message


def colours(answer: Any) -> list[str]:
    """The colour of each vector."""
    return [COLOURS[int(np.argmax(entry["embedding"][:3]))] for entry in answer["data"]]


def text_part(text: str) -> dict[str, Any]:
    """A text as chats have it."""
    return {"type": "text", "text": text}


def image_part(url: str) -> dict[str, Any]:
    """An image as chats have it."""
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"input": "red"}, ["red"]),
        ({"input": URIS["green"]}, ["green"]),
        ({"input": [URIS["green"], "red", URIS["blue"]]}, ["green", "red", "blue"]),
        ({"input": [URIS["green"]], "modality": "image"}, ["green"]),
        ({"input": ["red", "blue"], "modality": "text"}, ["red", "blue"]),
        ({"input": "blue", "modality": None}, ["blue"]),
        ({"input": text_part("red")}, ["red"]),
        ({"input": [image_part(URIS["blue"]), text_part("green"), "red"]}, ["blue", "green", "red"]),
        ({"input": [{"type": "image_url", "image_url": URIS["blue"]}], "modality": "image"}, ["blue"]),
        ({"messages": [{"role": "user", "content": [image_part(URIS["blue"])]}]}, ["blue"]),
        ({"messages": [{"role": "user", "content": [text_part("green")]}]}, ["green"]),
        ({"messages": [{"role": "user", "content": "red"}]}, ["red"]),
        ({"input": "red", "dimensions": 0, "user": None, "encoding_format": None, "truncate": None}, ["red"]),
    ],
)
def test_shapes_of_inputs(client: Any, body: dict[str, Any], expected: list[str]) -> None:
    """Each input has its vector, in order."""
    answer = embed(client, **body)

    assert colours(answer) == expected
    assert [entry["index"] for entry in answer["data"]] == list(range(len(expected)))


@pytest.mark.parametrize("text", [URIS["red"][:40], "https://example.org/a.jpg", "data:"])
def test_a_modality_says_that_anything_is_a_text(client: Any, text: str) -> None:
    """As a part of type "text" does."""
    grey = embed(client, input="nothing")["data"][0]["embedding"]

    assert embed(client, input=text, modality="text")["data"][0]["embedding"] == pytest.approx(grey)
    assert embed(client, input=[text_part(text)])["data"][0]["embedding"] == pytest.approx(grey)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": [1, 2, 3]}, "check_embedding_ctx_length=False"),
        ({"input": [[1, 2], [3]]}, "check_embedding_ctx_length=False"),
        ({"input": ["red", [1, 2]]}, "input 2 is a list of token ids"),
        ({"input": [[["red"]]]}, "not a string"),
        ({"input": [None]}, "not a string"),
        ({"input": [1.5]}, "not a string"),
        ({"input": []}, "not empty"),
        ({"input": None}, "not empty"),
        ({}, "not empty"),
        ({"input": [""]}, "empty"),
        ({"input": ["red"], "modality": "image"}, "only data: URIs"),
        ({"input": ["https://example.org/a.jpg"], "modality": "image"}, "address"),
        ({"input": [image_part("https://example.org/a.jpg")]}, "address"),
        ({"input": [image_part("/etc/passwd")]}, "only data: URIs"),
        ({"input": [image_part(URIS["red"])], "modality": "text"}, "modality is text"),
        ({"input": [text_part("red")], "modality": "image"}, "modality is image"),
        ({"input": [{"type": "audio"}]}, "'audio'"),
        ({"input": [{"type": "text"}]}, "no string"),
        ({"input": [{"type": "image_url", "image_url": {"url": 5}}]}, "no string"),
        ({"input": [{}]}, "'None'"),
        ({"input": [{"type": ["text"]}]}, "types are"),
        ({"input": "red", "messages": [{"content": "red"}]}, "not both"),
        ({"messages": []}, "one message"),
        ({"messages": [{"content": "red"}, {"content": "blue"}]}, "one message"),
        ({"messages": [{"content": [text_part("red"), image_part(URIS["red"])]}]}, "one text or one image"),
        ({"messages": [{"content": []}]}, "one text or one image"),
        ({"messages": [5]}, "one message"),
        ({"input": "red", "truncate": "yes"}, "truncate is true or false"),
        ({"input": "red", "truncate": 1}, "truncate is true or false"),
        ({"input": "red", "modality": "audio"}, "modality is text or image"),
        ({"input": "red", "modality": ["text"]}, "modality is text or image"),
        ({"input": "red", "encoding_format": ["float"]}, "encoding_format"),
        ({"input": "red", "truncate_prompt_tokens": 5}, "unknown field 'truncate_prompt_tokens'"),
        ({"input": ["red"] * 2_000}, "at most 1,000"),
        ({"input": [text_part("red")] * 2_000}, "strings"),
        ({"input": [image_part("data:")] * 33}, "at most 32"),
    ],
)
def test_shapes_that_are_refused(client: Any, body: dict[str, Any], words: str) -> None:
    """With the reason."""
    assert words in refused(client, **body)


def test_many_tokens_are_refused_with_the_reason_too(client: Any) -> None:
    """Although they are too many values to be read."""
    assert "as strings, not as tokens" in refused(client, input=[list(range(500))] * 30)


def test_usage_counts_the_tokens_of_texts(client: Any) -> None:
    """Each as often as it is sent; the words are the tokens of this model. Images have none."""
    answer = embed(client, input=["red", "a b c", URIS["red"], "red"])

    assert answer["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert embed(client, input=[URIS["red"]])["usage"]["total_tokens"] == 0


def test_base64_is_of_little_endian_floats(client: Any) -> None:
    """Finite ones, of unit length, and those that "float" gives."""
    body = {"input": ["red", URIS["blue"], "grey"]}
    packed = [base64.b64decode(entry["embedding"]) for entry in embed(client, **body, encoding_format="base64")["data"]]
    vectors = np.array([np.frombuffer(data, "<f4") for data in packed])

    assert vectors.shape == (3, 4)
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    np.testing.assert_allclose([entry["embedding"] for entry in embed(client, **body)["data"]], vectors, atol=1e-7)


def test_a_form_may_cut_texts(client: Any) -> None:
    """A field of a form is a yes or no by its word."""
    long = [("input", (None, "red b c d e f g"))]
    answers = [
        client.post("/v1/embeddings", files=[*long, ("truncate", (None, word))]) for word in ("true", "false", "maybe")
    ]

    assert [answer.status_code for answer in answers] == [200, 422, 422]
    assert "true or false" in answers[2].json()["error"]["message"]


def test_infinitys_addresses(client: Any) -> None:
    """Its clients look for /embeddings and /models, and name no model by a name of their own."""
    body = {"input": ["red"], "model": "default/not-specified", "dimensions": 0}

    assert colours(client.post("/embeddings", json=body).json()) == ["red"]
    assert client.get("/models").json()["data"][0]["id"] == "clipsim-mini"
    assert embed(client, **body)["model"] == "clipsim-mini"


def test_a_model_by_its_name(serve: Any) -> None:
    """Names have slashes, blanks and letters of any script; clients escape them or do not."""
    names = ("ViT-B-32/openai", "hf-hub:org/größe 猫", "RN50/openai")
    client = serve(models=names)
    for name in names:
        for path in (quote(name, safe=""), quote(name)):
            assert client.get(f"/v1/models/{path}").json()["id"] == name
        assert embed(client, input="red", model=name)["model"] == name
    others = {
        "ViT-B/32": names[0],
        "openai/clip-vit-base-patch32": names[0],
        "org/größe 猫": names[1],
        "RN50": names[2],
    }
    for other, name in others.items():
        assert embed(client, input="red", model=other)["model"] == name
        assert client.get(f"/v1/models/{quote(other)}").json()["id"] == name

    assert client.get("/v1/models/nowhere").status_code == 404
    for path in ("", "/", "%00", "%2e%2e%2fetc", "%ff"):
        assert client.get(f"/v1/models/{path}").status_code == 404
    assert client.post("/v1/embeddings", json={"input": "red", "model": "text-embedding-3-small"}).status_code == 404


def test_info_in_the_words_of_text_embeddings_inference(client: Any) -> None:
    """The model, and what a client may send at once."""
    record = client.get("/info").json()

    assert (record["model_id"], record["model_dtype"]) == ("clipsim-mini", "float32")
    assert (record["max_input_length"], record["max_batch_requests"], record["max_client_batch_size"]) == (5, 8, 1_000)
    assert record["auto_truncate"] is False


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/v1/models", "/v1/models/clipsim-mini", "/info", "/metrics", "/"]
)
def test_head(client: Any, path: str) -> None:
    """Is answered as GET is, without the body."""
    head, get = client.head(path), client.get(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("content", ["AAAA", "*"], ids=["not an image", "not base64"])
def test_an_input_that_is_a_bad_image_is_named(client: Any, content: str) -> None:
    """By its place among the inputs, texts included."""
    answer = client.post("/v1/embeddings", json={"input": ["red", URIS["red"], f"data:image/png;base64,{content}"]})

    assert answer.status_code == 422
    assert (answer.json()["error"]["image"], answer.json()["error"]["index"]) == ("image 3", 2)
