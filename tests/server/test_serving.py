"""The server with a model of colours: who shares a batch, who waits, and who is refused."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from numpy.typing import NDArray
from pictures import saved
from PIL import Image

import clipsim
from clipsim.server.bodies import parse_body
from clipsim.server.model_thread import call_in_loop
from clipsim.tasks.search_targets import find_targets

Serve = Callable[..., Any]
COLOURS = ("red", "green", "blue")
PNGS = {name: saved(Image.new("RGB", (40, 24), name), "PNG") for name in COLOURS}


def rank(client: Any, *names: str) -> Any:
    """The answer for images of these colours."""
    files = [("images", (f"{name}.png", PNGS[name])) for name in names]
    return client.post("/v1/rank", files=files, data={"texts": list(COLOURS)})


def best(answer: Any) -> list[str]:
    """The best text of each image."""
    record = answer.json()
    return [record["texts"][place] for place in record["best"]]


def slow_down(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each batch of images take so long."""
    encode = FakeEncoder.encode_images

    def encode_slowly(self: FakeEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(seconds)
        return encode(self, pixels)

    monkeypatch.setattr(FakeEncoder, "encode_images", encode_slowly)


def send_raw(client: Any, *parts: bytes) -> bytes:
    """Send bytes, with a tenth of a second between the parts; the beginning of what is answered, if anything is."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.1)
        return connection.recv(65536)


def test_requests_that_wait_share_batches(serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And each gets its own answer."""
    client = serve()
    (encoder,) = machine.encoders
    encoder.image_batches.clear()
    encode, end = FakeEncoder.encode_images, time.monotonic() + 60

    def encode_once_others_wait(self: FakeEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        while not encoder.image_batches and sum(model.waiting for model in client.service.models.values()) < 52:
            assert time.monotonic() < end
            time.sleep(0.01)
        return encode(self, pixels)

    monkeypatch.setattr(FakeEncoder, "encode_images", encode_once_others_wait)
    names = [COLOURS[place % 3] for place in range(60)]
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda name: best(rank(client, name)), names))

    assert answers == [[name] for name in names]
    assert max(encoder.image_batches) == 8
    assert len(encoder.image_batches) < 20


