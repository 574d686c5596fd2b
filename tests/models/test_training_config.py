"""Tests of `models.training_config`: the folder that OpenCLIP's training writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipsim.errors import WeightsError
from clipsim.models.configs import read_config
from clipsim.models.files import explain_model, find_files
from clipsim.models.names import find_model
from clipsim.models.training_config import find_params

USUAL = {"model": "ViT-B/32", "pretrained": "", "force_image_size": None, "siglip": False, "name": "a: b", "lr": 0.001}


def write_training(folder: Path, *epochs: str, **options: object) -> Path:
    """What a training writes: `name: value` lines, and checkpoints."""
    (folder / "checkpoints").mkdir(parents=True)
    lines = (f"{name}: {value}\n" for name, value in sorted((USUAL | options).items()))
    (folder / "params.txt").write_text("".join(lines))
    for epoch in epochs:
        (folder / "checkpoints" / f"epoch_{epoch}.pt").write_bytes(b"tensors")
    return folder


def test_the_architecture_and_what_options_change_of_it(tmp_path: Path) -> None:
    """As OpenCLIP builds the model in the training."""
    folder = write_training(
        tmp_path / "a", force_image_size=[160], force_context_length=32, force_quick_gelu=True, siglip=True,
        image_mean=[0.5, 0.5, 0.5], image_std="(0.4, 0.4, 0.4)", image_interpolation="bilinear",
    )  # fmt: skip
    settings = read_config(folder / "params.txt")
    model = settings["model_cfg"]

    assert (model["embed_dim"], model["vision_cfg"]["image_size"], model["text_cfg"]["context_length"]) == (
        512,
        160,
        32,
    )
    assert (model["quick_gelu"], model["init_logit_bias"]) == (True, -10)
    assert settings["preprocess_cfg"] == {"mean": [0.5] * 3, "std": (0.4,) * 3, "interpolation": "bilinear"}
    plain = read_config(write_training(tmp_path / "b") / "params.txt")
    assert "quick_gelu" not in plain["model_cfg"]
    assert "init_logit_bias" not in plain["model_cfg"]
    assert plain["preprocess_cfg"] == {}


def test_the_preprocessing_of_the_weights_that_a_training_began_with(tmp_path: Path) -> None:
    """Options go before it."""
    folder = write_training(tmp_path, model="ViT-L-14", pretrained="laion2b_s32b_b82k", image_std=[0.3] * 3)
    assert read_config(folder / "params.txt")["preprocess_cfg"] == {"mean": [0.5] * 3, "std": [0.3] * 3}


def test_a_training_with_one_checkpoint_is_a_model(tmp_path: Path) -> None:
    """By its folder, the folder of its checkpoints, and the file."""
    folder = write_training(tmp_path, "7")
    file = folder / "checkpoints" / "epoch_7.pt"
    for name in (folder, folder / "checkpoints", file):
        files = find_files(find_model(str(name)))
        assert files.weights == file
        assert files.config == folder / "params.txt"
        assert files.settings is not None


def test_of_several_checkpoints_none_is_chosen(tmp_path: Path) -> None:
    """The error lists them; each of them alone is a model."""
    folder = write_training(tmp_path, "1", "2", "latest")
    with pytest.raises(WeightsError, match=r"as the model: epoch_1\.pt, epoch_2\.pt, epoch_latest\.pt"):
        find_files(find_model(str(folder)))
    assert find_files(find_model(str(folder / "checkpoints" / "epoch_2.pt"))).config == folder / "params.txt"


def test_other_text_files_of_that_name_are_not_read(tmp_path: Path) -> None:
    """And an architecture that OpenCLIP does not have is named."""
    (tmp_path / "params.txt").write_text("lr=3\n")
    assert find_params(tmp_path) is None
    (tmp_path / "params.txt").write_bytes(b"model: ViT-B-32\n" + b"\xff" * 100_000)
    assert find_params(tmp_path) is None
    folder = write_training(tmp_path / "own", "1", model="../ViT-B-32")
    with pytest.raises(WeightsError, match=r"the architecture '\.\.-ViT-B-32' is not one of OpenCLIP's"):
        find_files(find_model(str(folder)))


def test_a_training_from_openais_weights_says_which_activation_is_assumed(tmp_path: Path) -> None:
    """Versions of OpenCLIP differ in it."""
    spec = find_model(str(write_training(tmp_path / "a", "1", pretrained="openai")))
    (notice,) = explain_model(spec, find_files(spec))
    assert "QuickGELU" in notice
    spec = find_model(str(write_training(tmp_path / "b", "1", pretrained="openai", force_quick_gelu=True)))
    assert explain_model(spec, find_files(spec)) == ()
