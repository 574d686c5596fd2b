"""Tests of `options`: records that are checked where they are made, without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from clipsim.errors import UsageError
from clipsim.options import ENGINES, PRECISIONS, ModelOptions, RunOptions


@pytest.mark.parametrize("device", ["auto", "cpu", "cpu:0", "cuda", "cuda:0", "cuda:15", "mps"])
def test_names_of_devices(device: str) -> None:
    """Whether the machine has it is checked by the engines."""
    assert ModelOptions(device=device).device == device


@pytest.mark.parametrize("device", ["", "gpu", "CPU", "cpu:1", "cuda:", "cuda:x", "cuda:1234", "cuda:0\n", "mps:1"])
def test_an_unknown_device(device: str) -> None:
    """The error lists the names that exist."""
    with pytest.raises(UsageError, match=r"device='.*': unknown device; choose auto, cpu, cuda, cuda:N or mps"):
        ModelOptions(device=device)


@pytest.mark.parametrize("options", [{"precision": "fp64"}, {"precision": ""}, {"engine": "onnx-int4"}, {"engine": ""}])
def test_an_unknown_precision_or_engine(options: dict[str, str]) -> None:
    """The error lists the names that exist."""
    ((name, value),) = options.items()
    names = PRECISIONS if name == "precision" else ENGINES

    with pytest.raises(UsageError) as caught:
        ModelOptions(**options)
    assert str(caught.value) == f"{name}='{value}': unknown {name}; choose {', '.join(names)}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "onnx", "device": "cuda"}, "engine='onnx': runs on the CPU only; leave out device='cuda'"),
        ({"engine": "onnx-int8", "device": "mps"}, "engine='onnx-int8': runs on the CPU only; leave out device='mps'"),
        ({"engine": "onnx", "precision": "bf16"}, "engine='onnx': computes in fp32 only; leave out precision='bf16'"),
        (
            {"engine": "onnx-int8", "precision": "fp32"},
            "engine='onnx-int8': computes in int8 only; leave out precision='fp32'",
        ),
    ],
)
def test_an_engine_that_contradicts_the_device_or_precision(options: dict[str, str], message: str) -> None:
    """The error names both parameters as Python has them."""
    with pytest.raises(UsageError) as caught:
        ModelOptions(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "onnx", "device": "cpu", "precision": "fp32"},
        {"engine": "onnx", "device": "auto"},
        {"engine": "onnx-int8", "device": "cpu:0"},
        {"engine": "auto", "device": "cuda", "precision": "fp16"},
        {"engine": "torch", "device": "mps", "precision": "bf16"},
    ],
)
def test_options_that_go_together(options: dict[str, str]) -> None:
    """The record keeps them."""
    made = dataclasses.asdict(ModelOptions("a model", "weights.pt", **options))

    assert (
        made
        == {"model": "a model", "weights": "weights.pt", "device": "auto", "precision": None}
        | {"preprocess": None, "weights_key": None, "adapter": None}
        | options
    )


@pytest.mark.parametrize("name", ["model", "weights", "device", "precision", "engine"])
@pytest.mark.parametrize("value", [3, b"cpu", ["cpu"], None])
def test_what_is_not_a_string_is_wrong_usage(name: str, value: Any) -> None:
    """None is the default of `model`, `weights` and `precision` only."""
    options: dict[str, Any] = {name: value}
    if value is None and name in ("model", "weights", "precision"):
        assert getattr(ModelOptions(**options), name) is None
        return
    with pytest.raises(UsageError) as caught:
        ModelOptions(**options)
    assert str(caught.value) == (f"{name}: not a string" if value is None else f"{name}={value!r}: not a string")


@pytest.mark.parametrize(("name", "limit"), [("batch_size", 65_536), ("workers", 256)])
def test_numbers_out_of_range(name: str, limit: int) -> None:
    """One and the limit are allowed, and None is chosen by the device and the cores."""
    right: list[Any] = [None, 1, limit]
    wrong: list[Any] = [0, -1, limit + 1, 2.0, "3", True]
    for value in right:
        assert getattr(RunOptions(**{name: value}), name) == value
    for value in wrong:
        with pytest.raises(UsageError) as caught:
            RunOptions(**{name: value})
        assert str(caught.value) == f"{name}={value!r}: not a whole number from 1 to {limit:,}"


@pytest.mark.parametrize("value", ["", "ignore", None, True])
def test_on_error_is_one_of_its_words(value: Any) -> None:
    """A misspelt name never means one of them."""
    with pytest.raises(UsageError) as caught:
        RunOptions(on_error=value)
    assert str(caught.value) == f"on_error{'' if value is None else f'={value!r}'}: not 'skip', 'raise' or 'nan'"
    known = [
        RunOptions(on_error="skip"),
        RunOptions(on_error="raise"),
        RunOptions(on_error="fail"),
        RunOptions(on_error="nan"),
    ]
    assert [options.raises for options in known] == [False, True, True, False]


def test_records_are_frozen_and_can_be_compared() -> None:
    """A session can keep them, and a program can use them as keys."""
    assert ModelOptions("a") == ModelOptions("a") != ModelOptions("b")
    assert len({RunOptions(), RunOptions(), RunOptions(exact=True)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelOptions().device = "cuda"  # type: ignore[misc]


def test_options_are_checked_without_the_libraries_that_run_models() -> None:
    """Wrong usage is reported before anything slow is imported."""
    code = (
        "import sys\n"
        "from clipsim.options import ModelOptions, RunOptions\n"
        "ModelOptions(device='cuda:1', engine='torch', precision='fp16'), RunOptions(batch_size=3)\n"
        "print({'torch', 'open_clip', 'onnxruntime', 'numpy', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
