"""Tests of `models.catalogue`: the packaged facts are those of the installed OpenCLIP."""

from __future__ import annotations

import pytest

from clipsim.models.catalogue import BUNDLED, list_models, read_catalogue


def test_the_bundled_model_is_listed_first_and_names_are_unique() -> None:
    """Every name and alias means one model."""
    names = [name for facts in list_models() for name in (facts.name, *facts.aliases)]
    assert names[0] == BUNDLED
    assert len(names) == len(set(names))


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
