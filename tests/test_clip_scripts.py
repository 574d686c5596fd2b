"""Tests of what was written for OpenAI's package and runs with another import: its README, its test, its notebooks.

The cells do what those of the notebooks do, step by step; the data sets are a few drawn images.
"""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import random_model, state_of
from forked_processes import forked_command
from PIL import Image

import clipsim

NUMBERS = {"context_length": torch.tensor(77), "vocab_size": torch.tensor(49408)}
COLOURS = ("red", "green", "blue")
SCRIPT = """
import torch
import clipsim as clip
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


def write_archive(path: Path, family: str) -> Path:
    """A checkpoint that says that it is OpenAI's."""
    model = random_model(family)
    size = torch.tensor(48 if family == "quickgelu" else 64)
    torch.save(state_of(model) | NUMBERS | {"input_resolution": size}, path)
    return path


def write_torchscript(path: Path, family: str) -> Path:
    """The same as a TorchScript archive."""
    traced, _ = clipsim.load(write_archive(path.with_name("state.pt"), family), device="cpu", jit=True)
    traced.save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder for each colour, with a wide, a tall and a square image."""
    for number, size in enumerate(((90, 60), (50, 120), (64, 64))):
        for colour in COLOURS:
            (tmp_path / "photos" / colour).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, colour).save(tmp_path / "photos" / colour / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run cells one after the other, with `cuda()` on a machine without a GPU, and without a warning."""
    if not torch.cuda.is_available():
        monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
        monkeypatch.setattr(torch.nn.Module, "cuda", lambda self: self)

    def run(*cells: str, **names: object) -> dict[str, Any]:
        names["__name__"] = "__main__"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "`torch.jit.load`", FutureWarning)  # which a script calls itself
            for cell in cells:
                exec(cell, names)
        return names

    return run


def test_the_script_in_openais_readme_runs_unchanged(tmp_path: Path) -> None:
    """Only the import differs, and with a file that says it is OpenAI's, nothing is said on standard error."""
    Image.new("RGB", (90, 60), "red").save(tmp_path / "CLIP.png")
    archive = write_archive(tmp_path / "openais.pt", "quickgelu")
    script = SCRIPT.format(path=str(archive), image=str(tmp_path / "CLIP.png"))

    done = subprocess.run([*forked_command("torch"), "-c", script], capture_output=True, timeout=300)

    assert (done.stdout, done.stderr) == (b"Label probs: (1, 3)\n", b"")


@pytest.mark.parametrize("family", ["quickgelu", "resnet"])
@pytest.mark.parametrize("write", [write_archive, write_torchscript])
def test_openais_test_of_consistency(tmp_path: Path, family: str, write: Callable[[Path, str], Path]) -> None:
    """With jit and without, the probabilities are the same, for a state dict and for an archive."""
    import clipsim as clip

    model_name = str(write(tmp_path / "model.pt", family))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)).save(tmp_path / "CLIP.png")
    device = "cpu"
    jit_model, transform = clip.load(model_name, device=device, jit=True)
    py_model, _ = clip.load(model_name, device=device, jit=False)

    image = transform(Image.open(tmp_path / "CLIP.png")).unsqueeze(0).to(device)
    text = clip.tokenize(["a diagram", "a dog", "a cat"]).to(device)
    with torch.no_grad():
        logits_per_image, _ = jit_model(image, text)
        jit_probs = logits_per_image.softmax(dim=-1).cpu().numpy()
        logits_per_image, _ = py_model(image, text)
        py_probs = logits_per_image.softmax(dim=-1).cpu().numpy()

    np.testing.assert_allclose(jit_probs, py_probs, atol=0.01, rtol=0.1)
    assert np.ptp(py_probs) > 0.05  # three equal numbers would agree too


