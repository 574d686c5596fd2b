"""Tests of `engines.choice`: which engine runs a model, and on which device."""

from __future__ import annotations

from io import FileIO
from pathlib import Path

import numpy as np
import pytest
from exports import ExportedModel

import clipsim
from clipsim.engines.choice import plan_engine
from clipsim.errors import ModelError, UsageError
from clipsim.files import digest_stream
from clipsim.options import ModelOptions


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """A ViT with its fp32 export."""
    return ExportedModel.of_family(tmp_path_factory.mktemp("exported"), "vit")


@pytest.fixture
def model(exported: ExportedModel, cache_folder: Path) -> ExportedModel:
    """The same model with its export in the cache folder that a run uses, on a machine without a GPU."""
    return exported.copied_to(cache_folder / "exports")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any machine."""
    monkeypatch.setattr("clipsim.engines.choice.guess_device", lambda name: "cpu" if name == "auto" else name)


def engine_for(model: ExportedModel, **options: str) -> str:
    """The engine that is chosen."""
    return plan_engine(model.spec, model.files, ModelOptions(str(model.folder), **options)).engine


def test_auto_takes_the_fp32_export_on_the_cpu(model: ExportedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch runs the model on a GPU, in another precision, where it is asked for, and where packages are missing."""
    for options in ({}, {"device": "cpu", "precision": "fp32"}, {"engine": "onnx"}):
        assert engine_for(model, **options) == "onnx"
    for options in ({"engine": "torch"}, {"precision": "bf16"}, {"device": "cuda"}):
        assert engine_for(model, **options) == "torch"
    with monkeypatch.context() as gpu:
        gpu.setattr("clipsim.engines.choice.guess_device", lambda name: None if name == "auto" else name)
        assert engine_for(model) == "torch"
    monkeypatch.setattr("clipsim.engines.choice.find_spec", lambda name: None)
    assert engine_for(model, device="cpu") == "torch"
    with pytest.raises(ModelError, match=r"needs onnxruntime and tokenizers; pip install 'clipsim\[onnx\]'"):
        engine_for(model, engine="onnx")


def test_auto_never_takes_int8(tmp_path: Path, cache_folder: Path) -> None:
    """Its numbers are others; it must be asked for."""
    model = ExportedModel.of_family(tmp_path, "vit", int8=True).copied_to(cache_folder / "exports")

    assert engine_for(model) == "torch"
    plan = plan_engine(model.spec, model.files, ModelOptions(str(model.folder), engine="onnx-int8"))
    assert (plan.engine, plan.precision, plan.device) == ("onnx-int8", "int8", "cpu")


def test_an_export_that_does_not_exist_is_an_error(model: ExportedModel) -> None:
    """The error says how to make it."""
    with pytest.raises(
        ModelError, match=r"there is no onnx-int8 export .* 'clipsim models export .* --int8' makes one"
    ):
        engine_for(model, engine="onnx-int8")


def test_options_that_contradict_the_engine(model: ExportedModel) -> None:
    """Exports run on the CPU, in the precision that they were made in."""
    with pytest.raises(UsageError, match="computes in int8"):
        engine_for(model, engine="onnx-int8", precision="fp32")
    with pytest.raises(UsageError, match="runs on the CPU"):
        engine_for(model, engine="onnx", device="cuda")
    with pytest.raises(UsageError, match="engine='tensorrt': unknown engine"):
        engine_for(model, engine="tensorrt")


def test_weights_are_read_once_to_see_that_an_export_is_not_of_them(
    model: ExportedModel, tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model of the same size may have been exported; the cache keeps the digest that tells them apart."""
    from checkpoints import write_folder

    other = write_folder(tmp_path / "other", "vit", seed=1)
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", 0)
    read: list[str] = []

    def digest(file: FileIO) -> str:
        read.append(Path(str(file.name)).name)
        return digest_stream(file)

    monkeypatch.setattr("clipsim.files.digest_stream", digest)
    for _ in range(3):
        assert clipsim.rank(colours, ["red", "a blue thing"], model=other, device="cpu").engine == "torch"

    assert read.count("open_clip_model.safetensors") == 1


def test_engines_of_one_precision_share_cached_vectors(model: ExportedModel, colours: Path) -> None:
    """What one engine computed, another need not compute again; the result says which engine was chosen."""
    results = [
        clipsim.rank(colours, ["red", "a blue thing"], model=model.folder, device="cpu", engine=engine)
        for engine in ("torch", "auto", "torch")
    ]

    assert [result.engine for result in results] == ["torch", "onnx", "torch"]
    assert [result.to_dict()["engine"] for result in results] == ["torch", "onnx", "torch"]
    assert (results[0].similarity == results[1].similarity).all()
    assert (results[0].similarity == results[2].similarity).all()
    computed = clipsim.rank(
        colours, ["red", "a blue thing"], model=model.folder, device="cpu", engine="onnx", cache=False
    )
    assert np.abs(results[0].similarity - computed.similarity).max() < 1e-5
