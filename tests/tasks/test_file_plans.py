"""Tests for `tasks.file_plans`: names that clash with none, and steps that lose nothing."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Literal

import pytest
from conftest import set_state
from file_trees import across_file_systems, contents, snapshot

from clipsim.errors import Failure, ImageError
from clipsim.files import digest_file
from clipsim.inputs.sources import BytesSource, FileSource
from clipsim.results.plans import FileStep, PlanResult
from clipsim.results.search import DuplicatesResult
from clipsim.tasks import file_plans
from clipsim.tasks.file_plans import FilePlan, Operation, Placement, TargetNames, apply, make_plan, number_name
from clipsim.tasks.journals import Journal

ANSWER = DuplicatesResult(model=None, min_similarity=None, compared=0, groups=())


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures of two names in two folders, and journals beside it."""
    set_state(monkeypatch, tmp_path / "state")
    for number, name in enumerate(("one/a.jpg", "one/b.jpg", "two/a.jpg", "two/A.JPG")):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"picture {number}".encode())
        os.utime(path, ns=(5, 7 + number))
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "tree"


def plan(action: Literal["copy", "link", "move"], *names: str, folder: str = "to") -> FilePlan:
    """A plan for files, in one folder."""
    return make_plan("sort", action, [Placement(FileSource(name), folder) for name in names], ANSWER)


def carry_out(plan: FilePlan, **options: object) -> PlanResult:
    """Carry a plan out."""
    with Journal("sort") as journal:
        return apply(plan, journal, **options)  # type: ignore[arg-type]


NAMES = ("one/a.jpg", "one/b.jpg", "two/a.jpg", "two/A.JPG")
PLACES = {"to/a.jpg": NAMES[0], "to/b.jpg": NAMES[1], "to/a (2).jpg": NAMES[2], "to/A (3).JPG": NAMES[3]}


@pytest.mark.parametrize("action", ["copy", "link", "move"])
def test_files_of_one_name_get_distinct_names(tree: Path, action: Literal["copy", "link", "move"]) -> None:
    """That keep their stems, also where only capitals differ; content, mode and time are those of the file."""
    before = snapshot(tree)
    planned = plan(action, *NAMES)
    assert snapshot(tree) == before
    result = carry_out(planned)
    after = snapshot(tree)

    assert [(step.target, step.source, step.done) for step in result.steps] == [
        (target, source, True) for target, source in PLACES.items()
    ]
    if action == "link":
        assert {name: after[name] for name in PLACES} == {
            target: ("link", f"../{source}") for target, source in PLACES.items()
        }
    else:
        assert {name: after[name] for name in PLACES} == {target: before[source] for target, source in PLACES.items()}
    assert {name for name in NAMES if name in after} == (set() if action == "move" else set(NAMES))


def test_no_file_that_exists_is_written_over(tree: Path) -> None:
    """Neither one that was there before the plan, nor one that came after it."""
    (tree / "to").mkdir()
    (tree / "to" / "a.jpg").write_bytes(b"mine")
    planned = plan("move", "one/a.jpg", "one/b.jpg")
    assert [step.target for step in planned.result.steps] == ["to/a (2).jpg", "to/b.jpg"]
    (tree / "to" / "b.jpg").write_bytes(b"mine too")
    result = carry_out(planned)

    assert [step.done for step in result.steps] == [True, False]
    assert [failure.image for failure in result.errors] == ["one/b.jpg"]
    assert "exists by now" in result.errors[0].error
    assert (tree / "to" / "a.jpg").read_bytes() == b"mine"
    assert (tree / "to" / "b.jpg").read_bytes() == b"mine too"
    assert (tree / "one" / "b.jpg").read_bytes() == b"picture 1"


@pytest.mark.parametrize("action", ["copy", "link", "move"])
def test_the_same_plan_again_does_nothing(tree: Path, action: Literal["copy", "link", "move"]) -> None:
    """What is at its place is left."""
    carry_out(plan(action, *NAMES))
    names = NAMES if action != "move" else [f"to/{path.name}" for path in (tree / "to").iterdir()]
    again = plan(action, *names)
    assert again.operations == ()
    assert sorted(again.result.left) == sorted(names)


def test_links_are_relative_as_the_names_are(tree: Path) -> None:
    """Seen from the real folder; an absolute name gives an absolute link."""
    (tree / "alias").symlink_to("two")
    carry_out(plan("link", "alias/a.jpg", str(tree / "one" / "a.jpg"), folder="deep/down"))
    assert str(Path("deep/down/a.jpg").readlink()) == "../../two/a.jpg"
    assert str(Path("deep/down/a (2).jpg").readlink()) == str(tree / "one" / "a.jpg")


