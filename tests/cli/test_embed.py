"""Tests of `clipsim embed`: its options, its messages and its exit status; a model that knows colours behind it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from collections_of_pictures import make_collection
from fake_encoder import FakeEncoder

from clipsim.cli.collections import report_progress
from clipsim.cli.output import Bar, NoticePrinter, ProgressLines
from clipsim.store.dataset import Dataset
from clipsim.tasks.embed_shards import LocalRunner
from clipsim.tasks.progress import Progress

if TYPE_CHECKING:
    from cli.conftest import Clipsim

pytest.importorskip("pyarrow")


def test_a_folder(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """The summary goes to standard output; all is well."""
    ended = clipsim("embed", colours, "-o", tmp_path / "out", "--dtype", "fp32")
    shown = dict(line.split(maxsplit=1) for line in ended.out.splitlines())

    assert ended.status == 0
    assert shown["folder"].strip() == str(tmp_path / "out")
    assert shown["vectors"].strip() == "3 × 4 fp32"
    assert shown["shards"].startswith("1 of 1 made in ")
    assert len(Dataset(tmp_path / "out")) == 3


def test_broken_inputs(clipsim: Clipsim, colour_model: FakeEncoder, tmp_path: Path) -> None:
    """Each is a line, and the status says that some were skipped, also when nothing is left to do."""
    collection = make_collection(tmp_path / "collection", 30, 6, 6)
    arguments = ("embed", *collection.inputs, "-o", tmp_path / "out", "--captions", "--format", "json")
    first, second = clipsim(*arguments), clipsim(*arguments)
    result = json.loads(first.out)

    assert first.status == second.status == 3
    for name in collection.broken:
        assert f"clipsim: skipped: {name}: " in first.err
        assert name not in second.err
    assert "clipsim: warning: 7 of 46 inputs skipped" in first.err
    assert result["schema"] == "clipsim.embed/1"
    assert (result["sources"], result["images"], result["captions"], result["errors"]) == (46, 39, 15, 7)
    assert json.loads(second.out) == {**result, "made": 0, "seconds": json.loads(second.out)["seconds"]}


def test_lists_and_patterns(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """Names come from arguments, standard input and a file, in this order, and patterns choose among them."""
    (tmp_path / "list").write_bytes(f"{colours}\0".encode())
    ended = clipsim(
        "embed", colours / "red.png", "-", "--from-file", tmp_path / "list", "-o", tmp_path / "out",
        "--exclude", "blue.*",
        stdin=f"{colours / 'blue.png'}\0{colours / 'green.png'}\0".encode(),
    )  # fmt: skip

    assert ended.status == 0
    assert [Path(name).stem for name in Dataset(tmp_path / "out").names(0)] == ["red", "green"]
    assert "note: 2 names lead to a file that was named before; each file counts once" in ended.err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["x"], 2, "give --output DIR (-o)"),
        (["-o", "out"], 2, "no images to embed"),
        (["-", "--from-file", "-", "-o", "out"], 2, "only once"),
        (["x", "-o", "out", "--include", ""], 2, "a pattern"),
        (["x", "-o", "out", "--ray-address", "a:1"], 2, "--runner ray"),
        (["x", "-o", "out", "--cpus-per-worker", "2"], 2, "--cpus-per-worker 2: goes with Ray only; give --runner ray"),
        (["x", "-o", "out", "--workers", "2-8"], 2, "--workers 2-8: not a whole number from 1 to 256"),
        (["x", "-o", "out", "--runner", "ray", "--workers", "8-2"], 2, "or two of them as MIN-MAX"),
        (["x", "-o", "out", "--plan", "list", "--list-again"], 2, "--list-again goes without --plan"),
        (["--plan", "list", "-o", "out", "--image-column", "x"], 2, "--image-column and --caption-column go with"),
        (["--plan", "{tmp}/list", "-o", "{tmp}/out"], 1, "{tmp}/list: cannot read the plan: No such file"),
        (["none.jpg", "-o", "{tmp}/out"], 1, "errors.jsonl in {tmp}/out"),
        (["{tmp}/colours", "-o", "{tmp}/colours"], 1, "the folder is not empty"),
        (["{tmp}/none.csv", "-o", "{tmp}/out"], 1, "none of the inputs could be used"),
    ],
)
def test_what_cannot_be_done(
    clipsim: Clipsim,
    colour_model: FakeEncoder,
    colours: Path,
    tmp_path: Path,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    """One line says what is wrong, in terms of the command line."""
    ended = clipsim("embed", *(argument.format(tmp=tmp_path) for argument in arguments))

    assert ended.status == status
    assert message.format(tmp=tmp_path) in ended.err
    assert "Traceback" not in ended.err


def test_a_device_beside_devices(clipsim: Clipsim, colours: Path, tmp_path: Path) -> None:
    """The one is said not to be used; the other is no device, so that no process starts."""
    ended = clipsim("embed", colours, "-o", tmp_path / "out", "--devices", "cpu,gpu", "--device", "cuda:1")

    assert ended.status == 2
    assert "the device cuda:1 is not used: each of the named devices has" in " ".join(ended.err.split())


def test_a_plan(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """It is made without the model, says what would be embedded, and is embedded by its name alone."""
    shown = clipsim("embed", colours, "-o", tmp_path / "out", "--plan-only")
    planned = clipsim("embed", colours, "-o", tmp_path / "out", "--plan-only", "--json")
    result = json.loads(planned.out)
    assert (shown.status, planned.status, shown.err) == (0, 0, "")
    assert "3 files" in shown.out
    assert (result["schema"], result["sources"], result["kinds"]) == ("clipsim.embed-plan/1", 3, {"file": 3})
    assert not (tmp_path / "out" / "clipsim.json").exists()
    ended = clipsim("embed", "--plan", result["plan"], "-o", tmp_path / "other", "--exclude", "blue.*")

    assert ended.status == 0
    assert [Path(name).stem for name in Dataset(tmp_path / "other").names(0)] == ["green", "red"]
    assert "1 name is not listed again: " in ended.err
    refused = clipsim("embed", "--plan", colours / "red.png", "-o", tmp_path / "third")
    assert refused.status == 1
    assert "red.png: cannot read the plan: damaged, or no plan" in refused.err


def test_another_data_set(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """What differs is said, and how to start again, which works."""
    clipsim("embed", colours, "-o", tmp_path / "out")
    refused = clipsim("embed", colours, "-o", tmp_path / "out", "--dtype", "fp32", "-q")
    again = clipsim("embed", colours, "-o", tmp_path / "out", "--dtype", "fp32", "-q", "--overwrite")

    assert refused.status == 1
    assert refused.err == (
        f"clipsim: error: {tmp_path}/out holds other vectors: dtype fp16 there, fp32 now; give another folder, or "
        "--overwrite to start again\n"
    )
    assert again.status == 0


def test_shards_that_could_not_be_made(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are named, the status says so, and the same command again makes them."""
    arguments = ("embed", colours, "-o", tmp_path / "out", "--shard-size", "1", "-q")
    run = LocalRunner.run
    with monkeypatch.context() as patch:
        patch.setattr(LocalRunner, "run", lambda self, info, shards, *rest: run(self, info, shards[:2], *rest))
        ended = clipsim(*arguments, "--json")
        result = json.loads(ended.out)
    again = clipsim(*arguments)

    assert ended.status == 3
    assert ended.err == (
        "clipsim: error: shards that are not finished: 2; the same command again tries them once more\n"
    )
    assert (result["failed_shards"], result["made"], result["images"]) == ([2], 2, None)
    assert again.status == 0
    assert "1 of 3 made" in again.out


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("pyarrow.parquet", ["{tmp}/colours"], "embed"),
        ("fsspec.core", ["s3://bucket/a.jpg"], "remote"),
        ("ray", ["{tmp}/colours", "--runner", "ray"], "ray"),
    ],
)
def test_extras_that_are_missing(
    clipsim: Clipsim,
    colour_model: FakeEncoder,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    arguments: list[str],
    extra: str,
) -> None:
    """One line names the extra."""
    monkeypatch.setitem(sys.modules, package, None)
    ended = clipsim("embed", *(argument.format(tmp=tmp_path) for argument in arguments), "-o", tmp_path / "out", "-q")

    assert ended.status == 1
    assert f"pip install 'clipsim[{extra}]'" in ended.err
    assert ended.err.count("\n") == 1


