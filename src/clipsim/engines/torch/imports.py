"""open_clip, imported without the optional packages that the model at hand does not need.

timm and transformers are optional for OpenCLIP; importing them loads the definitions of all their models. In a process
that runs a single model, what that model does not need is left out. torchvision and timm import torch's compiler for a
function each; it is left out unless transformers builds a tower, whose code uses the compiler itself.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from clipsim.errors import ModelError
from clipsim.models.files import ModelFiles, needs_timm
from clipsim.models.names import ModelSpec

_COMPILER = ("torch._dynamo", "torch._dynamo.utils")
# What torchvision.ops.roi_align imports from the compiler, and only its operator for boxes calls.
_DEFERRED = "is_compile_supported"
# What timm, through torch.compiler, marks functions with that are not to be compiled; clipsim compiles none.
_MARK = "disable"


def import_for_one_model(spec: ModelSpec, files: ModelFiles) -> None:
    """Import open_clip in a process that runs this model and no other, as fast as the model allows."""
    compiler = files.text_model is not None
    import_open_clip(timm=needs_timm(spec, files), transformers=files.needs_transformers, compiler=compiler)


def import_open_clip(*, timm: bool, transformers: bool, compiler: bool) -> None:
    """Import open_clip without what the model does not need of timm, transformers and torch's compiler.

    After that, this process cannot build a model that needs timm or transformers if it was left out: asking for it
    raises RuntimeError. Does nothing where open_clip is already imported, or all is needed; where the fast import
    fails, later imports are the usual ones.
    """
    needed = {name for name, is_needed in (("timm", timm), ("transformers", transformers)) if is_needed}
    if "open_clip" in sys.modules:
        if missing := needed & getattr(sys.modules["open_clip"], "_clipsim_left_out", set()):
            raise RuntimeError(f"open_clip was imported for a single model without {' and '.join(sorted(missing))}")
        return
    left_out = {"timm", "transformers"} - needed - set(sys.modules)
    if compiler and not left_out:
        return
    import torch  # noqa: F401 (before the stand-ins, so that torch itself never imports one)

    try:
        with ExitStack() as stack:
            for name in left_out:
                stack.enter_context(_absent(name))
            if not compiler:
                stack.enter_context(_compiler_deferred())
            importlib.import_module("open_clip")._clipsim_left_out = left_out  # type: ignore[attr-defined]
    except ImportError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "open_clip"]:
            del sys.modules[name]  # modules that were imported without timm and transformers


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Make imports of a package that is not imported yet fail as if it were not installed."""
    sys.modules[name] = None  # type: ignore[assignment]  # the import system's own sign for it
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _compiler_deferred() -> Iterator[None]:
    """Put stand-ins in the place of torch's compiler, unless it is already imported."""
    if any(name in sys.modules for name in _COMPILER):
        yield
        return
    sys.modules.update({name: _StandIn(name) for name in _COMPILER})
    try:
        yield
    finally:
        _remove_stand_ins()


def _remove_stand_ins() -> None:
    for name in _COMPILER:
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]


class _StandIn(ModuleType):
    """A stand-in module that imports the real one when any attribute but two functions is read.

    The deferred function, which its importer keeps, imports the real module when it is called; the other marks nothing.
    """

    def __getattr__(self, name: str) -> Any:
        """One of the two functions, or an attribute of the real module; there are none that Python itself looks for."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name == _MARK:
            return lambda function=None, *_, **__: function or (lambda marked: marked)
        if name != _DEFERRED:
            return getattr(self._import(), name)

        def deferred(*args: Any) -> Any:
            return getattr(self._import(), name)(*args)

        return deferred

    def _import(self) -> ModuleType:
        _remove_stand_ins()  # else the import would find this stand-in again
        return importlib.import_module(self.__name__)


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
    module_spec = None if path is None else spec_from_file_location(_MODULE, path)
    if module_spec is None or module_spec.loader is None:
        raise ModelError(f"the installed open_clip has no templates called '{name}' ({_FILE} is missing)")
    module = module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    templates = getattr(module, _NAMES[name], None)
    if not templates:
        raise ModelError(f"the installed open_clip has no templates called '{name}'")
    return tuple(str(template("{}")) for template in templates)
