"""The installed open_clip and OpenCLIP's published figures → models/catalogue.json, the facts of every model.

Run it with `make catalogue` after an upgrade of open_clip; a test fails when a model is missing in the file.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import open_clip
import torch

from clipsim.models.configs import DEFAULTS

DATA = Path(__file__).parent / "data"
TARGET = Path(__file__).parents[1] / "src" / "clipsim" / "models" / "catalogue.json"


def read_figures(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file in `data/`, whose first line names the source."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def count_parameters(architecture: str) -> float | None:
    """Millions of parameters, counted on a model without storage; None for towers that only a hub can describe."""
    config = open_clip.get_model_config(architecture)
    if "hf_model_name" in config["text_cfg"]:
        return None
    with torch.device("meta"):
        model = open_clip.create_model(architecture, load_weights=False, pretrained_text=False, device="meta")
    count: int = sum(parameter.numel() for parameter in model.parameters())
    return round(count / 1e6, 2)


def architecture_facts(architecture: str, parameters: dict[str, float]) -> dict[str, Any]:
    """What OpenCLIP's configuration says of an architecture."""
    config = open_clip.get_model_config(architecture)
    text = config["text_cfg"]
    size = config["vision_cfg"].get("image_size", 224)
    known = parameters.get(architecture) or parameters.get(architecture.removesuffix("-quickgelu"))
    return {
        "parameters_millions": known or count_parameters(architecture),
        "image_size": size if isinstance(size, int) else max(size),
        "embed_dim": config["embed_dim"],
        "context_length": text.get("context_length", 77),
        "head": "sigmoid" if config.get("init_logit_bias") is not None else "softmax",
        "tokenizer": text.get("hf_tokenizer_name"),
        "text_model": text.get("hf_model_name"),
        "timm": "timm_model_name" in config["vision_cfg"],
    }


def preprocess_settings(source: dict[str, Any]) -> dict[str, Any]:
    """What published weights are preprocessed with, where it is not the default."""
    given = {key: source[key] for key in DEFAULTS if source.get(key) is not None}
    return {key: value for key, value in given.items() if value != DEFAULTS[key]}


def main() -> None:
    """Write the file and say what it holds."""
    parameters = {row["model"]: float(row["mparams"]) for row in read_figures("openclip_profile.csv")}
    scores = {}
    for row in read_figures("openclip_zero_shot.csv"):
        scores[row["architecture"], row["pretrained"]] = float(row["imagenet_top1"])
        parameters.setdefault(row["architecture"], float(row["params_millions"]))
    weights, preprocess = [], {}
    for architecture, tag in open_clip.list_pretrained():
        source = open_clip.get_pretrained_cfg(architecture, tag)
        if settings := preprocess_settings(source):
            preprocess[f"{architecture}/{tag}"] = settings
        repository, _, file = source["hf_hub"].rpartition("/")
        # the figure of weights trained with QuickGELU is listed under the architecture's QuickGELU name, if it has one
        quick = scores.get((f"{architecture}-quickgelu", tag)) if source.get("quick_gelu") else None
        score = quick or scores.get((architecture, tag))
        weights.append(
            {"architecture": architecture, "pretrained": tag, "repository": repository, "file": file or None}
            | {"imagenet_top1": score}
        )
    architectures = {name: architecture_facts(name, parameters) for name in open_clip.list_models()}
    catalogue = {
        "sources": {
            "models": f"open_clip {open_clip.__version__}",
            "imagenet_top1": "OpenCLIP, docs/openclip_results.csv at 89fb801 (June 2026), zero-shot top-1",
            "parameters_millions": "OpenCLIP, docs/model_profile.csv at 89fb801 (June 2026), else counted",
        },
        "architectures": architectures,
        "weights": weights,
        "preprocess": preprocess,
    }
    lines = json.dumps(catalogue, indent=None, ensure_ascii=False)
    for mark in ('"architectures": {', '"weights": [', '"preprocess": {', "}, "):
        lines = lines.replace(mark, mark + "\n")
    TARGET.write_text(lines + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {len(weights)} pretrained models, {len(architectures)} architectures")


if __name__ == "__main__":
    main()
