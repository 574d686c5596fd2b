"""Tests of `tasks.ray`, `tasks.ray_cluster` and `tasks.ray_nodes`, with a stand-in for Ray.

`tests/process/test_ray_process.py` has those of the process that talks to Ray, and `tests/process/test_embed_kills.py`
runs the real one where it is installed.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from fake_ray import FakeNode, FakeRay, WorkerDied, install_fake_ray
from numpy.typing import NDArray

import clipsim
from clipsim.embedding.embedder import Embedder
from clipsim.errors import (
    ClusterLostError,
    DatasetError,
    DeviceLostError,
    ImageError,
    MissingPackageError,
    UsageError,
    WeightsError,
)
from clipsim.options import ModelOptions
from clipsim.store.dataset import Dataset
from clipsim.store.layout import VectorInfo
from clipsim.tasks.embed_shards import describe_vectors
from clipsim.tasks.ray_cluster import Message, make_worker_class, serve
from clipsim.tasks.ray_nodes import Demand, Node, Share, divide
from clipsim.tasks.shard_workers import MAX_TRIES

if TYPE_CHECKING:
    from conftest import Machine

pytest.importorskip("pyarrow")


BUSY = "no shard is being made: the nodes may be busy with other work"


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch, machine: Machine, tmp_path: Path) -> FakeRay:
    """The stand-in for Ray; workers go to the folder where the run began, which is restored afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return install_fake_ray(monkeypatch)


