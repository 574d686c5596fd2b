"""Tests of `model`: state dicts become models, and OpenAI's classes are made by OpenAI's parameters."""

from __future__ import annotations

import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import random_model, state_of, write_folder
from open_clip.model import build_model_from_openai_state_dict

import clipsim
from clipsim import model as classes
from clipsim.errors import ClipsimWarning, UsageError, WeightsError

WORDS = ["a diagram", "two dogs and a cat"]
SIZES: dict[str, tuple[Any, ...]] = {
    "quickgelu": (32, 48, 2, 64, 16, 77, 49408, 64, 1, 2),
    "resnet": (32, 64, (1, 2, 1, 1), 64, None, 77, 49408, 64, 1, 2),
}
NUMBERS = {"input_resolution": torch.tensor(48), "context_length": torch.tensor(77), "vocab_size": torch.tensor(49408)}


def outputs(model: Any, size: int) -> torch.Tensor:
    """The logits of some noise and some texts, in fp32."""
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits: torch.Tensor = model(images, clipsim.tokenize(WORDS))[0]
    return logits.float()


@pytest.mark.parametrize("family", SIZES)
def test_a_state_dict_becomes_a_model(family: str) -> None:
    """OpenAI's archives say that they are OpenAI's; the model has fp16 matrices, and `float()` makes all fp32."""
    state = state_of(random_model(family))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = classes.build_model(state | NUMBERS)
    plain: Any = build_model_from_openai_state_dict(dict(state))
    size = model.visual.input_resolution

    assert isinstance(model, classes.CLIP)
    assert not model.training
    dtypes = {name: parameter.dtype for name, parameter in plain.named_parameters()}
    assert {name: parameter.dtype for name, parameter in model.named_parameters()} == dtypes
    assert outputs(model, size).isfinite().all()
    tokens, images = clipsim.tokenize(WORDS), torch.rand(2, 3, size, size)
    with torch.no_grad():
        assert torch.allclose(model.float().encode_image(images), plain.float().encode_image(images), atol=1e-5)
        assert torch.allclose(model.encode_text(tokens), plain.encode_text(tokens), atol=1e-5)


def test_the_tensors_are_copied() -> None:
    """Training the model does not change the state dict, nor the other way round."""
    state = state_of(random_model("quickgelu"))
    before = {name: tensor.clone() for name, tensor in state.items()}
    model = classes.build_model(state | NUMBERS).float()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)

    assert all(torch.equal(state[name], before[name]) for name in before)


def test_a_model_of_clipsim_is_built_as_it_was(tmp_path: Path) -> None:
    """A state dict says that its activation is GELU; without its metadata it is a guess that is said."""
    model, _ = clipsim.load(write_folder(tmp_path, "vit"), device="cpu")
    state = model.state_dict()
    expected = outputs(model, 48)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = classes.build_model(state).float()

    assert outputs(again, 48).numpy() == pytest.approx(expected.numpy(), abs=0.03)
    with pytest.warns(ClipsimWarning, match="does not say which model it is"):
        guessed = classes.build_model(OrderedDict(state)).float()
    assert (outputs(guessed, 48) - expected).abs().max() > 0.1


def test_other_tensors_are_refused(tmp_path: Path) -> None:
    """The error names the parameter."""
    with pytest.raises(UsageError, match="state_dict: not a mapping"):
        classes.build_model(torch.nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="state_dict: not a checkpoint in OpenAI's layout"):
        classes.build_model({"layer.weight": torch.zeros(2)})
    state = state_of(random_model("quickgelu"))
    del state["ln_final.bias"]
    with pytest.raises(WeightsError, match=r"state_dict: .*ln_final\.bias"):
        classes.build_model(state)


