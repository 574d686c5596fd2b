"""Fixtures of the tests of models."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import set_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any settings; the working directory is an empty folder `work` in the home."""
    set_home(monkeypatch, tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("CLIPSIM_MODEL", raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return tmp_path
