"""The environment and the settings file → the user's default model, and the folders of settings and caches."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from clipsim.errors import Setting, SettingsError, UnknownModelError, UsageError, printable
from clipsim.files import write_atomically
from clipsim.models.adapters import read_adapter
from clipsim.models.catalogue import BUNDLED
from clipsim.models.names import ModelSpec, find_model
from clipsim.options import ModelOptions


def default_model() -> tuple[str, bool]:
    """The name of the default model, and whether the user chose it.

    `CLIPSIM_MODEL`, else the name that `save_default` wrote, else the bundled model, which the user did not choose.
    Raises SettingsError when the settings file is damaged or cannot be read.
    """
    if setting := os.environ.get("CLIPSIM_MODEL"):
        return setting, True
    try:
        settings = json.loads(settings_path().read_text(encoding="utf-8"))
        saved = settings.get("model") if isinstance(settings, dict) else ""
        if saved is not None and not (isinstance(saved, str) and saved):
            raise ValueError("'model' is not the name of a model")
    except (FileNotFoundError, NotADirectoryError):
        saved = None
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"{printable(str(settings_path()))}: cannot read the settings ({error}); 'clipsim models use NAME' "
            "re-creates them"
        ) from error
    return (BUNDLED, False) if saved is None else (saved, True)


def save_default(name: str) -> Path:
    """Save a model's full name, or its absolute path, as the user's default. Returns the settings file.

    Raises UnknownModelError for an unknown name, SettingsError when the file cannot be written.
    """
    spec = find_model(name)
    local = spec.kind in ("directory", "checkpoint") and spec.name != BUNDLED
    name = str(spec.path.resolve()) if local and spec.path is not None else spec.name
    target = settings_path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, json.dumps({"model": name}, indent=1) + "\n")
    except OSError as error:
        raise SettingsError(
            f"{printable(str(target))}: cannot write the settings ({error.strerror}); CLIPSIM_MODEL sets the model too"
        ) from error
    return target


def settings_path() -> Path:
    """The file with the user's default model, in the system's usual folder for settings."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "clipsim" / "settings.json"
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA")
        return (Path(roaming) if roaming else Path.home()) / "clipsim" / "settings.json"
    shared = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".config") / "clipsim" / "settings.json"


def cache_folder() -> Path:
    """The folder for what clipsim can re-create: `CLIPSIM_CACHE_DIR`, else the system's usual folder for caches."""
    if setting := os.environ.get("CLIPSIM_CACHE_DIR"):
        return Path(setting)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "clipsim"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "clipsim" / "cache"
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "clipsim"


def state_folder() -> Path:
    """The folder for what must last although nobody made it by hand, such as journals: the system's usual one."""
    if sys.platform in ("darwin", "win32"):
        return settings_path().parent
    shared = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".local" / "state") / "clipsim"


def choose_model(options: ModelOptions) -> tuple[ModelSpec, bool]:
    """The model of these options, or the default one, with its adapter; and whether the user chose it.

    Raises UsageError for weights without an architecture, UnknownModelError for an unknown name, WeightsError for an
    adapter that cannot be merged, and what `default_model` raises.
    """
    if options.weights is not None and options.model is None:
        raise UsageError(
            "needs an architecture",
            parameter="weights",
            value=options.weights,
            hint=("give ", Setting("model", "ARCHITECTURE"), "; a checkpoint in OpenAI's layout is a model itself"),
        )
    name, chosen = (options.model, True) if options.model is not None else default_model()
    try:
        spec = find_model(name, options.weights)
    except UnknownModelError as error:
        if options.model is not None:
            raise
        saved = f"'clipsim models use', {printable(str(settings_path()))}"
        source = "CLIPSIM_MODEL" if os.environ.get("CLIPSIM_MODEL") else saved
        raise UnknownModelError(f"{error.message} (the name comes from {source})", hint=error.hint) from error
    adapter = None if options.adapter is None else read_adapter(Path(options.adapter))
    changed = replace(spec, preprocess=options.preprocess, weights_key=options.weights_key, adapter=adapter)
    return changed, chosen
