"""Tests of the forms in which a model is on the disk: OpenCLIP's or transformers' cosines of each, by every door."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import transformers
from checkpoints import CONFIGS, openclip_cosines, random_model, state_of, write_folder
from conftest import Run
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers_folders import TEXTS, reference, write_clip

import clipsim
from clipsim.models import training_config

REVISION = "0123456789abcdef0123456789abcdef01234567"


def split(folder: Path, weights: str, tensors: Mapping[str, Tensor], parts: int = 3) -> None:
    """Put the tensors of a folder into several files with an index, in place of the one file."""
    (folder / weights).unlink(missing_ok=True)
    stem, _, suffix = weights.rpartition(".")
    places = {name: f"{stem}-{number % parts + 1:05}-of-{parts:05}.{suffix}" for number, name in enumerate(tensors)}
    for place in sorted(set(places.values())):
        held = {name: tensor for name, tensor in tensors.items() if places[name] == place}
        if suffix == "bin":
            torch.save(held, folder / place)
        else:
            save_file(held, folder / place)
    (folder / f"{weights}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


@pytest.mark.parametrize(
    "weights", ["open_clip_model.safetensors", "model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin"]
)
def test_openclips_folder_in_several_files(tmp_path: Path, pictures: list[Image.Image], weights: str) -> None:
    """The numbers of the same tensors in one file."""
    whole = write_folder(tmp_path / "whole", "vit")
    expected = openclip_cosines(whole, pictures, TEXTS)
    folder = tmp_path / "parts"
    folder.mkdir()
    shutil.copy(whole / "open_clip_config.json", folder)
    split(folder, weights, state_of(random_model("vit")))
    result = clipsim.rank(pictures, TEXTS, model=folder, cache=False)

    assert np.ptp(expected) > 0.01
    assert result.similarity == pytest.approx(expected, abs=1e-5)
    assert result.warnings == ()
    alone = clipsim.rank(pictures, TEXTS, model=folder / f"{weights}.index.json", cache=False)
    assert alone.similarity == pytest.approx(expected, abs=1e-5)


def as_it_is(folder: Path) -> str:
    """A folder that transformers saved in several files of its own choice."""
    model = transformers.CLIPModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="2MB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    return str(folder)


def with_pickles(folder: Path) -> str:
    """In several pickles, as older versions wrote them."""
    split(folder, "pytorch_model.bin", transformers.CLIPModel.from_pretrained(folder).state_dict())
    (folder / "model.safetensors").unlink()
    return str(folder)


def of_sentence_transformers(folder: Path) -> str:
    """In the first folder of a pipeline."""
    pipeline = folder.parent / "pipeline"
    pipeline.mkdir()
    folder.rename(pipeline / "0_CLIPModel")
    module = {"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}
    (pipeline / "modules.json").write_text(json.dumps([module]))
    return str(pipeline)


def in_a_cache(folder: Path) -> str:
    """As the cache of the Hub keeps it: links to blobs."""
    cache = folder.parent / "models--org--name"
    snapshot = cache / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    folder.rename(cache / "blobs")
    for path in (cache / "blobs").iterdir():
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(REVISION)
    return str(cache)


def by_openclips_word(folder: Path) -> str:
    """`local-dir:`."""
    return f"local-dir:{folder}"


@pytest.mark.skipif(transformers.__version__.startswith("4."), reason="prepares pictures by Pillow")
@pytest.mark.parametrize("form", [as_it_is, with_pickles, of_sentence_transformers, in_a_cache, by_openclips_word])
def test_transformers_folders(tmp_path: Path, pictures: list[Image.Image], form: Callable[[Path], str]) -> None:
    """The cosines of transformers to 1e-5."""
    folder = write_clip(tmp_path / "clip")
    expected = reference(folder, pictures)
    name = form(folder)
    result = clipsim.rank(pictures, TEXTS, model=name, cache=False)

    assert np.ptp(expected) > 0.01
    assert result.similarity == pytest.approx(expected, abs=1e-5)
    assert result.warnings == ()


def write_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What OpenCLIP's training leaves of a small model that takes the place of ViT-B-32."""
    config = folder.parent / "ViT-B-32.json"
    config.write_text(json.dumps(CONFIGS["vit"]))
    monkeypatch.setattr(training_config, "_config_file", lambda _: config)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "params.txt").write_text("force_quick_gelu: False\nmodel: ViT-B-32\nname: run\npretrained: \n")
    state = {f"module.{name}": tensor for name, tensor in state_of(random_model("vit")).items()}
    averaged = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    torch.save(
        {"epoch": 3, "name": "run", "state_dict": state, "state_dict_ema": averaged, "optimizer": {"state": {}}}
        | {"scaler": {"scale": 65536.0}, "args": argparse.Namespace(lr=np.float64(1e-3))},
        folder / "checkpoints" / "epoch_3.pt",
    )
    return folder


