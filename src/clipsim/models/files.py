"""`ModelSpec` → `ModelFiles`: local files, downloaded into the Hugging Face cache where they are missing."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clipsim.errors import WeightsError, printable
from clipsim.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from clipsim.models.catalogue import (
    BUNDLED_PATH,
    CONFIG_FILE,
    HUB_NAMES,
    ModelInfo,
    find_model_info,
    read_catalogue,
)
from clipsim.models.configs import (
    explain_settings,
    find_settings,
    has_transformers_names,
    is_transformers_config,
    lacks_processor,
    read_config,
    read_description,
    read_settings,
)
from clipsim.models.download import fetch_file, fetch_folder, find_cached, missing_files
from clipsim.models.folders import CLIP_MODULE, resolve_folder
from clipsim.models.names import ModelSpec
from clipsim.models.shards import find_parts, is_index, read_index, with_indexes
from clipsim.models.training_config import PARAMS_FILE, explain_activation, find_params, is_epoch, list_epochs
from clipsim.models.transformers_config import CONFIG_FILE as TRANSFORMERS_FILE

# What OpenCLIP's repositories call their weights, best first.
WEIGHTS_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
# The names that OpenCLIP looks for in a folder, in its order.
LOCAL_WEIGHTS_FILES = with_indexes(
    (
        *WEIGHTS_FILES,
        "open_clip_pytorch_model.pth",
        "model.safetensors",
        "pytorch_model.bin",
        "pytorch_model.pth",
        "model.pth",
    )
)
HUB_WEIGHTS_FILES = with_indexes(WEIGHTS_FILES)
# Patterns for the files of a tokenizer or of a text tower's configuration; they match no code and no weights.
TOKENIZER_FILES = ("*.json", "*.txt", "*.model")
_NEEDED_OF_TOKENIZER = ("tokenizer.json", "*.model", "vocab*")  # one of them
TRANSFORMERS_WEIGHTS_FILES = with_indexes(("model.safetensors", "pytorch_model.bin"))
# The files of an adapter, which changes a model when it is applied.
ADAPTER_FILES = (ADAPTER_CONFIG, *ADAPTER_WEIGHTS)
_WEIGHTS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
_EMA = re.compile(r"(^|[._-])ema([._-]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class ModelFiles:
    """The local files of a model, None for those that it does not need.

    `weights` is a file of tensors, or the index of the `parts` that hold them. `tokenizer` and `text_model` are folders
    that `transformers` reads. `settings` is what the file `config`, or
    else the weights themselves, say of the model, in OpenCLIP's terms; None where they say nothing. `preprocess` is how
    images are prepared (`configs.find_settings`).
    """

    weights: Path
    config: Path | None = None
    tokenizer: Path | None = None
    text_model: Path | None = None
    parts: tuple[Path, ...] = ()
    settings: dict[str, Any] | None = field(default=None, compare=False, repr=False)
    preprocess: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def needs_transformers(self) -> bool:
        """Whether the optional package `transformers` provides the tokenizer or the text tower."""
        return self.tokenizer is not None or self.text_model is not None


def find_files(spec: ModelSpec, cache_dir: str | None = None) -> ModelFiles:
    """Find the files of a model, and download those that are missing.

    The network is used only for missing files; `cache_dir` replaces the Hugging Face cache.

    Raises WeightsError for a directory without weights or with a damaged configuration, DownloadError when a file
    cannot be downloaded, UsageError for preprocessing that does not exist.
    """
    files = _locate(spec, cache_dir)
    return replace(files, parts=find_parts(files.weights), preprocess=find_settings(spec, files.settings))


def _locate(spec: ModelSpec, cache_dir: str | None) -> ModelFiles:
    if spec.kind in ("checkpoint", "weights"):
        assert spec.path is not None
        if (described := read_description(spec.path)) is not None:
            return ModelFiles(spec.path, settings=described)
        if (config := _config_of(spec.path)) is not None:
            return _files_beside(config, spec.path, cache_dir)
        return ModelFiles(spec.path, None, *_text_files(spec.architecture, cache_dir))
    if spec.kind == "directory":
        assert spec.path is not None
        return _directory_files(spec.path, cache_dir)
    assert spec.repository is not None
    if spec.kind == "hub":
        return _hub_files(spec, spec.repository, cache_dir)
    info = find_model_info(spec.name)
    assert info is not None
    weights = fetch_file(spec.repository, weights_candidates(info), cache_dir, spec.name)
    return ModelFiles(weights, None, *_text_files(spec.architecture, cache_dir))


def _hub_files(spec: ModelSpec, repository: str, cache_dir: str | None) -> ModelFiles:
    """The files of a repository in OpenCLIP's layout, or that of `transformers`, at its root or in a folder of it."""
    revision = spec.revision
    names = (CONFIG_FILE, TRANSFORMERS_FILE, f"{CLIP_MODULE}/{TRANSFORMERS_FILE}")
    config = fetch_file(repository, names, cache_dir, spec.name, revision)
    folder = f"{CLIP_MODULE}/" if config.parent.name == CLIP_MODULE else ""
    if config.name == TRANSFORMERS_FILE and not is_transformers_config(config):
        raise missing_files(repository, (CONFIG_FILE,))
    if config.name == TRANSFORMERS_FILE:  # with its preprocessing and tokenizer, which stand beside it
        patterns, needed = (tuple(folder + name for name in names) for names in (TOKENIZER_FILES, _NEEDED_OF_TOKENIZER))
        fetch_folder(repository, patterns, needed, cache_dir, revision)
    settings = read_config(config)  # refused before gigabytes of weights are fetched
    text = settings["model_cfg"]["text_cfg"]
    candidates = HUB_WEIGHTS_FILES if config.name == CONFIG_FILE else TRANSFORMERS_WEIGHTS_FILES
    weights = fetch_file(repository, [folder + name for name in candidates], cache_dir, spec.name, revision)
    for name in read_index(weights) if is_index(weights) else ():
        fetch_file(repository, (folder + name,), cache_dir, spec.name, revision)
    tokenizer = None
    if text.get("hf_tokenizer_name") and config.name == TRANSFORMERS_FILE:
        tokenizer = _without_code(config.parent)
    elif text.get("hf_tokenizer_name"):  # OpenCLIP's repositories carry the tokenizer that their configuration names
        tokenizer = _tokenizer_folder(repository, cache_dir, revision)
    text_model = _text_model_folder(text.get("hf_model_name"), cache_dir)
    return ModelFiles(weights, config, tokenizer, text_model, settings=settings)


