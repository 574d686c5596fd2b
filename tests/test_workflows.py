"""`.github/workflows/`: the versions of Python that pyproject.toml names, targets of the Makefile, tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# without comments; a workflow is read as text, since no parser of YAML is among the development tools
TEXTS = {path.name: re.sub(r"(?m)(^| )#.*$", "", path.read_text(encoding="utf-8")) for path in WORKFLOWS}
VERSIONS = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)


def test_the_tests_run_on_every_version_that_the_package_names() -> None:
    """And on the three systems; the first version is the oldest that the package accepts."""
    (listed,) = re.findall(r"^ +python: \[(.*)\]$", TEXTS["tests.yml"], re.MULTILINE)

    assert re.findall(r'"(3\.\d+)"', listed) == VERSIONS
    assert f'requires-python = ">={VERSIONS[0]}"' in PROJECT
    assert re.findall(r"^ +os: \[(.*)\]$", TEXTS["tests.yml"], re.MULTILINE) == [
        "ubuntu-latest, windows-latest, macos-latest"
    ]


def test_the_oldest_bounds_are_tested_weekly_on_the_oldest_python() -> None:
    """A bound may have no wheel for a newer Python."""
    (job,) = re.findall(r"^  oldest:\n((?:    .*\n|\n)+)", TEXTS["weekly.yml"], re.MULTILINE)

    assert f'python-version: "{VERSIONS[0]}"' in job
    assert "make test-oldest" in job
    assert re.search(r'cron: "\d+ \d+ \* \* \d"', TEXTS["weekly.yml"])


@pytest.mark.parametrize("name", TEXTS)
def test_every_job_has_a_limit_and_the_workflow_may_only_read(name: str) -> None:
    """A job that hangs ends within two hours; a step cannot write to the repository."""
    head, _, jobs = TEXTS[name].partition("\njobs:\n")

    assert "permissions:\n  contents: read\n" in head
    named = re.findall(r"^  ([\w-]+):$", jobs, re.MULTILINE)
    assert named
    assert len(re.findall(r"^    runs-on: \S+", jobs, re.MULTILINE)) == len(named)
    limits = [int(minutes) for minutes in re.findall(r"^    timeout-minutes: (\d+)$", jobs, re.MULTILINE)]
    assert len(limits) == len(named)
    assert max(limits) <= 120


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_workflow_runs_exists(name: str) -> None:
    """Targets of the Makefile, extras of the package, versions of Python, files and folders."""
    targets = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)", TEXTS[name])) <= set(targets)
    extras = {extra for listed in re.findall(r"'\.\[([\w,]+)\]'", TEXTS[name]) for extra in listed.split(",")}
    assert {extra for extra in extras if not re.search(rf"(?m)^{extra} = \[", PROJECT)} == set()
    assert set(re.findall(r'python-version: "(.*)"', TEXTS[name])) <= set(VERSIONS)
    for path in re.findall(r"\b((?:tests|docs|images|scripts)/[\w./-]*|[A-Z]+\.md)", TEXTS[name]):
        assert (ROOT / path).exists(), path


def test_a_checkout_on_windows_has_the_files_as_they_are() -> None:
    """Git would give them line ends of two characters there, and the digests of the bundled model would differ."""
    lines = (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()

    assert next(line for line in lines if not line.startswith("#")) == "* text=auto eol=lf"
