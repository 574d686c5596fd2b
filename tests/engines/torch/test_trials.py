"""Tests of `engines.torch.trials`: outcomes that are remembered for this machine, and a file that may be anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from clipsim.engines.torch import trials
from clipsim.engines.torch.trials import Trials, describe_machine, try_shape


def count_trials(monkeypatch: pytest.MonkeyPatch, outcome: bool = True) -> list[tuple[int, int]]:
    """The shapes that are tried from now on, each with this outcome."""
    tried: list[tuple[int, int]] = []

    def count(shape: tuple[int, int], dtype: torch.dtype) -> bool:
        tried.append(shape)
        return outcome

    monkeypatch.setattr(trials, "try_shape", count)
    return tried


@pytest.mark.parametrize("outcome", [True, False])
def test_a_shape_is_tried_once_on_a_machine(cache_folder: Path, monkeypatch: pytest.MonkeyPatch, outcome: bool) -> None:
    """In each precision; the next run reads the outcome."""
    tried = count_trials(monkeypatch, outcome)
    first = Trials()
    assert [first.is_faster((8, 4), torch.float32) for _ in range(2)] == [outcome, outcome]
    first.is_faster((8, 4), torch.bfloat16)
    first.save()
    second = Trials()

    assert second.is_faster((8, 4), torch.float32) is outcome
    assert tried == [(8, 4), (8, 4)]
    content = json.loads((cache_folder / "torch-layers.json").read_text())
    assert content == {describe_machine(): {"8x4 float32": outcome, "8x4 bfloat16": outcome}}


def test_another_pytorch_or_number_of_threads_tries_again(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other machines found is kept, up to a number of machines."""
    tried = count_trials(monkeypatch)
    for number in range(trials.MAX_REMEMBERED + 3):
        monkeypatch.setattr(trials, "describe_machine", lambda number=number: f"machine {number}")
        machine = Trials()
        machine.is_faster((8, 4), torch.float32)
        machine.save()

    assert len(tried) == trials.MAX_REMEMBERED + 3
    content = json.loads((cache_folder / "torch-layers.json").read_text())
    assert next(iter(content)) == "machine 3"
    assert len(content) == trials.MAX_REMEMBERED


@pytest.mark.parametrize("content", ["", "[1]", '{"MACHINE": 3}', '{"MACHINE": {"8x4 float32": "yes"}}', "\ud800"])
def test_a_damaged_file_is_as_none(cache_folder: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """The shape is tried again, and the file is whole afterwards."""
    tried = count_trials(monkeypatch)
    cache_folder.mkdir(parents=True)
    path = cache_folder / "torch-layers.json"
    path.write_bytes(content.replace("MACHINE", describe_machine()).encode(errors="surrogatepass"))
    machine = Trials()

    assert machine.is_faster((8, 4), torch.float32)
    machine.save()
    assert tried == [(8, 4)]
    assert json.loads(path.read_text())[describe_machine()] == {"8x4 float32": True}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome holds for this run."""
    count_trials(monkeypatch)
    (tmp_path / "file").touch()
    machine = Trials(tmp_path / "file" / "torch-layers.json")

    assert machine.is_faster((8, 4), torch.float32)
    machine.save()
    assert Trials(tmp_path / "file" / "torch-layers.json").recall((8, 4), torch.float32) is None


@pytest.mark.parametrize(("plain", "by_onednn", "expected"), [(3.0, 2.0, True), (2.0, 2.0, False), (2.0, 3.0, False)])
def test_the_faster_of_the_two_is_chosen(
    monkeypatch: pytest.MonkeyPatch, plain: float, by_onednn: float, expected: bool
) -> None:
    """By a clock, which only moves here while they multiply."""
    now = 0.0

    def takes(seconds: float) -> Any:
        def run(*_: Any) -> None:
            nonlocal now
            now += seconds

        return run

    monkeypatch.setattr(trials, "_seconds", lambda: now)
    monkeypatch.setattr(trials, "linear", takes(plain))
    monkeypatch.setattr(trials, "multiply", takes(by_onednn))

    assert try_shape((8, 4), torch.float32) is expected


def test_an_operator_that_is_missing_is_not_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever PyTorch raises for it."""
    for error in (AttributeError("no attribute"), RuntimeError("needs avx512_fp16"), TypeError("arguments")):

        def fail(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(trials, "pack_weight", fail)
        assert not try_shape((8, 4), torch.float32)


def test_a_trial_leaves_the_random_numbers_of_the_program_alone() -> None:
    """A seed that the program set gives the same numbers afterwards."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    try_shape((8, 4), torch.float32)

    assert torch.equal(torch.rand(3), expected)
