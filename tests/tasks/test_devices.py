"""Tests of `tasks.devices`, with processes on the CPU: the data set of a single one, whatever happens to them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from numpy.typing import NDArray

import clipsim
from clipsim.errors import DatasetError, DeviceError, ImageError, UsageError
from clipsim.options import ModelOptions
from clipsim.store.folders import LocalFolder
from clipsim.tasks import devices
from clipsim.tasks.shard_workers import ShardEncoder

pytest.importorskip("pyarrow")
DEVICES = ("cpu", "cpu:0")


@pytest.fixture(autouse=True)
def forked(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forked processes have the fake model of the test, as spawned ones would not."""

    class Empty(set[int]):
        def add(self, _: int) -> None:
            """Forget it: a real model must not be used after a fork."""

    monkeypatch.setattr(devices, "_context", multiprocessing.get_context("fork"))
    monkeypatch.setattr("clipsim.embedding.deferred._TORCH_PROCESSES", Empty())


@pytest.fixture
def pictures(pictures: Path) -> Path:
    """Thirteen, one of them broken."""
    (pictures / "broken.png").write_text("no image")
    return pictures


def embed(pictures: Path, output: Path, *names: str, on_error: Any = "skip") -> clipsim.EmbedResult:
    """In shards of three."""
    return clipsim.embed(
        pictures, output, devices=names, shard_size=3, dtype="fp32", model="clipsim-mini", device="cpu", cache=False,
        on_error=on_error,
    )  # fmt: skip


def check_equal(one: Path, other: Path) -> None:
    """The same vectors in the same order."""
    assert [json.loads((folder / "clipsim.json").read_text())["errors"] for folder in (one, other)] == [1, 1]
    files = [sorted((folder / "img_emb").iterdir()) for folder in (one, other)]
    assert [file.name for file in files[0]] == [file.name for file in files[1]]
    for pair in zip(*files, strict=True):
        assert np.array_equal(*map(np.load, pair))


def fail_in_shards(monkeypatch: pytest.MonkeyPatch, fail: Callable[[int], None]) -> None:
    """Call a function with the number of each shard before it is made."""
    make = ShardEncoder.make

    def make_or_fail(self: ShardEncoder, shard: int) -> dict[str, Any]:
        fail(shard)
        return make(self, shard)

    monkeypatch.setattr(ShardEncoder, "make", make_or_fail)


def test_progress_names_the_device(pictures: Path, tmp_path: Path) -> None:
    """Each step of the work says which of them did it."""
    steps: list[clipsim.Progress] = []
    clipsim.embed(
        pictures, tmp_path / "vectors", devices=DEVICES, shard_size=3, model="clipsim-mini", device="cpu", cache=False,
        progress=steps.append,
    )  # fmt: skip
    nodes = {step.node for step in steps if step.stage == "embedding"}
    assert None in nodes  # before the first shard is made
    assert nodes - {None} <= set(DEVICES)
    assert len(nodes) > 1


