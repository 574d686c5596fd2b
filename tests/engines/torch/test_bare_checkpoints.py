"""Tests of checkpoint files that come alone: OpenCLIP's numbers, or a notice, or an error; never silence."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import open_clip
import pytest
import torch
from checkpoints import CONFIGS, TEXT, VIT, build_random, random_model, state_of, write_folder
from PIL import Image
from safetensors.torch import save_file

import clipsim
from clipsim.errors import TextError, WeightsError

TEXTS = ["maze", "a photo of a cat"]


def test_a_configuration_beside_it_is_taken(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """The file alone gives the numbers of its folder, GELU and all."""
    folder = write_folder(tmp_path / "model", "vit")
    (folder / "open_clip_model.safetensors").rename(folder / "mine.safetensors")
    whole = clipsim.rank(pictures, TEXTS, model=str(folder), cache=False)
    alone = clipsim.rank(pictures, TEXTS, model=str(folder / "mine.safetensors"), cache=False)

    assert (alone.similarity == whole.similarity).all()
    assert alone.warnings == ()


def test_what_is_assumed_is_said(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """A state dict of OpenCLIP's in OpenAI's layout says nothing of itself; the result says so, from the cache too."""
    save_file(state_of(random_model("vit")), tmp_path / "mine.safetensors")
    for _ in range(2):
        result = clipsim.rank(pictures, TEXTS, model=str(tmp_path / "mine.safetensors"))

        (notice,) = result.warnings
        assert "does not say which model it is" in notice
        assert "weights" in notice


def test_what_is_made_of_the_weights_is_said(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """Positions of another size of pictures or length of texts, and a bias that is missing, from the cache too."""
    folder = write_folder(tmp_path / "vit", "vit")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["image_size"] = 96
    config["model_cfg"]["text_cfg"]["context_length"] = 64
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    for _ in range(2):
        assert clipsim.rank(pictures, TEXTS, model=folder).warnings == (
            "the checkpoint has position embeddings for 10 patches of images and the model for 37: they are "
            "interpolated",
            "the checkpoint has position embeddings for 77 tokens of texts and the model for 64: they are interpolated",
        )

    siglip = write_folder(tmp_path / "siglip", "siglip")
    state = state_of(random_model("siglip"))
    del state["logit_bias"]
    save_file(state, siglip / "open_clip_model.safetensors")
    for _ in range(2):
        (notice,) = clipsim.rank(pictures, TEXTS, model=siglip).warnings
        assert "has no logit_bias" in notice


def test_openais_own_files_need_no_notice(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """The three numbers of OpenAI's archives say what a file is; fp16 does not, since OpenCLIP saves such too."""
    model = random_model("quickgelu")
    numbers = {name: torch.tensor(value) for name, value in (("input_resolution", 48), ("context_length", 77))}
    torch.save(state_of(model) | numbers, tmp_path / "numbers.pt")
    assert clipsim.rank(pictures, TEXTS, model=str(tmp_path / "numbers.pt"), cache=False).warnings == ()

    open_clip.convert_weights_to_fp16(model)
    torch.save(state_of(model), tmp_path / "half.pt")
    (notice,) = clipsim.rank(pictures, TEXTS, model=str(tmp_path / "half.pt"), cache=False).warnings
    assert "does not say which model it is" in notice


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    """The ids of CLIP's tokenizer would mean other words."""
    config = CONFIGS["vit"] | {"text_cfg": TEXT | {"vocab_size": 60_000}}
    save_file(state_of(build_random(config)), tmp_path / "mine.safetensors")

    with pytest.raises(WeightsError, match="60,000 words"):
        clipsim.rank(Image.new("RGB", (50, 60)), TEXTS, model=str(tmp_path / "mine.safetensors"), cache=False)


def test_a_model_that_projects_to_nothing_ranks_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Vectors of length zero are errors, as those with a NaN are."""
    caplog.set_level(logging.CRITICAL)
    folder = write_folder(tmp_path / "model", "vit")
    for name, expected in (("visual.proj", "length zero"), ("text_projection", "length zero")):
        broken = tmp_path / name
        shutil.copytree(folder, broken)
        model = random_model("vit")
        with torch.no_grad():
            dict(model.named_parameters())[name].zero_()
        save_file(state_of(model), broken / "open_clip_model.safetensors")
        kind = TextError if name == "text_projection" else clipsim.ClipsimError
        with pytest.raises(kind, match=expected):
            clipsim.rank(Image.new("RGB", (50, 60), "red"), TEXTS, model=str(broken), cache=False)


def test_settings_are_read_as_openclip_reads_them(tmp_path: Path) -> None:
    """One number for mean and std, a list as colour; another mode than RGB is refused."""
    folder = write_folder(tmp_path / "model", "vit")
    config = {"model_cfg": CONFIGS["vit"], "preprocess_cfg": {"mean": 0.5, "std": 0.4, "resize_mode": "longest"}}
    config["preprocess_cfg"]["fill_color"] = [255, 0, 0]
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    picture = Image.new("RGB", (1000, 1), "white")
    settings = dict(clipsim.rank(picture, TEXTS, model=str(folder), cache=False).model.preprocess)

    assert settings["mean"] == (0.5, 0.5, 0.5)
    assert settings["fill_color"] == (255, 0, 0)
    config["preprocess_cfg"]["mode"] = "L"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="mode 'L'"):
        clipsim.rank(picture, TEXTS, model=str(folder), cache=False)
    assert VIT["image_size"] == 48
