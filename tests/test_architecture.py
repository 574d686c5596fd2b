"""The house rules that a machine can hold: the rooms, which imports which, and which libraries each may use."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "clipsim"
FILES = sorted(PACKAGE.rglob("*.py"))

# A room → the rooms that it may import, in the order of the street.
ROOMS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "plugins": ("errors",),
    "options": ("errors", "plugins"),
    "files": ("errors",),
    "machine": (),
    "models": ("errors", "options", "files"),
    "inputs": ("errors", "files"),
    "images": ("errors", "inputs"),
    "engines": ("errors", "plugins", "options", "models", "files", "machine"),
    "cache": ("errors", "files", "models"),
    "embedding": ("errors", "options", "files", "machine", "models", "inputs", "images", "engines", "cache"),
    "vectors": ("errors",),
    "statistics": ("errors", "vectors"),
    "results": ("errors", "vectors", "statistics"),
    "store": ("errors", "files", "results", "vectors"),
    "tasks": (
        "errors", "plugins", "options", "files", "machine", "models", "inputs", "images", "engines", "cache",
        "embedding", "vectors", "statistics", "results", "store",
    ),
    "session": (
        "errors", "plugins", "options", "files", "machine", "models", "inputs", "images", "engines", "cache",
        "embedding", "vectors", "statistics", "results", "store", "tasks",
    ),
    "render": ("errors", "statistics", "results"),
    "api": (
        "errors", "plugins", "options", "files", "machine", "models", "inputs", "images", "engines", "cache",
        "embedding", "vectors", "statistics", "results", "store", "tasks", "session", "render",
    ),
    "simple_tokenizer": ("errors",),
    "model": ("errors", "models", "engines"),
    "clip": ("errors", "options", "files", "models", "inputs", "engines", "simple_tokenizer", "model"),
    "server": (
        "errors", "plugins", "options", "files", "machine", "models", "inputs", "images", "engines", "cache",
        "embedding", "vectors", "statistics", "results", "store", "tasks", "session", "api", "simple_tokenizer",
        "model", "clip", "render",
    ),
    "cli": (
        "errors", "plugins", "options", "files", "machine", "models", "inputs", "images", "engines", "cache",
        "embedding", "vectors", "statistics", "results", "store", "tasks", "session", "api", "simple_tokenizer",
        "model", "clip", "render", "server", "mini",
    ),
    "mini": (),
}  # fmt: skip
# Records show themselves: their pages are imported where one is asked for, inside these functions alone.
LATE_IMPORTS = {"results/base.py": {"to_html": "api", "_repr_html_": "api"}}
PLANNED: set[str] = set()  # rooms of commands that do not exist yet

# Another library → the rooms that may import it, also inside functions and for types alone.
LIBRARIES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("torchvision", "timm", "transformers"), ("engines/torch",)),
    "torch": ("engines/torch", "model", "clip"),
    "open_clip": ("engines/torch", "model", "simple_tokenizer"),
    **dict.fromkeys(("onnx", "onnxruntime"), ("engines/onnx",)),
    "typer": ("cli",),
    "rich": ("cli", "render"),
    "jinja2": ("render",),
    "safetensors": ("engines/torch",),
    "huggingface_hub": ("models",),
    "tokenizers": ("engines/torch", "engines/onnx"),
    "regex": ("engines/torch", "engines/onnx", "simple_tokenizer"),
    "ftfy": ("engines/torch", "engines/onnx"),
    "pillow_heif": ("images",),
    "rawpy": ("images",),
    "pyarrow": ("inputs", "store"),
    "fsspec": ("inputs", "store"),
    "aiohttp": ("inputs",),
    "ray": ("tasks",),
    **dict.fromkeys(("faiss", "lancedb", "qdrant_client"), ("store",)),
    **dict.fromkeys(("pandas", "polars"), ("results",)),
    **dict.fromkeys(("starlette", "uvicorn", "h11", "prometheus_client", "python_multipart"), ("server",)),
    "PIL": (
        "inputs", "images", "engines", "engines/torch", "engines/onnx", "embedding", "tasks", "session", "clip",
        "mini",
    ),
    "numpy": (
        "images", "engines", "engines/torch", "engines/onnx", "cache", "embedding", "vectors", "statistics", "results",
        "store", "render", "tasks", "session", "api", "server", "cli", "mini",
    ),
}  # fmt: skip
ONLY_IN_CLI = {"signal", "argparse", "getpass"}  # modules of Python that belong to a program, not to a library


def room_of(path: Path) -> str:
    """The room that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def place_of(path: Path) -> str:
    """The room, or the part of `engines`, that the rules for libraries name."""
    parts = path.relative_to(PACKAGE).parts
    return "/".join(parts[:2]) if parts[0] == "engines" and len(parts) > 2 else room_of(path)


