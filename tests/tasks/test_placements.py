"""Tests for `tasks.placements`: the images of an answer become steps of a plan."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import Machine, set_state
from file_trees import snapshot
from PIL import Image

import clipsim
from clipsim.errors import printable
from clipsim.inputs.expand import find_sources
from clipsim.inputs.sources import number_sources
from clipsim.tasks import same_files, undo
from clipsim.tasks.file_plans import apply
from clipsim.tasks.journals import Journal
from clipsim.tasks.placements import plan_duplicates, plan_matches, plan_ranked
from clipsim.tasks.search_targets import find_targets


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals of the test's own."""
    set_state(monkeypatch, tmp_path / "state")


def test_a_ranking_gives_its_images(machine: Machine, colours: Path) -> None:
    """All, or the best of each text, each once."""
    sources = list(number_sources(find_sources([str(colours)])))
    with clipsim.open("clipsim-mini") as session:
        result = session.rank(colours, ["red", "navy", "blue"])
    steps = plan_ranked(result, sources, "copy", "to").result.steps
    assert [(Path(step.source).name, step.labels) for step in steps] == [
        ("blue.png", ("blue",)), ("green.png", steps[1].labels), ("red.png", ("red",)),
    ]  # fmt: skip
    best = plan_ranked(result, sources, "copy", "to", top_images=1)
    assert [Path(step.source).name for step in best.result.steps] == ["red.png", "blue.png"]
    assert [Path(name).name for name in best.result.left] == ["green.png"]


def test_a_search_gives_its_matches(machine: Machine, colours: Path) -> None:
    """Each once, with the query that found it first."""
    targets = find_targets(str(colours))
    with clipsim.open("clipsim-mini") as session:
        result = session.search(colours, ["red", "blue"], top=2)
    steps = plan_matches(result, targets, "link", "to").result.steps
    assert (Path(steps[0].source).name, steps[0].labels) == ("red.png", ("red",))
    assert len({step.source for step in steps}) == len(steps) == 3


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Two pictures, a copy of each and one that is encoded anew."""
    folder = tmp_path / "copies"
    folder.mkdir()
    for number, name in enumerate(("a", "b")):
        picture = Image.linear_gradient("L").rotate(90 * number).convert("RGB").resize((120, 80))
        picture.save(folder / f"{name}.png")
        shutil.copy(folder / f"{name}.png", folder / f"{name} copy.png")
        os.utime(folder / f"{name} copy.png", (1_000_000, 1_000_000 + number))
        (folder / f"{name} copy.png").chmod(0o600)
    picture.save(folder / "b.jpg", quality=90)
    return folder


def test_copies_become_hard_links_and_files_again(machine: Machine, copies: Path) -> None:
    """Only those of the same bytes; undoing gives back content, mode and time."""
    with clipsim.open("clipsim-mini") as session:
        result = session.duplicates(copies)
    before = snapshot(copies)
    plan = plan_duplicates(result, None)
    assert {Path(step.source).name for step in plan.result.steps} == {"a.png", "b.png"}
    assert [Path(name).name for name in plan.result.left] == ["b.jpg"]
    assert "only equal files become hard links" in plan.result.warnings[-1]
    with Journal("duplicates") as journal:
        done = apply(plan, journal)
    assert done.done == 2
    assert (copies / "a.png").samefile(copies / "a copy.png")
    assert {name: values[1] for name, values in snapshot(copies).items()} == {
        name: values[1] for name, values in before.items()
    }
    assert undo.run(str(journal.path)).errors == ()
    assert snapshot(copies) == before
    assert not (copies / "a.png").samefile(copies / "a copy.png")


@pytest.mark.parametrize("rule", ["oldest", "newest", "* copy.png"])
def test_the_copy_that_a_rule_names_stays(copies: Path, rule: str) -> None:
    """The others are moved; the keeper is shown."""
    result = same_files.run(find_targets(str(copies)), keep=[rule])
    plan = plan_duplicates(result, str(copies.parent / "extra"))
    moved = {Path(step.source).name: Path(step.keeper or "").name for step in plan.result.steps}
    copy_stays = rule != "newest"
    assert moved == (
        {"a.png": "a copy.png", "b.png": "b copy.png"} if copy_stays else {"a copy.png": "a.png", "b copy.png": "b.png"}
    )
    with Journal("duplicates") as journal:
        assert apply(plan, journal).done == 2
    assert sorted(path.name for path in (copies.parent / "extra").iterdir()) == sorted(moved)


def test_a_hard_link_across_file_systems_is_one_line(copies: Path, tmp_path: Path) -> None:
    """Where it is planned, before anything is touched."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    far = other / f"clipsim-{os.getpid()}.png"
    shutil.copy(copies / "a.png", far)
    try:
        (copies / "a copy.png").unlink()
        result = same_files.run(find_targets([str(copies), str(far)]))
        plan = plan_duplicates(result, None)
    finally:
        far.unlink()
    assert [step.source for step in plan.result.steps if "a.png" in step.source] == []
    line = next(failure.error for failure in plan.result.errors)
    assert line.startswith("on another file system than ")
    assert line == printable(line)
