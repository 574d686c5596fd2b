"""Tests of `compat`: scripts written for OpenAI's `clip`."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import warnings
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from checkpoints import CONFIGS, random_model, state_of, write_folder
from forked_processes import forked_command
from open_clip.model import build_model_from_openai_state_dict
from PIL import Image
from torch.nn.functional import cosine_similarity

import clipsim
from clipsim import compat
from clipsim.errors import ClipsimError, UnknownModelError, UsageError


@pytest.fixture(params=["vit", "resnet"])
def family(request: pytest.FixtureRequest) -> str:
    """Both of OpenAI's kinds of models."""
    return str(request.param)


@pytest.fixture
def checkpoint(tmp_path: Path, family: str) -> Path:
    """A small checkpoint in OpenAI's layout."""
    torch.save(state_of(random_model(family)), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def plain_model(family: str) -> Any:
    """The same weights in OpenCLIP's own class, with OpenAI's activation."""
    return build_model_from_openai_state_dict(state_of(random_model(family))).float()


@pytest.mark.parametrize("jit", [False, True])
def test_features_and_logits_are_openais(checkpoint: Path, family: str, jit: bool) -> None:
    """Not normalised features, scale × cosine both ways, for any number of images and texts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none of torch's warnings reaches the user
        warnings.simplefilter("ignore", clipsim.ClipsimWarning)
        model, _ = clipsim.load(str(checkpoint), device="cpu", jit=jit)
    plain: Any = plain_model(family)
    size = model.visual.input_resolution
    tokens = clipsim.tokenize(["a diagram", "a dog", "a cat"])
    assert isinstance(size, int)

    for count in (1, 2, 5):
        images = torch.rand(count, 3, size, size)
        with torch.no_grad():
            image_features, text_features = model.encode_image(images), model.encode_text(tokens)
            per_image, per_text = model(images, tokens)
            expected_image, expected_text = plain.encode_image(images), plain.encode_text(tokens)
        cosine = cosine_similarity(expected_image[:, None], expected_text[None], dim=-1)

        assert torch.allclose(image_features, expected_image, atol=1e-5)
        assert torch.allclose(text_features, expected_text, atol=1e-5)
        assert torch.allclose(per_image, plain.logit_scale.exp() * cosine, atol=1e-4)
        assert torch.equal(per_text, per_image.T)


def test_the_attributes_that_scripts_read(checkpoint: Path) -> None:
    """Sizes, parameters, dtype and the usual casts are there."""
    model, preprocess = clipsim.load(str(checkpoint), device="cpu")

    assert model.context_length == 77
    assert model.vocab_size == 49408
    assert model.dtype == torch.float32
    assert not model.training
    assert sum(parameter.numel() for parameter in model.parameters()) > 1000
    assert model.logit_scale.exp().item() == pytest.approx(40.447, abs=0.01)
    size = model.visual.input_resolution
    pixels = preprocess(Image.new("RGB", (90, 60), "red"))
    assert pixels.shape == (3, size, size)
    assert model.float().encode_image(pixels[None].double()).dtype == torch.float32


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("jit", [False, True])
def test_every_family_can_be_called(tmp_path: Path, family: str, jit: bool) -> None:
    """Models that OpenAI never had give logits too, with SigLIP's bias."""
    model, preprocess = clipsim.load(str(write_folder(tmp_path, family)), device="cpu", jit=jit)
    tokens = clipsim.tokenize(["a", "b c"], context_length=model.context_length)
    images = torch.stack([preprocess(Image.new("RGB", (90, 60), colour)) for colour in ("red", "blue", "green")])
    with torch.no_grad():
        per_image, per_text = model(images, tokens)
        cosine = cosine_similarity(model.encode_image(images)[:, None], model.encode_text(tokens)[None], dim=-1)

    bias = -10.0 if family == "siglip" else 0.0
    assert torch.allclose(per_image, torch.tensor(3.7).exp() * cosine + bias, atol=1e-4)
    assert torch.equal(per_text, per_image.T)
    assert model.vocab_size == 49408


def test_models_can_be_saved_over_their_file_copied_and_pickled(checkpoint: Path) -> None:
    """The usual end of a fine-tuning script destroys nothing."""
    model, _ = clipsim.load(str(checkpoint), device="cpu")
    tokens = clipsim.tokenize(["a dog"])
    expected = model.encode_text(tokens)

    torch.save(model.state_dict(), checkpoint)
    assert torch.equal(clipsim.load(checkpoint, device="cpu")[0].encode_text(tokens), expected)
    assert torch.equal(copy.deepcopy(model).encode_text(tokens), expected)
    assert torch.equal(pickle.loads(pickle.dumps(model)).encode_text(tokens), expected)
    model.train()
    expected.sum().backward()
    assert model.text_projection.grad is not None


def test_tokens() -> None:
    """OpenAI's ids, as its README shows them."""
    tokens = clipsim.tokenize(["a diagram", "a dog"])

    assert tokens.dtype == torch.int64
    assert tokens.shape == (2, 77)
    assert tokens[0, :5].tolist() == [49406, 320, 22697, 49407, 0]
    assert tokens[1, :5].tolist() == [49406, 320, 1929, 49407, 0]
    assert clipsim.tokenize("a dog", context_length=5).tolist() == [[49406, 320, 1929, 49407, 0]]
    assert clipsim.tokenize("<|endoftext|>")[0, :3].tolist() == [49406, 49407, 49407]
    assert clipsim.tokenize("Hello!<|endoftext|>")[0, :6].tolist() == [49406, 3306, 0, 27, 347, 40786]
    assert 49406 not in clipsim.tokenize("<start_of_text>")[0, 1:]


def test_an_open_clip_that_splits_texts_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Markers would silently become other tokens; the error says which version reads them."""

    class Reworded(open_clip.tokenizer.SimpleTokenizer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.pat = re.compile("<start>|<end>|[a-z]+")

    monkeypatch.setattr(open_clip.tokenizer, "SimpleTokenizer", Reworded)
    compat._tokenizer.cache_clear()
    try:
        with pytest.raises(ClipsimError, match="install open_clip_torch"):
            clipsim.tokenize("a dog")
    finally:
        compat._tokenizer.cache_clear()


def test_too_long_a_text_is_a_runtime_error() -> None:
    """As in OpenAI's package; `truncate` keeps the end token."""
    with pytest.raises(RuntimeError, match="too long for context length 77"):
        clipsim.tokenize("a " * 76)

    assert clipsim.tokenize("a " * 75)[0, -1] == 49407
    assert clipsim.tokenize("a " * 90, truncate=True)[0, -1] == 49407


def test_what_is_not_a_text_or_a_name_is_one_line() -> None:
    """As in the other calls."""
    for wrong in (None, 3, {"a": 1}, ["a", 3]):
        with pytest.raises(UsageError, match="texts"):
            compat.tokenize(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="name: not a path"):
        compat.load(None)  # type: ignore[arg-type]


def test_the_names_that_can_be_loaded() -> None:
    """OpenAI's nine come first; an unknown name is a RuntimeError, as there."""
    assert clipsim.available_models()[:9] == [
        "RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px",
    ]  # fmt: skip
    with pytest.raises(UnknownModelError, match="no-such-model") as caught:
        clipsim.load("no-such-model")
    assert isinstance(caught.value, RuntimeError)


SCRIPT = """
import torch
import clipsim as clip
from open_clip.model import build_model_from_openai_state_dict
from PIL import Image

device = "cuda" if torch.cuda.is_available() else "cpu"
model, preprocess = clip.load({path!r}, device=device)

image = preprocess(Image.open({image!r})).unsqueeze(0).to(device)
text = clip.tokenize(["a diagram", "a dog", "a cat"]).to(device)

with torch.no_grad():
    image_features = model.encode_image(image)
    text_features = model.encode_text(text)

    logits_per_image, logits_per_text = model(image, text)
    probs = logits_per_image.softmax(dim=-1).cpu().numpy()

print("Label probs:", probs.shape)
"""


def test_the_script_in_openais_readme_runs_unchanged(tmp_path: Path) -> None:
    """Only the import differs, and with a file that says it is OpenAI's, nothing is said on standard error."""
    Image.new("RGB", (90, 60), "red").save(tmp_path / "CLIP.png")
    numbers = {"input_resolution": torch.tensor(48), "context_length": torch.tensor(77)}
    torch.save(state_of(random_model("quickgelu")) | numbers, tmp_path / "openais.pt")
    script = SCRIPT.format(path=str(tmp_path / "openais.pt"), image=str(tmp_path / "CLIP.png"))

    done = subprocess.run([*forked_command("torch"), "-c", script], capture_output=True, timeout=300)

    assert (done.stdout, done.stderr) == (b"Label probs: (1, 3)\n", b"")
