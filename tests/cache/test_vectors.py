"""Tests of `cache.vectors`: a vector is found under its own keys or not at all; a file is read when it has changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cache.contents import content, stamp, vector

from clipsim.cache.database import Database
from clipsim.cache.maintenance import prune
from clipsim.cache.vectors import EmbeddingCache, FileDigests, FileKeys, VectorNamespace, today
from clipsim.files import FileStamp, digest_file


def test_vectors_are_found_bit_for_bit_by_their_own_keys_alone(database: Database, cache_folder: Path) -> None:
    """In a later process too, and never under another model's key."""
    VectorNamespace(database, b"model a").add({content(1): vector(1)})
    database.close()
    again = Database(cache_folder)

    found = VectorNamespace(again, b"model a").find([content(1), content(2)])
    assert list(found) == [content(1)]
    assert (found[content(1)] == vector(1)).all()
    assert VectorNamespace(again, b"model b").find([content(1)]) == {}


def test_more_contents_than_a_query_can_hold(database: Database) -> None:
    """1500 are found in one call."""
    vectors = {content(number): vector(number) for number in range(1500)}
    space = VectorNamespace(database, b"model")
    space.add(vectors)

    found = space.find(list(vectors))

    assert len(found) == 1500
    assert all((found[content] == vectors[content]).all() for content in vectors)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_not_kept(database: Database, value: float) -> None:
    """Neither NaN nor infinity; the others of the batch are."""
    space = VectorNamespace(database, b"model")
    bad = vector(1).copy()
    bad[3] = value
    space.add({content(1): bad, content(2): vector(2)})

    assert list(space.find([content(1), content(2)])) == [content(2)]


def test_facts_are_kept_with_a_model(database: Database) -> None:
    """What a model's scores need beside its vectors, before and after its first vector; the last ones count."""
    facts = {"logit_scale": 99.99999, "head": "softmax"}
    VectorNamespace(database, b"model").add({content(1): vector(1)})
    assert VectorNamespace(database, b"model").facts is None

    VectorNamespace(database, b"model").keep_facts({"logit_scale": 1.0})
    VectorNamespace(database, b"model").keep_facts(facts)

    assert VectorNamespace(database, b"model").facts == facts
    assert VectorNamespace(database, b"other").facts is None
    assert list(VectorNamespace(database, b"model").find([content(1)])) == [content(1)]


def test_the_last_use_of_vectors_is_recorded(database: Database, cache_folder: Path) -> None:
    """By the day, when the cache is closed; vectors that were not used keep theirs."""
    texts, images = VectorNamespace(database, b"texts"), VectorNamespace(database, b"images")
    texts.add({content(1): vector(1)})
    images.add({content(number): vector(number) for number in (2, 3)})
    database.write([("UPDATE vectors SET used = used - 5", [()])])
    cache = EmbeddingCache(texts, images, FileDigests(database))

    cache.texts.find([content(1)])
    cache.images.find([content(2)])
    cache.close()

    ages = Database(cache_folder).select("SELECT used FROM vectors ORDER BY used")
    assert ages == [(today() - 5,), (today(),), (today(),)]


def test_texts_are_found_by_their_tokens(database: Database) -> None:
    """Two texts of the same tokens have one vector; another model knows neither."""
    texts = VectorNamespace(database, b"texts")
    texts.add({content(9): vector(9)}, tokens={content(1): content(9), content(2): content(9)})

    assert texts.find_tokens([content(number) for number in (1, 2, 3)]) == dict.fromkeys(
        (content(1), content(2)), content(9)
    )
    assert list(texts.find([content(9)])) == [content(9)]
    assert VectorNamespace(database, b"other").find_tokens([content(1)]) == {}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE vectors SET vector = substr(vector, 1, 9)",
        "UPDATE vectors SET vector = substr(vector, 1, 8) WHERE rowid = 1",
        "UPDATE vectors SET vector = 1.5",
        "UPDATE vectors SET vector = ''",
        "UPDATE vectors SET used = 'now'",
    ],
)
def test_rows_of_another_length_or_type_are_damage(database: Database, change: str) -> None:
    """Nothing is found then, and a new file begins."""
    images = VectorNamespace(database, b"images")
    images.add({content(number): vector(number) for number in range(3)})
    database.run_alone(change)

    assert images.find([content(number) for number in range(3)]) == {}
    images.add({content(1): vector(1)})
    assert list(images.find([content(1)])) == [content(1)]
    assert [notice.count("was damaged") for notice in database.notices] == [1]


