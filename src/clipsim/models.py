"""Names → `ModelSpec`: the catalogue of OpenCLIP's models, the bundled one, local files."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from clipsim.errors import UnknownModelError
from clipsim.names import printable

BUNDLED = "clipsim-mini"
BUNDLED_PATH = Path(__file__).parent / "mini" / "model"
CONFIG_FILE = "open_clip_config.json"
HUB_PREFIX = "hf-hub:"

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
class ModelSpec:
    """Where a model's architecture and weights come from.

    tag         OpenCLIP's `architecture` with the weights `pretrained`, from `repository`
    hub         a Hugging Face repository that carries its own configuration
    directory   `path` with open_clip_config.json and weights (the bundled model too)
    checkpoint  the file `path` in OpenAI's layout, its architecture inferred from the tensors
    weights     OpenCLIP's `architecture` with the state dict in the file `path`
    """

    name: str
    kind: Literal["tag", "hub", "directory", "checkpoint", "weights"]
    architecture: str | None = None
    pretrained: str | None = None
    repository: str | None = None
    path: Path | None = None


@dataclass(frozen=True)
class ModelFacts:
    """One line of `clipsim models`; None where a fact is not published."""

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
    def needs_transformers(self) -> bool:
        """Whether the optional package `transformers` must be installed."""
        return bool(self.tokenizer or self.text_model)


@cache
def read_catalogue() -> dict[str, Any]:
    """The facts file of the package, as scripts/make_catalogue.py wrote it."""
    text = (Path(__file__).parent / "catalogue.json").read_text(encoding="utf-8")
    catalogue: dict[str, Any] = json.loads(text)
    return catalogue


@cache
def list_models() -> tuple[ModelFacts, ...]:
    """Every model with a name, the bundled one first, the others in OpenCLIP's order."""
    architectures = read_catalogue()["architectures"]
    openai = {architecture: alias for alias, architecture in OPENAI_NAMES.items()}
    found = [_bundled_facts()]
    for entry in read_catalogue()["weights"]:
        name, tag = entry["architecture"], entry["pretrained"]
        aliases = (openai[name],) if tag == "openai" and name in openai else ()
        found.append(ModelFacts(f"{name}/{tag}", aliases=aliases, **entry, **architectures[name]))
    return tuple(found)


def _bundled_facts() -> ModelFacts:
    config = json.loads((BUNDLED_PATH / CONFIG_FILE).read_text(encoding="utf-8"))["model_cfg"]
    return ModelFacts(
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


def find_facts(name: str) -> ModelFacts | None:
    """The facts of a model by its name or OpenAI's name for it; None for what the catalogue does not list."""
    return next((facts for facts in list_models() if name in (facts.name, *facts.aliases)), None)


def find_model(name: str, weights: str | None = None) -> ModelSpec:
    """Resolve what the user gives to --model (and --weights).

    In this order: the bundled model, `hf-hub:ORG/REPO`, a name of the catalogue or one of OpenAI's, an architecture
    that has a single pretrained tag, a directory, a checkpoint file. Nothing is opened or downloaded.

    Raises UnknownModelError, with the nearest names, for anything else.
    """
    if weights is not None:
        return _find_architecture(name, weights)
    if name.startswith(HUB_PREFIX):
        repository = name.removeprefix(HUB_PREFIX)
        if repository.count("/") != 1 or not all(repository.split("/")):
            raise UnknownModelError(f"'{printable(name, 80)}': a Hub model is written hf-hub:ORG/REPO")
        return ModelSpec(name, "hub", repository=repository)
    facts = find_facts(name)
    if facts is None:
        tags = [facts for facts in list_models() if facts.architecture == name]
        facts = tags[0] if len(tags) == 1 else None
    if facts is not None and facts.name == BUNDLED:
        return ModelSpec(BUNDLED, "directory", path=BUNDLED_PATH)
    if facts is not None:
        return ModelSpec(facts.name, "tag", facts.architecture, facts.pretrained, facts.repository)
    if os.path.isdir(name):  # noqa: PTH112 - unlike Path's, false for whatever cannot be a path
        return ModelSpec(name, "directory", path=Path(name))
    if os.path.exists(name):  # noqa: PTH110
        return ModelSpec(name, "checkpoint", path=Path(name))
    raise UnknownModelError(_unknown(name))


def _find_architecture(name: str, weights: str) -> ModelSpec:
    architecture = OPENAI_NAMES.get(name, name)
    if architecture not in read_catalogue()["architectures"]:
        raise UnknownModelError(
            f"--weights goes with an OpenCLIP architecture, and '{printable(name, 80)}' is none; "
            "'clipsim models' lists them (ViT-B-32, …)"
        )
    if not os.path.exists(weights):  # noqa: PTH110
        raise UnknownModelError(f"{printable(weights)}: no such file of weights")
    return ModelSpec(architecture, "weights", architecture, None, path=Path(weights))


def _unknown(name: str) -> str:
    shown = printable(name, 80)
    tags = [facts.name for facts in list_models() if facts.architecture == name]
    if tags:
        more = f" and {len(tags) - 4} more" if len(tags) > 4 else ""
        return (
            f"'{shown}' has several sets of weights; choose one: {', '.join(tags[:4])}{more} "
            f"('clipsim models --filter {shown}' lists them)"
        )
    if name in read_catalogue()["architectures"]:
        return f"'{shown}' is an architecture without published weights; give it yours with --weights FILE"
    if os.sep in name.rstrip(os.sep) and Path(name).suffix in (".pt", ".pth", ".bin", ".safetensors"):
        return f"{shown}: no such file or directory"
    known = {alias.lower(): alias for facts in list_models() for alias in (facts.name, *facts.aliases)}
    near = difflib.get_close_matches(name.lower().replace(":", "/"), known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(known[match] for match in near)}? " if near else ""
    return f"no model, file or folder is called '{shown}'; {hint}'clipsim models' lists the names"
