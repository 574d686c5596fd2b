"""Tests of `engines.torch.last_block`: a block's own numbers, for the tokens that are read, where no others are."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from checkpoints import CONFIGS, build_random, open_path
from families import FAMILIES, write_family
from open_clip.transformer import Transformer
from torch import nn

from clipsim.engines.torch.encoder import Towers
from clipsim.engines.torch.last_block import LastBlock, encode_tokens, read_first_token, split_last_block


@pytest.fixture
def model() -> Any:
    """OpenCLIP's own small ViT."""
    return build_random(CONFIGS["vit"], 0).eval().requires_grad_(False)


def split_towers(model: Any) -> list[str]:
    """Where a model has a block that can compute one token."""
    return [name for name, module in model.named_modules() if isinstance(module, LastBlock)]


def rows_of(layer: nn.Module) -> list[int]:
    """How many rows a layer multiplies, call by call."""
    rows: list[int] = []
    layer.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].numel() // inputs[0].shape[-1]))
    return rows


@pytest.mark.parametrize("scale", [None, 0.5])
@pytest.mark.parametrize("masked", [True, False])
def test_tokens_are_those_of_the_whole_block(scale: float | None, masked: bool) -> None:
    """All of them, the first alone, or one of each sequence; with and without a mask and scaled layers."""
    torch.manual_seed(2)
    transformer = Transformer(24, 2, 3, ls_init_value=scale).eval().requires_grad_(False)
    for parameter in transformer.parameters():
        nn.init.normal_(parameter, std=0.3)  # biases too, which begin as zeros
    x, positions = torch.randn(5, 7, 24), torch.tensor([6, 0, 3, 3, 1])
    mask = torch.full((7, 7), float("-inf")).triu(1) if masked else torch.zeros(7, 7)
    block = transformer.resblocks[-1]
    expected = block(x, attn_mask=mask)

    torch.testing.assert_close(LastBlock(block, first_only=False)(x, mask), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(LastBlock(block, first_only=True)(x, mask), expected[:, :1], rtol=1e-5, atol=1e-5)
    whole = transformer(x, attn_mask=mask)[torch.arange(5), positions]
    torch.testing.assert_close(encode_tokens(transformer, x, positions, mask), whole)
    transformer.resblocks[-1] = LastBlock(block, first_only=False)
    torch.testing.assert_close(encode_tokens(transformer, x, positions, mask), whole, rtol=1e-5, atol=1e-5)


def test_one_token_costs_one_token(model: Any) -> None:
    """The last perceptron multiplies a row for each input, where others multiply one for each token."""
    read_first_token(model.visual)
    rows = [rows_of(block.mlp.c_fc) for block in model.visual.transformer.resblocks]
    model.encode_image(torch.randn(3, 3, *[model.visual.image_size[0]] * 2))

    assert rows[0] == [3 * model.visual.positional_embedding.shape[0]]
    assert rows[-1] == [3]


def test_texts_cost_one_token_in_a_run(model: Any) -> None:
    """Through the towers of an encoder; OpenCLIP's own call, which reads all tokens, gives the same."""
    plain = copy.deepcopy(model)
    tokens = open_clip.tokenize(["a cat", "two dogs on the table", "x"])
    towers = Towers(model, torch.device("cpu"), torch.float32)
    rows = rows_of(model.transformer.resblocks[-1].mlp.c_fc)
    expected = plain.encode_text(tokens)

    torch.testing.assert_close(towers.encode_texts(tokens), expected, rtol=1e-5, atol=1e-5)
    assert rows == [3]
    torch.testing.assert_close(model.encode_text(tokens), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("setting", [{"pool_type": "avg"}, {"attentional_pool": True}, {"output_tokens": True}])
def test_image_towers_that_read_other_tokens_are_left(setting: dict[str, Any]) -> None:
    """An average, or attention, reads all; some are asked for all."""
    model: Any = build_random(CONFIGS["vit"] | {"vision_cfg": CONFIGS["vit"]["vision_cfg"] | setting})
    Towers(model, torch.device("cpu"), torch.float32)

    assert split_towers(model) == ["transformer.resblocks.1"]


@pytest.mark.parametrize("setting", [{"pool_type": "eos"}, {"pool_type": "first"}, {"no_causal_mask": True}])
def test_text_towers_that_end_otherwise_are_left(setting: dict[str, Any]) -> None:
    """Only the token of the greatest id is read alone."""
    model: Any = build_random(CONFIGS["vit"] | {"text_cfg": CONFIGS["vit"]["text_cfg"] | setting})
    Towers(model, torch.device("cpu"), torch.float32)

    assert split_towers(model) == ["visual.transformer.resblocks.1"]


def test_a_transformer_may_have_one_block_or_none() -> None:
    """OpenCLIP asks the first block for the type of its weights."""
    one, none = Transformer(16, 1, 2), Transformer(16, 0, 2)
    split_last_block(one)
    split_last_block(none)

    assert one.get_cast_dtype() == torch.float32
    assert isinstance(one.resblocks[0], LastBlock)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_that_are_split(tmp_path: Path, family: str) -> None:
    """OpenCLIP's ViTs, and the causal text towers of its `CLIP`, whatever is beside them."""
    model = open_path(write_family(tmp_path, family), device="cpu").towers.model
    sides = {name.split("transformer")[0] for name in split_towers(model)}

    assert ("visual." in sides) == (family in ("vit", "hugging face text"))
    assert ("" in sides) == (family in ("vit", "resnet", "convnext", "timm vit"))


def test_a_gpu_runs_openclips_own_blocks(model: Any) -> None:
    """What was measured on CPUs alone is used on CPUs alone."""
    Towers(model, torch.device("cuda"), torch.float32)

    assert split_towers(model) == []
