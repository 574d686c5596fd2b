"""`ModelSpec` → the files it needs on this machine: found where they are, or downloaded into the Hugging Face cache."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipsim.errors import DownloadError, WeightsError
from clipsim.models import CONFIG_FILE, ModelFacts, ModelSpec, find_facts, read_catalogue
from clipsim.names import printable

# What OpenCLIP's repositories call their weights, best first.
WEIGHTS_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
LOCAL_WEIGHTS_FILES = (*WEIGHTS_FILES, "model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.pth")
# Everything that a tokenizer or the configuration of a text tower can consist of; never code, never weights.
TOKENIZER_FILES = ("*.json", "*.txt", "*.model")


@dataclass(frozen=True)
class ModelFiles:
    """The local files of a model; folders for what `transformers` reads, None for what the model does not need."""

    weights: Path
    config: Path | None = None
    tokenizer: Path | None = None
    text_model: Path | None = None


def find_files(spec: ModelSpec, cache_dir: str | None = None) -> ModelFiles:
    """The files of a model, downloading those that are not here yet.

    The network is touched only for what is missing; `cache_dir` takes the place of the Hugging Face cache.

    Raises WeightsError for a directory without weights or with a damaged configuration, DownloadError (saying how to
    pull it) when something cannot be fetched.
    """
    if spec.kind in ("checkpoint", "weights"):
        assert spec.path is not None
        return ModelFiles(spec.path, None, *_text_files(spec.architecture, cache_dir))
    if spec.kind == "directory":
        assert spec.path is not None
        return _directory_files(spec.path, cache_dir)
    assert spec.repository is not None
    if spec.kind == "hub":
        config = _fetch(spec, (CONFIG_FILE,), cache_dir)
        weights = _fetch(spec, WEIGHTS_FILES, cache_dir)
        text = read_config(config)["model_cfg"].get("text_cfg", {})
        # OpenCLIP's repositories carry the tokenizer that their configuration names
        tokenizer = _fetch_folder(spec.repository, cache_dir) if text.get("hf_tokenizer_name") else None
        text_model = _fetch_folder(text["hf_model_name"], cache_dir) if text.get("hf_model_name") else None
        return ModelFiles(weights, config, tokenizer, text_model)
    facts = find_facts(spec.name)
    assert facts is not None
    return ModelFiles(
        _fetch(spec, weights_candidates(facts), cache_dir), None, *_text_files(spec.architecture, cache_dir)
    )


def weights_candidates(facts: ModelFacts) -> tuple[str, ...]:
    """The names that a repository's weights may have, best first."""
    if facts.file is None:
        return WEIGHTS_FILES
    return (f"{facts.file.removesuffix('.bin')}.safetensors", facts.file)


def is_cached(facts: ModelFacts) -> bool:
    """Whether a listed model's weights are on this machine already."""
    if facts.repository is None:
        return True
    return any(_cached(facts.repository, file) for file in weights_candidates(facts))


def read_config(path: Path) -> dict[str, Any]:
    """A model's open_clip_config.json, checked.

    Raises WeightsError when it is damaged, is not OpenCLIP's, or asks for code to be run.
    """
    shown = printable(str(path))
    try:
        text = path.read_text(encoding="utf-8")
        config = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{shown}: cannot read the configuration: {printable(str(error), 120)}") from error
    model = config.get("model_cfg") if isinstance(config, dict) else None
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= model.keys():
        raise WeightsError(f"{shown}: not a configuration of OpenCLIP's (no complete 'model_cfg' in it)")
    if "trust_remote_code" in text:
        raise WeightsError(f"{shown}: asks for 'trust_remote_code'; clipsim runs no code that comes with a model")
    checked: dict[str, Any] = config
    return checked


