"""pytest plugin for `make test-quick`: a test ends as skipped at the moment it imports torch or starts a process.

What always does so is not even collected, nor are the files that compare images, or read large files, for many seconds,
nor single tests with the mark `slow`.
"""

from __future__ import annotations

import multiprocessing.process
import subprocess
import sys
from collections.abc import Generator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).parents[1]
SLOW = [
    ROOT / name
    for name in (
        "src/clipsim/clip.py",
        "src/clipsim/model.py",
        "src/clipsim/simple_tokenizer.py",
        "src/clipsim/engines/torch",
        "tests/process",
        "tests/training",
        "training",
        "tests/images/test_containers.py",
        "tests/images/test_copies.py",
        "tests/tasks/test_duplicates.py",
        "tests/vectors/test_pixels.py",
    )
]
SLOW_PACKAGES = {"torch", "torchvision", "open_clip", "timm", "transformers"}


class _Refusal:
    """The first finder of the import system, which refuses the packages that are slow to import."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] in SLOW_PACKAGES:
            _skip(f"imports {name}")
        return None


def _skip(reason: str) -> NoReturn:
    pytest.skip(reason, allow_module_level=True)


def _refuse_process(*_: Any, **__: Any) -> NoReturn:
    _skip("starts a process")


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Refuse slow packages and processes from now on; pytest-xdist has started its processes before."""
    assert "torch" not in sys.modules
    sys.meta_path.insert(0, _Refusal())
    subprocess.Popen.__init__ = _refuse_process  # type: ignore[method-assign]
    multiprocessing.process.BaseProcess.start = _refuse_process  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Forget modules that were imported in part: pytest leaves them behind when it imports one for its doctests."""
    known = set(sys.modules)
    report = yield
    if report.skipped:
        for name in [name for name in sys.modules if name.startswith("clipsim.") and name not in known]:
            del sys.modules[name]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that are marked as slow."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what is slow."""
    return True if collection_path in SLOW else None
