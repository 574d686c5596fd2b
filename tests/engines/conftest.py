"""Fixtures for the tests of both engines; no torch is imported before a test asks for one."""

from __future__ import annotations

import pytest
from PIL import Image


@pytest.fixture
def pictures() -> list[Image.Image]:
    """A square, a wide and a tall picture."""
    from checkpoints import draw_pictures

    return draw_pictures()
