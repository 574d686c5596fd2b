"""Tests of `engines.torch.layouts`: a checkpoint file alone, as `clip.load(path)` takes it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import CONFIGS, RESNET, VIT, open_path, random_model, state_of
from open_clip.model import build_model_from_openai_state_dict
from PIL import Image
from safetensors.torch import save_file

from clipsim.engines.torch.layouts import explain_assumption
from clipsim.errors import WeightsError

TEXTS = ["maze", "a photo of a cat", "two words & more, isn't it?"]


@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("layout", ["plain", "half", "nested", "torchscript", "safetensors"])
def test_openai_checkpoints_in_every_container(
    tmp_path: Path, pictures: list[Image.Image], vision: dict[str, Any], layout: str
) -> None:
    """A checkpoint file alone gives OpenAI's model: its architecture, QuickGELU, and matrices rounded to fp16."""
    family = "vit" if vision is VIT else "resnet"
    state = state_of(random_model(family))
    if layout == "half":
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    extras = {
        "input_resolution": torch.tensor(48),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    path = tmp_path / "model.pt"
    # holds the matrices in fp16 before it casts them to fp32, as OpenAI's code does
    model = build_model_from_openai_state_dict(dict(state)).float()
    if layout == "nested":
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    elif layout == "torchscript":
        raw = open_clip.CLIP(**CONFIGS[family], quick_gelu=True)
        raw.load_state_dict(state)
        _write_torchscript(raw.eval(), path)
    elif layout == "safetensors":
        save_file(state, path)
    else:
        torch.save(state | extras, path)

    encoder = open_path(path)
    pixels = np.stack([encoder.prepare_image(picture) for picture in pictures])
    with torch.no_grad():
        images = model.encode_image(torch.from_numpy(encoder.facts.preprocessing.normalise(pixels))).numpy()
        texts = model.encode_text(open_clip.tokenize(TEXTS)).numpy()

    assert encoder.encode_images(pixels) == pytest.approx(images, abs=1e-5)
    assert encoder.encode_texts(TEXTS) == pytest.approx(texts, abs=1e-5)
    assert encoder.facts.image_size == vision["image_size"]


def _write_torchscript(model: Any, path: Path) -> None:
    size = model.visual.image_size
    size = size if isinstance(size, int) else size[0]
    images, tokens = torch.rand(2, 3, size, size), open_clip.tokenize(["a", "b"])
    trace: Any = torch.jit.trace_module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but made OpenAI's files
        archive = trace(model, {"encode_image": (images,), "encode_text": (tokens,)}, check_trace=False)
        archive.save(str(path))


def test_a_state_dict_in_another_layout(tmp_path: Path) -> None:
    """The error says how to load it instead."""
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pt")

    with pytest.raises(WeightsError, match=r"OpenAI's layout.*model='ARCHITECTURE' and weights='FILE'"):
        open_path(tmp_path / "other.pt")


def test_the_architecture_that_is_named_fits() -> None:
    """The example in the notice has the sizes of the checkpoint, not only their number of parameters."""
    assert "its architecture, ViT-B-32, as the model" in explain_assumption(open_clip.get_model_config("ViT-B-32"))
    assert "its architecture, RN50, as the model" in explain_assumption(open_clip.get_model_config("RN50"))
