"""Tests of `engines.torch.packed`: the numbers of plain layers, plain layers where packed ones fail or do not pay."""

from __future__ import annotations

import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import open_clip
import pytest
import torch
from checkpoints import open_path, openclip_cosines, write_folder
from families import FAMILIES, write_family
from numpy.typing import NDArray
from PIL import Image
from timm.layers import activations
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, silu

import clipsim
from clipsim.engines.torch import packed, trials
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.engines.torch.graphs import write_towers
from clipsim.engines.torch.packed import Observation, PackableTower, PackedAttention, PackedLinear
from clipsim.vectors.similarity import unit_rows

TEXTS = ["maze", "a photo of a cat", "two words & more, isn't it?", "x " * 9]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer is packed at once, whichever is faster here."""
    monkeypatch.setattr(packed, "ROWS_WORTH_PACKING", 0)
    monkeypatch.setattr(trials, "try_shape", lambda shape, dtype: True)


def packed_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of a model that are packed."""
    return [layer for layer in model.modules() if isinstance(layer, (PackedLinear, PackedAttention))]


def pixels_of(encoder: ClipEncoder, pictures: list[Image.Image]) -> NDArray[np.uint8]:
    """A batch that is large enough to be looked at before it is encoded."""
    return np.stack([encoder.prepare_image(picture) for picture in pictures * 2])


def test_the_private_operators_are_those_of_these_layers() -> None:
    """OneDNN multiplies, adds the bias and applies a GELU or SiLU; its layout gives the very matrix back."""
    random = torch.Generator().manual_seed(1)
    x, weight, bias = (torch.randn(size, generator=random) for size in ((3, 5, 40), (24, 40), (24,)))
    matrix = trials.pack_weight(weight, 15)

    torch.testing.assert_close(trials.multiply(x, matrix, bias), linear(x, weight, bias), rtol=0, atol=1e-5)
    torch.testing.assert_close(trials.multiply(x, matrix, None), linear(x, weight), rtol=0, atol=1e-5)
    for form in ("none", "tanh"):
        expected = gelu(linear(x, weight, bias), approximate=form)
        torch.testing.assert_close(trials.multiply(x, matrix, bias, "gelu", form), expected, rtol=0, atol=1e-5)
    expected = silu(linear(x, weight, bias))
    torch.testing.assert_close(trials.multiply(x, matrix, bias, "swish"), expected, rtol=0, atol=1e-5)
    assert torch.equal(matrix.to_dense(), weight)
    assert (matrix.dtype, matrix.shape, matrix.device) == (weight.dtype, weight.shape, weight.device)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("family", [*FAMILIES, "quickgelu"])
def test_packed_numbers_are_openclips(tmp_path: Path, pictures: list[Image.Image], family: str) -> None:
    """Each family of towers, to 1e-6 in cosine; only a tower without a linear layer has none that is packed."""
    folder = write_family(tmp_path / "model", family)
    expected = openclip_cosines(folder, pictures, TEXTS)
    encoder = open_path(folder, device="cpu")

    images = unit_rows(encoder.encode_images(pixels_of(encoder, pictures))[:3])
    assert bool(packed_layers(encoder.towers.model)) == (family != "resnet")
    before = len(packed_layers(encoder.towers.model))
    texts = unit_rows(encoder.encode_texts(TEXTS))

    assert len(packed_layers(encoder.towers.model)) > before
    assert np.ptp(expected) > 1e-3  # numbers that are all alike would prove nothing
    np.testing.assert_allclose(texts @ images.T, expected, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "activation",
    [
        nn.GELU(), nn.GELU("tanh"), open_clip.transformer.QuickGELU(), activations.GELU(), activations.GELUTanh(),
        activations.QuickGELU(),
    ],
    ids=lambda layer: f"{type(layer).__module__} {layer}",
)  # fmt: skip
def test_activations_are_computed_with_the_layer_before_them(activation: nn.Module) -> None:
    """PyTorch's, OpenCLIP's and timm's, to 1e-6; a module that computes nothing is in their place."""
    torch.manual_seed(3)
    model, x = nn.Sequential(nn.Linear(8, 64), activation, nn.Linear(64, 16)), torch.randn(6, 5, 8)
    tower = PackableTower(model, model)
    with torch.inference_mode():
        expected = model(x)
        torch.testing.assert_close(tower(x), expected, rtol=0, atol=1e-6)

    assert [type(layer) for layer in model] == [PackedLinear, nn.Identity, PackedLinear]


