"""Tests of `engines.onnx.export`: what is written, how well it agrees with torch, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from exports import ExportedModel, cosines, prepare
from vocabularies import write_siglip

from clipsim.engines.onnx import export as exporting
from clipsim.engines.onnx.encoder import OnnxEncoder
from clipsim.engines.onnx.export import export_model
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.engines.torch.graphs import ImageTower
from clipsim.errors import ModelError
from clipsim.vectors.similarity import unit_rows

TEXTS = ["a cat", "!", "a small red house by the sea, two boats & a lighthouse", "猫 😀", "dog " * 200]
SHORTEN = {"vit": True, "resnet": True, "quickgelu": True, "timm": True, "siglip": False, "coca": False}
FACTS = ("name", "pretrained", "embed_dim", "image_size", "logit_scale", "logit_bias", "head", "device")


def check_agreement(model: ExportedModel) -> None:
    """Image and text towers, in batches of any size, and every fact that goes with the vectors."""
    torch_encoder = ClipEncoder(model.spec, model.files, device="cpu")
    encoder = OnnxEncoder(model.spec, model.export)
    pixels = prepare(torch_encoder, 5)

    assert (prepare(encoder, 5) == pixels).all()
    for part in (slice(0, 1), slice(0, 2), slice(0, 5)):
        assert cosines(encoder.encode_images(pixels[part]), torch_encoder.encode_images(pixels[part])).min() > 1 - 1e-6
        wanted = torch_encoder.encode_texts(TEXTS[part], truncate=True)
        assert cosines(encoder.encode_texts(TEXTS[part], truncate=True), wanted).min() > 1 - 1e-6
    for fact in FACTS:
        assert getattr(encoder.facts, fact) == getattr(torch_encoder.facts, fact)
    assert (encoder.facts.engine, encoder.facts.precision) == ("onnx", "fp32")
    assert min(model.export.images.least, model.export.texts.least) > 1 - 1e-6
    assert not any(path.name.startswith(".") for path in model.base.iterdir())


@pytest.mark.parametrize("family", list(SHORTEN))
def test_every_family_gives_the_vectors_of_torch(family: str, tmp_path: Path) -> None:
    """A causal text tower also takes rows shorter than the context."""
    model = ExportedModel.of_family(tmp_path, family)

    check_agreement(model)
    assert model.export.texts_shorten is SHORTEN[family]


def test_a_tokenizer_that_transformers_loads_is_exported_too(tmp_path: Path) -> None:
    """The exported model gives the same token ids without `transformers`, so the same vectors."""
    check_agreement(ExportedModel(write_siglip(tmp_path / "siglip"), tmp_path / "exports"))


def test_int8_is_near_and_the_same_in_any_batch(tmp_path: Path) -> None:
    """The agreement with torch is recorded; each row has its own range, whatever it is multiplied with."""
    model = ExportedModel.of_family(tmp_path, "vit", int8=True)
    encoder = OnnxEncoder(model.spec, model.export)
    torch_encoder = ClipEncoder(model.spec, model.files, device="cpu")
    pixels = prepare(torch_encoder, 3)
    images, texts = encoder.encode_images(pixels), encoder.encode_texts(TEXTS[:3])

    assert model.export.folder.name.endswith("-onnx-int8")
    assert 0.98 < model.export.images.mean < 1 - 1e-6  # some rounding must show
    assert 0.98 < cosines(images, torch_encoder.encode_images(pixels)).mean() < 1 - 1e-6
    assert (encoder.facts.engine, encoder.facts.precision) == ("onnx-int8", "int8")
    for number in range(3):
        alone = encoder.encode_images(pixels[number : number + 1]), encoder.encode_texts(TEXTS[number : number + 1])
        for vector, in_batch in zip(alone, (images, texts), strict=True):
            assert unit_rows(vector)[0] == pytest.approx(unit_rows(in_batch)[number], abs=1e-6)


def test_each_step_is_reported(exported: ExportedModel, tmp_path: Path) -> None:
    """For a progress bar."""
    steps: list[str] = []
    export_model(exported.spec, exported.files, tmp_path, int8=False, on_step=steps.append)

    assert steps == ["loading the model", "exporting the model", "comparing it with torch"]


@pytest.mark.parametrize(
    ("limit", "int8"), [("MIN_COSINE_FP32", False), ("MIN_CENTRED_COSINE_INT8", True)], ids=["fp32", "int8"]
)
def test_an_export_that_disagrees_with_torch_leaves_nothing(
    exported: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, int8: bool
) -> None:
    """One line says by how much."""
    monkeypatch.setattr(exporting, limit, 1.1)
    with pytest.raises(ModelError, match=r"differ too much from torch's for images \(cosine .*, needed 1.1\)"):
        export_model(exported.spec, exported.files, tmp_path / "exports", int8=int8)

    assert list((tmp_path / "exports").iterdir()) == []


def test_a_wrong_graph_is_not_accepted(
    exported: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison is with the vectors of torch's encoder, not with the module that was exported."""

    class Shifted(ImageTower):
        def __init__(self, model: object, preprocessing: object) -> None:
            super().__init__(model, preprocessing)  # type: ignore[arg-type]
            self.mean = self.mean + 0.5

    monkeypatch.setattr("clipsim.engines.torch.graphs.ImageTower", Shifted)
    with pytest.raises(ModelError, match="differ too much from torch's for images"):
        export_model(exported.spec, exported.files, tmp_path / "exports", int8=False)


