"""A model's files → one digest, which changes whenever the model's vectors may change."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from clipsim.files import digest_files
from clipsim.models.files import TOKENIZER_FILES, ModelFiles
from clipsim.models.names import ModelSpec

# Increase it when clipsim computes other vectors from the same files: another way to build, tokenize or normalise.
ENCODING_RULES = 2
DigestFiles = Callable[[Iterable[Path]], dict[Path, str]]


def identify_model(spec: ModelSpec, files: ModelFiles, read_digests: DigestFiles = digest_files) -> str:
    """The digest of a model's weights, configuration and tokenizer, whatever their names, and of `ENCODING_RULES`.

    `read_digests` gives the digests of files; cached ones avoid reading gigabytes of weights again. Raises OSError.
    """
    open_clip = package_version("open_clip_torch")
    tokenizer, text_model = _list_files(files.tokenizer), _list_files(files.text_model)
    configs = [] if files.config is None else [files.config]
    digests = read_digests([files.weights, *files.parts, *configs, *(tokenizer or ()), *(text_model or ())])
    description: dict[str, Any] = {
        "rules": ENCODING_RULES,
        "open_clip": open_clip,
        "kind": spec.kind,
        # identify a configuration that is part of open_clip itself
        "architecture": spec.architecture,
        "pretrained": spec.pretrained,
        "openai": spec.named_by_openai,
        "weights": digests[files.weights],
        "config": None if files.config is None else digests[files.config],
        "tokenizer": None if tokenizer is None else {path.name: digests[path] for path in tokenizer},
        "text_model": None if text_model is None else {path.name: digests[path] for path in text_model},
        "preprocess": files.preprocess,
    }
    # only where there are any: the digests of models that were known before stay
    if files.parts:
        description["parts"] = [digests[path] for path in files.parts]
    if spec.weights_key is not None:
        description["weights_key"] = spec.weights_key
    if spec.adapter is not None:
        description["adapter"] = spec.adapter.digest
    return hashlib.sha256(json.dumps(description).encode()).hexdigest()


@cache
def package_version(name: str) -> str | None:
    """The installed version of a package, from the name of its metadata folder; None where it is not installed.

    The result is that of importlib.metadata, which takes longer than everything else in a run on cached vectors.
    """
    pattern = re.compile(re.escape(name.lower()) + r"-([^-]+)\.dist-info")
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")  # noqa: PTH208 (a Path for each costs more)
        except OSError:
            continue
        for entry in entries:
            if match := pattern.fullmatch(entry.lower()):
                return match[1]
    return None


def _list_files(folder: Path | None) -> list[Path] | None:
    if folder is None:
        return None
    return sorted({path for pattern in TOKENIZER_FILES for path in folder.glob(pattern) if path.is_file()})
