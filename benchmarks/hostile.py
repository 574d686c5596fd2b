"""`clipsim serve` under 64 clients of which some vanish, are slow or are hostile → what the others get, and when.

`python -m benchmarks.hostile [--seconds N] [--clients N] [--calm] [--images DIR]`. Of the clients, 10 % vanish in the
middle of a request or of its answer, 5 % send and read slowly, 5 % send what no client should, unless `--calm`. The
others rank, embed and search one request after the other; each answer is held against the one that the request got
alone. Counted are wrong answers, those that did not come, and those of each status; the median and the 95th percentile
of the seconds until an answer; and the server's memory, at most, in the first minute and after it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.serve import make_form, resident

TOLERANCE = {"similarity": 1e-6, "embedding": 1e-6, "probabilities": 1e-4}
TEXTS = ("maze", "cat", "a red circle", "a blue square", "a tree", "stairs", "a clock", "a fish")
WARM_UP_SECONDS = 60
ENDLESS = b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
HOSTILE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\n\r\n",
    b"GET /v1/images/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: evil.example\r\nX-Request-Id: a\x0bb\r\n\r\n",
    b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 1_000,
    ENDLESS + b"1\r\n \r\n" * 3_000,
    ENDLESS + b"100000\r\n" + b"x" * 1_048_576 + b"\r\n100000\r\n" + b"[" * 1_048_576,
    b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000,
    b'POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\n\r\n{"images":["file:///etc/passwd"],"texts":["a"],"templates":1}',
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500,
]


class Exchange:
    """A kind of request: the bytes of it, and the answer that it gets alone."""

    def __init__(self, name: str, path: str, kind: str, body: bytes) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.name, self.path, self.sent = name, path, head.encode() + body
        self.expected: Any = None


class Connection:
    """A connection that sends requests one after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The streams, opened where they are not."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    def close(self, *, reset: bool = False) -> None:
        """Close it, so that the next request opens another; with `reset`, as a machine that goes away."""
        if self._streams is not None:
            if reset:
                opened = self._streams[1].get_extra_info("socket")
                with suppress(OSError):
                    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._streams[1].close()
            self._streams = None

    async def exchange(self, sent: bytes, *, pause: float = 0.0) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers and body; with a pause, what is sent and read comes in 20 pieces."""
        reader, writer = await self.open()
        step = max(1, len(sent) // 20) if pause else len(sent)
        for start in range(0, len(sent), step):
            writer.write(sent[start : start + step])
            await writer.drain()
            await asyncio.sleep(pause)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        length = int(headers[b"content-length"])
        body = b""
        while len(body) < length:
            size = min(length - len(body), max(1, length // 20)) if pause else length - len(body)
            body += await reader.readexactly(size)
            await asyncio.sleep(pause)
        if headers.get(b"connection") == b"close":
            self.close()
        return int(lines[0].split()[1]), headers, body


class Load:
    """What the clients have seen."""

    def __init__(self, port: int, exchanges: Sequence[Exchange], end: float) -> None:
        self.port, self.exchanges, self.end = port, exchanges, end
        self.statuses: dict[str, Counter[str]] = {name: Counter() for name in ("good", "slow", "vanishing", "hostile")}
        self.seconds: dict[str, list[float]] = {exchange.name: [] for exchange in exchanges}
        self.wrong: list[str] = []
        self.lost: list[str] = []

    async def run_good(self, seed: int) -> None:
        """Requests one after the other, each of which is answered rightly, or told when to come again."""
        await self._ask(seed, "good", 0.0)

    async def run_slow(self, seed: int) -> None:
        """The same, in pieces, over seconds."""
        await self._ask(seed, "slow", 0.1)

    async def _ask(self, seed: int, name: str, pause: float) -> None:
        choice, connection = random.Random(seed), Connection(self.port)
        while time.monotonic() < self.end:
            exchange = choice.choice(self.exchanges)
            begun = time.monotonic()
            try:
                status, headers, body = await asyncio.wait_for(connection.exchange(exchange.sent, pause=pause), 120)
            except (OSError, EOFError, asyncio.TimeoutError) as error:
                self.lost.append(f"{name} {exchange.path}: {error!r}")
                connection.close()
                continue
            self.statuses[name][str(status)] += 1
            if status == 429:
                await asyncio.sleep(min(2.0, float(headers[b"retry-after"])))
            elif status != 200:
                self.lost.append(f"{name} {exchange.path}: {status} {body[:200]!r}")
            else:
                if not pause:
                    self.seconds[exchange.name].append(time.monotonic() - begun)
                if not agrees(json.loads(body), exchange.expected):
                    self.wrong.append(f"{name} {exchange.path}: {body[:200]!r}")

    async def run_vanishing(self, seed: int) -> None:
        """Close in the middle of the request, after it, or in the middle of the answer."""
        choice = random.Random(seed)
        while time.monotonic() < self.end:
            connection, sent = Connection(self.port), choice.choice(self.exchanges).sent
            with suppress(OSError, EOFError):
                reader, writer = await connection.open()
                moment = choice.random()
                writer.write(sent[: choice.randrange(len(sent))] if moment < 0.3 else sent)
                await writer.drain()
                if moment > 0.6:
                    await asyncio.sleep(choice.random() * 0.2)
                if moment > 0.8:
                    await asyncio.wait_for(reader.read(100), 120)
            connection.close(reset=choice.random() < 0.5)
            self.statuses["vanishing"]["gone"] += 1
            await asyncio.sleep(choice.random() * 0.1)

    async def run_hostile(self, seed: int) -> None:
        """What no client should send; the server answers with an error, or closes the connection."""
        choice = random.Random(seed)
        while time.monotonic() < self.end:
            connection, sent = Connection(self.port), choice.choice(HOSTILE)
            status = "closed"
            with suppress(OSError, EOFError, asyncio.TimeoutError):
                reader, writer = await connection.open()
                writer.write(sent)
                answer = await asyncio.wait_for(reader.read(4096), 60)
                status = answer[9:12].decode("ascii", "replace") or "closed"
            connection.close()
            self.statuses["hostile"][status] += 1
            await asyncio.sleep(choice.random() * 0.1)


def agrees(answer: Any, expected: Any, tolerance: float = 0.0) -> bool:
    """Whether two answers are the same, up to what numbers may differ by in another batch."""
    if isinstance(expected, dict):
        return answer.keys() == expected.keys() and all(
            agrees(answer[key], value, TOLERANCE.get(key, tolerance)) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(answer) == len(expected) and all(
            agrees(one, other, tolerance) for one, other in zip(answer, expected, strict=True)
        )
    if isinstance(expected, float):
        return bool(abs(answer - expected) <= tolerance)
    return bool(answer == expected)


def make_exchanges(images: Sequence[Path]) -> list[Exchange]:
    """Ranking one or four images, embedding texts, searching."""
    kind = "multipart/form-data; boundary=clipsim-benchmark"
    made = [Exchange("rank 1", "/v1/rank", kind, make_form([image])) for image in images]
    for start in range(0, len(images), 4):
        made.append(Exchange("rank 4", "/v1/rank", kind, make_form(images[start : start + 4])))
    for text in TEXTS:
        embedded, searched = {"input": [text, "b"]}, {"texts": [text], "top": 3}
        made.append(Exchange("embed", "/v1/embeddings", "application/json", json.dumps(embedded).encode()))
        made.append(Exchange("search", "/v1/search", "application/json", json.dumps(searched).encode()))
    return made


async def run(port: int, process: int, options: argparse.Namespace, exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """All clients until the end; what they have seen, and the server's memory."""
    alone = Connection(port)
    for exchange in exchanges:
        status, _, body = await alone.exchange(exchange.sent)
        assert status == 200, body[:300]
        exchange.expected = json.loads(body)
    alone.close()
    begun = time.monotonic()
    load = Load(port, exchanges, begun + options.seconds)
    kinds = []
    if not options.calm:
        kinds += [load.run_vanishing] * round(options.clients * 0.1)
        kinds += [load.run_slow] * round(options.clients * 0.05) + [load.run_hostile] * round(options.clients * 0.05)
    kinds += [load.run_good] * (options.clients - len(kinds))
    clients = [asyncio.create_task(kind(seed)) for seed, kind in enumerate(kinds)]
    sizes: list[float] = []
    while time.monotonic() < load.end:
        await asyncio.sleep(1.0)
        sizes.append(resident(process))
    await asyncio.gather(*clients)
    warm_up = min(WARM_UP_SECONDS, len(sizes) // 2)
    first, later = max(sizes[:warm_up]), max(sizes[warm_up:])
    seconds = [one for each in load.seconds.values() for one in each]
    median, p95 = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
    return {
        "seconds": options.seconds,
        "answers": {name: dict(sorted(counts.items())) for name, counts in load.statuses.items()},
        "wrong": len(load.wrong),
        "lost": len(load.lost),
        "examples": [*load.wrong[:5], *load.lost[:5]],
        "answers_per_second": round(len(seconds) / options.seconds, 1),
        "median_seconds": round(median, 4),
        "p95_seconds": round(p95, 4),
        "p95_over_median": round(p95 / median, 2),
        "median_and_p95_seconds": {
            name: [round(statistics.median(each), 4), round(statistics.quantiles(each, n=20)[-1], 4)]
            for name, each in load.seconds.items()
        },
        "memory_first_minute_mb": round(first, 1),
        "memory_after_mb": round(later, 1),
        "memory_growth": round(later / first - 1, 3),
        "memory_at_most_in_each_20_s_mb": [round(max(sizes[at : at + 20])) for at in range(0, len(sizes), 20)],
    }


def main() -> None:
    """Start a server, run the clients, print the figures, and end the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--calm", action="store_true", help="all clients send what they should")
    parser.add_argument("--images", type=Path, default=Path(__file__).parents[1] / "images")
    options = parser.parse_args()
    exchanges = make_exchanges(sorted(options.images.glob("*.jpeg")))
    command = [sys.executable, "-m", "clipsim", "serve", str(options.images), "--port", "0", "-m", "clipsim-mini"]
    with tempfile.TemporaryFile("a+b") as log:  # which is read while the server writes at its end
        server = subprocess.Popen([*command, "--no-cache", "--log-format", "json"], stderr=log)
        try:
            port = find_port(log)
            figures = asyncio.run(run(port, server.pid, options, exchanges))
        finally:
            server.terminate()
            status = server.wait()
        log.seek(0)
        lines = [json.loads(line) for line in log if line.startswith(b"{")]
    figures["server_ended_with"] = status
    logged = Counter(str(line["status"]) for line in lines if "status" in line)
    figures["log"] = {"lines": logged.total(), **dict(sorted(logged.items()))}
    print(json.dumps(figures, indent=2))


def find_port(log: Any) -> int:
    """The port of a server, once its models are loaded."""
    while True:
        log.seek(0)
        lines = [json.loads(line) for line in log.read().split(b"\n")[:-1] if line.startswith(b"{")]
        if lines:
            port = int(lines[0]["message"].rsplit(":", 1)[1].strip("/"))
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if connection.recv(12).endswith(b"200"):
                    return port
        time.sleep(0.2)


if __name__ == "__main__":
    main()
