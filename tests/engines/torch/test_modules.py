"""Tests of `engines.torch.modules`: a model in a program's memory, by its own calls, and left as it was."""

from __future__ import annotations

import copy
import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import PREPROCESS, random_model
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

import clipsim
from clipsim.errors import DeviceLostError, NoInputError, TextError, UsageError

TEXTS = ["a photo of a cat", "two dogs", "a maze"]


def transform_of(size: int, **settings: Any) -> Any:
    """OpenCLIP's transform for inference."""
    config = open_clip.transform.PreprocessCfg(size=size, **settings)
    return open_clip.transform.image_transform_v2(config, is_train=False)


def digest(module: nn.Module) -> str:
    """Of all numbers, of the modules' classes and modes, and of who holds which tensor."""
    parts = [(name, str(type(part)), part.training) for name, part in module.named_modules()]
    tensors = [
        (name, id(tensor), tensor.numpy().tobytes()) for name, tensor in module.state_dict(keep_vars=False).items()
    ]
    held = [(name, id(parameter), parameter.requires_grad) for name, parameter in module.named_parameters()]
    plain = [(name, content) for name, _, content in tensors]
    return hashlib.sha256(repr((parts, plain, held)).encode()).hexdigest()


def cosines(module: Any, transform: Any, tokenizer: Any, pictures: list[Image.Image]) -> Any:
    """What a program computes with its parts by hand."""
    module = copy.deepcopy(module).eval()
    with torch.no_grad():
        images = module.encode_image(torch.stack([transform(picture) for picture in pictures]))
        texts = module.encode_text(tokenizer(TEXTS))
    return (nn.functional.normalize(texts, dim=-1) @ nn.functional.normalize(images, dim=-1).T).numpy()


@pytest.mark.parametrize("family", ["vit", "resnet", "siglip", "coca"])
@pytest.mark.parametrize("training", [False, True])
def test_a_module_gives_its_own_numbers_and_stays_as_it_was(
    pictures: list[Image.Image], family: str, training: bool
) -> None:
    """Of every kind of OpenCLIP's models; in training mode too, whose batch statistics would change."""
    module = random_model(family).train(training)
    size = module.visual.image_size
    transform = transform_of(size if isinstance(size, int) else size[0], **PREPROCESS.get(family, {}))
    tokenizer = open_clip.SimpleTokenizer(context_length=76 if family == "coca" else 77)
    before, expected = digest(module), cosines(module, transform, tokenizer, pictures)
    with clipsim.open(module, preprocess=transform, tokenizer=tokenizer, batch_size=2) as session:
        result = session.rank(pictures, TEXTS)
        session.encode_images(pictures * 100)  # enough for layers to be packed

    assert np.ptp(expected) > 0.01
    assert result.similarity == pytest.approx(expected, abs=1e-5)
    assert result.model.logit_scale == pytest.approx(float(module.logit_scale.detach().exp()))
    assert result.model.head == ("sigmoid" if family == "siglip" else "softmax")
    assert (result.device, result.precision, result.engine) == ("cpu", "fp32", "torch")
    assert digest(module) == before
    assert module.training == training


def test_openclips_own_calls_make_what_it_takes(pictures: list[Image.Image], tmp_path: Path) -> None:
    """The three that `create_model_and_transforms` and `get_tokenizer` return, and the bundled model's numbers."""
    from clipsim.models.catalogue import BUNDLED_PATH

    module, _, transform = open_clip.create_model_and_transforms(f"local-dir:{BUNDLED_PATH}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{BUNDLED_PATH}")
    named = clipsim.rank(pictures, TEXTS, model="clipsim-mini", device="cpu", exact=True, cache=False)
    session = clipsim.open(module, preprocess=transform, tokenizer=tokenizer)
    path = tmp_path / "a.png"
    pictures[1].save(path)

    assert session.rank(pictures, TEXTS).similarity == pytest.approx(named.similarity, abs=1e-5)
    assert session.rank(path, TEXTS).similarity[:, 0] == pytest.approx(named.similarity[:, 1], abs=1e-5)
    for number, label in enumerate(("cat", "dog")):
        (tmp_path / "data" / label).mkdir(parents=True)
        pictures[number].save(tmp_path / "data" / label / "a.png")
    assert session.evaluate(tmp_path / "data").results[0].model.name == session.rank(path, TEXTS).model.name
    assert session.notices == ()


