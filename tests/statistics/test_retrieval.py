"""Recall at k in both directions, against a plain double loop; CLIPScore, against torchmetrics' figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clipsim.statistics.retrieval import (
    IMAGE_TO_TEXT,
    TEXT_TO_IMAGE,
    Gallery,
    measure_pairs,
    measure_retrieval,
)
from clipsim.vectors.similarity import rank_right, unit_rows

CAPTIONS = [["a", "b"], ["c"], ["a", "d", "e"], ["f"], ["g", "g"], ["c"]]


@pytest.fixture
def gallery() -> Gallery:
    """Six images with one to three captions; "a" and "c" belong to two images each, and one image has "g" twice."""
    numbers = {text: number for number, text in enumerate("abcdefg")}
    images = [image for image, own in enumerate(CAPTIONS) for _ in own]
    texts = [numbers[text] for own in CAPTIONS for text in own]
    return Gallery(np.array(images), np.array(texts), np.arange(len(CAPTIONS)))


def vectors(kinds: int, seed: int) -> NDArray[np.float32]:
    """Random unit vectors of small whole numbers, so that cosines are often equal."""
    return unit_rows(np.random.default_rng(seed).integers(-1, 2, (kinds, 3)) + np.array([0.0, 0.0, 3.0]))


@pytest.mark.parametrize("contents", [range(6), [0, 1, 0, 3, 3, 5]])
@pytest.mark.parametrize("seed", range(5))
def test_recall_is_that_of_a_double_loop(gallery: Gallery, seed: int, contents: Sequence[int]) -> None:
    """Each query sorts the whole gallery; equal captions of other images count as right, and so do copies of images."""
    gallery = replace(gallery, contents=np.array(contents))
    images = vectors(6, seed)
    texts = vectors(7, seed + 100)
    alike = [[other for other in range(6) if contents[other] == contents[image]] for image in range(6)]
    owners = [
        {other for image, own in enumerate(CAPTIONS) if text in own for other in alike[image]} for text in "abcdefg"
    ]
    text_ranks = rank_right(texts, images, gallery.right_images())
    image_ranks = rank_right(images, texts, gallery.right_texts())
    cosines = [[round(float(np.float32(text @ image)), 6) for image in images] for text in texts]

    for text in range(7):
        order = sorted(range(6), key=lambda image: (-cosines[text][image], image))
        assert text_ranks[text] == 1 + min(order.index(image) for image in owners[text])
    for image in range(6):
        order = sorted(range(7), key=lambda text: (-cosines[text][image], text))
        assert image_ranks[image] == 1 + min(order.index(text) for text in range(7) if image in owners[text])


def test_blocks_give_what_the_whole_gives(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by blocks of queries, of one row here."""
    images, texts = vectors(6, 3), vectors(7, 4)
    whole = rank_right(texts, images, gallery.right_images())
    monkeypatch.setattr("clipsim.vectors.similarity.CELLS_AT_ONCE", 1)

    assert rank_right(texts, images, gallery.right_images()).tolist() == whole.tolist()


def test_hits_are_averaged_over_captions_and_over_images(gallery: Gallery) -> None:
    """Text to image counts captions, and its interval draws images."""
    ranks = np.array([1, 2, 1, 7, 1, 1, 3, 1, 1, 9])
    found = measure_retrieval(ranks, gallery.images, 6, direction=TEXT_TO_IMAGE, gallery_size=6, recall_k=(1, 2, 6))

    assert found["text_to_image_recall@1"] is not None
    assert found["text_to_image_recall@1"].value == 0.6
    assert found["text_to_image_recall@1"].n == 10
    assert found["text_to_image_recall@2"] is not None
    assert found["text_to_image_recall@2"].value == 0.7
    assert found["text_to_image_recall@6"] is None
    median = found["text_to_image_median_rank"]
    assert median is not None
    assert median.value == 1
    assert median.low is not None
    assert median.high is not None
    assert median.low <= 1 <= median.high


def test_shared_captions_are_counted(gallery: Gallery) -> None:
    """Two of "a" and two of "c"; "g" twice with one image is not shared."""
    assert gallery.shared == 4


