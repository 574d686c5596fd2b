"""Small random models with exports of them, and fake exports, for which no torch is imported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipsim.engines.encoder import Encoder
from clipsim.engines.onnx.exports import INFO_FILE, TOKENIZER_FILE, Agreement, Difference, Export, describe_source
from clipsim.files import digest_file
from clipsim.models.files import ModelFiles, find_files
from clipsim.models.identity import identify_model
from clipsim.models.names import ModelSpec, find_model


class ExportedModel:
    """A model's folder, and its export under `base`."""

    def __init__(self, folder: Path, base: Path, *, int8: bool = False) -> None:
        from clipsim.engines.onnx.export import export_model

        self.folder, self.base = folder, base
        self.spec: ModelSpec = find_model(str(folder))
        self.files = find_files(self.spec)
        self.export = export_model(self.spec, self.files, base, int8=int8)

    @classmethod
    def of_family(cls, folder: Path, family: str, *, int8: bool = False) -> ExportedModel:
        """A small random model of a family of `checkpoints.CONFIGS`."""
        from checkpoints import write_folder

        return cls(write_folder(folder / family, family), folder / "exports", int8=int8)

    def copied_to(self, base: Path) -> ExportedModel:
        """The same model with a copy of its export."""
        copy = ExportedModel.__new__(ExportedModel)
        shutil.copytree(self.base, base)
        copy.folder, copy.base, copy.spec, copy.files = self.folder, base, self.spec, self.files
        copy.export = Export.read(base / self.export.folder.name)
        return copy


def write_fake_export(folder: Path) -> tuple[ModelSpec, ModelFiles, Export]:
    """A record that is right in every respect, beside files that no engine could open: quick to copy and to damage."""
    folder.mkdir(parents=True)
    (folder / "model.pt").write_bytes(bytes(range(256)))
    spec, files = ModelSpec("model", "checkpoint", path=folder / "model.pt"), ModelFiles(folder / "model.pt")
    identity = identify_model(spec, files)
    draft = folder / "exports" / f"{identity}-onnx"
    draft.mkdir(parents=True)
    random = np.random.default_rng(1)
    for name in ("image.onnx", "image.onnx.data", "text.onnx", "text.onnx.data", TOKENIZER_FILE):
        (draft / name).write_bytes(random.bytes(60))
    written = sorted(draft.iterdir())
    export = Export(
        folder=draft, engine="onnx", identity=identity, name="model", kind="checkpoint",
        facts={"embed_dim": 4, "image_size": 8, "logit_scale": 10.0, "logit_bias": None, "head": "softmax",
               "preprocessing": {"size": [8, 8]}, "notices": []},
        token_rules={"own": True}, texts_shorten=True,
        images=Agreement(8, 0.9999, 1.0, 1.0), texts=Agreement(8, 0.9999, 1.0, 1.0),
        cosines=Difference(0.0, 0.0),
        source=describe_source(files.weights, digest_file(files.weights), 0),
        files={path.name: path.stat().st_size for path in written},
        digests={path.name: digest_file(path) for path in written}, versions={"torch": None}, made="2000-01-01",
    )  # fmt: skip
    (draft / INFO_FILE).write_text(json.dumps(export.to_dict(), indent=1) + "\n", encoding="utf-8")
    return spec, files, export


def prepare(encoder: Encoder, count: int) -> NDArray[np.uint8]:
    """Pictures that are not square, prepared for an encoder."""
    random = np.random.default_rng(5)
    drawn = [
        Image.fromarray(random.integers(0, 256, (7, 5, 3), dtype=np.uint8)).resize((90 + 9 * number, 120))
        for number in range(count)
    ]
    return np.stack([encoder.prepare_image(picture) for picture in drawn])


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """The cosine of each pair of rows."""
    wide, other = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(other, axis=1)
    result: NDArray[np.float64] = (wide * other).sum(axis=1) / lengths
    return result
