"""Tests of `encoder`: the numbers of plain OpenCLIP calls, from every kind of checkpoint."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import CONFIGS, RESNET, VIT, random_model, state_of, write_folder
from numpy.typing import NDArray
from open_clip.model import build_model_from_openai_state_dict
from PIL import Image
from safetensors.torch import save_file

import clipsim
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.engines.torch.build import build_model, make_transform
from clipsim.engines.torch.checkpoints import read_tensors
from clipsim.errors import DeviceError, ModelError, PromptError, UsageError, WeightsError
from clipsim.models.files import find_files
from clipsim.models.names import find_model

TEXTS = ["maze", "a photo of a cat", "two words & more, isn't it?", "x " * 30]


@pytest.fixture
def pictures() -> list[Image.Image]:
    """A square, a wide and a tall picture."""
    rng = np.random.default_rng(3)
    sizes = [(64, 64), (180, 70), (50, 120)]
    return [
        Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for size in sizes
    ]


def open_path(path: Path, **options: str) -> ClipEncoder:
    """The encoder for a path, as the command line opens it."""
    spec = find_model(str(path))
    return ClipEncoder(spec, find_files(spec), **options)


def as_floats(encoder: ClipEncoder, picture: Image.Image) -> NDArray[np.float32]:
    """The picture as the network is given it, (3, h, w)."""
    floats: NDArray[np.float32] = encoder.preprocessing.normalise(encoder.prepare_image(picture)[None])[0]
    return floats


def reference(folder: Path, pictures: list[Image.Image], texts: list[str]) -> NDArray[np.float32]:
    """The cosines as OpenCLIP's documentation computes them."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(picture) for picture in pictures]))
        encoded = model.encode_text(tokenizer(texts))
    images /= images.norm(dim=-1, keepdim=True)
    encoded /= encoded.norm(dim=-1, keepdim=True)
    cosines: NDArray[np.float32] = (encoded @ images.T).numpy()
    return cosines


@pytest.mark.parametrize("family", CONFIGS)
def test_numbers_are_openclips(tmp_path: Path, pictures: list[Image.Image], family: str) -> None:
    """Every family of models agrees with plain OpenCLIP calls to 1e-5, in any batches."""
    folder = write_folder(tmp_path / family, family)
    expected = reference(folder, pictures, TEXTS)

    assert np.ptp(expected) > 0.01  # numbers that are all alike would prove nothing
    for batch_size in (1, 3, 64):
        result = clipsim.rank(pictures, TEXTS, model=str(folder), device="cpu", batch_size=batch_size)
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


