"""Tests of `embedding.encode`, with an encoder that knows colours: batches, order, failures, and the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.cache.database import Database
from clipsim.cache.vectors import EmbeddingCache, FileDigests, VectorNamespace
from clipsim.embedding.encode import (
    ImageVector,
    Outcome,
    embed_images,
    embed_texts,
    find_first,
    join_blocks,
)
from clipsim.embedding.pipeline import Pipeline
from clipsim.errors import Failure, ImageError, TextError
from clipsim.images.limits import DecodingRules
from clipsim.inputs.sources import FileSource, PillowSource, Source


@pytest.fixture
def cache(cache_folder: Path) -> EmbeddingCache:
    """An empty one."""
    database = Database(cache_folder)
    return EmbeddingCache(
        VectorNamespace(database, b"texts"), VectorNamespace(database, b"images"), FileDigests(database)
    )


def embed(
    encoder: FakeEncoder,
    sources: Iterable[Source],
    *,
    batch_size: int = 32,
    workers: int | None = None,
    fail: bool = False,
    cache: EmbeddingCache | None = None,
) -> Iterator[list[Outcome]]:
    """Prepare and encode."""
    pipeline = Pipeline(encoder, sources, rules=DecodingRules(), batch_size=batch_size, workers=workers, cache=cache)
    return embed_images(encoder, pipeline, batch_size=batch_size, fail=fail, cache=cache)


def files(folder: Path, *names: str) -> list[FileSource]:
    """Files of a folder as sources."""
    return [FileSource(str(folder / name)) for name in names]


def test_images_keep_their_order(encoder: FakeEncoder, colours: Path) -> None:
    """Many workers and small batches give the images in the order asked for."""
    names = ["blue.png", "red.png", "green.png", "red.png", "blue.png"]

    batches = list(embed(encoder, files(colours, *names), batch_size=2, workers=4))

    assert [[Path(item.image).name for item in batch] for batch in batches] == [names[:2], names[2:4], names[4:]]
    assert encoder.image_batches == [2, 2, 1]
    assert isinstance(batches[0][1], ImageVector)
    assert batches[0][1].features == pytest.approx([1, 0, 0, 0.1])


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_bad_image_costs_only_itself(encoder: FakeEncoder, colours: Path, batch_size: int) -> None:
    """Failures stand in their places, between images that are all there."""
    (colours / "text.png").write_text("hello")
    sources = files(colours, "red.png", "text.png", "nope.png", "blue.png")

    outcomes = [item for batch in embed(encoder, sources, batch_size=batch_size) for item in batch]

    assert [type(item) for item in outcomes] == [ImageVector, Failure, Failure, ImageVector]
    assert outcomes[1] == Failure(sources[1].name, "plain text, not an image")
    assert outcomes[2] == Failure(sources[2].name, "no such file")


def test_failing_at_the_first_bad_image(encoder: FakeEncoder, colours: Path) -> None:
    """With `fail`, the error names the path and the cause."""
    with pytest.raises(ImageError, match=r"nope\.png: no such file"):
        list(embed(encoder, files(colours, "red.png", "nope.png"), fail=True))


def test_vectors_that_are_not_finite_are_failures(encoder: FakeEncoder, colours: Path, cache: EmbeddingCache) -> None:
    """An image whose features are NaN has no vector, cached or not."""
    Image.new("RGB", (9, 5)).save(colours / "black.png")
    sources = files(colours, "black.png", "red.png")

    for _ in range(2):
        (outcomes,) = embed(encoder, sources, cache=cache)

        assert outcomes[0] == Failure(sources[0].name, "the model returns a vector that is not finite for it")
        assert isinstance(outcomes[1], ImageVector)
    with pytest.raises(ImageError, match="not finite"):
        list(embed(encoder, sources, fail=True))


def test_vectors_carry_the_names_and_digests_of_their_sources(
    encoder: FakeEncoder, colours: Path, cache: EmbeddingCache
) -> None:
    """The SHA-256 of the file, whether the vector is computed or cached; a picture from a program has none."""
    sources: list[Source] = [*files(colours, "red.png", "blue.png")]
    sources.append(PillowSource("image 3", Image.new("RGB", (9, 5), "lime")))
    digests = [hashlib.sha256((colours / name).read_bytes()).digest() for name in ("red.png", "blue.png")]

    for _ in range(2):
        (outcomes,) = embed(encoder, sources, cache=cache)

        vectors = [outcome for outcome in outcomes if isinstance(outcome, ImageVector)]
        assert [(vector.image, vector.digest) for vector in vectors] == [
            (sources[0].name, digests[0]),
            (sources[1].name, digests[1]),
            ("image 3", None),
        ]
        assert vectors[1].features == pytest.approx([0, 0, 1, 0.1])
    assert encoder.image_batches == [3, 1]


def test_texts_come_in_blocks_with_their_templates(encoder: FakeEncoder) -> None:
    """(prompts, templates, dimensions), all templates of a prompt in one block."""
    blocks = list(embed_texts(encoder, ["red", "blue", "lime"], ["a {}", "{}"], batch_size=4))

    assert [block.features.shape for block in blocks] == [(2, 2, 4), (1, 2, 4)]
    assert blocks[0].features[1, 0] == pytest.approx([0, 0, 1, 0.1])
    assert encoder.text_batches == [4, 2]


def test_many_templates_are_batched_too(encoder: FakeEncoder) -> None:
    """More templates than a batch holds never make a larger batch."""
    (block,) = embed_texts(encoder, ["red"], [f"{number} {{}}" for number in range(10)], batch_size=4)

    assert block.features.shape == (1, 10, 4)
    assert encoder.text_batches == [4, 4, 2]


def test_only_new_texts_are_encoded(encoder: FakeEncoder, cache: EmbeddingCache) -> None:
    """Those of an earlier call come from the cache, in their places."""
    list(embed_texts(encoder, ["red", "blue"], batch_size=4, cache=cache))

    (block,) = embed_texts(encoder, ["blue", "lime", "red"], batch_size=4, cache=cache)

    assert encoder.text_batches == [2, 1]
    assert block.features[:, 0] == pytest.approx(np.array([[0, 0, 1, 0.1], [0, 1, 0, 0.1], [1, 0, 0, 0.1]]))


def test_a_text_that_is_too_long_is_refused_although_its_cut_is_cached(
    encoder: FakeEncoder, cache: EmbeddingCache
) -> None:
    """Whether a text may be cut is part of its key."""
    text = ["red and a few more words"]
    list(embed_texts(encoder, text, batch_size=4, truncate=True, cache=cache))

    with pytest.raises(TextError, match="has 6 words"):
        list(embed_texts(encoder, text, batch_size=4, cache=cache))


def test_a_prompt_without_a_finite_vector(encoder: FakeEncoder, cache: EmbeddingCache) -> None:
    """The prompt is named, and nothing is ranked by it, in a later call either."""
    for _ in range(2):
        with pytest.raises(TextError, match=r"'broken': .* not finite"):
            list(embed_texts(encoder, ["red", "broken"], batch_size=4, cache=cache))


def test_features_are_given_as_the_encoder_computed_them(encoder: FakeEncoder) -> None:
    """Vectors of length one are made by `scoring`."""
    (block,) = embed_texts(encoder, ["red"], batch_size=4)

    assert np.linalg.norm(block.features) == pytest.approx(1.01**0.5)


def test_texts_that_are_one_to_the_model_share_a_vector(encoder: FakeEncoder, cache: EmbeddingCache) -> None:
    """In one call, and in calls that are apart: the later text takes the vector of the earlier from the cache."""
    blocks = [*embed_texts(encoder, ["red", "RED", "blue"], batch_size=4, cache=cache)]
    blocks += embed_texts(encoder, ["Blue", "red"], batch_size=4, cache=cache)
    identities = [identity for block in blocks for identity in block.identities]

    assert encoder.text_batches == [2]
    assert find_first(identities) == [0, 0, 2, 2, 0]
    assert (blocks[1].features[0] == blocks[0].features[2]).all()


def test_prompts_are_one_where_all_their_templates_are(encoder: FakeEncoder) -> None:
    """Also in different blocks; the features are those of the first."""
    texts = join_blocks(embed_texts(encoder, ["red", "blue", "Red", "reD blue"], ["a {}", "A  {}"], batch_size=2))

    assert find_first(texts.identities) == [0, 1, 0, 3]
    assert (texts.features[0] == texts.features[2]).all()
