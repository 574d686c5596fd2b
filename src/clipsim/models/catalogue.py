"""The packaged catalogue → `ModelInfo`: OpenCLIP's published models, OpenAI's names for them, the bundled one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

BUNDLED = "clipsim-mini"
BUNDLED_PATH = Path(__file__).parents[1] / "mini" / "model"
CONFIG_FILE = "open_clip_config.json"

# OpenAI's repositories on the Hub, whose layout is that of `transformers`, and the same weights in OpenCLIP's names.
HUB_NAMES = {
    "openai/clip-vit-base-patch32": "ViT-B-32/openai",
    "openai/clip-vit-base-patch16": "ViT-B-16/openai",
    "openai/clip-vit-large-patch14": "ViT-L-14/openai",
    "openai/clip-vit-large-patch14-336": "ViT-L-14-336/openai",
}

# OpenAI's own nine names, in the order of its package, and what OpenCLIP calls them.
OPENAI_NAMES = {
    "RN50": "RN50",
    "RN101": "RN101",
    "RN50x4": "RN50x4",
    "RN50x16": "RN50x16",
    "RN50x64": "RN50x64",
    "ViT-B/32": "ViT-B-32",
    "ViT-B/16": "ViT-B-16",
    "ViT-L/14": "ViT-L-14",
    "ViT-L/14@336px": "ViT-L-14-336",
}


@dataclass(frozen=True)
class ModelInfo:
    """One line of `clipsim models`; None where a value is not published."""

    name: str
    architecture: str
    pretrained: str
    aliases: tuple[str, ...]
    parameters_millions: float | None
    image_size: int
    embed_dim: int
    context_length: int
    head: str
    imagenet_top1: float | None  # zero-shot, as OpenCLIP publishes it; 0 to 1
    repository: str | None
    file: str | None
    tokenizer: str | None  # the Hub repository of a tokenizer that needs `transformers`
    text_model: str | None  # the Hub repository of a text tower's configuration, likewise
    timm: bool  # whether timm builds the image tower

    @property
    def download_bytes(self) -> int | None:
        """About how large the weights are: four bytes a parameter, two for the bundled model."""
        if self.parameters_millions is None:
            return None
        return int(self.parameters_millions * 1e6) * (2 if self.name == BUNDLED else 4)

    @property
    def needs_transformers(self) -> bool:
        """Whether the optional package `transformers` must be installed."""
        return bool(self.tokenizer or self.text_model)


@cache
def read_catalogue() -> dict[str, Any]:
    """The content of catalogue.json, which scripts/make_catalogue.py writes: architectures, weights, preprocess."""
    text = (Path(__file__).parent / "catalogue.json").read_text(encoding="utf-8")
    catalogue: dict[str, Any] = json.loads(text)
    return catalogue


@cache
def list_models() -> tuple[ModelInfo, ...]:
    """Every published model, the bundled one first, the others in OpenCLIP's order."""
    architectures = read_catalogue()["architectures"]
    openai = {architecture: alias for alias, architecture in OPENAI_NAMES.items()}
    models = [_bundled_info()]
    for entry in read_catalogue()["weights"]:
        name, tag = entry["architecture"], entry["pretrained"]
        aliases = (openai[name],) if tag == "openai" and name in openai else ()
        models.append(ModelInfo(f"{name}/{tag}", aliases=aliases, **entry, **architectures[name]))
    return tuple(models)


def _bundled_info() -> ModelInfo:
    config = json.loads((BUNDLED_PATH / CONFIG_FILE).read_text(encoding="utf-8"))["model_cfg"]
    return ModelInfo(
        name=BUNDLED,
        architecture=BUNDLED,
        pretrained="bundled",
        aliases=(),
        parameters_millions=round((BUNDLED_PATH / "open_clip_model.safetensors").stat().st_size / 2e6, 1),  # fp16
        image_size=config["vision_cfg"]["image_size"],
        embed_dim=config["embed_dim"],
        context_length=config["text_cfg"].get("context_length", 77),
        head="softmax",
        imagenet_top1=None,
        repository=None,
        file=None,
        tokenizer=None,
        text_model=None,
        timm=False,
    )


def find_model_info(name: str) -> ModelInfo | None:
    """The catalogue's entry for a model, by its name, OpenAI's or the Hub's name for it; None where there is none."""
    name = HUB_NAMES.get(name, name)
    return next((info for info in list_models() if name in (info.name, *info.aliases)), None)


def list_tags(architecture: str | None) -> list[str]:
    """The names ARCH/TAG of an architecture's published weights."""
    return [
        f"{entry['architecture']}/{entry['pretrained']}"
        for entry in read_catalogue()["weights"]
        if entry["architecture"] == architecture
    ]