@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("layout", ["plain", "half", "nested", "torchscript", "safetensors"])
def test_openai_checkpoints_in_every_container(
    tmp_path: Path, pictures: list[Image.Image], vision: dict[str, Any], layout: str
) -> None:
    """A checkpoint file alone gives OpenAI's model: its architecture, QuickGELU, and matrices rounded to fp16."""
    family = "vit" if vision is VIT else "resnet"
    state = state_of(random_model(family))
    if layout == "half":
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    extras = {
        "input_resolution": torch.tensor(48),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    path = tmp_path / "model.pt"
    # holds the matrices in fp16 for a moment, as OpenAI's own code does
    model = build_model_from_openai_state_dict(dict(state)).float()
    if layout == "nested":
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    elif layout == "torchscript":
        raw = open_clip.CLIP(**CONFIGS[family], quick_gelu=True)
        raw.load_state_dict(state)
        _write_torchscript(raw.eval(), path)
    elif layout == "safetensors":
        save_file(state, path)
    else:
        torch.save(state | extras, path)

    encoder = open_path(path)
    pixels = np.stack([encoder.prepare_image(picture) for picture in pictures])
    with torch.no_grad():
        images = model.encode_image(torch.from_numpy(encoder.preprocessing.normalise(pixels))).numpy()
        texts = model.encode_text(open_clip.tokenize(TEXTS)).numpy()

    assert encoder.encode_images(pixels) == pytest.approx(images, abs=1e-5)
    assert encoder.encode_texts(TEXTS) == pytest.approx(texts, abs=1e-5)
    assert encoder.image_size == vision["image_size"]


def _write_torchscript(model: Any, path: Path) -> None:
    size = model.visual.image_size
    size = size if isinstance(size, int) else size[0]
    images, tokens = torch.rand(2, 3, size, size), open_clip.tokenize(["a", "b"])
    trace: Any = torch.jit.trace_module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and still what OpenAI's files are
        archive = trace(model, {"encode_image": (images,), "encode_text": (tokens,)}, check_trace=False)
        archive.save(str(path))


def test_an_openclip_state_dict_with_its_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--model ARCH --weights FILE is what OpenCLIP's `pretrained=FILE` loads."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-S-32-tiny", CONFIGS["vit"])
    monkeypatch.setitem(_architectures(), "ViT-S-32-tiny", {})
    save_file(state_of(random_model("vit")), tmp_path / "own.safetensors")
    torch.save(state_of(random_model("vit")), tmp_path / "own.pt")
    picture = Image.new("RGB", (90, 60), "teal")

    plain, _, preprocess = open_clip.create_model_and_transforms(
        "ViT-S-32-tiny", pretrained=str(tmp_path / "own.safetensors")
    )
    with torch.no_grad():
        expected = plain.encode_image(preprocess(picture)[None]).numpy()

    for name in ("own.safetensors", "own.pt"):
        spec = find_model("ViT-S-32-tiny", str(tmp_path / name))
        encoder = ClipEncoder(spec, find_files(spec))
        assert encoder.encode_images(encoder.prepare_image(picture)[None]) == pytest.approx(expected, abs=1e-5)


def _architectures() -> dict[str, Any]:
    from clipsim.models.catalogue import read_catalogue

    architectures: dict[str, Any] = read_catalogue()["architectures"]
    return architectures


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    """The generator stands where it stood: nothing was initialised at random before the weights."""
    spec = find_model(str(write_folder(tmp_path, "vit")))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build_model(spec, find_files(spec))

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("family", ["vit", "resnet", "timm", "siglip"])
def test_lower_precisions_are_near(tmp_path: Path, pictures: list[Image.Image], family: str, precision: str) -> None:
    """Sixteen bits change the cosines a little, and the record says what was used."""
    folder = write_folder(tmp_path, family)
    expected = clipsim.rank(pictures, TEXTS, model=str(folder), device="cpu")
    result = clipsim.rank(pictures, TEXTS, model=str(folder), device="cpu", precision=precision)

    assert result.similarity == pytest.approx(expected.similarity, abs=0.03)
    assert result.precision == precision
    assert (result.similarity != expected.similarity).any()


def test_too_long_a_prompt_is_never_silently_cut(tmp_path: Path) -> None:
    """77 tokens are read, 78 are an error that counts them, and --truncate keeps the end token."""
    encoder = open_path(write_folder(tmp_path, "vit"))
    fits, long = "a " * 75, "a " * 76

    encoder.encode_texts([fits])
    with pytest.raises(PromptError, match=r"'a a .*' has 78 tokens and this model reads 77; .*--truncate"):
        encoder.encode_texts(["short", long])
    assert encoder.encode_texts([long], truncate=True) == pytest.approx(encoder.encode_texts([fits]), abs=1e-6)


def test_a_megabyte_is_no_prompt(tmp_path: Path) -> None:
    """It is refused or cut at once, however it is made up; white space does not count."""
    encoder = open_path(write_folder(tmp_path, "vit"))
    word = "".join(chr(97 + number * number % 26) for number in range(1_000_000))

    with pytest.raises(PromptError, match="has 1,000,000 characters, more than the 77 tokens"):
        encoder.encode_texts([word])
    assert encoder.encode_texts([word], truncate=True).shape == (1, 32)
    spaced = " " * 1_000_000 + "cat"
    assert encoder.encode_texts([spaced]) == pytest.approx(encoder.encode_texts(["cat"]), abs=1e-6)


def test_truncation_templates_order_and_workers(tmp_path: Path, pictures: list[Image.Image]) -> None:
    """Cut texts and prompt ensembles are OpenCLIP's; orders and workers change nothing."""
    folder = write_folder(tmp_path, "vit")
    texts = ["a " * 74, "a " * 75, "a " * 76 + "end"]
    expected = reference(folder, pictures, texts)
    cut = clipsim.rank(pictures, [text.strip() for text in texts], model=str(folder), truncate=True, workers=3)
    assert cut.similarity == pytest.approx(expected, abs=1e-5)

    templates = ["a photo of a {}.", "{}", "the {} in a game"]
    ensemble = clipsim.rank(pictures, ["maze", "cat"], model=str(folder), templates=templates, workers=1)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.no_grad():
        images = model.eval().encode_image(torch.stack([preprocess(picture) for picture in pictures]), normalize=True)
        for row, prompt in enumerate(("maze", "cat")):
            filled = [template.replace("{}", prompt) for template in templates]
            mean = model.encode_text(open_clip.tokenize(filled), normalize=True).mean(dim=0)
            assert ensemble.similarity[row] == pytest.approx((images @ (mean / mean.norm())).numpy(), abs=1e-5)

    back = clipsim.rank(
        pictures[::-1], ["cat", "maze"], model=str(folder), templates=templates, workers=4, batch_size=2
    )
    assert back.similarity[::-1, ::-1] == pytest.approx(ensemble.similarity, abs=1e-5)


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    """The error counts the tensors that do not fit and names one."""
    folder = write_folder(tmp_path / "model", "vit")
    save_file(state_of(random_model("resnet")), folder / "open_clip_model.safetensors")

    with pytest.raises(WeightsError, match=r"not of this architecture.*tensors are missing, visual\."):
        open_path(folder)


def test_a_state_dict_that_is_not_openais(tmp_path: Path) -> None:
    """The error says how to load it instead."""
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pt")

    with pytest.raises(WeightsError, match=r"OpenAI's layout.*--model ARCH --weights FILE"):
        open_path(tmp_path / "other.pt")


class Payload:
    """A pickle that would create a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    """A malicious pickle is an error in each container, and does nothing."""
    trap = tmp_path / "trap"
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"x": Payload(trap)}))
    torch.save({"x": Payload(trap)}, tmp_path / "zip.pt")
    torch.save({"x": Payload(trap)}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("m/constants.pkl", b"")
        archive.writestr("m/data.pkl", pickle.dumps(Payload(trap)))

    pickle.loads((tmp_path / "plain.pt").read_bytes())
    assert trap.exists()  # the payload works where it is let
    trap.unlink()
    for name in ("plain.pt", "zip.pt", "legacy.pt", "script.pt"):
        with pytest.raises(WeightsError, match=f"{name}: (holds more than tensors|damaged)") as caught:
            read_tensors(tmp_path / name)
        assert "weights_only" not in str(caught.value)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"PK\x03\x04 cut off", "damaged"),
        (b"\xff" * 7 + b"\x7f{}", "damaged"),
        (b"words", "holds more than tensors|damaged"),
    ],
)
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_files_that_are_no_checkpoints(tmp_path: Path, name: str, content: bytes, cause: str) -> None:
    """Each gets a line with its name and the cause."""
    (tmp_path / name).write_bytes(content)
    if name.endswith("safetensors") and content[:1] in (b"P", b"w"):
        cause = "damaged"  # the name says what it should be

    with pytest.raises(WeightsError, match=f"{name}: .*({cause})"):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3, 3).to_sparse(),
        torch.zeros(2, device="meta"),
        torch.zeros(1).expand(1_000_000_000),
    ],
    ids=["sparse", "meta", "expanded"],
)
@pytest.mark.filterwarnings("ignore")  # torch announces the end of some of these
def test_tensors_that_are_no_plain_arrays(tmp_path: Path, tensor: torch.Tensor) -> None:
    """What claims more numbers than the file holds, or holds them in another way, is refused."""
    torch.save({"x": tensor}, tmp_path / "odd.pt")

    with pytest.raises(WeightsError, match=r"odd\.pt: "):
        read_tensors(tmp_path / "odd.pt")


def test_archives_that_would_grow(tmp_path: Path) -> None:
    """A compressed archive, and a memo index out of all proportion, are refused before they take memory."""
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\0" * 50_000_000)
    with zipfile.ZipFile(tmp_path / "memo.pt", "w") as archive:
        archive.writestr("m/constants.pkl", b"")
        archive.writestr("m/data.pkl", b"\x80\x02}r" + (1 << 31).to_bytes(4, "little") + b".")

    with pytest.raises(WeightsError, match=r"bomb\.pt: .*compressed archive"):
        read_tensors(tmp_path / "bomb.pt")
    with pytest.raises(WeightsError, match=r"memo\.pt: holds more than tensors, or is damaged"):
        read_tensors(tmp_path / "memo.pt")


def test_a_scale_that_is_no_number(tmp_path: Path) -> None:
    """NaN or an overflow in the logit scale is an error, never a table of nan."""
    for number, scale in enumerate((float("nan"), 1000.0)):
        folder = write_folder(tmp_path / str(number), "vit")
        state = state_of(random_model("vit"))
        state["logit_scale"].fill_(scale)
        save_file(state, folder / "open_clip_model.safetensors")
        with pytest.raises(WeightsError, match="logit scale is no finite number"):
            open_path(folder)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"preprocess_cfg": {"interpolation": "lanczos"}}, "preprocessing settings"),
        ({"preprocess_cfg": {"mean": "x"}}, "preprocessing settings"),
        ({"preprocess_cfg": [1]}, "preprocess_cfg"),
        ({"model_cfg": {"text_cfg": {"vocab_size": 100}}}, "vocabulary of 100|not of this architecture"),
        ({"model_cfg": {"text_cfg": {"tokenizer_kwargs": {"reduction_mask": "random"}}}}, "reduction_mask"),
        ({"model_cfg": {"vision_cfg": {"timm_model_name": "hf-hub:a/b"}}}, "from elsewhere"),
        ({"model_cfg": {"vision_cfg": {"layers": "many"}}}, "cannot build this architecture"),
        ({"model_cfg": {"vision_cfg": {"layers": 10**6}}}, "far larger than the weights"),
        ({"model_cfg": {"text_cfg": {"layers": 10**6}}}, "far larger than the weights"),
        ({"model_cfg": {"vision_cfg": {"image_size": 100_000}}}, "far larger than the weights"),
        ({"model_cfg": {"text_cfg": {"context_length": 100_000}}}, "far larger than the weights"),
        ({"model_cfg": {"text_cfg": {"vocab_size": 10**12}}}, "far larger than the weights"),
        ({"model_cfg": {"embed_dim": 10**12}}, "far larger than the weights"),
    ],
)
def test_configurations_that_make_no_sense(tmp_path: Path, change: dict[str, Any], cause: str) -> None:
    """Each is one error that says what is wrong; none reaches the network or draws at random."""
    folder = write_folder(tmp_path, "vit")
    config = json.loads((folder / "open_clip_config.json").read_text())
    for section, settings in change.items():
        if isinstance(settings, dict):
            for key, value in settings.items():
                inner = config[section].get(key)
                config[section][key] = inner | value if isinstance(inner, dict) else value
        else:
            config[section] = settings
    (folder / "open_clip_config.json").write_text(json.dumps(config))

    with pytest.raises(ModelError, match=cause):
        open_path(folder)


def test_extreme_pictures(tmp_path: Path) -> None:
    """Where the shorter side is resized, more than 100 : 1 is cut to its middle; a squashing model sees all of it."""
    long = Image.new("RGB", (60_000, 1), "red")
    long.paste("blue", (29_000, 0, 31_000, 1))
    crops = open_path(write_folder(tmp_path / "vit", "vit"))
    squashes = open_path(write_folder(tmp_path / "siglip", "siglip"))

    assert (crops.prepare_image(long) == crops.prepare_image(Image.new("RGB", (9, 9), "blue"))).all()
    assert (as_floats(squashes, long) == make_transform(squashes.preprocessing)(long).numpy()).all()


def test_code_beside_a_tokenizer_is_never_run(tmp_path: Path) -> None:
    """A tokenizer or text model that brings code is refused, without a question on the terminal."""
    folder = write_folder(tmp_path, "vit")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "own"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["evil.Tokenizer", null]}}')

    with pytest.raises(WeightsError, match=r"tokenizer_config\.json: asks for code of its own"):
        open_path(folder)


@pytest.mark.parametrize("text", ['{"auto\\u005fmap": {"AutoTokenizer": ["evil.Tokenizer", null]}}', "{", "[" * 10**6])
def test_settings_beside_a_tokenizer_that_hide_something(tmp_path: Path, text: str) -> None:
    """An escape in a name does not hide it, and what cannot be read is not handed on."""
    folder = write_folder(tmp_path, "vit")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "own"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(text)

    with pytest.raises(WeightsError, match=r"tokenizer_config\.json: (asks for code|cannot read)"):
        open_path(folder)


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.complex64])
def test_weights_that_are_no_real_numbers(tmp_path: Path, kind: torch.dtype) -> None:
    """Whole numbers that stand for others, or complex ones, are not taken at their face value."""
    folder = write_folder(tmp_path, "vit")
    state = {name: tensor.to(kind) for name, tensor in state_of(random_model("vit")).items()}
    save_file(state, folder / "open_clip_model.safetensors")

    with pytest.raises(WeightsError, match="of another kind of number"):
        open_path(folder)


def test_a_configuration_without_end(tmp_path: Path) -> None:
    """A file of gigabytes is not read to find that it is none of OpenCLIP's."""
    folder = write_folder(tmp_path, "vit")
    with (folder / "open_clip_config.json").open("r+b") as file:
        file.truncate(40 << 30)

    with pytest.raises(WeightsError, match="cannot read the configuration"):
        open_path(folder)


def test_devices_and_precisions_that_are_not_there(tmp_path: Path) -> None:
    """A wrong name is wrong usage; a GPU that is missing is an error, never a silent CPU."""
    folder = write_folder(tmp_path, "vit")

    with pytest.raises(UsageError, match="no device is called 'gpu'"):
        open_path(folder, device="gpu")
    with pytest.raises(UsageError, match="no precision is called 'int8'"):
        open_path(folder, precision="int8")
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(DeviceError, match="CUDA"):
        open_path(folder, device=missing)


def test_nan_weights_rank_nothing(tmp_path: Path) -> None:
    """A model that gives NaN is an error, not a table of it."""
    folder = write_folder(tmp_path, "vit")
    state = state_of(random_model("vit"))
    state["text_projection"][:] = float("nan")
    save_file(state, folder / "open_clip_model.safetensors")

    with pytest.raises(PromptError, match="not finite"):
        clipsim.rank(Image.new("RGB", (9, 9)), ["maze", "cat"], model=str(folder))


def test_a_batch_too_large_for_the_device_is_halved(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
    assert "a batch of 6; going on with 3" in caplog.text
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
