"""Tests of `models.configs`: which settings a model's images get, and when that is said."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from clipsim.errors import UsageError
from clipsim.models.catalogue import read_catalogue
from clipsim.models.configs import explain_settings, find_settings, has_transformers_names, read_config
from clipsim.models.names import ModelSpec

NAME = b"text_model.embeddings.token_embedding.weight"


def own(architecture: str, preprocess: str | None = None) -> ModelSpec:
    """A state dict of the user's."""
    return ModelSpec(architecture, "weights", architecture, path=Path("mine.pt"), preprocess=preprocess)


def test_published_weights_have_their_own() -> None:
    """A tag's settings are those of the catalogue."""
    name, settings = next(iter(read_catalogue()["preprocess"].items()))
    architecture, _, tag = name.partition("/")

    assert find_settings(ModelSpec(name, "tag", architecture, tag), None) == settings


def test_a_state_dict_gets_what_all_tags_share_and_says_so() -> None:
    """Where that is not OpenCLIP's default, a notice names the difference."""
    spec = own("ViT-B-16-SigLIP")

    assert find_settings(spec, None)["resize_mode"] == "squash"
    assert "resize_mode" in str(explain_settings(spec))
    assert explain_settings(own("ViT-B-32")) is None


def test_tags_that_disagree_give_the_default_and_say_so() -> None:
    """ViT-L-14 has weights with different settings."""
    assert find_settings(own("ViT-L-14"), None) == {}
    assert "2 ways" in str(explain_settings(own("ViT-L-14")))
    with pytest.raises(UsageError, match="different preprocessing"):
        find_settings(own("ViT-L-14", "tag"), None)


def test_a_choice_is_followed_without_a_notice(tmp_path: Path) -> None:
    """The default, or a file with the settings alone or as part of a configuration."""
    chosen = {"mean": [0.1, 0.2, 0.3], "resize_mode": "squash"}
    for content in (chosen, {"preprocess_cfg": chosen}):
        (tmp_path / "mine.json").write_text(json.dumps(content))
        assert find_settings(own("ViT-B-16-SigLIP", str(tmp_path / "mine.json")), None) == chosen
    assert find_settings(own("ViT-B-16-SigLIP", "default"), None) == {}
    assert explain_settings(own("ViT-B-16-SigLIP", "default")) is None


@pytest.mark.parametrize(("content", "words"), [(None, "no such"), ("{}", "none of mean"), ("[1]", "none of mean")])
def test_a_choice_that_does_not_exist(tmp_path: Path, content: str | None, words: str) -> None:
    """One line says what there is to choose."""
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=words):
        find_settings(own("ViT-B-32", str(path)), None)


def test_openclips_configuration_does_not_choose_another_resizing(tmp_path: Path) -> None:
    """OpenCLIP does not know the setting, and resizes by Pillow whatever its value."""
    model = {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}}
    path = tmp_path / "open_clip_config.json"
    path.write_text(json.dumps({"model_cfg": model, "preprocess_cfg": {"backend": "torchvision", "mean": [0.5] * 3}}))

    assert read_config(path)["preprocess_cfg"] == {"mean": [0.5] * 3}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'\x40\0\0\0\0\0\0\0{"' + NAME + b'": 1}', True),
        (b'\x08\0\0\0\0\0\0\0{"a": 1}' + NAME, False),  # among its numbers
        (b"\0\0\0\0\0\0\0\0{" + NAME, True),  # of no format: its beginning is searched
        (b"\x80\x02}X" + NAME, True),
        (b"{", False),
        (b"", False),
    ],
)
def test_names_of_tensors_are_looked_for_in_the_header(tmp_path: Path, content: bytes, found: bool) -> None:
    """That of a safetensors file has all of them; other files are searched from their beginning."""
    (tmp_path / "weights").write_bytes(content)

    assert has_transformers_names(tmp_path / "weights") == found


def test_a_checkpoint_that_is_shorter_than_it_says_is_left_to_the_engine(tmp_path: Path) -> None:
    """Which reports what is damaged when it reads the tensors."""
    with zipfile.ZipFile(tmp_path / "weights.pt", "w") as archive:
        archive.writestr("weights/data.pkl", NAME)
    content = bytearray((tmp_path / "weights.pt").read_bytes())
    sizes = content.index(b"PK\1\2") + 20  # compressed and not, in the directory
    content[sizes : sizes + 8] = (10_000_000).to_bytes(4, "little") * 2
    (tmp_path / "weights.pt").write_bytes(content)

    assert not has_transformers_names(tmp_path / "weights.pt")
