"""Clients that go away, do not read, or do not speak HTTP as they should."""

from __future__ import annotations

import json
import re
import select
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from pictures import saved
from PIL import Image

from clipsim.embedding.pipeline import Pipeline
from clipsim.engines.choice import default_workers
from clipsim.server.running import _open_socket
from clipsim.tasks.search_targets import find_targets

Serve = Callable[..., Any]
HOST = b"Host: localhost\r\n"
BODY = b'{"input": "red"}'
POST = b"POST /v1/embeddings HTTP/1.1\r\n" + HOST
HEALTH = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
LARGE = saved(Image.new("RGB", (2_000, 1_500), "red"), "PNG")


def connect(client: Any, sent: bytes) -> socket.socket:
    """A connection that has sent bytes."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port), timeout=30)
    connection.sendall(sent)
    return connection


def exchange(client: Any, sent: bytes) -> bytes:
    """Everything that is answered until the server closes the connection."""
    with connect(client, sent) as connection:
        received = b""
        with suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                received += part
    return received


def request(client: Any, path: str, **content: Any) -> bytes:
    """The bytes of a POST."""
    made = client.build_request("POST", path, **content)
    body = bytes(made.read())
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + f"Content-Type: {made.headers['Content-Type']}\r\n\r\n".encode() + body


def count_gone(client: Any) -> int:
    """The number of requests whose clients went away."""
    return int(
        sum(float(n) for n in re.findall(r'requests_total\{.*status="499"\} ([\d.]+)', client.get("/metrics").text))
    )


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait until something is so, which fails after a while."""
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> Iterator[Callable[[], int]]:
    """Let a method wait until the end of the block; gives a function that counts its calls."""
    calls, go = [0], threading.Event()
    original = getattr(owner, name)

    def wait(self: Any, given: Any, **options: Any) -> Any:
        calls[0] += 1
        go.wait(20)
        return original(self, given, **options)

    monkeypatch.setattr(owner, name, wait)
    try:
        yield lambda: calls[0]
    finally:
        go.set()
        monkeypatch.setattr(owner, name, original)


def abandon(client: Any, sent: Sequence[bytes], begun: Callable[[], bool]) -> None:
    """Send requests, and close their connections once something has begun; returns when the server has noticed."""
    connections = [connect(client, one) for one in sent]
    wait_until(begun)
    for connection in connections:
        connection.close()
    wait_until(lambda: count_gone(client) == len(sent))


def rank_red(client: Any) -> list[int]:
    """The best text of a red image."""
    answer = client.post("/v1/rank", files=[("images", ("a.png", LARGE))], data={"texts": ["blue", "red"]})
    best: list[int] = answer.json()["best"]
    return best


