"""Tests of `clipsim sort`, of the plans of `rank`, `search` and `duplicates`, and of `clipsim undo`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import set_state
from fake_encoder import FakeEncoder
from file_trees import snapshot
from PIL import Image

from clipsim.errors import join_words
from clipsim.models.settings import state_folder

if TYPE_CHECKING:
    from cli.conftest import Clipsim


@pytest.fixture
def tree(tmp_path: Path, colours: Path, colour_model: FakeEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `photos`: a red, a green and a blue picture, a copy of the red one in a folder."""
    set_state(monkeypatch, tmp_path / "state")
    folder = tmp_path / "tree"
    shutil.copytree(colours, folder / "photos")
    (folder / "photos" / "more").mkdir()
    shutil.copy(colours / "red.png", folder / "photos" / "more" / "red.png")
    monkeypatch.chdir(folder)
    return folder


SORT = ("sort", "photos", "-t", "red", "-t", "green", "-t", "blue")


def journals(tree: Path) -> list[Path]:
    """The journals there are."""
    return list((state_folder() / "journals").glob("*.jsonl"))


def test_nothing_is_touched_without_yes(clipsim: Clipsim, tree: Path) -> None:
    """The plan says what would happen, as a table and as JSON; no journal is begun."""
    before = snapshot(tree)
    done = clipsim(*SORT, "--move-to", "to")
    assert done.status == 0
    lines = done.out.splitlines()
    assert [line.split("   ")[:2] for line in map(str.strip, lines[3:7])] == [
        ["move", "  photos/blue.png"], ["move", "  photos/green.png"], ["move", "  photos/more/red.png"],
        ["move", "  photos/red.png"],
    ]  # fmt: skip
    assert "to/red/red (2).png" in lines[6]
    assert lines[-1] == "4 files to move. Nothing was changed; --yes carries it out."
    plan = json.loads(clipsim(*SORT, "--move-to", "to", "--json").out)
    assert (plan["schema"], plan["command"], plan["applied"], plan["journal"]) == (
        "clipsim.plan/1",
        "sort",
        False,
        None,
    )
    assert [step["done"] for step in plan["steps"]] == [False] * 4
    assert snapshot(tree) == before
    assert journals(tree) == []


@pytest.mark.parametrize("option", ["--copy-to", "--link-to", "--move-to"])
def test_a_plan_is_carried_out_and_undone(clipsim: Clipsim, tree: Path, option: str) -> None:
    """The place of the journal is printed before; undo gives back the tree."""
    before = snapshot(tree)
    done = clipsim(*SORT, option, "to", "--yes", "-q")
    assert (done.status, done.err) == (0, "")
    (journal,) = journals(tree)
    assert f"To undo: {join_words(['clipsim', 'undo', str(journal), '--yes'])}\n" in done.out
    assert done.out.splitlines()[-1].startswith("4 of 4 files ")
    assert sorted(path.name for path in (tree / "to").rglob("*.png")) == [
        "blue.png",
        "green.png",
        "red (2).png",
        "red.png",
    ]
    again = clipsim(*SORT, option, "to", "--yes", "-q")
    assert (again.status == 0) == (option != "--move-to")  # where no image is left

    after = snapshot(tree)
    planned = clipsim("undo", str(journal), "--json")
    assert (planned.status, snapshot(tree)) == (0, after)
    assert clipsim("undo", str(journal)).out.splitlines()[-1].endswith("Nothing was changed; --yes carries it out.")
    undone = clipsim("undo", str(journal), "--json", "--yes")
    assert undone.status == 0
    assert {step["done"] for step in json.loads(undone.out)["steps"]} == {True}
    assert [{**step, "done": True} for step in json.loads(planned.out)["steps"]] == json.loads(undone.out)["steps"]
    assert snapshot(tree) == before
    assert clipsim("undo", str(journal), "--yes").out.splitlines()[-1] == "Nothing to do."


def test_json_of_what_was_done(clipsim: Clipsim, tree: Path) -> None:
    """One object on standard output; the journal's place is a note before, and in the object."""
    done = clipsim(*SORT, "--copy-to", "to", "--yes", "--format", "json")
    result = json.loads(done.out)
    assert result["applied"] is True
    assert result["journal"] == str(journals(tree)[0])
    assert f"note: to undo: {join_words(['clipsim', 'undo', str(journals(tree)[0]), '--yes'])}" in done.err
    assert {step["done"] for step in result["steps"]} == {True}


