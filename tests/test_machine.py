"""Tests of `machine`."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipsim import machine


def test_memory_within_the_limit_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of the limit, however much the machine has; "max" is none."""
    limit, used = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(machine, "CONTAINER_MEMORY", ((str(limit), str(used)), ("missing", "missing")))
    without = machine.available_memory()
    limit.write_text("5000\n")
    used.write_text("2000\n")

    assert machine.available_memory() == 3000
    used.write_text("6000\n")
    assert machine.available_memory() == 0
    limit.write_text("max\n")
    assert (machine.available_memory() is None) == (without is None)
