"""Tests of `engines.torch.build`: configurations and weights that belong together, and those that do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from checkpoints import CONFIGS, open_path, random_model, state_of, write_folder
from PIL import Image
from safetensors.torch import save_file

from clipsim.engines.torch.build import build_model
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.errors import ModelError, WeightsError
from clipsim.models.catalogue import read_catalogue
from clipsim.models.files import find_files
from clipsim.models.names import find_model


def test_an_openclip_state_dict_with_its_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture's name with `weights` is what OpenCLIP's `pretrained=FILE` loads."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-S-32-tiny", CONFIGS["vit"])
    monkeypatch.setitem(read_catalogue()["architectures"], "ViT-S-32-tiny", {})
    save_file(state_of(random_model("vit")), tmp_path / "own.safetensors")
    torch.save(state_of(random_model("vit")), tmp_path / "own.pt")
    picture = Image.new("RGB", (90, 60), "teal")

    plain, _, preprocess = open_clip.create_model_and_transforms(
        "ViT-S-32-tiny", pretrained=str(tmp_path / "own.safetensors")
    )
    with torch.no_grad():
        expected = plain.encode_image(preprocess(picture)[None]).numpy()

    for name in ("own.safetensors", "own.pt"):
        spec = find_model("ViT-S-32-tiny", str(tmp_path / name))
        encoder = ClipEncoder(spec, find_files(spec))
        assert encoder.encode_images(encoder.prepare_image(picture)[None]) == pytest.approx(expected, abs=1e-5)


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    """Nothing is initialised at random before the weights are put in: the generator's state is unchanged."""
    spec = find_model(str(write_folder(tmp_path, "vit")))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build_model(spec, find_files(spec))

    assert torch.equal(torch.get_rng_state(), before)


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    """The error counts the tensors that do not fit and names one."""
    folder = write_folder(tmp_path / "model", "vit")
    save_file(state_of(random_model("resnet")), folder / "open_clip_model.safetensors")

    with pytest.raises(WeightsError, match=r"not of this architecture.*tensors are missing, visual\."):
        open_path(folder)


def test_a_logit_scale_that_is_not_finite(tmp_path: Path) -> None:
    """NaN, or a number whose exponential overflows, is an error."""
    for number, scale in enumerate((float("nan"), 1000.0)):
        folder = write_folder(tmp_path / str(number), "vit")
        state = state_of(random_model("vit"))
        state["logit_scale"].fill_(scale)
        save_file(state, folder / "open_clip_model.safetensors")
        with pytest.raises(WeightsError, match="logit_scale is not finite"):
            open_path(folder)


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.complex64])
def test_weights_that_are_not_floating_point(tmp_path: Path, kind: torch.dtype) -> None:
    """Integers may be quantised weights, so they are refused and not converted; so are complex numbers."""
    folder = write_folder(tmp_path, "vit")
    state = {name: tensor.to(kind) for name, tensor in state_of(random_model("vit")).items()}
    try:
        save_file(state, folder / "open_clip_model.safetensors")
    except KeyError:
        pytest.skip("this version of safetensors has no complex numbers")

    with pytest.raises(WeightsError, match="of another kind of number"):
        open_path(folder)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"preprocess_cfg": {"interpolation": "lanczos"}}, "preprocessing settings"),
        ({"preprocess_cfg": {"mean": "x"}}, "preprocessing settings"),
        ({"preprocess_cfg": [1]}, "preprocess_cfg"),
        ({"model_cfg": {"text_cfg": {"vocab_size": 100}}}, "vocabulary of 100|not of this architecture"),
        ({"model_cfg": {"text_cfg": {"tokenizer_kwargs": {"reduction_mask": "random"}}}}, "reduction_mask"),
        ({"model_cfg": {"vision_cfg": {"timm_model_name": "hf-hub:a/b"}}}, "from elsewhere"),
        ({"model_cfg": {"vision_cfg": {"layers": "many"}}}, "cannot build this architecture"),
        ({"model_cfg": {"vision_cfg": {"layers": 10**6}}}, "far larger than the weights"),
        ({"model_cfg": {"text_cfg": {"layers": 10**6}}}, "far larger than the weights"),
        ({"model_cfg": {"vision_cfg": {"image_size": 100_000}}}, "far larger than the weights"),
        ({"model_cfg": {"text_cfg": {"context_length": 100_000}}}, "far larger than the weights"),
        ({"model_cfg": {"text_cfg": {"vocab_size": 10**12}}}, "far larger than the weights"),
        ({"model_cfg": {"embed_dim": 10**12}}, "far larger than the weights"),
    ],
)
def test_configurations_that_cannot_be_built(tmp_path: Path, change: dict[str, Any], cause: str) -> None:
    """Each is one error that says what is wrong; none reaches the network or falls back to random weights."""
    folder = write_folder(tmp_path, "vit")
    config = json.loads((folder / "open_clip_config.json").read_text())
    for section, settings in change.items():
        if isinstance(settings, dict):
            for key, value in settings.items():
                inner = config[section].get(key)
                config[section][key] = inner | value if isinstance(inner, dict) else value
        else:
            config[section] = settings
    (folder / "open_clip_config.json").write_text(json.dumps(config))

    with pytest.raises(ModelError, match=cause):
        open_path(folder)


def test_a_configuration_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    """The file's size is limited before its content is looked at."""
    folder = write_folder(tmp_path, "vit")
    with (folder / "open_clip_config.json").open("r+b") as file:
        file.truncate(40 << 30)

    with pytest.raises(WeightsError, match="cannot read the configuration"):
        open_path(folder)


def test_code_beside_a_tokenizer_is_never_run(tmp_path: Path) -> None:
    """A tokenizer that brings code is refused, and nothing is asked on the terminal."""
    folder = write_folder(tmp_path, "vit")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "own"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["evil.Tokenizer", null]}}')

    with pytest.raises(WeightsError, match=r"tokenizer_config\.json: asks for 'auto_map'"):
        open_path(folder)


@pytest.mark.parametrize("text", ['{"auto\\u005fmap": {"AutoTokenizer": ["evil.Tokenizer", null]}}', "{", "[" * 10**6])
def test_settings_beside_a_tokenizer_are_parsed_before_they_are_trusted(tmp_path: Path, text: str) -> None:
    """An escape in a key does not hide it, and a file that cannot be parsed is refused."""
    folder = write_folder(tmp_path, "vit")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "own"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(text)

    with pytest.raises(WeightsError, match=r"tokenizer_config\.json: (asks for 'auto_map'|cannot read)"):
        open_path(folder)
