"""What a run imports, and what a program that is started from a shell gets: completion, both entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, set_home

WATCH = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr)); "
CLIPSIM = "sys.argv = {}; from clipsim.cli import main; main()"
OF_EXTRAS = (
    "onnx", "onnxruntime", "tokenizers", "transformers", "sentencepiece", "pyarrow", "faiss", "ray", "starlette",
    "uvicorn", "h11", "prometheus_client", "python_multipart", "pillow_heif", "rawpy",
)  # fmt: skip
HEAVY = {"torch", "open_clip", "torchvision", "timm", "transformers", "onnxruntime"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home where nothing was ever kept."""
    set_home(monkeypatch, tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("CLIPSIM_MODEL", raising=False)


def modules_of(code: str) -> set[str]:
    """The modules that are loaded at the end of a program."""
    done = subprocess.run([sys.executable, "-c", WATCH + code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split("LOADED")[1].split())


@pytest.mark.parametrize("code", ["import clipsim", "import clipsim; clipsim.available_models(); clipsim.ClipsimError"])
def test_importing_the_package_loads_nothing_heavy(code: str) -> None:
    """A program that may never need a model does not wait for one."""
    loaded = modules_of(code)

    assert loaded & {*HEAVY, "numpy", "PIL", "typer", "rich"} == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["rank", "--help"],
        ["models"],
        ["models", "show", "ViT-B/32"],
        ["models", "use", "ViT-B/32"],
        ["models", "show", "clipsim-mini", "--json"],
    ],
    ids=" ".join,
)
def test_commands_without_a_model_load_nothing_heavy(arguments: list[str]) -> None:
    """What looks something up answers at once; NumPy and Pillow would take as long as all the rest."""
    loaded = modules_of(CLIPSIM.format(["clipsim", *arguments]))

    assert "clipsim.cli.app" in loaded
    assert loaded & {*HEAVY, "numpy", "PIL", "importlib.metadata"} == set()  # which takes long to see what is installed


def test_a_model_runs_without_any_extra() -> None:
    """As after `pip install clipsim`."""
    block = f"sys.modules.update(dict.fromkeys({OF_EXTRAS})); "
    image = str(next((Path(__file__).parents[2] / "images").glob("*.jpeg")))
    arguments = ["clipsim", "rank", image, "-t", "maze", "-m", "clipsim-mini", "--engine", "torch", "--no-cache", "-q"]

    assert "torch" in modules_of(block + CLIPSIM.format(arguments))


def test_a_warm_run_loads_no_model_and_no_pydantic() -> None:
    """With all vectors cached, a run needs neither torch nor Pillow, nor other commands; pydantic converts no option.

    The run before it, which computes them, needs torch without its compiler and what OpenCLIP imports for others.
    """
    picture = Path(__file__).parents[2] / "images" / "maze1.jpeg"  # a file that was just written would be read again
    arguments = ["rank", str(picture), "-t", "red", "--top", "1", "--format", "csv", "--batch-size", "8", "-q"]
    command = CLIPSIM.format(["clipsim", *arguments])

    loaded = modules_of(command)
    assert {"torch", "open_clip"} <= loaded
    unused = {"torchvision.models", "torchvision.datasets", "huggingface_hub", "cuda.bindings"}
    assert loaded & {"torch._dynamo", "timm", "transformers", *unused} == set()
    others = {"clipsim.cli.search", "clipsim.cli.models"}
    unused = {*HEAVY, *others, "PIL", "pydantic", "pydantic_core", "rich", "importlib.metadata"}
    assert modules_of(command) & unused == set()


def test_the_interpreter_ends_without_collecting_what_was_imported() -> None:
    """At the end of a process, modules are not searched for garbage."""
    count = "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count(), file=sys.stderr)); "
    done = subprocess.run(
        [sys.executable, "-c", count + CLIPSIM.format(["clipsim", "--version"])], capture_output=True, timeout=60
    )

    assert int(done.stderr) > 1_000


@pytest.mark.parametrize("setting", [None, "ACTIVE"])
def test_threads_that_wait_do_not_spin(setting: str | None, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy is set before torch is imported, unless it is set already."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if setting:
        monkeypatch.setenv("OMP_WAIT_POLICY", setting)
    watch = "sys.addaudithook(lambda event, facts: event == 'import' and facts[0] == 'torch' and seen()); "
    seen = "import os, sys; seen = lambda: os.write(2, os.environ['OMP_WAIT_POLICY'].encode()) and os._exit(0); "
    code = seen + watch + CLIPSIM.format(["clipsim", "rank", str(colours), "-t", "red", "-q"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300)

    assert done.stderr.decode() == (setting or "PASSIVE")


def test_the_shell_completes_names(run: Run) -> None:
    """What a shell asks for after `clipsim models show clips`, it gets."""
    asked = {"_CLIPSIM_COMPLETE": "complete_bash", "COMP_WORDS": "clipsim models show clips", "COMP_CWORD": "3"}
    code = CLIPSIM.format(["clipsim"])
    done = subprocess.run([sys.executable, "-c", f"import sys; {code}"], env=os.environ | asked, capture_output=True)

    assert done.stdout.split() == [b"clipsim-mini"]


def test_both_entry_points_are_the_same_program(run: Run) -> None:
    """`clipsim` and `python -m clipsim`."""
    script = Path(sys.executable).with_name("clipsim")
    done = subprocess.run([script, "--version"], capture_output=True, timeout=60)

    assert done.returncode == 0
    assert done.stdout == run("--version").stdout
    assert done.stdout.startswith(b"clipsim 0.")
