"""`clipsim doctor`: the report, and what makes it end with status 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Clipsim

from clipsim.cli import doctor as diagnosis
from clipsim.cli.doctor import Check, check_machine
from clipsim.mini.probe import known_answers


@pytest.fixture
def no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the model's checks out, for tests of the rest of the report."""
    monkeypatch.setattr(diagnosis, "check_machine", lambda device, precision: Check(device, precision, True, 0.0, None))


def test_a_healthy_machine(clipsim: Clipsim) -> None:
    """Status 0, every precision checked on the CPU, and the report is JSON on request."""
    done = clipsim("doctor", "--json")
    report = json.loads(done.out)

    assert done.status == 0, done.err
    assert report["schema"] == "clipsim.doctor/1"
    assert report["passed"] is True
    assert {(check["device"], check["precision"]) for check in report["checks"]} >= {
        ("cpu", "fp32"), ("cpu", "fp16"), ("cpu", "bf16"),
    }  # fmt: skip
    assert all(check["difference"] > 0 for check in report["checks"])
    assert report["models"][0]["name"] == "clipsim-mini"
    assert report["packages"]["torch"]


@pytest.mark.usefixtures("no_checks")
def test_a_default_that_is_gone_is_a_problem(clipsim: Clipsim, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown default model is reported, with status 1, and so is everything else."""
    monkeypatch.setenv("CLIPSIM_MODEL", "/gone/model.pt")
    done = clipsim("doctor")

    assert done.status == 1
    assert "/gone/model.pt" in done.out
    assert "cpu fp32" in done.out
    assert "a check failed" in done.err


@pytest.mark.usefixtures("no_checks")
def test_a_default_that_cannot_be_loaded_is_a_problem(
    clipsim: Clipsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A default that exists is loaded, since `clipsim rank` will do so too."""
    junk = tmp_path / "junk.txt"
    junk.write_text("junk")
    monkeypatch.setenv("CLIPSIM_MODEL", str(junk))
    done = clipsim("doctor", "--json")
    report = json.loads(done.out)

    assert done.status == 1
    assert report["passed"] is False
    (problem,) = report["problems"]
    assert problem.startswith(f"default model: {junk}: ")


@pytest.mark.usefixtures("no_checks")
def test_a_default_that_is_not_downloaded_yet_is_none(clipsim: Clipsim, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is downloaded when it is first used."""
    monkeypatch.setenv("CLIPSIM_MODEL", "ViT-B-32/openai")

    assert clipsim("doctor", "--json").status == 0


@pytest.mark.usefixtures("no_checks")
def test_passwords_are_left_out(clipsim: Clipsim, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is made to be shown to others."""
    monkeypatch.setenv("HF_ENDPOINT", "https://me:secret@mirror.example/")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    done = clipsim("doctor")

    assert "secret" not in done.out
    assert "mirror.example" in done.out


def test_wrong_numbers_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose cosines are off fails the check, and says by how much."""
    right = known_answers()
    monkeypatch.setattr("clipsim.mini.probe.known_answers", lambda: [[value + 0.01 for value in row] for row in right])
    check = check_machine("cpu", "fp32")

    assert not check.passed
    assert check.difference == pytest.approx(0.01, abs=1e-3)


def test_a_model_that_does_not_load_is_reported(home: Path) -> None:
    """An error becomes a line of the report."""
    check = check_machine("no-such-device", "fp32")

    assert not check.passed
    assert "device='no-such-device': unknown device" in str(check.error)