def test_what_has_no_file_or_is_a_link_is_not_moved(tree: Path) -> None:
    """Each is an error of its own."""
    (tree / "link.jpg").symlink_to("one/a.jpg")
    sources = [BytesSource("memory", b""), FileSource("link.jpg"), FileSource("gone.jpg"), FileSource("one")]
    planned = make_plan("sort", "move", [Placement(source, "to") for source in sources], ANSWER)

    assert planned.operations == ()
    assert [failure.error.split(",")[0] for failure in planned.result.errors] == [
        "it is not a file of its own", "a symbolic link", "no such file", "not a regular file",
    ]  # fmt: skip
    assert plan("copy", "link.jpg").operations != ()


@pytest.mark.parametrize("change", ["content", "time", "gone", "replaced", "linked"])
def test_a_file_that_has_changed_is_not_touched(tree: Path, change: str) -> None:
    """Since it was planned; the others are."""
    planned = plan("move", "one/a.jpg", "one/b.jpg")
    path = tree / "one" / "a.jpg"
    if change == "content":
        path.write_bytes(b"other")
    elif change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "gone":
        path.unlink()
    elif change == "linked":
        path.rename(tree / "moved.jpg")
        path.symlink_to("../moved.jpg")
    else:
        shutil.copy2(path, tree / "new")
        (tree / "new").replace(path)
    before = snapshot(tree / "one")
    result = carry_out(planned)

    assert [(failure.image, failure.error) for failure in result.errors] == [("one/a.jpg", file_plans.CHANGED)]
    assert [step.done for step in result.steps] == [False, True]
    assert {name: value for name, value in before.items() if name == "a.jpg"} == {
        name: value for name, value in snapshot(tree / "one").items() if name == "a.jpg"
    }


@pytest.mark.parametrize("change", ["nothing", "content", "gone", "same file", "copy"])
def test_no_copy_is_touched_unless_its_keeper_is_there(tree: Path, change: str) -> None:
    """As it was compared, under a name of another file; and the copy has the content that was compared."""
    keeper, copy = tree / "one" / "a.jpg", tree / "one" / "b.jpg"
    digests = {path: digest_file(path) for path in (keeper, copy)}
    placement = Placement(
        FileSource(str(copy)), "to", keeper=str(keeper), digest=digests[copy], keeper_digest=digests[keeper]
    )
    if change == "copy":
        copy.write_bytes(b"picture X")
    planned = make_plan("duplicates", "move", [placement], ANSWER)
    if change == "content":
        keeper.write_bytes(b"picture Y")
    elif change == "gone":
        keeper.unlink()
    elif change == "same file":
        keeper.unlink()
        keeper.hardlink_to(copy)
    before = contents(tree)
    result = carry_out(planned)

    assert result.steps[0].done == (change == "nothing")
    assert contents(tree) == before
    assert copy.exists() == (change != "nothing")