@pytest.mark.usefixtures("eager")
def test_all_matrices_of_both_towers_are_packed(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """Those of the last blocks, which are other modules, too."""
    encoder = open_path(write_folder(tmp_path / "model", "vit"), device="cpu")
    encoder.encode_images(pixels_of(encoder, pictures))
    encoder.encode_texts(TEXTS)

    linear_layers = [layer for layer in encoder.towers.model.modules() if isinstance(layer, nn.Linear)]
    assert all(isinstance(layer, PackedLinear) for layer in linear_layers)


def test_a_tower_does_not_watch_the_other(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """Texts that are encoded while images are watched, as by another thread, are no use of the images' layers."""
    encoder = open_path(write_folder(tmp_path / "model", "vit"), device="cpu")
    model = encoder.towers.model

    def encode_text(*_: Any) -> None:
        encoder.encode_texts(["red"])

    model.visual.conv1.register_forward_hook(encode_text)
    encoder.encode_images(pixels_of(encoder, pictures))
    images, texts = (set(tower._observation.uses) for tower in encoder.towers._packable)

    assert images != set()
    assert images <= set(model.visual.modules())
    assert texts.isdisjoint(images)
    assert texts != set()


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("family", ["vit", "quickgelu", "timm vit"])
def test_a_tower_has_no_activation_left(tmp_path: Path, pictures: list[Image.Image], family: str) -> None:
    """Every block's is computed by its layer."""
    encoder = open_path(write_family(tmp_path / "model", family), device="cpu")
    encoder.encode_images(pixels_of(encoder, pictures))

    assert not any(packed.find_activation(layer) for layer in encoder.towers.model.visual.modules())


@pytest.mark.usefixtures("eager")
def test_scaled_weights_come_back_to_the_last_digit(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """QuickGELU is computed from scaled weights."""
    encoder = open_path(write_folder(tmp_path, "quickgelu"), device="cpu")
    before = {name: tensor.clone() for name, tensor in encoder.towers.model.state_dict().items()}
    encoder.encode_images(pixels_of(encoder, pictures))
    encoder.towers.keep_plain()

    for name, tensor in encoder.towers.model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=2e-7, atol=0)


def test_a_gelu_is_not_joined_with_a_layer_whose_result_goes_elsewhere() -> None:
    """Only the very tensor that the layer returned counts, each time it is called."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.own, self.gelu, self.other = nn.Linear(4, 4), nn.Linear(4, 4), nn.GELU(), nn.GELU()

        def forward(self, x: Tensor) -> Tensor:
            total: Tensor = self.other(self.own(x)) + self.gelu(self.layer(x) + 1) + self.gelu(self.layer(x))
            return total

    model, observation = Gated(), Observation()
    with torch.no_grad(), observation.watch(model.modules()):
        model(torch.ones(3, 4))

    assert observation.follower(model.layer) is None
    assert observation.follower(model.own) is model.other
    assert observation.uses[model.layer].rows == 6


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precisions_are_near(tmp_path: Path, pictures: list[Image.Image], precision: str) -> None:
    """The packed layers give what plain ones of the precision give; where the processor lacks it, plain ones do."""
    encoder = open_path(write_folder(tmp_path, "vit"), device="cpu", precision=precision)
    pixels = pixels_of(encoder, pictures)
    features = unit_rows(encoder.encode_images(pixels))
    count = len(packed_layers(encoder.towers.model))
    encoder.towers.keep_plain()

    assert precision == "fp16" or count > 0
    np.testing.assert_allclose(features, unit_rows(encoder.encode_images(pixels)), rtol=0, atol=0.02)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("fault", ["a wrong result", "an operator that is missing"])
def test_plain_layers_come_back(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Bit for bit, where packed ones give other numbers or cannot run; they stay, and nothing is said."""

    def multiply(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none", form: str = "") -> Tensor:
        if fault != "a wrong result":
            raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")
        return trials.multiply(x, weight, bias, activation, form) * 1.001 + 0.001

    monkeypatch.setattr(packed, "multiply", multiply)
    encoder = open_path(write_folder(tmp_path, "vit"), device="cpu")
    before = {name: tensor.clone() for name, tensor in encoder.towers.model.state_dict().items()}
    pixels = pixels_of(encoder, pictures)
    features = encoder.encode_images(pixels)

    assert packed_layers(encoder.towers.model) == []
    after = encoder.towers.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    np.testing.assert_allclose(encoder.encode_images(pixels), features, rtol=1e-6, atol=1e-6)


def test_plain_layers_stay_where_they_are_faster(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No layer of a shape that oneDNN does not multiply faster is packed."""
    monkeypatch.setattr(packed, "ROWS_WORTH_PACKING", 0)
    monkeypatch.setattr(trials, "try_shape", lambda shape, dtype: shape == (256, 64))
    encoder = open_path(write_folder(tmp_path, "vit"), device="cpu")
    encoder.encode_images(pixels_of(encoder, pictures))
    encoder.encode_texts(TEXTS)

    layers = packed_layers(encoder.towers.model)
    assert {(layer.out_features, layer.in_features) for layer in layers if isinstance(layer, PackedLinear)} == {
        (256, 64)
    }


def test_layers_are_packed_once_that_pays(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for two images, but after many batches of two; texts do not count as images."""
    monkeypatch.setattr(trials, "try_shape", lambda shape, dtype: True)
    monkeypatch.setattr(packed, "ROWS_WORTH_PACKING", 60)  # an image of this model has 10 rows, 1 in the last block
    encoder = open_path(write_folder(tmp_path, "vit"), device="cpu")
    pixels = pixels_of(encoder, pictures)[:2]
    encoder.encode_texts(["cat"])

    counts = []
    for _ in range(5):
        encoder.encode_images(pixels)
        counts.append(len(packed_layers(encoder.towers.model)))

    assert counts[:4] == [0, 0, 0, 0]
    assert counts[4] > 0


@pytest.mark.usefixtures("eager")
def test_the_plain_weights_are_released(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """A model that is packed does not hold its matrices twice."""
    encoder = open_path(write_folder(tmp_path, "vit"), device="cpu")
    block = encoder.towers.model.visual.transformer.resblocks[0]
    weights = [weakref.ref(block.mlp.c_fc.weight), weakref.ref(block.attn.in_proj_weight)]
    del block

    encoder.encode_images(pixels_of(encoder, pictures))

    assert [weight() for weight in weights] == [None, None]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_a_mapped_file_is_released(tmp_path: Path) -> None:
    """The pages of a released tensor leave the process, and its file has its content; other memory keeps it."""

    def resident_kilobytes() -> int:
        regions = Path("/proc/self/smaps").read_text(encoding="utf-8").partition(f"{tmp_path / 'numbers'}\n")[2]
        return int(regions.partition("Rss:")[2].split()[0])

    torch.arange(1 << 20, dtype=torch.float32).numpy().tofile(tmp_path / "numbers")
    mapped = torch.from_file(str(tmp_path / "numbers"), size=1 << 20)
    own = torch.ones(1 << 20)
    assert mapped.sum() > 0
    assert resident_kilobytes() == 4096

    files = packed.MappedFiles()
    files.release(mapped)
    files.release(own)

    assert resident_kilobytes() == 0
    assert (own == 1).all()
    assert (mapped == torch.arange(1 << 20)).all()


@pytest.mark.usefixtures("eager")
def test_exports_see_plain_layers(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """The graphs of an encoder that had packed its layers have ONNX's operators only."""
    encoder = open_path(write_folder(tmp_path / "model", "vit"), device="cpu")
    encoder.encode_images(pixels_of(encoder, pictures))
    encoder.encode_texts(TEXTS)
    assert packed_layers(encoder.towers.model)

    write_towers(encoder, tmp_path / "image.onnx", tmp_path / "text.onnx")

    assert packed_layers(encoder.towers.model) == []
    for name in ("image.onnx", "text.onnx"):
        assert {node.domain for node in onnx.load(tmp_path / name).graph.node} == {""}


def test_threads_share_a_tower_while_it_is_packed(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight threads get the numbers of one, before, while and after the layers are replaced."""
    monkeypatch.setattr(trials, "try_shape", lambda shape, dtype: True)
    monkeypatch.setattr(packed, "ROWS_WORTH_PACKING", 300)
    folder = write_folder(tmp_path, "vit")
    encoder = open_path(folder, device="cpu")
    pixels = pixels_of(encoder, pictures)[:3]
    expected = encoder.encode_images(pixels)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(encoder.encode_images, [pixels] * 64))

    assert packed_layers(encoder.towers.model)
    for features in results:
        np.testing.assert_allclose(unit_rows(features), unit_rows(expected), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("eager")
def test_an_interrupted_packing_is_undone(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that is not about the layers is raised, and the next batch is encoded as ever."""

    def interrupt(*_: Any) -> float:
        raise KeyboardInterrupt

    distance = packed._distance
    monkeypatch.setattr(packed, "_distance", interrupt)
    encoder = open_path(write_folder(tmp_path, "vit"), device="cpu")
    pixels = pixels_of(encoder, pictures)
    with pytest.raises(KeyboardInterrupt):
        encoder.encode_images(pixels)
    assert packed_layers(encoder.towers.model) == []

    monkeypatch.setattr(packed, "_distance", distance)
    expected = encoder.encode_images(pixels[:1])
    features = encoder.encode_images(pixels)

    assert packed_layers(encoder.towers.model)
    np.testing.assert_allclose(unit_rows(features[:1]), unit_rows(expected), rtol=0, atol=1e-6)


def test_attention_with_a_mask_for_each_head_and_with_the_sequence_first() -> None:
    """What `nn.MultiheadAttention` gives, in either order of its input and with either kind of mask."""
    torch.manual_seed(2)
    x = torch.randn(6, 6, 32)
    for batch_first in (True, False):
        for mask in (None, torch.randn(6, 6), torch.randn(12, 6, 6)):
            model = nn.ModuleDict({"attn": nn.MultiheadAttention(32, 2, batch_first=batch_first)}).eval()
            nn.init.normal_(model["attn"].in_proj_bias)  # type: ignore[arg-type]
            packing = packed.Packing(model)
            with torch.inference_mode():
                expected = model["attn"](x, x, x, need_weights=False, attn_mask=mask)[0]
                packing.pack(model["attn"], 36)
                actual = model["attn"](x, x, x, need_weights=False, attn_mask=mask)[0]
                torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)
                with pytest.raises(RuntimeError, match="self-attention"):
                    model["attn"](x, x.clone(), x, need_weights=False)


def test_a_tower_that_walks_its_weights_stays_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that is also read by its weight cannot be packed, and the tower notices."""
    monkeypatch.setattr(packed, "ROWS_WORTH_PACKING", 0)
    monkeypatch.setattr(trials, "try_shape", lambda shape, dtype: True)

    class Walker(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return linear(self.layer(x), self.layer.weight)

    model, x = Walker(), torch.ones(5, 8)
    tower = PackableTower(model, model)
    with torch.inference_mode():
        expected = model(x)
        torch.testing.assert_close(tower(x), expected, rtol=0, atol=1e-6)
    assert type(model.layer) is nn.Linear


def test_the_models_of_the_old_api_have_plain_layers() -> None:
    """Code that walks them reads the weights."""
    model, _ = clipsim.load("clipsim-mini", device="cpu")
    model.encode_image(torch.zeros(8, 3, 96, 96))

    assert packed_layers(model) == []