def read_weights_config(weights: Path) -> dict[str, Any] | None:
    """The configuration in a checkpoint file, or else in its folder; None where neither has one."""
    described = read_description(weights)
    if described is not None or (config := _config_of(weights)) is None:
        return described
    return read_config(config)


def explain_model(spec: ModelSpec, files: ModelFiles) -> tuple[str, ...]:
    """Notices of what is not used of a model's folder, and of how images are prepared; the weights are not read.

    The encoder, which reads the weights, has further notices.
    """
    notice = explain_settings(spec) if files.settings is None else None
    return (*_explain_folder(spec, files), *filter(None, [notice, _explain_adapter(spec)]))


def _explain_adapter(spec: ModelSpec) -> str | None:
    """A notice of an adapter that says that it is of another model than the published one that is named."""
    if spec.adapter is None or spec.adapter.model is None or spec.kind not in ("tag", "hub"):
        return None
    names = {spec.name, spec.repository, *(name for name, known in HUB_NAMES.items() if known == spec.name)}
    if spec.adapter.model in names:
        return None
    return (
        f"the adapter {printable(spec.adapter.label, 60)} says that its model is "
        f"{printable(str(spec.adapter.model), 80)}; it is merged into {printable(spec.name)}"
    )


def _explain_folder(spec: ModelSpec, files: ModelFiles) -> list[str]:
    """A notice for each thing in the folder of a model that could change its vectors and is not used."""
    if spec.kind == "tag":
        return []  # named, with everything that belongs to it
    notices = []
    names: list[str] = []
    with suppress(OSError):  # a folder that can be entered and not listed
        names = sorted(path.name for path in files.weights.parent.iterdir())
    adapter = next((name for name in ADAPTER_FILES if name in names), None)
    applied = spec.adapter is not None and files.weights.parent.resolve() == spec.adapter.folder.resolve()
    if adapter is not None and not applied:
        notices.append(
            f"{printable(str(files.weights))}: the adapter beside it ({adapter}) is not applied; the setting 'adapter' "
            "takes its folder"
        )
    averaged = [name for name in names if _EMA.search(name) and name.endswith(_WEIGHTS_SUFFIXES)]
    if averaged and files.weights != spec.path and files.weights.name not in averaged:  # where no file was named
        notices.append(
            f"{printable(str(files.weights))}: the EMA weights beside it ({printable(averaged[0], 60)}) are not used"
        )
    index = next((name for name in names if is_index(Path(name)) and name != files.weights.name), None)
    if index is not None and files.weights != spec.path and files.weights not in files.parts:
        notices.append(
            f"{printable(str(files.weights))}: is used, and the weights in several files beside it "
            f"({printable(index, 60)}) are not"
        )
    if files.config is not None and files.settings is not None and files.config.name == PARAMS_FILE:
        notices += filter(None, [explain_activation(files.config, files.settings)])
    if files.config is not None and lacks_processor(files.config):
        notices.append(
            f"{printable(str(files.config))}: no image processor is beside it, so images are prepared as for OpenAI's"
            " CLIP; preprocessor_config.json would say how"
        )
    return notices


def weights_candidates(info: ModelInfo) -> tuple[str, ...]:
    """The possible file names of a listed model's weights in its repository, preferred first."""
    if info.file is None:
        return WEIGHTS_FILES
    return (f"{info.file.removesuffix('.bin')}.safetensors", info.file)


def find_weights(info: ModelInfo) -> Path | None:
    """The path of a listed model's weights on this machine; None when they are missing."""
    if info.repository is None:
        return BUNDLED_PATH / WEIGHTS_FILES[0]
    paths = (find_cached(info.repository, file) for file in weights_candidates(info))
    return next((path for path in paths if path is not None), None)


