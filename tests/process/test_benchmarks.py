"""Tests of `benchmarks`: that they run, on small things; no test asserts a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu_check, overlap
from benchmarks.gpu_check import PARTS, QUICK, Check, KeptRecord, failures_of

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(autouse=True)
def own_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Architectures that a benchmark makes known to OpenCLIP are not known to later tests."""
    from open_clip import factory

    for registry in ("_MODEL_CONFIG_PATHS", "_MODEL_CONFIGS"):
        monkeypatch.setattr(factory, registry, getattr(factory, registry).copy())


@pytest.mark.parametrize("part", ["facts", "models", "embed", "launch", "decoding", "faults", "agreement"])
def test_a_part_of_the_check_of_a_gpu(part: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """On the CPU, with a small model and few images, each part has its figures, and nothing fails."""
    folder = tmp_path_factory.getbasetemp() / "gpu_check"
    folder.mkdir(exist_ok=True)
    record = KeptRecord(folder / f"{part}.json")

    PARTS[part][0](Check("cpu", QUICK, folder), record)

    assert json.loads((folder / f"{part}.json").read_text()) == record
    assert record
    assert not failures_of(record)


def test_the_check_of_a_gpu_writes_after_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part that crashes, and one for which no time is left, have their errors; the others have their figures."""
    report = tmp_path / "report.json"
    arguments = ["--device", "cpu", "--quick", "--parts", "facts", "--inputs", str(tmp_path), "--output", str(report)]
    monkeypatch.setattr(sys, "argv", ["gpu_check", *arguments])
    assert gpu_check.main() == 0
    assert json.loads(report.read_text())["facts"]["cores"] >= 1

    monkeypatch.setattr(sys, "argv", ["gpu_check", *arguments, "--deadline", "1"])
    assert gpu_check.main() == 1
    monkeypatch.setattr(sys, "argv", ["gpu_check", *arguments, "--device", "cuda:99"])
    assert gpu_check.main() == 1

    assert "error" in json.loads(report.read_text())["facts"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" (")[0] for line in lines] == ["facts: passed", *["facts: facts: error"] * 2]


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
