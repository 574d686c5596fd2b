"""Tests of `engines.torch.encoder`: the numbers of plain OpenCLIP calls in any batches and precision; devices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import CONFIGS, open_path, openclip_cosines, random_model, state_of, write_folder
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

import clipsim
from clipsim.engines.torch.build import make_transform
from clipsim.engines.torch.encoder import ClipEncoder, choose_device, choose_precision, describe_devices
from clipsim.errors import DeviceError, ModelError, TextError, UsageError
from clipsim.models.files import find_files
from clipsim.models.settings import choose_model
from clipsim.options import ModelOptions
from clipsim.vectors.similarity import unit_rows

TEXTS = ["maze", "a photo of a cat", "two words & more, isn't it?", "x " * 30]


def as_floats(encoder: ClipEncoder, picture: Image.Image) -> NDArray[np.float32]:
    """The picture as the network is given it, (3, h, w)."""
    floats: NDArray[np.float32] = encoder.facts.preprocessing.normalise(encoder.prepare_image(picture)[None])[0]
    return floats


@pytest.mark.parametrize("family", CONFIGS)
def test_numbers_are_openclips(tmp_path: Path, pictures: list[Image.Image], family: str) -> None:
    """Every family of models agrees with plain OpenCLIP calls to 1e-5, in batches of any size."""
    folder = write_folder(tmp_path / family, family)
    expected = openclip_cosines(folder, pictures, TEXTS)

    assert np.ptp(expected) > 0.01  # numbers that are all alike would prove nothing
    for batch_size in (1, 3, 64):
        result = clipsim.rank(
            pictures, TEXTS, model=folder, device="cpu", batch_size=batch_size, cache=False, engine="torch"
        )
        assert result.similarity == pytest.approx(expected, abs=1e-5)
    assert result.model.head == ("sigmoid" if family == "siglip" else "softmax")
    assert result.model.logit_scale == pytest.approx(np.exp(3.7), rel=1e-6)


@pytest.mark.parametrize("family", ["vit", "siglip"])
def test_preprocessing_is_the_models_own(tmp_path: Path, pictures: list[Image.Image], family: str) -> None:
    """Bit for bit, also for a very wide picture."""
    folder = write_folder(tmp_path, family)
    _, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    encoder = open_path(folder)

    for picture in (*pictures, Image.effect_noise((2000, 40), 90).convert("RGB")):
        assert (as_floats(encoder, picture) == preprocess(picture).numpy()).all()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("family", ["vit", "resnet", "timm", "siglip"])
def test_lower_precisions_are_near(tmp_path: Path, pictures: list[Image.Image], family: str, precision: str) -> None:
    """Sixteen bits change the cosines a little, and the record says what was used."""
    folder = write_folder(tmp_path, family)
    expected = clipsim.rank(pictures, TEXTS, model=folder, device="cpu", cache=False)
    result = clipsim.rank(pictures, TEXTS, model=folder, device="cpu", precision=precision, cache=False)

    assert result.similarity == pytest.approx(expected.similarity, abs=0.03)
    assert result.precision == precision
    assert (result.similarity != expected.similarity).any()


def test_too_long_a_prompt_is_never_silently_cut(tmp_path: Path) -> None:
    """77 tokens are read, 78 are an error that counts them, and `truncate` keeps the end token."""
    encoder = open_path(write_folder(tmp_path, "vit"))
    fits, long = "a " * 75, "a " * 76

    encoder.encode_texts([fits])
    with pytest.raises(TextError, match=r"'a a .*' has 78 tokens and this model reads 77; .*truncate=True"):
        encoder.encode_texts(["short", long])
    assert encoder.encode_texts([long], truncate=True) == pytest.approx(encoder.encode_texts([fits]), abs=1e-6)


def test_a_megabyte_of_text_is_refused_or_cut_at_once(tmp_path: Path) -> None:
    """One word of a million letters too, whose tokens would take minutes; white space does not count."""
    encoder = open_path(write_folder(tmp_path, "vit"))
    word = "".join(chr(97 + number * number % 26) for number in range(1_000_000))

    with pytest.raises(TextError, match="has 1,000,000 characters, more than the 77 tokens"):
        encoder.encode_texts([word])
    assert encoder.encode_texts([word], truncate=True).shape == (1, 32)
    spaced = " " * 1_000_000 + "cat"
    assert encoder.encode_texts([spaced]) == pytest.approx(encoder.encode_texts(["cat"]), abs=1e-6)


def test_truncation_templates_order_and_workers(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """Cut texts and prompt ensembles are OpenCLIP's; order, workers and batches change nothing."""
    folder = write_folder(tmp_path, "vit")

    def rank(images: list[Image.Image], texts: list[str], **options: object) -> NDArray[np.float32]:
        result = clipsim.rank(images, texts, model=folder, device="cpu", cache=False, deduplicate=False, **options)  # type: ignore[arg-type]
        return result.similarity

    texts = ["a " * 74, "a " * 75, "a " * 76 + "end"]
    expected = openclip_cosines(folder, pictures, texts)
    cut = rank(pictures, texts, truncate=True, workers=3)
    assert cut == pytest.approx(expected, abs=1e-5)

    templates = ["a photo of a {}.", "{}", "the {} in a game"]
    ensemble = rank(pictures, ["maze", "cat"], templates=templates, workers=1)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.no_grad():
        images = model.eval().encode_image(torch.stack([preprocess(picture) for picture in pictures]), normalize=True)
        for row, prompt in enumerate(("maze", "cat")):
            filled = [template.replace("{}", prompt) for template in templates]
            mean = model.encode_text(open_clip.tokenize(filled), normalize=True).mean(dim=0)
            assert ensemble[row] == pytest.approx((images @ (mean / mean.norm())).numpy(), abs=1e-5)

    back = rank(pictures[::-1], ["cat", "maze"], templates=templates, workers=4, batch_size=2)
    assert back[::-1, ::-1] == pytest.approx(ensemble, abs=1e-5)