def test_chance_is_that_of_a_random_order(gallery: Gallery) -> None:
    """One right of six: k / 6; with more right ones more."""
    plain = Gallery(np.arange(6), np.arange(6), np.arange(6))
    assert plain.chance(2, TEXT_TO_IMAGE) == pytest.approx(2 / 6)
    assert plain.chance(6, IMAGE_TO_TEXT) == 1
    rows = [2, 1, 2, 2, 1, 1, 1, 1, 1, 2]  # right images of each caption
    expected = sum(1 - math.comb(6 - right, 2) / math.comb(6, 2) for right in rows) / 10
    assert gallery.chance(2, TEXT_TO_IMAGE) == pytest.approx(expected)
    own = [2, 1, 3, 1, 1, 1]  # right captions of each image, of seven different ones
    expected = sum(1 - math.comb(7 - right, 4) / math.comb(7, 4) for right in own) / 6
    assert gallery.chance(4, IMAGE_TO_TEXT) == pytest.approx(expected)
    copies = replace(gallery, contents=np.array([0, 1, 2, 3, 4, 1]))  # both have the caption "c"
    assert copies.chance(4, IMAGE_TO_TEXT) == pytest.approx(expected)
    assert copies.shared == 2


def test_one_image_with_one_caption() -> None:
    """A gallery of one: everything is found, and nothing is measured."""
    one = Gallery(np.array([0]), np.array([0]), np.array([0]))
    ranks = rank_right(vectors(1, 0), vectors(1, 1), one.right_images())
    found = measure_retrieval(ranks, one.images, 1, direction=TEXT_TO_IMAGE, gallery_size=1, recall_k=(1,))

    assert ranks.tolist() == [1]
    assert found["text_to_image_recall@1"] is None
    assert one.shared == 0


def test_all_scores_equal() -> None:
    """The first of the gallery comes first."""
    same = np.tile(unit_rows(np.array([[1.0, 2.0]])), (4, 1))
    plain = Gallery(np.arange(4), np.arange(4), np.arange(4))

    assert rank_right(same, same, plain.right_images()).tolist() == [1, 2, 3, 4]


def test_the_scores_are_the_formulas() -> None:
    """Each pair is clipped by itself; the means are over pairs."""
    found = measure_pairs([[0.3, -0.1], [0.2]])

    assert {name: estimate.value if estimate else None for name, estimate in found.items()} == {
        "cosine": pytest.approx(0.4 / 3),
        "clipscore_2.5": pytest.approx(2.5 * 0.5 / 3),
        "cosine_x100": pytest.approx(100 * 0.5 / 3),
    }
    assert all(estimate is not None and estimate.formula and estimate.n == 3 for estimate in found.values())


def test_references_count_by_the_nearest_of_them() -> None:
    """By the formula of the paper, over the captions of images that have references; by hand."""
    found = measure_pairs([[0.3, -0.1], [0.2], [0.4]], [[0.8, 0.9], [], [-0.2]])
    expected = (2 * 0.75 * 0.8 / (0.75 + 0.8) + 0 + 0) / 3
    figure = found["ref_clipscore"]

    assert figure is not None
    assert figure.value == pytest.approx(expected)
    assert figure.n == 3
    assert figure.low is not None
    assert measure_pairs([[0.3]], [[]])["ref_clipscore"] is None
    assert "ref_clipscore" not in measure_pairs([[0.3]])


def test_torchmetrics_figure_follows() -> None:
    """Its own code on the same vectors: it averages 100 · cos, and where no cosine is negative that is cosine_x100."""
    torch = pytest.importorskip("torch")
    clip_score = pytest.importorskip("torchmetrics.functional.multimodal").clip_score
    rng = np.random.default_rng(2)
    images, texts = (torch.tensor(rng.random((4, 8)) + 0.1) for _ in range(2))
    captions = ["0", "1", "2", "3"]

    class Model:
        config = None
        get_image_features = staticmethod(lambda pixels: images[pixels[:, 0, 0, 0]])
        get_text_features = staticmethod(lambda ids, mask: texts[ids[:, 0]])

        def to(self, device: object) -> Model:
            return self

    def processor(images: Any = None, text: Any = None, **_: Any) -> dict[str, Any]:
        if images is not None:
            return {"pixel_values": torch.stack(images)}
        return {"input_ids": torch.tensor([[int(word)] for word in text]), "attention_mask": torch.ones(4, 1)}

    pictures = [torch.full((3, 2, 2), number) for number in range(4)]
    theirs = clip_score(pictures, captions, lambda: (Model(), processor))
    cosines = torch.nn.functional.cosine_similarity(images, texts).tolist()
    ours = measure_pairs([[cosine] for cosine in cosines])["cosine_x100"]

    assert ours is not None
    assert ours.value == pytest.approx(float(theirs), abs=1e-9)
