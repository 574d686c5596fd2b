"""open_clip, imported without the two things that take half of its time and that most models never use.

timm is an option of OpenCLIP's, needed for image towers that timm builds; importing it loads all of its models.
torchvision's operators import torch's compiler for the sake of one function. Both are for a process of our own: a
program that uses clipsim as a library gets everything, for it may want timm itself.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

_COMPILER = ("torch._dynamo", "torch._dynamo.utils")


def import_open_clip(*, timm: bool) -> None:
    """Import open_clip quickly; without `timm`, towers of timm's cannot be built in this process.

    Does nothing where open_clip is imported already. Where the quick way fails, the usual one is left to others.
    """
    if "open_clip" in sys.modules:
        return
    import torch  # noqa: F401 (what it imports of its own accord is not for us to leave out)

    with suppress(ImportError), _compiler_put_off(), _without(() if timm else ("timm",)):
        importlib.import_module("open_clip")


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Make these imports fail, as if the packages were not installed, for those who can do without."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: "import of … halted"
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _compiler_put_off() -> Iterator[None]:
    """Stand in for torch's compiler; whatever is taken from the stand-in imports the real one when it is called."""
    if any(name in sys.modules for name in _COMPILER):
        yield
        return
    sys.modules.update({name: _PutOff(name) for name in _COMPILER})
    try:
        yield
    finally:
        for name in _COMPILER:
            if isinstance(sys.modules.get(name), _PutOff):
                del sys.modules[name]


class _PutOff(ModuleType):
    """A module all of whose attributes are functions that call the real module's."""

    __path__: list[str] = []  # noqa: RUF012 (what makes it a package to the import system)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Put a function off; what Python itself looks for is not there."""
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(importlib.import_module(self.__name__), name)(*args, **kwargs)

        return call
