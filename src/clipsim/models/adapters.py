"""The folder of a LoRA adapter, as `peft` writes it → `Adapter`: its files, and what its configuration asks for."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipsim.errors import WeightsError, printable
from clipsim.files import digest_files
from clipsim.models.configs import read_settings

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# Settings that do not change what the tensors of an adapter mean: they say where it was put, or how it was trained.
_WITHOUT_EFFECT = {
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "eva_config", "exclude_modules",
    "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform", "loftq_config",
    "lora_alpha", "lora_dropout", "megatron_core", "modules_to_save", "peft_type", "peft_version", "qalora_group_size",
    "r", "rank_pattern", "revision", "runtime_config", "target_modules", "task_type", "use_rslora",
}  # fmt: skip
_INITIALISATIONS = (True, False, None, "gaussian", "eva", "orthogonal")  # others change the model's own weights too
_REASONS = {
    "use_dora": "DoRA scales each column by a magnitude of its own",
    "lora_bias": "the layers would get biases",
    "layer_replication": "the model would get more layers",
    "megatron_config": "its tensors are split over machines",
    "use_qalora": "its tensors are of groups of inputs",
    "trainable_token_indices": "tokens have vectors of their own",
    "target_parameters": "it changes parameters that are no layers",
    "alora_invocation_tokens": "it applies to a part of a text only",
}
_PLAIN_PATTERN = re.compile(r"\^?\w+(\\?\.\w+)*\$?")  # names between dots


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter that can be merged: a layer's matrix W becomes W + `scale_of(layer, rank)` · B · A.

    `alphas` and `ranks` are those of some layers, by the end of their names; `saved` are the layers whose own weights
    are in it. `model` is what it says of the model that it was trained for. `digest` is that of both files.
    """

    folder: Path
    weights: Path
    digest: str
    alpha: float
    rank: int
    root_of_rank: bool
    alphas: Mapping[str, float] = field(hash=False)
    ranks: Mapping[str, int] = field(hash=False)
    saved: tuple[str, ...] = ()
    model: str | None = None

    @property
    def label(self) -> str:
        """What results call it: the name of its folder, and the beginning of its digest."""
        return f"{self.folder.absolute().name}@{self.digest[:8]}"

    def rank_of(self, layer: str) -> int:
        """The rank of a layer's matrices."""
        return int(_matching(self.ranks, layer, self.rank))

    def scale_of(self, layer: str, rank: int) -> float:
        """The factor of B · A in a layer."""
        return _matching(self.alphas, layer, self.alpha) / (math.sqrt(rank) if self.root_of_rank else rank)


def read_adapter(folder: Path) -> Adapter:
    """The adapter in a folder. Raises WeightsError for another kind, and for settings that clipsim does not follow."""
    path = folder / ADAPTER_CONFIG
    shown = printable(str(folder))
    if not path.is_file():
        raise WeightsError(f"{shown}: no adapter in this folder (no {ADAPTER_CONFIG})")
    weights = next((folder / name for name in ADAPTER_WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise WeightsError(f"{shown}: an adapter without its weights ({ADAPTER_WEIGHTS[0]})")
    config = read_settings(path)
    try:
        if not isinstance(config, dict):
            raise ValueError("not an object")
        _check(config)
        digests, model = digest_files([path, weights]), config.get("base_model_name_or_path")
        return Adapter(
            folder,
            weights,
            hashlib.sha256(f"{digests[path]} {digests[weights]}".encode()).hexdigest(),
            alpha=_number(config, "lora_alpha"),
            rank=int(_number(config, "r")),
            root_of_rank=bool(config.get("use_rslora")),
            alphas=_pattern(config, "alpha_pattern"),
            ranks={name: int(rank) for name, rank in _pattern(config, "rank_pattern").items()},
            saved=tuple(str(name) for name in config.get("modules_to_save") or ()),
            model=None if model is None else str(model),
        )
    except (ValueError, TypeError, KeyError) as error:
        cause = printable(str(error), 200)
        raise WeightsError(f"{printable(str(path))}: this adapter is not supported: {cause}") from error
    except OSError as error:
        raise WeightsError(f"{printable(str(error.filename))}: cannot read it: {error.strerror}") from error


def _check(config: Mapping[str, Any]) -> None:
    """Raise ValueError, naming it, for a setting under which W + s · B · A would be another model."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise ValueError(f"peft_type {kind!r}; clipsim merges LoRA adapters only")
    if config.get("bias", "none") != "none":
        raise ValueError(f"bias {config['bias']!r}, so the layers have other biases too; train it with bias 'none'")
    if config.get("fan_in_fan_out"):
        raise ValueError("fan_in_fan_out is true, and no layer of a CLIP model is stored transposed")
    start = config.get("init_lora_weights", True)
    if start not in _INITIALISATIONS:
        raise ValueError(
            f"init_lora_weights {start!r}, which changes the model's own weights; convert it to plain LoRA"
        )
    for name, value in sorted(config.items()):
        if value and name not in _WITHOUT_EFFECT:
            raise ValueError(f"{name} is set ({_REASONS.get(name, 'which clipsim does not know')})")


def _number(config: Mapping[str, Any], name: str) -> float:
    value = config.get(name, 8)  # peft's default of both
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise ValueError(f"{name} is {value!r}")
    return float(value)


def _pattern(config: Mapping[str, Any], name: str) -> dict[str, float]:
    """Numbers by the ends of layers' names. Raises ValueError for a pattern that is more than such an end."""
    pattern = config.get(name) or {}
    if not isinstance(pattern, dict):
        raise ValueError(f"{name} is not an object")
    for key in pattern:
        if not _PLAIN_PATTERN.fullmatch(key):
            raise ValueError(f"{name} has the pattern {key!r}; clipsim follows the names of layers only")
    return {key: _number(pattern, key) for key in pattern}


def _matching(values: Mapping[str, float], layer: str, usual: float) -> float:
    """The value of the first name that is the layer's, or its end; as `peft`, which begins one with ^ for the whole."""
    for pattern, value in values.items():
        name = pattern.replace("\\", "").removesuffix("$")
        if name.startswith("^") and layer == name[1:]:
            return value
        if layer == name or layer.endswith(f".{name}"):
            return value
    return usual
