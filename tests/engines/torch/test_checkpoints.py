"""Tests of `engines.torch.checkpoints`: tensors from files that cannot be trusted, TorchScript archives too."""

from __future__ import annotations

import argparse
import json
import pickle
import types
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from clipsim.engines.torch.checkpoints import is_torchscript, read_checkpoint, read_torchscript
from clipsim.errors import WeightsError


class Payload:
    """An object whose pickle creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    """A malicious pickle is an error in each container, and does nothing."""
    trap = tmp_path / "trap"
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"x": Payload(trap)}))
    torch.save({"x": Payload(trap)}, tmp_path / "zip.pt")
    torch.save({"x": Payload(trap)}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("m/constants.pkl", b"")
        archive.writestr("m/data.pkl", pickle.dumps(Payload(trap)))

    pickle.loads((tmp_path / "plain.pt").read_bytes())
    assert trap.exists()  # the payload works where pickle is trusted
    trap.unlink()
    for name in ("plain.pt", "zip.pt", "legacy.pt", "script.pt"):
        with pytest.raises(WeightsError, match=f"{name}: (holds more than tensors|damaged)") as caught:
            read_checkpoint(tmp_path / name)
        assert "weights_only" not in str(caught.value)
    assert not trap.exists()


def test_what_training_programs_save_beside_tensors_is_passed_over(tmp_path: Path) -> None:
    """Options, paths and NumPy's values in every container: no class of theirs is made, none stays known to torch."""
    beside = {
        "args": argparse.Namespace(lr=1e-3, logs=Path("/logs"), inner=types.SimpleNamespace(x=1)),
        "best": np.float64(0.7),
        "seen": np.int64(7),
        "history": np.arange(3.0),
        "done": np.bool_(True),
    }
    known = torch.serialization.get_safe_globals()
    for legacy in (False, True):
        saved = {"state_dict": wrapped("module."), "epoch": 3, **beside}
        torch.save(saved, tmp_path / "own.pt", _use_new_zipfile_serialization=not legacy)
        read = read_checkpoint(tmp_path / "own.pt")

        assert read.tensors.keys() == wrapped("").keys()
        assert read.notices == ()
    assert set(torch.serialization.get_safe_globals()) == set(known)


class Disguise:
    """A pickle that makes an option of a training program out of a payload."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload

    def __reduce__(self) -> Any:
        return argparse.Namespace, (), {"x": self.payload}


def test_options_do_not_hide_code(tmp_path: Path) -> None:
    """A payload inside a class that is passed over is refused by the name of what it calls, and does nothing."""
    trap = tmp_path / "trap"
    torch.save({"state_dict": wrapped(""), "args": Disguise(Payload(trap))}, tmp_path / "own.pt")
    with pytest.raises(WeightsError, match=r"own\.pt: holds more than tensors \(it asks for [\w.]+\); no code in it"):
        read_checkpoint(tmp_path / "own.pt")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([{"a": 1}, {"b": 2, "a": 3}], r"2\.safetensors: the tensor a is in another file of model"),
        ([{"a": 1}, {"c": 2}], r"2\.safetensors: lacks the tensor b, which model\.safetensors\.index\.json says"),
        ([{"a": 1}, None], r"2\.safetensors: a Git LFS pointer"),
    ],
    ids=["twice", "elsewhere", "pointer"],
)
def test_parts_that_contradict_their_index(tmp_path: Path, parts: list[dict[str, int] | None], words: str) -> None:
    """One line names the file and the tensor."""
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}))
    for number, part in enumerate(parts, 1):
        if part is None:
            (tmp_path / f"{number}.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        else:
            save_file({name: torch.tensor(value) for name, value in part.items()}, tmp_path / f"{number}.safetensors")
    with pytest.raises(WeightsError, match=words) as caught:
        read_checkpoint(index)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"PK\x03\x04 cut off", "damaged"),
        (b"\xff" * 7 + b"\x7f{}", "damaged"),
        (b"words", "holds more than tensors|damaged"),
    ],
)
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_files_that_are_not_checkpoints(tmp_path: Path, name: str, content: bytes, cause: str) -> None:
    """Each is one line with the file's name and the cause."""
    (tmp_path / name).write_bytes(content)
    if name.endswith("safetensors") and content[:1] in (b"P", b"w"):
        cause = "damaged"  # the name says what it should be

    with pytest.raises(WeightsError, match=f"{name}: .*({cause})"):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3, 3).to_sparse(),
        torch.zeros(2, device="meta"),
        torch.zeros(1).expand(1_000_000_000),
    ],
    ids=["sparse", "meta", "expanded"],
)
@pytest.mark.filterwarnings("ignore")  # some of these layouts are deprecated
def test_tensors_that_are_not_plain_arrays(tmp_path: Path, tensor: torch.Tensor) -> None:
    """A tensor that claims more numbers than the file holds, or stores them in another layout, is refused."""
    torch.save({"x": tensor}, tmp_path / "odd.pt")

    with pytest.raises(WeightsError, match=r"odd\.pt: "):
        read_checkpoint(tmp_path / "odd.pt")


