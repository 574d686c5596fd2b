"""`clipsim serve` under 64 clients, and `Session.rank` on the same pictures, in turn → the ratio of their rates.

`python -m benchmarks.serve [--model mini|vit] [--pictures N] [--images K] [--rounds N] [--requests N] [--inputs DIR]`.
Both keep their model loaded in a process of their own, and run without a cache. K pictures go into a request. Each
round times both on all pictures, so that what else the machine does falls on both. Rates are given on the clock and in
a core's second of the server or of rank; the second leaves out what the clients take, which run on the same cores.
With `--requests`, so many further requests of one small picture are sent, and the server's memory is read after a tenth
of them and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.make_inputs import ARCHITECTURE, TEXTS, make_elsewhere, make_pictures, make_weights

HERE = Path(__file__).parent
CLIENTS = 64
BOUNDARY = "clipsim-benchmark"
# Ranks all pictures once for each line that it reads.
RANK = """
import json, os, sys, time
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # as the command line sets it
import clipsim
model, weights, texts, *paths = sys.argv[1:]
with clipsim.open(model, weights=weights or None, cache=False) as session:
    session.rank(paths[:64], ["a", "b"])
    for _ in sys.stdin:
        wall, core = time.perf_counter(), time.process_time()
        result = session.rank(paths, json.loads(texts))
        wall, core = time.perf_counter() - wall, time.process_time() - core
        print(json.dumps({"wall": wall, "core": core, "similarity": result.to_dict()["similarity"]}), flush=True)
"""


class Client:
    """Connections to a server, one a thread; it does little more than send and receive."""

    def __init__(self, port: int) -> None:
        self._port, self._local = port, threading.local()

    def post(self, body: bytes) -> tuple[bytes, float]:
        """The answer of /v1/rank to a form, and the seconds until it was there."""
        begun = time.perf_counter()
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = socket.create_connection(("127.0.0.1", self._port), timeout=300)
        head = f"POST /v1/rank HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        connection.sendall(f"{head}{kind}".encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
        headers, _, content = answer.partition(b"\r\n\r\n")
        length = int(headers.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(content) < length:
            content += connection.recv(65536)
        if b" 200 " not in headers.split(b"\r\n", 1)[0]:
            raise SystemExit(f"{headers[:100]!r} {content[:200]!r}")
        return content, time.perf_counter() - begun


def make_form(pictures: Sequence[Path]) -> bytes:
    """The body of a form with these pictures and all texts."""
    parts = []
    for path in pictures:
        head = f'Content-Disposition: form-data; name="images"; filename="{path.name}"\r\n\r\n'.encode()
        parts.append(head + path.read_bytes())
    parts += [f'Content-Disposition: form-data; name="texts"\r\n\r\n{text}'.encode() for text in TEXTS]
    start = f"--{BOUNDARY}\r\n".encode()
    return b"".join(start + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def running_rank(name: str, weights: str, paths: Sequence[Path]) -> Iterator[Callable[[], dict[str, Any]]]:
    """A process that ranks all pictures each time it is called."""
    command = [sys.executable, "-c", RANK, name, weights, json.dumps(TEXTS), *map(str, paths)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    requests, answers = process.stdin, process.stdout
    assert requests is not None
    assert answers is not None

    def rank() -> dict[str, Any]:
        print(file=requests, flush=True)
        result: dict[str, Any] = json.loads(answers.readline())
        return result

    try:
        yield rank
    finally:
        requests.close()
        process.wait()


@contextmanager
def running_server(model: Sequence[str]) -> Iterator[tuple[int, int]]:
    """A server that is ready: its port and its process."""
    command = [sys.executable, "-m", "clipsim", "serve", "--port", "0", "--no-cache", "-q", *model]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    port = int(process.stderr.readline().rsplit(b":", 1)[1].strip(b"/\n"))
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=60).close()
                break
            except urllib.error.HTTPError:
                time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def measure_load(port: int, process: int, forms: Sequence[bytes]) -> tuple[float, float, list[float], list[bytes]]:
    """All forms, by 64 clients at once: seconds, those of the server's cores, those of each request, the answers."""
    client = Client(port)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client.post, forms[:CLIENTS]))  # every thread has its connection
        wall, core = time.perf_counter(), core_seconds(process)
        answers = list(pool.map(client.post, forms))
        wall, core = time.perf_counter() - wall, core_seconds(process) - core
    return wall, core, [latency for _, latency in answers], [answer for answer, _ in answers]


def core_seconds(process: int) -> float:
    """The processor time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks: float = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / ticks


def resident(process: int) -> float:
    """The memory of a process, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def measure_memory(port: int, process: int, form: bytes, requests: int) -> tuple[float, float]:
    """MB after a tenth of the requests and after all of them."""
    client = Client(port)
    sizes = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        for count in (requests // 10, requests - requests // 10):
            for _ in pool.map(client.post, [form] * count):
                pass
            sizes.append(resident(process))
    return sizes[0], sizes[1]


def find_difference(ranked: dict[str, Any], answers: Sequence[bytes]) -> float:
    """How far the server's cosines are from those of rank at most."""
    served = [column for answer in answers for column in zip(*json.loads(answer)["similarity"], strict=True)]
    expected = zip(*ranked["similarity"], strict=True)
    pairs = zip(served, expected, strict=True)
    return max(abs(float(a) - float(b)) for pair in pairs for a, b in zip(*pair, strict=True))


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["mini", "vit"], default="mini")
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--images", type=int, default=1, help="pictures of a request")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs")
    options = parser.parse_args()
    inputs = options.inputs.resolve()
    inputs.mkdir(parents=True, exist_ok=True)
    paths = make_pictures(inputs, options.pictures, (640, 480))
    weights = ""
    if options.model == "vit":
        make_elsewhere(f"make_weights(Path({str(inputs)!r}))")
        weights = str(make_weights(inputs))
    name = ARCHITECTURE if weights else "clipsim-mini"
    forms = [make_form(paths[start : start + options.images]) for start in range(0, len(paths), options.images)]
    walls, cores, latencies, difference = [], [], [], 0.0
    model = ["-m", name, *(["--weights", weights] if weights else [])]
    with running_rank(name, weights, paths) as rank, running_server(model) as (port, process):
        for _ in range(options.rounds):
            ranked = rank()
            wall, core, seconds, answers = measure_load(port, process, forms)
            walls.append((len(paths) / ranked["wall"], len(paths) / wall))
            cores.append((len(paths) / ranked["core"], len(paths) / core))
            latencies += seconds
            difference = max(difference, find_difference(ranked, answers))
        for what, rates in (("on the clock", walls), ("in a core's second", cores)):
            own, served = (statistics.median(side) for side in zip(*rates, strict=True))
            ratio = statistics.median(served / own for own, served in rates)
            print(f"{what}: rank {own:.1f}, server {served:.1f} pictures with {options.images} a request: {ratio:.2f}")
        latencies.sort()
        late = latencies[int(0.95 * len(latencies))]
        print(f"latency: median {statistics.median(latencies):.2f} s, 95 % {late:.2f} s")
        print(f"cosines differ by {difference:.1e} at most")
        if options.requests:
            (small,) = make_pictures(inputs, 1, (160, 120))
            first, last = measure_memory(port, process, make_form([small]), options.requests)
            print(f"memory: {first:.0f} MB after a tenth, {last:.0f} MB after {options.requests:,}: {last / first:.3f}")


if __name__ == "__main__":
    main()
