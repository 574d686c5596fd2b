"""Every family of models by the command line: the cosines of plain OpenCLIP calls, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import draw_pictures, openclip_cosines, random_model, state_of
from conftest import Run
from families import FAMILIES, write_family
from numpy.typing import NDArray
from PIL import Image

TEXTS = ["maze", "a photo of a cat", "two words & more, isn't it?"]
TEXT_OPTIONS = [argument for text in TEXTS for argument in ("-t", text)]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Files of pictures, two of them not square."""
    paths = []
    for number, picture in enumerate(draw_pictures()):
        paths.append(tmp_path / f"{number}.png")
        picture.save(paths[-1])
    return paths


def rank(run_model: Run, paths: list[Path], model: Path, notice: str | None = None) -> dict[str, Any]:
    """The JSON object of a run that must end well and say nothing, or one notice with these words."""
    done = run_model("rank", *paths, *TEXT_OPTIONS, "-m", model, "--device", "cpu", "--json", "--no-cache")

    said = done.stderr.decode().splitlines()
    assert len(said) == (notice is not None), said
    assert notice is None or notice in said[0]
    assert done.returncode == 0
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check(result: dict[str, Any], expected: NDArray[np.float32]) -> None:
    """Compare the cosines."""
    assert np.ptp(expected) > 1e-3  # numbers that are all alike would prove nothing
    assert np.array(result["similarity"]) == pytest.approx(expected, abs=1e-5)
    assert result["engine"] == "torch"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_each_family(tmp_path: Path, run_model: Run, paths: list[Path], family: str) -> None:
    """Status 0, nothing on standard error, and OpenCLIP's cosines."""
    folder = write_family(tmp_path / "model", family)
    result = rank(run_model, paths, folder)

    check(result, openclip_cosines(folder, [Image.open(path) for path in paths], TEXTS))
    assert result["model"]["head"] == ("sigmoid" if family == "siglip" else "softmax")


def test_a_checkpoint_of_openais(tmp_path: Path, run_model: Run, paths: list[Path]) -> None:
    """A file in OpenAI's layout is what OpenCLIP's `load_openai_model` makes of it."""
    torch.save(state_of(random_model("vit")), tmp_path / "model.pt")
    result = rank(run_model, paths, tmp_path / "model.pt", "it is taken for OpenAI's")

    model = open_clip.load_openai_model(str(tmp_path / "model.pt"), precision="fp32", device="cpu").eval()
    preprocess = open_clip.image_transform(model.visual.image_size, is_train=False)
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(Image.open(path)) for path in paths]), normalize=True)
        texts = model.encode_text(open_clip.tokenize(TEXTS), normalize=True)
    check(result, (texts @ images.T).numpy())
