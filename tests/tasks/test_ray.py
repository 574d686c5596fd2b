"""Tests of `tasks.ray`: what runs a data set on Ray, with a stand-in for Ray, and what a worker does with a shard.

`tests/process/test_embed_kills.py` runs it for real where Ray is installed.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from fake_ray import FakeRay, WorkerDied, install_fake_ray
from numpy.typing import NDArray

import clipsim
from clipsim.errors import DatasetError, DeviceLostError, ImageError, UsageError, WeightsError
from clipsim.options import ModelOptions, RunOptions
from clipsim.store.folders import LocalFolder
from clipsim.store.layout import DatasetInfo, read_dataset_info
from clipsim.tasks.embed_shards import ShardWork
from clipsim.tasks.ray import describe_worker
from clipsim.tasks.shard_workers import MAX_TRIES, ShardEncoder, WorkerOptions, make_shard, tries_name

if TYPE_CHECKING:
    from conftest import Machine

pytest.importorskip("pyarrow")


@pytest.fixture
def made(machine: Machine, colours: Path, tmp_path: Path) -> tuple[LocalFolder, DatasetInfo]:
    """A data set of three shards, of which the second is missing; and a broken picture in it."""
    (colours / "green.png").write_bytes(b"")
    with clipsim.open(cache=False) as session:
        session.embed(colours, tmp_path / "out", shard_size=1)
    (tmp_path / "out" / "metadata" / "metadata_0001.parquet").unlink()
    return LocalFolder(str(tmp_path / "out")), read_dataset_info(tmp_path / "out")


@pytest.fixture
def options(made: tuple[LocalFolder, DatasetInfo], tmp_path: Path) -> WorkerOptions:
    """The options of a worker in its own folder."""
    return WorkerOptions(ModelOptions(), RunOptions(cache=False), str(tmp_path / "out"), str(tmp_path))


def test_a_worker(made: tuple[LocalFolder, DatasetInfo], options: WorkerOptions, monkeypatch: Any) -> None:
    """It makes the shards it is given, and says how each went."""
    folder, facts = made
    monkeypatch.chdir(options.start)
    found = ShardEncoder(options, facts.to_json())({"shard": [1]})

    assert json.loads(found["outcome"][0])["error"] is None
    assert json.loads(found["outcome"][0])["failures"][0][1] == "an empty file"
    assert (folder.path / "metadata" / "metadata_0001.parquet").exists()
    assert folder.read(tries_name(1)) is None
    described, error = describe_worker(options)
    assert error is None
    assert json.loads(described or "")["precision"] == "fp32"


def test_another_model_on_a_worker(
    made: tuple[LocalFolder, DatasetInfo], options: WorkerOptions, monkeypatch: Any
) -> None:
    """Its vectors would not be comparable."""
    monkeypatch.chdir(options.start)
    with pytest.raises(DatasetError, match="another digest: a model of colours, not other"):
        ShardEncoder(options, replace(made[1], digest="other").to_json())


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_shard_that_fails(
    made: tuple[LocalFolder, DatasetInfo], monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """It is tried three times, and then named with its error."""
    folder, facts = made
    tries = []
    run = ShardWork.run

    def fail(self: ShardWork, *callbacks: Any) -> None:
        tries.append(self)
        if len(tries) <= failures:
            raise OSError("a disk that is away")
        run(self, *callbacks)

    monkeypatch.setattr(ShardWork, "run", fail)
    with clipsim.open(cache=False) as session:
        outcome = make_shard(session.embedder, folder, facts, 1)

    assert len(tries) == min(failures + 1, MAX_TRIES)
    assert outcome["error"] == (None if failures < MAX_TRIES else "OSError: a disk that is away")


def test_a_shard_whose_workers_die(made: tuple[LocalFolder, DatasetInfo]) -> None:
    """Each death has left a try behind; the fourth worker gives up at once."""
    folder, facts = made
    folder.write(tries_name(1), str(MAX_TRIES).encode())
    with clipsim.open(cache=False) as session:
        assert make_shard(session.embedder, folder, facts, 1)["error"] == "its worker died 3 times"
    assert not (folder.path / "metadata" / "metadata_0001.parquet").exists()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch, machine: Machine, tmp_path: Path) -> FakeRay:
    """The stand-in for Ray; workers go to the folder where the run began, which is restored afterwards."""
    monkeypatch.chdir(tmp_path)
    return install_fake_ray(monkeypatch)


def embed(colours: Path, folder: Path, **options: Any) -> Any:
    """Embed the pictures, a shard each."""
    with clipsim.open(cache=False) as session:
        return session.embed(colours, folder, shard_size=1, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_on_ray(ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a run in this process, byte for byte; Ray is started quietly beside the main thread, and stopped."""
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "1000000")
    (colours / "green.png").write_bytes(b"")
    logging.getLogger("ray.data").setLevel(logging.INFO)
    here = embed(colours, tmp_path / "here")
    there = embed(colours, tmp_path / "there", runner="ray", actors=2)

    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert (there.images, there.errors, there.made) == (here.images, here.errors, here.made) == (2, 1, 3)
    assert ray.init_thread not in (None, threading.main_thread())
    assert ray.settings["runtime_env"]["env_vars"]["CLIPSIM_MAX_PIXELS"] == "1000000"
    assert (ray.settings["address"], ray.settings["log_to_driver"]) == (None, False)
    assert (ray.stops, ray.initialized) == (1, False)
    assert ray.asked == {
        "describe_worker": {"num_cpus": 2, "num_gpus": 0, "max_calls": 1}, "ShardEncoder": {"num_cpus": 2}
    }  # fmt: skip
    assert ray.pool == (2, 1)
    assert ray.progress_bars is False
    assert ray.context.enable_progress_bars is True
    assert logging.getLogger("ray.data").level == logging.INFO


