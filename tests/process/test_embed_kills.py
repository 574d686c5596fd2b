"""Tests of `clipsim embed` that is killed: going on gives the files of a run that was not. The model knows colours."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from collections_of_pictures import Collection, make_collection
from process.programs import CLIPSIM, COLOURS

from clipsim.store.dataset import Dataset

pytest.importorskip("pyarrow")

SHARD_SIZE, BATCH_SIZE = 20, 8
PATIENCE = 280.0  # seconds; Ray alone takes ten to start, and many more on a busy machine


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Two hundred pictures, twenty of them broken, and three tars, one torn."""
    return make_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def whole(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run gives that nothing stops."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    status, said = start(collection, folder).finish()
    assert status == 3, said
    return folder


class start:  # noqa: N801 (reads as a verb)
    """A run of `clipsim embed` over a collection."""

    def __init__(self, collection: Collection, output: Path, *options: str, batch_seconds: float = 0) -> None:
        command = [
            *CLIPSIM, "embed", *collection.inputs, "-o", str(output), "--captions", "--no-cache",
            "--shard-size", str(SHARD_SIZE), "--batch-size", str(BATCH_SIZE), "--dtype", "fp32", "-m", "clipsim-mini",
            *options,
        ]  # fmt: skip
        env = os.environ | COLOURS | {"FAKE_SECONDS": str(batch_seconds)}
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait_for(self, output: Path, pattern: str, count: int = 1, *, changed_since: int = 0) -> None:
        """Wait until so many files are there, of those that were written since a time in ns, or the run has ended."""
        until = time.monotonic() + PATIENCE
        while (
            len(list(filter(changed(changed_since), output.glob(pattern)))) < count
            and self.process.poll() is None
            and time.monotonic() < until
        ):
            time.sleep(0.001)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.communicate()

    def finish(self) -> tuple[int, str]:
        """Its exit status and what it said."""
        try:
            _, said = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        return self.process.returncode, said


def changed(since: int) -> Callable[[Path], bool]:
    """Whether a file was written since a time; one that is gone was not."""

    def is_changed(path: Path) -> bool:
        with suppress(FileNotFoundError):
            return path.stat().st_mtime_ns >= since
        return False

    return is_changed


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shards_in(folder: Path) -> list[Path]:
    """The metadata of the shards that are there."""
    return sorted(folder.glob("metadata/*"))


def test_other_tools_read_it(collection: Collection, whole: Path) -> None:
    """NumPy and pyarrow find every good picture once, in order."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(whole / "metadata")
    vectors = [np.load(path) for path in sorted((whole / "img_emb").iterdir())]

    assert table["image_path"].to_pylist() == collection.good
    assert [len(block) for block in vectors] == [
        pyarrow.parquet.read_metadata(path).num_rows for path in shards_in(whole)
    ]


def test_killed_at_any_moment(collection: Collection, whole: Path, tmp_path: Path) -> None:
    """Runs that are killed leave whole shards, and going on gives the same files, byte for byte."""
    folder = tmp_path / "out"
    rng = random.Random(0)
    for kill in range(6):
        run = start(collection, folder, batch_seconds=0.02)
        run.wait_for(folder, "metadata/*", len(shards_in(folder)) + kill % 3)
        time.sleep(rng.uniform(0, 0.1))
        run.kill()
        for path in shards_in(folder):
            assert path.read_bytes() == (whole / "metadata" / path.name).read_bytes()
    assert 0 < len(shards_in(folder)) < len(shards_in(whole))
    status, said = start(collection, folder).finish()

    assert status == 3, said
    assert contents(folder) == contents(whole)


def test_overwriting_killed_at_any_moment(collection: Collection, whole: Path, tmp_path: Path) -> None:
    """The old data set is there until the first new shard is; from then on the new one is completed."""
    folder = tmp_path / "out"
    rng = random.Random(1)
    seen = set()
    shutil.copytree(whole, folder)
    for kill in range(4):
        run = start(collection, folder, "--dtype", "fp16", "--overwrite", batch_seconds=0.02)
        if kill == 1:
            run.wait_for(folder, ".clipsim/tmp-*/img_emb.npy")
        elif kill > 1:
            run.wait_for(folder, "img_emb/img_emb_0000.npy", changed_since=time.time_ns())
            time.sleep(rng.uniform(0, 0.1))
        run.kill()
        dataset = Dataset(folder)
        seen.add(dataset.info.dtype)
        if dataset.info.dtype == "fp32":
            assert contents(folder).items() >= contents(whole).items()
        else:
            assert not dataset.info.complete
            assert all(path.stat().st_size < 3000 for path in folder.glob("img_emb/*"))
        dataset.vectors(range(len(dataset)))
    assert "fp16" in seen
    status, said = start(collection, folder, "--dtype", "fp16").finish()

    assert status == 3, said
    assert start(collection, tmp_path / "new", "--dtype", "fp16").finish()[0] == 3
    assert contents(folder) == contents(tmp_path / "new")


def test_two_at_once(collection: Collection, whole: Path, tmp_path: Path) -> None:
    """The second is refused, and does no harm."""
    folder = tmp_path / "out"
    first = start(collection, folder, batch_seconds=0.1)
    first.wait_for(folder, ".clipsim")
    refused = start(collection, folder, "-q").finish()

    assert refused == (1, f"clipsim: error: {folder}: another process is writing to it\n")
    assert first.finish()[0] == 3
    assert contents(folder) == contents(whole)


def test_processes_of_devices_end_with_the_run(collection: Collection, tmp_path: Path) -> None:
    """Also in the middle of a shard, which would be written into the data set of a later run."""
    folder = tmp_path / "out"
    run = start(collection, folder, "--devices", "cpu", batch_seconds=2 * PATIENCE)
    run.wait_for(folder, ".clipsim/tries_*")
    run.process.kill()
    run.process.communicate(timeout=PATIENCE)  # until the last process that has its standard error has ended

    assert list(folder.glob(".clipsim/tries_*"))


def test_a_worker_of_ray_killed_in_the_middle(collection: Collection, whole: Path, tmp_path: Path) -> None:
    """Its shard is made by another: nothing is lost, nothing is there twice."""
    pytest.importorskip("ray")
    if not Path("/proc").exists():
        pytest.skip("no /proc here")
    folder = tmp_path / "out"
    run = start(collection, folder, "--runner", "ray", "--workers", "1", batch_seconds=0.05)
    run.wait_for(folder, "metadata/*", 3)
    killed: list[int] = []
    until = time.monotonic() + PATIENCE
    while not killed and time.monotonic() < until:
        killed = workers_writing_to(folder)
    for process in killed:
        os.kill(process, signal.SIGKILL)
    status, said = run.finish()

    assert killed
    assert status == 3, said
    assert contents(folder) == contents(whole)


def workers_writing_to(folder: Path) -> list[int]:
    """The workers of Ray that have a file of vectors open in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cmdline").read_bytes().startswith(b"ray::"):
                opened = [link.readlink() for link in (process / "fd").iterdir()]
                if any(path.name == "img_emb.npy" and folder in path.parents for path in opened):
                    found.append(int(process.name))
        except OSError:  # it has ended meanwhile
            continue
    return found
