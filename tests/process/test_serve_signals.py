"""`clipsim serve` as a process that an operator runs: SIGHUP, a closed terminal, a full disk, tokens, the log."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest
from process.programs import CLIPSIM, COLOURS, Program

httpx = pytest.importorskip("httpx")
pytest.importorskip("uvicorn")
pty = pytest.importorskip("pty", reason="needs the terminals of POSIX")
IMAGES = sorted((Path(__file__).parents[2] / "images").glob("*.jpeg"))
OPTIONS = ["-m", "clipsim-mini", "--no-cache"]


class Lines:
    """What a process writes to a stream, line by line, as it comes."""

    def __init__(self, descriptor: int) -> None:
        self.lines: list[str] = []
        self._stream = os.fdopen(descriptor, "rb", closefd=False)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self._stream:
                self.lines.append(line.decode())
        except OSError:  # a terminal whose other end is closed
            return

    def wait_for(self, part: str) -> str:
        """The first line that has a part, once it is there."""
        end = time.monotonic() + 120
        while True:
            for line in list(self.lines):
                if part in line:
                    return line
            assert time.monotonic() < end, (part, self.lines)
            time.sleep(0.02)


def wait_until_ready(address: str) -> None:
    """Wait until the models of a server are loaded."""
    end = time.monotonic() + 120
    while True:
        try:
            if httpx.get(f"{address}ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def serving(*options: str) -> Iterator[tuple[Program, str, Lines]]:
    """A server whose model is loaded, its address, and what it writes to standard error."""
    command = [*CLIPSIM, "serve", "--port", "0", *OPTIONS, *options]
    with Program(command, stdout=PIPE, stderr=PIPE, env=COLOURS) as program:
        assert program.process.stderr is not None
        lines = Lines(program.process.stderr.fileno())
        address = lines.wait_for("http://").split()[-1].strip('"}')
        wait_until_ready(address)
        yield program, address, lines


def test_sighup_reads_tokens_and_folders_again_and_drops_nothing(tmp_path: Path) -> None:
    """A token file that cannot be used leaves the old tokens; standard output stays empty."""
    tokens, folder = tmp_path / "tokens", tmp_path / "images"
    tokens.write_text("old\n")
    folder.mkdir()
    (folder / "one.jpeg").write_bytes(IMAGES[0].read_bytes())
    with serving("--token-file", str(tokens), str(folder)) as (program, address, lines):

        def status_of(token: str) -> int:
            return int(httpx.get(f"{address}v1/models", headers={"Authorization": f"Bearer {token}"}).status_code)

        url = httpx.URL(address)
        head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer old\r\n"
        with closing(socket.create_connection((url.host, url.port), timeout=60)) as begun:
            begun.sendall(head + b'Content-Length: 14\r\n\r\n{"inp')
            old = {"Authorization": "Bearer old"}
            while "clipsim_accepted_requests 1.0" not in httpx.get(f"{address}metrics", headers=old).text:
                time.sleep(0.02)
            tokens.write_bytes(b"\xef\xbb\xbf\r\nnew\r\n\r\nnext\r\n")
            program.process.send_signal(signal.SIGHUP)
            lines.wait_for("reloaded: 2 tokens")
            assert (status_of("old"), status_of("new"), status_of("next")) == (401, 200, 200)
            begun.sendall(b'ut": "a"}')
            assert begun.recv(20).startswith(b"HTTP/1.1 200")
        for content, cause in ((b"\n\n", "no token"), (b"good\nb\x00d\n", "line 2"), (b"\xff\xfe", "not UTF-8")):
            tokens.write_bytes(content)
            program.process.send_signal(signal.SIGHUP)
            assert "the tokens stay as they were" in lines.wait_for(cause)
        tokens.unlink()
        program.process.send_signal(signal.SIGHUP)
        assert "the tokens stay as they were" in lines.wait_for("No such file")
        assert (status_of("old"), status_of("new")) == (401, 200)
        program.process.terminate()
        lines.wait_for("stopped")
        assert program.process.stdout is not None
        assert (program.process.wait(), program.process.stdout.read()) == (0, b"")


def test_sighup_while_the_server_starts_reads_the_tokens_once_it_listens(tmp_path: Path) -> None:
    """The start waits for a token file that is a pipe: the signal comes before the server is there."""
    tokens = tmp_path / "tokens"
    os.mkfifo(tokens)
    command = [*CLIPSIM, "serve", "--port", "0", *OPTIONS, "--token-file", str(tokens)]
    with Program(command, stdout=PIPE, stderr=PIPE, env=COLOURS) as program:
        assert program.process.stderr is not None
        lines = Lines(program.process.stderr.fileno())
        with tokens.open("w") as file:  # opens once the server reads it
            program.process.send_signal(signal.SIGHUP)
            file.write("old\n")
        while not any("http://" in line for line in list(lines.lines)):
            assert program.process.poll() is None, lines.lines
            time.sleep(0.02)
        address = lines.wait_for("http://").split()[-1]
        with tokens.open("w") as file:
            file.write("new\n")
        lines.wait_for("reloaded: 1 token")

        assert [
            httpx.get(f"{address}v1/models", headers={"Authorization": f"Bearer {token}"}).status_code
            for token in ("old", "new")
        ] == [401, 200]


def test_every_line_of_a_json_log_is_an_object() -> None:
    """Those of requests, and those of the server, from its address to its end."""
    with serving("--log-format", "json", str(IMAGES[0].parent)) as (program, address, lines):
        httpx.get(f"{address}v1/models?secret", headers={"X-Request-Id": "mine"})
        lines.wait_for("mine")
        program.process.terminate()
        lines.wait_for("stopped")
    objects = [json.loads(line) for line in lines.lines]
    (entry,) = [one for one in objects if one.get("request_id") == "mine"]
    own = [one["message"] for one in objects if "message" in one]

    assert (entry["method"], entry["route"], entry["status"]) == ("GET", "/v1/models", 200)
    assert own == [address, f"{len(IMAGES)} images to search, 0 skipped", "stopped"]
    assert "secret" not in json.dumps(objects)


def test_a_quiet_server_logs_requests_only_where_it_is_told_to() -> None:
    """Its address and its end are there all the same."""
    with serving("-q") as (program, address, lines):
        program.process.terminate()
        lines.wait_for("stopped")
        assert [line.split()[-1] for line in lines.lines] == [address, "stopped"]
    with serving("-q", "--log-format", "text") as (_, address, lines):
        httpx.get(f"{address}health", headers={"X-Request-Id": "mine"})
        assert "GET /health 200" in lines.wait_for("mine")


def test_a_terminal_that_is_closed_ends_the_server() -> None:
    """As SIGTERM does, with what was begun answered: there is nobody to stop it any more."""
    leader, end = pty.openpty()
    with Program([*CLIPSIM, "serve", "--port", "0", *OPTIONS, "-q"], stderr=end, stdin=DEVNULL, env=COLOURS) as program:
        os.close(end)
        written = b""
        while b"\n" not in written:  # not in a thread, which would keep the terminal open
            written += os.read(leader, 1_000)
        wait_until_ready(written.split()[-1].decode())
        os.close(leader)
        program.process.send_signal(signal.SIGHUP)

        assert program.process.wait(60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_loses_lines_and_no_answer() -> None:
    """Standard error is a file that cannot grow."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [*CLIPSIM, "serve", "--port", str(port), *OPTIONS, "--log-format", "text"]
    with Path("/dev/full").open("wb") as full, Program(command, stderr=full, env=COLOURS) as program:
        address = f"http://127.0.0.1:{port}/"
        wait_until_ready(address)
        statuses = [httpx.post(f"{address}v1/embeddings", json={"input": "red"}).status_code for _ in range(20)]
        program.process.terminate()

        assert statuses == [200] * 20
        assert program.process.wait(60) == 0


