"""Fixtures that several test files share: a model without a network in it, drawn pictures, the command line."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from fake_clock import Clock
from fake_encoder import FakeEncoder
from filelock import FileLock
from forked_processes import forked_command
from PIL import Image

from clipsim.engines.choice import EnginePlan, guess_device
from clipsim.models.files import ModelFiles
from clipsim.models.identity import DigestFiles
from clipsim.models.names import ModelSpec
from clipsim.options import ModelOptions

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does: the tests may share the machine

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in the background of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
gc.set_threshold(50_000)  # imports make a million objects that stay; see also `pytest_collection_finish`
NUMBERS = count()
HOMES = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA")  # where POSIX and Windows keep what is the user's
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collections, which would take as long as the tests."""
    gc.collect()
    gc.freeze()


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that one of the processes of a test run makes for all of them."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            folder.mkdir()
            make(folder)
    return folder


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of each test's own; its folder is not there until it is used, which most tests never do."""
    folder = tmp_path_factory.getbasetemp() / "caches" / str(next(NUMBERS))
    monkeypatch.setenv("CLIPSIM_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to stores and servers that fail are made once; tests of repeated ones have a clock of their own."""
    monkeypatch.setattr("clipsim.files.REQUEST_WAITS", ())


@pytest.fixture
def clock(no_waits: None, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of requests, which are repeated as usual."""
    clock = Clock()
    monkeypatch.setattr("clipsim.files.REQUEST_WAITS", (1.0, 2.0, 4.0, 8.0))
    monkeypatch.setattr("clipsim.files.time.sleep", clock.sleep)
    monkeypatch.setattr("clipsim.files._failures._count", 0)
    return clock


@pytest.fixture(autouse=True)
def pillow_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore Pillow's limit on pixels, which commands set for their process."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def encoder() -> FakeEncoder:
    """An encoder that knows colours."""
    return FakeEncoder()


class Machine:
    """A computer where every engine opens a `FakeEncoder`, for sessions that are real in everything else.

    `device` is what "auto" stands for, and may change between sessions; `encoders` are those that were opened. The
    model's `identity` is made up; where it is None, it is computed from the model's files.
    """

    def __init__(self) -> None:
        self.device = "cpu"
        self.identity: str | None = "a model of colours"
        self.encoders: list[FakeEncoder] = []

    def plan_engine(
        self,
        spec: ModelSpec,
        files: ModelFiles,
        options: ModelOptions,
        *,
        read_digests: DigestFiles,
        own_process: bool = False,
    ) -> EnginePlan:
        """In place of `clipsim.engines.choice.plan_engine`."""

        def opener() -> FakeEncoder:
            encoder = self.open_encoder(options)
            encoder.name, encoder.pretrained = spec.reported_name, spec.reported_tag
            return encoder

        return EnginePlan("torch", guess_device(options.device), options.precision, self.identity, opener)

    def open_encoder(self, options: ModelOptions) -> FakeEncoder:
        """What a session does when the first vector is missing."""
        encoder = FakeEncoder(self.device if options.device == "auto" else options.device, options.precision)
        self.encoders.append(encoder)
        return encoder


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Sessions compute with a `FakeEncoder`: the model's files, its preprocessing and the cache are real."""
    machine = Machine()
    monkeypatch.setattr("clipsim.embedding.embedder.plan_engine", machine.plan_engine)
    return machine


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A folder with a red, a green and a blue picture, none of them square."""
    folder = tmp_path / "colours"
    folder.mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (40, 24), name).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def photo() -> Image.Image:
    """A picture with different corners, wider than high, so that a turn or a flip shows."""
    rng = np.random.default_rng(7)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    return coarse.resize((180, 120), Image.Resampling.BICUBIC)


def set_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make a folder the home of the user of this process, on every system."""
    for name in HOMES:
        monkeypatch.setenv(name, str(folder))


def set_state(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have journals kept in a folder, on every system."""
    set_home(monkeypatch, folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))


def environment_of(home: Path, env: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a user who has set nothing: a home of its own, offline."""
    home.mkdir(exist_ok=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLIPSIM_", "HF_", "XDG_"))}
    return clean | dict.fromkeys(HOMES, str(home)) | {"HF_HUB_OFFLINE": "1", "COLUMNS": "120", **(env or {})}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `clipsim …` as its user does, in a home of its own and offline; arguments, then options of subprocess.run."""

    def run_clipsim(
        *arguments: str | Path, env: dict[str, str] | None = None, input: bytes | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        command: Sequence[str | Path] = [sys.executable, "-m", "clipsim", *arguments]
        environment = environment_of(tmp_path / "home", env)
        return subprocess.run(command, env=environment, input=input or b"", cwd=cwd, capture_output=True, timeout=300)

    return run_clipsim


@pytest.fixture
def run_model(tmp_path: Path) -> Run:
    """As `run`, in a process that is forked with torch imported, for commands that need a model."""

    def run_clipsim(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        command, environment = [*forked_command("torch"), *arguments], environment_of(tmp_path / "home", env)
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)

    return run_clipsim