def test_the_data_set_of_one_process(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files, made by processes that may start others to decode."""
    embed(pictures, tmp_path / "one")

    def note_process(_: int) -> None:
        daemon = multiprocessing.parent_process() is None or multiprocessing.current_process().daemon
        (tmp_path / f"daemon {daemon}").touch()

    fail_in_shards(monkeypatch, note_process)
    result = embed(pictures, tmp_path / "two", *DEVICES)

    assert (result.images, result.errors, result.shards, result.made) == (12, 1, 5, 5)
    assert [file.name for file in tmp_path.glob("daemon *")] == ["daemon False"]
    check_equal(tmp_path / "two", tmp_path / "one")
    assert not multiprocessing.active_children()


def test_this_process_opens_no_model(machine: Machine, pictures: Path, tmp_path: Path) -> None:
    """A GPU in exclusive mode has room for its own process alone; and so it is when the run is completed."""
    machine.device = "cuda:0"  # what "auto" is
    for _ in range(2):
        clipsim.embed(pictures, tmp_path / "vectors", devices=DEVICES, shard_size=3, model="clipsim-mini")
        (tmp_path / "vectors" / "img_emb" / "img_emb_0000.npy").unlink()
    assert machine.encoders == []


def test_a_process_that_is_killed(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its shard is made by another process, and it is started again."""
    embed(pictures, tmp_path / "one")
    killed = tmp_path / "killed"

    def kill_once(shard: int) -> None:
        if shard in (0, 3) and not killed.with_suffix(f".{shard}").exists():
            killed.with_suffix(f".{shard}").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    fail_in_shards(monkeypatch, kill_once)
    embed(pictures, tmp_path / "two", *DEVICES)

    check_equal(tmp_path / "two", tmp_path / "one")


def test_a_device_that_is_lost_at_the_end(
    machine: Machine, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shard is made by the other, which has had nothing to do since."""
    killed, open_encoder = tmp_path / "killed", machine.open_encoder

    def kill_at_the_end(shard: int) -> None:
        if shard == 4 and not killed.exists():
            while len(list(tmp_path.glob("two/metadata/*"))) < 4:
                time.sleep(0.001)
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def open_or_fail(options: ModelOptions) -> FakeEncoder:
        if killed.exists():
            raise DeviceError("the GPU is lost")
        return open_encoder(options)

    fail_in_shards(monkeypatch, kill_at_the_end)
    monkeypatch.setattr(machine, "open_encoder", open_or_fail)

    assert embed(pictures, tmp_path / "two", *DEVICES).made == 5


def test_a_shard_that_always_kills(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After three tries it is skipped with a notice; the others are made."""
    encode = FakeEncoder.encode_images

    def kill(self: FakeEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if (pixels[0, 0, 0] == (20 * 6, 255 - 20 * 6, 99)).all():  # the first of shard 2
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(self, pixels)

    monkeypatch.setattr(FakeEncoder, "encode_images", kill)
    with pytest.warns(clipsim.ClipsimWarning, match="shard 2: its worker died 3 times"):
        result = embed(pictures, tmp_path / "two", *DEVICES)

    assert result.failed_shards == (2,)


def test_a_folder_that_cannot_be_written(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shard is tried for ever because its tries cannot be counted."""
    write = LocalFolder.write

    def fail(self: LocalFolder, name: str, content: bytes) -> None:
        if "tries_" in name:
            raise DatasetError("the disk is full")
        write(self, name, content)

    monkeypatch.setattr(LocalFolder, "write", fail)
    with pytest.warns(clipsim.ClipsimWarning, match="shard 4: the disk is full"):
        result = embed(pictures, tmp_path / "two", *DEVICES)

    assert result.failed_shards == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("error", [DeviceError("no such GPU"), ValueError("no such GPU")])
def test_a_device_that_cannot_be_used(
    machine: Machine, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It is left out with a notice; where none can be used, that is an error."""
    open_encoder = machine.open_encoder

    def open_or_fail(options: ModelOptions) -> FakeEncoder:
        if options.device == "cpu:0":
            raise error
        return open_encoder(options)

    monkeypatch.setattr(machine, "open_encoder", open_or_fail)
    embed(pictures, tmp_path / "one")
    with pytest.warns(clipsim.ClipsimWarning, match="cpu:0 is not used: (ValueError: )?no such GPU"):
        embed(pictures, tmp_path / "two", *DEVICES)
    check_equal(tmp_path / "two", tmp_path / "one")

    with pytest.raises(DatasetError, match="none of the devices can be used"):
        embed(pictures, tmp_path / "none", "cpu:0")


def test_a_process_that_ends_before_it_has_the_model(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not started for ever."""

    def end(connection: Connection, *_: object) -> None:
        connection.close()

    monkeypatch.setattr(devices, "run_worker", end)
    with pytest.raises(DatasetError, match="ended while it loaded the model"):
        embed(pictures, tmp_path / "two", *DEVICES)


def test_the_first_unusable_image_ends_the_run(pictures: Path, tmp_path: Path) -> None:
    """With `on_error`, and so do the processes."""
    with pytest.raises(ImageError, match=r"broken\.png"):
        embed(pictures, tmp_path / "two", *DEVICES, on_error="raise")
    assert not multiprocessing.active_children()


def test_a_device_of_the_session_that_is_not_used_is_said(pictures: Path, tmp_path: Path) -> None:
    """The devices of the call make the vectors."""
    with (
        clipsim.open("clipsim-mini", device="cpu:0", on_error="skip") as session,
        pytest.warns(clipsim.ClipsimWarning, match="the device cpu:0 is not used: each of the named"),
    ):
        session.embed(pictures, tmp_path / "vectors", devices="cpu")


@pytest.mark.parametrize("name", ["gpu", "", 0])
def test_names_of_devices_are_checked(pictures: Path, tmp_path: Path, name: Any) -> None:
    """Before a model is opened."""
    with pytest.raises(UsageError, match=r"device=.*: unknown device"):
        embed(pictures, tmp_path / "two", name)
