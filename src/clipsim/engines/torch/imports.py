"""open_clip, imported without the two things that take half of its time and that most models do not need.

timm is an option of OpenCLIP's, needed for image towers that timm builds; importing it loads all of its models.
torchvision's operators import torch's compiler for the sake of one function. Both are left out only in a process that
runs a single model, and only where that model needs neither timm nor transformers, which use the compiler themselves.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

_COMPILER = ("torch._dynamo", "torch._dynamo.utils")


def import_open_clip(*, timm: bool, transformers: bool) -> None:
    """Import open_clip, fast where the model needs neither timm nor transformers.

    After a fast import, towers of timm's cannot be built in this process. Does nothing where open_clip is imported
    already; where the fast way fails, the usual one is left to later imports.
    """
    if "open_clip" in sys.modules or timm or transformers:
        return
    import torch  # noqa: F401 (before the stand-ins: what it imports itself must be the real thing)

    with suppress(ImportError), _compiler_deferred(), _without("timm"):
        importlib.import_module("open_clip")


@contextmanager
def _without(name: str) -> Iterator[None]:
    """Make an import fail, as if the package were not installed, for a library that can do without it."""
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = None  # type: ignore[assignment]  # "import of … halted"
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]


@contextmanager
def _compiler_deferred() -> Iterator[None]:
    """Stand in for torch's compiler; the first call of a function of a stand-in imports the real one."""
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
    """A module all of whose attributes are functions that call the real module's, in whose place it never stays."""

    __path__: list[str] = []  # noqa: RUF012 (what makes it a package to the import system)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Defer a function; the attributes that Python itself looks for do not exist."""
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            _remove_stand_ins()  # else the import below would find this stand-in again
            return getattr(importlib.import_module(self.__name__), name)(*args, **kwargs)

        return call