def wrapped(prefix: str) -> dict[str, torch.Tensor]:
    """A state dict of two tensors whose names have a prefix."""
    return {f"{prefix}visual.proj": torch.ones(2), f"{prefix}transformer.resblocks.0.mlp.c_fc.bias": torch.ones(2)}


@pytest.mark.parametrize(
    "prefix",
    [
        "", "module.", "model.", "_orig_mod.", "_orig_mod.module.", "module.model.", "model.module._orig_mod.", "clip.",
        "clip_model.", "model.model.", "ema_model.",
    ],
)  # fmt: skip
def test_the_names_that_wrappers_give_are_dropped(tmp_path: Path, prefix: str) -> None:
    """Compiled, distributed, averaged and Lightning's models are read as the plain model."""
    averaged = {"n_averaged": torch.tensor(3)}
    for nest in (None, "state_dict", "model_state_dict", "model", "module"):
        tensors = wrapped(prefix) | averaged
        torch.save(tensors if nest is None else {nest: tensors, "epoch": 3}, tmp_path / "own.pt")
        read = read_checkpoint(tmp_path / "own.pt")

        assert read.tensors.keys() == wrapped("").keys()
        assert read.notices == ()


def test_a_wrapper_around_a_part(tmp_path: Path) -> None:
    """A tower that was compiled by itself."""
    torch.save({"visual._orig_mod.proj": torch.ones(2), "transformer.module.x": torch.ones(1)}, tmp_path / "own.pt")

    assert read_checkpoint(tmp_path / "own.pt").tensors.keys() == {"visual.proj", "transformer.x"}


@pytest.mark.parametrize("name", ["state_dict_ema", "model_ema", "ema", "ema_state_dict"])
def test_averages_beside_the_weights_are_said(tmp_path: Path, name: str) -> None:
    """In an entry of their own; where there is nothing else they are used, with a notice too."""
    plain, averaged = wrapped("module."), {key: value + 1 for key, value in wrapped("module.").items()}
    torch.save({"state_dict": plain, name: averaged, "optimizer": {"state": {0: torch.ones(3)}}}, tmp_path / "both.pt")
    torch.save({name: averaged, "epoch": 1}, tmp_path / "alone.pt")
    both, alone = (read_checkpoint(tmp_path / f"{file}.pt") for file in ("both", "alone"))

    assert both.tensors["visual.proj"].tolist() == [1, 1]
    assert both.notices == (f"the checkpoint: the EMA weights in it ('{name}') are not used",)
    assert alone.tensors["visual.proj"].tolist() == [2, 2]
    assert alone.notices == (f"the checkpoint: only EMA weights are in it ('{name}'), so they are used",)


def test_the_state_dict_that_a_key_names_is_read(tmp_path: Path) -> None:
    """An entry, one in a nest, or the tensors under a name; what it is not is said with what there is."""
    plain, averaged = wrapped("module."), {key: value + 1 for key, value in wrapped("module.").items()}
    torch.save({"state_dict": plain, "state_dict_ema": averaged, "optimizer": {"state": {}}}, tmp_path / "own.pt")
    torch.save({"model": {"state_dict": plain, "ema": averaged}, "epoch": 3}, tmp_path / "nested.pt")
    torch.save(wrapped("") | {f"ema.{name}": value for name, value in averaged.items()}, tmp_path / "among.pt")
    for name, key in (("own", "state_dict_ema"), ("nested", "ema"), ("among", "ema")):
        read = read_checkpoint(tmp_path / f"{name}.pt", key=key)
        assert read.tensors.keys() == wrapped("").keys()
        assert read.tensors["visual.proj"].tolist() == [2, 2]
        assert read.notices == ()
    assert read_checkpoint(tmp_path / "own.pt", key="state_dict").tensors["visual.proj"].tolist() == [1, 1]
    for name, words in (("own", "it has state_dict, state_dict_ema"), ("nested", "model"), ("among", "it has ema")):
        with pytest.raises(WeightsError, match=f"{name}.pt: no state dict is called 'ema2' in it; .*{words}"):
            read_checkpoint(tmp_path / f"{name}.pt", key="ema2")
    torch.save(wrapped(""), tmp_path / "alone.pt")
    with pytest.raises(WeightsError, match=r"alone\.pt: no state dict is called 'ema' in it, and it does not hold"):
        read_checkpoint(tmp_path / "alone.pt", key="ema")


def test_averages_among_the_weights_are_said(tmp_path: Path) -> None:
    """By their prefix, as Lightning's callbacks write them."""
    torch.save(wrapped("model.") | wrapped("ema_model.") | {"n_averaged": torch.tensor(1)}, tmp_path / "own.pt")
    read = read_checkpoint(tmp_path / "own.pt")

    assert read.tensors.keys() == wrapped("").keys()
    assert read.notices == ("the checkpoint: EMA weights beside others (ema_model.visual.proj for one) are not used",)


def test_a_file_that_nests_itself_is_refused(tmp_path: Path) -> None:
    """A cycle ends with one line."""
    content: dict[str, Any] = {"epoch": 1}
    content["model"] = content
    torch.save(content, tmp_path / "own.pt")

    with pytest.raises(WeightsError, match="entries are epoch, model"):
        read_checkpoint(tmp_path / "own.pt")


