"""What a release holds: the whole project in the sdist; the package and the bundled model alone in the wheel."""

from __future__ import annotations

import email
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

import clipsim

ROOT = Path(__file__).parents[2]
ONLY_IN_THE_REPOSITORY = (".ci/",)  # how its host runs the tests
BUILD_SDIST = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
SETUP: dict[str, Any] = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")


def run(command: list[str], folder: Path, **variables: str) -> str:
    """The standard output of a command that ends with status 0."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def project_files() -> set[str]:
    """The files of the checkout, without what git ignores."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("needs git and a checkout")
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], ROOT).split("\0")
    return {name for name in listed if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the sources, built from a copy, which no earlier build has left anything in."""
    copy = tmp_path_factory.mktemp("source")
    for name in project_files():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    run([sys.executable, "-c", BUILD_SDIST], copy)
    (built,) = (copy / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """The wheel that is built from the archive of the sources."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", str(sdist)]
    run([*command, "--wheel-dir", "wheels"], sdist.parent)
    (built,) = (sdist.parent / "wheels").iterdir()
    return built


@pytest.fixture(scope="module")
def sizes(wheel: Path) -> dict[str, int]:
    """The files of the wheel and their sizes."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.file_size for entry in archive.infolist()}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """What an index knows of the package."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_the_sdist_holds_the_whole_project(sdist: Path) -> None:
    """Every file of the checkout but the one that its host runs, and nothing that a build or a run has left there."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    made = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}

    assert sdist.name == f"clipsim-{clipsim.__version__}.tar.gz"
    assert names - made == {name for name in project_files() if not name.startswith(ONLY_IN_THE_REPOSITORY)}


def test_the_wheel_holds_the_whole_package(sizes: dict[str, int]) -> None:
    """Every module, the model with its card, names and answers, vocabulary, pages, the mark of a typed package."""
    package = ROOT / "src" / "clipsim"
    modules = {path.relative_to(ROOT / "src").as_posix() for path in package.rglob("*.py")}
    data = {"py.typed", "models/catalogue.json", "tasks/vocabulary.txt"} | {
        f"mini/model/{name}"
        for name in ("README.md", "answers.json", "names.txt", "open_clip_config.json", "open_clip_model.safetensors")
    }
    data |= {f"render/templates/{path.name}" for path in (package / "render" / "templates").iterdir()}
    data |= {f"server/page/{path.name}" for path in (package / "server" / "page").iterdir()}

    assert modules | {f"clipsim/{name}" for name in data} == {name for name in sizes if name.startswith("clipsim/")}
    assert all(sizes[f"clipsim/{name}"] == (package / name).stat().st_size for name in data)


def test_the_wheel_holds_nothing_else(sizes: dict[str, int]) -> None:
    """No code that draws or trains, and no tests."""
    top = {name.split("/")[0] for name in sizes}

    assert len(top) == 2
    assert {name for name in top if not name.endswith(".dist-info")} == {"clipsim"}
    assert {name for name in sizes if name.startswith("clipsim/mini/") and name.endswith(".py")} == {
        "clipsim/mini/__init__.py", "clipsim/mini/probe.py",
    }  # fmt: skip


def test_the_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    """Unpacked beside the dependencies that are installed here, it ranks an image with its own model."""
    install = ["install", "--no-deps", "--no-index", "--no-compile", "--target", str(tmp_path / "site")]
    run([sys.executable, "-m", "pip", *install, str(wheel)], tmp_path)
    variables = {"PYTHONPATH": str(tmp_path / "site"), "CLIPSIM_CACHE_DIR": str(tmp_path / "cache")}

    imported = run([sys.executable, "-c", "import clipsim; print(clipsim.__file__)"], tmp_path, **variables)
    assert Path(imported.strip()).parent == tmp_path / "site" / "clipsim"
    command = [sys.executable, "-m", "clipsim", "rank", str(ROOT / "images" / "cat1.jpeg"), "-t", "cat", "-t", "maze"]
    lines = run([*command, "--model", "clipsim-mini", "--format", "csv"], tmp_path, **variables).splitlines()
    assert [line.split(",")[1] for line in lines] == ["text", "cat", "maze"]


def test_the_metadata_are_those_of_the_release(metadata: Message) -> None:
    """The version has one source, and the extras are those of pyproject.toml."""
    assert metadata["Version"] == clipsim.__version__
    assert "all" in metadata.get_all("Provides-Extra", [])
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_the_description_has_no_relative_links(metadata: Message) -> None:
    """On an index they would lead nowhere; the text itself is whole."""
    description = str(metadata.get_payload())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert re.findall(r"\]\((?!https?:)[^)]*\)", description) == []
    assert re.findall(r"^#+ .*", description, re.MULTILINE) == re.findall(r"^#+ .*", readme, re.MULTILINE)
    assert description.count("```") == readme.count("```")


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        (None, "# a\n\nSee b, [c](https://example.org) and `d[0]`.\n"),
        (
            "https://example.org/x",
            "# a\n\n![two\nlines](https://example.org/x/raw/v1.2/docs/p.png)\n\n"
            "See [b](https://example.org/x/blob/v1.2/docs/b.md#c), [c](https://example.org) and `d[0]`.\n",
        ),
    ],
)
def test_relative_links_become_absolute_or_text(repository: str | None, expected: str) -> None:
    """Pictures by their raw files, pages by their page on the host; other links and code stay."""
    readme = "# a\n\n![two\nlines](docs/p.png)\n\nSee [b](docs/b.md#c), [c](https://example.org) and `d[0]`.\n"

    assert SETUP["index_description"](readme, repository, "1.2") == expected