@cache
def parsed(path: Path) -> ast.Module:
    """The tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, at its top, inside its functions or by `import_module("…")`."""
    here = ["clipsim", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node).endswith("import_module"):
            constants = (argument.value for argument in node.args if isinstance(argument, ast.Constant))
            yield from (value for value in constants if isinstance(value, str))


def called(call: ast.Call) -> str:
    """What is called, as far as it is a name or an attribute of one: `print`, `sys.exit`, `.append`."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return f"{function.value.id if isinstance(function.value, ast.Name) else ''}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else ""


def read_rooms(page: Path) -> dict[str, tuple[str, ...]]:
    """The table of a page: a room → the rooms that it may import."""
    rooms: dict[str, tuple[str, ...]] = {}
    for name, imports in re.findall(r"^\| `(\w+)/?` \| .* \| ([^|]+) \|$", page.read_text(encoding="utf-8"), re.M):
        words = re.findall(r"\w+", imports)
        if words[:1] == ["all"]:
            known = list(rooms) if "before" in words else [room for room in ROOMS if room != name]
            excepted = words[words.index("but") + 1 :] if "but" in words else []
            words = [room for room in known if room not in excepted]
        rooms[name] = tuple(words)
    return rooms


def test_the_package_consists_of_the_rooms_and_nothing_else() -> None:
    """`ls src/clipsim` is the map of the code."""
    found = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.name != "__pycache__"}

    assert found - {"__init__", "__main__", "py.typed"} == set(ROOMS) - PLANNED


def test_every_room_says_what_it_offers() -> None:
    """The docstring of a room with several modules lists each of them."""
    for folder in (path.parent for path in FILES if path.name == "__init__.py" and path.parent != PACKAGE):
        text = ast.get_docstring(parsed(folder / "__init__.py")) or ""
        for path in folder.iterdir():
            if path.name not in ("__init__.py", "__pycache__"):
                assert re.search(rf"`{path.stem}/?`", text), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_rooms_are_imported_one_way(path: Path) -> None:
    """Every import within clipsim is one that the table allows."""
    if path.parent == PACKAGE and path.name in ("__init__.py", "__main__.py"):
        return  # the public names, and the entry point of `cli`
    room = room_of(path)
    found = {name.split(".")[1] for name in imports_of(path) if name.startswith("clipsim.")} - {"__version__"}
    late = LATE_IMPORTS.get(path.relative_to(PACKAGE).as_posix(), {})

    assert found <= {*ROOMS[room], room, *late.values()}
    assert found >= set(late.values())


def test_records_import_their_pages_where_one_is_asked_for() -> None:
    """In the functions that the table names, and nowhere else in their room."""
    for name, functions in LATE_IMPORTS.items():
        for node in ast.walk(parsed(PACKAGE / name)):
            if isinstance(node, ast.FunctionDef) and node.name in functions:
                node.body = []
        found = {name.split(".")[1] for name in imports_of(PACKAGE / name) if name.startswith("clipsim.")}
        parsed.cache_clear()
        assert found & set(functions.values()) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_libraries_are_imported_where_they_belong(path: Path) -> None:
    """Every other library is used in its rooms only, and every library that is used has its rooms.

    Signals are caught by the command line; what they do to processes that a library starts is in one module.
    """
    for name in imports_of(path):
        top = name.split(".")[0]
        if top in ("clipsim", "typing_extensions") or (top in sys.stdlib_module_names and top not in ONLY_IN_CLI):
            continue
        if top == "signal" and path == PACKAGE / "embedding" / "processes.py":
            continue
        allowed = ("cli",) if top in ONLY_IN_CLI else LIBRARIES[top]
        assert place_of(path) in allowed, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    """A library returns and raises. A worker, which is a process of clipsim's own, ends itself."""
    if room_of(path) == "cli":
        return
    own = {"os._exit"} if path.parent == PACKAGE / "tasks" and path.stem in ("shard_workers", "ray_process") else set()
    calls = {called(node) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)}

    assert calls & {"print", "exit", "quit", "sys.exit", "os._exit", "os.kill", "os.abort"} == own


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_modules_say_what_they_do(path: Path) -> None:
    """A docstring that begins with one sentence, and at most 500 lines."""
    first = (ast.get_docstring(parsed(path)) or "").partition("\n\n")[0]

    assert first.endswith((".", ":"))
    assert path.read_text(encoding="utf-8").count("\n") <= 500


