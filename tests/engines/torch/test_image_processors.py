"""Tests of the image processors that `transformers` writes into a folder: its own pixels, or a refusal by name."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import transformers
from conftest import Run
from PIL import Image
from transformers_folders import TEXTS, reference, write_clip

import clipsim
from clipsim.errors import WeightsError

pytestmark = pytest.mark.skipif(
    transformers.__version__.startswith("4."), reason="does not read an image processor from processor_config.json"
)
SQUARE = {"height": 48, "width": 48}
USUAL: dict[str, Any] = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 48}} | {
    "crop_size": SQUARE
}
OTHER_MEAN, OTHER_STD = [0.3, 0.5, 0.7], [0.5, 0.25, 0.4]
FOLLOWED: dict[str, dict[str, Any]] = {
    "mean and std": {"image_mean": OTHER_MEAN, "image_std": OTHER_STD},
    "bilinear": {"resample": 2},
    "not normalised": {"do_normalize": False},
    "not rescaled": {"do_rescale": False, "image_mean": [110.0, 120.0, 130.0], "image_std": [60.0, 70.0, 80.0]},
    "neither": {"do_rescale": False, "do_normalize": False},
    "another factor": {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [0.7] * 3},
    "squash": {"size": SQUARE, "do_center_crop": False},
    "squash and a crop": {"size": SQUARE},
    "lists as sizes": {"size": [48, 48], "crop_size": [48, 48]},
    "numbers as sizes": {"size": 48, "crop_size": 48},
    "a number as a square": {"size": 48, "default_to_square": True, "do_center_crop": False},
    "null": dict.fromkeys(("do_normalize", "image_mean", "do_pad", "image_processor_type")),
    "RGB as it is": {"do_convert_rgb": False},
    "by its other name": {"image_processor_type": "CLIPImageProcessorPil"},
    "an older class": {"image_processor_type": "CLIPImageProcessorFast"},
}
REFUSED: dict[str, tuple[Any, str]] = {
    "nearest": (USUAL | {"resample": 0}, "resample 0"),
    "lanczos": (USUAL | {"resample": 1}, "resample 1"),
    "a name": (USUAL | {"resample": "bicubic"}, "resample 'bicubic'"),
    "a truth": (USUAL | {"resample": True}, "resample True"),
    "no resampling": (USUAL | {"resample": None}, "resample None"),
    "not resized": (USUAL | {"do_resize": False}, "do_resize is false"),
    "not cropped": (USUAL | {"do_center_crop": False}, "not cropped"),
    "a larger crop": (USUAL | {"crop_size": {"height": 60, "width": 60}}, "cropped to"),
    "a smaller resize": (USUAL | {"size": {"shortest_edge": 40}}, "resized to"),
    "a larger resize": (USUAL | {"size": {"shortest_edge": 56}}, "resized to"),
    "a longest edge": (USUAL | {"size": {"shortest_edge": 48, "longest_edge": 90}}, "resized to"),
    "use_square_size": (USUAL | {"use_square_size": True}, "'height': 224"),
    "padded": (USUAL | {"do_pad": True}, "do_pad"),
    "another class": (USUAL | {"image_processor_type": "BitImageProcessor"}, "BitImageProcessor"),
    "an unknown step": (USUAL | {"do_flip": True}, "do_flip"),
    "a flag in words": (USUAL | {"do_normalize": "false"}, "do_normalize is 'false'"),
    "a flag as a number": (USUAL | {"do_rescale": 0}, "do_rescale is 0"),
    "a mean of one": (USUAL | {"image_mean": [0.5]}, "image_mean"),
    "a mean in words": (USUAL | {"image_mean": ["a", "b", "c"]}, "image_mean"),
    "a std of zero": (USUAL | {"image_std": [0, 0, 0]}, "not positive"),
    "a std of infinity": (USUAL | {"image_std": [float("inf")] * 3}, "image_std"),
    "a factor of zero": (USUAL | {"rescale_factor": 0}, "not positive"),
    "a factor in words": (USUAL | {"rescale_factor": "1/255"}, "rescale_factor"),
    "a size in words": (USUAL | {"size": "48"}, "size is '48'"),
    "three sizes": (USUAL | {"size": [48, 48, 3]}, "size is"),
    "a size of parts": (USUAL | {"size": {"shortest_edge": 48.5}}, "size is"),
    "a huge size": (USUAL | {"size": {"shortest_edge": 10**400}}, "resized to"),
    "no mean": (USUAL | {"image_mean": None}, "image_mean is None"),
    "no size": (USUAL | {"size": None}, "size is None"),
    "no crop": (USUAL | {"crop_size": None}, "crop_size is None"),
    "no factor": (USUAL | {"rescale_factor": None}, "rescale_factor is None"),
    "not an object": ("CLIPImageProcessor", "not an image processor"),
    "a list": ([USUAL], "not an image processor"),
}


@cache
def _folder() -> Path:
    return write_clip(Path(mkdtemp()) / "clip")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder without the settings of an image processor."""
    copied = tmp_path / "clip"
    shutil.copytree(_folder(), copied, ignore=shutil.ignore_patterns("*.safetensors"))
    (copied / "model.safetensors").hardlink_to(_folder() / "model.safetensors")  # which no test writes to
    (copied / "preprocessor_config.json").unlink()
    return copied