def _directory_files(folder: Path, cache_dir: str | None) -> ModelFiles:
    config = folder / CONFIG_FILE
    shown = printable(str(folder))
    if not config.is_file():
        raise WeightsError(f"{shown}: no {CONFIG_FILE} in this folder, so it is not a model of OpenCLIP's")
    text = read_config(config)["model_cfg"]["text_cfg"]
    weights = next((folder / name for name in LOCAL_WEIGHTS_FILES if (folder / name).is_file()), None)
    if weights is None:
        raise WeightsError(f"{shown}: no weights in this folder; expected {LOCAL_WEIGHTS_FILES[0]}")
    return ModelFiles(
        weights,
        config,
        folder if text.get("hf_tokenizer_name") else None,
        _fetch_folder(text["hf_model_name"], cache_dir) if text.get("hf_model_name") else None,
    )


def _text_files(architecture: str | None, cache_dir: str | None) -> tuple[Path | None, Path | None]:
    """Folders of the tokenizer and of the text tower's configuration, for architectures that take them from the Hub."""
    facts = read_catalogue()["architectures"].get(architecture, {})
    tokenizer, text_model = facts.get("tokenizer"), facts.get("text_model")
    return _fetch_folder(tokenizer, cache_dir) if tokenizer else None, _fetch_folder(
        text_model, cache_dir
    ) if text_model else None


def _cached(repository: str, file: str, cache_dir: str | None = None) -> Path | None:
    """A file in the Hugging Face cache, by its documented layout: asking the library would take a quarter second."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(cache_dir or HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    path = folder / "snapshots" / commit / file
    return path if path.is_file() else None


def _fetch(spec: ModelSpec, candidates: tuple[str, ...], cache_dir: str | None) -> Path:
    """The first of the candidates that is here, else the first that the repository has, downloaded."""
    assert spec.repository is not None
    for file in candidates:
        if path := _cached(spec.repository, file, cache_dir):
            return path
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for file in candidates:
        try:
            with _bars():
                return Path(hf_hub_download(spec.repository, file, cache_dir=cache_dir))
        except LocalEntryNotFoundError as error:  # offline; an EntryNotFoundError by inheritance
            raise DownloadError(_cause(error, spec.repository, spec.name)) from error
        except EntryNotFoundError:
            continue
        except Exception as error:
            raise DownloadError(_cause(error, spec.repository, spec.name)) from error
    raise DownloadError(
        f"{printable(spec.repository)}: has none of {', '.join(candidates)}; it is not OpenCLIP's layout"
    )


def _fetch_folder(repository: str, cache_dir: str | None) -> Path:
    """The folder with a repository's tokenizer and configuration files."""
    from huggingface_hub import snapshot_download

    with suppress(Exception):  # not here: whatever the reason, the download below says it better
        found = snapshot_download(
            repository, allow_patterns=list(TOKENIZER_FILES), cache_dir=cache_dir, local_files_only=True
        )
        if any(Path(found).glob("token*")):
            return Path(found)
    try:
        with _bars():
            return Path(snapshot_download(repository, allow_patterns=list(TOKENIZER_FILES), cache_dir=cache_dir))
    except Exception as error:
        raise DownloadError(_cause(error, repository, None)) from error


@contextmanager
def _bars() -> Iterator[None]:
    """Progress bars of downloads on a terminal only."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    quiet = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            enable_progress_bars()


def _cause(error: Exception, repository: str, name: str | None) -> str:
    """One line that says why a download failed and what to do."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    subject = printable(repository)
    pull = f"run 'clipsim models pull {printable(name)}' on a machine with a network" if name else "try again online"
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, (HfHubHTTPError, OSError)):
        cause = cause.__cause__
    if isinstance(error, GatedRepoError):
        return f"{subject}: its authors ask for consent to terms; accept them on the Hub, then 'hf auth login'"
    if isinstance(error, RepositoryNotFoundError):
        return f"{subject}: the Hub has no such repository, or not for you ('hf auth login' if it is private)"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code if error.response is not None else "no answer"
        return f"{subject}: the Hub answered {status}; try again later, what was downloaded is kept"
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{subject}: cannot store the download: {error.strerror}; HF_HOME moves the cache to another disk"
    said = printable(str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__, 160)
    return f"{subject}: not on this machine and not to be downloaded now ({said}); {pull}"
