"""What an operator relies on: ids, the log, counts, probes, deadlines, sockets, prefixes, and an orderly end."""

from __future__ import annotations

import re
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from pictures import saved
from PIL import Image
from skips import needs_unix_sockets

from clipsim.errors import DeviceLostError, ServerError
from clipsim.server.access import Entry, Pace
from clipsim.server.model_thread import ENDED, ModelThread
from clipsim.tasks.search_targets import find_targets

Serve = Callable[..., Any]
RED = saved(Image.new("RGB", (40, 24), "red"), "PNG")
SECRET = {"Authorization": "Bearer secret"}


class Lines(list[Entry]):
    """A log that keeps what it is told."""

    def add(self, entry: Entry) -> bool:
        """Keep it."""
        self.append(entry)
        return True

    def of(self, request_id: str) -> Entry:
        """The entry of a request, once it is there: it comes after the answer."""
        wait_until(lambda: any(entry.request_id == request_id for entry in self))
        return next(entry for entry in self if entry.request_id == request_id)


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait until something is so, which fails after a while."""
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def rank(client: Any, **options: Any) -> Any:
    """The answer for a red image."""
    files = [("images", ("a.png", RED))]
    return client.post("/v1/rank", files=files, data={"texts": ["blue", "red"]}, **options)


@contextmanager
def stalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let the model wait until the end of the block; gives what is set once it does."""
    begun, go = threading.Event(), threading.Event()
    original = FakeEncoder.encode_images

    def wait(self: Any, pixels: Any) -> Any:
        begun.set()
        go.wait(20)
        return original(self, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(FakeEncoder, "encode_images", wait)
        try:
            yield begun
        finally:
            go.set()


def test_every_answer_has_the_id_of_its_request(serve: Serve) -> None:
    """Whatever is answered; one that is not sane is replaced, in answers to what is not HTTP too."""
    client = serve(tokens=("secret",), max_body=1_000)
    for status, path, headers in [
        (200, "/health", {}),
        (200, "/v1/models", SECRET),
        (401, "/v1/models", {}),
        (404, "/unknown", SECRET),
        (405, "/v1/rank", SECRET),
        (421, "/", {"Host": "example.org"}),
        (403, "/", {"Origin": "http://example.org"}),
    ]:
        answer = client.get(path, headers={**headers, "X-Request-Id": f"id-{status}"})
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (status, f"id-{status}")
    answer = client.post("/v1/rank", content=b"x" * 2_000, headers={**SECRET, "X-Request-Id": "too-large"})
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (413, "too-large")
    answer = client.get("/health", headers={"X-Request-Id": "a b<script>"})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])
    with closing(socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)) as connection:
        connection.sendall(b"NOT HTTP\r\n\r\n")
        assert re.search(rb"\r\nX-Request-Id: [0-9a-f]{32}\r\n", connection.recv(10_000))


def test_the_log_says_what_was_asked_for_and_answered(serve: Serve) -> None:
    """By the template of the route; no path and no token is in it."""
    log = Lines()
    client = serve(tokens=("other", "secret"), log=log)
    answer = rank(client, headers={**SECRET, "X-Request-Id": "ranked"})
    client.post("/v1/embeddings", json={"input": ["a", "b"]}, headers={**SECRET, "X-Request-Id": "embedded"})
    client.get("/v1/images/12345?key=hidden", headers={**SECRET, "X-Request-Id": "image"})
    client.get("/hidden/%0Aline?key=hidden", headers={"Authorization": "Bearer hidden", "X-Request-Id": "refused"})

    ranked = log.of("ranked")
    assert (ranked.method, ranked.route, ranked.status, ranked.client) == ("POST", "/v1/rank", 200, "127.0.0.1")
    assert (ranked.model, ranked.images, ranked.texts, ranked.token) == ("clipsim-mini", 1, 2, 2)
    assert (ranked.received, ranked.sent) == (int(answer.request.headers["Content-Length"]), len(answer.content))
    assert (log.of("embedded").images, log.of("embedded").texts, log.of("embedded").error) == (0, 2, None)
    assert (log.of("image").route, log.of("image").error) == ("/v1/images/{number}", "not_found")
    assert (log.of("refused").route, log.of("refused").error) == ("other", "unauthorized")
    assert "hidden" not in repr(log)
    assert "secret" not in repr(log)


