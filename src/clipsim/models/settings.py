"""The user's default model: from the environment, from the settings file, or the bundled one."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from clipsim.errors import SettingsError, UnknownModelError, UsageError, printable
from clipsim.models.catalogue import BUNDLED
from clipsim.models.names import ModelSpec, find_model


def default_model() -> tuple[str, bool]:
    """The name of the model to use when none is given, and whether the user chose it.

    `CLIPSIM_MODEL`, else what `save_default` wrote, else the bundled model (the only one that nobody chose).
    """
    if setting := os.environ.get("CLIPSIM_MODEL"):
        return setting, True
    try:
        settings = json.loads(settings_path().read_text(encoding="utf-8"))
        saved = settings.get("model") if isinstance(settings, dict) else ""
        if saved is not None and not (isinstance(saved, str) and saved):
            raise ValueError("no name of a model in it")
    except (FileNotFoundError, NotADirectoryError):
        saved = None
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{printable(str(settings_path()))}: cannot read the settings ({error}); 'clipsim models use NAME' writes "
            "them anew"
        ) from error
    return (BUNDLED, False) if saved is None else (saved, True)


def save_default(name: str) -> Path:
    """Make a model the default of this user; its full name is kept, or its absolute path. Returns the settings file.

    Raises UnknownModelError for a name that nothing answers to, SettingsError when the file cannot be written.
    """
    spec = find_model(name)
    local = spec.kind in ("directory", "checkpoint") and spec.name != BUNDLED
    name = str(Path(name).resolve()) if local else spec.name
    target = settings_path()
    draft = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"model": name}, indent=1) + "\n", encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise SettingsError(
            f"{printable(str(target))}: cannot write the settings ({error.strerror}); CLIPSIM_MODEL sets the model too"
        ) from error
    return target


def settings_path() -> Path:
    """The file that keeps the user's default model, in the system's usual place for settings."""
    import typer  # knows the place on every system

    return Path(typer.get_app_dir("clipsim")) / "settings.json"


def cache_folder() -> Path:
    """The folder for what clipsim can make anew: `CLIPSIM_CACHE_DIR`, else the system's usual place for caches."""
    if own := os.environ.get("CLIPSIM_CACHE_DIR"):
        return Path(own)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "clipsim"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "clipsim" / "cache"
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "clipsim"


def choose_model(name: str | None, weights: str | None = None, preprocess: str | None = None) -> tuple[ModelSpec, bool]:
    """`find_model` for what was asked, else for the default; and whether anyone chose it.

    Raises UsageError for weights without an architecture.
    """
    if weights is not None and name is None and not os.environ.get("CLIPSIM_MODEL"):
        raise UsageError(
            "weights need the name of their architecture as the model; a checkpoint in OpenAI's layout is given as the "
            "model itself"
        )
    if name is not None:
        return replace(find_model(name, weights), preprocess=preprocess), True
    name, chosen = default_model()
    try:
        return replace(find_model(name, weights), preprocess=preprocess), chosen
    except UnknownModelError as error:
        source = "CLIPSIM_MODEL" if os.environ.get("CLIPSIM_MODEL") else "'clipsim models use'"
        raise UnknownModelError(f"{error} (the name comes from {source})") from error
