"""README.md and docs/ are true: commands and examples print what is shown, and what there is has its place."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import HOMES
from forked_processes import forked_command
from skips import needs_bash

import clipsim
from clipsim.cli.app import command_line

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROJECT_PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md")} - set(PAGES))
README = PAGES[0].read_text(encoding="utf-8")
END_OF_EXAMPLE = "-- end of example --"
OWN_CACHES = {"cache.md", "doctor.md", "models-and-exports.md"}  # pages that show, clear or export into the cache
MODEL_PAGES = OWN_CACHES | {"embed.md", "explain.md"}  # where most commands run a model
PAGE_OF_COMMAND = {"": "install.md", "index": "indexing.md"}  # the page of a command, if not the page of its name


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[tuple[str, str]]:
    """The commands of a page's console blocks, each with the output that is shown below it."""
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks(page, "console")), re.MULTILINE)


def run_shell(
    command: str, home: Path, cache: Path | None, clipsim: Sequence[str] = ("command", "clipsim")
) -> subprocess.CompletedProcess[str]:
    """Run a command as a reader would, in the project's folder, in a home of its own and offline.

    The cache is the home's, or the one named. `clipsim` is the installed program, unless another stands for it.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLIPSIM_", "HF_", "XDG_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean |= dict.fromkeys(HOMES, str(home)) | {"PATH": path, "HF_HUB_OFFLINE": "1", "COLUMNS": "120"}
    if cache is not None:
        clean["CLIPSIM_CACHE_DIR"] = str(cache)
    command = f'clipsim() {{ {shlex.join(clipsim)} "$@"; }}; set -o pipefail; {command}'
    return subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=clean, capture_output=True, encoding="utf-8", timeout=600
    )


def without_digits(text: str) -> list[str]:
    """The lines of an output, for a comparison that other processors pass too."""
    return [re.sub(r"\d", "0", line.strip()) for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for the pages, with the vectors of their pictures, texts and templates from one run of the model."""
    folder = tmp_path_factory.mktemp("docs")
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    with (ROOT / "images" / "labels.csv").open(encoding="utf-8") as file:
        texts = {text for row in csv.DictReader(file) for name, text in row.items() if name != "image"}
    texts |= set(re.findall(r" -t ([a-z]+)", shown)) | set(re.findall(r" -t '([^']+)'", shown))
    (folder / "texts").write_text("\n".join(sorted(texts)), encoding="utf-8")
    templates = ["{}", *sorted(set(re.findall(r"""['"]([^'"`\n]*\{\}[^'"`\n]*)['"]""", shown)))]
    options = " ".join(f"--template {shlex.quote(template)}" for template in templates)
    command = f"clipsim rank images --text-file {folder}/texts {options} -q"
    done = run_shell(command, folder, folder / "cache", forked_command("torch"))
    assert done.returncode == 0, done.stderr
    return folder / "cache"


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
@needs_bash
def test_commands_run_and_print_what_is_shown(page: Path, tmp_path: Path, shared_cache: Path) -> None:
    """In the order of the page, each ends with status 0; where output is shown it is the output, but for digits.

    The commands of the README run the installed program, as do those that read another's output as a file.
    """
    for command, shown in commands(page):
        preloaded = ["torch"] if page.name in MODEL_PAGES else []
        installed = page == PAGES[0] or "<(" in command
        clipsim = ["command", "clipsim"] if installed else forked_command(*preloaded)
        done = run_shell(command, tmp_path, None if page.name in OWN_CACHES else shared_cache, clipsim)

        assert done.returncode == 0, (command, done.stderr)
        if shown.strip():
            assert without_digits(done.stdout) == without_digits(shown), command


@needs_bash
def test_python_examples_print_what_their_comments_say(tmp_path: Path, shared_cache: Path) -> None:
    """Each block of every page runs by itself, all in one process; `print(…)  # …` prints what the comment says."""
    examples = [(page.name, example) for page in PAGES for example in blocks(page, "python")]
    script = ""
    for name, example in examples:
        script += f"exec(compile({example!r}, {name!r}, 'exec'), {{'__name__': '__main__'}})\n"
        script += f"print('{END_OF_EXAMPLE}')\n"
    (tmp_path / "examples.py").write_text(script, encoding="utf-8")
    run_path = f"import runpy; runpy.run_path({str(tmp_path / 'examples.py')!r})"
    done = run_shell(f"clipsim -c {shlex.quote(run_path)}", tmp_path, shared_cache, forked_command("torch"))

    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(f"{END_OF_EXAMPLE}\n")[:-1]
    for (name, example), lines in zip(examples, printed, strict=True):
        assert lines.splitlines() == re.findall(r"print\(.*\)  # (.*)$", example, re.MULTILINE), name
    assert len(examples) == sum(page.read_text(encoding="utf-8").count("```python") for page in PAGES)