def test_a_full_queue_answers_429_and_loses_nothing(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 requests over a queue of 32: each is answered rightly or told to come again."""
    client = serve(queue=32)
    slow_down(monkeypatch, 0.05)
    names = [COLOURS[place % 3] for place in range(300)]
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda name: rank(client, name), names))

    assert set(Counter(answer.status_code for answer in answers)) == {200, 429}
    for name, answer in zip(names, answers, strict=True):
        if answer.status_code == 200:
            assert best(answer) == [name]
        else:
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.json()["error"]["type"] == "queue_full"


def test_ready_once_the_model_is_loaded(serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, everything that needs the model answers 503."""
    loaded = threading.Event()
    open_encoder = machine.open_encoder

    def open_later(options: Any) -> FakeEncoder:
        loaded.wait(30)
        return open_encoder(options)

    monkeypatch.setattr(machine, "open_encoder", open_later)
    client = serve(wait=False)
    statuses = [client.get("/health").status_code, client.get("/ready").status_code, rank(client, "red").status_code]
    loaded.set()
    while client.get("/ready").status_code != 200:
        time.sleep(0.01)

    assert statuses == [200, 503, 503]
    assert rank(client, "red").status_code == 200


def test_a_body_that_comes_slowly_is_refused(serve: Serve) -> None:
    """So that nobody can hold a place in the queue."""
    client = serve(body_seconds=0.3)
    head = b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"

    assert send_raw(client, head, b"{", b'"', b"i", b"m").startswith(b"HTTP/1.1 408")


def test_a_header_that_comes_slowly_ends_the_connection(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer: there is no request yet."""
    monkeypatch.setattr("clipsim.server.connections.HEADER_SECONDS", 0.3)
    client = serve()

    assert send_raw(client, b"GET /health HTTP/1.1\r\n", b"Host: ") == b""


@pytest.mark.parametrize("length", [b"999999999999", b"00000000000000002000", b"9" * 20])
def test_a_false_length_is_refused_before_the_body_comes(serve: Serve, length: bytes) -> None:
    """What is announced is not waited for, however it is written."""
    client = serve(max_body=1000)
    head = b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: %s\r\n\r\n" % length

    assert send_raw(client, head).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("cut", [3, 30, 200])
def test_a_form_that_is_cut_short_is_refused(client: Any, cut: int) -> None:
    """Rather than answered without its last image."""
    files = [("images", ("red.png", PNGS["red"])), ("images", ("blue.png", PNGS["blue"]))]
    whole = client.build_request("POST", "/v1/rank", files=files, data={"texts": ["red", "blue"]})
    body = whole.read()
    kind = {"Content-Type": whole.headers["Content-Type"]}

    assert client.post("/v1/rank", content=body, headers=kind).status_code == 200
    answer = client.post("/v1/rank", content=body[:-cut], headers=kind)
    assert answer.status_code == 400
    assert "boundary" in answer.json()["error"]["message"]


def test_a_client_that_goes_away_is_no_bug(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted as 499, and nothing is logged."""
    client = serve()
    head = b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as connection:
        connection.sendall(head)
        time.sleep(0.2)
    end = time.monotonic() + 20
    while (counted := 'status="499"' in client.get("/metrics").text) is False and time.monotonic() < end:
        time.sleep(0.05)

    assert counted
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("number", ["-1", "9" * 5000, "x", "\u0665", "7"])
def test_a_thumbnail_that_there_is_not(client: Any, number: str) -> None:
    """Is 404, whatever is written for its number."""
    assert client.get("/v1/thumbnails/0").status_code == 200
    assert client.get(f"/v1/thumbnails/{number}").status_code == 404


def test_metrics_count_requests_batches_and_hits(serve: Serve) -> None:
    """In Prometheus' format."""
    from prometheus_client.parser import text_string_to_metric_families

    client = serve(cache=True)
    rank(client, "red", "green")
    rank(client, "red", "blue")
    client.get("/nowhere")
    end = time.monotonic() + 20
    while 'status="404"' not in client.get("/metrics").text:  # it is counted once it is sent
        assert time.monotonic() < end
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }

    assert samples["clipsim_requests_total", "/v1/rank", "200"] == 2
    assert samples["clipsim_requests_total", "404", "other"] == 1
    assert samples["clipsim_request_seconds_count", "/v1/rank"] == 2
    assert samples["clipsim_batch_images_sum",] == 3
    assert samples["clipsim_cache_hits_total",] == 1
    assert samples["clipsim_cache_misses_total",] == 3
    assert samples["clipsim_queue_requests",] == 0


def bomb() -> bytes:
    """A small PNG that says it is 60,000 pixels wide and high."""
    data = bytearray(saved(Image.new("1", (8, 8)), "PNG"))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        PNGS["red"][:-30],
        bomb(),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.4\n",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"\xff\xd8\xff\xe0" + b"\x00" * 1000,
    ],
    ids=["empty", "torn", "truncated", "bomb", "eps", "pdf", "svg", "noise"],
)
def test_a_bad_image_is_named(client: Any, content: bytes) -> None:
    """With its place; nothing of its request is answered, and the server goes on."""
    files = [("images", ("good.png", PNGS["red"])), ("images", ("bad.png", content))]
    answer = client.post("/v1/rank", files=files, data={"texts": ["red", "blue"]})

    assert answer.status_code == 422
    assert (answer.json()["error"]["image"], answer.json()["error"]["index"]) == ("bad.png", 1)
    assert rank(client, "red").status_code == 200


