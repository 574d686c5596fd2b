"""`clipsim serve` under 64 clients → pictures a second beside `Session.rank` on the same pictures, latency, memory.

`python -m benchmarks.serve [--model mini|vit] [--pictures N] [--images K] [--requests N] [--inputs DIR]`. The server
and `rank` run without a cache, each in a process of its own, in turn; K pictures go into a request. With `--requests`,
so many further requests of one small picture are sent, and the server's memory is read after a tenth of them and at
the end.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.make_inputs import ARCHITECTURE, TEXTS, make_pictures, make_weights

HERE = Path(__file__).parent
CLIENTS = 64
BOUNDARY = "clipsim-benchmark"
RANK = """
import json, sys, time, clipsim
model, weights, *paths = sys.argv[1:]
with clipsim.open(model, weights=weights or None, cache=False) as session:
    session.rank(paths[:8], ["a", "b"])
    begun = time.perf_counter()
    result = session.rank(paths, TEXTS)
    print(json.dumps({"seconds": time.perf_counter() - begun, "similarity": result.to_dict()["similarity"]}))
"""


class Client:
    """Connections to a server, one a thread."""

    def __init__(self, port: int) -> None:
        self._port, self._local = port, threading.local()

    def rank(self, pictures: Sequence[Path]) -> tuple[dict[str, Any], float]:
        """The answer for some pictures, and the seconds until it was there."""
        begun = time.perf_counter()
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        connection.request(
            "POST", "/v1/rank", make_form(pictures), {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        )
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"status {answer.status}: {content[:200]!r}")
        return json.loads(content), time.perf_counter() - begun


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
def running(model: Sequence[str]) -> Iterator[tuple[int, int]]:
    """A server that is ready: its port and its process."""
    command = [sys.executable, "-m", "clipsim", "serve", "--port", "0", "--no-cache", "-q", *model]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    port = int(process.stderr.readline().rsplit(b":", 1)[1].strip(b"/\n"))
    try:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                break
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def measure_load(port: int, paths: Sequence[Path], images: int) -> tuple[float, list[float], list[dict[str, Any]]]:
    """All pictures, so many a request, by 64 clients at once: seconds, those of each request, the answers."""
    client = Client(port)
    parts = [paths[start : start + images] for start in range(0, len(paths), images)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client.rank, parts[:CLIENTS]))  # every thread has its connection
        begun = time.perf_counter()
        answers = list(pool.map(client.rank, parts))
        seconds = time.perf_counter() - begun
    return seconds, [latency for _, latency in answers], [answer for answer, _ in answers]


def resident(process: int) -> float:
    """The memory of a process, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def measure_memory(port: int, process: int, picture: Path, requests: int) -> tuple[float, float]:
    """MB after a tenth of the requests and after all of them."""
    client = Client(port)
    found = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        for count in (requests // 10, requests - requests // 10):
            for _ in pool.map(client.rank, [[picture]] * count):
                pass
            found.append(resident(process))
    return found[0], found[1]


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["mini", "vit"], default="mini")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--images", type=int, default=1, help="pictures of a request")
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs")
    options = parser.parse_args()
    options.inputs.mkdir(parents=True, exist_ok=True)
    paths = make_pictures(options.inputs, options.pictures, (640, 480))
    weights = str(make_weights(options.inputs)) if options.model == "vit" else ""
    name = ARCHITECTURE if weights else "clipsim-mini"
    code = RANK.replace("TEXTS", repr(list(TEXTS)))
    done = subprocess.run(
        [sys.executable, "-c", code, name, weights, *map(str, paths)], check=True, capture_output=True
    )
    ranked = json.loads(done.stdout)
    with running(["-m", name, *(["--weights", weights] if weights else [])]) as (port, process):
        seconds, latencies, answers = measure_load(port, paths, options.images)
        columns = [column for answer in answers for column in zip(*answer["similarity"], strict=True)]
        print(f"equal to rank: {columns == list(zip(*ranked['similarity'], strict=True))}")
        own, served = len(paths) / ranked["seconds"], len(paths) / seconds
        print(f"rank {own:.1f}/s, server {served:.1f}/s with {options.images} a request: {served / own:.2f} of it")
        latencies.sort()
        print(
            f"latency: median {statistics.median(latencies):.2f} s, 95 % {latencies[int(0.95 * len(latencies))]:.2f} s"
        )
        if options.requests:
            (small,) = make_pictures(options.inputs, 1, (160, 120))
            first, last = measure_memory(port, process, small, options.requests)
            print(f"memory: {first:.0f} MB after a tenth, {last:.0f} MB after {options.requests:,}: {last / first:.3f}")


if __name__ == "__main__":
    main()
