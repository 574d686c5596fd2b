"""Tests of `engines.torch.openai_towers`: code that walks OpenAI's towers by hand gets the right numbers, or raises."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import CONFIGS, TEXT, VIT, build_random, random_model, state_of, write_folder, write_model
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers_folders import write_clip
from vocabularies import write_hugging_face_text, write_siglip

import clipsim
from clipsim.engines.torch import devices
from clipsim.errors import TextError

WORDS = ["a diagram", "two dogs and a cat", "a"]
UNLIKE_OPENAI: dict[str, dict[str, Any]] = {
    "pools by a mean": CONFIGS["vit"] | {"vision_cfg": VIT | {"pool_type": "avg"}},
    "normalises after pooling": CONFIGS["vit"] | {"vision_cfg": VIT | {"final_ln_after_pool": True}},
    "attends otherwise": CONFIGS["vit"] | {"vision_cfg": VIT | {"block_type": "custom", "qk_norm": True}},
}
UNLIKE_OPENAI_IN_TEXT: dict[str, dict[str, Any]] = {
    "another end": CONFIGS["vit"] | {"text_cfg": TEXT | {"pool_type": "eos", "eos_id": 320}},
    "the last token": CONFIGS["vit"] | {"text_cfg": TEXT | {"pool_type": "last"}},
    "a bias": CONFIGS["vit"] | {"text_cfg": TEXT | {"proj_bias": True}},
}


def load(folder: Path) -> Any:
    """The model on the CPU."""
    return clipsim.load(str(folder), device="cpu")[0]


def walk_text(model: Any, tokens: Tensor) -> Tensor:
    """The text tower part by part, as prompt-learning code calls OpenAI's."""
    hidden = model.token_embedding(tokens).type(model.dtype)
    hidden = hidden + model.positional_embedding.type(model.dtype)
    hidden = model.transformer(hidden.permute(1, 0, 2))
    hidden = model.ln_final(hidden.permute(1, 0, 2)).type(model.dtype)
    features: Tensor = hidden[torch.arange(len(tokens)), tokens.argmax(dim=-1)] @ model.text_projection
    return features


def walk_text_by_blocks(model: Any, tokens: Tensor) -> Tensor:
    """The same by the parts of each block, with the mask of OpenAI's `build_attention_mask`."""
    hidden = (model.token_embedding(tokens) + model.positional_embedding).permute(1, 0, 2)
    mask = model.build_attention_mask()
    for block in model.transformer.resblocks:
        normed = block.ln_1(hidden)
        hidden = hidden + block.attn(normed, normed, normed, need_weights=True, attn_mask=mask)[0]
        hidden = hidden + block.mlp(block.ln_2(hidden))
    hidden = model.ln_final(hidden.permute(1, 0, 2))
    features: Tensor = hidden[torch.arange(len(tokens)), tokens.argmax(dim=-1)] @ model.text_projection
    return features


def walk_image(tower: Any, pixels: Tensor) -> Tensor:
    """The image tower part by part, as code for dense features calls OpenAI's."""
    hidden = tower.conv1(pixels).flatten(2).permute(0, 2, 1)
    first = tower.class_embedding.to(hidden.dtype) + torch.zeros(len(hidden), 1, hidden.shape[-1])
    hidden = torch.cat([first, hidden], dim=1) + tower.positional_embedding.to(hidden.dtype)
    hidden = tower.transformer(tower.ln_pre(hidden).permute(1, 0, 2)).permute(1, 0, 2)
    features: Tensor = tower.ln_post(hidden[:, 0, :]) @ tower.proj
    return features


def walk_resnet(tower: Any, pixels: Tensor) -> Tensor:
    """The ResNet part by part, with OpenAI's names, and its pooling with the length first."""
    for number in (1, 2, 3):
        convolution, norm, relu = (getattr(tower, f"{name}{number}") for name in ("conv", "bn", "relu"))
        pixels = relu(norm(convolution(pixels)))
    hidden = tower.avgpool(pixels)
    for number in (1, 2, 3, 4):
        hidden = getattr(tower, f"layer{number}")(hidden)
    pool = tower.attnpool
    hidden = hidden.flatten(2).permute(2, 0, 1)
    hidden = torch.cat([hidden.mean(dim=0, keepdim=True), hidden]) + pool.positional_embedding[:, None]
    heads = pool.num_heads
    query, key, value = (
        projection(part).unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)
        for projection, part in ((pool.q_proj, hidden[:1]), (pool.k_proj, hidden), (pool.v_proj, hidden))
    )
    attended = functional.scaled_dot_product_attention(query, key, value).permute(2, 0, 1, 3).flatten(2)
    features: Tensor = pool.c_proj(attended)[0]
    return features


@pytest.mark.parametrize("family", ["vit", "quickgelu", "resnet", "timm"])
@torch.no_grad()
def test_the_text_tower_by_hand(tmp_path: Path, family: str) -> None:
    """Part by part, block by block, and as a whole: one result, which is OpenCLIP's."""
    model, tokens = load(write_folder(tmp_path, family)), clipsim.tokenize(WORDS)
    expected = random_model(family).encode_text(tokens)

    assert expected.std() > 0.05
    for found in (model.encode_text(tokens), walk_text(model, tokens), walk_text_by_blocks(model, tokens)):
        assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


