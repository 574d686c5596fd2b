"""Tests of folders with a SiglipModel of `transformers`: its own cosines and probabilities, or the reason for none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import Run
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers_folders import SIGLIP_TEXTS, siglip_reference, write_siglip_model

import clipsim
from clipsim.errors import ModelError, TextError, WeightsError

pytestmark = pytest.mark.skipif(transformers.__version__.startswith("4."), reason="prepares pictures by Pillow")
TOWERS = ("text_model", "vision_model")
CHANGES: dict[str, dict[str, Any]] = {
    "usual": {},
    "gemma": {"tokenizer": "gemma"},
    "exact gelu": {"vision": {"hidden_act": "gelu"}, "text": {"hidden_act": "gelu"}},
    "one of each": {"vision": {"hidden_act": "gelu"}},
    "a text tower of another width": {"text": {"hidden_size": 64, "num_attention_heads": 2, "projection_size": 96}},
    "bilinear": {"processor": {"resample": 2, "image_mean": [0.4, 0.5, 0.6]}},
    "an odd ratio": {"vision": {"intermediate_size": 149}, "text": {"intermediate_size": 149}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_folder_gives_the_numbers_of_transformers(tmp_path: Path, pictures: list[Image.Image], name: str) -> None:
    """Towers, pooling, tokenizer, padding, preprocessing, scale and bias are those of the folder."""
    folder = write_siglip_model(tmp_path / "siglip", **CHANGES[name])
    cosines, probabilities = siglip_reference(folder, pictures, SIGLIP_TEXTS)
    result = clipsim.rank(pictures, SIGLIP_TEXTS, model=folder, device="cpu", cache=False)

    assert np.ptp(cosines) > 0.01
    assert result.similarity == pytest.approx(cosines, abs=1e-5)
    assert result.probabilities == pytest.approx(probabilities, abs=1e-4)
    assert (result.model.head, result.model.image_size, result.model.embed_dim) == ("sigmoid", 50, 96)
    assert result.warnings == ()


def test_capitals_and_punctuation_are_the_tokenizers(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """SigLIP's drops them, so that texts are one; Gemma's does not."""
    texts = ["A photo of a CAT!", "a photo of a cat"]
    for tokenizer, alike in (("sentencepiece", True), ("gemma", False)):
        folder = write_siglip_model(tmp_path / tokenizer, tokenizer=tokenizer)
        result = clipsim.rank(pictures, texts, model=folder, cache=False, deduplicate=False)
        cosines, _ = siglip_reference(folder, pictures, texts)
        assert result.similarity == pytest.approx(cosines, abs=1e-5)
        assert np.allclose(result.similarity[0], result.similarity[1]) == alike


def test_an_attention_mask_is_not_used_and_a_notice_says_so(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """From the cache too; the numbers are those that SigLIP was trained for."""
    folder = write_siglip_model(tmp_path / "siglip", mask=True)
    cosines, _ = siglip_reference(folder, pictures, SIGLIP_TEXTS)
    for _ in range(2):
        result = clipsim.rank(pictures, SIGLIP_TEXTS, model=folder)
        (notice,) = result.warnings
        assert "attention mask" in notice
        assert result.similarity == pytest.approx(cosines, abs=1e-5)


def test_a_text_that_is_too_long_is_an_error(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """Where transformers would cut it in silence."""
    folder = write_siglip_model(tmp_path / "siglip")
    text = "two dogs and a red house near the blue sea " * 3
    with pytest.raises(TextError, match="this model reads 24"):
        clipsim.rank(pictures, ["a cat", text], model=folder, cache=False)
    cut = clipsim.rank(pictures, ["a cat", text], model=folder, cache=False, truncate=True)
    assert cut.similarity == pytest.approx(siglip_reference(folder, pictures, ["a cat", text])[0], abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "siglip2", "architectures": ["Siglip2Model"]}, r"Siglip2Model .*\(NaFlex\).* size of its own"),
        ({"architectures": ["SiglipForImageClassification"]}, "a SiglipForImageClassification of 'transformers'"),
        ({"architectures": ["SiglipVisionModel"]}, "a SiglipVisionModel"),
        ({"vision_config": {"vision_use_head": False}}, "vision_use_head False"),
        ({"vision_config": {"hidden_act": "relu"}}, "activation 'relu'"),
        ({"vision_config": {"layer_norm_eps": 1e-5}}, "layer_norm_eps"),
        ({"vision_config": {"image_size": [224, 196]}}, "image_size"),
        ({"text_config": {"projection_size": 64}}, "vectors of texts with 64 numbers, and of images with 768"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """One line says which class or setting it is."""
    config = {"model_type": "siglip", "architectures": ["SiglipModel"], "text_config": {}, "vision_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    save_file({"logit_scale": torch.zeros(())}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=words) as caught:
        clipsim.open(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["vision_model.head.probe", "logit_scale", "text_model.head.weight"])
def test_a_tensor_that_is_missing_or_too_many_is_an_error(
    tmp_path: Path, pictures: list[Image.Image], name: str
) -> None:
    """Nothing is left as it was allocated."""
    folder = write_siglip_model(tmp_path / "siglip")
    tensors = load_file(folder / "model.safetensors")
    for changed in ({key: tensor for key, tensor in tensors.items() if key != name}, tensors | {"x": torch.ones(1)}):
        save_file(changed, folder / "model.safetensors")
        with pytest.raises(WeightsError, match=r"not of this architecture .*(missing|unknown)"):
            clipsim.rank(pictures, SIGLIP_TEXTS, model=folder, cache=False)


@pytest.mark.parametrize("size", ["num_hidden_layers", "hidden_size", "intermediate_size"])
@pytest.mark.parametrize("part", ["text_config", "vision_config"])
def test_a_model_far_larger_than_its_weights_is_refused(tmp_path: Path, part: str, size: str) -> None:
    """Before memory is taken, or time."""
    folder = write_siglip_model(tmp_path / "siglip")
    config = json.loads((folder / "config.json").read_text())
    config[part][size] = 3 * 10**9
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        clipsim.rank(Image.new("RGB", (60, 50)), SIGLIP_TEXTS, model=folder, cache=False)


def test_an_adapter_of_it(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """By transformers' names of the layers of both towers, whose queries and values are parts of larger matrices."""
    folder = write_siglip_model(tmp_path / "siglip")
    random, tensors = torch.Generator().manual_seed(1), {}
    layers = [f"{tower}.encoder.layers.1.self_attn.{part}_proj" for tower in TOWERS for part in ("q", "v", "out")]
    for layer in layers:
        for part, shape in (("A", (4, 96)), ("B", (96, 4))):
            tensors[f"base_model.model.{layer}.lora_{part}.weight"] = 0.4 * torch.randn(shape, generator=random)
    adapter = tmp_path / "lora"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 6}))
    save_file(tensors, adapter / "adapter_model.safetensors")
    plain, _ = siglip_reference(folder, pictures, SIGLIP_TEXTS)
    result = clipsim.rank(pictures, SIGLIP_TEXTS, model=folder, adapter=adapter, cache=False)
    state = load_file(folder / "model.safetensors")
    for layer in layers:
        a, b = (tensors[f"base_model.model.{layer}.lora_{part}.weight"] for part in "AB")
        state[f"{layer}.weight"] += 6 / 4 * b @ a
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    cosines, _ = siglip_reference(folder, pictures, SIGLIP_TEXTS)

    assert np.abs(cosines - plain).max() > 0.01
    assert result.similarity == pytest.approx(cosines, abs=1e-5)


def test_the_command_line_ranks_shows_and_does_not_export_it(
    tmp_path: Path, pictures: list[Image.Image], run_model: Run
) -> None:
    """The installed command gives the same numbers; an export is refused in one line."""
    folder = write_siglip_model(tmp_path / "siglip")
    pictures[1].save(tmp_path / "a.png")
    texts = [part for text in SIGLIP_TEXTS for part in ("-t", text)]
    done = run_model("rank", tmp_path / "a.png", *texts, "-m", folder, "--json")
    assert done.returncode == 0, done.stderr
    cosines, _ = siglip_reference(folder, [pictures[1]], SIGLIP_TEXTS)
    assert np.array(json.loads(done.stdout)["similarity"]) == pytest.approx(cosines, abs=1e-5)
    facts = json.loads(run_model("models", "show", folder, "--json").stdout)
    assert (facts["image_size"], facts["context_length"]) == (50, 24)
    done = run_model("models", "export", folder)
    assert done.returncode == 1
    assert b"resized by torchvision, so it cannot be exported" in done.stderr