def test_extreme_pictures(tmp_path: Path) -> None:
    """Where the shorter side is resized, more than 100 : 1 is cut to its middle; a squashing model sees all of it."""
    long = Image.new("RGB", (60_000, 1), "red")
    long.paste("blue", (29_000, 0, 31_000, 1))
    crops = open_path(write_folder(tmp_path / "vit", "vit"))
    squashes = open_path(write_folder(tmp_path / "siglip", "siglip"))

    assert (crops.prepare_image(long) == crops.prepare_image(Image.new("RGB", (9, 9), "blue"))).all()
    assert (as_floats(squashes, long) == make_transform(squashes.facts.preprocessing)(long).numpy()).all()


def test_towers_of_different_widths_are_refused(tmp_path: Path) -> None:
    """A text tower without its projection gives vectors that no image can be compared with."""
    folder = write_folder(tmp_path, "vit")
    settings = json.loads((folder / "open_clip_config.json").read_text())
    settings["model_cfg"]["text_cfg"]["proj_type"] = "none"
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    state = {name: tensor for name, tensor in state_of(random_model("vit")).items() if name != "text_projection"}
    save_file(state, folder / "open_clip_model.safetensors")

    with pytest.raises(ModelError, match="a tower of the model gives features of shape"):
        clipsim.encode_texts(["maze"], model=folder, device="cpu", cache=False)


def test_nan_weights_rank_nothing(tmp_path: Path) -> None:
    """A model that gives NaN is an error, not a table of it."""
    folder = write_folder(tmp_path, "vit")
    state = state_of(random_model("vit"))
    state["text_projection"][:] = float("nan")
    save_file(state, folder / "open_clip_model.safetensors")

    with pytest.raises(TextError, match="not finite"):
        clipsim.rank(Image.new("RGB", (9, 9)), ["maze", "cat"], model=str(folder))


