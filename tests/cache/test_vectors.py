"""Tests of `cache.vectors`: a vector is found bit for bit under its own keys, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cache.contents import content, vector

from clipsim.cache.database import Database
from clipsim.cache.vectors import EmbeddingCache, FileDigests, Space, today


def test_vectors_are_found_bit_for_bit_by_their_own_keys_alone(database: Database, cache_folder: Path) -> None:
    """In a later process too, and never under another model's key."""
    Space(database, b"model a").add({content(1): vector(1)})
    database.close()
    again = Database(cache_folder)

    found = Space(again, b"model a").find([content(1), content(2)])
    assert list(found) == [content(1)]
    assert (found[content(1)] == vector(1)).all()
    assert Space(again, b"model b").find([content(1)]) == {}


def test_more_contents_than_a_query_can_hold(database: Database) -> None:
    """1500 are found in one call."""
    vectors = {content(number): vector(number) for number in range(1500)}
    space = Space(database, b"model")
    space.add(vectors)

    found = space.find(list(vectors))

    assert len(found) == 1500
    assert all((found[content] == vectors[content]).all() for content in vectors)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_not_kept(database: Database, value: float) -> None:
    """Neither NaN nor infinity; the others of the batch are."""
    space = Space(database, b"model")
    bad = vector(1).copy()
    bad[3] = value
    space.add({content(1): bad, content(2): vector(2)})

    assert list(space.find([content(1), content(2)])) == [content(2)]


def test_facts_are_kept_with_a_model(database: Database) -> None:
    """What a model's scores need beside its vectors, before and after its first vector; the last ones count."""
    facts = {"logit_scale": 99.99999, "head": "softmax"}
    Space(database, b"model").add({content(1): vector(1)})
    assert Space(database, b"model").facts is None

    Space(database, b"model").keep_facts({"logit_scale": 1.0})
    Space(database, b"model").keep_facts(facts)

    assert Space(database, b"model").facts == facts
    assert Space(database, b"other").facts is None
    assert list(Space(database, b"model").find([content(1)])) == [content(1)]


def test_the_last_use_of_vectors_is_recorded(database: Database, cache_folder: Path) -> None:
    """By the day, when the cache is closed or its keys change; vectors that were not used keep theirs."""
    texts, images = Space(database, b"texts"), Space(database, b"images")
    texts.add({content(1): vector(1)})
    images.add({content(number): vector(number) for number in (2, 3)})
    database.write([("UPDATE vectors SET used = used - 5", [()])])
    cache = EmbeddingCache(texts, images, FileDigests(database))

    cache.texts.find([content(1)])
    cache.change_keys(b"other texts", b"other images")
    assert database.select("SELECT used FROM vectors ORDER BY used") == [(today() - 5,), (today() - 5,), (today(),)]

    cache.change_keys(b"texts", b"images")
    cache.images.find([content(2)])
    cache.close()
    ages = Database(cache_folder).select("SELECT used FROM vectors ORDER BY used")
    assert ages == [(today() - 5,), (today(),), (today(),)]


def test_other_keys_find_other_vectors(database: Database) -> None:
    """A lookup that has begun under the old keys ends under them, in whatever thread the keys change."""
    cache = EmbeddingCache(Space(database, b"t"), Space(database, b"on the CPU"), FileDigests(database))
    cache.images.add({content(1): vector(1)})
    begun = cache.images

    cache.change_keys(b"t", b"on a GPU")
    cache.images.add({content(1): vector(2)})

    assert (begun.find([content(1)])[content(1)] == vector(1)).all()
    assert (cache.images.find([content(1)])[content(1)] == vector(2)).all()