@pytest.mark.parametrize(
    ("route", "body", "words"),
    [
        ("rank", {"texts": ["a b c d e f g"]}, "words"),
        ("rank", {"texts": [""]}, "empty"),
        ("rank", {"texts": ["\ud800"]}, "Unicode"),
        ("rank", {"texts": ["a"], "templates": ["no place"]}, "{}"),
        ("rank", {"texts": [str(n) for n in range(100)], "templates": [f"{n} {{}}" for n in range(100)]}, "at most"),
        ("rank", {"texts": {"a": 1}}, "list of strings"),
        ("rank", {"texts": ["red"], "model": 0}, "model is a string"),
        ("embeddings", {"input": "red", "model": 5}, "model is a string"),
        ("search", {"texts": ["red"], "model": ["clipsim-mini"]}, "model is a string"),
        ("embeddings", {"input": []}, "input"),
        ("embeddings", {"input": ["red", "\udcc3\udca9"]}, "Unicode"),
        ("embeddings", {"input": "red", "encoding_format": "hex"}, "encoding_format"),
        ("search", {"texts": ["red"], "weight": 10**400}, "weight"),
        ("search", {"texts": ["red"], "top": 10**6}, "top"),
        ("search", {"texts": ["red"], "top": True}, "top"),
        ("search", {"texts": []}, "no query"),
    ],
)
def test_what_a_request_cannot_ask_for(client: Any, route: str, body: dict[str, Any], words: str) -> None:
    """One line that says what is wrong."""
    if route == "rank":
        import base64

        body = {"images": ["data:;base64," + base64.b64encode(PNGS["red"]).decode()], **body}
    answer = client.post(f"/v1/{route}", content=json.dumps(body))

    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]


def test_search_opens_no_image_again(serve: Serve, colours: Path) -> None:
    """The vectors are from the start; a thumbnail that is gone is not found."""
    client = serve(places=find_targets(str(colours)))
    for path in colours.iterdir():
        path.unlink()
    found = client.post("/v1/search", json={"texts": list(COLOURS), "top": 1}).json()["queries"]

    assert [Path(query["results"][0]["image"]).stem for query in found] == list(COLOURS)
    assert client.get(found[0]["results"][0]["thumbnail"]).status_code == 404


