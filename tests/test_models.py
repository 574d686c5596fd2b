"""What names mean, which model is the default, and that the catalogue knows every model of the installed OpenCLIP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clipsim.errors import SettingsError, UnknownModelError, UsageError
from clipsim.models.catalogue import BUNDLED, BUNDLED_PATH, OPENAI_NAMES, find_facts, list_models, read_catalogue
from clipsim.models.names import ModelSpec, find_model
from clipsim.models.settings import choose_model, default_model, save_default, settings_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has set nothing, in an empty folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("CLIPSIM_MODEL", raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return tmp_path


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
    """Where there is nothing to choose, nothing is asked."""
    assert find_model("ViT-H-14-378") == find_model("ViT-H-14-378/dfn5b")


def test_an_architecture_with_several_tags_is_an_error_that_lists_them() -> None:
    """The user chooses, not clipsim."""
    with pytest.raises(
        UnknownModelError, match="'ViT-B-16-quickgelu' has several sets of weights; choose one: "
    ) as caught:
        find_model("ViT-B-16-quickgelu")
    tags = [facts.name for facts in list_models() if facts.architecture == "ViT-B-16-quickgelu"]
    assert len(tags) > 1
    assert "choose one: " + ", ".join(tags) + " (" in str(caught.value)


def test_an_architecture_without_weights_is_an_error_that_says_how_to_give_some() -> None:
    """It has a name but nothing that could be loaded."""
    with pytest.raises(UnknownModelError, match="without published weights; give it yours with --weights FILE"):
        find_model("coca_base")


def test_a_repository_of_the_hub_is_written_with_a_prefix() -> None:
    """`hf-hub:ORG/REPO` is taken as it is, for its own configuration says the rest."""
    assert find_model("hf-hub:laion/some-model") == ModelSpec(
        "hf-hub:laion/some-model", "hub", repository="laion/some-model"
    )


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:laion", "hf-hub:/x", "hf-hub:x/", "hf-hub:a/b/c"])
def test_a_malformed_repository_is_an_error_that_shows_the_form(name: str) -> None:
    """The form is checked before any network is asked."""
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
    """--model ARCH --weights FILE; OpenAI's name of the architecture will do."""
    weights = home / "own.pt"
    weights.write_bytes(b"")
    expected = ModelSpec("ViT-B-32", "weights", "ViT-B-32", None, path=weights)
    assert find_model("ViT-B-32", str(weights)) == expected
    assert find_model("ViT-B/32", str(weights)) == expected
    assert choose_model("ViT-B-32", str(weights)) == (expected, True)


def test_weights_that_fit_nothing_are_an_error(home: Path) -> None:
    """Without architecture, with a model that is complete already, or without a file."""
    weights = home / "own.pt"
    weights.write_bytes(b"")
    with pytest.raises(UsageError, match="--weights needs --model ARCHITECTURE"):
        choose_model(None, str(weights))
    for name in ("ViT-B-32/openai", BUNDLED, "nonsense"):
        with pytest.raises(UnknownModelError, match=f"'{name}' is none"):
            find_model(name, str(weights))
    with pytest.raises(UnknownModelError, match=r"gone\.pt: no such file of weights"):
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
    """A slip of the keyboard costs one look at the message."""
    with pytest.raises(UnknownModelError, match=f"'{name}'; did you mean .*{nearest}.* lists the names"):
        find_model(name)


def test_a_name_like_no_other_is_an_error_without_suggestions() -> None:
    """Nothing is guessed where nothing is near."""
    with pytest.raises(UnknownModelError) as caught:
        find_model("qqqq")
    assert str(caught.value) == "no model, file or folder is called 'qqqq'; 'clipsim models' lists the names"


def test_a_path_that_is_not_there_is_told_as_a_path() -> None:
    """Nobody who typed a path wants to hear of models."""
    with pytest.raises(UnknownModelError, match=r"^some/where/model\.pt: no such file or directory$"):
        find_model("some/where/model.pt")


@pytest.mark.parametrize("name", ["", "a" * 5000, "nul\0byte", "line\nbreak\x1b[31m", "x/" * 3000 + "y.pt"])
def test_whatever_is_given_as_a_name_ends_in_one_harmless_line(name: str) -> None:
    """No name is too long or too strange for a message."""
    for weights in (None, name):
        with pytest.raises(UnknownModelError) as caught:
            find_model(name, weights)
        assert str(caught.value).isprintable()


def test_the_default_is_the_bundled_model_which_nobody_chose() -> None:
    """A fresh installation works, and says that it was not asked for this model."""
    assert default_model() == (BUNDLED, False)
    assert choose_model(None) == (find_model(BUNDLED), False)


def test_the_environment_goes_before_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLIPSIM_MODEL, then what was saved, then the bundled model."""
    save_default("RN101/openai")
    assert default_model() == ("RN101/openai", True)
    monkeypatch.setenv("CLIPSIM_MODEL", "ViT-B/16")
    assert default_model() == ("ViT-B/16", True)
    assert choose_model(None) == (find_model("ViT-B/16"), True)
    assert choose_model("RN50") == (find_model("RN50"), True)
    monkeypatch.setenv("CLIPSIM_MODEL", "")
    assert default_model() == ("RN101/openai", True)


def test_the_bundled_model_can_be_chosen() -> None:
    """Who has chosen it is not told again what it is."""
    save_default(BUNDLED)
    assert default_model() == (BUNDLED, True)


def test_a_saved_model_keeps_its_full_name() -> None:
    """Short names that a later OpenCLIP could give a second meaning are written out."""
    assert save_default("ViT-B/32") == settings_path()
    assert json.loads(settings_path().read_text()) == {"model": "ViT-B-32/openai"}
    save_default("ViT-H-14-378")
    assert default_model() == ("ViT-H-14-378/dfn5b", True)
    save_default("hf-hub:a/b")
    assert default_model() == ("hf-hub:a/b", True)


def test_a_saved_path_is_made_absolute(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default means the same folder wherever the next command runs."""
    Path("own").mkdir()
    save_default("own")
    monkeypatch.chdir(home)
    assert default_model() == (str(home / "work" / "own"), True)
    assert find_model(default_model()[0]).path == home / "work" / "own"