@pytest.mark.parametrize("family", ["vit", "quickgelu"])
@torch.no_grad()
def test_the_image_tower_by_hand(tmp_path: Path, family: str) -> None:
    """Part by part and as a whole."""
    model, pixels = load(write_folder(tmp_path, family)), torch.rand(3, 3, 48, 48)
    expected = random_model(family).encode_image(pixels)

    assert model.encode_image(pixels).numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert walk_image(model.visual, pixels).numpy() == pytest.approx(expected.numpy(), abs=1e-5)


@torch.no_grad()
def test_a_resnet_by_hand(tmp_path: Path) -> None:
    """Stem, stages and pooling have OpenAI's names and layout."""
    model, pixels = load(write_folder(tmp_path, "resnet")), torch.rand(2, 3, 64, 64)
    expected = random_model("resnet").encode_image(pixels)

    assert model.encode_image(pixels).numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert walk_resnet(model.visual, pixels).numpy() == pytest.approx(expected.numpy(), abs=1e-4)


@torch.no_grad()
def test_hooks_see_the_length_first(tmp_path: Path) -> None:
    """A block and its attention take and give (length, n, width)."""
    model = load(write_folder(tmp_path, "vit"))
    seen = {}
    for name, tower, pixels in (("image", model.visual, torch.rand(5, 3, 48, 48)), ("text", model, None)):
        for part in ("block", "attn"):
            block = tower.transformer.resblocks[-1]

            def hook(module: Any, given: Any, result: Any, key: str = f"{name} {part}") -> None:
                seen[key] = (tuple(given[0].shape), tuple((result[0] if isinstance(result, tuple) else result).shape))

            (block if part == "block" else block.attn).register_forward_hook(hook)
        model.encode_text(clipsim.tokenize(WORDS)) if pixels is None else model.encode_image(pixels)

    assert seen == {
        "image block": ((10, 5, 64),) * 2, "image attn": ((10, 5, 64),) * 2,
        "text block": ((77, 3, 64),) * 2, "text attn": ((77, 3, 64),) * 2,
    }  # fmt: skip


@torch.no_grad()
def test_a_mask_that_a_script_sets_is_used(tmp_path: Path) -> None:
    """The blocks hold their mask, as OpenAI's do; without it the tower sees what follows a word."""
    model, tokens = load(write_folder(tmp_path, "vit")), clipsim.tokenize(WORDS)
    usual = walk_text(model, tokens)
    for block in model.transformer.resblocks:
        assert torch.equal(block.attn_mask, model.build_attention_mask())
        block.attn_mask = None

    assert not torch.allclose(walk_text(model, tokens), usual, atol=1e-2)
    assert torch.equal(walk_text(model, tokens), model.encode_text(tokens))


