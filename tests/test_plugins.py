"""Tests of `plugins`: a tiny installed package adds an engine and output formats, or fails to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import clipsim
from clipsim.cli.parameters import complete_engine, complete_format
from clipsim.errors import PluginError, UsageError
from clipsim.plugins import Plugin, list_plugins

CODE = """
from fake_encoder import FakeEncoder
from clipsim.engines.choice import EnginePlan

class Encoder(FakeEncoder):
    engine = "colours"

def plan(spec, files, options):
    return EnginePlan("any", "cpu", "colours-8", None, lambda: Encoder("cpu", "colours-8"))

def plan_wrong(method, change):
    class Wrong(Encoder):
        pass
    original = getattr(Encoder, method)
    setattr(Wrong, method, lambda self, *arguments, **options: change(original(self, *arguments, **options)))
    return lambda *_: EnginePlan("any", "cpu", "colours-8", None, lambda: Wrong("cpu", "colours-8"))

fewer = plan_wrong("encode_images", lambda features: features[1:])
wider = plan_wrong("encode_images", lambda features: features.repeat(2, axis=1))
doubles = plan_wrong("encode_texts", lambda features: features.astype(float))
lists = plan_wrong("encode_texts", lambda features: features.tolist())
fails = plan_wrong("encode_texts", lambda features: features["no such name"])

def plan_other(spec, files, options):
    return EnginePlan("any", "npu", "fp32", None, Encoder)

def plan_nowhere(spec, files, options):
    return EnginePlan("any", None, "fp32", None, Encoder)

def format_best(result):
    return "".join(f"{scores.image.rpartition('/')[2]}: {result.texts[scores.best]}\\n" for scores in result.scores)

def plan_number(spec, files, options):
    return EnginePlan("any", 7, "fp32", None, Encoder)

def plan_nothing(spec, files, options):
    return EnginePlan("any", "cpu", "fp32", None, lambda: None)

def divide(*arguments):
    return 1 / 0

def leave(*arguments):
    raise SystemExit("bye")

def count(*arguments):
    return 7
"""
ENTRY_POINTS = """
[clipsim.engines]
colours = tiny_plugin:plan
other = tiny_plugin:plan_other
nowhere = tiny_plugin:plan_nowhere
number = tiny_plugin:plan_number
nothing = tiny_plugin:plan_nothing
fewer = tiny_plugin:fewer
wider = tiny_plugin:wider
doubles = tiny_plugin:doubles
lists = tiny_plugin:lists
fails = tiny_plugin:fails
leaves = tiny_plugin:leave
torch = tiny_plugin:divide
broken = tiny_plugin:divide
missing = no_such_module:plan

[clipsim.formats]
best = tiny_plugin:format_best
json = tiny_plugin:divide
broken = tiny_plugin:divide
number = tiny_plugin:count
"""
TEXTS = ["red", "blue"]


def install(folder: Path, name: str, entry_points: str) -> None:
    """What an installer leaves of a package: its metadata."""
    metadata = folder / f"{name.replace('-', '_')}-1.5.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text(entry_points)


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages with a tiny one."""
    folder = tmp_path / "site"
    install(folder, "clipsim-tiny", ENTRY_POINTS)
    (folder / "tiny_plugin.py").write_text(CODE)
    monkeypatch.syspath_prepend(folder)
    return folder


def test_an_engine_of_another_package_runs_the_model(colours: Path) -> None:
    """Its vectors are what is ranked, the result names it, and the cache keeps them apart from those of others."""
    for _ in range(2):
        result = clipsim.rank(colours, TEXTS, engine="colours")

        assert (result.engine, result.device, result.precision) == ("colours", "cpu", "colours-8")
        assert [scores.best for scores in result.scores if scores.image.endswith("red.png")] == [0]
    own = clipsim.rank(colours, TEXTS)
    assert own.engine != "colours"
    assert not np.allclose(own.similarity, result.similarity)


@pytest.mark.parametrize(
    ("engine", "cause"),
    [
        ("broken", "clipsim-tiny 1.5: ZeroDivisionError: division by zero"),
        ("missing", "clipsim-tiny 1.5: ModuleNotFoundError: No module named 'no_such_module'"),
        ("leaves", "clipsim-tiny 1.5: SystemExit: bye"),
        ("nowhere", "clipsim-tiny 1.5: its plan names no device, or no precision"),
        ("number", "clipsim-tiny 1.5: its plan names no device, or no precision"),
        ("nothing", "clipsim-tiny 1.5: it opens NoneType, whose facts are not EncoderFacts"),
        ("other", "clipsim-tiny 1.5: it runs on cpu in fp32, not on npu in fp32 as planned"),
        ("fewer", "clipsim-tiny 1.5: encode_images returns float32 (2, 4), not float32 (3, 4)"),
        ("wider", "clipsim-tiny 1.5: encode_images returns float32 (3, 8), not float32 (3, 4)"),
        ("doubles", "clipsim-tiny 1.5: encode_texts returns float64 (2, 4), not float32 (2, 4)"),
        ("lists", "clipsim-tiny 1.5: encode_texts returns list, not float32 (2, 4)"),
    ],
)
def test_a_broken_engine_is_one_line_that_names_the_package(colours: Path, engine: str, cause: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(PluginError) as raised:
        clipsim.rank(colours, TEXTS, engine=engine)
    assert str(raised.value) == f"engine='{engine}': {cause}"


def test_names_that_no_package_adds(colours: Path) -> None:
    """The error lists the engines of packages too; what a package calls as clipsim does is not taken."""
    with pytest.raises(UsageError, match=r"choose auto, torch, onnx, onnx-int8, broken, colours, .*leaves, .*other"):
        clipsim.open(engine="tensorrt")
    assert clipsim.rank(colours, TEXTS, engine="torch").engine == "torch"


def test_two_packages_with_one_name(packages: Path) -> None:
    """Neither is chosen."""
    install(packages, "clipsim-twin", "[clipsim.formats]\nbest = tiny_plugin:count\n")
    with pytest.raises(PluginError, match=r"format='best': clipsim-t\w+ 1.5 and clipsim-t\w+ 1.5: more than one"):
        Plugin("format", "best")


@pytest.mark.parametrize("entry_points", [b"[clipsim.formats]\nno value\n", b"[clipsim.formats]\n\xff = a:b\n"])
def test_a_package_with_damaged_metadata_adds_nothing(packages: Path, entry_points: bytes) -> None:
    """The names of the other packages work, and the error for a name that none adds lists them."""
    install(packages, "damaged", "")
    (packages / "damaged-1.5.dist-info" / "entry_points.txt").write_bytes(entry_points)

    assert list_plugins("format") == ("best", "broken", "json", "number")
    assert Plugin("format", "best").error("slow").args == PluginError("clipsim-tiny 1.5: slow").args


def test_an_older_version_further_down_the_path_is_not_read(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python imports the first one: what it no longer adds is not there, and what both add is added once."""
    install(
        tmp_path / "older", "clipsim-tiny", "[clipsim.formats]\nbest = tiny_plugin:count\nold = tiny_plugin:count\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "older")
    monkeypatch.syspath_prepend(packages)

    assert list_plugins("format") == ("best", "broken", "json", "number")
    Plugin("format", "best")


def test_the_shell_completes_names_of_packages() -> None:
    """Beside clipsim's own."""
    assert complete_engine("c") == ["colours"]
    assert complete_format("b") == ["best", "broken"]


def test_too_little_memory_is_not_the_packages_fault() -> None:
    """It ends a run as it does elsewhere."""

    def fail() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        Plugin("engine", "colours").call(fail)
