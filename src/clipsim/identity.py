"""A model's files → one digest, which changes whenever the vectors that the model gives may change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from clipsim.hub import TOKENIZER_FILES, ModelFiles
from clipsim.models import ModelSpec

CHUNK = 1 << 20
# Raise it when clipsim itself makes other vectors of the same files: another way to build, tokenize or normalise.
ENCODING_RULES = 1


def digest_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hex. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def identify_model(spec: ModelSpec, files: ModelFiles, digest: Callable[[Path], str] = digest_file) -> str:
    """The digest of a model: of its weights, configuration and tokenizer, whatever their names, and of the rules.

    `digest` gives a file's; one that remembers spares reading gigabytes of weights again. Raises OSError.
    """
    facts = {
        "rules": ENCODING_RULES,
        "open_clip": package_version("open_clip_torch"),
        "kind": spec.kind,
        # a configuration in open_clip's own files is known by its name
        "architecture": spec.architecture,
        "pretrained": spec.pretrained,
        "weights": digest(files.weights),
        "config": None if files.config is None else digest(files.config),
        "tokenizer": _digest_folder(files.tokenizer, digest),
        "text_model": _digest_folder(files.text_model, digest),
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@cache
def package_version(name: str) -> str | None:
    """The installed version of a package, without importing it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _digest_folder(folder: Path | None, digest: Callable[[Path], str]) -> dict[str, str] | None:
    if folder is None:
        return None
    paths = {path for pattern in TOKENIZER_FILES for path in folder.glob(pattern) if path.is_file()}
    return {path.name: digest(path) for path in sorted(paths)}
