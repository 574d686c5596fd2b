"""The README is true: its commands run, its output is what they print, its tables name what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from clipsim.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = "\n".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL))
COMMANDS = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", CONSOLE, re.MULTILINE)


def run_shell(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a reader would, in the project's folder, in a home of its own and offline."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLIPSIM_", "HF_", "XDG_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean |= {"HOME": str(home), "PATH": path, "HF_HUB_OFFLINE": "1", "COLUMNS": "120"}
    command = command.replace("> scores.jsonl", f"> {home}/scores.jsonl")
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=lambda text: text[:40])
def test_commands_run_and_print_what_is_shown(command: str, output: str, tmp_path: Path) -> None:
    """Every command of a console block ends with status 0; where output is shown it is the output, but for digits."""
    done = run_shell(command, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout or "jsonl" in command or "models use" in command
    if output.strip():
        shown, printed = (
            [re.sub(r"\d", "0", line.strip()) for line in text.strip().splitlines()] for text in (output, done.stdout)
        )
        assert printed == shown


def test_the_python_example_runs(tmp_path: Path) -> None:
    """The example prints what its comments say."""
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    done = run_shell(f"python {tmp_path}/example.py", tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "['maze', 'cat']"
    assert done.stdout.splitlines()[-1] == "clipsim.rank/1"


def test_every_option_and_command_is_documented() -> None:
    """What --help offers, the README explains, and every command has help with an example."""
    rank = get_command(app).commands["rank"]  # type: ignore[attr-defined]
    for parameter in rank.params:
        for option in parameter.opts:
            assert option in ("images", "--help", "-h") or f"`{option}" in README, option
    models = get_command(app).commands["models"]  # type: ignore[attr-defined]
    for command in (get_command(app), rank, models, *models.commands.values()):
        assert "Example:" in command.help, command.name


def test_the_demo_is_the_first_command() -> None:
    """`make demo` runs what the README shows."""
    assert COMMANDS[0][0] in (ROOT / "Makefile").read_text()


def test_every_dependency_has_its_reason() -> None:
    """The table names what pyproject.toml asks for."""
    project = (ROOT / "pyproject.toml").read_text()
    (listed,) = re.findall(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    table = README.split("## Dependencies")[1].split("##")[0]
    for name in re.findall(r'"([A-Za-z_-]+)', listed):
        assert name in table, name