def test_what_cannot_be_used_is_named(clipsim: Clipsim, tree: Path) -> None:
    """Status 3 where others could, 1 where none could; --on-error fail ends at the first."""
    (tree / "photos" / "broken.png").write_bytes(b"broken")
    (tree / "photos" / "link.png").symlink_to("/dev/null")
    Path("photos/z.png").symlink_to(tree.parent / "colours" / "blue.png")
    done = clipsim(*SORT, "--move-to", "to", "--yes")
    assert done.status == 3
    assert "clipsim: skipped: photos/broken.png: " in done.err
    assert "clipsim: skipped: photos/z.png: a symbolic link, which is not moved" in done.err
    assert Path("photos/z.png").is_symlink()
    assert clipsim("sort", "photos/z.png", "-t", "red", "-t", "blue", "--move-to", "to").status == 1
    assert clipsim("sort", "nope.png", "-t", "red", "--move-to", "to").status == 1
    done = clipsim(*SORT, "--move-to", "to", "--yes", "--on-error", "fail")
    assert done.status == 1
    assert "broken.png" in done.err


def test_images_that_fit_no_label_are_left(clipsim: Clipsim, tree: Path) -> None:
    """By probability or by thresholds."""
    done = clipsim(*SORT, "--copy-to", "to", "--min-probability", "1", "--json")
    assert len(json.loads(done.out)["left"]) == 4
    for number in range(9):
        Image.new("RGB", (30 + number, 20), "red").save(tree / f"{number}.png")
    clipsim("threshold", "red", *(part for n in range(9) for part in ("--positives", f"{n}.png")), "--recall", "0.9",
            "-o", "t.json")  # fmt: skip
    done = clipsim("sort", "photos", "-t", "red", "--thresholds", "t.json", "--copy-to", "to", "--json")
    plan = json.loads(done.out)
    assert [step["source"] for step in plan["steps"]] == ["photos/more/red.png", "photos/red.png"]
    assert plan["left"] == ["photos/blue.png", "photos/green.png"]
    assert clipsim("sort", "photos", "-t", "red", "--copy-to", "to", "--min-probability", "0.5").status == 2


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (SORT, "give a folder to sort into"),
        ((*SORT, "--copy-to", "a", "--move-to", "b"), "contradict each other"),
        ((*SORT, "--copy-to", ""), "needs the name of a folder"),
        (("sort", "photos", "--copy-to", "a"), "no labels"),
        (("sort", "-t", "red", "--copy-to", "a"), "no images"),
        ((*SORT, "--copy-to", "a", "--min-probability", "2"), "not a probability"),
        (("rank", "photos", "-t", "red", "--yes"), "--yes carries a plan out"),
        (("rank", "photos", "-t", "red", "--copy-to", "a", "--format", "csv"), "as a table or as JSON"),
        (("search", "photos", "-t", "red", "--copy-to", "a", "-l"), "as a table or as JSON"),
        (("search", "photos", "-t", "red", "--yes"), "--yes carries a plan out"),
        (("duplicates", "photos", "--move-to", "a", "--link"), "contradict each other"),
        (("duplicates", "photos", "--link", "--format", "html"), "as a table or as JSON"),
        (("duplicates", "photos", "--yes"), "--yes carries a plan out"),
        (("duplicates", "photos", "--keep", ""), "--keep ''"),
        (("duplicates", "photos", "--exact-files", "--keep", "/"), "a pattern is empty"),
    ],
)
def test_contradictions_are_wrong_usage(clipsim: Clipsim, arguments: tuple[str, ...], message: str) -> None:
    """In one line, before anything is computed."""
    done = clipsim(*arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_what_is_not_a_journal(clipsim: Clipsim, tree: Path) -> None:
    """Is one line."""
    done = clipsim("undo", "photos/red.png", "--yes")
    assert (done.status, done.out) == (1, "")
    assert "not a journal of clipsim" in done.err
    done = clipsim("undo", "gone.jsonl", "--yes")
    assert "cannot read the journal" in done.err


def test_an_undo_that_is_not_whole(clipsim: Clipsim, tree: Path) -> None:
    """Names what is left, with status 3."""
    clipsim(*SORT, "--move-to", "to", "--yes")
    (tree / "to" / "blue" / "blue.png").write_bytes(b"edited")
    done = clipsim("undo", journals(tree)[0], "--yes")
    assert done.status == 3
    assert "blue.png: neither of its names has the file that was moved" in done.err


def plan_of(clipsim: Clipsim, *arguments: str) -> dict[str, Any]:
    """The plan as JSON."""
    done = clipsim(*arguments, "--json")
    assert done.status == 0, done.err
    value: dict[str, Any] = json.loads(done.out)
    return value


def test_the_images_of_an_answer_are_copied(clipsim: Clipsim, tree: Path) -> None:
    """Of rank all or the best of each text, of search the matches."""
    plan = plan_of(clipsim, "rank", "photos", "-t", "red", "-t", "blue", "--copy-to", "to")
    assert (plan["command"], len(plan["steps"])) == ("rank", 4)
    plan = plan_of(clipsim, "rank", "photos", "-t", "red", "-t", "blue", "--top-images", "1", "--link-to", "to")
    assert [(step["action"], step["target"]) for step in plan["steps"]] == [
        ("link", "to/red.png"),
        ("link", "to/blue.png"),
    ]
    plan = plan_of(clipsim, "search", "photos", "-t", "red", "--top", "2", "--copy-to", "to", "--yes")
    assert (plan["command"], plan["applied"]) == ("search", True)
    assert sorted(path.name for path in Path("to").iterdir()) == ["red (2).png", "red.png"]
    assert plan_of(clipsim, "search", "photos", "-t", "red", "--min-similarity", "1", "--copy-to", "to")["steps"] == []


@pytest.mark.parametrize("exact_files", [True, False])
def test_copies_are_moved_or_linked(clipsim: Clipsim, tree: Path, exact_files: bool) -> None:
    """The one that stays is there; undo gives back the tree."""
    extra = ["--exact-files"] if exact_files else []
    before = snapshot(tree)
    plan = plan_of(clipsim, "duplicates", "photos", "--keep", "more", "--move-to", "extra", "--yes", *extra)
    assert [(step["source"], step["keeper"]) for step in plan["steps"]] == [("photos/red.png", "photos/more/red.png")]
    assert (tree / "extra" / "red.png").exists()
    assert clipsim("undo", plan["journal"], "--yes").status == 0
    assert snapshot(tree) == before
    plan = plan_of(clipsim, "duplicates", "photos", "--keep", "photos/red.png", "--link", "--yes", *extra)
    assert (tree / "photos" / "more" / "red.png").samefile(tree / "photos" / "red.png")
    assert clipsim("undo", plan["journal"], "--yes").status == 0
    assert snapshot(tree) == before
    done = clipsim("duplicates", "photos", "--keep", "nowhere/*", "--move-to", "extra", *extra)
    assert "note: keep: no file of a group matches 'nowhere/*'" in done.err


def test_a_destination_that_is_no_folder(clipsim: Clipsim, tree: Path) -> None:
    """Is wrong usage, before anything is computed; where a label's folder is a file, its images are left."""
    (tree / "file").write_bytes(b"mine")
    (tree / "dangling").symlink_to("nowhere")
    for name in ("file", "dangling"):
        done = clipsim(*SORT, "--move-to", name, "--yes")
        assert (done.status, done.out) == (2, "")
        assert f"--move-to: '{name}' exists and is not a folder" in done.err
    (tree / "to").mkdir()
    (tree / "to" / "red").write_bytes(b"mine")
    done = clipsim(*SORT, "--move-to", "to", "--yes")
    assert done.status == 3
    assert "skipped: photos/red.png: " in done.err
    assert f"{tree / 'to' / 'red'} exists and is not a folder" in done.err
    assert (tree / "photos" / "red.png").exists()


def test_a_move_that_was_cut_short_is_finished(clipsim: Clipsim, tree: Path) -> None:
    """A file that has both names gets no third one; undo gives both back."""
    (tree / "to" / "red").mkdir(parents=True)
    (tree / "to" / "red" / "red.png").hardlink_to(tree / "photos" / "red.png")
    before = snapshot(tree)
    done = clipsim("sort", "photos/red.png", *SORT[2:], "--move-to", "to", "--yes", "-q")
    assert (done.status, done.err) == (0, "")
    assert not (tree / "photos" / "red.png").exists()
    assert [path.name for path in (tree / "to" / "red").iterdir()] == ["red.png"]
    assert clipsim("undo", journals(tree)[0], "--yes").status == 0
    assert snapshot(tree) == before


def test_a_copy_of_a_linked_image_is_undone(clipsim: Clipsim, tree: Path) -> None:
    """Its original is what the link leads to."""
    Path("photos/link.png").symlink_to("red.png")
    before = snapshot(tree)
    clipsim("sort", "photos/link.png", *SORT[2:], "--copy-to", "to", "--yes")
    assert clipsim("undo", journals(tree)[0], "--yes").status == 0
    assert snapshot(tree) == before
