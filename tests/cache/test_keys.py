"""Tests of `cache.keys`: everything that changes a vector changes its key."""

from __future__ import annotations

from typing import Any

import pytest

from clipsim.cache.keys import image_space_key, text_key, text_space_key
from clipsim.images.limits import DecodingRules
from clipsim.models.identity import package_version

FACTS: dict[str, Any] = {
    "identity": "digest",
    "engine": "torch",
    "device": "cpu",
    "precision": "fp32",
    "runtime": "2.6.0",
}
RULES = DecodingRules()
CHANGES = {"identity": "other", "engine": "onnx", "device": "cuda", "precision": "bf16", "runtime": "2.7.0"}


def image_key(rules: DecodingRules, **changes: Any) -> bytes:
    """The key of a model's image vectors."""
    return image_space_key(**FACTS | changes, decoding=rules.as_key())


@pytest.mark.parametrize(("name", "value"), CHANGES.items())
def test_each_fact_of_the_model_is_part_of_both_keys(name: str, value: str) -> None:
    """Texts and images have keys of their own."""
    assert text_space_key(**FACTS) == text_space_key(**FACTS)
    assert text_space_key(**FACTS) != text_space_key(**FACTS | {name: value})
    assert image_key(RULES) != image_key(RULES, **{name: value})
    assert image_key(RULES) != text_space_key(**FACTS)


def test_gpus_of_one_kind_share_their_vectors() -> None:
    """Of the device, the kind counts."""
    assert text_space_key(**FACTS | {"device": "cuda:1"}) == text_space_key(**FACTS | {"device": "cuda"})


@pytest.mark.parametrize("rules", [DecodingRules(exact=True), DecodingRules(max_pixels=7), DecodingRules(version=-1)])
def test_each_rule_of_decoding_is_part_of_the_key(rules: DecodingRules) -> None:
    """Whatever decides which pixels a file gives."""
    assert image_key(RULES) == image_key(DecodingRules())
    assert image_key(RULES) != image_key(rules)


@pytest.mark.parametrize("package", ["pillow", "pillow_heif"])
def test_the_decoders_versions_are_part_of_the_key(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of a decoder may give other pixels; texts do not depend on it."""
    before = image_key(RULES), text_space_key(**FACTS)
    monkeypatch.setattr(
        "clipsim.cache.keys.package_version", lambda name: "0.0" if name == package else package_version(name)
    )

    assert image_key(RULES) != before[0]
    assert text_space_key(**FACTS) == before[1]


def test_a_text_that_may_be_cut_has_another_key() -> None:
    """Without `truncate`, a text that is too long must be refused although the vector of its beginning is cached."""
    assert text_key("maze", truncate=False) == text_key("maze", truncate=False)
    assert len({text_key(text, truncate=cut) for text in ("maze", "Maze", "") for cut in (True, False)}) == 6
    assert text_key("\udce9", truncate=False) != text_key("", truncate=False)  # bytes that are not UTF-8