def test_a_run_that_goes_on_begins_its_bar_where_it_was() -> None:
    """What an earlier run made does not count as work of this one, whose speed it would raise."""

    class Recorder(Bar):
        """Keeps what it is told."""

        def __init__(self) -> None:
            super().__init__(None)
            self.calls: list[object] = []

        def step(self, what: str, total: int | None = None, done: int = 0) -> None:
            self.calls.append((what, total, done))

        def advance(self, parts: int, node: str | None = None) -> None:
            self.calls.append(parts)

    bar = Recorder()
    report = report_progress(bar, NoticePrinter(quiet=True))
    bar.calls.clear()
    for progress in (
        Progress("listing the images", 40, None),
        Progress("embedding", 30, 40),
        Progress("embedding", 35, 40),
    ):
        report(progress)

    assert bar.calls == [("listing the images", None, 0), 40, ("embedding", 40, 30), 0, 5]


def report_at(form: str, steps: list[tuple[float, Progress]]) -> list[str]:
    """The lines for steps of the work at the times of a clock."""
    lines: list[str] = []
    now = 0.0
    bar = ProgressLines(as_json=form == "json", write=lines.append, clock=lambda: now)
    report = report_progress(bar, NoticePrinter(quiet=True))
    for now, progress in steps:  # noqa: B007 (the clock reads it)
        report(progress)
    bar.close()
    bar.close()
    return lines


