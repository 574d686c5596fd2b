"""Exports: what is written, how near to torch it is, when it is used, and what is done about a bad one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoints import write_folder
from conftest import Run
from numpy.typing import NDArray
from PIL import Image

import clipsim
from clipsim.api import open_cached
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.errors import ModelError, PromptError, UsageError
from clipsim.engines.onnx.record import Export
from clipsim.engines.onnx.exports import find_export, list_exports
from clipsim.models.files import find_files
from clipsim.models.digests import digest_file
from clipsim.models.names import ModelSpec, find_model

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from clipsim.engines.torch.encoder import export as exporting
from clipsim.engines.onnx.export import export_model
from clipsim.engines.onnx.encoder import OnnxEncoder

TEXTS = ["a cat", "!", "a small red house by the sea, two boats & a lighthouse", "猫 😀", "dog " * 200]
SHORTEN = {"vit": True, "resnet": True, "quickgelu": True, "timm": True, "siglip": False, "coca": False}


class Made:
    """A small random model and its export."""

    def __init__(self, base: Path, family: str, int8: bool = False, export: bool = True) -> None:
        self.base = base / "exports"
        self.folder = write_folder(base / family, family)
        self.spec: ModelSpec = find_model(str(self.folder))
        self.files = find_files(self.spec)
        if export:
            self.export = export_model(self.spec, self.files, self.base, int8=int8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A ViT with its fp32 export, in a cache folder of its own; not to be changed."""
    return Made(tmp_path_factory.mktemp("cache"), "vit")


@pytest.fixture
def copy(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """The same, to be changed, in the cache folder that the run uses."""
    copied = Made.__new__(Made)
    copied.base = tmp_path / "exports"
    shutil.copytree(made.base, copied.base)
    copied.folder, copied.spec, copied.files = made.folder, made.spec, made.files
    copied.export = Export.read(copied.base / made.export.folder.name)
    monkeypatch.setenv("CLIPSIM_CACHE_DIR", str(tmp_path))
    return copied


def pictures(encoder: ClipEncoder | OnnxEncoder, count: int) -> NDArray[np.uint8]:
    """Prepared pictures that are not square to begin with."""
    random = np.random.default_rng(5)
    drawn = [
        Image.fromarray(random.integers(0, 256, (7, 5, 3), dtype=np.uint8)).resize((90 + 9 * number, 120))
        for number in range(count)
    ]
    return np.stack([encoder.prepare_image(picture) for picture in drawn])


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of the rows, pair by pair."""
    wide, other = a.astype(np.float64), b.astype(np.float64)
    result: NDArray[np.float64] = (
        (wide * other).sum(axis=1) / np.linalg.norm(wide, axis=1) / np.linalg.norm(other, axis=1)
    )
    return result


@pytest.mark.parametrize("family", list(SHORTEN))
def test_every_family_gives_the_vectors_of_torch(family: str, tmp_path: Path) -> None:
    """Image and text towers, in batches of any size, and every fact that goes with the vectors."""
    made = Made(tmp_path, family)
    torch_encoder = ClipEncoder(made.spec, made.files, device="cpu")
    encoder = OnnxEncoder(made.spec, made.export)
    pixels = pictures(torch_encoder, 5)

    assert (pictures(encoder, 5) == pixels).all()
    for part in (slice(0, 1), slice(0, 2), slice(0, 5)):
        assert cosines(encoder.encode_images(pixels[part]), torch_encoder.encode_images(pixels[part])).min() > 1 - 1e-6
        wanted = torch_encoder.encode_texts(TEXTS[part], truncate=True)
        assert cosines(encoder.encode_texts(TEXTS[part], truncate=True), wanted).min() > 1 - 1e-6
    for fact in ("name", "pretrained", "embed_dim", "image_size", "logit_scale", "logit_bias", "head", "device"):
        assert getattr(encoder, fact) == getattr(torch_encoder, fact)
    assert (encoder.engine, encoder.precision) == ("onnx", "fp32")
    assert made.export.texts_shorten is SHORTEN[family]
    assert min(made.export.images.least, made.export.texts.least) > 1 - 1e-6
    assert not any(path.name.startswith(".") for path in made.base.iterdir())


def test_int8_is_near_and_no_input_depends_on_its_neighbours(tmp_path: Path) -> None:
    """Its figures are kept; a vector is the same to the bit alone and in a batch."""
    made = Made(tmp_path, "vit", int8=True)
    encoder = OnnxEncoder(made.spec, made.export)
    torch_encoder = ClipEncoder(made.spec, made.files, device="cpu")
    pixels = pictures(torch_encoder, 3)
    images, texts = encoder.encode_images(pixels), encoder.encode_texts(TEXTS[:3])

    assert made.export.folder.name.endswith("-onnx-int8")
    assert 0.98 < made.export.images.mean < 1 - 1e-6  # some rounding must show
    assert 0.98 < cosines(images, torch_encoder.encode_images(pixels)).mean() < 1 - 1e-6
    assert (encoder.engine, encoder.precision) == ("onnx-int8", "int8")
    assert (encoder.encode_images(pixels[1:2]) == images[1:2]).all()
    assert (encoder.encode_texts(TEXTS[2:3]) == texts[2:3]).all()


def test_too_long_a_prompt_is_refused(made: Made) -> None:
    """As by the torch encoder."""
    with pytest.raises(PromptError, match="has 202 tokens and this model reads 77"):
        OnnxEncoder(made.spec, made.export).encode_texts(["a cat", TEXTS[-1]])


def test_an_export_is_found_by_the_models_content(copy: Made, tmp_path: Path) -> None:
    """Under another name too; not for other weights, and not in int8."""
    moved = tmp_path / "moved"
    shutil.copytree(copy.folder, moved)
    spec = find_model(str(moved))

    assert find_export(copy.spec, copy.files, "onnx") == copy.export
    found = find_export(spec, find_files(spec), "onnx")
    assert found == copy.export
    assert OnnxEncoder(spec, found).name == str(moved)
    assert find_export(copy.spec, copy.files, "onnx-int8") is None
    other = find_model(str(write_folder(tmp_path / "other", "vit", seed=1)))
    assert find_export(other, find_files(other), "onnx") is None


def test_unchanged_weights_are_not_read_again(copy: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once they were old enough, when the export was made, for any change to show in their times."""
    monkeypatch.setattr("clipsim.cache.files.GRAIN", -1)
    export = export_model(copy.spec, copy.files, copy.base, int8=False)
    read: list[Path] = []

    def digest(path: Path) -> str:
        read.append(path)
        return digest_file(path)

    assert find_export(copy.spec, copy.files, "onnx", digest=digest) == export
    assert copy.files.weights not in read
    os.utime(copy.files.weights, (1, 1))
    assert find_export(copy.spec, copy.files, "onnx", digest=digest) == export
    assert copy.files.weights in read


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "text.onnx.data").unlink(), r"its text\.onnx\.data is missing or incomplete"),
        (lambda folder: (folder / "image.onnx").write_bytes(b"x"), r"its image\.onnx is missing or incomplete"),
        (lambda folder: (folder / "export.json").write_text('{"schema"'), r"its export\.json cannot be read"),
        (lambda folder: (folder / "export.json").write_text("[]"), "another version of clipsim"),
        (lambda folder: (folder / "export.json").write_text('{"schema": "clipsim.export/9"}'), "another version"),
        (lambda folder: (folder / "export.json").write_text('{"schema": "clipsim.export/1"}'), "is incomplete"),
    ],
)
def test_a_damaged_export_is_left_alone_with_a_notice(
    copy: Made, caplog: pytest.LogCaptureFixture, damage: object, said: str
) -> None:
    """Whatever is wrong with it, torch runs the model."""
    damage(copy.export.folder)  # type: ignore[operator]

    assert find_export(copy.spec, copy.files, "onnx") is None
    assert len(caplog.messages) == 1
    with pytest.raises(ValueError, match=said):
        Export.read(copy.export.folder)
    assert list(list_exports()) == []


