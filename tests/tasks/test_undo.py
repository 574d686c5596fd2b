"""Tests for `tasks.undo`: whatever moment a run ends at, nothing is lost and the files come back as they were."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import set_state
from file_trees import Killed, across_file_systems, contents, end_at, snapshot, without_hard_links

from clipsim.errors import DataError
from clipsim.files import digest_file
from clipsim.inputs.sources import FileSource
from clipsim.results.plans import FileStep, PlanResult
from clipsim.results.search import DuplicatesResult
from clipsim.tasks import undo
from clipsim.tasks.file_plans import FilePlan, Operation, Placement, apply, look_at, make_plan
from clipsim.tasks.journals import Journal

MOMENTS = 60  # more than any of the runs has
ANSWER = DuplicatesResult(model=None, min_similarity=None, compared=0, groups=())


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures, a copy of one of them and its sidecar."""
    set_state(monkeypatch, tmp_path / "state")
    folder = tmp_path / "tree" / "photos"
    folder.mkdir(parents=True)
    for name, content in (("a.jpg", b"one"), ("b.jpg", b"two"), ("copy.jpg", b"one"), ("a.jpg.xmp", b"<x/>")):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o640)
        os.utime(folder / name, ns=(5_000, 7_000 + len(name)))
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "tree"


def placed(action: str) -> FilePlan:
    """A plan that gives two pictures places in folders that are to be made."""
    places = [Placement(FileSource("photos/a.jpg"), "to/one"), Placement(FileSource("photos/b.jpg"), "to/two")]
    return make_plan("sort", action, places, ANSWER)  # type: ignore[arg-type]


def show(command: str, *operations: Operation) -> FilePlan:
    """A plan of operations."""
    steps = tuple(operation.step for operation in operations)
    return FilePlan(PlanResult(command=command, model=None, steps=steps), operations)


def hard_links() -> FilePlan:
    """A plan that replaces the copy by a hard link."""
    digest = digest_file(Path("photos/a.jpg"))
    step = FileStep("hardlink", "photos/copy.jpg", "photos/a.jpg", keeper="photos/a.jpg")
    return show("duplicates", Operation(step, look_at(FileSource("photos/copy.jpg")), digest, digest))


def sidecars() -> FilePlan:
    """A plan that writes a new sidecar and one in place of another."""
    return show(
        "tag",
        Operation(FileStep("write", "photos/a.jpg", "photos/a.jpg.xmp"), content=b"<merged/>", before=b"<x/>"),
        Operation(FileStep("write", "photos/b.jpg", "photos/b.jpg.xmp"), content=b"<new/>"),
    )


PLANS: dict[str, Callable[[], FilePlan]] = {
    "copy": lambda: placed("copy"),
    "link": lambda: placed("link"),
    "move": lambda: placed("move"),
    "hardlink": hard_links,
    "write": sidecars,
}
SYSTEMS = ("usual", "without hard links", "another file system")
CASES = [
    (name, system)
    for name in PLANS
    for system in SYSTEMS
    if system == "usual" or (name != "link" and (name, system) != ("hardlink", "without hard links"))
]
CASES.remove(("hardlink", "another file system"))


def carry_out(plan: FilePlan) -> Path:
    """Carry a plan out; the journal."""
    with Journal("test") as journal:
        assert apply(plan, journal).errors == ()
    return journal.path


def set_up(monkeypatch: pytest.MonkeyPatch, system: str, tree: Path) -> None:
    """Give the tree a kind of file system; in the last one, what is sorted goes to a system of its own."""
    if system == "without hard links":
        without_hard_links(monkeypatch)
    elif system == "another file system":
        across_file_systems(monkeypatch, tree / "to")


@pytest.mark.parametrize(("name", "system"), CASES)
def test_what_was_done_is_undone(tree: Path, monkeypatch: pytest.MonkeyPatch, name: str, system: str) -> None:
    """Contents, names, modes and times are as before, folders that were made are gone; a second time does nothing."""
    before = snapshot(tree)
    with monkeypatch.context() as patch:
        set_up(patch, system, tree)
        journal = carry_out(PLANS[name]())
        assert snapshot(tree) != before
        result = undo.run(str(journal))
        assert result.errors == ()
        assert snapshot(tree) == before
        again = undo.run(str(journal))
    assert (again.steps, again.errors) == ((), ())


@pytest.mark.parametrize(("name", "system"), CASES)
def test_a_run_that_ends_at_any_moment(tmp_path: Path, tree: Path, name: str, system: str) -> None:
    """Loses no content, keeps one file of each, and is undone; so is an undo that ends at any moment itself."""
    before, held = snapshot(tree), {b"one", b"two"}  # the content of the old sidecar is in the journal
    moments = 0
    for moment in range(1, MOMENTS):
        with pytest.MonkeyPatch.context() as patch:
            set_up(patch, system, tree)
            end_at(patch, moment)
            try:
                carry_out(PLANS[name]())
                break
            except Killed:
                moments += 1
        assert held <= set(contents(tree)), moment
        for journal in (tmp_path / "state").rglob("*.jsonl"):
            _undo_with_interruptions(str(journal), tree, system, held)
            journal.unlink()
        assert snapshot(tree) == before, moment
    assert 3 < moments < MOMENTS - 1


