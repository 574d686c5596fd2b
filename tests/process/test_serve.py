"""`clipsim serve` as a process: the numbers of `rank`, alone and under load; what it refuses; how it ends."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from forked_processes import forked_command
from process.programs import CLIPSIM, COLOURS, Program
from vocabularies import write_siglip

httpx = pytest.importorskip("httpx")
pytest.importorskip("uvicorn")
IMAGES = sorted((Path(__file__).parents[2] / "images").glob("*.jpeg"))
MODEL = ["-m", "clipsim-mini"]
LEAVES = "a link that leaves the served folder"
OPTIONS = ["--no-cache", "-q"]


def start(
    *options: str, descriptors: tuple[int, tuple[int, int]] | None = None, env: dict[str, str] = COLOURS
) -> tuple[Program, Any]:
    """A server on a free port, whose model is loaded, and a client of it; `descriptors` limit its open files.

    The model knows colours, unless the environment is another: for what is not about numbers.
    """
    limit = None if descriptors is None else partial(__import__("resource").setrlimit, *descriptors)
    program = Program(
        [*CLIPSIM, "serve", "--port", "0", *MODEL, *OPTIONS, *options], stderr=PIPE, preexec_fn=limit, env=env
    )
    assert program.process.stderr is not None
    address = program.process.stderr.readline().split()[-1].decode()
    client = httpx.Client(base_url=address, timeout=60, limits=httpx.Limits(max_connections=80))
    while client.get("/ready").status_code != 200:
        time.sleep(0.05)
    return program, client


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of one server for all tests of this module."""
    program, client = start(str(IMAGES[0].parent), env={})
    with program, closing(client):
        yield client


@pytest.fixture(scope="module")
def ranked() -> Any:
    """What `clipsim rank --json` prints."""
    arguments = ["rank", *map(str, IMAGES), "-t", "maze", "-t", "cat", "--json", *MODEL, *OPTIONS]
    command = [*forked_command("torch"), *arguments]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=300).stdout)


def rank(client: Any, *paths: Path) -> Any:
    """The answer to a form with these images."""
    files = [("images", (str(path), path.read_bytes())) for path in paths]
    return client.post("/v1/rank", files=files, data={"texts": ["maze", "cat"]})


def check_numbers(answer: Any, column: int, ranked: Any, place: int) -> None:
    """Cosines agree to 1e-6, and so the probabilities, before which cosines are multiplied by about 100, to 1e-4."""
    for name, tolerance in (("similarity", 1e-6), ("probabilities", 1e-4)):
        expected = [row[place] for row in ranked[name]]
        assert [row[column] for row in answer[name]] == pytest.approx(expected, rel=0, abs=tolerance)


def test_all_images_get_what_rank_prints(client: Any, ranked: Any) -> None:
    """The whole record, its cosines to 1e-6."""
    answer = rank(client, *IMAGES).json()

    for place in range(len(IMAGES)):
        check_numbers(answer, place, ranked, place)
    numbers = ("similarity", "probabilities")
    assert {**answer, **{name: ranked[name] for name in numbers}} == ranked


def test_64_clients_at_once_get_the_numbers_of_rank(client: Any, ranked: Any) -> None:
    """Images that share batches with those of others have the numbers that they have alone."""
    wanted = [place % len(IMAGES) for place in range(192)]
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda place: rank(client, IMAGES[place]).json(), wanted))

    for place, answer in zip(wanted, answers, strict=True):
        check_numbers(answer, 0, ranked, place)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"images": ' + b"9" * 10_000 + b"}", 400),
        (b"[]", 400),
        (b'{"images": ["http://127.0.0.1/a.png"], "texts": ["a"]}', 422),
        (b'{"images": ["/etc/passwd"], "texts": ["a"]}', 422),
        (b'{"images": ["data:image/png;base64,AAAA"], "texts": ["a"]}', 422),
        (b'{"images": [], "texts": ["a"]}', 422),
        (b'{"model": "another"}', 404),
        (b'{"model": ["another"]}', 422),
        (b"x" * 33_000_000, 413),
    ],
    ids=lambda value: str(value[:30]) if isinstance(value, bytes) else str(value),
)
def test_what_cannot_be_answered_is_refused(client: Any, content: bytes, status: int) -> None:
    """Each with an error in JSON."""
    answer = client.post("/v1/rank", content=content)

    assert answer.status_code == status
    assert set(answer.json()["error"]) >= {"type", "message"}


def test_an_endless_body_is_refused_while_it_comes(client: Any) -> None:
    """A chunked body has no length that could be checked before."""

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    assert client.post("/v1/rank", content=endless()).status_code == 413


def test_other_hosts_and_origins_are_refused(client: Any) -> None:
    """On loopback too: a page elsewhere could lead a browser here."""
    assert client.get("/", headers={"Host": "example.org"}).status_code == 421
    assert client.post("/v1/rank", headers={"Origin": "http://example.org"}, json={}).status_code == 403


def test_a_false_type_does_not_matter(client: Any, ranked: Any) -> None:
    """The content of a data: URI decides its format."""
    uri = "data:text/plain;base64," + base64.b64encode(IMAGES[0].read_bytes()).decode()
    answer = client.post("/v1/rank", json={"images": [uri], "texts": ["maze", "cat"]}).json()

    check_numbers(answer, 0, ranked, 0)


def test_search_finds_with_thumbnails(client: Any) -> None:
    """By number; there is no way to name a path."""
    found = client.post("/v1/search", json={"texts": ["maze"], "top": 1}).json()["queries"][0]["results"][0]

    assert client.get(found["thumbnail"]).headers["content-type"] == "image/webp"
    assert client.get("/v1/thumbnails/9999").status_code == 404


