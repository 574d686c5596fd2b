"""What an installation gets: the package and the bundled model, and nothing of how the model was made."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The files of the wheel and their sizes, built from a copy, which no earlier build has left anything in."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("src", "training", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "."]
    done = subprocess.run([*command, "--wheel-dir", "dist"], cwd=copy, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (built,) = (copy / "dist").iterdir()
    with zipfile.ZipFile(built) as archive:
        return {entry.filename: entry.file_size for entry in archive.infolist()}


def test_the_wheel_holds_the_whole_package(wheel: dict[str, int]) -> None:
    """Every module, the model with its card and answers, catalogue, vocabulary, pages, the mark of a typed package."""
    package = ROOT / "src" / "clipsim"
    modules = {str(path.relative_to(ROOT / "src")) for path in package.rglob("*.py")}
    data = {"py.typed", "models/catalogue.json", "tasks/vocabulary.txt"} | {
        f"mini/model/{name}"
        for name in ("README.md", "answers.json", "open_clip_config.json", "open_clip_model.safetensors")
    }
    data |= {f"render/templates/{path.name}" for path in (package / "render" / "templates").iterdir()}
    data |= {f"server/page/{path.name}" for path in (package / "server" / "page").iterdir()}

    assert modules | {f"clipsim/{name}" for name in data} == {name for name in wheel if name.startswith("clipsim/")}
    assert all(wheel[f"clipsim/{name}"] == (package / name).stat().st_size for name in data)


def test_the_wheel_holds_nothing_else(wheel: dict[str, int]) -> None:
    """No code that draws or trains, and no tests."""
    top = {name.split("/")[0] for name in wheel}

    assert len(top) == 2
    assert {name for name in top if not name.endswith(".dist-info")} == {"clipsim"}
    assert {name for name in wheel if name.startswith("clipsim/mini/") and name.endswith(".py")} == {
        "clipsim/mini/__init__.py", "clipsim/mini/probe.py",
    }  # fmt: skip
