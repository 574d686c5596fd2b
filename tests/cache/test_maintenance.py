"""Tests of `cache.maintenance`: what is counted, and what pruning leaves."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from cache.contents import content, stamp, vector

from clipsim.cache.database import Database
from clipsim.cache.maintenance import ModelVectors, clear, describe, prune, size_on_disk
from clipsim.cache.vectors import FileDigests, FileKeys, VectorNamespace, description_note, today

DAY = 86_400
EMPTY = 200_000  # bytes that an empty cache may take


def fill(database: Database, vectors: int, length: int = 512, names: int = 1) -> VectorNamespace:
    """Keep vectors of files with several names; each was last used a day after the one before, the last yesterday."""
    space = VectorNamespace(database, b"model")
    records = [
        (f"/pictures of the year/{name}/{number:05}.png", stamp(number), FileKeys(content(number), content(number)))
        for number in range(vectors)
        for name in range(names)
    ]
    texts = {content(number): content(number) for number in range(vectors)}
    space.add({content(number): vector(number, length) for number in range(vectors)}, records, texts)
    ages = [(today() - (vectors - number), content(number)) for number in range(vectors)]
    database.write([("UPDATE vectors SET used = ? WHERE key = ?", ages)])
    return space


def left(space: VectorNamespace, vectors: int) -> list[int]:
    """The numbers of the vectors that are still there."""
    found = space.find([content(number) for number in range(vectors)])
    return [number for number in range(vectors) if content(number) in found]


def test_what_the_cache_holds(database: Database) -> None:
    """Vectors, sets of them, known files, and the bytes that all this takes on the disk."""
    empty = describe(database)
    fill(database, 300, names=2)
    found = describe(database)

    assert (empty.vectors, empty.spaces, empty.files) == (0, 0, 0)
    assert empty.bytes < EMPTY
    assert (found.vectors, found.spaces, found.files) == (300, 1, 600)
    assert found.path == str(database.path)
    assert found.bytes == size_on_disk(database.path) > 300 * 512 * 4


def test_which_models_and_how_old(database: Database) -> None:
    """Images and texts of each, most vectors first; the days of the last uses; models that are gone are not named."""
    fill(database, 30)
    for kind, count in (("images", 100), ("texts", 20)):
        space = VectorNamespace(database, f"b {kind}".encode(), {"model": "b/x", "precision": "fp16", "of": kind})
        space.add({content(number): vector(number) for number in range(count)})
    found = describe(database)

    assert found.models == (ModelVectors("b/x", "fp16", 100, 20), ModelVectors(None, None, 30, 0))
    assert found.oldest is not None
    assert found.latest is not None
    assert date.fromisoformat(found.latest) - date.fromisoformat(found.oldest) == timedelta(days=30)

    database.write([("UPDATE vectors SET used = 0 WHERE namespace > 1", [()])])
    prune(database, older_than=40 * DAY)
    assert describe(database).models == (ModelVectors(None, None, 30, 0),)
    assert database.read_notes([description_note(b"b images").decode()]) == {}


def test_a_day_that_is_none(database: Database) -> None:
    """Of a damaged file; nothing fails for it."""
    fill(database, 2)
    database.write([("UPDATE vectors SET used = ?", [(1 << 60,)])])

    assert describe(database).oldest == describe(database).latest


def test_old_vectors_are_removed(database: Database) -> None:
    """Those not used for that long, with what is known of their files; more than one transaction removes."""
    space = fill(database, 4500, length=4)

    assert prune(database, older_than=30 * DAY) == 4470

    assert left(space, 4500) == list(range(4470, 4500))
    assert describe(database).files == 30
    assert space.find_tokens([content(4470), content(1)]) == {content(4470): content(4470)}
    assert prune(database, older_than=30 * DAY) == 0


@pytest.mark.parametrize("names", [1, 20])
def test_pruning_to_a_size_reaches_it(database: Database, names: int) -> None:
    """However many names of files there are; what was used last is kept, and not much less than fits."""
    space = fill(database, 1000, names=names)
    target = size_on_disk(database.path) // 3

    removed = prune(database, max_bytes=target)

    assert size_on_disk(database.path) <= target
    assert left(space, 1000) == list(range(removed, 1000))
    assert size_on_disk(database.path) > 0.7 * target
    assert describe(database).files == names * (1000 - removed)


def test_names_without_vectors_are_removed_first(database: Database) -> None:
    """Where removing them is enough, no vector is lost."""
    space = fill(database, 100)
    records = [(f"/gone/{number:06}.png", stamp(number), FileKeys(b"\0" * 32, b"\0" * 32)) for number in range(20_000)]
    space.add({}, records)
    assert size_on_disk(database.path) > 3_000_000

    assert prune(database, max_bytes=1_000_000) == 0

    assert size_on_disk(database.path) <= 1_000_000
    assert left(space, 100) == list(range(100))
    assert FileDigests(database).find({records[0][0]: records[0][1]}) == {}


def test_a_size_that_cannot_be_reached_removes_all_vectors(database: Database) -> None:
    """An empty database takes some place too."""
    fill(database, 50)

    assert prune(database, max_bytes=0) == 50

    assert describe(database).vectors == describe(database).files == describe(database).spaces == 0
    assert size_on_disk(database.path) < EMPTY


def test_clearing_removes_everything(database: Database) -> None:
    """Notes too; the place on the disk is free again."""
    space = fill(database, 500)
    database.write_notes({"name": "value"})

    assert clear(database) == 500

    assert left(space, 500) == []
    assert database.read_notes(["name"]) == {}
    assert size_on_disk(database.path) < EMPTY
