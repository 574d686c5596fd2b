"""Tests of `ranking` and of `clipsim.rank`, with an encoder that knows colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from PIL import Image

import clipsim
from clipsim import api
from clipsim.errors import UsageError
from clipsim.scoring.records import RankResult, collect, encode_prompts, rank_sources


def rank_colours(encoder: FakeEncoder, folder: Path, texts: list[str], **options: str) -> RankResult:
    """Rank the red, green and blue pictures."""
    paths = [str(folder / f"{name}.png") for name in ("red", "green", "blue")]
    return collect(encoder, texts, rank_sources(encoder, paths, texts), **options)


def test_every_colour_finds_its_picture(encoder: FakeEncoder, colours: Path) -> None:
    """Rows are texts, columns are images, and `best` points at rows."""
    result = rank_colours(encoder, colours, ["blue", "red", "green"])

    assert result.similarity.shape == (3, 3)
    assert [result.texts[row] for row in result.best] == ["red", "green", "blue"]
    assert result.probabilities is not None
    assert result.probabilities.sum(axis=0) == pytest.approx([1, 1, 1])


def test_sorting_by_a_text(encoder: FakeEncoder, colours: Path) -> None:
    """The images come in the order of their similarity with it."""
    result = rank_colours(encoder, colours, ["red", "blue"], sort_by="blue")

    assert Path(result.images[0]).stem == "blue"


def test_a_prompt_ensemble_lies_between_its_templates(encoder: FakeEncoder) -> None:
    """The vector of a prompt in two templates has length one and is as near to both."""
    red, lime, both = (
        encode_prompts(encoder, prompts, templates)[0]
        for prompts, templates in ((["red"], ()), (["lime"], ()), (["x"], ("red {}", "lime {}")))
    )

    assert np.linalg.norm(both) == pytest.approx(1)
    assert red @ both == pytest.approx(lime @ both)


def test_the_record_as_json(encoder: FakeEncoder, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`clipsim.rank` gives the record of the contract, its numbers to seven digits."""
    monkeypatch.setattr(api, "open_cached", lambda *_, **__: (encoder, None))
    result = clipsim.rank([colours / "red.png", colours / "nope.png"], ["red", "blue", "red"], model="clipsim-mini")

    assert result.to_dict() == {
        "schema": "clipsim.rank/1",
        "model": {
            "name": "fake",
            "pretrained": None,
            "embed_dim": 4,
            "image_size": 8,
            "logit_scale": 10.0,
            "logit_bias": None,
            "head": "softmax",
        },
        "device": "cpu",
        "precision": "fp32",
        "engine": "torch",
        "templates": [],
        "texts": ["red", "blue"],
        "images": [str(colours / "red.png")],
        "similarity": [[1.0], [0.00990099]],
        "probabilities": [[0.9999499], [5.012252e-05]],
        "best": [0],
        "errors": [{"path": str(colours / "nope.png"), "error": "no such file"}],
        "warnings": ["given more than once, counted once: 'red'"],
    }


def test_one_text_has_no_probability(encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probability is null, and a warning says why; a sigmoid head has one all the same."""
    monkeypatch.setattr(api, "open_cached", lambda *_, **__: (encoder, None))
    picture = Image.new("RGB", (20, 10), "red")

    alone = clipsim.rank(picture, "red", model="clipsim-mini").to_dict()
    assert alone["probabilities"] == [[None]]
    assert "there is no probability" in alone["warnings"][0]

    encoder.head, encoder.logit_bias = "sigmoid", -5.0
    pair = clipsim.rank(picture, "red", model="clipsim-mini").to_dict()
    assert pair["probabilities"] == [[pytest.approx(1 / (1 + np.exp(-5)))]]
    assert pair["warnings"] == []


def test_globs_and_folders_from_python(encoder: FakeEncoder, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are expanded as on the command line; one string is one path."""
    monkeypatch.setattr(api, "open_cached", lambda *_, **__: (encoder, None))

    assert len(clipsim.rank(str(colours / "*.png"), ["red"], model="clipsim-mini").images) == 3
    assert len(clipsim.rank(colours, ["red"], model="clipsim-mini").images) == 3


@pytest.mark.parametrize(
    ("texts", "options"),
    [([], {}), ([""], {}), (["red"], {"sort_by": "blue"}), (["red"], {"templates": ["no place"]})],
)
def test_contradictions_are_told_before_anything_is_loaded(texts: list[str], options: dict[str, str]) -> None:
    """Wrong usage never waits for a model."""
    with pytest.raises(UsageError):
        clipsim.rank("x.png", texts, model="no such model", **options)  # type: ignore[arg-type]