def test_a_batch_too_large_for_the_device_is_halved(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers are those of the whole batch, it is said, and a single picture that does not fit is an error."""
    encoder = open_path(write_folder(tmp_path, "vit"))
    pixels = np.stack([encoder.prepare_image(picture) for picture in pictures * 2])
    expected = encoder.encode_images(pixels)
    encode_image, room = encoder.towers.model.encode_image, 2

    def limited(batch: torch.Tensor) -> torch.Tensor:
        if len(batch) > room:
            raise torch.OutOfMemoryError("simulated")
        features: torch.Tensor = encode_image(batch)
        return features

    monkeypatch.setattr(encoder.towers.model, "encode_image", limited)

    assert encoder.encode_images(pixels) == pytest.approx(expected, abs=1e-5)
    assert [notice.partition("; ")[0] for notice in encoder.facts.notices] == [
        "too little memory on the device for a batch of 6", "too little memory on the device for a batch of 3",
    ]  # fmt: skip
    room = 0
    with pytest.raises(DeviceError, match="too little memory"):
        encoder.encode_images(pixels)


def test_short_texts_cost_no_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A causal tower sees no more tokens than the longest text has, and says the same."""
    folder = write_folder(tmp_path, "vit")
    encoder = open_path(folder)
    lengths = []
    transformer = encoder.towers.model.transformer

    def watched(x: torch.Tensor, **mask: torch.Tensor) -> torch.Tensor:
        lengths.append(x.shape[1])
        encoded: torch.Tensor = type(transformer).forward(transformer, x, **mask)
        return encoded

    monkeypatch.setattr(transformer, "forward", watched)
    texts = ["cat", "a photo of a maze"]

    features = encoder.encode_texts(texts)

    assert lengths == [7]
    plain, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.no_grad():
        expected = plain.encode_text(open_clip.tokenize(texts)).numpy()
    assert features == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", ["vit", "siglip", "coca"])
def test_the_side_that_is_not_needed_stays_as_it_was(tmp_path: Path, family: str) -> None:
    """A tower is cast when it is first used."""
    encoder = open_path(write_folder(tmp_path, family), precision="bf16")
    model = encoder.towers.model

    def kinds(image: bool) -> set[torch.dtype]:
        return {p.dtype for name, p in model.named_parameters() if name.startswith("visual.") == image}

    encoder.encode_texts(["cat"])
    assert (kinds(image=True), kinds(image=False)) == ({torch.float32}, {torch.bfloat16})
    encoder.encode_images(encoder.prepare_image(Image.new("RGB", (9, 9)))[None])
    assert kinds(image=True) == {torch.bfloat16}


def test_a_picture_has_one_vector_whatever_its_batch(pictures: list[Image.Image]) -> None:
    """To 1e-6: the kernels for one or two pictures sum in another order."""
    spec, _ = choose_model(ModelOptions("clipsim-mini"))
    encoder = ClipEncoder(spec, find_files(spec), device="cpu")
    pixels = np.stack([encoder.prepare_image(picture) for picture in (*pictures, *pictures)][:9])
    together = encoder.encode_images(pixels)

    for size in (1, 2, 3, 5, 8):
        batches = [encoder.encode_images(pixels[start : start + size]) for start in range(0, len(pixels), size)]
        np.testing.assert_allclose(unit_rows(np.concatenate(batches)), unit_rows(together), rtol=0, atol=1e-6)


def test_unknown_names_are_wrong_usage() -> None:
    """The error lists what can be chosen."""
    with pytest.raises(UsageError, match="device='gpu': unknown device; choose auto, cpu"):
        choose_device("gpu")
    with pytest.raises(UsageError, match="precision='int8': unknown precision; choose fp32"):
        choose_precision("int8", torch.device("cpu"))


def test_a_missing_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is asked for and not there never falls back to the CPU; the error names what the caller passed."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)

    with pytest.raises(DeviceError, match=r"device='cuda:0': no CUDA GPU .*; try device='cpu'"):
        choose_device("cuda:0")
    with pytest.raises(DeviceError, match="MPS is not available"):
        choose_device("mps")
    assert choose_device("auto").type == "cpu"


def test_a_gpu_beyond_the_last_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error counts those that are there."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)

    assert str(choose_device("cuda:1")) == "cuda:1"
    assert choose_device("auto").type == "cuda"
    with pytest.raises(DeviceError, match="device='cuda:2': no such GPU; this machine has 2 CUDA GPUs"):
        choose_device("cuda:2")


def test_the_default_precision_is_the_devices() -> None:
    """FP32 on a CPU, fp16 on CUDA as in OpenAI's code; a precision that is asked for is kept."""
    cpu, cuda = torch.device("cpu"), torch.device("cuda")

    assert choose_precision(None, cpu) == ("fp32", torch.float32)
    assert choose_precision(None, cuda) == ("fp16", torch.float16)
    assert choose_precision("bf16", cuda) == ("bf16", torch.bfloat16)


def test_every_machine_has_a_cpu() -> None:
    """The first device that is described is the CPU."""
    assert next(iter(describe_devices())) == "cpu"
