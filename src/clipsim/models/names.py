"""A model's name, folder or checkpoint file → `ModelSpec`; nothing is opened or downloaded."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clipsim.errors import Setting, UnknownModelError, printable, system_cause
from clipsim.models.catalogue import (
    BUNDLED,
    BUNDLED_PATH,
    HUB_NAMES,
    OPENAI_NAMES,
    find_model_info,
    list_models,
    read_catalogue,
)

if TYPE_CHECKING:
    from clipsim.models.adapters import Adapter

HUB_PREFIX = "hf-hub:"
FOLDER_PREFIX = "local-dir:"  # as OpenCLIP names a folder
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")  # of Git, without odd ones


@dataclass(frozen=True)
class ModelSpec:
    """Where a model's architecture and weights come from, by `kind`:

    tag         OpenCLIP's `architecture` with the weights `pretrained`, from `repository`
    hub         a Hugging Face repository that contains its own configuration
    directory   `path` with open_clip_config.json and weights (the bundled model too)
    checkpoint  the file `path` in OpenAI's layout, its architecture inferred from the tensors
    weights     OpenCLIP's `architecture` with the state dict in the file `path`
    module      a model in hand, without files
    """

    name: str
    kind: Literal["tag", "hub", "directory", "checkpoint", "weights", "module"]
    architecture: str | None = None
    pretrained: str | None = None
    repository: str | None = None
    revision: str | None = None  # of the repository: a branch, tag or commit; None for its main branch
    path: Path | None = None
    named_by_openai: bool = False  # weights whose architecture was given as OpenAI alone writes it, such as ViT-B/32
    preprocess: str | None = None  # "tag", "default" or a JSON file; None where nothing was chosen
    weights_key: str | None = None  # which of the state dicts in a checkpoint; None for the usual one
    adapter: Adapter | None = None  # merged into the weights

    @property
    def reported_name(self) -> str:
        """The model's name in results: the architecture where it is known, else the name that the user gave."""
        return (self.architecture or self.name) + ("" if self._plain_tag else self.changes)

    @property
    def reported_tag(self) -> str | None:
        """The pretrained tag in results; "bundled" for the bundled model."""
        return self._plain_tag + self.changes if self._plain_tag else None

    @property
    def _plain_tag(self) -> str | None:
        return "bundled" if self.name == BUNDLED else self.pretrained

    @property
    def changes(self) -> str:
        """What its weights are beside those of the name, for results: scores with and without an adapter differ."""
        changes = (self.weights_key, None if self.adapter is None else self.adapter.label)
        return "".join(f"{_CHANGE}{change}" for change in changes if change)


_CHANGE = " + "  # behind a name in results


def split_changes(name: str) -> tuple[str, str]:
    """A name in results → the name as `find_model` takes it, and what was changed of its weights.

    >>> split_changes("ViT-B-32/openai + cats@01234567")
    ('ViT-B-32/openai', ' + cats@01234567')
    """
    plain, mark, _ = name.partition(_CHANGE)
    return (name, "") if not mark or os.path.exists(name) else (plain, name[len(plain) :])  # noqa: PTH110


def join_name(name: str, pretrained: str | None) -> str:
    """A name and tag of results as `find_model` takes them; the bundled model's tag is no part of its name.

    >>> join_name("ViT-B-32", "openai"), join_name("clipsim-mini", "bundled")
    ('ViT-B-32/openai', 'clipsim-mini')
    """
    plain, change, rest = (pretrained or "").partition(_CHANGE)
    return name + ("" if plain in ("", "bundled") else f"/{plain}") + change + rest


