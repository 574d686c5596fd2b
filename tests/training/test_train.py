"""What the training, the scoring and the card of clipsim-mini promise."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from training import calibrate, card, evaluate, network, render, train
from training.draw import EVALUATION_SEEDS, draw_picture

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
RECIPE = train.Recipe(steps=4, batch_size=8, warm_up=1, small_side=32)
LONGER = dataclasses.replace(RECIPE, steps=6)


def _train(tiles: render.Tiles, work: Path, recipe: train.Recipe = RECIPE, *, resume: bool = False) -> list[float]:
    """Train a tiny network on the tiles in `work`, in this process."""
    assert len(tiles.facts)
    return train.train(recipe, work, work / "model", TINY, resume=resume)


def test_some_steps_write_a_folder_that_openclip_loads(tiles: render.Tiles, tmp_path: Path) -> None:
    """The folder has half-precision weights and a configuration, and gives unit features."""
    losses = _train(tiles, tmp_path)
    assert len(losses) == RECIPE.steps
    assert np.isfinite(losses).all()
    name = f"local-dir:{tmp_path / 'model'}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    model.eval()
    with torch.inference_mode():
        image = model.encode_image(transform(Image.new("RGB", (50, 40), "red"))[None], normalize=True)
        text = model.encode_text(open_clip.get_tokenizer(name)(["a maze"]), normalize=True)
    assert image.shape == text.shape == (1, 16)
    assert float(image.norm()) == pytest.approx(1.0, abs=1e-5)


def test_a_seed_decides_the_losses_and_a_checkpoint_goes_on(tiles: render.Tiles, tmp_path: Path) -> None:
    """The same recipe gives the same losses; a resumed run counts its steps on."""
    first = _train(tiles, tmp_path)
    assert _train(tiles, tmp_path) == pytest.approx(first, rel=1e-4)
    assert len(_train(tiles, tmp_path, LONGER, resume=True)) == LONGER.steps - RECIPE.steps
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == LONGER.steps


def test_two_processes_learn_the_same_weights(tiles: render.Tiles, tmp_path: Path) -> None:
    """They meet, average their gradients, and the first writes checkpoint and model, in rounds of two steps."""
    recipe = dataclasses.replace(RECIPE, round_steps=2)
    train.train_together(2, recipe, tmp_path, tmp_path / "model", TINY)
    assert len(tiles.facts)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == RECIPE.steps
    evaluate.Scorer(tmp_path / "model")


def test_captions_cut_to_the_longest_give_the_same_features() -> None:
    """The causal mask makes the cut exact."""
    model = network.build_network(TINY, 0).eval()
    tokens = open_clip.get_tokenizer("RN50")(["maze", "a photo of two red cats"])
    with torch.inference_mode():
        whole = model.encode_text(tokens, normalize=True)
        cut = network.encode_captions(model, tokens[:, :8])
    np.testing.assert_allclose(whole.numpy(), cut.numpy(), atol=1e-5)


def test_smaller_pictures_are_seen_at_the_places_in_between() -> None:
    """Of their own side as OpenCLIP sees them; of a smaller one with all positions learning."""
    config = {**TINY, "vision_cfg": {**TINY["vision_cfg"], "image_size": 96}}
    model = network.build_network(config, 0).eval()
    images = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        whole, own = model.encode_image(images), network.encode_pictures(model, images)
    np.testing.assert_allclose(own.numpy(), whole.numpy(), atol=1e-5)
    network.encode_pictures(model, images[..., :64, :64]).sum().backward()  # type: ignore[no-untyped-call]
    gradient = model.visual.attnpool.positional_embedding.grad
    assert gradient is not None
    assert len(gradient) == 10
    assert gradient.abs().sum(dim=1).all()


def test_the_fitted_scale_makes_probabilities_honest(tmp_path: Path) -> None:
    """Cosines whose true scale is known give it back; the weights hold it, and the rest of them stays."""
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-0.2, 0.6, (4000, 26))
    right = np.array([rng.choice(26, p=row) for row in evaluate.softmax(18.0 * cosines)])
    scale = calibrate.fit_scale([(cosines, right)])
    assert scale == pytest.approx(18.0, rel=0.05)
    assert evaluate.calibration_error(evaluate.softmax(scale * cosines), right) < 0.03
    assert evaluate.calibration_error(evaluate.softmax(60.0 * cosines), right) > 0.2
    network.write_model(network.build_network(TINY, 0), TINY, tmp_path)
    before = evaluate.Scorer(tmp_path)
    calibrate.write_scale(tmp_path, scale)
    after = evaluate.Scorer(tmp_path)
    assert after.scale == pytest.approx(18.0, rel=0.05)
    np.testing.assert_array_equal(before.encode_texts(["cat"]), after.encode_texts(["cat"]))


def test_a_family_is_scored_on_its_own_names(tiles: render.Tiles, tmp_path: Path, monkeypatch: Any) -> None:
    """Shares are between none and all, and the first five hold the first."""
    network.write_model(network.build_network(TINY, 0), TINY, tmp_path)
    monkeypatch.setattr(evaluate, "SET_SIZE", 2)
    shown = evaluate.encode_family(evaluate.Scorer(tmp_path), tiles, "fxemoji")
    assert sorted(shown.names) == ["cat face", "red apple"]
    family, mistakes = evaluate.score_family(shown, "fxemoji", 10.0)
    assert family.names == 2
    assert family.top1 + sum(mistakes.values()) / 2 == pytest.approx(1.0)
    assert family.top5 == 1.0


def test_the_bundled_model_is_small_and_has_its_card() -> None:
    """The weights stay under 24 MB, the configuration is the recipe's, and the card names licences and all names."""
    folder = network.MODEL_FOLDER
    assert (folder / network.WEIGHTS_FILE).stat().st_size < 24_000_000
    assert json.loads((folder / "open_clip_config.json").read_text())["model_cfg"] == network.MODEL_CONFIG
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert card.format_sources() in text
    names = (folder / card.NAMES_FILE).read_text(encoding="utf-8").splitlines()
    assert f"It knows {len(names):,} names" in " ".join(text.split())
    assert {"maze", "cat", "cat face", "bar chart"} <= set(names)