def test_two_models_a_token_and_sigterm(tmp_path: Path) -> None:
    """Requests without the token are refused; one whose body is still coming at SIGTERM is answered."""
    (tmp_path / "token").write_text("secret\n")
    siglip = str(write_siglip(tmp_path / "siglip"))  # whose tower is timm's, which the first model does without
    program, client = start("--token-file", str(tmp_path / "token"), "-m", siglip, "--engine", "torch", env={})
    with program, closing(client):
        assert client.get("/v1/models").status_code == 401
        models = client.get("/v1/models", headers={"Authorization": "Bearer secret"}).json()["data"]
        assert [(model["id"], model["loaded"]) for model in models] == [("clipsim-mini", True), (siglip, True)]
        assert client.get("/").status_code == 200
        body = b'{"input": "cat"}'
        head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
            time.sleep(0.3)
            program.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(body[5:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        status, _, err = program.finish()

    assert (status, err) == (0, b"clipsim serve: stopped\n")


def peak_memory(program: Program) -> int:
    """The most memory that a process has taken so far, in bytes."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_requests_that_would_be_large_take_no_memory() -> None:
    """140 KB of texts and templates, or of brackets, are refused before anything is built of them."""
    program, client = start()
    uri = "data:image/png;base64," + base64.b64encode(IMAGES[0].read_bytes()).decode()
    with program, closing(client):
        rank(client, IMAGES[0])
        before = peak_memory(program)
        bodies: list[dict[str, Any]] = [
            {"texts": ["x" * 70_000], "templates": ["{}" * 35_000]},
            {"texts": ["x" * 140] * 500, "templates": ["{}" * 70] * 500},
            {"texts": ["x" * 9_000], "templates": ["{}" * 60] * 900},
            {"texts": ["x" * 9_000] * 8, "templates": ["{}" * 4_900] * 7},
        ]
        statuses = [client.post("/v1/rank", json={"images": [uri], **body}).status_code for body in bodies]
        statuses.append(client.post("/v1/rank", content=b'{"texts": [' + b"[]," * 46_000 + b"1]}").status_code)

        assert statuses == [422, 422, 422, 422, 400]
        assert peak_memory(program) - before < 100_000_000


def test_a_signal_stops_and_a_second_one_ends() -> None:
    """With status 0 and a line, once the body that is still coming is answered; or at once by the second signal."""
    for again in (False, True):
        program, client = start()
        with program, closing(client):
            head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n{"
            with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
                connection.sendall(head)
                time.sleep(0.2)
                program.process.send_signal(signal.SIGINT)
                while client_can_connect(client):
                    time.sleep(0.02)
                assert program.process.poll() is None
                if again:
                    program.process.send_signal(signal.SIGINT)
                else:
                    connection.sendall(b'"input": "cat"}')
                    assert connection.recv(100).startswith(b"HTTP/1.1 200")
                status, _, err = program.finish()
        expected = (-signal.SIGINT, b"clipsim: error: interrupted\n") if again else (0, b"clipsim serve: stopped\n")
        assert (status, err) == expected


def client_can_connect(client: Any) -> bool:
    """Whether the server still listens."""
    try:
        socket.create_connection((client.base_url.host, client.base_url.port)).close()
    except OSError:
        return False
    return True


def test_without_descriptors_there_is_one_line() -> None:
    """However many connect; when they have gone, the server answers again."""
    resource = pytest.importorskip("resource")
    program, client = start(descriptors=(resource.RLIMIT_NOFILE, (64, 64)))
    with program, closing(client):
        connections = [socket.socket() for _ in range(400)]
        for connection in connections:
            connection.setblocking(False)
            connection.connect_ex((client.base_url.host, client.base_url.port))
        assert program.process.stderr is not None
        line = program.process.stderr.readline()
        for connection in connections:
            connection.close()
        while True:
            try:
                assert httpx.get(client.base_url.join("/health"), timeout=5).status_code in (200, 503)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        program.process.send_signal(signal.SIGTERM)
        status, _, err = program.finish()

    assert b"descriptor" in line
    assert (status, err) == (0, b"clipsim serve: stopped\n")


def test_images_are_named_from_the_served_folder(tmp_path: Path) -> None:
    """A link that leaves it is named as skipped; no answer says where the folder is."""
    folder = tmp_path / "photos"
    (folder / "one").mkdir(parents=True)
    for name in (folder / "one/maze.jpeg", tmp_path / "outside.jpeg"):
        name.write_bytes(IMAGES[0].read_bytes())
    (folder / "link.jpeg").symlink_to(tmp_path / "outside.jpeg")
    program, client = start(str(folder))
    with program, closing(client):
        answer = client.post("/v1/search", json={"texts": ["maze"]})

    assert [match["image"] for match in answer.json()["queries"][0]["results"]] == ["one/maze.jpeg"]
    errors = answer.json()["errors"]
    assert [(error["path"], error["error"]) for error in errors] == [("link.jpeg", LEAVES)]
    assert str(tmp_path) not in answer.text


def test_a_port_in_use_and_an_open_address_end_with_one_line() -> None:
    """Before a model is loaded; 1 for what cannot be done, 2 for what must not be asked for."""
    command, env = [*CLIPSIM, "serve", *MODEL, *OPTIONS], os.environ | COLOURS
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        busy = subprocess.run([*command, "--port", port], env=env, capture_output=True, timeout=60)
    open_to_all = subprocess.run([*command, "--host", "0.0.0.0"], env=env, capture_output=True, timeout=60)

    assert (busy.returncode, busy.stderr.count(b"\n")) == (1, 1)
    assert (open_to_all.returncode, open_to_all.stderr.count(b"\n")) == (2, 1)
    assert b"--token-file" in open_to_all.stderr
