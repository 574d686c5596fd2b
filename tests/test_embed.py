"""Tests of `embed`, with an encoder that knows colours."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.scoring.records import ImageFailure
from clipsim.embedding.encode import ImageFeatures, embed_images, embed_texts
from clipsim.errors import ImageError, PromptError
from clipsim.embedding.pipeline import Pipeline


def embed(
    encoder: FakeEncoder,
    sources: Iterable[str | Image.Image],
    *,
    batch_size: int = 32,
    workers: int | None = None,
    fail: bool = False,
) -> Iterator[list[ImageFeatures | ImageFailure]]:
    """Prepare and encode."""
    pipeline = Pipeline(encoder, sources, batch_size=batch_size, workers=workers)
    return embed_images(encoder, pipeline, batch_size=batch_size, fail=fail)


def test_images_keep_their_order(encoder: FakeEncoder, colours: Path) -> None:
    """Many workers and small batches give the images in the order asked for."""
    paths = [str(colours / f"{name}.png") for name in ("blue", "red", "green", "red", "blue")]

    outcomes = [item for batch in embed(encoder, paths, batch_size=2, workers=4) for item in batch]

    assert [Path(item.image).stem for item in outcomes if isinstance(item, ImageFeatures)] == [
        "blue", "red", "green", "red", "blue",
    ]  # fmt: skip
    assert encoder.image_batches == [2, 2, 1]
    assert isinstance(outcomes[1], ImageFeatures)
    assert outcomes[1].features == pytest.approx([1, 0, 0, 0.1])


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_bad_image_costs_only_itself(encoder: FakeEncoder, colours: Path, batch_size: int) -> None:
    """Failures stand in their places, between images that are all there."""
    (colours / "text.png").write_text("hello")
    names = ["red.png", "text.png", "nope.png", "blue.png"]
    paths = [str(colours / name) for name in names]

    outcomes = [item for batch in embed(encoder, paths, batch_size=batch_size) for item in batch]

    assert [type(item) for item in outcomes] == [ImageFeatures, ImageFailure, ImageFailure, ImageFeatures]
    assert outcomes[1] == ImageFailure(paths[1], "plain text, not an image")
    assert outcomes[2] == ImageFailure(paths[2], "no such file")


def test_failing_at_the_first_bad_image(encoder: FakeEncoder, colours: Path) -> None:
    """With `fail`, the error names the path and the cause."""
    with pytest.raises(ImageError, match=r"nope\.png: no such file"):
        list(embed(encoder, [str(colours / "red.png"), str(colours / "nope.png")], fail=True))


def test_vectors_that_are_not_finite_are_never_given_on(encoder: FakeEncoder, colours: Path) -> None:
    """An image whose features are NaN is a failure."""
    Image.new("RGB", (9, 5)).save(colours / "black.png")
    paths = [str(colours / "black.png"), str(colours / "red.png")]

    (outcomes,) = embed(encoder, paths)

    assert outcomes[0] == ImageFailure(paths[0], "the model gives it a vector that is not finite")
    assert isinstance(outcomes[1], ImageFeatures)
    with pytest.raises(ImageError, match="not finite"):
        list(embed(encoder, paths, fail=True))


def test_pictures_from_python(encoder: FakeEncoder) -> None:
    """PIL pictures of any mode are taken as they are, and named by their place."""
    (outcomes,) = embed(encoder, [Image.new("L", (30, 10), 255), Image.new("RGBA", (9, 9), (255, 0, 0, 255))])

    assert [item.image for item in outcomes if isinstance(item, ImageFeatures)] == ["image 1", "image 2"]


def test_images_are_read_only_a_little_ahead(encoder: FakeEncoder, colours: Path) -> None:
    """A million paths are not opened before the first result is used."""
    asked = 0

    def endless() -> Iterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield str(colours / "red.png")

    batches = embed(encoder, endless(), batch_size=4, workers=2)
    for _ in range(3):
        next(batches)

    assert asked <= 3 * 4 + 2 * 4
    batches.close()  # type: ignore[attr-defined]  # a generator
    time.sleep(0.5)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_texts_come_in_blocks_with_their_templates(encoder: FakeEncoder) -> None:
    """(prompts, templates, dimensions), all templates of a prompt in one block."""
    blocks = list(embed_texts(encoder, ["red", "blue", "lime"], ["a {}", "{}"], batch_size=4))

    assert [block.shape for block in blocks] == [(2, 2, 4), (1, 2, 4)]
    assert blocks[0][1, 0] == pytest.approx([0, 0, 1, 0.1])
    assert encoder.text_batches == [4, 2]


def test_many_templates_are_batched_too(encoder: FakeEncoder) -> None:
    """More templates than a batch holds never make a larger batch."""
    (block,) = embed_texts(encoder, ["red"], [f"{number} {{}}" for number in range(10)], batch_size=4)

    assert block.shape == (1, 10, 4)
    assert encoder.text_batches == [4, 4, 2]


def test_a_prompt_without_a_finite_vector(encoder: FakeEncoder) -> None:
    """The prompt is named, and nothing is ranked by it."""
    with pytest.raises(PromptError, match="'broken' a vector that is not finite"):
        list(embed_texts(encoder, ["red", "broken"]))


def test_features_are_given_as_the_encoder_made_them(encoder: FakeEncoder) -> None:
    """Normalising is `similarity`'s business."""
    (block,) = embed_texts(encoder, ["red"])

    assert np.linalg.norm(block) == pytest.approx(1.01**0.5)
