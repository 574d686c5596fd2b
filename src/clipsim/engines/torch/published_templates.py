"""The installed open_clip → the prompt templates published for ImageNet, without importing it or torch."""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

from clipsim.errors import ModelError

_FILE, _MODULE = "zero_shot_metadata.py", "clipsim_zero_shot_metadata"
_NAMES = {"imagenet": "OPENAI_IMAGENET_TEMPLATES", "simple": "SIMPLE_IMAGENET_TEMPLATES"}


def read_published_templates(name: str) -> tuple[str, ...]:
    """The templates "imagenet" (80, OpenAI's for ImageNet) or "simple" (the 7 of them that do nearly as well).

    open_clip keeps them as functions of the label, in a file that imports nothing. Raises ModelError where the
    installed open_clip has no such file or list.
    """
    package = find_spec("open_clip")
    folders = [] if package is None else list(package.submodule_search_locations or ())
    path = next((Path(folder) / _FILE for folder in folders if (Path(folder) / _FILE).is_file()), None)
    found = None if path is None else spec_from_file_location(_MODULE, path)
    if found is None or found.loader is None:
        raise ModelError(f"the installed open_clip has no templates called '{name}' ({_FILE} is missing)")
    module = module_from_spec(found)
    found.loader.exec_module(module)
    templates = getattr(module, _NAMES[name], None)
    if not templates:
        raise ModelError(f"the installed open_clip has no templates called '{name}'")
    return tuple(str(template("{}")) for template in templates)