def test_no_path_of_a_request_is_opened(serve: Serve, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image is its bytes; its name is only shown."""
    opened: list[str] = []
    client = serve()
    monkeypatch.setattr("clipsim.inputs.sources.open_regular", opened.append)
    path = str(colours / "red.png")
    named = client.post("/v1/rank", files=[("images", (path, PNGS["blue"]))], data={"texts": list(COLOURS)})
    refused = [client.post("/v1/rank", json={"images": [given], "texts": ["a"]}) for given in (path, f"file://{path}")]

    assert best(named) == ["blue"]
    assert [answer.status_code for answer in refused] == [422, 422]
    assert opened == []


def test_embeddings_are_unit_vectors_in_order(client: Any) -> None:
    """Texts and images mixed, a repeated text too; both encodings hold the same numbers."""
    import base64

    uri = "data:text/html;base64," + base64.b64encode(PNGS["green"]).decode()
    asked = {"input": ["red", uri, "red", " blue "]}
    plain = client.post("/v1/embeddings", json=asked).json()
    packed = client.post("/v1/embeddings", json={**asked, "encoding_format": "base64"}).json()
    vectors: Sequence[Any] = [entry["embedding"] for entry in plain["data"]]

    assert [int(np.argmax(vector)) for vector in vectors] == [0, 1, 0, 2]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    for vector, entry in zip(vectors, packed["data"], strict=True):
        assert np.frombuffer(base64.b64decode(entry["embedding"]), "<f4") == pytest.approx(vector, abs=0)


def test_the_page_loads_nothing_from_elsewhere(client: Any) -> None:
    """Its files are served by name, with a strict policy."""
    page = client.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/v1/rank" in client.get("/docs").text
    paths = client.get("/openapi.json").json()["paths"]
    assert list(paths["/v1/thumbnails/{number}"]) == ["get"]
    search = paths["/v1/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert client.post("/v1/search", json={"what": 1}).json()["error"]["message"].endswith(", ".join(search))
    assert "http" not in client.get("/docs").text
    assert client.get("/../application.py").status_code == 404


def test_only_allowed_origins_get_permission(serve: Serve) -> None:
    """A browser asks before it sends JSON from another site."""
    client = serve(origins=("https://example.org",))
    allowed = client.options("/v1/rank", headers={"Origin": "https://example.org"})
    other = client.options("/v1/rank", headers={"Origin": "https://example.com"})

    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, "https://example.org")
    assert (other.status_code, "access-control-allow-origin" in other.headers) == (403, False)


def test_a_batch_is_answered_in_one_step(serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's thread wakes the event loop once for all requests of a batch, which takes the interpreter from it."""
    client = serve()
    rank(client, "red")  # the texts have their vectors
    (encoder,) = machine.encoders
    wakers: list[str] = []

    def call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
        wakers.append(threading.current_thread().name)
        call_in_loop(loop, function)

    monkeypatch.setattr("clipsim.server.model_thread.call_in_loop", call)
    slow_down(monkeypatch, 0.05)
    encoder.image_batches.clear()
    with ThreadPoolExecutor(40) as pool:
        list(pool.map(lambda name: rank(client, name), COLOURS * 20))

    assert max(encoder.image_batches) > 1
    assert wakers.count("model") == len(encoder.image_batches)


def test_only_large_bodies_go_to_a_thread(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one is parsed where it comes in, in less time than the way to a thread takes."""
    client = serve()
    threads: list[str] = []

    def parse(*given: Any) -> Any:
        threads.append(threading.current_thread().name.partition("_")[0])
        return parse_body(*given)

    monkeypatch.setattr("clipsim.server.application.parse_body", parse)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8))
    answers = [
        client.post("/v1/rank", files=[("images", ("a.png", content))], data={"texts": ["red"]})
        for content in (PNGS["red"], saved(noise, "PNG"))
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert threads[0] != "requests"
    assert threads[1] == "requests"


@pytest.fixture
def classifier(machine: Machine, tmp_path: Path) -> Any:
    """What `fit` makes of warm and cold pictures, of which no text speaks."""
    for name, base in (("warm", (220, 60, 20)), ("cold", (20, 60, 220))):
        (tmp_path / "kinds" / name).mkdir(parents=True)
        for number in range(4):
            shade = (base[0], base[1] + 9 * number, base[2])
            Image.new("RGB", (20, 12), shade).save(tmp_path / "kinds" / name / f"{number}.png")
    return clipsim.fit(tmp_path / "kinds", model="clipsim-mini")


def test_a_classifier_answers_rankings_without_texts(serve: Serve, classifier: Any) -> None:
    """With its labels, as `rank` does; with texts, by the texts; its labels stand among the models."""
    client = serve(classifier=classifier)
    files = [("images", (f"{name}.png", PNGS[name])) for name in ("red", "blue")]
    answer = client.post("/v1/rank", files=files)
    images = [Image.new("RGB", (40, 24), name) for name in ("red", "blue")]
    expected = clipsim.rank(images, classifier=classifier, model="clipsim-mini")

    assert answer.status_code == 200
    assert best(answer) == ["warm", "cold"]
    assert answer.json()["classifier"] == expected.to_dict()["classifier"]
    assert np.abs(np.array(answer.json()["similarity"]) - expected.similarity).max() < 1e-6
    assert best(rank(client, "green")) == ["green"]
    assert "classifier" not in rank(client, "green").json()
    (model,) = client.get("/v1/models").json()["data"]
    assert model["classifier"]["labels"] == ["cold", "warm"]
    schema = client.get("/openapi.json").json()["paths"]["/v1/rank"]["post"]["requestBody"]["content"]
    assert schema["application/json"]["schema"]["required"] == ["images"]
    refused = client.post("/v1/rank", files=files, data={"templates": ["a {}"]})
    assert refused.status_code == 422


def test_a_classifier_of_another_model_ends_the_server(serve: Serve, classifier: Any) -> None:
    """Before anything is answered by it."""
    other = replace(classifier, model=replace(classifier.model, name="another"), digest="0" * 64)
    client = serve(classifier=other, wait=False)
    client.thread.join(20)

    (failure,) = client.failures
    assert "the classifier was fitted with another model ('another/bundled')" in str(failure)