def test_a_tokenizer_that_differs_is_not_accepted(
    exported: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exported tokenizer is compared with the model's own, text by text."""
    monkeypatch.setattr("clipsim.engines.onnx.tokenizer.clean_text", lambda text, how: text)

    with pytest.raises(ModelError, match="gives other token ids than the model's own"):
        export_model(exported.spec, exported.files, tmp_path / "exports", int8=False)


def test_what_cannot_be_written(exported: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder's place and a full disk are one line each, before anything is loaded."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot write the export: "):
        export_model(exported.spec, exported.files, tmp_path / "file", int8=False)
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(ModelError, match="GB are free; set CLIPSIM_CACHE_DIR"):
        export_model(exported.spec, exported.files, tmp_path / "exports", int8=False)

    assert list((tmp_path / "exports").iterdir()) == []


def test_what_cannot_be_exported(exported: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that ONNX lacks is one line, and what was written is removed."""
    monkeypatch.setattr(exporting, "write_towers", lambda *_: 1 / 0)
    with pytest.raises(ModelError, match=r"cannot be exported \(division by zero\); run the model with engine='torch'"):
        export_model(exported.spec, exported.files, tmp_path / "exports", int8=False)

    assert list((tmp_path / "exports").iterdir()) == []


def test_int8_multiplies_by_matrices_as_they_are_stored(tmp_path: Path) -> None:
    """A transposed one with a bias, and a plain one; a row of zeros gives the bias, large rows do not coarsen small."""
    import onnx
    import onnxruntime
    from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

    random = np.random.default_rng(0)
    first, bias, second = (random.normal(size=size).astype(np.float32) for size in ((24, 16), 24, (24, 8)))
    nodes = [
        make_node("Gemm", ["input", "first", "bias"], ["middle"], transB=1),
        make_node("MatMul", ["middle", "second"], ["features"]),
    ]
    ends = [
        make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, n]) for name, n in (("input", 16), ("features", 8))
    ]
    constants = {"first": first, "bias": bias, "second": second}
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = make_graph(nodes, "layers", ends[:1], ends[1:], tensors)
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=9), str(tmp_path / "raw.onnx"))
    exporting.finish_graph(tmp_path / "raw.onnx", tmp_path / "made.onnx", int8=True)
    rows = (random.normal(size=(6, 16)) * [[1], [0], [1000], [1], [1], [0.001]]).astype(np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / "made.onnx"), providers=["CPUExecutionProvider"])
    (features,) = session.run(None, {"input": rows})
    expected = (rows @ first.T + bias) @ second

    assert "MatMulIntegerToFloat" in {node.op_type for node in onnx.load(str(tmp_path / "made.onnx")).graph.node}
    assert np.abs(features - expected).max() > 0
    assert (np.linalg.norm(features - expected, axis=1) < 0.03 * np.linalg.norm(expected, axis=1)).all()