INTERACTING = (
    """
import numpy as np
import torch
import clipsim as clip

names = clip.available_models()
model, preprocess = clip.load(archive)
model.cuda().eval()
input_resolution = model.visual.input_resolution
context_length = model.context_length
vocab_size = model.vocab_size
parameters = f"{np.sum([int(np.prod(p.shape)) for p in model.parameters()]):,}"
shown = repr(preprocess)
tokens = clip.tokenize("Hello World!")
""",
    """
from PIL import Image

original_images, images, texts = [], [], []
for name, description in descriptions.items():
    image = Image.open(name).convert("RGB")
    original_images.append(image)
    images.append(preprocess(image))
    texts.append(description)
image_input = torch.tensor(np.stack(images)).cuda()
text_tokens = clip.tokenize(["This is " + desc for desc in texts]).cuda()
with torch.no_grad():
    image_features = model.encode_image(image_input).float()
    text_features = model.encode_text(text_tokens).float()
image_features /= image_features.norm(dim=-1, keepdim=True)
text_features /= text_features.norm(dim=-1, keepdim=True)
similarity = text_features.cpu().numpy() @ image_features.cpu().numpy().T
""",
    """
from torchvision.datasets import ImageFolder

data = ImageFolder(folder, transform=preprocess)
text_descriptions = [f"This is a photo of a {label}" for label in data.classes]
text_tokens = clip.tokenize(text_descriptions).cuda()
with torch.no_grad():
    text_features = model.encode_text(text_tokens).float()
    text_features /= text_features.norm(dim=-1, keepdim=True)
text_probs = (100.0 * image_features @ text_features.T).softmax(dim=-1)
top_probs, top_labels = text_probs.cpu().topk(3, dim=-1)
""",
)


