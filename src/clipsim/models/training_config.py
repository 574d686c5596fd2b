"""The params.txt that OpenCLIP's training writes → OpenCLIP's `model_cfg` and `preprocess_cfg` of the trained model."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clipsim.errors import WeightsError, printable
from clipsim.models.catalogue import read_catalogue

PARAMS_FILE = "params.txt"
CHECKPOINTS_FOLDER = "checkpoints"  # beside params.txt
MAX_PARAMS_BYTES = 1 << 16  # usual files have a few thousand
_EPOCH = re.compile(r"epoch_(\d+|latest)\.pt")
# What the program's options change of the model, and where OpenCLIP's configuration says it.
_OVERRIDES = {"force_image_size": ("vision_cfg", "image_size"), "force_context_length": ("text_cfg", "context_length")}
_PREPROCESSING = {
    "image_mean": "mean",
    "image_std": "std",
    "image_interpolation": "interpolation",
    "image_resize_mode": "resize_mode",
}
_SIGLIP_BIAS = -10  # where training with --siglip begins


def is_epoch(path: Path) -> bool:
    """Whether a file is, by its name, a checkpoint of OpenCLIP's training."""
    return _EPOCH.fullmatch(path.name) is not None


def list_epochs(folder: Path) -> list[Path]:
    """The checkpoints of a training's folder, or of the folder `checkpoints` in it."""
    return sorted(
        path for path in (*folder.glob("*.pt"), *(folder / CHECKPOINTS_FOLDER).glob("*.pt")) if is_epoch(path)
    )


def find_params(folder: Path) -> Path | None:
    """The params.txt of the training whose folder, or folder of checkpoints, this is; None for any other folder."""
    candidates = [folder / PARAMS_FILE]
    if folder.name == CHECKPOINTS_FOLDER:
        candidates.append(folder.parent / PARAMS_FILE)
    return next((path for path in candidates if path.is_file() and "model" in _read(path)), None)


def read_params(path: Path) -> dict[str, Any]:
    """The configuration of the trained model. Raises WeightsError where OpenCLIP has no such architecture."""
    params = _read(path)
    architecture = str(params.get("model")).replace("/", "-")  # as the program reads it
    file = _config_file(architecture) if architecture in read_catalogue()["architectures"] else None
    if file is None:
        name = printable(architecture, 60)
        raise WeightsError(f"{printable(str(path))}: the architecture '{name}' is not one of OpenCLIP's")
    model = json.loads(file.read_text(encoding="utf-8"))
    for option in ("force_quick_gelu", "force_custom_text"):
        if params.get(option) is True:
            model[option.removeprefix("force_")] = True
    for option, (part, name) in _OVERRIDES.items():
        value = params.get(option)
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if value is not None:
            model[part][name] = value
    if params.get("siglip") is True:
        model["init_logit_bias"] = _SIGLIP_BIAS
    preprocess = dict(read_catalogue()["preprocess"].get(f"{architecture}/{params.get('pretrained')}", {}))
    preprocess |= {name: params[option] for option, name in _PREPROCESSING.items() if params.get(option) is not None}
    return {"model_cfg": model, "preprocess_cfg": preprocess}


def explain_activation(path: Path, settings: Mapping[str, Any]) -> str | None:
    """A notice where a training began with OpenAI's weights: versions of OpenCLIP differ in its activation."""
    if _read(path).get("pretrained") != "openai" or settings["model_cfg"].get("quick_gelu", False):
        return None
    return (
        "the training began with OpenAI's weights, and its activation is taken for the architecture's, GELU; older "
        "versions of OpenCLIP trained with QuickGELU then: for those, name the architecture with -quickgelu and give "
        "the file as its weights"
    )


def _config_file(architecture: str) -> Path | None:
    """OpenCLIP's own configuration of an architecture, without importing OpenCLIP."""
    package = find_spec("open_clip")
    folders = [] if package is None else list(package.submodule_search_locations or ())
    files = (Path(folder) / "model_configs" / f"{architecture}.json" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _read(path: Path) -> dict[str, Any]:
    """The options in a file of lines `name: value`, values as Python writes them; empty for any other file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PARAMS_BYTES + 1)
        lines = content.decode("utf-8").splitlines() if len(content) <= MAX_PARAMS_BYTES else []
    except (OSError, ValueError):
        return {}
    pairs = (line.partition(": ") for line in lines)
    return {name: _value(text) for name, colon, text in pairs if colon}


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
