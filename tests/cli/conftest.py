"""Fixtures of the command line's tests: `clipsim …` in this process, with or without a model in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub.constants
import pytest
from conftest import set_home
from fake_encoder import FakeEncoder

from clipsim.cli.app import run
from clipsim.engines.choice import EnginePlan


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit status and what it wrote."""

    status: int
    out: str
    err: str


Clipsim = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where nothing was ever kept; no setting in the environment, no network, a terminal of 100 columns."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("CLIPSIM_MODEL", "CLIPSIM_DEVICE", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    set_home(monkeypatch, folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # which the command line would set, for all tests to come
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


@pytest.fixture
def clipsim(home: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Clipsim:
    """Run the command line in this process: arguments, and what stands in standard input."""

    def run_clipsim(*arguments: str | Path, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "argv", ["clipsim", *map(str, arguments)])
        (home / "stdin").write_bytes(stdin)
        with (home / "stdin").open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            with pytest.raises(SystemExit) as ended:
                run()
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Ended(int(ended.value.code or 0), out.decode("utf-8", "surrogateescape"), err.decode())

    return run_clipsim


@pytest.fixture
def colour_model(encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch) -> FakeEncoder:
    """The encoder that knows colours, in place of what runs the bundled model."""
    encoder.name, encoder.pretrained = "clipsim-mini", "bundled"
    plan = EnginePlan("torch", "cpu", "fp32", "colours", lambda: encoder)
    monkeypatch.setattr("clipsim.embedding.embedder.plan_engine", lambda *_, **__: plan)
    return encoder
