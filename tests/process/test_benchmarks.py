"""Tests of `benchmarks`: that they run, on small things; no test asserts a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu, overlap

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def test_the_gpu_benchmark_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every rate is there, and the bottleneck is named."""
    arguments = ["--device", "cpu", "--architectures", "ViT-S-32-alt", "--precisions", "fp32", "--batches", "2"]
    arguments += ["--pictures", "4", "--size", "64", "48", "--json", "--inputs", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["gpu", *arguments])
    gpu.main()

    (speed,) = json.loads(capsys.readouterr().out)
    assert (speed["architecture"], speed["device"], speed["batch_size"]) == ("ViT-S-32-alt", "cpu", 2)
    assert min(speed[key] for key in ("end_to_end", "model_alone", "decoding_alone")) > 0
    assert speed["bottleneck"] in ("decoding", "the model")


def test_the_simulation_of_a_device(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Both shares are there."""
    arguments = ["--rates", "4000", "--decoders", "2", "--decode-ms", "0.1", "--images", "40", "--batch", "8", "--json"]
    monkeypatch.setattr(sys, "argv", ["overlap", *arguments])
    overlap.main()

    (share,) = json.loads(capsys.readouterr().out)
    assert share["device"] == 4000
    assert min(share["with_queue"], share["without_queue"]) > 0


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