def find_model(name: str, weights: str | None = None) -> ModelSpec:
    """Resolve a model's name, folder or file; with `weights`, an architecture and the file of its state dict.

    A name is tried in this order: `hf-hub:ORG/REPO[@REVISION]`, `local-dir:FOLDER`, a name in the catalogue (OpenAI's
    own and the bundled model's too), an architecture with a single pretrained tag, a directory, a checkpoint file.
    Nothing is opened or downloaded.

    Raises UnknownModelError, with the nearest names, for anything else.
    """
    if weights is not None:
        return _find_architecture(name, weights)
    if name.startswith(HUB_PREFIX):
        repository, at, revision = name.removeprefix(HUB_PREFIX).partition("@")
        if repository.count("/") != 1 or not all(repository.split("/")):
            raise UnknownModelError(f"'{printable(name, 80)}': a Hub model is written hf-hub:ORG/REPO")
        if at and not _REVISION.fullmatch(revision):
            raise UnknownModelError(
                f"'{printable(name, 80)}': a revision is a branch, a tag or the hash of a commit: "
                "hf-hub:ORG/REPO@REVISION"
            )
        return ModelSpec(name, "hub", repository=repository, revision=revision or None)
    if name.startswith(FOLDER_PREFIX):
        folder = name.removeprefix(FOLDER_PREFIX)
        if not os.path.isdir(folder):  # noqa: PTH112
            raise UnknownModelError(f"{printable(name, 80)}: no such folder")
        return ModelSpec(name, "directory", path=Path(folder))
    info = find_model_info(name)
    if info is None:
        tags = [info for info in list_models() if info.architecture == name]
        info = tags[0] if len(tags) == 1 else None
    if info is not None and info.name == BUNDLED:
        return ModelSpec(BUNDLED, "directory", path=BUNDLED_PATH)
    if info is not None:
        return ModelSpec(info.name, "tag", info.architecture, info.pretrained, info.repository)
    if os.path.isdir(name):  # noqa: PTH112 - unlike Path's, false for what cannot be a path
        return ModelSpec(name, "directory", path=Path(name))
    if os.path.exists(name):  # noqa: PTH110
        return ModelSpec(name, "checkpoint", path=Path(name))
    raise _unknown(name)


def _find_architecture(name: str, weights: str) -> ModelSpec:
    architecture = OPENAI_NAMES.get(name, name)
    if architecture not in read_catalogue()["architectures"]:
        raise UnknownModelError(
            f"needs the name of an OpenCLIP architecture as its model, such as ViT-B-32, and '{printable(name, 80)}' "
            "is not one",
            parameter="weights",
            value=weights,
            hint="'clipsim models' lists them",
        )
    try:
        os.stat(weights)  # noqa: PTH116
    except (OSError, ValueError) as error:
        cause = "no such file" if isinstance(error, FileNotFoundError) else system_cause(error)
        raise UnknownModelError(cause, parameter="weights", value=weights) from error
    openais = architecture != name  # RN50 is what OpenCLIP calls its own, too
    return ModelSpec(architecture, "weights", architecture, None, path=Path(weights), named_by_openai=openais)


def _unknown(name: str) -> UnknownModelError:
    label = printable(name, 80)
    tags = [info.name for info in list_models() if info.architecture == name]
    if tags:
        more = f" and {len(tags) - 4} more" if len(tags) > 4 else ""
        return UnknownModelError(
            f"'{label}' has several sets of weights",
            hint=f"choose one: {', '.join(tags[:4])}{more} ('clipsim models --filter {label}' lists them)",
        )
    if name in read_catalogue()["architectures"]:
        return UnknownModelError(
            f"'{label}' is an architecture without published weights",
            hint=("give it your own with ", Setting("weights", "FILE")),
        )
    if "/" in name.replace(os.sep, "/").rstrip("/") and Path(name).suffix in (".pt", ".pth", ".bin", ".safetensors"):
        return UnknownModelError(f"{label}: no such file or directory")
    near = _near_names(name)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UnknownModelError(
        f"no model, file or folder is called '{label}'", hint=f"{hint}'clipsim models' lists the names"
    )


def _near_names(name: str) -> list[str]:
    """The name in the right case, else up to three that contain it, the most accurate first, else those spelt alike."""
    lowered = name.lower().replace(":", "/")
    names = {alias.lower(): alias for info in list_models() for alias in (info.name, *info.aliases)}
    names |= {alias: alias for alias in HUB_NAMES}
    if lowered in names:
        return [names[lowered]]
    if same := [info.name for info in list_models() if info.architecture.lower() == lowered]:
        return same[:1]
    containing = [info for info in list_models() if len(lowered) > 2 and lowered in info.name.lower()]
    containing.sort(key=lambda info: -(info.imagenet_top1 or 0))
    if containing:
        return [info.name for info in containing[:3]]
    return [names[match] for match in difflib.get_close_matches(lowered, names, n=3, cutoff=0.6)]