def _undo_with_interruptions(journal: str, tree: Path, system: str, held: set[bytes]) -> None:
    """Undo, where each try ends one call later than the one before."""
    for moment in range(1, MOMENTS):
        with pytest.MonkeyPatch.context() as patch:
            set_up(patch, system, tree)
            end_at(patch, moment)
            try:
                assert undo.run(journal).errors == ()
                return
            except Killed:
                assert held <= set(contents(tree))
            except DataError:  # killed before its first line was whole, and so before anything was done
                return
    raise AssertionError("it never ends")


def replace_file(path: Path) -> None:
    """Put a file in the place of a link."""
    path.unlink()
    path.write_bytes(b"mine")


CHANGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a copy was edited": ("copy", lambda tree: (tree / "to/one/a.jpg").write_bytes(b"edited"), "has changed"),
    "the original of a copy is gone": ("copy", lambda tree: (tree / "photos/a.jpg").unlink(), "is gone"),
    "the original of a copy was edited": (
        "copy",
        lambda tree: (tree / "photos/a.jpg").write_bytes(b"edited"),
        "is gone or has changed",
    ),
    "a moved file was edited": ("move", lambda tree: (tree / "to/one/a.jpg").write_bytes(b"edited"), "neither"),
    "a moved file is gone": ("move", lambda tree: (tree / "to/one/a.jpg").unlink(), "neither"),
    "another file has the old name": (
        "move",
        lambda tree: (tree / "photos/a.jpg").write_bytes(b"another"),
        "another file by now",
    ),
    "a link was replaced": (
        "link",
        lambda tree: replace_file(tree / "to/one/a.jpg"),
        "not the link",
    ),
    "a sidecar was edited": ("write", lambda tree: (tree / "photos/a.jpg.xmp").write_bytes(b"edited"), "has changed"),
    "a new sidecar was edited": (
        "write",
        lambda tree: (tree / "photos/b.jpg.xmp").write_bytes(b"edited"),
        "has changed",
    ),
    "what is linked was edited": (
        "hardlink",
        lambda tree: (tree / "photos/a.jpg").write_bytes(b"edited"),
        "content has changed",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_since_is_left(tree: Path, change: str) -> None:
    """It is an error of its own; everything else is undone, and no content is lost."""
    name, make, message = CHANGES[change]
    journal = carry_out(PLANS[name]())
    make(tree)
    held = set(contents(tree))
    result = undo.run(str(journal))

    assert len(result.errors) == 1
    assert message in result.errors[0].error
    assert held <= set(contents(tree)) | {b"<merged/>", b"<new/>"}
    if name != "hardlink":
        assert result.done >= 1


def test_folders_that_hold_other_files_stay(tree: Path) -> None:
    """Which is no failure."""
    journal = carry_out(PLANS["move"]())
    (tree / "to" / "one" / "mine").write_bytes(b"mine")
    result = undo.run(str(journal))

    assert result.errors == ()
    assert sorted(path.name for path in (tree / "to").rglob("*")) == ["mine", "one"]


def test_a_folder_that_is_gone_is_made_again(tree: Path) -> None:
    """For what was moved out of it."""
    journal = carry_out(PLANS["move"]())
    shutil.rmtree(tree / "photos")
    assert undo.run(str(journal)).errors == ()
    assert sorted(path.name for path in (tree / "photos").iterdir()) == ["a.jpg", "a.jpg.xmp", "b.jpg"]


def test_a_step_that_failed_is_not_undone(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run moved the file meanwhile: undoing the one that failed leaves it where it is."""
    plan = make_plan("sort", "move", [Placement(FileSource("photos/b.jpg"), "to")], ANSWER)

    def moved_meanwhile(source: str, target: str, *_: object) -> None:
        Path(source).rename(target)
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr("clipsim.tasks.file_plans.move_file", moved_meanwhile)
    with Journal("test") as journal:
        (failure,) = apply(plan, journal).errors
    assert failure.error == f"{Path('to/b.jpg')} exists by now"
    result = undo.run(str(journal.path))
    assert (result.done, result.errors) == (0, ())
    assert Path("to/b.jpg").read_bytes() == b"two"


def test_an_empty_file_in_the_place_of_a_copy_is_left(tree: Path) -> None:
    """It only claims a name where the copy's draft is beside it."""
    journal = carry_out(PLANS["copy"]())
    Path("to/one/a.jpg").write_bytes(b"")
    (failure,) = undo.run(str(journal)).errors
    assert "the copy has changed since" in failure.error
    assert Path("to/one/a.jpg").exists()


def test_a_copy_on_another_file_system_is_not_made_twice(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a move was killed between the copy and the removal of the original."""
    place = Path("/dev/shm") / f"clipsim-test-{os.getpid()}"
    if not place.parent.is_dir() or place.parent.stat().st_dev == tree.stat().st_dev:
        pytest.skip("needs a second file system")
    place.mkdir()
    try:
        shutil.copy2("photos/b.jpg", place / "b.jpg")
        before = snapshot(tree)
        plan = make_plan("sort", "move", [Placement(FileSource("photos/b.jpg"), str(place))], ANSWER)
        journal = carry_out(plan)
        assert [path.name for path in place.iterdir()] == ["b.jpg"]
        assert not Path("photos/b.jpg").exists()
        assert undo.run(str(journal)).errors == ()
        assert snapshot(tree) == before
        assert (place / "b.jpg").exists()
    finally:
        shutil.rmtree(place)


def test_a_journal_that_is_in_use(tree: Path) -> None:
    """Is not undone."""
    with Journal("test") as journal, pytest.raises(DataError, match="another run of clipsim is using this journal"):
        undo.run(str(journal.path))
