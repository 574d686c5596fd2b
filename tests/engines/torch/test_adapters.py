"""Tests of `engines.torch.adapters`: a LoRA adapter in peft's layout against the arithmetic in plain torch."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from checkpoints import build_random, openclip_cosines, random_model, state_of, write_folder
from conftest import Run
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers_folders import TEXTS, reference, write_clip
from vocabularies import write_siglip

import clipsim
from clipsim.errors import WeightsError

PREFIX = "base_model.model."
USUAL = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none", "use_dora": False, "target_modules": ["x"]}
as_transformers_5 = pytest.mark.skipif(transformers.__version__.startswith("4."), reason="prepares pictures by Pillow")


def write_adapter(folder: Path, tensors: dict[str, Tensor], **settings: Any) -> Path:
    """An adapter as peft saves it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(USUAL | settings))
    named = {f"{PREFIX}{name}": tensor.contiguous() for name, tensor in tensors.items()}
    save_file(named, folder / "adapter_model.safetensors")
    return folder


def draw(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    """Random matrices, large enough for a cosine to change."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=random) * 0.4 for shape in shapes]


def pair(layer: str, out: int, into: int, rank: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """The two matrices of a layer."""
    a, b = draw((rank, into), (out, rank), seed=seed)
    return {f"{layer}.lora_A.weight": a, f"{layer}.lora_B.weight": b}


class Model:
    """A small folder in OpenCLIP's layout, and what changing its tensors by hand makes of it."""

    def __init__(self, folder: Path, family: str) -> None:
        self.folder = write_folder(folder / family, family)
        self.state = state_of(random_model(family))
        self.changed = folder / f"{family} changed"

    def expected(self, pictures: list[Image.Image], **changes: Tensor) -> Any:
        """OpenCLIP's cosines of a folder whose tensors were changed by adding these."""
        shutil.copytree(self.folder, self.changed, dirs_exist_ok=True)
        state = dict(self.state)
        for name, delta in changes.items():
            state[name] = state[name] + delta
        save_file(state, self.changed / "open_clip_model.safetensors")
        return openclip_cosines(self.changed, pictures, TEXTS)

    def ranked(self, pictures: list[Image.Image], adapter: Path, **options: Any) -> Any:
        """What clipsim makes of the folder with an adapter."""
        return clipsim.rank(pictures, TEXTS, model=self.folder, adapter=adapter, cache=False, **options)


@pytest.fixture
def vit(tmp_path: Path) -> Model:
    """A model with a text tower in its root."""
    return Model(tmp_path, "vit")


C_FC, IMAGE_FC = "transformer.resblocks.1.mlp.c_fc", "visual.transformer.resblocks.0.mlp.c_fc"


@pytest.mark.parametrize("rslora", [False, True])
def test_both_towers_change_by_the_product(
    vit: Model, pictures: list[Image.Image], tmp_path: Path, rslora: bool
) -> None:
    """W + α/r · B · A, or α/√r with rslora; another number than without the adapter, which is unchanged."""
    tensors = pair(C_FC, 256, 64) | pair(IMAGE_FC, 256, 64, seed=1)
    adapter = write_adapter(tmp_path / "lora", tensors, use_rslora=rslora)
    scale = 8 / (math.sqrt(4) if rslora else 4)
    deltas = {
        f"{layer}.weight": scale * tensors[f"{layer}.lora_B.weight"] @ tensors[f"{layer}.lora_A.weight"]
        for layer in (C_FC, IMAGE_FC)
    }
    expected, plain = vit.expected(pictures, **deltas), openclip_cosines(vit.folder, pictures, TEXTS)
    result = vit.ranked(pictures, adapter)

    assert np.abs(expected - plain).max() > 0.01
    assert result.similarity == pytest.approx(expected, abs=1e-5)
    assert result.warnings == ()
    assert clipsim.rank(pictures, TEXTS, model=vit.folder, cache=False).similarity == pytest.approx(plain, abs=1e-5)


def test_an_adapter_of_the_text_tower_leaves_images(vit: Model, pictures: list[Image.Image], tmp_path: Path) -> None:
    """Whose vectors are the very same."""
    adapter = write_adapter(tmp_path / "lora", pair(C_FC, 256, 64))
    plain = clipsim.open(vit.folder, cache=False)
    changed = clipsim.open(vit.folder, adapter=adapter, cache=False)

    assert (plain.encode_images(pictures) == changed.encode_images(pictures)).all()
    assert np.abs(plain.encode_texts(TEXTS) - changed.encode_texts(TEXTS)).max() > 0.01


def test_every_kind_of_layer_that_peft_changes(vit: Model, pictures: list[Image.Image], tmp_path: Path) -> None:
    """Attention, whose matrices are two, a convolution, the vectors of tokens, and a layer that was trained whole.

    The output of an attention changes by twice the product, as in peft 0.21.2 itself, to which this was compared.
    """
    attention, block = "visual.transformer.resblocks.1.attn", "transformer.resblocks.0.attn"
    kernel, one, tokens, words = draw((4, 3, 16, 16), (64, 4, 1, 1), (4, 49408), (64, 4), seed=5)
    tensors = pair(attention, 192, 64) | pair(f"{attention}.base_layer.out_proj", 64, 64, seed=2)
    tensors |= pair(f"{block}.base_layer.out_proj", 64, 64, rank=2, seed=3)
    tensors |= {"visual.conv1.lora_A.weight": kernel, "visual.conv1.lora_B.weight": one}
    tensors |= {"token_embedding.lora_embedding_A": tokens, "token_embedding.lora_embedding_B": words}
    tensors |= {"ln_final.weight": torch.full((64,), 0.5), "ln_final.bias": torch.linspace(-1, 1, 64)}
    adapter = write_adapter(
        tmp_path / "lora", tensors, modules_to_save=["ln_final"], rank_pattern={f"{block}": 2},
        alpha_pattern={"^token_embedding": 2, "attn": 3},
    )  # fmt: skip
    half, inner = f"{attention}.base_layer.out_proj", f"{block}.base_layer.out_proj"
    deltas = {
        f"{attention}.in_proj_weight": 3
        / 4
        * tensors[f"{attention}.lora_B.weight"]
        @ tensors[f"{attention}.lora_A.weight"],
        f"{attention}.out_proj.weight": 2 * 3 / 4 * tensors[f"{half}.lora_B.weight"] @ tensors[f"{half}.lora_A.weight"],
        f"{block}.out_proj.weight": 2 * 3 / 2 * tensors[f"{inner}.lora_B.weight"] @ tensors[f"{inner}.lora_A.weight"],
        "visual.conv1.weight": 8 / 4 * torch.einsum("or,rihw->oihw", one[:, :, 0, 0], kernel),
        "token_embedding.weight": 2 / 4 * (words @ tokens).T,
        "ln_final.weight": torch.full((64,), 0.5) - vit.state["ln_final.weight"],
        "ln_final.bias": torch.linspace(-1, 1, 64) - vit.state["ln_final.bias"],
    }
    expected = vit.expected(pictures, **deltas)

    result = vit.ranked(pictures, adapter)
    (notice,) = result.warnings
    assert result.similarity == pytest.approx(expected, abs=1e-5)
    assert "peft adds that change twice" in notice
    torch.save(
        {f"{PREFIX}{name.replace('.lora_A.', '.lora_A.default.')}": tensor for name, tensor in tensors.items()},
        adapter / "adapter_model.bin",
    )
    (adapter / "adapter_model.safetensors").unlink()
    assert vit.ranked(pictures, adapter).similarity == pytest.approx(expected, abs=1e-5)


def of_transformers(rank: int = 4) -> dict[str, Tensor]:
    """An adapter of a CLIPModel: query and value of both towers, a layer, and a projection."""
    tensors: dict[str, Tensor] = {}
    for seed, (tower, width) in enumerate((("text_model", 64), ("vision_model", 96))):
        for part in ("q_proj", "v_proj", "out_proj"):
            tensors |= pair(f"{tower}.encoder.layers.1.self_attn.{part}", width, width, rank, seed)
    tensors |= pair("text_model.encoder.layers.0.mlp.fc1", 200, 64, rank, seed=3)
    return tensors | pair("visual_projection", 40, 96, rank, seed=4)


@as_transformers_5
def test_an_adapter_of_a_transformers_model(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """Queries and values are thirds of OpenCLIP's matrix: transformers' own cosines of the merged model."""
    folder = write_clip(tmp_path / "clip")
    tensors = of_transformers()
    adapter = write_adapter(tmp_path / "lora", tensors)
    result = clipsim.rank(pictures, TEXTS, model=folder, adapter=adapter, cache=False)
    plain = reference(folder, pictures)
    state = load_file(folder / "model.safetensors")
    for layer in {name.rpartition(".lora_")[0] for name in tensors}:
        delta = 2 * tensors[f"{layer}.lora_B.weight"] @ tensors[f"{layer}.lora_A.weight"]
        state[f"{layer}.weight"] = state[f"{layer}.weight"] + delta
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    expected = reference(folder, pictures)

    assert np.abs(expected - plain).max() > 0.01
    assert result.similarity == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("custom_text", [False, True])
def test_an_adapter_of_transformers_fits_openclips_copy(
    tmp_path: Path, pictures: list[Image.Image], custom_text: bool
) -> None:
    """The names of transformers' layers stand for OpenCLIP's, also where the text tower is a module of its own."""
    config: dict[str, Any] = {
        "embed_dim": 40,
        "vision_cfg": {"image_size": 48, "layers": 2, "width": 96, "patch_size": 16, "head_width": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
        "custom_text": custom_text,
    }
    model = build_random(config)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    save_file(state_of(model), folder / "open_clip_model.safetensors")
    tensors = pair("text_model.encoder.layers.1.self_attn.k_proj", 64, 64)
    adapter = write_adapter(tmp_path / "lora", tensors)
    result = clipsim.rank(pictures, TEXTS, model=folder, adapter=adapter, cache=False)
    name = f"{'text.' if custom_text else ''}transformer.resblocks.1.attn.in_proj_weight"
    with torch.no_grad():
        delta = 2 * torch.cat([torch.zeros(64, 64), _product(tensors), torch.zeros(64, 64)])
        dict(model.named_parameters())[name].add_(delta)
    save_file(state_of(model), folder / "open_clip_model.safetensors")

    assert result.similarity == pytest.approx(openclip_cosines(folder, pictures, TEXTS), abs=1e-5)


def _product(tensors: dict[str, Tensor]) -> Tensor:
    a, b = (next(tensor for name, tensor in tensors.items() if f"lora_{part}" in name) for part in "AB")
    return b @ a


def test_a_packed_layer_is_the_merged_one(vit: Model, pictures: list[Image.Image], tmp_path: Path) -> None:
    """Enough images for the layers to be packed give the vectors of the first."""
    adapter = write_adapter(tmp_path / "lora", pair(IMAGE_FC, 256, 64))
    session = clipsim.open(vit.folder, adapter=adapter, cache=False)
    first = session.encode_images(pictures)
    many = session.encode_images(pictures * 150)

    assert many[-3:] == pytest.approx(first, abs=1e-6)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "dora": ({"use_dora": True}, "use_dora is set"),
    "bias": ({"bias": "lora_only"}, "bias 'lora_only'"),
    "loha": ({"peft_type": "LOHA"}, "peft_type 'LOHA'"),
    "no kind": ({"peft_type": None}, "peft_type None"),
    "transposed": ({"fan_in_fan_out": True}, "fan_in_fan_out"),
    "pissa": ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights 'pissa_niter_4'"),
    "replication": ({"layer_replication": [[0, 2]]}, "layer_replication is set"),
    "tokens": ({"trainable_token_indices": [1]}, "trainable_token_indices is set"),
    "parameters": ({"target_parameters": ["x"]}, "target_parameters is set"),
    "biases of its own": ({"lora_bias": True}, "lora_bias is set"),
    "of the future": ({"use_something": {"a": 1}}, "use_something is set"),
    "a pattern": ({"alpha_pattern": {"(a+)+$": 2}}, "alpha_pattern has the pattern '(a+)+$'"),
    "a pattern of digits": ({"alpha_pattern": {r"resblocks.\d.mlp.c_fc": 2}}, "alpha_pattern has the pattern"),
    "a pattern of letters": ({"alpha_pattern": {"c_f.": 2}}, "alpha_pattern has the pattern 'c_f.'"),
    "a pattern with a free letter": ({"alpha_pattern": {"resblocks.1..mlp": 2}}, "alpha_pattern has the pattern"),
    "a pattern that is a list": ({"rank_pattern": ["c_fc"]}, "rank_pattern is not an object"),
    "a saved module that is a number": ({"modules_to_save": 3}, "this adapter is not supported"),
    "alpha": ({"lora_alpha": "8"}, "lora_alpha is '8'"),
    "no rank": ({"r": 0}, "r is 0"),
    "another rank": ({"r": 3}, "has the rank 4, and its configuration says 3"),
    "a rank of a pattern": ({"rank_pattern": {"c_fc": 8}}, "has the rank 4, and its configuration says 8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_another_model_is_refused_by_name(
    vit: Model, pictures: list[Image.Image], tmp_path: Path, name: str
) -> None:
    """One line says which setting, and no vector is computed."""
    settings, words = REFUSED[name]
    adapter = write_adapter(tmp_path / "lora", pair(C_FC, 256, 64), **settings)
    with pytest.raises(WeightsError) as caught:
        vit.ranked(pictures, adapter)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def _without_b(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if "lora_B" not in name}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pair(C_FC, 200, 64), "has another shape in this model; the adapter's is (200, 4) · (4, 64)"),
        (lambda: pair(C_FC, 256, 63), "has another shape"),
        (lambda: pair("visual.layers.3.fc", 256, 64), "changes visual.layers.3.fc, which is not in this model"),
        (lambda: _without_b(pair(C_FC, 256, 64)), f"one of the two matrices of {C_FC} is missing"),
        (lambda: {f"{C_FC}.lora_magnitude_vector": torch.ones(3)}, "lora_magnitude_vector is not of a LoRA adapter"),
        (lambda: {"ln_final.weight": torch.ones(64)}, "ln_final.weight is not of a LoRA adapter"),
        (dict, "no matrices of an adapter in it"),
        (lambda: {f"{C_FC}.lora_A.weight": torch.ones(4), f"{C_FC}.lora_B.weight": torch.ones(4)}, "another shape"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    vit: Model, pictures: list[Image.Image], tmp_path: Path, make: Callable[[], dict[str, Tensor]], words: str
) -> None:
    """By the layer's name."""
    with pytest.raises(WeightsError) as caught:
        vit.ranked(pictures, write_adapter(tmp_path / "lora", make()))
    assert words in str(caught.value)


def test_folders_that_are_no_adapters(vit: Model, pictures: list[Image.Image], tmp_path: Path) -> None:
    """Each is one line, when the session is opened."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("empty", "loop", "nothing"):
        with pytest.raises(WeightsError, match="no adapter in this folder"):
            clipsim.open(vit.folder, adapter=tmp_path / name)
    adapter = write_adapter(tmp_path / "lora", pair(C_FC, 256, 64))
    (adapter / "adapter_config.json").write_text("[]")
    with pytest.raises(WeightsError, match=r"adapter_config\.json: this adapter is not supported: not an object"):
        clipsim.open(vit.folder, adapter=adapter)
    write_adapter(adapter, pair(C_FC, 256, 64))
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(WeightsError, match="an adapter without its weights"):
        clipsim.open(vit.folder, adapter=adapter)


def test_an_adapter_is_a_part_of_what_a_model_is(vit: Model, pictures: list[Image.Image], tmp_path: Path) -> None:
    """Its name and digest are in results, its vectors are kept apart, and thresholds are refused with another."""
    tensors = pair(IMAGE_FC, 256, 64)
    adapter = write_adapter(tmp_path / "cats", tensors)
    plain = clipsim.open(vit.folder)
    first = clipsim.open(vit.folder, adapter=adapter)
    before = [session.rank(pictures, TEXTS) for session in (plain, first)]
    identities = {plain.embedder.identity, first.embedder.identity}
    name = before[1].model.name
    thresholds = first.threshold(
        TEXTS[0],
        pictures * 4,
        recall=0.9,
    )
    write_adapter(adapter, {key: 2 * tensor for key, tensor in tensors.items()})
    second = clipsim.open(vit.folder, adapter=adapter)

    assert name.startswith(f"{vit.folder} + cats@")
    assert len(identities | {second.embedder.identity}) == 3
    assert second.rank(pictures, TEXTS).model.name != name
    assert np.abs(before[0].similarity - before[1].similarity).max() > 0.01
    assert (plain.rank(pictures, TEXTS).similarity == before[0].similarity).all()
    assert thresholds.model.name == name
    with pytest.raises(clipsim.ClipsimError, match="found with other models"):
        second.rank(pictures, TEXTS[:1], thresholds=thresholds)


def test_vectors_of_a_model_with_an_adapter_are_its_own(
    vit: Model, pictures: list[Image.Image], tmp_path: Path
) -> None:
    """A folder of them is searched with the adapter, and refused without it with the name of what is missing."""
    (tmp_path / "images").mkdir()
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "images" / f"{number}.png")
    adapter = write_adapter(tmp_path / "cats", pair(IMAGE_FC, 256, 64))
    clipsim.embed(tmp_path / "images", tmp_path / "vectors", model=vit.folder, adapter=adapter)
    found = clipsim.search(tmp_path / "vectors", TEXTS[0], model=vit.folder, adapter=adapter)

    assert len(found.queries[0].results) == 3
    with pytest.raises(clipsim.ClipsimError, match=r"are from .* \+ cats@[0-9a-f]{8}, not from .*with the adapter"):
        clipsim.search(tmp_path / "vectors", TEXTS[0], model=vit.folder)


def test_siglips_towers(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """A tower of timm's, and a text tower that is a module of its own, by OpenCLIP's names."""
    folder = write_siglip(tmp_path / "siglip")
    state = load_file(folder / "open_clip_model.safetensors")
    layers = ["visual.trunk.blocks.0.attn.qkv", "text.transformer.resblocks.1.mlp.c_proj"]
    tensors: dict[str, Tensor] = {}
    for seed, layer in enumerate(layers):
        out, into = state[f"{layer}.weight"].shape
        tensors |= pair(layer, out, into, seed=seed)
    result = clipsim.rank(pictures, TEXTS, model=folder, adapter=write_adapter(tmp_path / "l", tensors), cache=False)
    for layer in layers:
        state[f"{layer}.weight"] += 2 * tensors[f"{layer}.lora_B.weight"] @ tensors[f"{layer}.lora_A.weight"]
    save_file(state, folder / "open_clip_model.safetensors")

    assert result.similarity == pytest.approx(openclip_cosines(folder, pictures, TEXTS), abs=1e-5)


def test_the_command_line_shows_and_exports_a_model_with_its_adapter(
    vit: Model, pictures: list[Image.Image], tmp_path: Path, run_model: Run
) -> None:
    """The export is of the merged model, and runs without the adapter do not take it."""
    tensors = pair(IMAGE_FC, 256, 64)
    adapter = write_adapter(tmp_path / "cats", tensors, base_model_name_or_path="org/clip")
    expected = vit.expected(pictures, **{f"{IMAGE_FC}.weight": 2 * _product(tensors)})
    plain = openclip_cosines(vit.folder, pictures, TEXTS)
    pictures[1].save(tmp_path / "a.png")
    rank = ["rank", tmp_path / "a.png", "-t", TEXTS[0], "-t", TEXTS[1], "--json", "-m", vit.folder]
    done = run_model("models", "export", vit.folder, "--adapter", adapter)
    assert done.returncode == 0, done.stderr
    for more, cosines, engine in ((["--adapter", adapter], expected, "onnx"), ([], plain, "torch")):
        done = run_model(*rank, *more)
        result = json.loads(done.stdout)
        assert result["engine"] == engine
        assert result["similarity"][0][0] == pytest.approx(cosines[0][1], abs=1e-5)
        assert result["warnings"] == []
        assert done.stderr == b""
    facts = json.loads(run_model("models", "show", vit.folder, "--adapter", adapter, "--json").stdout)
    assert (facts["adapter_of"], facts["adapter_rank"], len(facts["exports"])) == ("org/clip", 4, 1)
    assert facts["adapter"].startswith("cats@")
    assert json.loads(run_model("models", "show", vit.folder, "--json").stdout)["exports"] == []
    done = run_model(*rank, "--adapter", tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


def test_nothing_in_an_adapter_is_run(vit: Model, pictures: list[Image.Image], tmp_path: Path) -> None:
    """Neither its pickle, nor the classes that its configuration names."""
    trap = tmp_path / "trap"
    adapter = write_adapter(tmp_path / "lora", pair(C_FC, 256, 64))
    config = {"auto_mapping": {"base_model_class": "Trap", "parent_library": str(trap)}, "target_modules": ["x"]}
    write_adapter(adapter, pair(C_FC, 256, 64), **config)
    vit.ranked(pictures, adapter)
    (adapter / "adapter_model.safetensors").unlink()

    class Payload:
        def __reduce__(self) -> Any:
            return Path.touch, (trap,)

    torch.save({"x": Payload()}, adapter / "adapter_model.bin")
    with pytest.raises(WeightsError, match="no code in it was run"):
        vit.ranked(pictures, adapter)
    assert not trap.exists()