@pytest.mark.parametrize("family", SIZES)
def test_models_are_made_by_openais_parameters(tmp_path: Path, family: str) -> None:
    """Random weights at first; a state dict fits, and what is saved of it loads again."""
    model = classes.CLIP(*SIZES[family]).eval()
    size = SIZES[family][1]
    first = outputs(model, size)
    assert first.isfinite().all()
    model.initialize_parameters()
    assert not torch.equal(outputs(model, size), first)

    model.load_state_dict(state_of(random_model(family)))
    plain: Any = build_model_from_openai_state_dict(state_of(random_model(family)), cast_dtype=torch.float32)
    plain.float().load_state_dict(state_of(random_model(family)))
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        assert torch.allclose(model.encode_image(images), plain.encode_image(images), atol=1e-5)
    torch.save(model.state_dict(), tmp_path / "saved.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded, _ = clipsim.load(tmp_path / "saved.pt", device="cpu")
    assert outputs(loaded, size).numpy() == pytest.approx(outputs(model, size).numpy(), abs=1e-3)
    assert outputs(pickle.loads(pickle.dumps(model)), size).numpy() == pytest.approx(outputs(model, size).numpy())


@torch.no_grad()
def test_the_parts_are_made_by_openais_parameters() -> None:
    """Towers and blocks alone, also in a class of one's own; weights of a model fit them, with the same numbers."""

    class Prompted(classes.Transformer):
        """A tower of a script's own."""

    built = random_model("quickgelu")
    images, tokens = torch.rand(2, 3, 48, 48), clipsim.tokenize(WORDS)
    tower = classes.VisionTransformer(48, 16, 64, 2, 1, 32).eval()
    tower.load_state_dict(built.visual.state_dict())
    assert torch.allclose(tower(images), built.visual(images), atol=1e-6)
    assert tower.input_resolution == 48

    text = Prompted(64, 2, 1, torch.full((77, 77), float("-inf")).triu_(1)).eval()
    text.load_state_dict(built.transformer.state_dict())
    hidden = built.token_embedding(tokens) + built.positional_embedding
    expected = built.transformer(hidden, attn_mask=built.attn_mask)
    assert torch.allclose(text(hidden.permute(1, 0, 2)).permute(1, 0, 2), expected, atol=1e-6)
    assert type(text) is Prompted

    block = classes.ResidualAttentionBlock(64, 1, text.resblocks[0].attn_mask).eval()
    block.load_state_dict(built.transformer.resblocks[0].state_dict())
    assert torch.allclose(block(hidden.permute(1, 0, 2)), text.resblocks[0](hidden.permute(1, 0, 2)), atol=1e-6)

    resnet = random_model("resnet")
    convolutional = classes.ModifiedResNet((1, 2, 1, 1), 32, 32, 64, 64).eval()
    convolutional.load_state_dict(resnet.visual.state_dict())
    images = torch.rand(2, 3, 64, 64)
    assert torch.allclose(convolutional(images), resnet.visual(images), atol=1e-5)
    assert isinstance(convolutional.layer1[0], classes.Bottleneck)


def test_loaded_models_are_instances_of_the_classes(tmp_path: Path) -> None:
    """As scripts ask: which tower a model has, and which of its parts are norms."""
    for family, kind in (("vit", classes.VisionTransformer), ("resnet", classes.ModifiedResNet)):
        model, _ = clipsim.load(write_folder(tmp_path / family, family), device="cpu")
        assert isinstance(model, classes.CLIP)
        assert isinstance(model.visual, kind)
        assert isinstance(model.transformer, classes.Transformer)
        assert isinstance(model.transformer.resblocks[0], classes.ResidualAttentionBlock)
        assert isinstance(model.ln_final, classes.LayerNorm)


def test_weights_of_a_module_around_a_model_are_converted() -> None:
    """Matrices and projections become fp16, norms, embeddings and the scale stay, whatever holds them."""

    class TextEncoder(torch.nn.Module):
        """As prompt learning wraps it."""

        def __init__(self, model: Any) -> None:
            super().__init__()
            self.transformer, self.text_projection = model.transformer, model.text_projection
            self.embedding, self.norm = model.token_embedding, model.ln_final

    wrapped = TextEncoder(classes.CLIP(*SIZES["quickgelu"]))
    classes.convert_weights(wrapped)

    assert wrapped.text_projection.dtype == wrapped.transformer.resblocks[0].attn.in_proj_weight.dtype == torch.float16
    assert wrapped.transformer.resblocks[0].mlp.c_fc.bias.dtype == torch.float16
    assert wrapped.embedding.weight.dtype == wrapped.norm.weight.dtype == torch.float32