def test_the_map_of_the_code_shows_these_rooms() -> None:
    """docs/code.md has the same table."""
    shown = read_rooms(ROOT / "docs" / "code.md")
    expected = {room: set(imports) - PLANNED for room, imports in ROOMS.items() if room not in PLANNED}

    assert {room: set(imports) for room, imports in shown.items()} == expected


def test_tests_mirror_the_rooms() -> None:
    """A folder of tests is a room, or one of the three that are about something else."""
    found = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}

    assert found - {"platforms", "process", "training"} <= set(ROOMS)


def other_tests() -> dict[str, set[str]]:
    """A module → the files of tests that docs/code.md names for it."""
    _, _, section = (ROOT / "docs" / "code.md").read_text(encoding="utf-8").partition("## Where it is tested\n")
    tests: dict[str, set[str]] = {}
    for line in section.partition("\n## ")[0].splitlines():
        names = re.findall(r"`([^`]+\.py)`", line)
        for module in (name for name in names if name.startswith("src/")):
            tests.setdefault(module, set()).update(name for name in names if name.startswith("tests/"))
    return tests


def own_tests(module: Path) -> Path:
    """The file where the tests of a module belong."""
    parts = module.relative_to(PACKAGE).parts
    return ROOT.joinpath("tests", *parts[:-1], f"test_{parts[-1]}")


def test_every_module_has_its_tests() -> None:
    """In the file of its name, or in those that docs/code.md says; and what the page names is there."""
    listed = other_tests()
    modules = [path for path in FILES if path.name not in ("__init__.py", "__main__.py")]

    untested = [path.relative_to(ROOT).as_posix() for path in modules if not own_tests(path).exists()]
    assert set(untested) - set(listed) == set(), "needs a file of tests, or a line in docs/code.md"
    assert [name for name in {*listed, *set().union(*listed.values())} if not (ROOT / name).exists()] == []


def test_every_file_of_tests_has_its_module() -> None:
    """Or is one that docs/code.md names."""
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    found = {name for name in found if not name.startswith(("tests/platforms/", "tests/process/", "tests/training/"))}
    named = {own_tests(path).relative_to(ROOT).as_posix() for path in FILES}
    topics = ("architecture", "docs", "examples", "site", "workflows")
    whole = {f"tests/test_{topic}.py" for topic in topics}

    assert found - named - whole - set().union(*other_tests().values()) == set()


def test_no_module_needs_itself_to_be_imported() -> None:
    """What modules import at their top, for more than types, makes no circle."""
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in FILES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    needs: dict[str, set[str]] = {}
    for name, path in names.items():
        imports = [node for node in parsed(path).body if isinstance(node, ast.ImportFrom) and node.module]
        full = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
        needs[name] = {part if part in names else part.rpartition(".")[0] for part in full} & set(names) - {name}
    while ready := {name for name, needed in needs.items() if not needed & set(needs)}:
        needs = {name: needed for name, needed in needs.items() if name not in ready}

    assert needs == {}