def test_images_that_wait_for_the_model_go_with_their_client(
    serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """160 of them: after the batch that is being computed, the next client's is computed."""
    client = serve()
    (encoder,) = machine.encoders
    files = [("images", (f"{n}.png", LARGE)) for n in range(32)]
    sent = [request(client, "/v1/rank", files=files, data={"texts": ["red"]})] * 5
    encoder.image_batches.clear()
    with held(monkeypatch, FakeEncoder, "encode_images") as calls:
        abandon(client, sent, lambda: calls() == 1)

    assert rank_red(client) == [1]
    assert len(encoder.image_batches) == 2


def test_images_that_wait_to_be_decoded_go_with_their_client(
    serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are being decoded are the last, and none reaches the model."""
    client = serve()
    (encoder,) = machine.encoders
    files = [("images", (f"{n}.png", LARGE)) for n in range(32)]
    sent = [request(client, "/v1/rank", files=files, data={"texts": ["red"]})] * 5
    encoder.image_batches.clear()
    with held(monkeypatch, Pipeline, "_prepare") as calls:
        abandon(client, sent, lambda: calls() == default_workers())
    counted = calls()

    assert rank_red(client) == [1]
    assert counted == default_workers()
    assert encoder.image_batches == [1]


def test_texts_go_with_their_client(serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of one request's 1,000."""
    client = serve()
    (encoder,) = machine.encoders
    sent = [request(client, "/v1/embeddings", json={"input": [f"{n} {m}" for n in range(1_000)]}) for m in range(3)]
    encoder.text_batches.clear()
    with held(monkeypatch, FakeEncoder, "encode_texts") as calls:
        abandon(client, sent, lambda: calls() == 1)

    assert rank_red(client) == [1]
    assert encoder.text_batches == [8, 2]


def test_a_client_that_goes_behind_further_bytes_is_seen(
    serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginning of another request does not hide the end of the connection."""
    client = serve()
    (encoder,) = machine.encoders
    sent = request(client, "/v1/rank", files=[("images", ("a.png", LARGE))], data={"texts": ["red"]})
    encoder.image_batches.clear()
    with held(monkeypatch, Pipeline, "_prepare") as calls:
        abandon(client, [sent + HEALTH[:9]] * 3, lambda: calls() == min(3, default_workers()))

    assert rank_red(client) == [1]
    assert encoder.image_batches == [1]


def test_a_bad_image_ends_the_texts_of_its_request(
    serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for them any more."""
    client = serve()
    (encoder,) = machine.encoders
    encoder.text_batches.clear()
    with held(monkeypatch, FakeEncoder, "encode_texts"):
        texts = {"texts": [f"{n}" for n in range(500)]}
        answer = client.post("/v1/rank", files=[("images", ("a.png", b"GIF89a"))], data=texts)
    rank_red(client)

    assert answer.status_code == 422
    assert sum(encoder.text_batches) <= 8 + 2


def test_a_client_that_does_not_read_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its long answers would otherwise keep the others out, and stay in memory."""
    monkeypatch.setattr("clipsim.server.connections.MAX_PIPELINED_BYTES", 1_000_000)
    monkeypatch.setattr("clipsim.server.connections.WRITE_SECONDS", 0.5)
    client = serve(queue=1)
    body = json.dumps({"input": ["red", "blue"] * 500}).encode()
    sent = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect((client.base_url.host, client.base_url.port))
        connection.sendall(sent * 60)
        wait_until(lambda: client.post("/v1/embeddings", json={"input": "red"}).status_code == 200)
        connection.settimeout(20)
        received = 0
        with suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                received += len(part)
    assert received < 60 * 100_000


def test_an_answer_in_pieces_is_whole(client: Any) -> None:
    """Of more bytes than are written at a time."""
    answer = client.post("/v1/embeddings", json={"input": ["red", "blue"] * 500})

    assert len(answer.content) > 100_000
    assert [int(np.argmax(one["embedding"])) for one in answer.json()["data"]] == [0, 2] * 500


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 16\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 16\r\nContent-Length: 17\r\n",
        b"Content-Length: +16\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length : 16\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 16\r\nHost: example.org\r\n",
        b"a: b\r\n" * 101,
        b"a: " + b"b" * 20_000 + b"\r\n",
    ],
    ids=range(11),
)
def test_a_request_with_two_readings_closes_the_connection(client: Any, headers: bytes) -> None:
    """One error in JSON; what follows is not read as a request."""
    answer = exchange(client, POST + headers + b"\r\n10\r\n" + BODY + b"\r\n0\r\n\r\n" + HEALTH)
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["error"]["type"] == "bad_request"


@pytest.mark.parametrize(
    "chunks",
    [b"1\r\n \r\n" * 3_000, b"zz\r\n", b"-1\r\n", b"f" * 30 + b"\r\n", b"10;" + b"x" * 20_000],
    ids=["small", "letters", "negative", "endless", "extension"],
)
def test_chunks_that_are_none_close_the_connection(client: Any, chunks: bytes) -> None:
    """So do very many small ones, each of which takes as long as a large one."""
    assert exchange(client, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (
            POST
            + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n10;a=b\r\n"
            + BODY
            + b"\r\n0\r\nX: y\r\n\r\n",
            200,
        ),
        (POST + b"Connection: close\r\nX: a\r\n b\r\nContent-Length: 16\r\n\r\n" + BODY, 200),
        (b"GET http://localhost/health HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 404),
        (b"GET /%zz%00%ff HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 404),
        (b"GET /v1/thumbnails/..%2f0 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 404),
        (b"HEAD / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 200),
        (b"GET /health HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}", 400),
        (b"GET /health HTTP/1.0\r\n\r\n", 421),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (POST + b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n", 413),
    ],
    ids=range(10),
)
def test_what_else_may_come_has_one_answer(client: Any, sent: bytes, status: int) -> None:
    """Unusual requests that are right are answered, others refused; the server goes on."""
    answer = exchange(client, sent)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert client.get("/health").status_code == 200


def test_requests_one_behind_the_other_are_answered_in_order(client: Any) -> None:
    """Without waiting for the answers."""
    last = POST + b"Connection: close\r\nContent-Length: 17\r\n\r\n" + b'{"input": "blue"}'
    answer = exchange(client, (POST + b"Content-Length: 16\r\n\r\n" + BODY) * 3 + last)
    vectors = [json.loads(found) for found in re.findall(rb'"embedding": (\[[^\]]*\])', answer)]

    assert [int(np.argmax(vector)) for vector in vectors] == [0, 0, 0, 2]


def test_thumbnails_are_bounded_as_other_requests_are(
    serve: Serve, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And their work goes with their clients."""
    go, made = threading.Event(), [0]

    def make(*_: Any) -> dict[str, bytes]:
        made[0] += 1
        go.wait(20)
        return {"": b"image"}

    client = serve(places=find_targets(str(colours)), queue=8)
    monkeypatch.setattr("clipsim.server.served_images.read_thumbnails", make)
    sent = b"GET /v1/thumbnails/0 HTTP/1.1\r\n" + HOST + b"\r\n"
    connections = [connect(client, sent) for _ in range(9)]
    refused, _, _ = select.select(connections, [], [], 20)
    answers = [connection.recv(65_536) for connection in refused]
    wait_until(lambda: made[0] == 2)
    for connection in connections:
        connection.close()
    wait_until(lambda: count_gone(client) == 8)
    go.set()

    assert [answer.split()[1] for answer in answers] == [b"429"]
    assert client.get("/v1/thumbnails/0").content == b"image"
    assert made[0] == 3


def test_too_many_connections_are_told_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before there are no descriptors for anything else."""
    monkeypatch.setattr("clipsim.server.running.find_max_connections", lambda: 3)
    client = serve()
    with closing(connect(client, b"G")), closing(connect(client, b"G")):
        wait_until(lambda: exchange(client, HEALTH).startswith(b"HTTP/1.1 503 "))

    wait_until(
        lambda: exchange(client, HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).startswith(
            b"HTTP/1.1 200"
        )
    )


def test_requests_leave_no_vectors_on_disk(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of texts and images stay in memory, where they are found again."""
    monkeypatch.setenv("CLIPSIM_CACHE_DIR", str(tmp_path))
    client = serve(cache=True)

    def stored() -> int:
        (path,) = tmp_path.rglob("embeddings.db")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])

    before = stored()
    for _ in range(2):
        client.post("/v1/embeddings", json={"input": [f"{n}" for n in range(50)]})
        assert rank_red(client) == [1]

    assert stored() == before
    assert "clipsim_cache_hits_total 1.0" in client.get("/metrics").text


def test_every_model_searches(serve: Serve, colours: Path) -> None:
    """The second one too, and its thumbnails are those of the same images."""
    client = serve(places=find_targets(str(colours)), folders=[str(colours)], models=("first", "second"))
    answers = [client.post("/v1/search", json={"texts": ["red"], "model": name}).json() for name in ("first", "second")]

    assert answers[0]["queries"] == answers[1]["queries"]
    assert answers[1]["queries"][0]["results"][0]["image"] == "red.png"
    assert [model["search"] for model in client.get("/v1/models").json()["data"]] == [True, True]


def test_names_are_those_within_the_served_folders(serve: Serve, tmp_path: Path) -> None:
    """Of several folders, after the folder's own; a link that leads out of them is not served."""
    for name in ("a/x/red.png", "b/x/red.png", "outside/red.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 24), "red").save(tmp_path / name)
    (tmp_path / "a/out.png").symlink_to(tmp_path / "outside/red.png")
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    client = serve(places=find_targets(folders), folders=folders)
    answer = client.post("/v1/search", json={"texts": ["red"]})
    found = answer.json()["queries"][0]["results"]

    assert sorted(match["image"] for match in found) == ["a/x/red.png", "b/x/red.png"]
    assert [error["path"] for error in answer.json()["errors"]] == ["a/out.png"]
    assert str(tmp_path) not in answer.text
    (tmp_path / "b/x/red.png").unlink()
    (tmp_path / "b/x/red.png").symlink_to(tmp_path / "outside/red.png")
    statuses = {match["image"]: client.get(match["thumbnail"]).status_code for match in found}
    assert statuses == {"a/x/red.png": 200, "b/x/red.png": 404}


def test_answers_are_sent_without_delay() -> None:
    """Connections send what they have at once, rather than when the client has acknowledged what came before."""
    with _open_socket("127.0.0.1", 0) as listening:
        listening.setblocking(True)
        with socket.create_connection(listening.getsockname(), timeout=20):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
