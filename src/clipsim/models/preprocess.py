"""A model and what was chosen → the settings of its preprocessing, and a notice where they could be others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipsim.errors import UsageError, printable
from clipsim.models.catalogue import list_tags, read_catalogue
from clipsim.models.configs import read_settings
from clipsim.models.names import ModelSpec

# OpenAI's settings, which OpenCLIP's configurations leave out.
DEFAULTS: dict[str, Any] = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
CHOICES = ("tag", "default")


def find_settings(spec: ModelSpec, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """OpenCLIP's `preprocess_cfg` of a model, without the defaults; `config` is its configuration, if it has one.

    A state dict given by the user gets what all published weights of its architecture agree on, else the default;
    `spec.preprocess` chooses otherwise: "tag", "default" or a JSON file. Raises UsageError for a choice that does not
    exist, WeightsError for a file that cannot be read.
    """
    if spec.preprocess not in (None, *CHOICES):
        return _read_file(str(spec.preprocess))
    if spec.preprocess == "default":
        return {}
    if config is not None:
        return dict(config.get("preprocess_cfg") or {})
    if spec.kind == "tag":
        return dict(read_catalogue()["preprocess"].get(spec.name, {}))
    found = _published(spec)
    if len(found) == 1:
        return dict(found[0])
    if spec.preprocess == "tag":
        cause = "has no published weights" if not found else "has published weights with different preprocessing"
        raise UsageError(
            f"preprocess='tag': {printable(spec.reported_name)} {cause}; choose preprocess='default' or a file"
        )
    return {}


def explain_settings(spec: ModelSpec) -> str | None:
    """One line where the preprocessing of a user's state dict was not chosen and could be another; else None."""
    if spec.kind != "weights" or spec.preprocess is not None:
        return None
    found = _published(spec)
    name = printable(spec.reported_name)
    if len(found) > 1:
        return (
            f"the published weights of {name} are preprocessed in {len(found)} ways, so OpenCLIP's default is used for "
            "these; the setting 'preprocess' (tag, default or a JSON file) chooses"
        )
    if found and found[0]:
        differing = ", ".join(sorted(found[0]))
        return (
            f"these weights are preprocessed as the published ones of {name}, not by OpenCLIP's default "
            f"(different: {differing}); the setting 'preprocess' (tag, default or a JSON file) chooses"
        )
    return None


def _published(spec: ModelSpec) -> list[dict[str, Any]]:
    """The different settings of an architecture's published weights."""
    published = read_catalogue()["preprocess"]
    found: list[dict[str, Any]] = []
    for name in list_tags(spec.architecture):
        settings = published.get(name, {})
        if settings not in found:
            found.append(settings)
    return found


def _read_file(path: str) -> dict[str, Any]:
    """The settings in a JSON file, alone or as the `preprocess_cfg` of a configuration."""
    if not os.path.isfile(path):  # noqa: PTH113 (a Path raises for names that are hard to reach)
        raise UsageError(f"preprocess is 'tag', 'default' or a JSON file, and there is no file '{printable(path, 80)}'")
    settings = read_settings(Path(path))
    if isinstance(settings, dict) and isinstance(settings.get("preprocess_cfg"), dict):
        settings = settings["preprocess_cfg"]
    if not isinstance(settings, dict) or not settings.keys() & DEFAULTS.keys():
        raise UsageError(f"{printable(path, 80)}: none of {', '.join(DEFAULTS)} is set in it")
    return dict(settings)