def all_commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command and group of commands, by the words that call it."""
    yield name, command
    for word, part in getattr(command, "commands", {}).items():
        yield from all_commands(part, f"{name} {word}".strip())


ALL_COMMANDS = dict(all_commands(command_line()))


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    """What --help offers, the command's page explains; and help has an example."""
    command = ALL_COMMANDS[name]
    page = PAGE_OF_COMMAND.get(name, f"{name.split(' ')[0]}.md")
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")

    assert "Example:" in command.help
    for parameter in command.params:
        for option in parameter.opts:
            if option.startswith("-") and option not in ("--help", "-h"):
                assert re.search(rf"`{option}[` ]|[ |]{option}\b", text), option


def test_every_command_is_in_the_readme() -> None:
    """The table of commands has a link for each."""
    for name in ALL_COMMANDS:
        if name and " " not in name:
            page = re.escape(PAGE_OF_COMMAND.get(name, f"{name}.md"))
            row = rf"^\| `clipsim {name}` \| .* \| \[.*\]\(docs/{page}\) \|$"
            assert re.search(row, README, re.MULTILINE), name


def test_the_readme_is_short() -> None:
    """At most 150 lines; the rest is in docs/."""
    assert README.count("\n") <= 150


def test_the_demo_is_the_first_command() -> None:
    """`make demo` runs what the README shows."""
    assert commands(PAGES[0])[0][0] in (ROOT / "Makefile").read_text()


def test_every_dependency_has_its_reason() -> None:
    """The table names what pyproject.toml asks for, extras too."""
    project = (ROOT / "pyproject.toml").read_text()
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    for name in set(re.findall(r'"([A-Za-z_-]+)(?:\[[a-z]+\])?>=', project)):
        assert re.search(rf"\b{name}\b", table), name


def test_the_version_is_named_alike() -> None:
    """The package's own is that of the changelog's newest release, and with its date that of the citation."""
    changelog, citation = ((ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff"))
    releases = re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)

    assert releases[0][0] == clipsim.__version__
    assert re.findall(r'^version: (.*)\ndate-released: "(.*)"$', citation, re.MULTILINE) == releases[:1]


def test_the_guide_for_contributors_is_short_and_its_commands_exist() -> None:
    """Under 130 lines; the map of the code is docs/code.md."""
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert guide.count("\n") < 130
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", guide, re.MULTILINE)) <= set(targets)


def named_extras() -> list[str]:
    """The extras of pyproject.toml."""
    project = (ROOT / "pyproject.toml").read_text()
    return re.findall(r"^(\w+) = \[", project.partition("optional-dependencies]")[2].partition("\n[")[0], re.MULTILINE)


def test_the_page_of_installation_lists_every_extra() -> None:
    """With what it is for, and no other."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `clipsim\[(\w+)\]` \| \S", page, re.MULTILINE)

    assert sorted(listed) == sorted(named_extras())


def test_all_is_every_extra_that_users_may_want() -> None:
    """Those for development aside."""
    project = (ROOT / "pyproject.toml").read_text()
    (combined,) = re.findall(r'^all = \["clipsim\[([\w,]+)\]"\]$', project, re.MULTILINE)

    assert sorted(combined.split(",")) == sorted(set(named_extras()) - {"all", "dev", "docs"})


def test_every_extra_that_a_message_names_exists() -> None:
    """What the user is told to install can be installed."""
    for path in [*(ROOT / "src").rglob("*.py"), *PAGES]:
        named = re.findall(r"clipsim\[([\w,]+)\]'", path.read_text(encoding="utf-8"))
        assert {extra for names in named for extra in names.split(",")} <= set(named_extras()), path


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *PROJECT_PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Pages, headings and files that are linked exist, and so do the files of the package that are named."""
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        linked = (page.parent / target) if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), (target, anchor)
    for name in re.findall(r"`((?:src|tests|training|benchmarks|scripts|docs)/[\w/.-]*)`", text):
        assert (ROOT / name).exists(), name
