"""Tests of `models.names`: what the user calls a model, and how a name that is none of these is reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clipsim.errors import UnknownModelError
from clipsim.models.catalogue import BUNDLED, BUNDLED_PATH, OPENAI_NAMES, find_model_info, list_models
from clipsim.models.names import ModelSpec, find_model

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(("name", "architecture"), OPENAI_NAMES.items())
def test_openais_nine_names_mean_openais_weights(name: str, architecture: str) -> None:
    """The names of OpenAI's package are OpenCLIP's architectures with the tag `openai`."""
    spec = find_model(name)
    assert spec == find_model(f"{architecture}/openai")
    assert (spec.name, spec.kind) == (f"{architecture}/openai", "tag")
    assert (spec.architecture, spec.pretrained) == (architecture, "openai")


def test_the_names_of_openais_package_are_all_there() -> None:
    """What `clip.available_models()` lists, in its order."""
    assert list(OPENAI_NAMES) == [
        "RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px",
    ]  # fmt: skip


def test_architecture_and_tag_name_a_model() -> None:
    """ARCH/TAG as OpenCLIP writes them, with the repository that has the weights."""
    assert find_model("ViT-B-32/laion2b_s34b_b79k") == ModelSpec(
        "ViT-B-32/laion2b_s34b_b79k", "tag", "ViT-B-32", "laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    )


def test_an_architecture_with_a_single_tag_needs_no_tag() -> None:
    """There is nothing to choose."""
    assert find_model("ViT-H-14-378") == find_model("ViT-H-14-378/dfn5b")


def test_an_architecture_with_several_tags_is_an_error_that_lists_them() -> None:
    """Clipsim does not choose for the user."""
    with pytest.raises(
        UnknownModelError, match="'ViT-B-16-quickgelu' has several sets of weights; choose one: "
    ) as caught:
        find_model("ViT-B-16-quickgelu")
    tags = [facts.name for facts in list_models() if facts.architecture == "ViT-B-16-quickgelu"]
    assert len(tags) > 1
    assert "choose one: " + ", ".join(tags) + " (" in str(caught.value)


def test_an_architecture_without_weights_is_an_error_with_its_remedy() -> None:
    """It has a name but no weights to load."""
    with pytest.raises(UnknownModelError, match="without published weights; give it your own with weights='FILE'"):
        find_model("coca_base")


def test_a_repository_of_the_hub_is_written_with_a_prefix() -> None:
    """`hf-hub:ORG/REPO` is not looked up: the repository contains its configuration."""
    assert find_model("hf-hub:laion/some-model") == ModelSpec(
        "hf-hub:laion/some-model", "hub", repository="laion/some-model"
    )


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:laion", "hf-hub:/x", "hf-hub:x/", "hf-hub:a/b/c"])
def test_a_malformed_repository_is_an_error_that_shows_the_form(name: str) -> None:
    """The form is checked before the network is used."""
    with pytest.raises(UnknownModelError, match="a Hub model is written hf-hub:ORG/REPO"):
        find_model(name)


def test_the_bundled_model_has_a_name() -> None:
    """It is a folder like any other, in the package."""
    assert find_model(BUNDLED) == ModelSpec(BUNDLED, "directory", path=BUNDLED_PATH)


def test_a_folder_and_a_file_are_models(home: Path) -> None:
    """A folder is a model with its configuration, a file a checkpoint in OpenAI's layout."""
    (home / "folder").mkdir()
    (home / "weights.pt").write_bytes(b"")
    assert find_model(str(home / "folder")) == ModelSpec(str(home / "folder"), "directory", path=home / "folder")
    assert find_model(str(home / "weights.pt")) == ModelSpec(
        str(home / "weights.pt"), "checkpoint", path=home / "weights.pt"
    )


def test_a_name_of_the_catalogue_wins_over_a_folder() -> None:
    """A folder called `RN50` cannot take the place of the model; `./RN50` is the folder."""
    Path("RN50").mkdir()
    assert find_model("RN50").kind == "tag"
    assert find_model("./RN50").kind == "directory"


def test_weights_go_with_an_architecture(home: Path) -> None:
    """The architecture is named as OpenCLIP or OpenAI names it."""
    weights = home / "own.pt"
    weights.write_bytes(b"")
    expected = ModelSpec("ViT-B-32", "weights", "ViT-B-32", None, path=weights)
    assert find_model("ViT-B-32", str(weights)) == expected
    assert find_model("ViT-B/32", str(weights)) == replace(expected, named_by_openai=True)


def test_weights_that_fit_nothing_are_an_error(home: Path) -> None:
    """The model is complete already or unknown, or the file is missing."""
    weights = home / "own.pt"
    weights.write_bytes(b"")
    for name in ("ViT-B-32/openai", BUNDLED, "nonsense"):
        with pytest.raises(UnknownModelError, match=f"^weights=.*: needs the name of an .*'{name}' is not one"):
            find_model(name, str(weights))
    with pytest.raises(UnknownModelError, match=r"gone\.pt': no such file"):
        find_model("ViT-B-32", str(home / "gone.pt"))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("vit-b/32", "ViT-B/32"),
        ("ViT-B-32:openai", "ViT-B-32/openai"),
        ("ViT-L/14@334px", "ViT-L/14@336px"),
        ("clipsim-mimi", "clipsim-mini"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest_names(name: str, nearest: str) -> None:
    """A misspelt name is found in the message."""
    with pytest.raises(UnknownModelError, match=f"'{name}'; did you mean .*{nearest}.* lists the names"):
        find_model(name)


def test_a_name_like_no_other_is_an_error_without_suggestions() -> None:
    """No name is suggested where none is similar."""
    with pytest.raises(UnknownModelError) as caught:
        find_model("qqqq")
    assert str(caught.value) == "no model, file or folder is called 'qqqq'; 'clipsim models' lists the names"


def test_a_missing_path_is_reported_as_a_path() -> None:
    """The message does not speak of models."""
    with pytest.raises(UnknownModelError, match=r"^some/where/model\.pt: no such file or directory$"):
        find_model("some/where/model.pt")


@pytest.mark.parametrize("name", ["", "a" * 5000, "nul\0byte", "line\nbreak\x1b[31m", "x/" * 3000 + "y.pt"])
def test_any_string_as_a_name_ends_in_one_harmless_line(name: str) -> None:
    """No name is too long for a message, or can write to the terminal."""
    for weights in (None, name):
        with pytest.raises(UnknownModelError) as caught:
            find_model(name, weights)
        assert str(caught.value).isprintable()


def test_every_listed_name_and_alias_is_found_again() -> None:
    """What `clipsim models` prints, `--model` accepts."""
    for facts in list_models():
        for name in (facts.name, *facts.aliases):
            assert find_model_info(name) == facts
            spec = find_model(name)
            assert spec.name == facts.name
            assert spec.repository == facts.repository
