"""Tests of `engines.plugin_encoder`: what is right is passed on, anything else is an error that names the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.engines.plugin_encoder import PluginEncoder
from clipsim.errors import PluginError, TextError
from clipsim.plugins import Plugin

RED = Image.new("RGB", (20, 10), "red")
TEXTS = ["red", "blue"]
GIVEN = {"prepare_image": RED, "encode_images": np.zeros((1, 8, 8, 3), np.uint8)}


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Plugin:
    """One of no installed package."""
    monkeypatch.setattr(Plugin, "__init__", lambda self: None)
    plugin = Plugin()  # type: ignore[call-arg]
    plugin._kind, plugin._name, plugin._packages = "engine", "tiny", "clipsim-tiny 1.5"
    return plugin


def test_what_is_right_is_passed_on(plugin: Plugin) -> None:
    """Arrays, facts, and errors that clipsim knows."""
    plain = FakeEncoder()
    encoder = PluginEncoder(plain, plugin)
    pixels = encoder.prepare_image(RED)[None]

    assert (encoder.facts, encoder.image_size) == (plain.facts, plain.image_size)
    assert (encoder.encode_images(pixels) == plain.encode_images(pixels)).all()
    assert (encoder.encode_texts(TEXTS, truncate=False) == plain.encode_texts(TEXTS, truncate=False)).all()
    assert (encoder.tokenize(TEXTS, truncate=False) == plain.tokenize(TEXTS, truncate=False)).all()
    assert encoder.count_tokens(TEXTS, truncate=False) == plain.count_tokens(TEXTS, truncate=False)
    with pytest.raises(TextError):
        encoder.encode_texts(["a b c d e f g"], truncate=False)


@pytest.mark.parametrize(
    ("method", "change", "cause"),
    [
        ("prepare_image", lambda pixels: pixels[:, :, 0], "returns uint8 (8, 8), not uint8 (any, any, 3)"),
        ("prepare_image", lambda pixels: pixels / 255, "returns float64 (8, 8, 3), not uint8 (any, any, 3)"),
        ("encode_images", lambda features: features[1:], "returns float32 (0, 4), not float32 (1, 4)"),
        ("encode_texts", lambda features: features.tolist(), "returns list, not float32 (2, 4)"),
        ("encode_texts", np.ma.asarray, "returns MaskedArray, not float32 (2, 4)"),
        ("encode_texts", lambda features: features[0], "returns float32 (4), not float32 (2, 4)"),
        ("tokenize", lambda tokens: tokens[0], "returns int64 (5), not int64 (2, any)"),
        ("count_tokens", lambda counts: counts[1:], "returns 1 numbers for 2 texts"),
    ],
)
def test_what_is_wrong_names_the_package(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch, method: str, change: Callable[[Any], Any], cause: str
) -> None:
    """Wherever it is noticed first."""
    original = getattr(FakeEncoder, method)
    monkeypatch.setattr(FakeEncoder, method, lambda *args, **options: change(original(*args, **options)))
    call = getattr(PluginEncoder(FakeEncoder(), plugin), method)

    with pytest.raises(PluginError) as raised:
        call(GIVEN.get(method, TEXTS), **({} if method in GIVEN else {"truncate": False}))
    assert str(raised.value) == f"engine='tiny': clipsim-tiny 1.5: {method} {cause}"
