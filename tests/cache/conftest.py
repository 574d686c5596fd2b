"""Fixtures of the cache's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clipsim.cache.database import Database


@pytest.fixture
def database(cache_folder: Path) -> Iterator[Database]:
    """An empty one."""
    opened = Database(cache_folder)
    yield opened
    opened.close()