def keys(number: int) -> FileKeys:
    """What is known of a file."""
    return FileKeys(content(number), content(number + 1))


@pytest.fixture
def exact_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of files are taken for exact at once, and not after two seconds; the test sees to it that they are."""
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", -(10**18))


def test_digests_are_found_by_name_and_stamp(database: Database) -> None:
    """Another stamp, another name: nothing."""
    records = [(f"/{number}.png", stamp(number), keys(number)) for number in range(1000)]
    VectorNamespace(database, b"model").add({content(0): vector(0)}, records)
    digests = FileDigests(database)

    found = digests.find({name: stamp for name, stamp, _ in records} | {"/none.png": stamp(1)})

    assert found == {name: keys for name, _, keys in records}
    assert digests.find({"/1.png": stamp(2), "/2.png": stamp(1)}) == {}


def test_names_that_are_not_utf8(database: Database) -> None:
    """Names are kept as bytes."""
    name = os.fsdecode(b"/caf\xe9.png")
    VectorNamespace(database, b"model").add({}, [(name, stamp(1), keys(1))])

    assert FileDigests(database).find({name: stamp(1), "/café.png": stamp(1)}) == {name: keys(1)}


def is_read(digests: FileDigests, path: Path) -> bool:
    """Whether a file is read for its digest."""
    read: list[Path] = []
    digests.read([path], before_reading=lambda: read.append(path))
    return read == [path]


def test_weights_are_read_again_only_when_they_have_changed(
    database: Database, tmp_path: Path, exact_clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the content alone is seen too, although copying programs restore the time of the last change."""
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    read: list[Path] = []

    def watched(path: Path) -> str:
        read.append(path)
        return digest_file(path)

    monkeypatch.setattr("clipsim.files.digest_file", watched)
    digests = FileDigests(database)

    first = digests.read([path])
    assert (digests.read([path]), read) == (first, [path])

    times = path.stat()
    while path.stat().st_ctime_ns == times.st_ctime_ns:  # a kernel's clock ticks every few milliseconds
        path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digests.read([path]) != first
    assert len(read) == 2


def test_weights_that_have_just_changed_are_read_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could change once more within the same tick of the clock."""
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", 10**18)
    (tmp_path / "weights").write_bytes(b"one")
    digests = FileDigests(database)

    digests.read([tmp_path / "weights"])

    assert is_read(digests, tmp_path / "weights")


def test_pruning_vectors_does_not_forget_the_weights(database: Database, tmp_path: Path, exact_clock: None) -> None:
    """Reading gigabytes of weights again would cost more than all the vectors did."""
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    digests = FileDigests(database)
    digests.read([path])
    VectorNamespace(database, b"model").add({content(1): vector(1)}, [("/1.png", stamp(1), keys(1))])

    assert prune(database, max_bytes=0) == 1

    assert not is_read(digests, path)
    assert digests.find({"/1.png": stamp(1)}) == {}


def test_a_file_that_is_gone_is_not_known(database: Database, tmp_path: Path, exact_clock: None) -> None:
    """Its digest is an error of the system."""
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    digests = FileDigests(database)
    digests.read([path])
    path.unlink()

    with pytest.raises(FileNotFoundError):
        digests.read([path])


def test_every_change_of_a_file_changes_its_stamp(tmp_path: Path) -> None:
    """Its size, its times, and which file has the name."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))
    stamps = [FileStamp.of(path.stat())]
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    stamps.append(FileStamp.of(path.stat()))
    path.with_name("other").write_bytes(b"two")
    os.utime(path.with_name("other"), ns=(1, 1))
    path.with_name("other").replace(path)
    stamps.append(FileStamp.of(path.stat()))

    assert len(set(stamps)) == 3
