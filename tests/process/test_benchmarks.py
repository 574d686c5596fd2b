"""Tests of `benchmarks`: that they run, on small things; no test asserts a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_gpu_benchmark_on_the_cpu(tmp_path: Path) -> None:
    """Every rate is there, and the bottleneck is named."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--architectures", "ViT-S-32-alt"]
    command += ["--precisions", "fp32", "--batches", "2", "--pictures", "4", "--size", "64", "48", "--json"]
    done = subprocess.run([*command, "--inputs", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stderr
    (speed,) = json.loads(done.stdout)
    assert (speed["architecture"], speed["device"], speed["batch_size"]) == ("ViT-S-32-alt", "cpu", 2)
    assert min(speed[key] for key in ("end_to_end", "model_alone", "decoding_alone")) > 0
    assert speed["bottleneck"] in ("decoding", "the model")