STEPS = [
    (0.0, Progress("embedding", 100, 400)),
    (4.0, Progress("embedding", 140, 400, node="a")),
    (10.0, Progress("embedding", 200, 400, node="b\n")),
    (12.0, Progress("embedding", 220, 400, node="a")),
]


def test_progress_as_lines() -> None:
    """A line as a stage begins, then not more often than every ten seconds, and the last; speeds are of this run."""
    assert report_at("plain", STEPS) == [
        "loading the model",
        "embedding 100/400",
        "embedding 200/400, 10.0/s, 0:00:20 left; a 4.0/s, b\\n 6.0/s",
        "embedding 220/400, 10.0/s, 0:00:18 left; a 5.0/s, b\\n 5.0/s",
    ]
    last = json.loads(report_at("json", STEPS)[-1])
    assert last == {
        "schema": "clipsim.progress/1", "stage": "embedding", "done": 220, "total": 400, "per_second": 10.0,
        "seconds_left": 18.0, "nodes": {"a": 5.0, "b\n": 5.0},
    }  # fmt: skip


def test_progress_off_a_terminal(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """Lines go to standard error, with -q too; standard output has the result alone."""
    ended = clipsim("embed", str(colours), "-o", str(tmp_path / "v"), "--json", "-q", "--progress", "json")
    assert json.loads(ended.out)["images"] == 3
    stages = [(line["stage"], line["done"], line["total"]) for line in map(json.loads, ended.err.splitlines())]
    assert stages[-1] == ("embedding", 3, 3)
    again = clipsim("embed", str(colours), "-o", str(tmp_path / "w"), "--json", "-q", "--progress", "plain")
    assert again.err.splitlines()[-1].startswith("clipsim: progress: embedding 3/3")
    silent = clipsim("embed", str(colours), "-o", str(tmp_path / "x"), "--json", "-q")
    assert "progress" not in silent.err


def test_an_export(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """The vectors of a data set as Parquet, and a summary; what is missing is a line."""
    clipsim("embed", str(colours), "-o", str(tmp_path / "v"), "-q")
    table = clipsim("vectors", "export", str(tmp_path / "v"), "--to", "parquet", "-o", str(tmp_path / "t"))
    assert (table.status, table.err) == (0, "")
    assert "parquet" in table.out
    command = ("vectors", "export", str(tmp_path / "v"), "--to", "parquet", "-o", str(tmp_path / "t"), "--json")
    result = json.loads(clipsim(*command).out)
    assert (result["schema"], result["vectors"], result["to"]) == ("clipsim.export/1", 3, "parquet")
    refused = clipsim("vectors", "export", str(colours), "--to", "parquet", "-o", str(tmp_path / "t"))
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "not a folder of vectors" in refused.err
    nowhere = clipsim("vectors", "export", str(tmp_path / "v"), "--to", "parquet")
    assert nowhere.status == 2
    assert "no folder to write to" in nowhere.err


def test_a_store_that_fails(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused listing is one line and status 1, and nothing is written; what is denied is tried again."""
    pytest.importorskip("fsspec")
    import fsspec
    from faulty_store import Faults, FaultyStore

    fsspec.register_implementation("faulty", FaultyStore, clobber=True)
    monkeypatch.setattr(FaultyStore, "store", {})
    monkeypatch.setattr(FaultyStore, "pseudo_dirs", [""])
    monkeypatch.setattr(FaultyStore, "faults", Faults())
    for path in colours.iterdir():
        FaultyStore().pipe_file(f"/bucket/{path.name}", path.read_bytes())
    FaultyStore.faults.choose = lambda operation, _: "denied" if operation == "list" else None
    command = ("embed", "faulty://bucket/", "-o", tmp_path / "out", "-q")
    refused = clipsim(*command)
    assert refused.status == 1
    assert refused.err == (
        "clipsim: error: faulty://bucket/: cannot list it: PermissionError: the token has expired; to be tried again\n"
    )
    assert not list((tmp_path / "out").rglob("*.*"))

    FaultyStore.faults.choose = lambda operation, path: (
        "denied" if (operation, path[-7:]) == ("open", "red.png") else None
    )
    some = clipsim(*command)
    assert some.status == 3
    assert "1 input failed for now (denied 1); the same command again tries them once more" in some.err
    many = clipsim(*command, "--max-failures", "10%", "--retry-failed")
    assert many.status == 1
    assert "1 of 3 inputs failed (denied 1), more than 10%" in many.err
    assert clipsim(*command, "--max-failures", "x").status == 2

    FaultyStore.faults.choose = lambda _operation, _path: None
    assert clipsim("embed", "--retry-failed", *command[1:]).status == 0