def test_the_notebook_interacting_with_clip(tmp_path: Path, photos: Path, run: Callable[..., dict[str, Any]]) -> None:
    """Facts of the model, cosines of images and texts, and zero-shot labels: the same as `rank` gives."""
    archive = str(write_archive(tmp_path / "openais.pt", "quickgelu"))
    descriptions = {str(photos / colour / "0.png"): f"a {colour} square" for colour in COLOURS}
    names = run(*INTERACTING, archive=archive, folder=str(photos), descriptions=descriptions)

    assert names["names"][0] == "RN50"
    assert (names["input_resolution"], names["context_length"], names["vocab_size"]) == (48, 77, 49408)
    assert names["parameters"] == f"{sum(tensor.numel() for tensor in random_model('quickgelu').parameters()):,}"
    assert names["shown"].startswith("Compose(\n    Resize(size=48, interpolation=bicubic")
    assert names["tokens"].dtype == torch.int32
    assert names["tokens"][0, :5].tolist() == [49406, 3306, 1002, 256, 49407]
    texts = ["This is " + text for text in descriptions.values()]
    ranked = clipsim.rank(list(descriptions), texts, model=archive, precision=None, cache=False)
    assert names["similarity"] == pytest.approx(ranked.similarity, abs=1e-5 if ranked.precision == "fp32" else 5e-3)
    assert names["text_probs"].sum(dim=-1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert names["top_labels"].shape == (3, 3)


PROMPT_ENGINEERING = (
    """
import numpy as np
import torch
import clipsim as clip
from tqdm import tqdm
from torchvision.datasets import ImageFolder

model, preprocess = clip.load(archive)
imagenet_classes = ["red", "green", "blue"]
imagenet_templates = ["a photo of a {}.", "a bad photo of the {}.", "itap of a {}."]
images = ImageFolder(folder, transform=preprocess)
loader = torch.utils.data.DataLoader(images, batch_size=4, num_workers=1, multiprocessing_context="spawn")
""",
    """
def zeroshot_classifier(classnames, templates):
    with torch.no_grad():
        zeroshot_weights = []
        for classname in tqdm(classnames, disable=True):
            texts = [template.format(classname) for template in templates]
            texts = clip.tokenize(texts).cuda()
            class_embeddings = model.encode_text(texts)
            class_embeddings /= class_embeddings.norm(dim=-1, keepdim=True)
            class_embedding = class_embeddings.mean(dim=0)
            class_embedding /= class_embedding.norm()
            zeroshot_weights.append(class_embedding)
        zeroshot_weights = torch.stack(zeroshot_weights, dim=1).cuda()
    return zeroshot_weights


zeroshot_weights = zeroshot_classifier(imagenet_classes, imagenet_templates)
""",
    """
def accuracy(output, target, topk=(1,)):
    pred = output.topk(max(topk), 1, True, True)[1].t()
    correct = pred.eq(target.view(1, -1).expand_as(pred))
    return [float(correct[:k].reshape(-1).float().sum(0, keepdim=True).cpu().numpy().item()) for k in topk]


rows = []
with torch.no_grad():
    top1, top2, n = 0., 0., 0.
    for i, (images, target) in enumerate(tqdm(loader, disable=True)):
        images = images.cuda()
        target = target.cuda()
        image_features = model.encode_image(images)
        image_features /= image_features.norm(dim=-1, keepdim=True)
        logits = 100. * image_features @ zeroshot_weights
        rows.append(logits)
        acc1, acc2 = accuracy(logits, target, topk=(1, 2))
        top1 += acc1
        top2 += acc2
        n += images.size(0)
top1 = (top1 / n) * 100
""",
)


def test_the_notebook_prompt_engineering(tmp_path: Path, photos: Path, run: Callable[..., dict[str, Any]]) -> None:
    """Averaged templates, and a data loader with workers that are spawned: the same numbers as `rank` gives."""
    archive = str(write_archive(tmp_path / "openais.pt", "quickgelu"))
    names = run(*PROMPT_ENGINEERING, archive=archive, folder=str(photos))

    assert (names["n"], names["top2"] >= names["top1"] * 9 / 100) == (9, True)
    paths = [path for colour in sorted(COLOURS) for path in sorted((photos / colour).iterdir())]
    templates = names["imagenet_templates"]
    ranked = clipsim.rank(paths, names["imagenet_classes"], templates=templates, model=archive, cache=False)
    expected = 100 * ranked.similarity.T
    tolerance = 1e-3 if ranked.precision == "fp32" else 0.5
    assert torch.cat(names["rows"]).float().cpu().numpy() == pytest.approx(expected, abs=tolerance)


PROMPT_LEARNING = """
import torch
from clipsim import clip
from clipsim.model import convert_weights
from clipsim.simple_tokenizer import SimpleTokenizer as _Tokenizer

_tokenizer = _Tokenizer()
url = clip._MODELS[backbone_name]
model_path = clip._download(url)
try:
    model = torch.jit.load(model_path, map_location="cpu").eval()
    state_dict = None
except RuntimeError:
    state_dict = torch.load(model_path, map_location="cpu")
model = clip.build_model(state_dict or model.state_dict())
model.float()
lengths = [len(_tokenizer.encode(name)) for name in ("a dog", "two dogs and a cat")]
"""


def test_a_script_that_builds_the_model_from_its_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., dict[str, Any]]
) -> None:
    """As code for learning prompts does it: by the names of the modules and their private functions."""
    import clipsim.clip

    archive = write_archive(tmp_path / "openais.pt", "quickgelu")
    monkeypatch.setitem(clipsim.clip._MODELS, "ViT-B/32", "address")
    monkeypatch.setattr(clipsim.clip, "_download", {"address": str(archive)}.__getitem__)
    names = run(PROMPT_LEARNING, backbone_name="ViT-B/32")

    loaded, _ = clipsim.load(archive, device="cpu")
    tokens = clipsim.tokenize(["a dog"])
    assert torch.equal(names["model"].encode_text(tokens), loaded.encode_text(tokens))
    assert names["lengths"] == [2, 5]


def test_the_modules_have_openais_names() -> None:
    """They can be imported and read as attributes; importing the package imports none of them."""
    code = (
        "import sys, clipsim as clip; assert 'torch' not in sys.modules\n"
        "clip.clip.available_models(); clip.available_models(); assert 'torch' not in sys.modules\n"
        "assert clip.clip.tokenize is clip.tokenize and clip.clip.load is clip.load\n"
        "import clipsim.clip, clipsim.model, clipsim.simple_tokenizer\n"
        "from clipsim.clip import _transform, SimpleTokenizer, _tokenizer, build_model, tokenize\n"
        "assert clip.model.build_model is build_model and clip.simple_tokenizer.SimpleTokenizer is SimpleTokenizer\n"
        "assert clip.clip._tokenizer is _tokenizer and not hasattr(clip.clip, 'other')"
    )

    subprocess.run([*forked_command(), "-c", code], check=True, timeout=300)