def test_the_card_states_what_the_model_scores_on_fresh_drawings() -> None:
    """A sample of other seeds gives the card's figures within their sampling error."""
    text = " ".join((network.MODEL_FOLDER / "README.md").read_text(encoding="utf-8").split())
    found = re.search(r"unused seeds: ([\d.]+)% are right .*?, ([\d.]+)% of the colours and ([\d.]+)% of", text)
    assert found is not None
    for stated, measured in zip(
        found.groups(), evaluate.score_drawings(evaluate.Scorer(network.MODEL_FOLDER), 4), strict=True
    ):
        assert abs(float(stated) / 100 - measured) < 0.12


def test_the_bundled_model_knows_its_mazes() -> None:
    """Most fresh mazes are mazes beside what people take them for: round and tiny ones, and whole screens of games."""
    scorer = evaluate.Scorer(network.MODEL_FOLDER)
    names = ["maze", "game", "cat", "win the game", "diagram", "house", "bar chart"]
    images = [draw_picture(EVALUATION_SEEDS + 999 + k, "maze", tidy=True).image for k in range(100)]
    shares = evaluate.softmax(
        scorer.scale * (scorer.encode_images(images) @ scorer.encode_texts(names).T).astype(float)
    )
    assert (shares.argmax(axis=1) == 0).mean() >= 0.9


def test_figures_replace_what_the_card_had(tiles: render.Tiles, tmp_path: Path) -> None:
    """Only the parts between the markers change, and the list of names is written beside the card."""
    parts = "".join(f"<!-- {name}: begin -->\nold\n<!-- {name}: end -->\n" for name in ("names", "figures", "sources"))
    (tmp_path / "README.md").write_text(f"# card\n{parts}end\n", encoding="utf-8")
    family = evaluate.Family("fxemoji", 10, 10, 0.625, 0.9, 0.95, 0.042)
    card.update_card(tmp_path, evaluate.Figures([family], 0.9, 0.8, 0.7, [("cat", "dog", 2)]), tiles)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| fxemoji | 10 | 62.5% | 90.0% | 95.0% | 0.042 |" in text
    assert "cat taken for dog" in text
    assert "old" not in text
    assert text.startswith("# card\n")
    assert text.endswith("end\n")
    assert (tmp_path / card.NAMES_FILE).read_text(encoding="utf-8").splitlines() == [c.name for c in tiles.concepts]