def test_a_name_that_nothing_answers_to_is_not_saved() -> None:
    """The old default stays."""
    save_default("RN50")
    with pytest.raises(UnknownModelError):
        save_default("qqqq")
    assert default_model() == ("RN50/openai", True)


def test_settings_that_cannot_be_written_are_an_error_with_a_way_out(home: Path) -> None:
    """A file where the folder should be, or a folder where the file should be."""
    (home / "config").write_text("in the way")
    with pytest.raises(SettingsError, match=r"cannot write the settings .* CLIPSIM_MODEL sets the model too"):
        save_default("RN50")
    (home / "config").unlink()
    settings_path().mkdir(parents=True)
    with pytest.raises(SettingsError, match="cannot write the settings"):
        save_default("RN50")
    assert [path.name for path in settings_path().parent.iterdir()] == [settings_path().name]


@pytest.mark.parametrize(
    "content", [b"{", b"", b"\xff\xfe", b'{"model": "RN50"', b"[]", b'{"model": ""}', b'{"model": 3}']
)
def test_damaged_settings_are_an_error_that_says_how_to_mend_them(content: bytes) -> None:
    """They are never silently taken for no settings."""
    settings_path().parent.mkdir(parents=True)
    settings_path().write_bytes(content)
    with pytest.raises(SettingsError, match=r"cannot read the settings .*'clipsim models use NAME' writes them anew"):
        default_model()
    save_default("RN50")
    assert default_model() == ("RN50/openai", True)


@pytest.mark.parametrize("content", [b"{}", b'{"model": null}', b'{"other": 1}'])
def test_settings_without_a_model_leave_the_bundled_one(content: bytes) -> None:
    """A settings file may say nothing about the model."""
    settings_path().parent.mkdir(parents=True)
    settings_path().write_bytes(content)
    assert default_model() == (BUNDLED, False)


def test_the_bundled_model_is_listed_first_and_names_are_unique() -> None:
    """Every name and alias means one model."""
    names = [name for facts in list_models() for name in (facts.name, *facts.aliases)]
    assert names[0] == BUNDLED
    assert len(names) == len(set(names))


def test_every_listed_name_and_alias_is_found_again() -> None:
    """What `clipsim models` prints, `--model` accepts."""
    for facts in list_models():
        for name in (facts.name, *facts.aliases):
            assert find_facts(name) == facts
            spec = find_model(name)
            assert spec.name == facts.name
            assert spec.repository == facts.repository


def test_the_catalogue_knows_every_model_of_the_installed_open_clip() -> None:
    """Fails after an upgrade of open_clip until `make catalogue` was run."""
    import open_clip

    listed = {(facts.architecture, facts.pretrained) for facts in list_models()} - {(BUNDLED, "bundled")}
    assert listed == set(open_clip.list_pretrained())
    assert set(read_catalogue()["architectures"]) == set(open_clip.list_models())


def test_the_catalogue_names_the_files_that_open_clip_would_load() -> None:
    """Repository and file of every model are those of the installed open_clip."""
    import open_clip

    for facts in list_models()[1:]:
        source = open_clip.get_pretrained_cfg(facts.architecture, facts.pretrained)
        assert source["hf_hub"].rstrip("/") == "/".join(filter(None, (facts.repository, facts.file)))


def test_the_facts_of_every_model_are_those_of_its_configuration() -> None:
    """Sizes are read from open_clip's own configurations."""
    import open_clip

    for facts in list_models()[1:]:
        config = open_clip.get_model_config(facts.architecture)
        size = config["vision_cfg"].get("image_size", 224)
        assert facts.embed_dim == config["embed_dim"]
        assert facts.image_size == (size if isinstance(size, int) else max(size))
        assert facts.head == ("sigmoid" if "siglip" in facts.name.lower() else "softmax")


def test_the_published_figures_are_plausible() -> None:
    """Accuracies are shares, sizes are positive, and a well-known figure is what the papers say."""
    scores = {facts.name: facts.imagenet_top1 for facts in list_models() if facts.imagenet_top1 is not None}
    assert len(scores) > 100
    assert all(0 < score < 1 for score in scores.values())
    assert scores["ViT-B-32/openai"] == pytest.approx(0.633, abs=0.0005)
    assert scores["ViT-L-14/openai"] == pytest.approx(0.755, abs=0.001)
    assert scores["ViT-B-32/laion2b_s34b_b79k"] == pytest.approx(0.6656, abs=0.001)
    for facts in list_models():
        assert facts.parameters_millions is None or 1 < facts.parameters_millions < 10_000
        assert 32 <= facts.image_size <= 1024
        assert 16 <= facts.embed_dim <= 4096
        assert 16 <= facts.context_length <= 512


def test_a_model_that_needs_transformers_says_so() -> None:
    """The optional package is needed where a tokenizer or a text tower comes from the Hub."""
    needs = {facts.name: facts.needs_transformers for facts in list_models()}
    assert not needs[BUNDLED]
    assert not needs["ViT-B-32/openai"]
    assert needs["ViT-B-16-SigLIP/webli"]
    assert needs["roberta-ViT-B-32/laion2b_s12b_b32k"]
