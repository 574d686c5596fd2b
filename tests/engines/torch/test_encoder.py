"""Tests of `engines.torch.encoder`: the numbers of plain OpenCLIP calls in any batches and precision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import CONFIGS, open_path, openclip_cosines, random_model, state_of, write_folder
from fake_gpu import fake_gpu
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

import clipsim
from clipsim.engines.torch.build import make_transform
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.errors import DeviceError, ModelError, TextError
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
    sizes = []

    def limited(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        if len(batch) > room:
            raise torch.OutOfMemoryError("simulated")
        features: torch.Tensor = encode_image(batch)
        return features

    monkeypatch.setattr(encoder.towers.model, "encode_image", limited)

    assert encoder.encode_images(pixels) == pytest.approx(expected, abs=1e-5)
    assert [notice.partition("; ")[0] for notice in encoder.facts.notices] == [
        "too little memory on the device for a batch of 6", "too little memory on the device for a batch of 3",
    ]  # fmt: skip
    assert sizes == [6, 3, *[1] * 6]
    assert encoder.encode_images(pixels) == pytest.approx(expected, abs=1e-5)
    assert sizes[8:] == [1] * 6, "the size that fitted is kept"
    room = 0
    with pytest.raises(DeviceError, match="too little memory"):
        encoder.encode_images(pixels)


def test_short_texts_cost_no_padding(tmp_path: Path) -> None:
    """A causal tower sees no more tokens than the longest text has, and says the same."""
    folder = write_folder(tmp_path, "vit")
    encoder = open_path(folder)
    lengths = []
    first = encoder.towers.model.transformer.resblocks[0]
    first.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
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


@pytest.mark.parametrize(("precision", "bound"), [("fp16", 1e-3), ("bf16", 5e-3)])
def test_half_precision_keeps_its_promise(pictures: list[Image.Image], precision: str, bound: float) -> None:
    """Of a trained model, the cosines are those of fp32 as far as docs/reading-the-numbers.md says."""
    expected = clipsim.rank(pictures, TEXTS[:3], model="clipsim-mini", device="cpu", cache=False)
    result = clipsim.rank(pictures, TEXTS[:3], model="clipsim-mini", device="cpu", precision=precision, cache=False)

    assert 0 < np.abs(result.similarity - expected.similarity).max() <= bound


def pixels_of(encoder: ClipEncoder, pictures: list[Image.Image]) -> NDArray[np.uint8]:
    """The pictures as the encoder takes them."""
    return np.stack([encoder.prepare_image(picture) for picture in pictures])


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("side", ["image", "text"])
def test_what_is_not_finite_is_computed_again_in_fp32(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, precision: str, side: str
) -> None:
    """That input alone, with the weights of the files; it is said once."""
    folder = write_folder(tmp_path, "vit")
    encoder, exact = open_path(folder, device="cpu", precision=precision), open_path(folder, device="cpu")

    def encode(by: ClipEncoder) -> NDArray[np.float32]:
        return by.encode_images(pixels_of(by, pictures)) if side == "image" else by.encode_texts(TEXTS[:3])

    plain, expected = encode(encoder), encode(exact)
    run = getattr(encoder.towers, f"encode_{side}s")

    def overflow(batch: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = run(batch).clone()
        features[1, 3] = torch.inf
        return features

    monkeypatch.setattr(encoder.towers, f"encode_{side}s", overflow)
    for _ in range(2):
        features = encode(encoder)
        assert features[[0, 2]].tolist() == plain[[0, 2]].tolist()
        assert features[1] == pytest.approx(expected[1], abs=1e-5)
    assert encoder.facts.notices == (f"vectors that are not finite in {precision} are computed again in fp32",)


def test_weights_beyond_the_range_of_fp16(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """They are infinite once they are cast; those of the files are not."""
    folder = write_folder(tmp_path, "vit")
    state = state_of(random_model("vit"))
    state["visual.proj"] *= 1e6
    save_file(state, folder / "open_clip_model.safetensors")
    encoder, exact = (open_path(folder, device="cpu", precision=precision) for precision in ("fp16", "fp32"))
    pixels = pixels_of(encoder, pictures)

    features = encoder.encode_images(pixels)
    np.testing.assert_allclose(unit_rows(features), unit_rows(exact.encode_images(pixels)), rtol=0, atol=1e-6)


def test_no_memory_to_compute_again(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vectors stay as they are, and their inputs become errors; the run goes on."""
    encoder = open_path(write_folder(tmp_path, "vit"), device="cpu", precision="fp16")
    run = encoder.towers.encode_images
    monkeypatch.setattr(encoder.towers, "encode_images", lambda images: run(images) * torch.inf)

    def refuse(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("clipsim.engines.torch.encoder.Towers.encode_images", refuse)
    features = encoder.encode_images(pixels_of(encoder, pictures))

    assert not np.isfinite(features).any()
    assert "vectors are not finite in fp16, and there is too little memory to use fp32" in encoder.facts.notices


def test_batch_norms_of_fp16_stay_in_fp32(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """A variance beyond its range would be infinite, and what is divided by it zero: finite, and wrong."""
    folder = write_folder(tmp_path, "resnet")
    state = state_of(random_model("resnet"))
    state["visual.bn1.running_var"] *= 1e6
    state["visual.conv1.weight"] *= 1e3
    save_file(state, folder / "open_clip_model.safetensors")
    encoder, exact = (open_path(folder, device="cpu", precision=precision) for precision in ("fp16", "fp32"))
    pixels = pixels_of(encoder, pictures)

    features, expected = encoder.encode_images(pixels), exact.encode_images(pixels)
    assert encoder.facts.notices == ()
    assert (unit_rows(features) * unit_rows(expected)).sum(axis=1) == pytest.approx([1.0] * 3, abs=1e-3)
    assert encoder.towers.model.visual.layer1[0].conv1.weight.dtype == torch.float16


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16"])
def test_products_on_a_gpu_are_what_the_precision_says(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """fp32 is no TF32, which PyTorch's convolutions are by default; on the CPU nothing is set."""
    folder = write_folder(tmp_path, "resnet")
    set_to: list[bool] = []

    @contextmanager
    def watch(*, tf32: bool) -> Iterator[None]:
        set_to.append(tf32)
        yield

    monkeypatch.setattr("clipsim.engines.torch.encoder.fp32_products", watch)
    on_cpu = open_path(folder, device="cpu")
    expected = on_cpu.encode_images(pixels_of(on_cpu, pictures))
    assert set_to == []
    with fake_gpu(monkeypatch):
        encoder = open_path(folder, device="cuda", precision=precision)
        features = encoder.encode_images(pixels_of(encoder, pictures))
        encoder.encode_texts(TEXTS[:3])

    assert (encoder.facts.device, encoder.facts.precision) == ("cuda", precision)
    assert set_to == ([] if precision == "fp16" else [precision == "tf32"] * 2)
    assert unit_rows(features) == pytest.approx(unit_rows(expected), abs=0.01)


@pytest.mark.parametrize("family", ["vit", "siglip"])
def test_a_batch_waits_for_the_gpu_once(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """For its vectors; the length of the longest text is known before the texts are on the device."""
    with fake_gpu(monkeypatch) as gpu:
        encoder = open_path(write_folder(tmp_path, family), device="cuda")
        pixels = pixels_of(encoder, pictures)
        gpu.waits.clear()
        encoder.encode_texts(TEXTS[:3])
        assert gpu.waits == ["cpu"]
        encoder.encode_images(pixels)
        assert gpu.waits == ["cpu", "cpu"]
