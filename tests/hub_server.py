"""A small Hugging Face hub on the loopback, which can fail on request, and clipsim run against it in a process."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

from conftest import HOMES
from forked_processes import forked_command

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_FILES = (".safetensors", ".bin", ".pt")  # those that the Hub keeps elsewhere and redirects to
CLOSED_PORT = "http://127.0.0.1:9"  # discard: nothing listens there


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Fault:
    """What the hub does wrong with one path, `times` times.

    status      answer this instead, with `code` as the Hub's own word for it
    cut_after   send so many bytes of the body, then end the connection: cleanly, or with a reset
    delay       wait so many seconds before the answer
    """

    status: int | None = None
    code: str | None = None
    cut_after: int | None = None
    reset: bool = False
    delay: float = 0.0
    times: int = 1_000_000


@dataclass
class FakeHub:
    """Repositories by name, with their files; faults by the end of a path; the requests in their order.

    A repository has a main branch, and others as `NAME@REVISION`.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)  # what is announced in place of a file's true SHA-256

    def __enter__(self) -> FakeHub:
        self.server = _Server(self)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT must be."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def bodies(self) -> list[Request]:
        """The requests for a file's content, redirections aside."""
        return [request for request in self.requests if request.method == "GET" and request.path.startswith("/store/")]

    def take_fault(self, path: str) -> Fault:
        """The fault that this request is to suffer."""
        for end, fault in self.faults.items():
            if path.endswith(end) and fault.times > 0:
                fault.times -= 1
                return fault
        return Fault()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> FakeHub:
        return cast(_Server, self.server).hub

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        raw = urlsplit(self.path).path  # in which the slash of a revision is escaped
        path = unquote(raw)
        asked = Request(self.command, path, self.headers.get("Range"), self.headers.get("Authorization"))
        self.hub.requests.append(asked)
        if match := re.fullmatch(r"/api/models/(.+?)/tree/([^/]+)", raw):
            self.send_tree(self.at(match[1], match[2]))
        elif match := re.fullmatch(r"/api/models/(.+?)(?:/revision/([^/]+))?", raw):
            self.send_facts(self.at(match[1], match[2] or "main"))
        elif match := re.fullmatch(r"/(store/)?(.+?)/resolve/([^/]+)/(.+)", raw):
            self.send_content(self.at(match[2], match[3]), unquote(match[4]), path, stored=match[1] is not None)
        else:
            self.send_error_code(404, "NotFound")

    def at(self, repository: str, revision: str) -> str:
        """The name of a repository's files at a revision, which may be the hash of its commit."""
        repository, revision = unquote(repository), unquote(revision)
        if revision in ("main", COMMIT):
            return repository
        names = (name for name in self.hub.repositories if name.startswith(f"{repository}@"))
        return next((name for name in names if commit_of(name) == revision), f"{repository}@{revision}")

    def send_facts(self, repository: str) -> None:
        files = self.hub.repositories.get(repository)
        if files is None:
            self.refuse(repository)
            return
        self.send_json(
            {
                "id": repository.partition("@")[0],
                "modelId": repository.partition("@")[0],
                "sha": commit_of(repository),
                "siblings": [{"rfilename": name} for name in files],
            }
        )

    def refuse(self, repository: str) -> None:
        """As the Hub does for a repository, so as not to tell what is private, and for a revision of one."""
        if repository.partition("@")[0] in self.hub.repositories:
            self.send_error_code(404, "RevisionNotFound")
        else:
            self.send_error_code(401, "RepoNotFound")

    def send_tree(self, repository: str) -> None:
        files = self.hub.repositories[repository]
        self.send_json([{"type": "file", "path": n, "size": len(b), "oid": git_hash(b)} for n, b in files.items()])

    def send_content(self, repository: str, name: str, path: str, *, stored: bool) -> None:
        fault = self.hub.take_fault(path)
        time.sleep(fault.delay)
        files = self.hub.repositories.get(repository)
        if fault.status is not None:
            self.send_error_code(fault.status, fault.code)
        elif files is None:
            self.refuse(repository)
        elif name not in files:
            self.send_error_code(404, "EntryNotFound")
        elif name.endswith(LARGE_FILES) and not stored:
            self.redirect_to_store(files[name], name, repository)
        else:
            self.send_body(files[name], fault, commit_of(repository))

    def redirect_to_store(self, body: bytes, name: str, repository: str) -> None:
        """Send the client to another host, as the Hub does for large files."""
        self.send_response(302)
        store = f"http://localhost:{cast(_Server, self.server).server_port}/store"
        project, _, revision = repository.partition("@")
        self.send_header("Location", f"{store}/{project}/resolve/{quote(revision or 'main', safe='')}/{quote(name)}")
        self.send_header("X-Repo-Commit", commit_of(repository))
        self.send_header("X-Linked-Etag", f'"{self.hub.hashes.get(name) or hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(body)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_body(self, body: bytes, fault: Fault, commit: str) -> None:
        start = 0
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(match[1])
        if start >= len(body) > 0:
            self.send_error_code(416, None)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{git_hash(body)}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.cut_after is None:
            self.wfile.write(body[start:])
            return
        self.wfile.write(body[start : start + fault.cut_after])
        self.break_connection(reset=fault.reset)

    def break_connection(self, *, reset: bool) -> None:
        self.close_connection = True
        time.sleep(0.3)  # until the client has what was sent; a reset would overtake it
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.wfile.close()
            self.connection.close()

    def send_error_code(self, status: int, code: str | None) -> None:
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_json(self, data: Any) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def commit_of(repository: str) -> str:
    """The hash of the commit of a repository's main branch, or of another revision of it."""
    return hashlib.sha1(repository.encode()).hexdigest() if "@" in repository else COMMIT


def git_hash(body: bytes) -> str:
    """The Git hash of a file, which is the etag of a small one."""
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def clean_environment(home: Path, endpoint: str = CLOSED_PORT, **settings: str) -> dict[str, str]:
    """The environment of a user who has nothing but `home` and can reach nothing but `endpoint`."""
    strange = re.compile(r"HF_|HUGGING|TRANSFORMERS_|CLIPSIM_|XDG_|COLUMNS|LINES|.*_proxy$", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not strange.match(name)}
    own = dict.fromkeys(HOMES, str(home)) | {"XDG_CONFIG_HOME": str(home / "config"), "HF_HOME": str(home / "hf")}
    return kept | own | {"HF_ENDPOINT": endpoint, "PYTHONWARNINGS": "error::ResourceWarning"} | settings


def run_clipsim(
    *arguments: str,
    home: Path,
    endpoint: str = CLOSED_PORT,
    preloaded: Sequence[str] = (),
    **settings: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, forked."""
    return subprocess.run(
        [*forked_command(*preloaded), *arguments],
        env=clean_environment(home, endpoint, **settings),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
