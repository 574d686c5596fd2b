"""The machine → a report of what clipsim runs on here, and whether it computes what it should."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from clipsim.api import open_encoder
from clipsim.errors import ClipsimError
from clipsim.hub import find_weights
from clipsim.mini.probe import TEXTS, known_answers, probe_pictures
from clipsim.models import BUNDLED, BUNDLED_PATH, find_model, list_models
from clipsim.ranking import collect, rank_sources
from clipsim.settings import cache_folder, default_model, settings_path

SCHEMA = "clipsim.doctor/1"
PACKAGES = (
    "clipsim", "torch", "torchvision", "open_clip_torch", "timm", "huggingface_hub", "safetensors", "Pillow", "numpy",
    "typer", "rich", "pillow-heif", "transformers", "onnxruntime", "tokenizers", "onnx",
)  # fmt: skip
# How far a cosine may be from the known answer; fp32 differs by the order of sums, the others by their rounding.
TOLERANCE = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 3e-2}


@dataclass(frozen=True)
class Check:
    """The bundled model on one device in one precision: the greatest difference from the known cosines, or an error."""

    device: str
    precision: str
    passed: bool
    difference: float | None
    error: str | None


@dataclass(frozen=True)
class FoundModel:
    """A model whose weights are on this machine."""

    name: str
    path: str
    bytes: int


@dataclass(frozen=True)
class Report:
    """What a bug report needs to say."""

    system: dict[str, str]
    packages: dict[str, str | None]
    device: str
    precision: str
    default_model: str
    default_chosen: bool
    folders: dict[str, str]
    environment: dict[str, str]
    models: tuple[FoundModel, ...]
    checks: tuple[Check, ...]
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all is well."""
        return not self.problems and all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema `clipsim.doctor/1`."""
        return {
            "schema": SCHEMA,
            "passed": self.passed,
            **vars(self),
            "models": [vars(model) for model in self.models],
            "checks": [vars(check) for check in self.checks],
            "problems": list(self.problems),
        }


def examine() -> Report:
    """Look at everything and run the checks; takes as long as loading torch and a little model."""
    from clipsim.encoder.devices import choose_device, choose_precision, describe_devices

    problems = []
    name, chosen = BUNDLED, False
    try:
        name, chosen = default_model()
        find_model(name)
    except ClipsimError as error:
        problems.append(f"default model: {error}")
    devices = describe_devices()
    device = choose_device("auto")
    return Report(
        system={
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processors": str(os.cpu_count()),
            **{f"device {key}": value for key, value in devices.items()},
        },
        packages={package: _version(package) for package in PACKAGES},
        device=str(device),
        precision=choose_precision(None, device)[0],
        default_model=name,
        default_chosen=chosen,
        folders={
            "settings": str(settings_path()),
            "weights": _hub_cache(),
            "vectors": str(cache_folder()),
            "bundled model": str(BUNDLED_PATH),
        },
        environment={
            key: re.sub(r"//[^/@]*@", "//…@", value)  # a password in an address is nobody's business
            for key, value in sorted(os.environ.items())
            if key.startswith(("CLIPSIM_", "HF_H", "HF_E")) or key in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
        },
        models=tuple(_found_models()),
        checks=tuple(check_machine(device, precision) for device in devices for precision in TOLERANCE),
        problems=tuple(problems),
    )


def check_machine(device: str, precision: str) -> Check:
    """Ask the bundled model what it was asked when it was made, and compare."""
    try:
        encoder = open_encoder(find_model(BUNDLED), device, precision)
        result = collect(encoder, TEXTS, rank_sources(encoder, probe_pictures(), TEXTS, fail=True))
    except Exception as error:  # whatever it is, the report is the place to say so
        return Check(device, precision, False, None, f"{type(error).__name__}: {error}")
    difference = float(np.abs(result.similarity - np.array(known_answers())).max())
    return Check(device, precision, difference <= TOLERANCE[precision], round(difference, 7), None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _hub_cache() -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    return str(HF_HUB_CACHE)


def _found_models() -> Iterator[FoundModel]:
    for facts in list_models():
        path = find_weights(facts)
        if path is not None:
            yield FoundModel(facts.name, str(path), path.stat().st_size)
