"""What tests of this folder share: pictures whose vectors are cached, for runs that import no torch, and a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import made_once
from forked_processes import forked_command
from PIL import Image

collect_ignore = ["colour_models"]  # importing what is in it changes the process: doctests would


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `colours` with a red, a green and a blue picture, and beside it a cache with their vectors."""

    def encode(folder: Path) -> None:
        (folder / "colours").mkdir()
        for name in ("red", "green", "blue"):
            Image.new("RGB", (40, 24), name).save(folder / "colours" / f"{name}.png")
        texts = [part for text in ("red", "blue", "café") for part in ("-t", text)]
        command = [*forked_command("torch"), "rank", str(folder / "colours"), *texts, "-q"]
        subprocess.run(command, env=os.environ | {"CLIPSIM_CACHE_DIR": str(folder / "cache")}, check=True, timeout=300)

    return made_once(tmp_path_factory, "encoded", encode)


@pytest.fixture
def warm(encoded: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `colours`, and the cache in use."""
    monkeypatch.setenv("CLIPSIM_CACHE_DIR", str(encoded / "cache"))
    return encoded / "colours"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without its sandbox where it runs as root, which it refuses otherwise.

    For a module, not longer: while Playwright runs, other tests of the process could not use asyncio.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of clipsim[dev]")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        arguments = [*(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]
        running = driver.chromium.launch(executable_path=chromium, args=arguments)
        yield running
        running.close()
