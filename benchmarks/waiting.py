"""clipsim with OpenMP threads that wait in three ways, on an idle and on a busy machine → seconds of each.

OpenMP's threads spin for some milliseconds when they have nothing to do, unless OMP_WAIT_POLICY is PASSIVE. Spinning
takes the cores from the threads that decode pictures, and from other processes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from benchmarks.make_inputs import ARCHITECTURE, make_elsewhere, make_pictures, make_weights

HERE = Path(__file__).parent
BUSY_PROCESSES = 2
POLICIES = {
    "sleep": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spin": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "300000"},  # libgomp's own choice where nothing is set
    "one thread": {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"},
}


@dataclass(frozen=True)
class Waiting:
    """Median seconds of whole runs on some pictures, by how threads wait."""

    case: str
    seconds: dict[str, float]


def measure_waiting(inputs: Path, rounds: int) -> list[Waiting]:
    """Run the bundled model on 600 small pictures and ViT-B-32 on 64, idle and busy, the three ways in turn."""
    folder = f"Path({str(inputs.resolve())!r})"
    make_elsewhere(f"make_pictures({folder}, 600, (160, 120)); make_pictures({folder}, 64, (640, 480))")
    make_elsewhere(f"make_weights({folder})")
    models = {
        "clipsim-mini, 600 pictures": (["--model", "clipsim-mini"], make_pictures(inputs, 600, (160, 120))),
        f"{ARCHITECTURE}, 64 pictures": (
            ["--model", ARCHITECTURE, "--weights", str(make_weights(inputs).resolve())],
            make_pictures(inputs, 64, (640, 480)),
        ),
    }
    results = []
    for (name, (model, pictures)), busy in product(models.items(), (0, BUSY_PROCESSES)):
        seconds: dict[str, list[float]] = {policy: [] for policy in POLICIES}
        with _busy(busy):
            for _, policy in product(range(rounds), POLICIES):
                seconds[policy].append(_run([*model, *map(str, pictures)], POLICIES[policy]))
        medians = {policy: statistics.median(values) for policy, values in seconds.items()}
        results.append(Waiting(f"{name}, {'busy' if busy else 'idle'}", medians))
    return results


def _run(arguments: list[str], environment: dict[str, str]) -> float:
    """The seconds that a run takes."""
    command = [sys.executable, "-m", "clipsim", "rank", *arguments, "-t", "a maze", "-t", "a cat", "--json", "-q"]
    command += ["--no-cache", "--engine", "torch", "--device", "cpu"]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=HERE.parent, env=os.environ | environment)
    return time.perf_counter() - start


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep some processes busy beside what is measured."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
