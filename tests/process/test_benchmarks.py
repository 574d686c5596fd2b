"""Tests of `benchmarks`: that they run, on small things; no test asserts a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


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


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_the_benchmark_of_pages() -> None:
    """Says how large the page is, and times every step."""
    pytest.importorskip("playwright", reason="needs playwright, of clipsim[dev]")
    command = [sys.executable, "-m", "benchmarks.pages", "--pictures", "60", "--texts", "2", "--runs", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    first, *steps = done.stdout.splitlines()
    assert first.startswith("60 pictures, 2 texts: ")
    assert [step.split()[0] for step in steps] == ["write", "open", "sort", "filter"]
