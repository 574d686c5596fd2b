"""Tests of folders that `transformers` writes: its own numbers, or the name of what is not supported."""

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
from transformers_folders import TEXT, TEXTS, VISION, reference, write_clip

import clipsim
from clipsim.errors import WeightsError

as_transformers_5 = pytest.mark.skipif(
    transformers.__version__.startswith("4."), reason="prepares pictures by Pillow; clipsim as transformers 5 does"
)


@as_transformers_5
@pytest.mark.parametrize(
    "changes", [{}, {"hidden_act": "gelu"}, {"size": {"height": 48, "width": 48}}], ids=["quick_gelu", "gelu", "squash"]
)
def test_a_folder_gives_the_numbers_of_transformers(
    tmp_path: Path, pictures: list[Image.Image], changes: dict[str, Any]
) -> None:
    """Weights, activation, tokenizer and preprocessing are those of the folder."""
    folder = write_clip(tmp_path / "clip", **changes)
    expected = reference(folder, pictures)
    result = clipsim.rank(pictures, TEXTS, model=str(folder), device="cpu", cache=False)

    assert np.ptp(expected) > 0.01
    assert result.similarity == pytest.approx(expected, abs=1e-5)
    assert result.warnings == ()


@as_transformers_5
def test_the_command_line_reads_such_a_folder(tmp_path: Path, pictures: list[Image.Image], run_model: Run) -> None:
    """The installed command gives the same numbers, and so does a path to the weights in the folder."""
    folder = write_clip(tmp_path / "clip")
    names = []
    for number, picture in enumerate(pictures):
        names.append(str(tmp_path / f"{number}.png"))
        picture.save(names[-1])
    texts = [part for text in TEXTS for part in ("-t", text)]
    done = run_model("rank", *names, *texts, "-m", folder / "model.safetensors", "--json")

    assert done.returncode == 0, done.stderr
    assert np.array(json.loads(done.stdout)["similarity"]) == pytest.approx(reference(folder, pictures), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "blip", "architectures": ["BlipModel"]}, "BlipModel"),
        ({"text_config": TEXT | {"hidden_act": "relu"}}, "relu"),
        ({"vision_config": VISION | {"layer_norm_eps": 1e-3}}, "layer_norm_eps"),
        ({"text_config": 7}, "not supported"),
    ],
    ids=["another class", "activation", "eps", "damaged"],
)
def test_what_is_not_supported_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """One line says which class or setting it is."""
    config = {"model_type": "clip", "architectures": ["CLIPModel"], "text_config": TEXT, "vision_config": VISION}
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    save_file({"logit_scale": torch.zeros(())}, tmp_path / "model.safetensors")

    with pytest.raises(WeightsError, match=words):
        clipsim.open(str(tmp_path))


def test_a_tensor_too_many_is_an_error(tmp_path: Path) -> None:
    """A model with parts that OpenCLIP's CLIP does not have is refused, not read in part."""
    folder = write_clip(tmp_path / "clip")
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"vision_model.encoder.layers.0.adapter.weight": torch.zeros(3)}, folder / "model.safetensors")

    with pytest.raises(WeightsError, match="adapter"):
        clipsim.rank(Image.new("RGB", (60, 50)), ["a", "b"], model=str(folder), cache=False)


def test_a_folder_without_its_tokenizer_is_refused(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """Of which transformers makes a tokenizer without words, to which all texts are one."""
    folder = write_clip(tmp_path / "clip")
    for name in ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)

    with pytest.raises(WeightsError, match=r"gives all texts the same tokens; the folder lacks .*tokenizer\.json"):
        clipsim.rank(pictures, TEXTS, model=str(folder), cache=False)


def test_tokens_that_the_model_does_not_have_are_one_line(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """A token was added to the tokenizer alone, which Python's user would see as an IndexError of torch."""
    folder = write_clip(tmp_path / "clip")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["zzyx"])
    tokenizer.save_pretrained(folder)

    assert clipsim.rank(pictures, TEXTS, model=str(folder), cache=False).errors == ()
    with pytest.raises(WeightsError, match=r"gives the id 49,408, and the model knows 49,408 tokens"):
        clipsim.rank(pictures, ["a zzyx cat"], model=str(folder), cache=False)


def test_a_tokenizer_that_pads_in_front_moves_no_positions(tmp_path: Path) -> None:
    """The vectors are those of transformers for each text by itself, without padding."""
    folder = write_clip(tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"padding_side": "left"}), encoding="utf-8")
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    pixels = torch.zeros(1, 3, 48, 48)
    with torch.no_grad():
        alone = [model(pixel_values=pixels, **tokenizer([text], return_tensors="pt")).text_embeds for text in TEXTS]

    with clipsim.open(str(folder), cache=False, device="cpu") as session:
        assert session.encode_texts(TEXTS) == pytest.approx(torch.cat(alone).numpy(), abs=1e-5)


def test_a_tensor_in_both_layouts_is_an_error(tmp_path: Path) -> None:
    """Neither is chosen silently."""
    folder = write_clip(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["token_embedding.weight"] = tensors["text_model.embeddings.token_embedding.weight"].flip(0)
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")

    with clipsim.open(str(folder), cache=False) as session, pytest.raises(WeightsError, match="two tensors"):
        session.encode_texts(TEXTS)


def test_a_padding_token_above_the_end_token_is_not_taken_for_it(tmp_path: Path) -> None:
    """With eos_token_id 2 the vector is at the greatest id, which is the end token of a text by itself."""
    folder = write_clip(tmp_path / "model", vocab_size=49409, eos_token_id=2)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    pixels = torch.zeros(1, 3, 48, 48)
    with torch.no_grad():
        alone = [model(pixel_values=pixels, **tokenizer([text], return_tensors="pt")).text_embeds for text in TEXTS]

    with clipsim.open(str(folder), cache=False, device="cpu") as session:
        assert session.encode_texts(TEXTS) == pytest.approx(torch.cat(alone).numpy(), abs=1e-5)