def test_an_export_of_other_weights_is_left_alone_with_a_notice(
    copy: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """When a model is trained on in its folder, the vectors must be the new ones."""
    folder = tmp_path / "model"
    shutil.copytree(copy.folder, folder)
    spec = find_model(str(folder))
    export_model(spec, find_files(spec), copy.base, int8=False)
    shutil.rmtree(folder)
    write_folder(folder, "vit", seed=1)

    assert find_export(spec, find_files(spec), "onnx") is None
    assert "have changed since it was made" in caplog.text


def test_damage_that_only_opening_shows_is_one_line(copy: Made) -> None:
    """A graph of the right size that is none."""
    graph = copy.export.folder / "image.onnx"
    graph.write_bytes(b"\xff" * graph.stat().st_size)

    with pytest.raises(ModelError, match=r"this export is damaged .* make it anew with 'clipsim models export'"):
        OnnxEncoder(copy.spec, copy.export).encode_images(np.zeros((1, 48, 48, 3), np.uint8))


@pytest.mark.parametrize(("name", "figure", "int8"), [("LEAST", 1.1, False), ("LEAST_MEAN", 1.1, True)])
def test_an_export_that_is_too_far_from_torch_leaves_nothing(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, figure: float, int8: bool
) -> None:
    """One line says by how much."""
    monkeypatch.setattr(exporting, name, figure)
    with pytest.raises(ModelError, match=r"of its images is too far from torch \(cosine .*, needed 1.1\)"):
        export_model(made.spec, made.files, tmp_path / "exports", int8=int8)

    assert list((tmp_path / "exports").iterdir()) == []


def test_a_wrong_graph_is_not_accepted(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is with torch's own vectors, not with the graph's."""
    monkeypatch.setattr(exporting, "ImageTower", lambda model, preprocessing: wrong(model, preprocessing))
    from clipsim.engines.torch.graphs import ImageTower

    def wrong(model: object, preprocessing: object) -> ImageTower:
        tower = ImageTower(model, preprocessing)  # type: ignore[arg-type]
        tower.mean = tower.mean + 0.5
        return tower

    with pytest.raises(ModelError, match="of its images is too far from torch"):
        export_model(made.spec, made.files, tmp_path / "exports", int8=False)


def test_what_cannot_be_exported_or_written_is_one_line(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of it is left."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ModelError, match="cannot write the export: "):
        export_model(made.spec, made.files, blocked, int8=False)
    monkeypatch.setattr(exporting, "export_tower", lambda *_, **__: 1 / 0)
    with pytest.raises(ModelError, match="this model cannot be exported"):
        export_model(made.spec, made.files, tmp_path / "exports", int8=False)
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(ModelError, match="GB are free"):
        export_model(made.spec, made.files, tmp_path / "exports", int8=False)

    assert list((tmp_path / "exports").iterdir()) == []


def test_auto_takes_the_export_and_never_int8(copy: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """And torch where the run would be on a GPU or in another precision, or where it is asked for."""
    monkeypatch.setattr("clipsim.engines.choice.guess_device", lambda name: "cpu" if name == "auto" else name)

    def engine(**options: str) -> str:
        encoder, cache = open_cached(copy.spec, cache=False, **options)  # type: ignore[arg-type]
        assert cache is None
        return encoder.engine

    assert engine() == engine(device="cpu", precision="fp32") == engine(engine="onnx") == "onnx"
    assert engine(engine="torch") == engine(precision="bf16") == "torch"
    with pytest.raises(
        ModelError, match=r"there is no onnx-int8 export .* 'clipsim models export .* --int8' makes one"
    ):
        engine(engine="onnx-int8")
    with pytest.raises(UsageError, match="computes in int8"):
        engine(engine="onnx-int8", precision="fp32")
    with pytest.raises(UsageError, match="runs on the CPU"):
        engine(engine="onnx", device="cuda")
    with pytest.raises(UsageError, match="no engine is called 'tensorrt'"):
        engine(engine="tensorrt")
    monkeypatch.setattr("clipsim.engines.choice.guess_device", lambda name: None if name == "auto" else name)
    assert engine() == "torch"
    monkeypatch.setattr("clipsim.engines.choice.find_spec", lambda name: None)
    assert engine(device="cpu") == "torch"
    with pytest.raises(ModelError, match=r"needs onnxruntime and tokenizers: pip install 'clipsim\[onnx\]'"):
        engine(engine="onnx")


def test_engines_do_not_share_cached_vectors(copy: Made, colours: Path) -> None:
    """The second run's vectors are its own engine's; the result says which."""
    results = [
        clipsim.rank(colours, ["red", "a blue thing"], model=copy.folder, device="cpu", engine=engine)
        for engine in ("torch", "auto", "torch")
    ]

    assert [result.engine for result in results] == ["torch", "onnx", "torch"]
    assert [result.to_dict()["engine"] for result in results] == ["torch", "onnx", "torch"]
    assert np.abs(results[0].similarity - results[1].similarity).max() < 1e-5
    assert (results[0].similarity == results[2].similarity).all()


def test_a_run_on_an_export_imports_no_torch(copy: Made, colours: Path, tmp_path: Path) -> None:
    """Nor open_clip, whatever is asked of it."""
    code = (
        "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr)); "
        f"sys.argv = ['clipsim', 'rank', {str(colours)!r}, '-t', 'caf\u00e9 &amp; bar', '-t', 'red', '-m', "
        f"{str(copy.folder)!r}, '--engine', 'onnx']; from clipsim.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, encoding="utf-8")
    loaded = set(done.stderr.split("LOADED")[1].split())

    assert done.returncode == 0
    assert "cpu · fp32 · onnx" in done.stdout
    assert "onnxruntime" in loaded
    assert loaded & {"torch", "open_clip", "torchvision", "timm", "onnx", "transformers"} == set()


def test_the_command_line_exports_shows_and_removes(made: Made, run: Run, tmp_path: Path) -> None:
    """The figures are shown; what is said goes to standard error; libraries' chatter does not."""
    env = {"CLIPSIM_CACHE_DIR": str(tmp_path / "cache")}
    done = run("models", "export", made.folder, env=env)
    said = done.stderr.decode()

    assert (done.returncode, done.stdout) == (0, b"")
    assert said.count("\n") == 1
    assert "onnx, 15 MB, mean cosine to torch: images 1.00000 (least 1.00000), texts 1.00000" in said
    shown = json.loads(run("models", "show", made.folder, "--json", env=env).stdout)["exports"]
    assert [export["engine"] for export in shown] == ["onnx"]
    assert shown[0]["images"]["least"] > 0.9999
    assert b"mean cosine to torch" in run("models", "show", made.folder, env=env).stdout
    assert b"there is no such export" in run("models", "export", made.folder, "--int8", "--remove", env=env).stderr
    assert run("models", "export", made.folder, "--remove", env=env).returncode == 0
    assert json.loads(run("models", "show", made.folder, "--json", env=env).stdout)["exports"] == []
    asked = run("rank", made.folder, "-t", "x", "-m", made.folder, "--engine", "onnx", env=env)
    assert asked.returncode == 1
    assert b"'clipsim models export" in asked.stderr