def test_refusals_are_counted_under_their_route(serve: Serve) -> None:
    """And every path that there is not under one name; what is refused does not count as time of the route."""
    client = serve(tokens=("secret",))
    client.get("/v1/models")
    client.post("/v1/rank", headers={"Host": "example.org"})
    client.post("/v1/rank", headers={**SECRET, "Origin": "http://example.org"})
    for number in range(50):
        client.get(f"/path-{number}")
        client.get(f"/v1/images/{number}", headers=SECRET)
    rank(client, headers=SECRET)
    ranked = 'clipsim_requests_total{route="/v1/rank",status="200"} 1.0\n'
    wait_until(lambda: ranked in client.get("/metrics", headers=SECRET).text)  # it is counted once it is sent
    text = client.get("/metrics", headers=SECRET).text

    for route, status, count in [
        ("/v1/models", 401, 1),
        ("/v1/rank", 421, 1),
        ("/v1/rank", 403, 1),
        ("/v1/rank", 200, 1),
        ("/v1/images/{number}", 404, 50),
        ("other", 401, 50),
    ]:
        assert f'clipsim_requests_total{{route="{route}",status="{status}"}} {count}.0\n' in text
    assert 'clipsim_request_seconds_count{route="/v1/rank"} 1.0\n' in text
    assert "path-" not in text


def test_time_in_the_queue_and_in_the_model_is_counted(serve: Serve) -> None:
    """Once for each piece of work: the texts of a request, and its images."""
    client = serve()
    rank(client)
    text = client.get("/metrics").text

    assert "clipsim_queue_seconds_count 2.0\n" in text
    assert "clipsim_model_seconds_count 2.0\n" in text


def test_probes_by_an_address_are_answered_where_a_token_guards(serve: Serve) -> None:
    """Kubernetes names a server by the address of its pod; without a token a page elsewhere could be led here."""
    guarded, bare = serve(tokens=("secret",)), serve()
    headers = {"Host": "10.1.2.3:8080"}
    statuses = [guarded.get(path, headers=headers).status_code for path in ("/health", "/ready", "/metrics", "/")]

    assert statuses == [200, 200, 401, 421]
    assert guarded.get("/metrics", headers={**headers, **SECRET}).status_code == 200
    assert guarded.get("/v1/models", headers={**headers, **SECRET}).status_code == 421
    assert bare.get("/health", headers=headers).status_code == 421


def test_a_request_that_takes_too_long_is_answered_504(
    serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its work goes with it, as that of a client that goes away."""
    client = serve(request_seconds=0.3)
    (encoder,) = machine.encoders
    encoder.image_batches.clear()
    with stalled(monkeypatch), ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: rank(client), range(3)))
    assert [answer.status_code for answer in answers] == [504] * 3
    assert answers[0].json()["error"]["type"] == "deadline"
    wait_until(lambda: rank(client).status_code == 200)
    assert sum(encoder.image_batches) <= 1 + 3


def test_retry_after_is_how_long_the_queue_takes(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the rate at which requests were answered of late."""
    counted: list[int] = []

    def seconds_for(_: Pace, requests: int) -> int:
        counted.append(requests)
        return 17

    monkeypatch.setattr(Pace, "seconds_for", seconds_for)
    client = serve(queue=2)
    with stalled(monkeypatch) as begun, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(rank, client) for _ in range(2)]
        assert begun.wait(20)
        wait_until(lambda: "clipsim_accepted_requests 2.0" in client.get("/metrics").text)
        refused = rank(client)

    assert (refused.status_code, refused.headers["Retry-After"], counted) == (429, "17", [2])
    assert [future.result().status_code for future in waiting] == [200, 200]


@pytest.mark.parametrize("prefix", ["", "/clip"])
def test_under_a_prefix_everything_is_there(serve: Serve, colours: Path, prefix: str) -> None:
    """Whether the proxy passes it on or takes it away; links have it."""
    client = serve(places=find_targets(str(colours)), folders=[str(colours)], root_path="/clip")
    client.base_url = client.base_url.join("/")
    answer = client.post(f"{prefix}/v1/search", json={"texts": ["red"], "top": 1})
    match = answer.json()["queries"][0]["results"][0]

    assert re.fullmatch(r"/clip/v1/thumbnails/\d+", match["thumbnail"])
    for link in (match["thumbnail"], match["file"]):
        assert client.get(link).status_code == 200
    assert client.get(f"{prefix}/openapi.json").json()["servers"] == [{"url": "/clip"}]
    assert 'href="/' not in client.get(f"{prefix}/docs").text
    assert not re.search(r'(src|href)="/', client.get(f"{prefix}/").text)
    assert client.get("/clip").headers["Location"] == "/clip/"
    assert client.get("/clipped/health").status_code == 404
    assert 'route="/v1/search",status="200"' in client.get("/metrics").text


def test_tokens_are_replaced_while_it_runs(serve: Serve) -> None:
    """What was begun is answered; from then on the new ones count."""
    client = serve(tokens=("secret",))
    before = client.get("/v1/models", headers=SECRET).status_code
    client.service.tokens.replace(["new", "next"])
    after = [client.get("/v1/models", headers={"Authorization": f"Bearer {t}"}).status_code for t in ("secret", "next")]

    assert (before, after) == (200, [401, 200])


