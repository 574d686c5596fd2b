"""A model's configuration file → OpenCLIP's `model_cfg` and `preprocess_cfg`, checked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from clipsim.errors import Setting, UsageError, WeightsError, printable
from clipsim.models import training_config, transformers_config
from clipsim.models.catalogue import list_tags, read_catalogue
from clipsim.models.names import ModelSpec

MAX_CONFIG_BYTES = 1 << 24  # usual configurations have a few thousand
DESCRIPTION_KEY = "clipsim"  # of a description in the metadata of a state dict
_TRANSFORMERS_NAME = b"text_model.embeddings.token_embedding.weight"
_DESCRIPTION = "clipsim.checkpoint/1 "  # what it begins with


def read_config(path: Path) -> dict[str, Any]:
    """A model's open_clip_config.json, or in OpenCLIP's terms the config.json of `transformers` or the params.txt of a
    training, checked.

    Raises WeightsError when it is damaged, is of another kind, or asks for code to be run.
    """
    if path.name == training_config.PARAMS_FILE:
        return _check(training_config.read_params(path), path)
    config = read_settings(path)
    if path.name == transformers_config.CONFIG_FILE:
        return _check(_convert(path, config), path)
    checked = _check(config, path)
    (checked.get("preprocess_cfg") or {}).pop("backend", None)  # not OpenCLIP's, which always resizes by Pillow
    return checked


def _check(config: Any, path: Path) -> dict[str, Any]:
    """The configuration; raises WeightsError where it is of another kind or asks for code to be run."""
    if problem := _find_problem(config):
        raise WeightsError(f"{printable(str(path))}: {problem}")
    checked: dict[str, Any] = config
    return checked


def _find_problem(config: Any) -> str | None:
    model = config.get("model_cfg") if isinstance(config, dict) else None
    if not (
        isinstance(model, dict)
        and isinstance(model.get("embed_dim"), int)
        and isinstance(model.get("vision_cfg"), dict)
        and isinstance(model.get("text_cfg"), dict)
        and isinstance(model["text_cfg"].get("hf_model_name") or "", str)
    ):
        return "not an OpenCLIP configuration ('model_cfg' is missing or incomplete)"
    if "trust_remote_code" in json.dumps(config):  # not in the file's text, where an escape could hide it
        return "asks for 'trust_remote_code'; clipsim runs no code that comes with a model"
    if ":" in str(model["vision_cfg"].get("timm_model_name") or ""):
        return "loads its image tower from elsewhere ('timm_model_name'); clipsim reads the model's folder only"
    if not isinstance(config.get("preprocess_cfg") or {}, dict):
        return "'preprocess_cfg' is not an object"
    return None


def describe_model(model: Mapping[str, Any], preprocess: Mapping[str, Any]) -> str:
    """The text that a state dict carries to describe its model; `read_description` reads it."""
    return _DESCRIPTION + json.dumps({"model_cfg": model, "preprocess_cfg": preprocess})


def read_description(path: Path) -> dict[str, Any] | None:
    """The configuration in a state dict that was saved from a model of `clipsim.load`, as `read_config`; else None.

    The text is in the pickle of the file, which is searched and not run. Raises WeightsError where it is damaged, or
    where the model has a tokenizer of its own, which is not in the file.
    """
    pickled, mark = _read_head(path), _DESCRIPTION.encode()
    # a pickle writes a long text after its length in four bytes
    descriptions = {
        pickled[at : at + int.from_bytes(pickled[at - 4 : at], "little")] for at in _find_all(mark, pickled)
    }
    return parse_description(descriptions.pop(), path) if len(descriptions) == 1 else None  # of several models


def parse_description(text: bytes, path: Path) -> dict[str, Any]:
    """The configuration in the text of `describe_model`; `path` names the checkpoint. Raises as `read_description`."""
    try:
        config = _check(json.loads(text.removeprefix(_DESCRIPTION.encode())), path)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{printable(str(path))}: its description of the model is damaged") from error
    text_tower = config["model_cfg"]["text_cfg"]
    if text_tower.get("hf_tokenizer_name") or text_tower.get("hf_model_name"):
        raise WeightsError(
            f"{printable(str(path))}: saved from a model with a tokenizer of its own, which is not in the file; load "
            "that model, and then these weights with its load_state_dict"
        )
    return config


def has_transformers_names(path: Path) -> bool:
    """Whether a checkpoint's tensors are named as those of a CLIPModel of `transformers`."""
    return _TRANSFORMERS_NAME in _read_head(path)


def _read_head(path: Path) -> bytes:
    """The header of a safetensors file; the beginning of PyTorch's pickle, which is not run, or of any other file."""
    if not os.path.isfile(path):  # noqa: PTH113 (a Path raises for names that are hard to reach)
        return b""
    try:
        with path.open("rb") as file:
            begin = file.read(9)
            header_bytes = int.from_bytes(begin[:8], "little")
            if begin.endswith(b"{") and 0 < header_bytes <= MAX_CONFIG_BYTES:  # of a safetensors file
                return begin + file.read(header_bytes - 1)
            return _read_pickle(file)
    except (OSError, ValueError):
        return b""