def test_a_full_disk_ends_the_run(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was done and how to undo it; no part of a file is left, and no file lost."""
    original = os.write

    def fill(descriptor: int, data: bytes) -> int:
        if bytes(data).startswith(b"picture 1"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(descriptor, data)

    monkeypatch.setattr(os, "write", fill)
    planned = plan("copy", *NAMES)
    with pytest.raises(ImageError, match=r"b.jpg: No space left on device; 1 of 4 steps carried out; 'clipsim undo"):
        carry_out(planned)
    assert [path.name for path in (tree / "to").iterdir()] == ["a.jpg"]


def test_other_failures_are_skipped_or_end_the_run(tree: Path) -> None:
    """As `on_error` says."""
    planned = plan("move", *NAMES)
    (tree / "one" / "a.jpg").unlink()
    with pytest.raises(ImageError, match="0 of 4 steps carried out"):
        carry_out(planned, on_error="fail")
    reported: list[Failure] = []
    result = carry_out(planned, progress=lambda step: reported.extend(step.failures))
    assert result.done == 3
    assert list(result.errors) == reported


def test_a_damaged_sector_costs_its_file_alone(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlike a disk that cannot be written to."""

    def read(path: Path) -> str:
        if path.name == "b.jpg":
            raise OSError(errno.EIO, "Input/output error")
        return digest_file(path)

    monkeypatch.setattr(file_plans, "digest_file", read)
    result = carry_out(plan("move", *NAMES))
    assert [failure.error for failure in result.errors] == ["cannot read it: Input/output error"]
    assert result.done == 3


@pytest.mark.parametrize("other_system", [True, False])
def test_a_move_whose_original_cannot_be_removed(
    tree: Path, monkeypatch: pytest.MonkeyPatch, other_system: bool
) -> None:
    """Changes nothing but that its folder is made."""
    planned = plan("move", "one/a.jpg", "one/b.jpg")
    original, before = os.unlink, snapshot(tree / "one")
    if other_system:
        across_file_systems(monkeypatch, tree / "to")

    def unlink(path: str) -> None:
        if "/one/" in path:
            raise OSError(errno.EACCES, "Permission denied")
        original(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        result = carry_out(planned)
    assert [failure.error for failure in result.errors] == ["Permission denied"] * 2
    assert snapshot(tree / "one") == before
    assert list((tree / "to").iterdir()) == []


def test_names_that_are_not_utf8(tree: Path) -> None:
    """And long ones, whose stems are cut."""
    name = os.fsdecode(b"caf\xe9.jpg")
    (tree / "one" / name).write_bytes(b"x")
    (tree / "two" / name).write_bytes(b"y")
    carry_out(plan("move", f"one/{name}", f"two/{name}"))
    assert sorted(os.fsencode(path.name) for path in (tree / "to").iterdir()) == [b"caf\xe9 (2).jpg", b"caf\xe9.jpg"]
    long = "é" * 125 + ".jpeg"
    assert len(os.fsencode(number_name(long, 10))) <= 255
    assert number_name(long, 10).endswith("é (10).jpeg")


@pytest.mark.parametrize("action", ["copy", "link", "move"])
def test_sidecars_go_with_their_images(tree: Path, action: Literal["copy", "link", "move"]) -> None:
    """Under the name that the image gets, never over another one; whose they are not sure to be, they stay."""
    for name in ("one/a.jpg.xmp", "one/a.xmp", "two/a.jpg.xmp", "two/a.xmp"):
        (tree / name).write_text(name)
    (tree / "two" / "a.png").touch()
    planned = plan(action, "one/a.jpg", "two/a.jpg")
    assert {step.source: step.target for step in planned.result.steps} == {
        "one/a.jpg": "to/a.jpg",
        "one/a.jpg.xmp": "to/a.jpg.xmp",
        "one/a.xmp": "to/a.xmp",
        "two/a.jpg": "to/a (2).jpg",
        "two/a.jpg.xmp": "to/a (2).jpg.xmp",
    }
    assert carry_out(planned).errors == ()
    assert (tree / "to" / "a (2).jpg.xmp").read_text() == "two/a.jpg.xmp"
    assert (tree / "two" / "a.xmp").exists()


@pytest.mark.parametrize("taken", ["a.jpg.xmp", "a.xmp"])
def test_a_name_is_free_for_the_sidecars_too(tree: Path, taken: str) -> None:
    """Else the image gets another."""
    (tree / "one" / "a.jpg.xmp").write_text("its own")
    (tree / "one" / "a.xmp").write_text("its own")
    (tree / "to").mkdir()
    (tree / "to" / taken).write_text("another's")
    steps = plan("move", "one/a.jpg").result.steps
    assert [step.target for step in steps] == ["to/a (2).jpg", "to/a (2).jpg.xmp", "to/a (2).xmp"]


@pytest.mark.parametrize("action", ["copy", "move"])
def test_a_sidecar_stays_with_an_image_that_stays(tree: Path, action: Literal["copy", "move"]) -> None:
    """Else it would be beside another program's file of that name."""
    (tree / "one" / "a.jpg.xmp").write_text("its own")
    planned = plan(action, "one/a.jpg", "one/b.jpg")
    (tree / "to").mkdir()
    (tree / "to" / "a.jpg").write_text("came since")
    result = carry_out(planned)
    assert [(failure.image, failure.error) for failure in result.errors] == [
        ("one/a.jpg", f"{tree / 'to' / 'a.jpg'} exists by now"),
        ("one/a.jpg.xmp", "left with its image"),
    ]
    assert (tree / "one" / "a.jpg.xmp").exists()
    assert sorted(path.name for path in (tree / "to").iterdir()) == ["a.jpg", "b.jpg"]


def test_a_numbered_name_leaves_bytes_for_the_sidecar(tree: Path) -> None:
    """An image of 251 bytes, whose sidecar has 255."""
    name = "x" * 247 + ".jpg"
    for path, content in ((f"one/{name}", b"one"), (f"one/{name}.xmp", b"<x/>"), (f"two/{name}", b"two")):
        (tree / path).write_bytes(content)
    (tree / "two" / f"{name}.xmp").write_bytes(b"<y/>")
    result = carry_out(plan("move", f"one/{name}", f"two/{name}"))
    assert result.errors == ()
    (sidecar,) = (path for path in (tree / "to").glob("*.xmp") if path.read_bytes() == b"<y/>")
    assert sidecar.with_suffix("").read_bytes() == b"two"


def test_many_files_of_one_name() -> None:
    """Each name is offered once."""
    names = TargetNames()
    given = [next(names.candidates("to", "a.jpg")) for _ in range(500)]
    assert len(set(given)) == 500
    assert given[-1] == str(Path("to", "a (500).jpg"))


def test_a_sidecar_that_has_changed_is_not_replaced(tree: Path) -> None:
    """Nor is one that came since the plan written over."""
    (tree / "old.xmp").write_bytes(b"changed since")
    (tree / "new.xmp").write_bytes(b"came since")
    operations = (
        Operation(FileStep("write", "one/a.jpg", "old.xmp"), content=b"merged", before=b"as it was read"),
        Operation(FileStep("write", "one/a.jpg", "new.xmp"), content=b"made"),
    )
    before = snapshot(tree)
    shown = PlanResult(command="tag", model=None, steps=tuple(operation.step for operation in operations))
    result = carry_out(FilePlan(shown, operations))

    assert result.done == 0
    assert snapshot(tree) == before
