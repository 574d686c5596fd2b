"""Tests of `doctor` and of `clipsim doctor`."""

from __future__ import annotations

import json

import pytest
from conftest import Run

from clipsim import doctor
from clipsim.mini.probe import ANSWERS, known_answers, probe_pictures


def test_a_healthy_machine(run: Run) -> None:
    """Status 0, every precision checked on the CPU, and the report is JSON on request."""
    done = run("doctor", "--json")
    report = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert report["schema"] == "clipsim.doctor/1"
    assert report["passed"] is True
    assert {(check["device"], check["precision"]) for check in report["checks"]} >= {
        ("cpu", "fp32"), ("cpu", "fp16"), ("cpu", "bf16"),
    }  # fmt: skip
    assert report["models"][0]["name"] == "clipsim-mini"
    assert report["packages"]["torch"]


def test_a_default_that_is_gone_is_a_problem(run: Run) -> None:
    """A default model that nothing answers to is told, with status 1, and all else is still reported."""
    done = run("doctor", env={"CLIPSIM_MODEL": "/gone/model.pt"})

    assert done.returncode == 1
    assert b"/gone/model.pt" in done.stdout
    assert b"cpu fp32" in done.stdout
    assert b"something is wrong" in done.stderr


def test_wrong_numbers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose cosines are off fails the check, and says by how much."""
    right = known_answers()
    monkeypatch.setattr(doctor, "known_answers", lambda: [[value + 0.01 for value in row] for row in right])
    check = doctor.check_machine("cpu", "fp32")

    assert not check.passed
    assert check.difference == pytest.approx(0.01, abs=1e-3)


def test_a_model_that_does_not_load_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error becomes a line of the report."""
    check = doctor.check_machine("no-such-device", "fp32")

    assert not check.passed
    assert "no device is called" in str(check.error)


def test_the_pictures_are_the_same_everywhere() -> None:
    """They are made by whole numbers; their sums are written down."""
    sums = [sum(picture.tobytes()) for picture in probe_pictures()]

    assert [picture.size for picture in probe_pictures()] == [(120, 80)] * 3
    assert sums == SUMS
    assert ANSWERS.is_file()


SUMS = [5828220, 3672000, 2741760]