def _read_pickle(file: BinaryIO) -> bytes:
    import zipfile  # slow to import

    try:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            return file.read(MAX_CONFIG_BYTES)
        with zipfile.ZipFile(file) as archive:
            (entry,) = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
            if entry.compress_type != zipfile.ZIP_STORED:  # PyTorch compresses none
                return b""
            with archive.open(entry) as pickled:
                return pickled.read(MAX_CONFIG_BYTES)
    except (ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return b""  # damaged, which is reported when the tensors are read


def _find_all(pattern: bytes, content: bytes) -> Iterator[int]:
    at = content.find(pattern)
    while at >= 0:
        yield at
        at = content.find(pattern, at + 1)


def is_transformers_config(path: Path) -> bool:
    """Whether a config.json describes a model at all; other programs write files of that name too."""
    try:
        config = read_settings(path)
    except WeightsError:
        return True  # so that the error is reported
    return isinstance(config, dict) and "model_type" in config


def _convert(path: Path, config: Any) -> dict[str, Any]:
    try:
        if not isinstance(config, dict):
            raise ValueError("not an object")
        return transformers_config.convert_config(config, _read_processor(path.parent))
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        cause = printable(str(error), 240)
        raise WeightsError(f"{printable(str(path))}: this configuration is not supported: {cause}") from error


def _read_processor(folder: Path) -> Mapping[str, Any] | None:
    """The settings of a folder's image processor, in the file that `transformers` takes them from; None without one."""
    names = (transformers_config.PROCESSOR_FILE, transformers_config.PREPROCESSOR_FILE)
    processor, preprocessor = (read_settings(folder / name) if (folder / name).is_file() else None for name in names)
    return transformers_config.choose_processor(processor, preprocessor)


def lacks_processor(path: Path) -> bool:
    """Whether a config.json of `transformers` comes without the settings of an image processor."""
    return path.name == transformers_config.CONFIG_FILE and _read_processor(path.parent) is None


def read_settings(path: Path, *, unique_names: bool = False) -> Any:
    """The value in a JSON file of settings. Raises WeightsError for one that is damaged or too large.

    With `unique_names`, an object that names a value twice is damaged; else its last value counts.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        if len(content) > MAX_CONFIG_BYTES:
            raise ValueError(f"it exceeds the limit of {MAX_CONFIG_BYTES:,} bytes")
        return json.loads(content.decode("utf-8"), object_pairs_hook=_unique if unique_names else None)
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{printable(str(path))}: cannot read the configuration: {printable(str(error), 120)}"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs. Raises ValueError for a name that stands in it twice."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"'{printable(name, 60)}' is in it twice")
        values[name] = value
    return values


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
    published = _published(spec)
    if len(published) == 1:
        return dict(published[0])
    if spec.preprocess == "tag":
        cause = "has no published weights" if not published else "has published weights with different preprocessing"
        raise UsageError(
            f"{printable(spec.reported_name)} {cause}",
            parameter="preprocess",
            value="tag",
            hint=("choose ", Setting("preprocess", "default"), " or a file"),
        )
    return {}


def explain_settings(spec: ModelSpec) -> str | None:
    """A notice where the preprocessing of a user's state dict was not chosen and could be another; else None."""
    if spec.kind != "weights" or spec.preprocess is not None:
        return None
    published = _published(spec)
    name = printable(spec.reported_name)
    if len(published) > 1:
        return (
            f"the published weights of {name} are preprocessed in {len(published)} ways, so OpenCLIP's default is "
            "used for these; the setting 'preprocess' (tag, default or a JSON file) chooses"
        )
    if published and published[0]:
        differing = ", ".join(sorted(published[0]))
        return (
            f"these weights are preprocessed as the published ones of {name}, not by OpenCLIP's default "
            f"(different: {differing}); the setting 'preprocess' (tag, default or a JSON file) chooses"
        )
    return None


def _published(spec: ModelSpec) -> list[dict[str, Any]]:
    """The different settings of an architecture's published weights."""
    published = read_catalogue()["preprocess"]
    variants: list[dict[str, Any]] = []
    for name in list_tags(spec.architecture):
        settings = published.get(name, {})
        if settings not in variants:
            variants.append(settings)
    return variants


def _read_file(path: str) -> dict[str, Any]:
    """The settings in a JSON file, alone or as the `preprocess_cfg` of a configuration."""
    if not os.path.isfile(path):  # noqa: PTH113 (a Path raises for names that are hard to reach)
        raise UsageError("no such file", parameter="preprocess", value=path, hint="choose tag, default or a JSON file")
    settings = read_settings(Path(path))
    if isinstance(settings, dict) and isinstance(settings.get("preprocess_cfg"), dict):
        settings = settings["preprocess_cfg"]
    if not isinstance(settings, dict) or not settings.keys() & DEFAULTS.keys():
        raise UsageError(f"{printable(path, 80)}: none of {', '.join(DEFAULTS)} is set in it")
    return dict(settings)