def test_two_models_in_one_file_are_said(tmp_path: Path) -> None:
    """The first usual entry is read, and the other one is named."""
    torch.save({"state_dict": wrapped(""), "model": wrapped("module.")}, tmp_path / "own.pt")

    assert read_checkpoint(tmp_path / "own.pt").notices == (
        "the checkpoint: 'model' in it is not used, 'state_dict' is",
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}, "entries are param_groups, state"),
        ({"optimizer": {"state": {}}, "epoch": 3}, "entries are epoch, optimizer"),
        ({"state_dict": {}}, "entries are state_dict"),
        ({}, "no tensors of a model in it$"),
        (wrapped("module.") | wrapped(""), "two tensors are called visual.proj"),
        ({"base_model.model.visual.lora_A.default.weight": torch.ones(2)}, "an adapter"),
    ],
    ids=["an optimizer's state", "an optimizer alone", "an empty nest", "nothing", "twice", "an adapter"],
)
def test_files_without_a_model(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    """One line says what is in the file instead."""
    torch.save(content, tmp_path / "own.pt")

    with pytest.raises(WeightsError, match=words):
        read_checkpoint(tmp_path / "own.pt")


def write_archive(path: Path, module: nn.Module) -> None:
    """Save a scripted module, as OpenAI's checkpoints are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scripting is deprecated
        script: Any = torch.jit.script
        script(module).save(str(path))


def test_nested_modules_in_every_dtype(tmp_path: Path) -> None:
    """Names, shapes, strides and dtypes are those of the module's state dict."""
    first, norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
    first.weight = nn.Parameter(torch.rand(3, 4).T)
    norm.register_buffer("mask", torch.tensor([True, False]))
    module = nn.Sequential(first, nn.Sequential(norm, nn.Linear(4, 2).half()))
    write_archive(tmp_path / "model.pt", module)
    found = read_torchscript(tmp_path / "model.pt")

    expected = module.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_pickled_state_dict_is_not_an_archive(tmp_path: Path) -> None:
    """Both are zip files; only one holds a module's code."""
    torch.save({"x": torch.zeros(2)}, tmp_path / "state.pt")
    write_archive(tmp_path / "model.pt", nn.Linear(1, 1))

    assert not is_torchscript(tmp_path / "state.pt")
    assert is_torchscript(tmp_path / "model.pt")


def rewrite(path: Path, change: Any) -> None:
    """Write the archive again, each entry's bytes changed by its name."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, change(name, content))


def test_a_storage_that_is_cut(tmp_path: Path) -> None:
    """A tensor never reads beyond the bytes that the archive holds for it."""
    write_archive(tmp_path / "model.pt", nn.Linear(8, 8))
    rewrite(tmp_path / "model.pt", lambda name, content: content[:-4] if "/data/" in name else content)

    with pytest.raises(WeightsError, match=r"model\.pt: holds more than tensors, or is damaged"):
        read_checkpoint(tmp_path / "model.pt")


def test_names_outside_of_a_module_tree(tmp_path: Path) -> None:
    """A function that the pickle names is not looked up."""
    write_archive(tmp_path / "model.pt", nn.Linear(1, 1))
    rewrite(tmp_path / "model.pt", lambda name, content: b"cos\nsystem\n." if name.endswith("/data.pkl") else content)

    with pytest.raises(WeightsError, match=r"model\.pt: holds more than tensors, or is damaged"):
        read_checkpoint(tmp_path / "model.pt")


def test_archives_that_would_take_too_much_memory(tmp_path: Path) -> None:
    """A compressed archive, and a memo index out of all proportion, are refused before memory is taken."""
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\0" * 50_000_000)
    with zipfile.ZipFile(tmp_path / "memo.pt", "w") as archive:
        archive.writestr("m/constants.pkl", b"")
        archive.writestr("m/data.pkl", b"\x80\x02}r" + (1 << 31).to_bytes(4, "little") + b".")

    with pytest.raises(WeightsError, match=r"bomb\.pt: .*compressed archive"):
        read_checkpoint(tmp_path / "bomb.pt")
    with pytest.raises(WeightsError, match=r"memo\.pt: holds more than tensors, or is damaged"):
        read_checkpoint(tmp_path / "memo.pt")


def test_what_a_program_saves_beside_the_model_is_said(tmp_path: Path) -> None:
    """A Lightning module holds a loss or a metric too; averages may be in a form that is not read."""
    model = {**wrapped("model."), "model.logit_scale": torch.ones(()), "loss.temperature": torch.ones(())}
    torch.save({"state_dict": model, "ema": {"decay": 0.9, "shadow_params": [torch.ones(2)]}}, tmp_path / "own.pt")
    read = read_checkpoint(tmp_path / "own.pt")

    assert read.tensors.keys() == {*wrapped(""), "logit_scale"}
    assert read.notices == (
        "the checkpoint: the EMA weights in it ('ema') are not used",
        "the checkpoint: tensors beside the model's (loss.temperature for one) are not used",
    )
