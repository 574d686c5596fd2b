"""Tests of `clip`: scripts written for OpenAI's `clip`."""

from __future__ import annotations

import copy
import hashlib
import pickle
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import CONFIGS, random_model, state_of, write_folder
from conftest import set_home
from open_clip.model import build_model_from_openai_state_dict
from PIL import Image
from torch.nn.functional import cosine_similarity

import clipsim
from clipsim import clip
from clipsim.errors import DownloadError, UnknownModelError, UsageError


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

    assert tokens.dtype == torch.int32  # as OpenAI's code has it for every torch since 1.8
    assert tokens.shape == (2, 77)
    assert tokens[0, :5].tolist() == [49406, 320, 22697, 49407, 0]
    assert tokens[1, :5].tolist() == [49406, 320, 1929, 49407, 0]
    assert clipsim.tokenize("a dog", context_length=5).tolist() == [[49406, 320, 1929, 49407, 0]]
    assert clipsim.tokenize("<|endoftext|>")[0, :3].tolist() == [49406, 49407, 49407]
    assert clipsim.tokenize("Hello!<|endoftext|>")[0, :6].tolist() == [49406, 3306, 0, 27, 347, 40786]
    assert 49406 not in clipsim.tokenize("<start_of_text>")[0, 1:]


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
            clip.tokenize(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="name: not a path"):
        clip.load(None)  # type: ignore[arg-type]


def test_the_preprocessing_has_openais_steps(checkpoint: Path) -> None:
    """Scripts take the steps apart, and leave the EXIF orientation as OpenAI's does; `_transform` makes the same."""
    model, preprocess = clipsim.load(checkpoint, device="cpu")
    size = model.visual.input_resolution
    steps: Any = preprocess.transforms  # type: ignore[attr-defined]
    resize, crop, _, _, normalise = steps
    assert (resize.size, resize.interpolation.value, crop.size) == (size, "bicubic", (size, size))
    assert normalise.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073), abs=1e-8)

    picture = Image.new("RGB", (2 * size, size), "red")
    picture.paste("blue", (size, 0, 2 * size, size))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.info["exif"] = exif.tobytes()
    pixels = preprocess(picture)
    assert torch.equal(clip._transform(size)(picture), pixels)
    assert pixels[0, :, 0].min() > 1  # red, which is on the left
    assert torch.equal(preprocess(clip._convert_image_to_rgb(picture.convert("RGBA"))), pixels)


def test_the_names_that_can_be_loaded() -> None:
    """OpenAI's nine come first; an unknown name is a RuntimeError, as there."""
    assert clipsim.available_models()[:9] == [
        "RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px",
    ]  # fmt: skip
    with pytest.raises(UnknownModelError, match="no-such-model") as caught:
        clipsim.load("no-such-model")
    assert isinstance(caught.value, RuntimeError)


class Archives(BaseHTTPRequestHandler):
    """Answers with the content of a file; its name says how well."""

    CONTENT = b"an archive" * 1000

    def do_GET(self) -> None:
        """The content; half of it, or none, where the name says so."""
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(self.CONTENT)))
        self.end_headers()
        self.wfile.write(self.CONTENT[: len(self.CONTENT) // (2 if "half" in self.path else 1)])

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def address() -> Iterator[str]:
    """A server of archives whose folder is named after the SHA-256 of the content, as OpenAI's."""
    with HTTPServer(("127.0.0.1", 0), Archives) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/clip/{hashlib.sha256(Archives.CONTENT).hexdigest()}"
        finally:
            server.shutdown()
            thread.join()


def test_an_archive_is_downloaded_once(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into ~/.cache/clip unless another folder is named; a damaged file there is replaced."""
    set_home(monkeypatch, tmp_path)
    path = Path(clip._download(f"{address}/ViT-B-32.pt"))
    assert path == tmp_path / ".cache" / "clip" / "ViT-B-32.pt"
    assert path.read_bytes() == Archives.CONTENT

    inode = path.stat().st_ino
    assert clip._download(f"{address}/ViT-B-32.pt") == str(path)
    assert path.stat().st_ino == inode
    path.write_bytes(b"damaged")
    assert Path(clip._download(f"{address}/ViT-B-32.pt", str(path.parent))).read_bytes() == Archives.CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["ViT-B-32.pt"]


@pytest.mark.parametrize("name", ["half.pt", "missing.pt"])
def test_a_download_that_fails_leaves_nothing(tmp_path: Path, address: str, name: str) -> None:
    """No file of another content is ever under the name of a model."""
    with pytest.raises(DownloadError, match=name):
        clip._download(f"{address}/{name}", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["ViT-B/32", "https://example.org/ViT-B-32.pt", f"file:///etc/{'0' * 64}/passwd"])
def test_an_address_without_a_digest_is_refused(tmp_path: Path, url: str) -> None:
    """Nothing is fetched that cannot be checked."""
    with pytest.raises(UsageError, match="SHA-256"):
        clip._download(url, tmp_path)


def test_openais_models_have_the_addresses_that_openclip_knows() -> None:
    """All nine, in OpenAI's order."""
    from open_clip.pretrained import get_pretrained_url

    known = {name: get_pretrained_url(name.replace("/", "-").replace("@", "-").removesuffix("px"), "openai")
             for name in clip._MODELS}  # fmt: skip
    assert known == clip._MODELS
    assert list(clip._MODELS) == clipsim.available_models()[:9]
