"""clipsim and the hand-written script on the same weights, pictures and texts, in turn → a table of ratios.

`python -m benchmarks.bench [--runs N] [--cases TEXT] [--json]`. Each side runs as a fresh process, in turn, and the
figures are medians. The numbers of both sides are compared too. Takes a quarter of an hour and 2 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.make_inputs import ARCHITECTURE, TEXTS, make_elsewhere, make_pictures, make_weights
from benchmarks.waiting import POLICIES, measure_waiting

HERE = Path(__file__).parent
BATCH = 32
TORCH = ("--engine", "torch")  # not the export, which is there for the cases that name it


@dataclass(frozen=True)
class Case:
    """One way to run clipsim on some pictures; `warm` runs find their vectors in the cache, others have none."""

    name: str
    pictures: str
    options: tuple[str, ...] = ()
    warm: bool = False
    tolerance: float = 1e-5  # of the cosines, against the script's


CASES = (
    Case("cold, 2 pictures", "two", TORCH),
    Case("warm, 2 pictures", "two", TORCH, warm=True),
    Case("cold, fp32 export", "two", ("--engine", "onnx")),
    Case("cold, int8 export", "two", ("--engine", "onnx-int8"), tolerance=0.2),
    Case("256 small, fp32", "small", TORCH),
    Case("256 small, bf16", "small", ("--precision", "bf16"), tolerance=0.05),
    Case("256 small, int8 export", "small", ("--engine", "onnx-int8"), tolerance=0.2),
    Case("96 large, fp32", "large", TORCH, tolerance=1e-3),
    Case("96 large, fp32, --exact", "large", (*TORCH, "--exact")),
    Case("96 large, bf16", "large", ("--precision", "bf16"), tolerance=0.05),
)


@dataclass
class Runs:
    """Seconds (passed, and of all cores) and peak megabytes of each run of a command, and the cosines of the last."""

    seconds: list[float] = field(default_factory=list)
    core_seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    cosines: Any = None


@dataclass(frozen=True)
class Result:
    """Medians of both sides."""

    case: str
    by_hand_seconds: float
    clipsim_seconds: float
    by_hand_core_seconds: float
    clipsim_core_seconds: float
    by_hand_memory: float
    clipsim_memory: float
    greatest_difference: float  # of the cosines

    @property
    def faster(self) -> float:
        """How many times faster clipsim was."""
        return self.by_hand_seconds / self.clipsim_seconds


def measure(command: list[str], environment: dict[str, str], runs: Runs) -> None:
    """Run a command; note seconds, peak memory in MB and the matrix that it prints."""
    environment = os.environ | environment
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=HERE.parent, env=environment
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"status {process.returncode}: {' '.join(command[:9])} …")
    runs.seconds.append(time.perf_counter() - start)
    runs.core_seconds.append(usage.ru_utime + usage.ru_stime)
    runs.memory.append(usage.ru_maxrss / 1024)
    printed = json.loads(output)
    runs.cosines = np.array(printed["similarity"] if isinstance(printed, dict) else printed)


class Bench:
    """The inputs, and the commands of both sides."""

    def __init__(self, inputs: Path) -> None:
        inputs = inputs.resolve()
        inputs.mkdir(parents=True, exist_ok=True)
        folder = f"Path({str(inputs)!r})"
        for call in ("make_weights({})", "make_pictures({}, 256, (640, 480))", "make_pictures({}, 96, (4032, 3024))"):
            make_elsewhere(call.format(folder))
        self.weights = make_weights(inputs)
        small = make_pictures(inputs, 256, (640, 480))
        self.pictures = {"two": small[:2], "small": small, "large": make_pictures(inputs, 96, (4032, 3024))}
        self.cache = inputs / "cache"
        self.model = ["--model", ARCHITECTURE, "--weights", str(self.weights)]

    def export(self) -> bool:
        """Export the model both ways; whether that can be done here."""
        if not all(map(find_spec, ("onnxruntime", "onnx", "tokenizers"))):
            return False
        for flags in ([], ["--int8"]):
            command = ["models", "export", ARCHITECTURE, "--weights", str(self.weights), *flags]
            environment = os.environ | {"CLIPSIM_CACHE_DIR": str(self.cache)}
            subprocess.run([sys.executable, "-m", "clipsim", *command], check=True, cwd=HERE.parent, env=environment)
        return True

    def by_hand(self, pictures: str, runs: Runs) -> None:
        """Run the script."""
        paths = map(str, self.pictures[pictures])
        measure(
            [sys.executable, str(HERE / "by_hand.py"), str(self.weights), str(BATCH), *paths, "--", *TEXTS], {}, runs
        )

    def clipsim(self, case: Case, runs: Runs) -> None:
        """Run clipsim once more; before the first warm run, once to fill the cache."""
        texts = [part for text in TEXTS for part in ("--text", text)]
        command = [
            sys.executable,
            "-m",
            "clipsim",
            "rank",
            *map(str, self.pictures[case.pictures]),
            *texts,
            *self.model,
        ]
        command += ["--batch-size", str(BATCH), "--device", "cpu", "--json", *case.options]
        database = self.cache / "embeddings.db"
        if case.warm:
            measure(command, {"CLIPSIM_CACHE_DIR": str(self.cache)}, Runs())
        else:
            for path in self.cache.glob(f"{database.name}*"):
                path.unlink()
        measure(command, {"CLIPSIM_CACHE_DIR": str(self.cache)}, runs)


def run_cases(bench: Bench, cases: list[Case], count: int) -> list[Result]:
    """Run all sides in turn, `count` rounds of them."""
    by_hand = {case.pictures: Runs() for case in cases}
    ours = {case.name: Runs() for case in cases}
    for _ in range(count):
        for pictures, runs in by_hand.items():
            bench.by_hand(pictures, runs)
            for case in cases:
                if case.pictures == pictures:
                    bench.clipsim(case, ours[case.name])
    results = []
    for case in cases:
        hand, own = by_hand[case.pictures], ours[case.name]
        difference = float(np.abs(hand.cosines - own.cosines).max())
        if difference > case.tolerance:
            print(f"{case.name}: cosines differ by {difference:.1e}", file=sys.stderr)
        seconds = statistics.median(hand.seconds), statistics.median(own.seconds)
        core_seconds = statistics.median(hand.core_seconds), statistics.median(own.core_seconds)
        memory = statistics.median(hand.memory), statistics.median(own.memory)
        results.append(Result(case.name, *seconds, *core_seconds, *memory, difference))
    return results


def measure_growth(inputs: Path) -> dict[str, float]:
    """Peak memory (MB) and warm seconds of the bundled model on few and on many pictures."""
    figures: dict[str, float] = {}
    folder = inputs / "growth"
    shutil.rmtree(folder, ignore_errors=True)
    make_elsewhere(f"make_pictures(Path({str(inputs.resolve())!r}), 1000, (160, 120))")
    source = make_pictures(inputs, 1000, (160, 120))
    for count in (2, 1000, 10_000):
        part = folder / str(count)
        part.mkdir(parents=True)
        for number in range(count):
            data = source[number % len(source)].read_bytes()
            (part / f"{number:05}.jpg").write_bytes(data + number.to_bytes(4, "big"))  # each a file of its own content
        command = [sys.executable, "-m", "clipsim", "rank", str(part), "-t", "a maze", "-t", "a cat", "--json"]
        command += ["--model", "clipsim-mini", "--device", "cpu"]
        environment = {"CLIPSIM_CACHE_DIR": str(folder / "cache")}
        cold, warm = Runs(), Runs()
        measure(command, environment, cold)
        for _ in range(3):
            measure(command, environment, warm)
        figures |= {f"cold MB, {count}": cold.memory[0], f"warm s, {count}": statistics.median(warm.seconds)}
    return figures


def main() -> None:
    """Make the inputs, run the cases, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each side of each case")
    parser.add_argument("--cases", default="", help="only cases with this in their names; 'growth' or 'waiting' alone")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs", help="where weights and pictures are kept")
    options = parser.parse_args()
    options.inputs.mkdir(parents=True, exist_ok=True)
    cases = [case for case in CASES if options.cases in case.name]
    results = []
    if cases:
        bench = Bench(options.inputs)
        exported = bench.export()
        cases = [case for case in cases if exported or "export" not in case.name]
        results = run_cases(bench, cases, options.runs)
    growth = measure_growth(options.inputs) if options.cases in "growth" else {}
    waiting = measure_waiting(options.inputs, options.runs) if options.cases in "waiting" else []
    if options.json:
        parts = {"cases": [asdict(result) for result in results], "growth": growth}
        print(json.dumps(parts | {"waiting": [asdict(row) for row in waiting]}, indent=1))
        return
    if results:
        print_results(results)
    for name, figure in growth.items():
        print(f"clipsim-mini, {name} pictures: {figure:,.2f}")
    if waiting:
        rows = Table("threads that wait", *POLICIES)
        for row in waiting:
            rows.add_row(row.case, *(f"{seconds:.1f} s" for seconds in row.seconds.values()))
        Console(width=100).print(rows)


def print_results(results: list[Result]) -> None:
    """Print the table of both sides."""
    columns = ("case", "by hand", "clipsim", "faster", "processor time", "memory", "difference")
    table = Table(*columns, title=f"{ARCHITECTURE}, CPU")
    for result in results:
        table.add_row(
            result.case,
            f"{result.by_hand_seconds:.1f} s",
            f"{result.clipsim_seconds:.2f} s",
            f"{result.faster:.1f} ×",
            f"{result.clipsim_core_seconds / result.by_hand_core_seconds:.3f} ×",
            f"{result.clipsim_memory / result.by_hand_memory:.2f} ×",
            f"{result.greatest_difference:.0e}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