@pytest.mark.parametrize("at", ["", "checkpoints", "checkpoints/epoch_3.pt"])
def test_a_training_of_openclips(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """By its folder, that of its checkpoints, and the file: the trained model's numbers, and a notice of the EMA."""
    expected = openclip_cosines(write_folder(tmp_path / "whole", "vit"), pictures, TEXTS)
    result = clipsim.rank(pictures, TEXTS, model=write_training(tmp_path / "run", monkeypatch) / at, cache=False)

    assert result.similarity == pytest.approx(expected, abs=1e-5)
    assert result.warnings == ("the checkpoint: the EMA weights in it ('state_dict_ema') are not used",)


def test_the_averages_of_a_training_by_name(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their own numbers, under a name and a digest of their own, and without a notice."""
    folder = write_training(tmp_path / "run", monkeypatch)
    content = torch.load(folder / "checkpoints" / "epoch_3.pt", weights_only=False)
    other = state_of(random_model("vit", seed=1))
    content["state_dict_ema"] = {f"module.{name}": tensor for name, tensor in other.items()}
    torch.save(content, folder / "checkpoints" / "epoch_3.pt")
    expected = openclip_cosines(write_folder(tmp_path / "other", "vit", seed=1), pictures, TEXTS)
    plain = clipsim.rank(pictures, TEXTS, model=folder)
    for _ in range(2):  # from the cache too
        averaged = clipsim.rank(pictures, TEXTS, model=folder, weights_key="state_dict_ema")
        assert averaged.similarity == pytest.approx(expected, abs=1e-5)
        assert averaged.warnings == ()
    assert averaged.model.name == f"{folder} + state_dict_ema"
    assert plain.model.name == str(folder)
    with pytest.raises(clipsim.ClipsimError, match=r"no state dict is called 'ema' in it; it has .*state_dict_ema"):
        clipsim.rank(pictures, TEXTS, model=folder, weights_key="ema")


def test_a_count_of_batches_may_be_any_number(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """Averaged models hold it as a float; no vector depends on it."""
    folder = write_folder(tmp_path / "resnet", "resnet")
    expected = clipsim.rank(pictures, TEXTS, model=folder, cache=False).similarity
    state = state_of(random_model("resnet"))
    counts = [name for name in state if name.endswith("num_batches_tracked")]
    assert counts
    save_file(state | {name: torch.tensor(7.5) for name in counts}, folder / "open_clip_model.safetensors")

    assert (clipsim.rank(pictures, TEXTS, model=folder, cache=False).similarity == expected).all()


def test_the_command_line_reads_and_shows_such_folders(
    tmp_path: Path, pictures: list[Image.Image], run_model: Run
) -> None:
    """The same numbers, and the facts of `clipsim models show`; a missing part is one line."""
    folder = write_folder(tmp_path / "vit", "vit")
    expected = openclip_cosines(folder, pictures, ["a cat"])
    split(folder, "open_clip_model.safetensors", state_of(random_model("vit")))
    pictures[1].save(tmp_path / "a.png")
    done = run_model("rank", tmp_path / "a.png", "-t", "a cat", "-m", f"local-dir:{folder}", "--json")
    assert json.loads(done.stdout)["similarity"][0][0] == pytest.approx(expected[0][1], abs=1e-5)

    facts = json.loads(run_model("models", "show", folder, "--json").stdout)
    assert facts["weights"].endswith("open_clip_model.safetensors.index.json")
    assert facts["embed_dim"] == 32
    (folder / "open_clip_model-00002-of-00003.safetensors").unlink()
    done = run_model("rank", tmp_path / "a.png", "-t", "a cat", "-m", folder)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"1 of its 3 files are missing" in done.stderr


@pytest.mark.parametrize("setting", [{"pool_type": "none"}, {"output_tokens": True}], ids=str)
def test_a_tower_without_one_vector_an_image_is_one_line(
    tmp_path: Path, pictures: list[Image.Image], setting: dict[str, Any]
) -> None:
    """It gives one for each patch, or several things, and that is said."""
    model = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, **setting},
        "text_cfg": {"width": 64, "heads": 1, "layers": 1},
    }
    config = {"model_cfg": model, "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(open_clip.CLIP(**model).state_dict(), tmp_path / "open_clip_model.safetensors")
    with (
        clipsim.open(str(tmp_path), cache=False, device="cpu") as session,
        pytest.raises(clipsim.ModelError, match="one vector"),
    ):
        session.encode_images(pictures)
