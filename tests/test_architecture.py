"""The house rules that a machine can hold: which module imports which, and what a fast command may load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "clipsim"
ROW = re.compile(r"^\| `(?P<module>[a-z_]+/?)` \| [^|]+ \| (?P<imports>[^|]+) \|$", re.MULTILINE)


def allowed_imports() -> dict[str, set[str]]:
    """The module table of the README: module → the modules of clipsim that it may import."""
    table = {}
    for row in ROW.finditer((ROOT / "README.md").read_text(encoding="utf-8")):
        table[row["module"].rstrip("/")] = set(re.findall(r"\w+", row["imports"]))
    return table


def module_of(path: Path) -> str:
    """The row of the table that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """The rows of the table that a file imports, at its top or inside its functions."""
    found = set()
    here = ["clipsim", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) + "." if node.level else ""
            names = [f"{base}{node.module or ''}"]
            names += [f"{names[0]}.{alias.name}" for alias in node.names] if names[0].rstrip(".") == "clipsim" else []
        found |= {name.split(".")[1] for name in names if name.startswith("clipsim.") and name.split(".")[1]}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    """Every import within clipsim is one that the module table allows."""
    module = module_of(path)
    if module == "__init__":
        return  # re-exports, checked by the tests that use them
    table = allowed_imports()

    assert module in table, f"{module} is missing from the README's module table"
    allowed = set(table) if "all" in table[module] else table[module] | {module}
    assert imports_of(path) <= allowed


def test_the_table_lists_only_what_exists() -> None:
    """A module that is gone leaves the table."""
    assert set(allowed_imports()) == {module_of(path) for path in FILES} - {"__init__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_small_and_say_what_they_do(path: Path) -> None:
    """A docstring that begins with one sentence, and at most about 250 lines."""
    text = path.read_text(encoding="utf-8")

    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 255


@pytest.mark.parametrize(
    "code",
    [
        "import clipsim",
        "import clipsim; clipsim.available_models()",
        "import sys; sys.argv = ['clipsim', '--help']; from clipsim.cli import main; main()",
        "import sys; sys.argv = ['clipsim', 'rank', '--help']; from clipsim.cli import main; main()",
        "import sys; sys.argv = ['clipsim', 'models']; from clipsim.cli import main; main()",
        "import sys; sys.argv = ['clipsim', 'models', 'show', 'ViT-B/32']; from clipsim.cli import main; main()",
    ],
)
def test_what_must_be_fast_loads_nothing_heavy(code: str) -> None:
    """No torch, no open_clip, no torchvision, and NumPy neither."""
    watch = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr)); "
    done = subprocess.run([sys.executable, "-c", watch + code], capture_output=True, text=True, timeout=120)
    loaded = set(done.stderr.split("LOADED")[1].split())

    assert done.returncode == 0
    assert loaded & {"torch", "open_clip", "torchvision", "timm", "numpy", "PIL"} == set()
