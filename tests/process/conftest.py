"""A folder of pictures whose vectors are cached, for runs that are not about the model: they do not import torch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from process.programs import CLIPSIM


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `colours` with a red, a green and a blue picture, and beside it a cache with their vectors."""
    folder = tmp_path_factory.mktemp("encoded")
    (folder / "colours").mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (40, 24), name).save(folder / "colours" / f"{name}.png")
    texts = [part for text in ("red", "blue", "café") for part in ("-t", text)]
    command = [*CLIPSIM, "rank", str(folder / "colours"), *texts, "-q"]
    subprocess.run(command, env=os.environ | {"CLIPSIM_CACHE_DIR": str(folder / "cache")}, check=True, timeout=300)
    return folder


@pytest.fixture
def warm(encoded: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `colours`, and the cache in use."""
    monkeypatch.setenv("CLIPSIM_CACHE_DIR", str(encoded / "cache"))
    return encoded / "colours"
