"""Sets of templates: named, built in, and what is wrong with others."""

from __future__ import annotations

import sys

import pytest

from clipsim.engines.torch import imports as published_templates
from clipsim.errors import ModelError
from clipsim.tasks.evaluate_request import find_template_sets


def test_without_sets_the_templates_are_the_only_one() -> None:
    """Also none at all."""
    assert [(found.name, found.templates) for found in find_template_sets((), None)] == [(None, ())]
    assert find_template_sets("a {}", None)[0].templates == ("a {}",)


def test_built_in_sets_are_open_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same strings that open_clip's functions make, read without importing it."""
    before = set(sys.modules)
    plain, simple, imagenet = find_template_sets((), ["plain", "simple", "imagenet"])
    assert not {name for name in set(sys.modules) - before if name.startswith(("open_clip", "torch"))}

    metadata = pytest.importorskip("open_clip.zero_shot_metadata")
    assert plain.templates == ("{}",)
    assert simple.templates == tuple(make("{}") for make in metadata.SIMPLE_IMAGENET_TEMPLATES)
    assert imagenet.templates == tuple(make("{}") for make in metadata.OPENAI_IMAGENET_TEMPLATES)


def test_an_open_clip_without_templates_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version may keep them elsewhere."""
    monkeypatch.setattr(published_templates, "_FILE", "elsewhere.py")
    with pytest.raises(ModelError, match="no templates called 'simple'"):
        published_templates.read_published_templates("simple")