def test_folders_are_looked_at_at_once_on_request(serve: Serve, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pause is."""
    monkeypatch.setattr("clipsim.server.following.SCAN_SECONDS", 3_600.0)
    client = serve(places=find_targets(str(colours)), folders=[str(colours)])
    before = client.get("/v1/models").json()["search"]["images"]
    (colours / "another.png").write_bytes(RED)
    client.server.look_again()

    wait_until(lambda: client.get("/v1/models").json()["search"]["images"] == before + 1)


@needs_unix_sockets
def test_a_unix_socket_is_for_its_owner_and_group(serve: Serve, tmp_path: Path) -> None:
    """One that a dead server has left is replaced; it is removed at the end."""
    path = tmp_path / "socket"
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))
    log = Lines()
    client = serve(unix_socket=str(path), log=log)

    assert rank(client, headers={"X-Request-Id": "here"}).json()["best"] == [1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert log.of("here").client == "unix"
    assert client.get("/", headers={"Host": "example.org"}).status_code == 421
    client.server.stop()
    client.thread.join(20)
    assert not path.exists()


@needs_unix_sockets
def test_a_unix_socket_in_use_is_left_alone(serve: Serve, tmp_path: Path) -> None:
    """So are other files; a path that is too long is named."""
    client = serve(unix_socket=str(tmp_path / "live"))
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ServerError, match="another server"):
        serve(unix_socket=str(tmp_path / "live"))
    with pytest.raises(ServerError, match="not a socket"):
        serve(unix_socket=str(tmp_path / "file"))
    with pytest.raises(ServerError, match="has at most"):
        serve(unix_socket=str(tmp_path / ("x" * 200)))
    with pytest.raises(ServerError, match="No such file"):
        serve(unix_socket=str(tmp_path / "missing" / "socket"))

    assert (tmp_path / "file").read_text() == "kept"
    assert client.get("/health").status_code == 200


@needs_unix_sockets
def test_a_socket_that_another_server_has_replaced_stays(serve: Serve, tmp_path: Path) -> None:
    """A server removes its own alone."""
    path = tmp_path / "socket"
    client = serve(unix_socket=str(path))
    path.unlink()
    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind(str(path))
        client.server.stop()
        client.thread.join(20)
    assert path.exists()


def test_what_is_not_answered_in_time_to_end_is_told_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 503, also where its body is still coming; and the operator is told how many."""
    client = serve(drain_seconds=0.2)
    with stalled(monkeypatch) as begun, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(rank, client)
        assert begun.wait(20)
        with closing(socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)) as slow:
            slow.sendall(b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            wait_until(lambda: "clipsim_accepted_requests 2.0" in client.get("/metrics").text)
            client.server.stop()
            answer = waiting.result()
            assert slow.recv(20).startswith(b"HTTP/1.1 503 ")
    client.thread.join(20)

    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "ending")
    assert client.notices == ["2 requests not answered within the time to end"]
    assert client.failures == []


def fail_when_settling(self: ModelThread, jobs: Any, outcomes: Any) -> None:
    """An error with answers at hand; the one that says that the thread has ended is passed on."""
    if jobs and not isinstance(outcomes[0], ServerError):
        raise MemoryError
    SETTLE(self, jobs, outcomes)


def fail_when_taking(self: ModelThread) -> Any:
    """An error with work at hand."""
    if TAKE(self):
        raise MemoryError
    return []


SETTLE, TAKE = ModelThread._settle, ModelThread._take


@pytest.mark.parametrize(("name", "fail"), [("_settle", fail_when_settling), ("_take", fail_when_taking)])
def test_a_model_thread_that_ends_ends_the_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str, fail: Any
) -> None:
    """Nobody waits for ever: what it was given is answered 503, and the process can be started again."""
    monkeypatch.setattr(ModelThread, name, fail)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    client = serve()
    answer = rank(client)
    client.thread.join(20)

    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "unavailable")
    assert [str(error) for error in client.failures] == [ENDED]


def test_a_gpu_that_fails_ends_the_server(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would answer every further request with the same error."""

    def fail(self: Any, *_: object, **__: object) -> Any:
        raise DeviceLostError("the GPU has failed")

    monkeypatch.setattr(ModelThread, "_encode_images", fail)
    client = serve()
    answer = rank(client)
    client.thread.join(20)

    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "the GPU has failed")
    assert [str(error) for error in client.failures] == [ENDED]


def test_health_is_bad_without_a_model(serve: Serve) -> None:
    """So that who watches the process starts another."""
    client = serve()
    (model,) = client.service.models.values()
    model._running[1].close()

    assert client.get("/health").status_code == 503
    assert rank(client).status_code == 503


def test_nothing_is_left_to_others_in_the_folder_of_a_socket(serve: Serve, tmp_path: Path) -> None:
    """The socket is all that is made."""
    serve(unix_socket=str(tmp_path / "socket"))

    assert [path.name for path in tmp_path.iterdir()] == ["socket"]
