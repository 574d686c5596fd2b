"""Tests of weights that are saved and loaded again, and of what a file or its folder says of its model."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from checkpoints import CONFIGS, PREPROCESS, random_model, state_of, write_folder, write_model
from PIL import Image
from safetensors.torch import save_file
from transformers_folders import TEXTS, write_clip
from vocabularies import write_siglip

import clipsim
from clipsim.errors import WeightsError
from clipsim.models.catalogue import read_catalogue

ODD_HEADS: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "patch_size": 16},
}
ODD_HEADS["vision_cfg"]["head_width"] = 16
ODD_HEADS["text_cfg"] = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2}


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """ViT-B-32, and so OpenAI's ViT-B/32, is a model of the tests' size."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", CONFIGS["vit"])
    facts = read_catalogue()["architectures"]["ViT-B-32"] | {"image_size": 48, "embed_dim": 32}
    monkeypatch.setitem(read_catalogue()["architectures"], "ViT-B-32", facts)


def features(model: Any, preprocess: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of a picture and of texts."""
    pixels = preprocess(Image.linear_gradient("L").convert("RGB").resize((90, 60)))[None]
    with torch.no_grad():
        return model.encode_image(pixels), model.encode_text(model.tokenize(TEXTS))


@pytest.mark.parametrize("family", [*CONFIGS, "odd heads"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_state_dict_of_a_loaded_model_is_that_model_again(tmp_path: Path, family: str, nested: bool) -> None:
    """To the last bit, whatever the activation, the heads, the pooling and the preprocessing, and without a warning."""
    config = ODD_HEADS if family == "odd heads" else CONFIGS[family]
    folder = write_model(tmp_path / "model", config, PREPROCESS.get(family, {"mean": [0.5, 0.4, 0.3]}))
    model, preprocess = clipsim.load(str(folder), device="cpu")
    with torch.no_grad():
        model.logit_scale.fill_(1.23456)
    state = model.state_dict()
    torch.save({"epoch": 3, "state_dict": state} if nested else state, tmp_path / "saved.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again, transform = clipsim.load(tmp_path / "saved.pt", device="cpu")

    assert again.logit_scale.item() == model.logit_scale.item()
    for found, expected in zip(features(again, transform), features(model, preprocess), strict=True):
        assert torch.equal(found, expected)
    picture = Image.new("RGB", (70, 60), "teal")
    result = clipsim.rank(picture, TEXTS, model=str(tmp_path / "saved.pt"), device="cpu", cache=False)
    whole = clipsim.rank(picture, TEXTS, model=str(folder), device="cpu", cache=False)
    assert result.similarity == pytest.approx(whole.similarity, abs=5e-7)
    assert result.warnings == ()


def test_a_second_round_and_a_wrapped_model(tmp_path: Path) -> None:
    """A model that was loaded from a state dict can be saved again, also as a part of another module."""
    model, preprocess = clipsim.load(str(write_folder(tmp_path / "model", "vit")), device="cpu")
    expected = features(model, preprocess)[1]
    for number in range(2):
        wrapped = torch.nn.Module()
        wrapped.model = model
        torch.save(wrapped.state_dict(), tmp_path / f"{number}.pt", _use_new_zipfile_serialization=number == 0)
        model, preprocess = clipsim.load(tmp_path / f"{number}.pt", device="cpu")

        assert torch.equal(features(model, preprocess)[1], expected)


def test_openclip_reads_such_a_file(tmp_path: Path) -> None:
    """What it says of itself is not among its tensors."""
    model, _ = clipsim.load(str(write_folder(tmp_path / "model", "vit")), device="cpu")
    torch.save(model.state_dict(), tmp_path / "saved.pt")
    plain = open_clip.CLIP(**CONFIGS["vit"]).eval()
    open_clip.load_checkpoint(plain, str(tmp_path / "saved.pt"))
    tokens = clipsim.tokenize(TEXTS)
    with torch.no_grad():
        assert plain.encode_text(tokens).numpy() == pytest.approx(model.encode_text(tokens).numpy(), abs=1e-5)


def test_a_state_dict_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    """What is not in the file cannot be guessed; the error says how to load it."""
    model, _ = clipsim.load(str(write_siglip(tmp_path / "model")), device="cpu")
    torch.save(model.state_dict(), tmp_path / "saved.pt")

    with pytest.raises(WeightsError, match=r"tokenizer of its own.*load_state_dict"):
        clipsim.load(tmp_path / "saved.pt", device="cpu")


@pytest.mark.parametrize("text", ["{", "[]", '{"model_cfg": 3}', '{"model_cfg": {"embed_dim": 1}}', "[" * 100_000])
def test_a_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    """It is never passed over for a guess."""
    state: Any = torch.nn.Linear(2, 2).state_dict()
    state._metadata[""]["clipsim"] = "clipsim.checkpoint/1 " + text
    torch.save(state, tmp_path / "saved.pt")

    with pytest.raises(WeightsError, match=r"saved\.pt: "):
        clipsim.open(str(tmp_path / "saved.pt"))


def test_a_copy_that_lost_the_description_is_a_guess_that_is_said(tmp_path: Path) -> None:
    """Other containers keep tensors alone; fp16 does not make such a file OpenAI's."""
    model, _ = clipsim.load(str(write_folder(tmp_path / "model", "vit")), device="cpu")
    save_file(model.state_dict(), tmp_path / "copy.safetensors")
    torch.save({name: tensor.half() for name, tensor in model.state_dict().items()}, tmp_path / "half.pt")
    traced = torch.jit.load(write_traced(tmp_path))  # type: ignore[no-untyped-call]
    assert traced.encode_text(clipsim.tokenize(TEXTS)).shape == (3, 32)
    for name in ("copy.safetensors", "half.pt", "traced.pt"):
        result = clipsim.rank(Image.new("RGB", (60, 50)), TEXTS, model=str(tmp_path / name), cache=False)
        assert "does not say which model it is" in result.warnings[0]


def write_traced(folder: Path) -> Path:
    """A trace of OpenCLIP's own model, as its `trace_model` makes it."""
    model, tokens = random_model("vit"), clipsim.tokenize(TEXTS)
    trace: Any = torch.jit.trace_module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = {"encode_image": (torch.zeros(2, 3, 48, 48),), "encode_text": (tokens,)}
        trace(model, inputs, check_trace=False).save(folder / "traced.pt")
    return folder / "traced.pt"


@pytest.mark.parametrize("family", CONFIGS)
def test_a_traced_model_that_is_saved_is_that_model_again(tmp_path: Path, family: str) -> None:
    """With the three sizes that OpenAI's archives have as tensors, and without a warning when it is loaded."""
    traced, _ = clipsim.load(str(write_folder(tmp_path / "model", family)), device="cpu", jit=True)
    assert (traced.input_resolution.item(), traced.vocab_size.item()) == (traced.visual.input_resolution, 49408)
    tokens = clipsim.tokenize(TEXTS, context_length=traced.context_length.item())
    traced.save(tmp_path / "saved.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again, _ = clipsim.load(tmp_path / "saved.pt", device="cpu")
    with torch.no_grad():
        expected = traced.encode_text(tokens).numpy()
        assert again.encode_text(tokens).numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(("name", "numbers", "activation"), [("ViT-B/32", False, True), ("ViT-B-32", True, True)])
def test_openais_weights_have_quick_gelu(tmp_path: Path, name: str, numbers: bool, activation: bool) -> None:
    """Whether the name or the file says that they are OpenAI's."""
    state = state_of(random_model("quickgelu"))
    torch.save(state | ({"input_resolution": torch.tensor(48)} if numbers else {}), tmp_path / "own.pt")
    picture = Image.linear_gradient("L").convert("RGB").resize((90, 60))
    folder = write_folder(tmp_path / "model", "quickgelu")
    expected = clipsim.rank(picture, TEXTS, model=str(folder), cache=False).similarity
    result = clipsim.rank(picture, TEXTS, model=name, weights=str(tmp_path / "own.pt"), cache=False)

    assert result.similarity == pytest.approx(expected, abs=1e-6)
    assert any("QuickGELU" in warning for warning in result.warnings) == numbers
    plain = clipsim.rank(picture, TEXTS, model="ViT-B-32", weights=str(save_state(tmp_path, state)), cache=False)
    assert plain.similarity != pytest.approx(expected, abs=1e-3)


def test_a_name_of_both_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RN50 is OpenAI's and OpenCLIP's; without more it is OpenCLIP's, with a notice."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "RN50", CONFIGS["resnet"])
    facts = read_catalogue()["architectures"]["RN50"] | {"image_size": 64, "embed_dim": 32}
    monkeypatch.setitem(read_catalogue()["architectures"], "RN50", facts)
    save_file(state_of(random_model("resnet")), tmp_path / "own.safetensors")
    picture = Image.linear_gradient("L").convert("RGB").resize((90, 60))
    result = clipsim.rank(picture, TEXTS, model="RN50", weights=str(tmp_path / "own.safetensors"), cache=False)
    expected = clipsim.rank(picture, TEXTS, model=str(write_folder(tmp_path / "model", "resnet")), cache=False)

    assert result.similarity == pytest.approx(expected.similarity, abs=1e-6)
    assert any("OpenAI's is RN50-quickgelu" in warning for warning in result.warnings)


def save_state(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    """A file of tensors alone."""
    save_file(state, folder / "plain.safetensors")
    return folder / "plain.safetensors"


def test_a_configuration_of_transformers_goes_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's folder says which activation and which pictures; another size is refused."""
    folder = write_clip(tmp_path / "clip")
    config = {
        "embed_dim": 40,
        "vision_cfg": {"image_size": 48, "layers": 2, "width": 96, "patch_size": 16, "head_width": 32},
        "text_cfg": {"width": 64, "heads": 2, "layers": 2},
    }
    for name, changed in (("tiny", config), ("small", config | {"embed_dim": 64})):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, changed)
        monkeypatch.setitem(read_catalogue()["architectures"], name, {})
    picture = Image.linear_gradient("L").convert("RGB").resize((90, 60))
    expected = clipsim.rank(picture, TEXTS, model=str(folder), cache=False).similarity
    shutil.copy(folder / "model.safetensors", folder / "renamed.safetensors")
    for name in ("model.safetensors", "renamed.safetensors"):
        result = clipsim.rank(picture, TEXTS, model="tiny", weights=str(folder / name), cache=False)
        assert result.similarity == pytest.approx(expected, abs=1e-6)
        assert "activation is QuickGELU" in result.warnings[0]
        alone = clipsim.rank(picture, TEXTS, model=str(folder / name), cache=False)
        assert alone.similarity == pytest.approx(expected, abs=1e-6)
        with pytest.raises(
            WeightsError, match=r"embed_dim 40.*is not small; give the file, or its folder, as the model"
        ):
            clipsim.rank(picture, TEXTS, model="small", weights=str(folder / name), cache=False)
    shutil.copy(folder / "model.safetensors", tmp_path / "alone.safetensors")
    with pytest.raises(WeightsError, match="not of this architecture"):  # its blocks are narrower than OpenCLIP's
        clipsim.rank(picture, TEXTS, model="tiny", weights=str(tmp_path / "alone.safetensors"), cache=False)


def test_what_is_beside_the_weights_and_not_used_is_said(tmp_path: Path) -> None:
    """An adapter, EMA weights, and a folder of transformers without an image processor."""
    folder = write_folder(tmp_path / "model", "vit")
    (folder / "adapter_config.json").write_text("{}")
    save_file({"lora_A.weight": torch.zeros(2)}, folder / "adapter_model.safetensors")
    save_file({"x": torch.zeros(2)}, folder / "open_clip_model_ema.safetensors")
    result = clipsim.rank(Image.new("RGB", (60, 50)), TEXTS, model=str(folder), cache=False)
    assert [warning.partition(": ")[2].split(" (")[0][:30] for warning in result.warnings] == [
        "the adapter beside it", "the EMA weights beside it",
    ]  # fmt: skip

    (folder / "open_clip_model.safetensors").unlink()
    (folder / "open_clip_model_ema.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"an adapter.*without its model; give the model"):
        clipsim.open(str(folder))
    with pytest.raises(WeightsError, match=r"an adapter, or a model with one in it \(lora_A\.weight\)"):
        clipsim.load(folder / "adapter_model.safetensors", device="cpu")

    folder = write_clip(tmp_path / "clip")
    (folder / "preprocessor_config.json").unlink()
    (warning,) = clipsim.rank(Image.new("RGB", (60, 50)), TEXTS, model=str(folder), cache=False).warnings
    assert "no image processor" in warning
    assert json.loads((folder / "config.json").read_text())["model_type"] == "clip"