def embed(images: Path, folder: Path, *, on_ray: bool = True, precision: str | None = None, **options: Any) -> Any:
    """Embed the pictures, a shard each."""
    with clipsim.open(cache=False, precision=precision) as session:
        return session.embed(images, folder, shard_size=1, runner="ray" if on_ray else "local", **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_on_ray(ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set of a run in this process; Ray is started quietly beside the main thread, and stopped."""
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "1000000")
    (colours / "green.png").write_bytes(b"")
    here = embed(colours, tmp_path / "here", on_ray=False)
    there = embed(colours, tmp_path / "there", actors=2)

    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert (there.images, there.errors, there.made) == (here.images, here.errors, here.made) == (2, 1, 3)
    assert ray.init_thread not in (None, threading.main_thread())
    assert ray.requests[0].variables["CLIPSIM_MAX_PIXELS"] == "1000000"
    assert ray.stops == 1
    assert ray.pool() == {"here": [(2, 0), (2, 0)]}


@pytest.mark.parametrize(
    ("address", "variable", "initialized", "expected"),
    [
        (None, None, False, "local"),
        (None, "10.0.0.9:6379", False, "10.0.0.9:6379"),
        ("auto", "10.0.0.9:6379", False, "auto"),
        (None, "10.0.0.9:6379", True, "10.0.0.1:6379"),
    ],
)
def test_the_cluster_of_a_run(
    ray: FakeRay,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str | None,
    variable: str | None,
    initialized: bool,
    expected: str,
) -> None:
    """A cluster that exists is told neither its memory nor a runtime environment; a connected program stays so."""
    ray.initialized = initialized
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    assert embed(colours, tmp_path / "out", ray_address=address).made == 3

    own = {"include_dashboard", "object_store_memory"} if expected == "local" else set()
    assert ray.settings["address"] == expected
    assert ray.settings.keys() == {"address", "log_to_driver", "logging_level"} | own


def test_an_address_of_rays_client(
    ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs a package of its own, which is said before anything is started."""
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "grpc" else find(name))
    with pytest.raises(MissingPackageError, match=r"ray://head:10001 .* pip install 'ray\[client\]'"):
        embed(colours, tmp_path / "out", ray_address="ray://head:10001")
    assert not ray.requests


def test_a_program_that_is_connected_by_rays_client(
    ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a connection does not tell the address of its cluster."""
    ray.initialized = True
    monkeypatch.setattr(sys.modules["ray"], "get_runtime_context", object)
    with pytest.raises(UsageError, match="ray_address: this program is connected by Ray's client"):
        embed(colours, tmp_path / "out")


def test_ray_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its files are those of another system."""
    monkeypatch.setitem(sys.modules, "ray", None)
    messages: list[Message] = []
    serve(lambda: None, messages.append, threading.Event())

    assert [(message.kind, str(message.value).endswith("pip install 'clipsim[ray]'")) for message in messages] == [
        ("failed", True)
    ]


def test_nodes_that_are_busy(ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray waits for room without a word; the run says so, while it waits."""
    monkeypatch.setattr("clipsim.tasks.ray_cluster.PATIENCE_SECONDS", -1.0)
    steps: list[clipsim.Progress] = []
    embed(colours, tmp_path / "out", progress=steps.append)

    assert [step.stage for step in steps if BUSY in step.notices][:1] == ["loading the model"]


def test_gpus_that_are_busy(ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores that are ready wait for them, as they decide the precision; the run says so, too."""
    ray.machines = [FakeNode("cores", {"CPU": 8.0}), FakeNode("gpus", {"CPU": 8.0, "GPU": 1.0})]
    ray.on_wait = lambda: monkeypatch.setattr("clipsim.tasks.ray_cluster.PATIENCE_SECONDS", -1.0)

    assert BUSY in embed(colours, tmp_path / "out").warnings


def test_an_address_where_nothing_answers(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """Ray would try it again for minutes."""
    ray.patient = False
    with pytest.raises(DatasetError, match=r"ray_address='10\.0\.0\.9:1': no Ray cluster has answered within 25 sec"):
        embed(colours, tmp_path / "out", ray_address="10.0.0.9:1")


def test_errors_of_ray_are_one_line(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """The last line of its long messages says most."""
    ray.init_error = ConnectionError("Ray has much to say\n\nno cluster at this address\n")
    with pytest.raises(DatasetError, match=r"^Ray: no cluster at this address$"):
        embed(colours, tmp_path / "out", ray_address="127.0.0.1:1")


def test_the_cause_is_told_before_ray_is_stopped(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """Which fails, too, where the cluster is lost."""

    def fail() -> None:
        raise ConnectionError("not connected")

    vars(sys.modules["ray"])["shutdown"] = fail
    ray.machines = []
    with pytest.raises(DatasetError, match="none has cores or GPUs for an encoder"):
        embed(colours, tmp_path / "out")


@pytest.mark.parametrize(
    "end", [ConnectionError("Ray Client is not connected"), SystemExit("Failed to connect to GCS within 60 seconds")]
)
def test_a_cluster_that_is_lost(ray: FakeRay, colours: Path, tmp_path: Path, end: BaseException) -> None:
    """Ray raises, or ends the process; what is there stays, and the same command goes on from it."""
    waits = 0

    def end_later() -> None:
        nonlocal waits
        waits += 1
        if waits == 3:  # after the model and one shard
            raise end

    ray.on_wait = end_later
    with pytest.raises(ClusterLostError, match=f"the Ray cluster was lost: {end}; what is there stays"):
        embed(colours, tmp_path / "out")
    result = embed(colours, tmp_path / "out")

    assert (result.made, result.images) == (2, 3)


def test_three_nodes_one_killed_one_late_one_of_another_version(ray: FakeRay, pictures: Path, tmp_path: Path) -> None:
    """The data set is complete, with the rows of a run in this process; the one that differs is named and left out."""
    killed, late = FakeNode("killed", {"CPU": 4.0}), FakeNode("late", {"CPU": 16.0})
    other = FakeNode("other", {"CPU": 64.0}, {"torch": "1.13.1", "pillow": "9.0.0"})
    ray.machines = [killed, other]
    tasks: list[tuple[str, str]] = []

    def happen(node: FakeNode, method: str, arguments: tuple[Any, ...]) -> None:
        tasks.append((node.name, method))
        if tasks.count(("killed", "make")) == 2 and late not in ray.machines:
            ray.machines.append(late)
        if tasks.count(("killed", "make")) == 4:
            killed.alive = False

    ray.on_task = happen
    result = embed(pictures, tmp_path / "there", dtype="fp32")
    here = embed(pictures, tmp_path / "here", on_ray=False, dtype="fp32")

    assert (result.images, result.failed_shards) == (12, ())
    torch, pillow = (read_version(name) for name in ("torch", "pillow"))
    assert f"other is not used: torch 1.13.1, not {torch}, pillow 9.0.0, not {pillow}" in result.warnings
    assert "killed is no longer there; others make its shards" in result.warnings
    assert ("other", "make") not in tasks
    assert {node for node, method in tasks if method == "make"} == {"killed", "late"}
    assert ray.pool() == {"killed": [(4, 0)], "other": [(8, 0)] * 8, "late": [(8, 0)] * 2}
    one, two = Dataset(tmp_path / "here"), Dataset(tmp_path / "there")
    assert [one.names(shard) for shard in range(12)] == [two.names(shard) for shard in range(12)]
    assert np.abs(one.vectors(range(12)) - two.vectors(range(12))).max() < 1e-5
    assert here.images == result.images


def read_version(package: str) -> str:
    """The version of a package here."""
    from importlib import metadata

    return metadata.version(package)


def test_nodes_that_cannot_run(
    ray: FakeRay, machine: Machine, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is named with its cause, and the others do the work; where there are none, that is an error."""
    ray.machines = [
        FakeNode("bare", {"CPU": 2.0}, {"clipsim": None}),
        FakeNode("old", {"CPU": 2.0}, {"clipsim": "0.0.1"}),
        FakeNode("empty", {"CPU": 2.0}),
        FakeNode("dying", {"CPU": 2.0}),
        FakeNode("head", {}),
        FakeNode("good", {"CPU": 2.0}, {"torch": read_version("torch").partition("+")[0] + "+another.build"}),
    ]
    running = ""
    open_encoder = machine.open_encoder

    def watch(node: FakeNode, method: str, arguments: tuple[Any, ...]) -> None:
        nonlocal running
        running = node.name

    def open_or_fail(options: ModelOptions) -> FakeEncoder:
        if running == "empty":
            raise WeightsError("no such folder: models/mine")
        if running == "dying":
            raise WorkerDied
        return open_encoder(options)

    ray.on_task = watch
    monkeypatch.setattr(machine, "open_encoder", open_or_fail)
    result = embed(colours, tmp_path / "out")
    named = [warning for warning in result.warnings if "is not used" in warning]

    assert result.images == 3
    assert sorted(named) == [
        "bare is not used: clipsim is not installed",
        "dying is not used: its process ended while it loaded the model",
        "empty is not used: no such folder: models/mine",
        f"old is not used: clipsim 0.0.1, not {clipsim.__version__}",
    ]
    ray.machines.pop()
    with pytest.raises(DatasetError, match=r"no node of the Ray cluster can run the model; .*bare: clipsim is not ins"):
        embed(colours, tmp_path / "none")
    assert not list(tmp_path.glob("none/metadata/*"))
    ray.machines = [FakeNode("head", {})]
    with pytest.raises(DatasetError, match="none has cores or GPUs for an encoder"):
        embed(colours, tmp_path / "none")


def describe_on_nodes(ray: FakeRay, monkeypatch: pytest.MonkeyPatch, differences: dict[str, dict[str, Any]]) -> None:
    """Have the models of some nodes describe their vectors in another way."""
    running = ""
    happen = ray.on_task

    def watch(node: FakeNode, method: str, arguments: tuple[Any, ...]) -> None:
        nonlocal running
        running = node.name
        happen(node, method, arguments)

    def describe(embedder: Embedder) -> VectorInfo:
        return replace(describe_vectors(embedder), **differences.get(running, {}))

    ray.on_task = watch
    monkeypatch.setattr("clipsim.tasks.shard_workers.describe_vectors", describe)


def test_a_node_with_other_preprocessing(
    ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it joins after the data set was begun."""
    late = FakeNode("late", {"CPU": 2.0})

    def happen(node: FakeNode, method: str, arguments: tuple[Any, ...]) -> None:
        if method == "make" and late not in ray.machines:
            ray.machines.append(late)

    ray.on_task = happen
    describe_on_nodes(ray, monkeypatch, {"late": {"preprocessing": {"interpolation": "nearest"}}})
    result = embed(colours, tmp_path / "out")

    assert result.images == 3
    (named,) = [warning for warning in result.warnings if "not used" in warning]
    assert named.startswith("late is not used: it prepares images in another way: interpolation nearest, not ")


@pytest.mark.parametrize("reached", ["the inputs", "the vectors"])
def test_a_node_that_lacks_the_folders(
    ray: FakeRay, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: str
) -> None:
    """It fails at once, and would take the shards away from those that can make them."""
    ray.machines = [FakeNode("far", {"CPU": 16.0}), FakeNode("near", {"CPU": 2.0})]
    (tmp_path / "elsewhere").mkdir()

    def go(node: FakeNode, method: str, arguments: tuple[Any, ...]) -> None:
        monkeypatch.chdir(tmp_path / "elsewhere" if node.name == "far" else tmp_path)

    ray.on_task = go
    images, folder = Path("pictures"), Path("out")
    result = embed(*((pictures, folder) if reached == "the inputs" else (images, tmp_path / "out")))

    assert (result.images, result.errors, result.failed_shards) == (12, 0, ())
    cause = (
        "the folder of vectors cannot be used there: out: .clipsim/sources_"
        if reached == "the inputs"
        else f"the inputs are not there: no folder {tmp_path}/elsewhere/pictures"
    )
    (named,) = [warning for warning in result.warnings if "not used" in warning]
    assert named.startswith(f"far is not used: {cause}")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_cluster_with_and_without_gpus(
    ray: FakeRay, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each node has encoders for what it has; in the precision of GPUs alone, cores cannot help, and that is said."""
    ray.machines = [FakeNode("cores", {"CPU": 16.0}), FakeNode("gpus", {"CPU": 16.0, "GPU": 2.0})]
    result = embed(pictures, tmp_path / "both", precision="fp32")

    assert ray.pool() == {"cores": [(8, 0), (8, 0)], "gpus": [(0, 1), (0, 1)]}
    assert [warning for warning in result.warnings if "not used" in warning] == []

    describe_on_nodes(ray, monkeypatch, {"gpus": {"precision": "fp16"}})
    result = embed(pictures, tmp_path / "gpus")

    assert "cores is not used: it computes in fp32, not fp16" in result.warnings
    assert json.loads((tmp_path / "gpus" / "clipsim.json").read_text())["precision"] == "fp16"


def test_encoders_are_no_more_than_shards(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """One for each accelerator otherwise."""
    ray.machines = [FakeNode("a", {"CPU": 16.0, "GPU": 4.0}), FakeNode("b", {"CPU": 16.0, "GPU": 4.0})]
    embed(colours, tmp_path / "out")

    assert sum(map(len, ray.pool().values())) == 3
    assert {resources for shares in ray.pool().values() for resources in shares} == {(0, 1)}


def test_numbers_of_numpy(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """They are numbers as good as any."""
    assert embed(colours, tmp_path / "out", cpus_per_worker=np.int64(2), actors=np.int64(2)).made == 3


def test_several_encoders_share_a_gpu(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """Each asks for its part, and decodes by its part of the cores."""
    ray.machines = [FakeNode("here", {"CPU": 16.0, "GPU": 1.0})]
    embed(colours, tmp_path / "out", actors=3)

    assert ray.pool() == {"here": [(0, 0.3333)] * 3}
    assert {actor.worker.encoder._embedder.run_options.workers for actor in ray.actors} == {5}


def test_the_least_and_the_most_encoders(ray: FakeRay, pictures: Path, tmp_path: Path) -> None:
    """As nodes join, there are more, up to the most; one that is killed leaves room for another."""
    first, late, last = (FakeNode(name, {"CPU": 8.0}) for name in ("first", "late", "last"))
    ray.machines = [first]
    made = 0
    most = 0

    def happen(node: FakeNode, method: str, arguments: tuple[Any, ...]) -> None:
        nonlocal made, most
        made += method == "make"
        most = max(most, sum(map(len, ray.pool(alive=True).values())))
        if made == 2:
            ray.machines = [first, late, last]
        if made == 7:
            last.alive = False

    ray.on_task = happen
    assert embed(pictures, tmp_path / "out", actors=(2, 3)).images == 12

    assert ray.pool() == {"first": [(4, 0), (4, 0)], "late": [(8, 0)], "last": [(8, 0)]}
    assert most == 3


def test_all_nodes_are_lost(ray: FakeRay, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one that joins in time goes on; without any, what is there stays."""
    first, second = FakeNode("first", {"CPU": 2.0}), FakeNode("second", {"CPU": 2.0})
    ray.machines = [first]
    made = looks = 0

    def happen(node: FakeNode, method: str, arguments: tuple[Any, ...]) -> None:
        nonlocal made
        made += method == "make"
        if method == "make" and made in (3, 6):
            node.alive = False

    def join() -> None:
        nonlocal looks
        looks += not first.alive
        if looks == 5:
            ray.machines = [first, second]
        if not second.alive:
            monkeypatch.setattr("clipsim.tasks.ray_cluster.JOIN_SECONDS", 0)

    ray.on_task, ray.on_look = happen, join
    steps: list[clipsim.Progress] = []
    with pytest.raises(DatasetError, match="no node of the Ray cluster can make the shards that are left"):
        embed(pictures, tmp_path / "out", progress=steps.append)

    waiting = "no node is left; others that join within 60 seconds go on"
    assert [step.done for step in steps if waiting in step.notices][:1] == [2]  # said while it waits
    ray.machines = [FakeNode("third", {"CPU": 2.0})]
    assert embed(pictures, tmp_path / "out").made == 12 - 5  # the last one had written its shard before it was lost


def test_fewer_encoders_than_were_asked_for(ray: FakeRay, pictures: Path, tmp_path: Path) -> None:
    """It is said."""
    assert "there is room for 4 of 9 encoders by now" in embed(pictures, tmp_path / "out", actors=9).warnings


@pytest.mark.parametrize(
    ("nodes", "demand", "expected"),
    [
        ([(64, 0), (64, 0), (2, 0)], Demand(), {"a": [(8, 0)] * 8, "b": [(8, 0)] * 8, "c": [(2, 0)]}),
        ([(16, 0), (16, 1)], Demand(), {"a": [(8, 0)] * 2, "b": [(0, 1)]}),
        ([(16, 0), (16, 1)], Demand("cuda"), {"b": [(0, 1)]}),
        ([(16, 0), (16, 1)], Demand("cpu"), {"a": [(8, 0)] * 2, "b": [(8, 0)] * 2}),
        ([(16, 0), (16, 1)], Demand(cpus_per_worker=4), {"a": [(4, 0)] * 4, "b": [(4, 1)]}),
        ([(16, 8)], Demand(cpus_per_worker=4), {"a": [(4, 1)] * 4}),
        ([(3, 0)], Demand(cpus_per_worker=4), {"a": [(3, 0)]}),
        ([(2, 0)], Demand(minimum=2, maximum=2), {"a": [(1, 0)] * 2}),
        ([(2, 0)], Demand(minimum=9, maximum=9), {"a": [(1, 0)] * 2}),
        ([(8, 0), (16, 0)], Demand(minimum=1, maximum=1), {"b": [(16, 0)]}),
        ([(8, 0), (4, 1)], Demand(minimum=1, maximum=1), {"b": [(0, 1)]}),
        ([(4, 2)], Demand(minimum=3, maximum=3), {"a": [(0, 0.5)] * 3}),
        ([(0, 0), (0, 1)], Demand(), {"b": [(0, 1)]}),
    ],
)
def test_nodes_are_divided(
    nodes: list[tuple[int, int]], demand: Demand, expected: dict[str, list[tuple[float, float]]]
) -> None:
    """Each by itself: a small one does not make the encoders of the others small."""
    found: dict[str, list[tuple[float, float]]] = {}
    for node, share in divide([Node(name, name, *have) for name, have in zip("abc", nodes, strict=False)], demand):
        found.setdefault(node.name, []).append((share.cpus, share.gpus))
        assert isinstance(share, Share)
        assert share.threads >= 1

    assert found == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"actors": (3, 2)}, r"actors=.*: not two positive integers, the smaller one first"),
        ({"actors": 0}, "actors=0: not a positive integer"),
        ({"ray_address": ""}, "ray_address='': not an address"),
        ({"ray_address": 6379}, "ray_address=6379: not an address"),
        ({"cpus_per_worker": 0}, "cpus_per_worker=0: not a positive integer"),
        ({"cpus_per_worker": 2, "on_ray": False}, "cpus_per_worker=2: goes with Ray only; give runner='ray'"),
    ],
)
def test_numbers_that_make_no_sense(colours: Path, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    """They are refused before a model is opened."""
    with pytest.raises(UsageError, match=message):
        embed(colours, tmp_path / "out", **arguments)


def test_the_code_of_a_worker_needs_no_clipsim() -> None:
    """Ray sends it by value, so that a node without the package can say so."""
    cloudpickle = pytest.importorskip("cloudpickle")
    program = (
        "import pickle, sys; sys.modules['clipsim'] = None; kind = pickle.load(sys.stdin.buffer); "
        "print(kind().start({'clipsim': ('clipsim', '1.0'), 'x': ('no-such-package', '2')}, {}, b''))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], input=cloudpickle.dumps(make_worker_class()), capture_output=True, check=True
    )

    assert ended.stdout.decode().strip() == "('unusable', 'clipsim is not installed, x is not installed')"


@pytest.mark.parametrize("device", ["cuda:1", "cuda:0"])
def test_a_worker_sees_one_gpu(ray: FakeRay, colours: Path, tmp_path: Path, device: str) -> None:
    """Another one cannot be asked for: it is said before Ray is started. A node without one is named."""
    ray.machines = [FakeNode("gpus", {"CPU": 16.0, "GPU": 2.0}), FakeNode("cores", {"CPU": 16.0})]
    with clipsim.open(cache=False, device=device) as session:
        if device == "cuda:0":
            result = session.embed(colours, tmp_path / "out", runner="ray")
            assert result.made == 1
            assert "cores is not used: it has no GPU" in result.warnings
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
    result = embed(colours, tmp_path / "out", actors=1)

    assert ray.deaths == failures
    assert (result.made, result.failed_shards) == ((3, ()) if failures < MAX_TRIES else (2, (0,)))


@pytest.mark.parametrize("deaths", [1, MAX_TRIES])
@pytest.mark.parametrize("actors", [1, 2])
def test_a_worker_that_dies(
    ray: FakeRay, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int, actors: int
) -> None:
    """Another one makes its shard; a shard that kills all its workers is left out and named, and can be made later."""
    encode = FakeEncoder.encode_images

    def die(self: FakeEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if pixels[0, 0, 0, 2] == 255 and ray.deaths < deaths:  # blue, the first of the three
            raise WorkerDied
        return encode(self, pixels)

    monkeypatch.setattr(FakeEncoder, "encode_images", die)
    result = embed(colours, tmp_path / "out", actors=actors)

    assert ray.deaths == deaths
    assert {cpus for shares in ray.pool().values() for cpus, _ in shares} == {4 // actors}
    if deaths < MAX_TRIES:
        assert (result.made, result.failed_shards) == (3, ())
    else:
        assert (result.made, result.failed_shards) == (2, (0,))
        assert f"shard 0: its worker died {MAX_TRIES} times" in result.warnings
        assert embed(colours, tmp_path / "out").made == 1


def test_an_input_that_ends_the_run(ray: FakeRay, colours: Path, tmp_path: Path) -> None:
    """With its own error, after which Ray is stopped."""
    (colours / "green.png").write_bytes(b"")
    with (
        clipsim.open(cache=False, on_error="raise") as session,
        pytest.raises(ImageError, match=r"green\.png: an empty file"),
    ):
        session.embed(colours, tmp_path / "out", shard_size=1, runner="ray")

    assert ray.stops == 1
