"""Fixtures of the API's tests: models that know colours, of several names and sizes, in place of real ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from numpy.typing import NDArray
from PIL import Image

from clipsim.engines.choice import EnginePlan
from clipsim.models.catalogue import BUNDLED_PATH
from clipsim.models.names import ModelSpec

MakeModel = Callable[..., str]


class NamedEncoder(FakeEncoder):
    """An encoder of colours with a name; a `dim` one takes red for what is hardly red, and sees no green."""

    def __init__(self, name: str, dim: bool = False) -> None:
        super().__init__()
        self.name, self.dim = name, dim
        self.pretrained = "bundled" if name == "clipsim-mini" else None  # as the catalogue has it

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The mean colours, or what is left of them."""
        means = super().encode_images(pixels)
        if self.dim:
            means[:, 1] = 0.0
            means[:, 0] += 0.3
        return means


@pytest.fixture
def encoders(monkeypatch: pytest.MonkeyPatch) -> dict[str, NamedEncoder]:
    """The encoders by the name of their model; "clipsim-mini" is one of them, and `make_model` adds others."""
    found: dict[str, NamedEncoder] = {"clipsim-mini": NamedEncoder("clipsim-mini")}

    def plan(spec: ModelSpec, *_: Any, **__: Any) -> EnginePlan:
        encoder = found[spec.name]
        return EnginePlan("torch", "cpu", "fp32", f"colours {spec.name}", lambda: encoder)

    monkeypatch.setattr("clipsim.embedding.embedder.plan_engine", plan)
    return found


@pytest.fixture
def make_model(encoders: dict[str, NamedEncoder], tmp_path: Path) -> MakeModel:
    """Make another model: a folder like the bundled one's, with its own picture size; gives its name."""

    def make(name: str, *, size: int = 96, dim: bool = False) -> str:
        folder = tmp_path / "models" / name
        shutil.copytree(BUNDLED_PATH, folder)
        config = json.loads((folder / "open_clip_config.json").read_text())
        config["model_cfg"]["vision_cfg"]["image_size"] = size
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        encoders[str(folder)] = NamedEncoder(name, dim)
        return str(folder)

    return make


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `data` with folders of red, green and blue pictures, four each, of different sizes; start beside it."""
    rng = np.random.default_rng(0)
    for colour, base in (("red", (200, 30, 30)), ("green", (30, 120, 30)), ("blue", (30, 30, 200))):
        folder = tmp_path / "data" / colour
        folder.mkdir(parents=True)
        for number in range(4):
            shade = tuple(int(value) for value in np.clip(base + rng.integers(-30, 30, 3), 0, 255))
            Image.new("RGB", (20 + number, 12), shade).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", 0)  # files are known although they are new
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one for every picture that is decoded."""
    from clipsim.images import decode

    calls: list[int] = []
    original = decode.decoded_file

    def count(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return original(*arguments, **options)

    monkeypatch.setattr(decode, "decoded_file", count)
    return calls


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve of as many sizes and colours."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        Image.new("RGB", (20, 10 + number), (20 * number, 255 - 20 * number, 99)).save(folder / f"{number:02d}.png")
    return folder