def test_a_token_of_the_environment_counts_where_no_file_is_named(tmp_path: Path) -> None:
    """A file goes first; an unusable one is refused before a model is loaded, without its text."""
    command = [*CLIPSIM, "serve", "--port", "0", "--host", "0.0.0.0", *OPTIONS]
    env = os.environ | COLOURS | {"CLIPSIM_TOKEN": "from-environment"}
    with Program([*command, "-q"], stderr=PIPE, env=env) as program:
        assert program.process.stderr is not None
        address = program.process.stderr.readline().decode().split()[-1].replace("0.0.0.0", "127.0.0.1")
        headers = {"Authorization": "Bearer from-environment"}
        assert httpx.get(f"{address}v1/models", headers=headers).status_code == 200
        assert httpx.get(f"{address}v1/models").status_code == 401
        assert httpx.get(f"{address}health", headers={"Host": "10.0.0.9"}).status_code == 200
    (tmp_path / "tokens").write_text("bad-\x07-token")
    refused = subprocess.run(
        [*command, "--token-file", str(tmp_path / "tokens")], env=env, capture_output=True, timeout=60
    )
    assert (refused.returncode, refused.stderr.count(b"\n")) == (2, 1)
    assert b"line 1" in refused.stderr
    assert b"-token" not in refused.stderr.replace(b"token-file", b"")


def test_a_log_that_nobody_reads_holds_up_neither_answers_nor_the_end() -> None:
    """More lines than a pipe takes, then SIGTERM."""
    command = [*CLIPSIM, "serve", "--port", "0", *OPTIONS, "--log-format", "text"]
    with Program(command, stderr=PIPE, env=COLOURS) as program:
        assert program.process.stderr is not None
        address = program.process.stderr.raw.read(200).split()[-1].decode()  # type: ignore[attr-defined]
        wait_until_ready(address)
        with httpx.Client() as client:
            statuses = {client.get(f"{address}health").status_code for _ in range(1_000)}
        program.process.terminate()

        assert statuses == {200}
        assert program.process.wait(60) == 0
        # a pipe has 16 pages of 4,096 bytes; a write that does not fit behind the last one begins a page
        assert len(program.process.stderr.read()) > 30_000