@pytest.fixture
def odd_pictures(pictures: list[Image.Image]) -> list[Image.Image]:
    """Pictures of many shapes, among them those whose crop starts at half a pixel."""
    sizes = [(48, 51), (99, 96), (97, 200), (31, 40)]
    return [*pictures, *(pictures[0].rotate(30).resize(size) for size in sizes)]


def write_processor(folder: Path, settings: Any) -> None:
    """What a processor's `save_pretrained` writes in transformers 5, and nothing else."""
    content = {"processor_class": "CLIPProcessor", "image_processor": settings}
    (folder / "processor_config.json").write_text(json.dumps(content))


def cosines(folder: Path, pictures: list[Image.Image]) -> Any:
    """The cosines of clipsim."""
    return clipsim.rank(pictures, TEXTS, model=str(folder), device="cpu", cache=False).similarity


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_nested_image_processor_gives_the_numbers_of_transformers(
    folder: Path, odd_pictures: list[Image.Image], name: str
) -> None:
    """Each setting is followed to 1e-5, and most give other numbers than CLIP's usual ones."""
    write_processor(folder, USUAL | FOLLOWED[name])
    expected = reference(folder, odd_pictures, _folder())

    assert np.ptp(expected) > 0.01
    assert cosines(folder, odd_pictures) == pytest.approx(expected, abs=1e-5)


def test_a_whole_processor_saved_by_transformers(folder: Path, odd_pictures: list[Image.Image]) -> None:
    """As a user saves it: one file for the tokenizer's and the image processor's settings."""
    image_processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 48}, crop_size=SQUARE, image_mean=OTHER_MEAN, image_std=OTHER_STD, resample=2
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    transformers.CLIPProcessor(image_processor, tokenizer).save_pretrained(folder)

    assert not (folder / "preprocessor_config.json").exists()
    assert cosines(folder, odd_pictures) == pytest.approx(reference(folder, odd_pictures), abs=1e-5)


@pytest.mark.parametrize("nested", [True, False])
def test_the_nested_one_goes_before_the_other_file(folder: Path, odd_pictures: list[Image.Image], nested: bool) -> None:
    """Where processor_config.json has no image processor, preprocessor_config.json is read."""
    write_processor(folder, USUAL | {"image_mean": OTHER_MEAN} if nested else None)
    (folder / "preprocessor_config.json").write_text(json.dumps(USUAL | {"image_std": OTHER_STD}))

    assert cosines(folder, odd_pictures) == pytest.approx(reference(folder, odd_pictures, _folder()), abs=1e-5)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("file", ["processor_config.json", "preprocessor_config.json"])
def test_what_cannot_be_followed_is_named(folder: Path, name: str, file: str) -> None:
    """One line names the setting; no picture is prepared in another way."""
    settings, words = REFUSED[name]
    if file == "processor_config.json":
        write_processor(folder, settings)
    else:
        (folder / file).write_text(json.dumps(settings))

    with pytest.raises(WeightsError, match="not supported: ") as caught:
        clipsim.open(str(folder))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[1]", '"text"', "[" * 100_000])
def test_a_damaged_file_is_named(folder: Path, content: str) -> None:
    """It is never passed over for the other file."""
    (folder / "processor_config.json").write_text(content)
    (folder / "preprocessor_config.json").write_text(json.dumps(USUAL))

    with pytest.raises(WeightsError, match="processor_config"):
        clipsim.open(str(folder))


def test_the_command_follows_or_refuses_in_one_line(folder: Path, pictures: list[Image.Image], run_model: Run) -> None:
    """Status 0 with transformers' cosines, or status 1 with the setting and no traceback."""
    pictures[1].save(folder / "a.png")
    texts = [part for text in TEXTS for part in ("-t", text)]
    for settings, status in ((USUAL | FOLLOWED["mean and std"], 0), (REFUSED["nearest"][0], 1)):
        write_processor(folder, settings)
        done = run_model("rank", folder / "a.png", *texts, "-m", folder, "--json", "--no-cache")

        assert done.returncode == status
        if status:
            assert done.stderr.count(b"\n") == 1
            assert b"resample 0" in done.stderr
        else:
            expected = reference(folder, [pictures[1]])
            assert np.array(json.loads(done.stdout)["similarity"]) == pytest.approx(expected, abs=1e-5)
