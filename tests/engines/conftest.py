"""Fixtures for the tests of both engines."""

from __future__ import annotations

import pytest
from checkpoints import draw_pictures
from PIL import Image


@pytest.fixture
def pictures() -> list[Image.Image]:
    """A square, a wide and a tall picture."""
    return draw_pictures()
