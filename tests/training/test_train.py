"""What the training and the scoring of clipsim-mini promise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from training import batches, evaluate, network, pool, train
from training.draw import EVALUATION_SEEDS, draw_picture
from training.draw.captions import Caption

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
RECIPE = train.Recipe(steps=2, batch_size=8, pool_size=16, warm_up=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """Return the folder of a model after two steps, and its losses."""
    work = tmp_path_factory.mktemp("work")
    return work / "model", train.train(RECIPE, work, work / "model", TINY, processes=1)


def test_two_steps_write_a_folder_that_openclip_loads(trained: tuple[Path, list[float]]) -> None:
    """The folder has half-precision weights and a configuration, and gives unit features."""
    folder, losses = trained
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    with torch.inference_mode():
        image = model.encode_image(transform(Image.new("RGB", (50, 40), "red"))[None], normalize=True)
        text = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(["a maze"]), normalize=True)
    assert image.shape == text.shape == (1, 16)
    assert float(image.norm()) == pytest.approx(1.0, abs=1e-5)


def test_training_is_the_same_twice(tmp_path: Path, trained: tuple[Path, list[float]]) -> None:
    """With one process, a seed decides the losses."""
    assert train.train(RECIPE, tmp_path, tmp_path / "model", TINY, processes=1) == pytest.approx(trained[1], rel=1e-4)


def test_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """A resumed run counts its steps on."""
    train.train(RECIPE, tmp_path, tmp_path / "model", TINY, processes=1)
    train.train(RECIPE, tmp_path, tmp_path / "model", TINY, resume=True, processes=1)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 4


def test_captions_cut_to_the_longest_give_the_same_features() -> None:
    """The causal mask makes the cut exact."""
    model = network.build_network(TINY, 0).eval()
    tokens = open_clip.get_tokenizer("RN50")(["maze", "a photo of two red cats"])
    with torch.inference_mode():
        whole = model.encode_text(tokens, normalize=True)
        cut = network.encode_captions(model, tokens[:, :8])
    np.testing.assert_allclose(whole.numpy(), cut.numpy(), atol=1e-5)


def test_pool_pictures_are_what_the_models_transform_makes() -> None:
    """Training sees a picture exactly as OpenCLIP's evaluation transform shows it."""
    rng = np.random.default_rng(0)
    transform = open_clip.image_transform(32, is_train=False, mean=network.MEAN, std=network.STD)
    for size in ((60, 90), (90, 60), (32, 32), (41, 33)):
        image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
        pixels = np.asarray(pool.fit_picture(image, 32))[None]
        np.testing.assert_allclose(batches.normalise(pixels)[0], transform(image), atol=1e-5)


def test_what_may_be_true_is_not_held_against_a_caption() -> None:
    """Same thing and same or unknown colour may be true; hypernyms are told apart."""
    facts = np.array([pool.code_facts("cat", "red", 1, None), pool.code_facts("dog", None, 2, "white")], np.int16)
    captions = [
        Caption("a cat", "cat"),
        Caption("a red cat", "cat", colour="red"),
        Caption("a blue cat", "cat", colour="blue"),
        Caption("a blue dog", "dog", colour="blue"),
        Caption("one dog", "dog", count=1),
        Caption("an animal", None, kind="animal"),
    ]
    true, hypernym = batches.may_be_true(captions, facts)
    assert true.tolist() == [[True, True, False, False, False, True], [False, False, False, True, False, True]]
    assert hypernym[0].tolist() == [False] * 5 + [True]


def test_the_card_states_what_the_model_scores() -> None:
    """A sample of the scored pictures gives the card's figures within their sampling error, and the card's list."""
    card = (network.MODEL_FOLDER / "README.md").read_text(encoding="utf-8")
    stated = {name: float(share) / 100 for name, share in re.findall(r"^\| (right .*) \| ([\d.]+)% \|$", card, re.M)}
    figures = evaluate.score_model(network.MODEL_FOLDER, 2)
    scored = [figures.top1, figures.top5, figures.colour, figures.count]
    assert len(stated) == len(scored)
    for (name, share), measured in zip(stated.items(), scored, strict=True):
        assert abs(measured - share) < 4 * (share * (1 - share) / (2 * figures.things)) ** 0.5, name
    assert stated["right thing first, among all 171 bare names"] >= 0.95
    assert " ".join(card.split()).count(evaluate.format_things()) == 1


def test_the_bundled_model_is_small_and_ranks_its_own_mazes_first() -> None:
    """The weights stay under 20 MB, and fresh pictures of mazes, cats and dogs come out as themselves."""
    folder = network.MODEL_FOLDER
    assert (folder / "open_clip_model.safetensors").stat().st_size < 20_000_000
    assert json.loads((folder / "open_clip_config.json").read_text())["model_cfg"] == network.MODEL_CONFIG
    scorer = evaluate.Scorer(folder)
    names = ["maze", "cat", "dog", "diagram"]
    for name in names:
        pictures = [draw_picture(EVALUATION_SEEDS + 999 + k, name, tidy=True) for k in range(10)]
        best = scorer.choose(scorer.encode_images(pictures), names)
        assert (best == names.index(name)).mean() >= 0.9, name


def test_figures_replace_what_the_card_had(tmp_path: Path) -> None:
    """Only the part between the markers changes."""
    card = tmp_path / "README.md"
    card.write_text("# card\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nend\n", encoding="utf-8")
    figures = evaluate.Figures(10, 2, 0.975, 1.0, 0.9, 0.8, {"cat": 0.95, "dog": 1.0}, [("cat", "dog", 0.05)])
    evaluate.update_card(card, figures)
    text = card.read_text(encoding="utf-8")
    assert "97.5%" in text
    assert "| cat | dog | 5.0% |" in text
    assert "old" not in text
    assert text.startswith("# card\n")
    assert text.endswith("end\n")
