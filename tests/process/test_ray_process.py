"""Tests of `tasks.ray_process`: the process that talks to Ray, with a package in place of Ray that behaves badly."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import Run
from process.programs import COLOURS, PATIENCE

pytest.importorskip("pyarrow")

# Ray with one node, from `fake_ray`: what it writes goes to the descriptors of its process, as real Ray's does
PACKAGE = """
import os
import sys
import threading
from types import ModuleType

import fake_ray

if os.environ["RAY_DOES"] == "vanish":
    os._exit(9)
ray = fake_ray.FakeRay()
sys.modules["ray.exceptions"], sys.modules["ray.util"] = ModuleType("ray.exceptions"), ModuleType("ray.util")
vars(sys.modules["ray.exceptions"]).update(
    RayError=fake_ray.RayError, RayTaskError=fake_ray.RayTaskError, RaySystemError=fake_ray.RaySystemError
)
strategies = sys.modules["ray.util.scheduling_strategies"] = ModuleType("ray.util.scheduling_strategies")
strategies.NodeAffinitySchedulingStrategy = fake_ray.check_affinity
nodes, remote, get, kill, shutdown = ray.nodes, ray.remote, ray.get, ray.kill, ray.shutdown
waits = 0


def init(**settings):
    os.write(1, b"Ray writes to standard output\\n")
    os.write(2, b"Ray writes to standard error\\n")
    print("and prints")
    if os.environ["RAY_DOES"] == "hang":
        threading.Event().wait()


def wait(tasks, **options):
    global waits
    waits += 1
    if os.environ["RAY_DOES"] == "die" and waits == 3:  # after the model and one shard
        os.write(2, b"[2026-11-30 03:22:03,890 E 20 21] gcs_client.h:196: Failed to connect. GCS may be killed.\\n")
        os._exit(1)
    return ray.wait(tasks, **options)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Every model knows colours, and `import ray` gives the stand-in."""
    package = tmp_path / "packages" / "ray" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text(PACKAGE)
    path = os.pathsep.join((str(package.parent.parent), COLOURS["PYTHONPATH"]))
    return {"PYTHONPATH": path, "RAY_DOES": "well", "RAY_ADDRESS": ""}


def test_standard_output_holds_the_result_alone(
    run: Run, environment: dict[str, str], colours: Path, tmp_path: Path
) -> None:
    """Nothing of what Ray writes; with `-q`, nothing on standard error either."""
    arguments = ("embed", colours, "--shard-size", "1", "--runner", "ray", "--json", "-q", "-m", "clipsim-mini")
    ended = run(*arguments, "-o", tmp_path / "out", env=environment)

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(ended.stdout)["images"] == 3


def test_a_head_that_is_lost(run: Run, environment: dict[str, str], colours: Path, tmp_path: Path) -> None:
    """Ray ends its process: one line says so, with a status of its own, and the same command goes on."""
    arguments = ("embed", colours, "--shard-size", "1", "--runner", "ray", "-q", "-m", "clipsim-mini", "--json")
    ended = run(*arguments, "-o", tmp_path / "out", env=environment | {"RAY_DOES": "die"})

    assert (ended.returncode, ended.stdout) == (4, b"")
    assert ended.stderr.decode() == (
        "clipsim: error: the Ray cluster was lost: Failed to connect; what is there stays, and the same command goes "
        "on from it\n"
    )
    again = run(*arguments, "-o", tmp_path / "out", env=environment)
    assert (again.returncode, json.loads(again.stdout)["made"]) == (0, 2)


def test_a_process_that_says_nothing(run: Run, environment: dict[str, str], colours: Path, tmp_path: Path) -> None:
    """As where the system kills it: its status is what there is to tell."""
    arguments = ("embed", colours, "--runner", "ray", "-q", "-m", "clipsim-mini", "-o", tmp_path / "out")
    ended = run(*arguments, env=environment | {"RAY_DOES": "vanish"})

    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr == b"clipsim: error: Ray: its process ended with status 9\n"


def test_the_process_ends_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python would abort where it still reads requests, and does not import from paths that are no text."""
    from clipsim.tasks.ray_process import DriverProcess

    (tmp_path / "ray.py").write_text("raise ImportError")
    monkeypatch.setattr(sys, "path", [tmp_path, str(tmp_path), *sys.path])
    process = DriverProcess()
    try:
        assert [process.receive(PATIENCE).kind for _ in range(2)] == ["failed", "ended"]
        assert process._process.returncode == 0
    finally:
        process.close()


def test_an_address_where_nothing_answers(
    environment: dict[str, str], colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that waits for it is ended."""
    import clipsim
    from clipsim.errors import DatasetError
    from clipsim.tasks import ray

    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv("RAY_DOES", "hang")
    monkeypatch.setattr(ray, "CONNECT_SECONDS", 0.1)
    with (
        clipsim.open("clipsim-mini", cache=False) as session,
        pytest.raises(DatasetError, match=r"ray_address='10\.0\.0\.9:1': no Ray cluster has answered"),
    ):
        session.embed(colours, tmp_path / "out", runner="ray", ray_address="10.0.0.9:1")
