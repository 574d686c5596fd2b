"""Tests of `models.files`: the files of a folder, and the configurations that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clipsim.errors import WeightsError
from clipsim.models.catalogue import BUNDLED_PATH, CONFIG_FILE, find_model_info, list_models
from clipsim.models.configs import MAX_CONFIG_BYTES, read_config
from clipsim.models.files import find_files, find_weights, needs_timm, weights_candidates
from clipsim.models.names import ModelSpec, find_model

WEIGHTS = "open_clip_model.safetensors"
CONFIG = json.loads((BUNDLED_PATH / CONFIG_FILE).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"model_cfg": 3}',
        '{"model_cfg": {"embed_dim": 16}}',
        '{"model_cfg": {"embed_dim": 16, "vision_cfg": [], "text_cfg": {}}}',
        '{"model_cfg": {"embed_dim": 16, "vision_cfg": {}, "text_cfg": null}}',
        '{"model_cfg": {"embed_dim": "16", "vision_cfg": {}, "text_cfg": {}}}',
        '{"model_cfg": {"embed_dim": 16, "vision_cfg": {}, "text_cfg": {"hf_model_name": {"a": 1}}}}',
        '{"a":' * 100_000,
        "\udcff",
        json.dumps(CONFIG) + " " * MAX_CONFIG_BYTES,
    ],
    ids=lambda text: text[:40].strip(),
)
def test_a_damaged_configuration_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    """Any content that is not a configuration is a WeightsError and never another exception."""
    config = tmp_path / CONFIG_FILE
    config.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(WeightsError, match=CONFIG_FILE):
        read_config(config)


def test_a_configuration_that_asks_for_code_is_refused(tmp_path: Path) -> None:
    """Code that comes with a model is never run, and an escape in the JSON does not hide that it is asked for."""
    config = tmp_path / CONFIG_FILE
    for spelling in ("trust_remote_code", "trust\\u005fremote_code"):
        config.write_text(json.dumps(CONFIG | {"x": 0}).replace('"x": 0', f'"x": {{"{spelling}": true}}'))
        with pytest.raises(WeightsError, match="runs no code"):
            read_config(config)
    config.write_text(json.dumps(CONFIG))
    assert read_config(config) == CONFIG


def test_a_folder_without_configuration_or_weights_is_an_error(tmp_path: Path) -> None:
    """Neither an architecture nor random weights replace what is missing."""
    spec = ModelSpec(str(tmp_path), "directory", path=tmp_path)
    with pytest.raises(WeightsError, match=f"no {CONFIG_FILE} in this folder"):
        find_files(spec)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(CONFIG))
    with pytest.raises(WeightsError, match=f"no weights in this folder; expected {WEIGHTS}"):
        find_files(spec)
    (tmp_path / WEIGHTS).write_bytes(b"tensors")
    assert find_files(spec).weights == tmp_path / WEIGHTS


def test_a_folder_with_one_checkpoint_of_another_name_is_a_model(tmp_path: Path) -> None:
    """A checkpoint of any name is used where it is the only one; of two, neither is."""
    spec = ModelSpec(str(tmp_path), "directory", path=tmp_path)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(CONFIG))
    (tmp_path / "epoch_10.bin").write_bytes(b"tensors")
    assert find_files(spec).weights == tmp_path / "epoch_10.bin"
    (tmp_path / "epoch_11.safetensors").write_bytes(b"tensors")
    with pytest.raises(WeightsError, match="no weights in this folder"):
        find_files(spec)
    (tmp_path / WEIGHTS).write_bytes(b"tensors")
    assert find_files(spec).weights == tmp_path / WEIGHTS


def test_a_tokenizer_that_asks_for_code_is_refused(tmp_path: Path) -> None:
    """`auto_map` in a file of the tokenizer would make transformers run the model's code, escaped or not."""
    model = CONFIG["model_cfg"]
    config = CONFIG | {"model_cfg": model | {"text_cfg": model["text_cfg"] | {"hf_tokenizer_name": "own"}}}
    spec = ModelSpec(str(tmp_path), "directory", path=tmp_path)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config))
    (tmp_path / WEIGHTS).write_bytes(b"tensors")
    assert find_files(spec).tokenizer == tmp_path
    for spelling in ("auto_map", "auto\\u005fmap"):
        (tmp_path / "tokenizer_config.json").write_text(f'{{"{spelling}": {{"AutoTokenizer": ["code.Tokenizer"]}}}}')
        with pytest.raises(WeightsError, match=r"tokenizer_config\.json: asks for 'auto_map'.* runs no code"):
            find_files(spec)


def test_the_bundled_model_is_always_on_this_machine() -> None:
    """It comes with the package."""
    facts = find_model_info("clipsim-mini")
    assert facts is not None
    weights = find_weights(facts)
    assert weights is not None
    assert weights.is_file()


def test_safetensors_are_preferred_to_pickles() -> None:
    """A repository's own file name is tried with the suffix .safetensors first."""
    usual = find_model_info("ViT-B-32/laion2b_s34b_b79k")
    assert usual is not None
    assert weights_candidates(usual)[0] == WEIGHTS
    for facts in list_models():
        if facts.file is not None:
            first, second = weights_candidates(facts)
            assert first == f"{facts.file.rpartition('.')[0]}.safetensors"
            assert second == facts.file


def test_the_towers_that_timm_builds_are_known_before_they_are_built(tmp_path: Path) -> None:
    """By the catalogue for a named model, by its configuration for a folder."""
    weights = tmp_path / WEIGHTS
    weights.write_bytes(b"tensors")
    assert needs_timm(find_model("convnext_base", str(weights)), find_files(find_model("convnext_base", str(weights))))
    assert not needs_timm(find_model("ViT-B-32", str(weights)), find_files(find_model("ViT-B-32", str(weights))))
    spec = ModelSpec(str(tmp_path), "directory", path=tmp_path)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(CONFIG))
    assert not needs_timm(spec, find_files(spec))
    model = CONFIG["model_cfg"]
    config = CONFIG | {"model_cfg": model | {"vision_cfg": model["vision_cfg"] | {"timm_model_name": "resnet18"}}}
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config))
    assert needs_timm(spec, find_files(spec))
