"""What `deploy/` has: nginx with TLS and a prefix before the Unix socket of a server; the options that files name."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import pytest
from process.programs import CLIPSIM, COLOURS, Program

from clipsim.cli.app import command_line

httpx = pytest.importorskip("httpx")
pytest.importorskip("uvicorn")
ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
IMAGES = sorted((ROOT / "images").glob("*.jpeg"))
TOKEN = {"Authorization": "Bearer open-sesame"}
needs_nginx = pytest.mark.skipif(
    not shutil.which("nginx") or not shutil.which("openssl"), reason="needs nginx, openssl"
)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def write_nginx_conf(folder: Path, port: int, upstream: str) -> Path:
    """`deploy/nginx.conf` with this folder's certificate and temporary files, another port and another server."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "site.key"), "-out", str(folder / "site.crt")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in [
        ("/tmp/", f"{folder}/"),
        ("/etc/nginx/certificates", str(folder)),
        ("listen 8443", f"listen 127.0.0.1:{port}"),
        ("server clipsim:8080;", f"server {upstream};"),
        ("/dev/stdout", str(folder / "access.log")),
    ]:
        assert old in text
        text = text.replace(old, new)
    conf = folder / "nginx.conf"
    conf.write_text(text)
    return conf


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of nginx, behind which a server listens on a Unix socket; `client.log` is the server's."""
    folder = tmp_path_factory.mktemp("deploy")
    (folder / "tokens").write_text("another\nopen-sesame\n")
    path = tmp_path_factory.mktemp("s") / "socket"
    options = ["--unix-socket", str(path), "--root-path", "/clip", "--token-file", str(folder / "tokens")]
    options += ["--log-format", "text", "-m", "clipsim-mini", "--no-cache", "-q"]
    port = free_port()
    conf = write_nginx_conf(folder, port, f"unix:{path}")
    subprocess.run(["nginx", "-t", "-c", str(conf)], check=True, capture_output=True)
    with (folder / "log").open("wb") as log:
        server = Program([*CLIPSIM, "serve", str(IMAGES[0].parent), *options], stderr=log, env=COLOURS)
        nginx = Program(["nginx", "-c", str(conf), "-g", "daemon off; user root;"], stderr=DEVNULL)
        context = ssl.create_default_context(cafile=str(folder / "site.crt"))
        with server, nginx, httpx.Client(base_url=f"https://localhost:{port}/", verify=context, timeout=60) as client:
            client.log = folder / "log"
            wait_until_ready(client)
            yield client


def wait_until_ready(client: Any) -> None:
    """Wait for nginx, and for the server behind it."""
    end = time.monotonic() + 120
    while True:
        try:
            if client.get("clip/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.1)


@needs_nginx
def test_everything_is_there_behind_a_proxy(client: Any) -> None:
    """The page and its files, rank, search with its links, and counts; by relative addresses or with the prefix."""
    page = client.get("clip/")
    assert (page.status_code, client.get("clip").headers["Location"]) == (200, "/clip/")
    for name in re.findall(r'(?:src|href)="([^":#]+)"', page.text):
        assert client.get(f"clip/{name}").status_code == 200, name
    origin = {**TOKEN, "Origin": str(client.base_url).rstrip("/")}
    files = [("images", (path.name, path.read_bytes())) for path in IMAGES]
    ranked = client.post("clip/v1/rank", files=files, data={"texts": ["red", "blue"]}, headers=origin)
    assert (ranked.status_code, len(ranked.json()["images"])) == (200, len(IMAGES))
    found = client.post("clip/v1/search", json={"texts": ["red"], "top": 2}, headers=origin).json()
    for match in found["queries"][0]["results"]:
        assert client.get(match["thumbnail"], headers=TOKEN).headers["Content-Type"] == "image/webp"
        assert client.get(match["file"], headers=TOKEN).headers["Content-Type"] == "image/jpeg"
    assert 'clipsim_requests_total{route="/v1/rank",status="200"}' in client.get("clip/metrics", headers=TOKEN).text
    assert client.get("clip/openapi.json").json()["servers"] == [{"url": "/clip"}]
    assert 'href="openapi.json"' in client.get("clip/docs").text


@needs_nginx
def test_what_is_refused_is_refused_behind_a_proxy_too(client: Any) -> None:
    """With the server's own errors; another site's page may not call."""
    assert client.post("clip/v1/rank", json={}).status_code == 401
    assert client.post("clip/v1/rank", json={}, headers={**TOKEN, "Origin": "https://localhost"}).status_code == 403
    assert client.get("clip/", headers={"Host": "example.org"}).status_code == 421
    assert client.get("clip/health", headers={"Host": "10.1.2.3"}).status_code == 200
    large = client.post("clip/v1/rank", content=b"x" * 33_000_000, headers=TOKEN)
    assert (large.status_code, large.json()["error"]["type"]) == (413, "too_large")
    assert client.get("/").status_code == 404


@needs_nginx
def test_the_log_has_the_ids_of_the_proxy_and_the_clients_behind_it(client: Any) -> None:
    """Not those that a client makes up."""
    answer = client.get("clip/v1/models", headers={**TOKEN, "X-Request-Id": "mine", "X-Forwarded-For": "10.9.9.9"})
    request_id = answer.headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    end = time.monotonic() + 20
    while request_id not in (log := client.log.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    line = next(line for line in log.splitlines() if request_id in line)

    assert " 127.0.0.1 GET /v1/models 200 " in line
    assert line.endswith(" token=2")
    assert "open-sesame" not in log


def serve_options() -> set[str]:
    """The options of `clipsim serve`."""
    return {name for parameter in command_line().commands["serve"].params for name in parameter.opts}


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "clipsim.service", "nginx.conf"])
def test_the_options_that_are_named_exist(name: str) -> None:
    """Those of other programs are left out."""
    lines = [line for line in (DEPLOY / name).read_text().splitlines() if re.search("serve|^ +- --|ENTRYPOINT", line)]
    named = {option for line in lines for option in re.findall(r"(?<![\w-])--[a-z-]+", line)}

    assert named
    assert named <= serve_options()


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    """A file that is moved breaks the build, which no test runs."""
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()]
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_is_one(tmp_path: Path) -> None:
    """As systemd reads it, with a program that there is here."""
    unit = tmp_path / "clipsim.service"
    text = (DEPLOY / "clipsim.service").read_text()
    unit.write_text(text.replace("/opt/clipsim/bin/clipsim", shlex.quote(sys.executable)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
