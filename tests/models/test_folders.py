"""Tests of `models.folders`: the folder of a model in a cache of the Hub and in a pipeline of sentence-transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clipsim.errors import ModelError, UnknownModelError, WeightsError
from clipsim.models.folders import resolve_folder
from clipsim.models.names import find_model

REVISION = "0123456789abcdef0123456789abcdef01234567"


def write_cache(base: Path, *revisions: str, main: str | None) -> Path:
    """A repository's folder in the cache of the Hub."""
    cache = base / "models--org--name"
    for revision in revisions:
        (cache / "snapshots" / revision).mkdir(parents=True)
    if main is not None:
        (cache / "refs").mkdir(parents=True)
        (cache / "refs" / "main").write_text(main)
    return cache


def test_the_main_revision_of_a_cache_is_the_model(tmp_path: Path) -> None:
    """Of several, that which the branch names; without the branch, the only one."""
    cache = write_cache(tmp_path / "a", "other", REVISION, main=REVISION)
    assert resolve_folder(cache) == cache / "snapshots" / REVISION
    assert resolve_folder(cache / "snapshots" / "other") == cache / "snapshots" / "other"
    alone = write_cache(tmp_path / "b", REVISION, main=None)
    assert resolve_folder(alone) == alone / "snapshots" / REVISION


@pytest.mark.parametrize(
    ("revisions", "main", "words"),
    [
        (("one", "two"), None, "its revisions are one, two"),
        (("one",), "two", "'main' is not in this cache; its revisions are one"),
        (("one",), "../snapshots/one", "'main' is not in this cache"),
        ((".keep/x",), "..", "'main' is not in this cache"),
    ],
)
def test_a_cache_without_its_main_revision_is_refused(
    tmp_path: Path, revisions: tuple[str, ...], main: str | None, words: str
) -> None:
    """One line names those that are there; a branch cannot lead out of the cache."""
    with pytest.raises(WeightsError, match=words):
        resolve_folder(write_cache(tmp_path, *revisions, main=main))


def write_pipeline(folder: Path, *modules: tuple[str, str]) -> Path:
    """A folder of sentence-transformers with these kinds and paths of modules."""
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(modules)
    ]
    folder.mkdir(exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(listed))
    return folder


def test_the_clip_model_of_a_pipeline(tmp_path: Path) -> None:
    """Normalising changes no cosine."""
    folder = write_pipeline(tmp_path, ("CLIPModel", "0_CLIPModel"), ("Normalize", "1_Normalize"))
    assert resolve_folder(folder) == folder / "0_CLIPModel"
    assert resolve_folder(write_pipeline(tmp_path, ("Transformer", ""))) == tmp_path


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ([("Transformer", "0_Transformer"), ("Pooling", "1_Pooling"), ("Dense", "2_Dense")], "Transformer, Pooling"),
        ([("CLIPModel", "0_CLIPModel"), ("Dense", "1_Dense")], "CLIPModel, Dense"),
        ([("CLIPModel", "../elsewhere")], "outside the folder"),
        ([("CLIPModel", "/etc")], "outside the folder"),
    ],
)
def test_other_pipelines_are_refused_by_name(tmp_path: Path, modules: list[tuple[str, str]], words: str) -> None:
    """A text model, a further layer, a folder elsewhere."""
    with pytest.raises(WeightsError, match=words):
        resolve_folder(write_pipeline(tmp_path, *modules))


@pytest.mark.parametrize("content", ["{", "{}", "[]", "[3]", '[{"type": "x"}]', "null"])
def test_damaged_lists_of_modules_are_refused(tmp_path: Path, content: str) -> None:
    """One line names the file."""
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(ModelError, match=r"modules\.json"):
        resolve_folder(tmp_path)


def test_a_link_to_itself_is_no_folder(tmp_path: Path) -> None:
    """As a model, in a cache and as the folder of a pipeline."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UnknownModelError, match="no model, file or folder"):
        find_model(str(tmp_path / "loop"))
    with pytest.raises(UnknownModelError, match="no such folder"):
        find_model(f"local-dir:{tmp_path / 'loop'}")
    cache = write_cache(tmp_path, main=REVISION)
    (cache / "snapshots").mkdir()
    (cache / "snapshots" / REVISION).symlink_to(REVISION)
    with pytest.raises(WeightsError, match="'main' is not in this cache"):
        resolve_folder(cache)
