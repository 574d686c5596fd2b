"""clipsim and the hand-written script on the same weights, pictures and texts, in turn → a table of ratios.

`python -m benchmarks.bench [--runs N] [--json]`. Each side runs as a fresh process; the figures are medians, the ratios
theirs. The numbers of both sides are compared too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.make_inputs import ARCHITECTURE, TEXTS, make_pictures, make_weights

HERE = Path(__file__).parent
BATCH = 32


@dataclass(frozen=True)
class Comparison:
    """Medians of both sides: seconds from start to end, and the peak of resident memory in MB."""

    case: str
    by_hand_seconds: float
    clipsim_seconds: float
    by_hand_memory: float
    clipsim_memory: float
    greatest_difference: float  # of the cosines

    @property
    def time_ratio(self) -> float:
        """The time of clipsim as a share of the script's; less is better."""
        return self.clipsim_seconds / self.by_hand_seconds

    @property
    def memory_ratio(self) -> float:
        """The peak of clipsim as a share of the script's."""
        return self.clipsim_memory / self.by_hand_memory


def measure(command: list[str]) -> tuple[float, float, bytes]:
    """Seconds, peak memory in MB and standard output of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=HERE.parent)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"status {process.returncode}: {' '.join(command[:6])} …")
    return time.perf_counter() - start, usage.ru_maxrss / 1024, output


def compare(case: str, weights: Path, pictures: list[Path], runs: int) -> Comparison:
    """Run both sides in turn."""
    paths = [str(path) for path in pictures]
    texts = [part for text in TEXTS for part in ("--text", text)]
    by_hand = [sys.executable, str(HERE / "by_hand.py"), str(weights), str(BATCH), *paths, "--", *TEXTS]
    clipsim = [sys.executable, "-m", "clipsim", "rank", *paths, *texts, "--model", ARCHITECTURE]
    clipsim += ["--weights", str(weights), "--batch-size", str(BATCH), "--device", "cpu", "--json"]
    hand, ours = [], []
    for _ in range(runs):
        hand.append(measure(by_hand))
        ours.append(measure(clipsim))
    expected, got = json.loads(hand[0][2]), json.loads(ours[0][2])["similarity"]
    return Comparison(
        case,
        statistics.median(seconds for seconds, _, _ in hand),
        statistics.median(seconds for seconds, _, _ in ours),
        statistics.median(memory for _, memory, _ in hand),
        statistics.median(memory for _, memory, _ in ours),
        float(np.abs(np.array(expected) - np.array(got)).max()),
    )


def main() -> None:
    """Make the inputs, run the cases, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each side of each case")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs", help="where weights and pictures are kept")
    options = parser.parse_args()
    options.inputs.mkdir(parents=True, exist_ok=True)
    weights = make_weights(options.inputs)
    small = make_pictures(options.inputs, 256, (640, 480))
    large = make_pictures(options.inputs, 32, (4032, 3024))
    cases = [("2 small pictures", small[:2]), ("256 small pictures", small), ("32 large pictures", large)]
    done = [compare(case, weights, pictures, options.runs) for case, pictures in cases]
    if options.json:
        print(json.dumps([asdict(result) for result in done], indent=1))
        return
    table = Table("case", "by hand", "clipsim", "time", "memory", "difference", title=f"{ARCHITECTURE}, fp32, CPU")
    for result in done:
        table.add_row(
            result.case,
            f"{result.by_hand_seconds:.1f} s",
            f"{result.clipsim_seconds:.1f} s",
            f"{result.time_ratio:.2f} ×",
            f"{result.memory_ratio:.2f} ×",
            f"{result.greatest_difference:.0e}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
