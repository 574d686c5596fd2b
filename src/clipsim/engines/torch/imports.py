"""open_clip and torch, imported without the parts that the model at hand does not need.

timm and transformers are optional for OpenCLIP; importing them loads the definitions of all their models. In a process
that runs a single model, what that model does not need is left out. torchvision and timm import torch's compiler for a
function each; it is left out unless transformers builds a tower, whose code uses the compiler itself. So are parts of
torch and torchvision that only the compiler and other models use: they are executed when something reads them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from clipsim.errors import ModelError
from clipsim.models.files import ModelFiles, needs_timm
from clipsim.models.identity import package_version
from clipsim.models.names import ModelSpec

_COMPILER = ("torch._dynamo", "torch._dynamo.utils")
# What torchvision.ops.roi_align imports from the compiler, and only its operator for boxes calls.
_DEFERRED = "is_compile_supported"
# What timm, through torch.compiler, marks functions with that are not to be compiled; clipsim compiles none.
_MARK = "disable"
# How operations work on tensors without numbers, which the compiler traces: a quarter of the time that torch takes.
_OF_COMPILER = ("torch._meta_registrations", "torch.distributed._meta_registrations", "torch._prims")
_NEEDED_OF_COMPILER = "torch._prims.rng_prims"  # completes the class torch.Generator
# Versions of torch of which it is known what these modules do when they are executed; of others, all are executed.
KNOWN_TORCH = ("2.14",)
# The packages, not their modules: OpenCLIP needs torchvision.transforms, and torchvision.ops.misc for one class.
_OF_TORCHVISION = ("torchvision", "torchvision.ops")


def import_for_one_model(spec: ModelSpec, files: ModelFiles) -> None:
    """Import open_clip in a process that runs this model and no other, as fast as the model allows."""
    compiler = files.text_model is not None
    import_open_clip(timm=needs_timm(spec, files), transformers=files.needs_transformers, compiler=compiler)


def import_open_clip(*, timm: bool, transformers: bool, compiler: bool) -> None:
    """Import open_clip without what the model does not need of timm, transformers and torch's compiler.

    After that, this process cannot build a model that needs timm or transformers if it was left out: asking for it
    raises RuntimeError. OpenCLIP cannot download either; clipsim does so itself. Does nothing where open_clip is
    already imported, or all is needed; where the fast import fails, later imports are the usual ones.
    """
    needed = {name for name, is_needed in (("timm", timm), ("transformers", transformers)) if is_needed}
    if "open_clip" in sys.modules:
        if missing := needed & getattr(sys.modules["open_clip"], "_clipsim_left_out", set()):
            raise RuntimeError(f"open_clip was imported for a single model without {' and '.join(sorted(missing))}")
        return
    left_out = {"timm", "transformers"} - needed - set(sys.modules)
    if compiler and not left_out:
        return
    finder = _Finder()
    try:
        with ExitStack() as stack:
            if not compiler:
                stack.enter_context(_absent({"cuda.bindings"}))  # which torch has for parts of a GPU and their profiler
                sys.meta_path.insert(0, finder)
            import torch  # noqa: F401 (before the stand-ins, so that torch itself never imports one)

            if isinstance(sys.modules.get(_OF_COMPILER[0]), _UnexecutedModule):
                importlib.import_module(_NEEDED_OF_COMPILER)
            stack.enter_context(_absent(left_out if needed else {*left_out, "huggingface_hub"}))
            if not compiler:
                stack.enter_context(_compiler_deferred())
            importlib.import_module("open_clip")._clipsim_left_out = left_out  # type: ignore[attr-defined]
    except ImportError:
        finder.execute_postponed(finder.names)
        for name in [name for name in sys.modules if name.partition(".")[0] == "open_clip"]:
            del sys.modules[name]  # modules that were imported without timm and transformers


@contextmanager
def _absent(names: Set[str]) -> Iterator[None]:
    """Make imports of packages that are not imported yet fail as if they were not installed."""
    hidden = names - set(sys.modules)
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is the import system's own sign for it
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


class _Finder(MetaPathFinder):
    """Imports modules without executing them, those of the compiler until it is imported itself."""

    def __init__(self) -> None:
        known = ".".join((package_version("torch") or "").split(".")[:2]) in KNOWN_TORCH
        self.names = _OF_COMPILER + _OF_TORCHVISION if known else _OF_TORCHVISION

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual spec of a postponed module; None for others, which other finders find."""
        if name == _COMPILER[0]:  # it imports modules in a circle that ends well only where these were executed before
            self.execute_postponed(_OF_COMPILER)
        if name not in self.names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _PostponingLoader(spec.loader)
        return spec

    def execute_postponed(self, names: Sequence[str]) -> None:
        """Execute modules that were imported without, and import everything as usual from now on."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in names:
            if isinstance(module := sys.modules.get(name), _UnexecutedModule):
                module.execute()


class _PostponingLoader(Loader):
    """A loader that leaves the execution of its module to the module."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def exec_module(self, module: ModuleType) -> None:
        """Make it a module that executes itself."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        module.__class__ = _UnexecutedModule


class _UnexecutedModule(ModuleType):
    """A module that executes itself when an attribute is read that it lacks; its submodules can be imported before."""

    def execute(self) -> None:
        """Become the usual module, after its package, whose code may execute this one too."""
        package = sys.modules.get(self.__name__.rpartition(".")[0])
        if isinstance(package, _UnexecutedModule):
            package.execute()
        spec = self.__spec__
        if type(self) is _UnexecutedModule and spec is not None and spec.loader is not None:
            self.__class__ = ModuleType  # type: ignore[assignment]  # first: it may read what it has not yet defined
            spec.loader.exec_module(self)

    def __getattr__(self, name: str) -> Any:
        """An attribute that only the executed module has."""
        self.execute()
        return getattr(self, name)


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