class Foreign(nn.Module):
    """A module of another library with OpenAI's calls."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image, self.words = nn.Linear(3 * 8 * 8, 6), nn.Embedding(50, 6)
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def encode_image(self, image: Tensor) -> Tensor:
        """Flatten and project."""
        vectors: Tensor = self.image(image.flatten(1))
        return vectors

    def encode_text(self, text: Tensor) -> Tensor:
        """The mean of the words."""
        words: Tensor = self.words(text)
        return words.mean(1)


def to_tensor(image: Image.Image) -> Tensor:
    """A function in place of a transform."""
    return torch.from_numpy(np.array(image.resize((8, 8)), np.float32) / 255).permute(2, 0, 1)


def to_ids(texts: list[str]) -> Tensor:
    """A function in place of a tokenizer."""
    return torch.tensor([[len(text) % 50, sum(map(ord, text)) % 50] for text in texts])


def openais(texts: list[str], context_length: int = 77, truncate: bool = False) -> Tensor:
    """A tokenizer with the signature of OpenAI's, which refuses what is too long."""
    if any(len(text) > 20 for text in texts) and not truncate:
        raise RuntimeError(f"Input {texts[0]} is too long for context length {context_length}")
    return to_ids([text[:20] for text in texts])


def test_any_module_with_openais_calls(pictures: list[Image.Image]) -> None:
    """Its own functions prepare images and texts; a text that its tokenizer refuses is an error."""
    module = Foreign()
    session = clipsim.open(module, preprocess=to_tensor, tokenizer=openais)
    expected = cosines(module, to_tensor, to_ids, pictures)

    assert session.rank(pictures, TEXTS).similarity == pytest.approx(expected, abs=1e-5)
    assert session.encode_images(pictures).shape == (3, 6)
    with pytest.raises(TextError, match="the tokenizer refuses a text: Input"):
        session.rank(pictures, ["a" * 30, "b"])
    cut = clipsim.open(module, preprocess=to_tensor, tokenizer=openais, truncate=True)
    assert cut.encode_texts(["a" * 30]) == pytest.approx(cut.encode_texts(["a" * 20]), abs=1e-6)