@pytest.mark.parametrize("family", ["vit", "resnet"])
@torch.no_grad()
def test_half_precision_as_on_a_gpu(tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's recipe: matrices in fp16, norms and embeddings in fp32; by hand and as a whole, one result."""
    whole, tokens = load(write_folder(tmp_path, family)), clipsim.tokenize(WORDS)
    monkeypatch.setattr(devices, "choose_precision", lambda *_: ("fp16", torch.float16))
    model = load(tmp_path)
    pixels = torch.rand(2, 3, whole.visual.input_resolution, whole.visual.input_resolution)

    assert model.dtype == model.encode_text(tokens).dtype == model.encode_image(pixels).dtype == torch.float16
    assert model.token_embedding.weight.dtype == model.ln_final.weight.dtype == torch.float32
    for _ in range(2):
        assert torch.equal(walk_text(model, tokens), model.encode_text(tokens))
        for side, given in (("text", tokens), ("image", pixels)):
            expected, found = (getattr(each, f"encode_{side}")(given).float() for each in (whole, model))
            assert functional.cosine_similarity(found, expected).min() > 0.999
        assert model(pixels, tokens)[0].shape == (2, 3)
        model.half()  # everything, as a script may do it
    restored = load(tmp_path).float()
    assert torch.equal(restored.positional_embedding, whole.positional_embedding)


def test_a_model_that_is_walked_by_hand_can_be_trained_copied_and_pickled(tmp_path: Path) -> None:
    """Gradients reach the embedding; copies compute the same, with their own masks."""
    model, tokens = load(write_folder(tmp_path, "vit")), clipsim.tokenize(WORDS)
    model.train()
    model.visual.set_grad_checkpointing()
    model.transformer.grad_checkpointing = True
    (walk_text(model, tokens).sum() + model.encode_image(torch.rand(1, 3, 48, 48)).sum()).backward()
    assert model.token_embedding.weight.grad is not None
    assert model.visual.conv1.weight.grad is not None
    model.eval()
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(walk_text(copied, tokens), walk_text(model, tokens))


@pytest.mark.parametrize("name", UNLIKE_OPENAI)
@torch.no_grad()
def test_image_towers_unlike_openais_raise(tmp_path: Path, name: str) -> None:
    """The model computes what OpenCLIP computes; its parts are refused with one line that says what to call."""
    model, pixels = load(write_model(tmp_path, UNLIKE_OPENAI[name], {})), torch.rand(2, 3, 48, 48)
    expected = build_random(UNLIKE_OPENAI[name]).encode_image(pixels)
    assert model.encode_image(pixels).numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    with pytest.raises(AttributeError, match=r"not built as OpenAI's are.*call encode_image instead"):
        walk_image(model.visual, pixels)
    with pytest.raises(AttributeError, match="'transformer'"):
        model.visual.transformer.resblocks[0].register_forward_hook(print)
    model.load_state_dict(model.state_dict())
    assert sum(parameter.numel() for parameter in model.parameters()) > 1000
    assert torch.equal(copy.deepcopy(model).encode_image(pixels), model.encode_image(pixels))


@pytest.mark.parametrize("name", [*UNLIKE_OPENAI_IN_TEXT, "siglip", "coca", "hugging face"])
@torch.no_grad()
def test_text_towers_unlike_openais_raise(tmp_path: Path, name: str) -> None:
    """So is a tower whose text ends otherwise, or which is another library's."""
    if name == "hugging face":
        folder = write_hugging_face_text(tmp_path)
    elif name in CONFIGS:
        folder = write_folder(tmp_path, name)
    else:
        folder = write_model(tmp_path, UNLIKE_OPENAI_IN_TEXT[name], {})
    model = load(folder)
    tokens = model.tokenize(WORDS)

    assert model.encode_text(tokens).shape[0] == 3
    with pytest.raises(AttributeError, match=r"not built as OpenAI's are.*call encode_text instead"):
        walk_text(model, tokens)
    with pytest.raises(AttributeError, match="'transformer'"):
        _ = model.transformer
    assert pickle.loads(pickle.dumps(model)).encode_text(tokens) == pytest.approx(model.encode_text(tokens))


@pytest.mark.parametrize("family", ["timm", "siglip", "coca"])
def test_other_image_towers_have_none_of_openais_parts(tmp_path: Path, family: str) -> None:
    """The error names the tower's side, and the usual question by `hasattr` is answered."""
    model = load(write_folder(tmp_path, family))

    assert not hasattr(model.visual, "transformer")
    with pytest.raises(AttributeError, match="image tower"):
        _ = model.visual.conv1
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = model.visual.nothing


@pytest.mark.parametrize("write", [write_siglip, write_hugging_face_text])
@torch.no_grad()
def test_clips_tokens_are_refused_where_the_tokenizer_is_another(tmp_path: Path, write: Any) -> None:
    """The error says what to use instead, and that gives the numbers of a session."""
    folder = write(tmp_path)
    model, preprocess = clipsim.load(str(folder), device="cpu")
    length = model.context_length
    pixels = preprocess(Image.new("RGB", (60, 40), "teal"))[None]

    with pytest.raises(TextError, match=rf"tokens of length 77 .*reads {length}.*model\.tokenize"):
        model.encode_text(clipsim.tokenize(WORDS))
    for refused in (model.encode_text, lambda tokens: model(pixels, tokens)):
        with pytest.raises(TextError, match=r"another tokenizer.*use model\.tokenize\(texts\) instead"):
            refused(clipsim.tokenize(WORDS, context_length=length))
    with pytest.raises(RuntimeError, match="leave out jit"):
        clipsim.load(str(folder), device="cpu", jit=True)

    found = functional.normalize(model.encode_text(model.tokenize(WORDS)), dim=-1)
    images = functional.normalize(model.encode_image(pixels), dim=-1)
    result = clipsim.rank(Image.new("RGB", (60, 40), "teal"), WORDS, model=str(folder), device="cpu", cache=False)
    assert (found @ images.T).numpy() == pytest.approx(result.similarity, abs=1e-5)


def test_clips_own_tokens_in_a_folder_of_transformers(tmp_path: Path) -> None:
    """Its tokenizer is CLIP's in other files, so both ways give one vector."""
    model = load(write_clip(tmp_path / "clip"))
    with torch.no_grad():
        own, clips = model.encode_text(model.tokenize(WORDS)), model.encode_text(clipsim.tokenize(WORDS))
        walked = walk_text(model, clipsim.tokenize(WORDS))

    assert own.numpy() == pytest.approx(clips.numpy(), abs=1e-6)
    assert walked.numpy() == pytest.approx(clips.numpy(), abs=1e-6)


def test_a_model_of_another_length_says_which(tmp_path: Path) -> None:
    """Tokens that are too many are one line with the remedy, not an error about shapes."""
    model = load(write_folder(tmp_path, "coca"))

    with pytest.raises(TextError, match="context_length=76"):
        model.encode_text(clipsim.tokenize(WORDS))
    assert torch.equal(model.tokenize(WORDS), clipsim.tokenize(WORDS, context_length=76))
    assert state_of(model).keys() == state_of(random_model("coca")).keys()
