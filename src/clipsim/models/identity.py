"""A model's files → one digest, which changes whenever the model's vectors may change."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from clipsim.files import digest_file
from clipsim.models.configs import find_settings
from clipsim.models.files import TOKENIZER_FILES, ModelFiles, read_model_config
from clipsim.models.names import ModelSpec

# Increase it when clipsim computes other vectors from the same files: another way to build, tokenize or normalise.
ENCODING_RULES = 2


def identify_model(spec: ModelSpec, files: ModelFiles, digest: Callable[[Path], str] = digest_file) -> str:
    """The digest of a model's weights, configuration and tokenizer, whatever their names, and of `ENCODING_RULES`.

    `digest` gives a file's digest; a cached one avoids reading gigabytes of weights again. Raises OSError.
    """
    description = {
        "rules": ENCODING_RULES,
        "open_clip": package_version("open_clip_torch"),
        "kind": spec.kind,
        # identify a configuration that is part of open_clip itself
        "architecture": spec.architecture,
        "pretrained": spec.pretrained,
        "openai": spec.named_by_openai,
        "weights": digest(files.weights),
        "config": None if files.config is None else digest(files.config),
        "tokenizer": _digest_folder(files.tokenizer, digest),
        "text_model": _digest_folder(files.text_model, digest),
        "preprocess": find_settings(spec, read_model_config(files)),
    }
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


def _digest_folder(folder: Path | None, digest: Callable[[Path], str]) -> dict[str, str] | None:
    if folder is None:
        return None
    paths = {path for pattern in TOKENIZER_FILES for path in folder.glob(pattern) if path.is_file()}
    return {path.name: digest(path) for path in sorted(paths)}