def test_openclips_tokenizer_never_cuts_in_silence(pictures: list[Image.Image]) -> None:
    """As everywhere else."""
    module = random_model("vit")
    session = clipsim.open(module, preprocess=transform_of(48), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    with pytest.raises(TextError, match="this model reads 77"):
        session.rank(pictures, ["a cat", "two dogs " * 60])


def test_later_changes_of_the_module_do_not_reach_the_session(pictures: list[Image.Image]) -> None:
    """Which has another name and identity when it is opened again."""
    module = random_model("vit")
    options = {"preprocess": transform_of(48), "tokenizer": open_clip.get_tokenizer("ViT-B-32")}
    session = clipsim.open(module, **options)
    before = session.rank(pictures, TEXTS)
    with torch.no_grad():
        module.text_projection.mul_(-1).add_(0.3)
    again = clipsim.open(module, **options)
    after = again.rank(pictures, TEXTS)

    assert (session.rank(pictures, TEXTS).similarity == before.similarity).all()
    assert np.abs(after.similarity - before.similarity).max() > 0.01
    assert session.embedder.identity != again.embedder.identity
    assert before.model.name != after.model.name
    assert before.model.name.startswith("open_clip.model.CLIP@")


def test_nothing_of_a_module_is_cached(pictures: list[Image.Image], cache_folder: Path) -> None:
    """No database is opened."""
    session = clipsim.open(Foreign(), preprocess=to_tensor, tokenizer=to_ids, cache=True)
    session.rank(pictures, TEXTS)
    assert session.embedder.cache is None
    assert not cache_folder.exists()


def test_its_session_does_not_pickle() -> None:
    """The error says why, and what to do instead."""
    session = clipsim.open(Foreign(), preprocess=to_tensor, tokenizer=to_ids)
    with pytest.raises(UsageError, match=r"cannot be pickled: .* save the model"):
        pickle.dumps(session)


def test_a_folder_of_vectors_knows_its_module(pictures: list[Image.Image], tmp_path: Path) -> None:
    """The same module goes on with it, and another one is refused."""
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    module = Foreign()
    session = clipsim.open(module, preprocess=to_tensor, tokenizer=to_ids)
    session.embed(sorted(tmp_path.glob("*.png")), tmp_path / "vectors")
    found = session.search(tmp_path / "vectors", "a maze")
    assert len(found.queries[0].results) == 3
    with torch.no_grad():
        module.image.weight.add_(1)
    other = clipsim.open(module, preprocess=to_tensor, tokenizer=to_ids)
    with pytest.raises(clipsim.ClipsimError, match="its vectors are from"):
        other.search(tmp_path / "vectors", "a maze")


class Silent(Foreign):
    """Without a scale."""

    def __init__(self) -> None:
        super().__init__()
        del self.logit_scale


class Narrow(Foreign):
    """Whose vectors of texts have another length."""

    def encode_text(self, text: Tensor) -> Tensor:
        """Fewer numbers."""
        return super().encode_text(text)[:, :3]


GOOD: dict[str, Any] = {"preprocess": to_tensor, "tokenizer": to_ids}
flip = transforms.Compose([transforms.RandomResizedCrop(8), transforms.ToTensor()])


@pytest.mark.parametrize(
    ("module", "options", "words"),
    [
        (Foreign, {"tokenizer": to_ids}, "needs its transform"),
        (Foreign, {"preprocess": "tag", "tokenizer": to_ids}, "needs its transform"),
        (Foreign, {"preprocess": to_tensor}, "needs its tokenizer"),
        (Foreign, GOOD | {"weights": "x.pt"}, "goes with the name of a model"),
        (Foreign, GOOD | {"adapter": "x"}, "goes with the name of a model"),
        (Foreign, GOOD | {"engine": "onnx"}, "has no exports"),
        (Foreign, GOOD | {"preprocess": flip}, "the transform is random"),
        (Foreign, GOOD | {"preprocess": transforms.ToTensor()}, "different shapes"),
        (Foreign, GOOD | {"preprocess": lambda image: np.array(image)}, "the transform returns uint8"),
        (Foreign, GOOD | {"preprocess": lambda image: to_tensor(image)[:, :4]}, "does not take what its transform"),
        (Foreign, GOOD | {"tokenizer": lambda texts: [1]}, "the tokenizer returns list"),
        (Foreign, GOOD | {"tokenizer": lambda texts: torch.ones(3)}, "the tokenizer returns Tensor"),
        (Silent, GOOD, "no logit_scale"),
        (Narrow, GOOD, "vectors of images with 6 numbers, and of texts with 3"),
    ],
)
def test_parts_that_do_not_work_together_are_named(module: type[Foreign], options: Any, words: str) -> None:
    """When the session is opened, in one line."""
    with pytest.raises(UsageError) as caught:
        clipsim.open(module(), **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_goes_with_a_module_only() -> None:
    """With a name it would change nothing."""
    with pytest.raises(UsageError, match="goes with a module"):
        clipsim.open("clipsim-mini", tokenizer=to_ids)
    with pytest.raises(UsageError, match="not a path"):
        clipsim.open("clipsim-mini", preprocess=to_tensor)


def test_calls_of_one_run_refer_to_open() -> None:
    """In one line, without all layers of the module."""
    module: Any = Foreign()
    with pytest.raises(UsageError, match=r"model: a module, which only clipsim\.open takes"):
        clipsim.rank(Image.new("RGB", (9, 9)), TEXTS, model=module)
    with pytest.raises(UsageError, match=r"model: a module, which only clipsim\.open takes"):
        clipsim.encode_images(Image.new("RGB", (9, 9)), model=module)


def test_images_that_cannot_be_used_are_still_named(tmp_path: Path) -> None:
    """As with every other model."""
    (tmp_path / "a.png").write_bytes(b"no image")
    session = clipsim.open(Foreign(), preprocess=to_tensor, tokenizer=to_ids)
    with pytest.raises(NoInputError):
        session.rank(tmp_path / "a.png", TEXTS)


class Limited(Foreign):
    """On a device with little memory, and with an image whose vector is beyond the range of fp16."""

    def encode_image(self, image: Tensor) -> Tensor:
        """At most two at once."""
        if len(image) > 2:
            raise RuntimeError("CUDA error: out of memory")
        vectors = super().encode_image(image)
        return torch.where(image.flatten(1).mean(1, keepdim=True) > 0.99, vectors * 1e6, vectors)


def test_a_module_on_a_device_with_limits(pictures: list[Image.Image]) -> None:
    """What does not fit is split, what is not finite is computed again in fp32, and both are said."""
    images = [*pictures, Image.new("RGB", (9, 5), "white")]
    module = Limited()
    with clipsim.open(module, preprocess=to_tensor, tokenizer=to_ids, precision="fp16") as session:
        vectors = session.encode_images(images)
        assert session.notices == (
            "too little memory on the device for a batch of 4; it is encoded in parts of 2",
            "vectors that are not finite in fp16 are computed again in fp32",
        )
    expected = torch.cat([module.encode_image(to_tensor(image)[None]) for image in images]).detach()
    assert vectors == pytest.approx(nn.functional.normalize(expected, dim=1).numpy(), abs=1e-3)


def test_a_gpu_that_fails_in_a_module(pictures: list[Image.Image]) -> None:
    """As in any other model."""

    class Failing(Foreign):
        """With an error of CUDA for other images than black ones, with which a module is tried."""

        def encode_image(self, image: Tensor) -> Tensor:
            """Fail."""
            if image.any():
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            return super().encode_image(image)

    with (
        clipsim.open(Failing(), preprocess=to_tensor, tokenizer=to_ids) as session,
        pytest.raises(DeviceLostError, match="an illegal memory access"),
    ):
        session.encode_images(pictures)