def test_a_cluster_with_accelerators_that_is_connected(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """It stays connected; one encoder for each accelerator, but no more than there are shards."""
    ray.initialized, ray.resources = True, [{"CPU": 16.0, "GPU": 4.0}, {"CPU": 16.0, "GPU": 4.0}]
    embed(colours, tmp_path / "out", runner="ray")

    assert (ray.settings, ray.stops, ray.initialized) == ({}, 0, True)
    assert ray.asked["ShardEncoder"] == {"num_gpus": 1}
    assert ray.pool == (3, 1)


def test_several_encoders_share_a_gpu(
    ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each asks for its part, and decodes by its part of the cores."""
    workers = []
    make = ShardEncoder.__init__

    def watch(self: ShardEncoder, options: WorkerOptions, info: str) -> None:
        workers.append(options.run.workers)
        make(self, options, info)

    monkeypatch.setattr(ShardEncoder, "__init__", watch)
    ray.resources = [{"CPU": 16.0, "GPU": 1.0}]
    embed(colours, tmp_path / "out", runner="ray", actors=3)

    assert ray.asked["describe_worker"]["num_gpus"] == ray.asked["ShardEncoder"]["num_gpus"] == 0.3333
    assert (ray.pool, workers) == ((3, 1), [5, 5, 5])


@pytest.mark.parametrize("device", ["cuda:1", "cuda:0"])
def test_a_worker_sees_one_gpu(ray: FakeRay, colours: Path, tmp_path: Path, device: str) -> None:
    """Another one cannot be asked for: it is said before Ray is started."""
    ray.resources = [{"CPU": 16.0, "GPU": 2.0}]
    with clipsim.open(cache=False, device=device) as session:
        if device == "cuda:0":
            assert session.embed(colours, tmp_path / "out", runner="ray").made == 1
            return
        with pytest.raises(UsageError, match=r"device='cuda:1': Ray chooses the GPU .* leave out device='cuda:1'"):
            session.embed(colours, tmp_path / "out", runner="ray")

    assert ray.settings == {}


@pytest.mark.parametrize("failures", [1, MAX_TRIES])
def test_a_gpu_that_fails_ends_its_worker(
    ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """One shard is tried again by a new process, and the others are not eaten up by the one that is poisoned."""
    encode = FakeEncoder.encode_images

    def fail(self: FakeEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if getattr(self, "failed", False) or (pixels[0, 0, 0, 2] == 255 and ray.deaths < failures):
            self.failed = True  # type: ignore[attr-defined]  # everything after the first failure fails too
            raise DeviceLostError("the GPU has failed")
        return encode(self, pixels)

    def end_process() -> None:
        raise WorkerDied

    monkeypatch.setattr(FakeEncoder, "encode_images", fail)
    monkeypatch.setattr("clipsim.tasks.shard_workers.end_process", end_process)
    result = embed(colours, tmp_path / "out", runner="ray", actors=1)

    assert ray.deaths == failures
    assert (result.made, result.failed_shards) == ((3, ()) if failures < MAX_TRIES else (2, (0,)))


@pytest.mark.parametrize("deaths", [1, MAX_TRIES])
def test_a_worker_that_dies(
    ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    """Another one makes its shard; a shard that kills all its workers is left out and named, and can be made later."""
    encode = FakeEncoder.encode_images

    def die(self: FakeEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if pixels[0, 0, 0, 2] == 255 and ray.deaths < deaths:  # blue, the first of the three
            raise WorkerDied
        return encode(self, pixels)

    monkeypatch.setattr(FakeEncoder, "encode_images", die)
    result = embed(colours, tmp_path / "out", runner="ray")

    assert ray.deaths == deaths
    if deaths < MAX_TRIES:
        assert (result.made, result.failed_shards) == (3, ())
    else:
        assert (result.made, result.failed_shards) == (2, (0,))
        assert f"shard 0: its worker died {MAX_TRIES} times" in result.warnings
        assert embed(colours, tmp_path / "out", runner="ray").made == 1


def test_an_input_that_ends_the_run(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """With its own error, after which Ray is stopped."""
    (colours / "green.png").write_bytes(b"")
    with (
        clipsim.open(cache=False, on_error="raise") as session,
        pytest.raises(ImageError, match=r"green\.png: an empty file"),
    ):
        session.embed(colours, tmp_path / "out", shard_size=1, runner="ray")

    assert ray.stops == 1


def test_errors_of_ray_are_one_line(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """The last line of its long messages says most."""
    ray.init_error = ConnectionError("Ray has much to say\n\nno cluster at this address\n")
    with pytest.raises(DatasetError, match=r"^Ray: no cluster at this address$"):
        embed(colours, tmp_path / "out", runner="ray", ray_address="127.0.0.1:1")


def test_a_model_that_no_worker_can_run(
    ray: FakeRay, machine: Machine, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error comes from the worker, before anything is written."""

    def fail(_: ModelOptions) -> FakeEncoder:
        raise WeightsError("damaged weights")

    monkeypatch.setattr(machine, "open_encoder", fail)
    with pytest.raises(DatasetError, match="a worker of Ray cannot run the model: damaged weights"):
        embed(colours, tmp_path / "out", runner="ray")

    assert not list(tmp_path.glob("out/metadata/*"))
