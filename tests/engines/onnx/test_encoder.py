"""Tests of `engines.onnx.encoder`: what goes wrong when an accepted export is used."""

from __future__ import annotations

import numpy as np
import pytest
from exports import ExportedModel, prepare

from clipsim.engines.onnx.encoder import OnnxEncoder
from clipsim.errors import ModelError, TextError


def test_too_long_a_prompt_is_an_error(exported: ExportedModel) -> None:
    """With the words of the torch encoder."""
    encoder = OnnxEncoder(exported.spec, exported.export)

    with pytest.raises(TextError, match=r"'dog dog .*' has 202 tokens and this model reads 77; .*truncate=True"):
        encoder.encode_texts(["a cat", "dog " * 200])


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_a_file_that_cannot_be_opened_is_one_line(copied: ExportedModel, name: str) -> None:
    """Damage after the digests were compared; the error says how to go on."""
    file = copied.export.folder / name
    file.write_bytes(b"\xff" * file.stat().st_size)
    encoder = OnnxEncoder(copied.spec, copied.export)

    with pytest.raises(
        ModelError, match=r"damaged .* re-create it with 'clipsim models export', or use engine='torch'"
    ):
        (encoder.encode_images(np.zeros((1, 48, 48, 3), np.uint8)), encoder.encode_texts(["a cat"]))


def test_one_tower_is_opened_without_the_other(copied: ExportedModel) -> None:
    """A run whose text vectors are cached needs neither the text tower nor the tokenizer."""
    for name in ("text.onnx", "tokenizer.json"):
        (copied.export.folder / name).write_bytes(b"")
    encoder = OnnxEncoder(copied.spec, copied.export)

    assert encoder.encode_images(prepare(encoder, 2)).shape == (2, 32)
