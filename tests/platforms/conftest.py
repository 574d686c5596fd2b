"""What tests of other systems share: modules that take this one for Windows."""

from __future__ import annotations

import ntpath
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

collect_ignore = ["simulated", "run_commands.py"]  # importing what is in it changes the process: doctests would


def rename_only(source: str, target: str) -> None:
    """As `os.rename` of Windows, which replaces nothing."""
    if os.path.lexists(target):
        raise FileExistsError(17, "Cannot create a file when that file already exists", target)
    Path(source).rename(target)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let modules see the `sys.platform` of Windows, and with `paths` names of files as it has them."""

    def see(*modules: str, paths: bool = False) -> None:
        system = {"path": ntpath, "sep": "\\", "altsep": "/"} if paths else {"rename": rename_only}
        for module in map(import_module, modules):
            for name, own in (("sys", {"platform": "win32"}), ("os", system)):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, SimpleNamespace(**(vars(sys.modules[name]) | own)))

    return see