def needs_timm(spec: ModelSpec, files: ModelFiles) -> bool:
    """Whether the package `timm` builds the image tower."""
    if files.settings is not None:
        return bool(files.settings["model_cfg"]["vision_cfg"].get("timm_model_name"))
    return bool(read_catalogue()["architectures"].get(spec.architecture, {}).get("timm"))


def _config_of(weights: Path) -> Path | None:
    """The configuration in the folder of a checkpoint file that describes it; None where there is none."""
    config = _find_config(weights.parent)
    if config is None or config.name == CONFIG_FILE:
        return config
    if config.name == PARAMS_FILE:
        return config if is_epoch(weights) else None
    return config if weights.name in TRANSFORMERS_WEIGHTS_FILES or has_transformers_names(weights) else None


def _find_config(folder: Path) -> Path | None:
    """The configuration in a folder: OpenCLIP's, else that of a CLIP model of `transformers`, else of a training."""
    if (folder / CONFIG_FILE).is_file():
        return folder / CONFIG_FILE
    other = folder / TRANSFORMERS_FILE
    return other if other.is_file() and is_transformers_config(other) else find_params(folder)


def _directory_files(folder: Path, cache_dir: str | None) -> ModelFiles:
    folder = resolve_folder(folder)
    config = _find_config(folder)
    adapter = next((name for name in ADAPTER_FILES if (folder / name).is_file()), None)
    alone = (
        f"an adapter ({adapter}) without its model; give the model that it was trained for, and this folder as the "
        "setting 'adapter'"
    )
    if config is None:
        problem = alone if adapter is not None else f"no {CONFIG_FILE} in this folder, so it is not an OpenCLIP model"
        raise WeightsError(f"{printable(str(folder))}: {problem}")
    names = TRANSFORMERS_WEIGHTS_FILES if config.name == TRANSFORMERS_FILE else LOCAL_WEIGHTS_FILES
    weights = next((folder / name for name in names if (folder / name).is_file()), None)
    if weights is None:  # OpenCLIP takes any other checkpoint too; here it must be the only one
        others = [path for suffix in ("safetensors", "bin", "pth") for path in sorted(folder.glob(f"*.{suffix}"))]
        others = [path for path in [*others, *list_epochs(folder)] if path.name not in ADAPTER_FILES]
        weights = others[0] if len(others) == 1 else None
        if len(others) > 1:
            listed = printable(", ".join(path.name for path in others), 120)
            problem = f"no weights in this folder that go before others; give one of its files as the model: {listed}"
            raise WeightsError(f"{printable(str(folder))}: {problem}")
    if weights is None:
        problem = alone if adapter is not None else f"no weights in this folder; expected {names[0]}"
        raise WeightsError(f"{printable(str(folder))}: {problem}")
    return _files_beside(config, weights, cache_dir)


def _files_beside(config: Path, weights: Path, cache_dir: str | None) -> ModelFiles:
    """The files of the model that a configuration on this machine describes."""
    settings = read_config(config)
    text = settings["model_cfg"]["text_cfg"]
    text_model = text.get("hf_model_name")
    tokenizer = None
    if text.get("hf_tokenizer_name") and config.name == PARAMS_FILE:  # an architecture of OpenCLIP's
        tokenizer = _tokenizer_folder(text["hf_tokenizer_name"], cache_dir)
    elif text.get("hf_tokenizer_name"):
        tokenizer = _without_code(config.parent)
    return ModelFiles(
        weights,
        config,
        tokenizer,
        # OpenCLIP takes a local folder with a config.json here, too
        _without_code(Path(text_model))
        if text_model and os.path.isdir(text_model)  # noqa: PTH112
        else _text_model_folder(text_model, cache_dir),
        settings=settings,
    )


def _text_files(architecture: str | None, cache_dir: str | None) -> tuple[Path | None, Path | None]:
    """Folders of the tokenizer and of the text tower's configuration, where the architecture uses the Hub's."""
    info = read_catalogue()["architectures"].get(architecture, {})
    return (
        _tokenizer_folder(info.get("tokenizer"), cache_dir),
        _text_model_folder(info.get("text_model"), cache_dir),
    )


def _tokenizer_folder(repository: str | None, cache_dir: str | None, revision: str | None = None) -> Path | None:
    if repository is None:
        return None
    return _without_code(fetch_folder(repository, TOKENIZER_FILES, _NEEDED_OF_TOKENIZER, cache_dir, revision))


def _text_model_folder(repository: str | None, cache_dir: str | None) -> Path | None:
    needed = ("config.json",)
    return _without_code(fetch_folder(repository, TOKENIZER_FILES, needed, cache_dir)) if repository else None


def _without_code(folder: Path) -> Path:
    """The folder; raises WeightsError when a file in it asks `transformers` to run code from the repository."""
    for path in folder.glob("*config.json"):
        if "auto_map" in json.dumps(read_settings(path)):  # not in the file's text, where an escape could hide it
            raise WeightsError(
                f"{printable(str(path))}: asks for 'auto_map'; clipsim runs no code that comes with a model"
            )
    return folder
