"""Tests of `models.settings`: which model is the default, and where settings and caches are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from clipsim.errors import SettingsError, UnknownModelError, UsageError
from clipsim.models.catalogue import BUNDLED
from clipsim.models.names import find_model
from clipsim.models.settings import cache_folder, choose_model, default_model, save_default, settings_path, state_folder
from clipsim.options import ModelOptions

pytestmark = pytest.mark.usefixtures("home")


def test_the_default_is_the_bundled_model_which_was_not_chosen() -> None:
    """A fresh installation has a model, and knows that the user did not choose it."""
    assert default_model() == (BUNDLED, False)
    assert choose_model(ModelOptions()) == (find_model(BUNDLED), False)


def test_the_environment_goes_before_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLIPSIM_MODEL, then what was saved, then the bundled model."""
    save_default("RN101/openai")
    assert default_model() == ("RN101/openai", True)
    monkeypatch.setenv("CLIPSIM_MODEL", "ViT-B/16")
    assert default_model() == ("ViT-B/16", True)
    assert choose_model(ModelOptions()) == (find_model("ViT-B/16"), True)
    assert choose_model(ModelOptions("RN50")) == (find_model("RN50"), True)
    monkeypatch.setenv("CLIPSIM_MODEL", "")
    assert default_model() == ("RN101/openai", True)


def test_the_bundled_model_can_be_chosen() -> None:
    """A user who saved it has chosen it."""
    save_default(BUNDLED)
    assert default_model() == (BUNDLED, True)


def test_an_unknown_default_says_where_its_name_comes_from(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has not typed the name in this command: the message names the variable, or the settings file."""
    monkeypatch.setenv("CLIPSIM_MODEL", "nope")
    with pytest.raises(UnknownModelError, match=r"'nope' \(the name comes from CLIPSIM_MODEL\); "):
        choose_model(ModelOptions())
    with pytest.raises(UnknownModelError) as caught:
        choose_model(ModelOptions("nope"))
    assert "comes from" not in str(caught.value)

    Path("own").mkdir()
    save_default("own")
    Path("own").rmdir()
    monkeypatch.delenv("CLIPSIM_MODEL")
    with pytest.raises(UnknownModelError, match=r"own.*comes from 'clipsim models use', .*settings\.json\)"):
        choose_model(ModelOptions())


def test_weights_need_the_name_of_an_architecture(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default model does not stand in for it."""
    monkeypatch.setenv("CLIPSIM_MODEL", "ViT-B-32/openai")
    weights = home / "own.pt"
    weights.write_bytes(b"")
    with pytest.raises(UsageError, match=r"weights='.*own\.pt': needs an architecture; give model='ARCHITECTURE'"):
        choose_model(ModelOptions(weights=str(weights)))
    spec = find_model("ViT-B-32", str(weights))
    assert choose_model(ModelOptions("ViT-B-32", str(weights))) == (spec, True)


@pytest.mark.parametrize(
    ("platform", "variables", "settings", "cache"),
    [
        ("linux", {}, ".config/clipsim/settings.json", ".cache/clipsim"),
        (
            "linux",
            {"XDG_CONFIG_HOME": "relative", "XDG_CACHE_HOME": ""},
            ".config/clipsim/settings.json",
            ".cache/clipsim",
        ),
        (
            "linux",
            {"XDG_CONFIG_HOME": "{}/a", "XDG_CACHE_HOME": "{}/b", "XDG_STATE_HOME": "{}/c"},
            "a/clipsim/settings.json",
            "b/clipsim",
        ),
        ("darwin", {}, "Library/Application Support/clipsim/settings.json", "Library/Caches/clipsim"),
        ("win32", {}, "clipsim/settings.json", "AppData/Local/clipsim/cache"),
        ("win32", {"APPDATA": "{}/a", "LOCALAPPDATA": "{}/b"}, "a/clipsim/settings.json", "b/clipsim/cache"),
    ],
)
def test_settings_and_caches_are_in_the_systems_usual_folders(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    variables: dict[str, str],
    settings: str,
    cache: str,
) -> None:
    """Linux has the XDG folders, where they are absolute; macOS and Windows have their own."""
    for name in ("CLIPSIM_CACHE_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home))
    monkeypatch.setattr(sys, "platform", platform)
    state = "c/clipsim" if "{}/c" in variables.values() else ".local/state/clipsim"
    assert settings_path() == home / settings
    assert cache_folder() == home / cache
    assert state_folder() == (home / state if platform == "linux" else settings_path().parent)
    monkeypatch.setenv("CLIPSIM_CACHE_DIR", str(home / "own"))
    assert cache_folder() == home / "own"


def test_a_saved_model_keeps_its_full_name() -> None:
    """A short name is written out, since a later OpenCLIP may give it another meaning."""
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


def test_an_unknown_name_is_not_saved() -> None:
    """The earlier default is kept."""
    save_default("RN50")
    with pytest.raises(UnknownModelError):
        save_default("qqqq")
    assert default_model() == ("RN50/openai", True)


def test_settings_that_cannot_be_written_are_an_error_with_a_way_out(home: Path) -> None:
    """A file where the folder should be, or a folder where the file should be."""
    folder = settings_path().parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")
    with pytest.raises(SettingsError, match=r"cannot write the settings .* CLIPSIM_MODEL sets the model too"):
        save_default("RN50")
    folder.unlink()
    settings_path().mkdir(parents=True)
    with pytest.raises(SettingsError, match="cannot write the settings"):
        save_default("RN50")
    assert [path.name for path in settings_path().parent.iterdir()] == [settings_path().name]


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b"\xff\xfe", b'{"model": "RN50"', b"[]", b'{"model": ""}', b'{"model": 3}', b"[" * 100_000],
    ids=lambda content: repr(content[:20]),
)
def test_damaged_settings_are_an_error_with_its_remedy(content: bytes) -> None:
    """They are never silently ignored."""
    settings_path().parent.mkdir(parents=True)
    settings_path().write_bytes(content)
    with pytest.raises(SettingsError, match=r"cannot read the settings .*'clipsim models use NAME' re-creates them"):
        default_model()
    save_default("RN50")
    assert default_model() == ("RN50/openai", True)


@pytest.mark.parametrize("content", [b"{}", b'{"model": null}', b'{"other": 1}'])
def test_settings_without_a_model_leave_the_bundled_one(content: bytes) -> None:
    """A settings file need not name a model."""
    settings_path().parent.mkdir(parents=True)
    settings_path().write_bytes(content)
    assert default_model() == (BUNDLED, False)
