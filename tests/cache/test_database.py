"""Tests of `cache.database`: failures are one notice, never an error, and no loss for other processes."""

from __future__ import annotations

import gc
import os
import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from cache.contents import content, stamp, vector

from clipsim.cache.database import FILE, VERSION, Database, file_lock
from clipsim.cache.maintenance import clear, describe, prune
from clipsim.cache.vectors import EmbeddingCache, FileDigests, FileKeys, VectorNamespace


def test_notes_are_kept(database: Database, cache_folder: Path) -> None:
    """Under their names, the last one written, also for a later process."""
    database.write_notes({"café": "old"})
    database.write_notes({"café": "new"})
    database.close()

    again = Database(cache_folder)
    assert again.read_notes(["café", "cafe"]) == {"café": "new"}


def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    """A statement that fails takes those before it back."""
    insert = "INSERT INTO notes VALUES (?, ?)"

    assert not database.write([(insert, [(b"name", b"value")]), ("INSERT INTO notes VALUES (?)", [(b"one",)])])

    assert Database(database.path.parent).select("SELECT * FROM notes") == []


def test_a_closed_cache_finds_and_keeps_nothing(database: Database, cache_folder: Path) -> None:
    """Threads that are still running when a session is closed are not disturbed."""
    space = VectorNamespace(database, b"model")
    space.add({content(1): vector(1)})
    database.close()
    database.close()

    space.add({content(2): vector(2)})
    assert not database.usable
    assert space.find([content(1)]) == {}
    assert database.read_notes(["name"]) == {}
    assert not database.run_alone("VACUUM")
    assert list(VectorNamespace(Database(cache_folder), b"model").find([content(1), content(2)])) == [content(1)]
    assert database.notices == []


def test_all_threads_share_a_connection(database: Database) -> None:
    """What one keeps, all find."""
    space = VectorNamespace(database, b"model")

    def add(thread: int) -> None:
        for number in range(20):
            space.add({content(100 * thread + number): vector(number)})
            space.find([content(100 * thread + number)])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(space.find([content(100 * thread + number) for thread in range(8) for number in range(20)])) == 160


def test_a_database_that_nobody_closes_is_closed_with_its_last_reference(cache_folder: Path) -> None:
    """Python closes it too, but from 3.13 on with a ResourceWarning, which surfaces in whatever runs at that moment."""
    database = Database(cache_folder)
    connection = database._connection
    assert connection is not None
    del database
    gc.collect()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_newer_version_is_left_unchanged(cache_folder: Path) -> None:
    """Not a byte of it is changed; this run has no cache, and says so once."""
    cache_folder.mkdir()
    newer = sqlite3.connect(cache_folder / FILE)
    newer.execute("CREATE TABLE other (x)")
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.commit()
    newer.close()
    before = (cache_folder / FILE).read_bytes()

    database = Database(cache_folder)
    space = VectorNamespace(database, b"model")
    space.add({content(1): vector(1)})

    assert space.find([content(1)]) == {}
    assert (cache_folder / FILE).read_bytes() == before
    assert [notice.count("newer version") for notice in database.notices] == [1]


def test_the_tables_of_an_earlier_version_are_replaced(database: Database, cache_folder: Path) -> None:
    """What they hold cannot be used; that is no damage."""
    database.run_alone("DROP TABLE vectors")
    database.run_alone("CREATE TABLE vectors (other)")
    database.run_alone(f"PRAGMA user_version = {VERSION - 1}")
    database.close()

    again = Database(cache_folder)
    space = VectorNamespace(again, b"model")
    space.add({content(1): vector(1)})

    assert (space.find([content(1)])[content(1)] == vector(1)).all()
    assert again.notices == []


def test_a_folder_that_cannot_be_used_is_one_notice(tmp_path: Path) -> None:
    """A file stands where the folder should be; the notice says how to choose another."""
    (tmp_path / "file").write_text("")
    database = Database(tmp_path / "file")
    space = VectorNamespace(database, b"model")
    space.add({content(1): vector(1)})
    space.add({content(1): vector(1)})

    assert not database.usable
    assert space.find([content(1)]) == {}
    (notice,) = database.notices
    assert "no embedding cache in this run" in notice
    assert "CLIPSIM_CACHE_DIR" in notice


def test_a_full_disk_is_one_notice(database: Database, cache_folder: Path) -> None:
    """What cannot be kept is computed again; what was kept before is there."""
    space = VectorNamespace(database, b"model")
    space.add({content(1): vector(1)})
    pages = database.select("PRAGMA page_count")[0][0]
    database.run_alone(f"PRAGMA max_page_count = {pages}")
    for number in range(2, 100):
        space.add({content(number): vector(number, 2000)})

    assert [notice.count("disk is full") for notice in database.notices] == [1]
    again = Database(cache_folder)
    assert again.select("PRAGMA integrity_check") == [(b"ok",)]
    assert (VectorNamespace(again, b"model").find([content(1)])[content(1)] == vector(1)).all()


PAGE_BYTES = 16_384
FACTS = {"logit_scale": 99.99999, "head": "softmax"}
TEXTS, IMAGES = range(10), range(10, 40)
NAMES = {f"/pictures/{number}.png": number for number in IMAGES}
OPENED: list[Database] = []  # by `open_cache`
STAMPS = {name: stamp(number) for name, number in NAMES.items()}


def open_cache(folder: Path) -> EmbeddingCache:
    """The cache of a model."""
    database = Database(folder)
    OPENED.append(database)
    return EmbeddingCache(
        VectorNamespace(database, b"texts" * 6), VectorNamespace(database, b"images" * 5), FileDigests(database)
    )


def fill(cache: EmbeddingCache) -> None:
    """Keep vectors of texts and images, digests of files, facts and notes; nothing that was not there before."""
    cache.texts.keep_facts(FACTS)
    cache.texts.add({content(number): vector(number) for number in TEXTS})
    records = [(name, STAMPS[name], FileKeys(content(number), content(number))) for name, number in NAMES.items()]
    cache.images.add({content(number): vector(number) for number in IMAGES}, records)
    for number in range(4):
        cache.files.database.write_notes({f"note {number}": f"value {number}"})


def check(cache: EmbeddingCache, *, exact: bool = True) -> int:
    """Look everything up; gives the number of vectors found.

    Rows hold what was kept; without `exact`, they are at least of its kind.
    """
    facts, notes = cache.texts.facts, cache.files.database.read_notes([f"note {number}" for number in range(4)])
    files = cache.files.find(STAMPS)
    found = [(space.find([*map(content, (*TEXTS, *IMAGES))]), numbers) for space, numbers in parts(cache)]
    if exact:
        assert facts in (None, FACTS)
        assert cache.images.facts is None
        assert all(note == name.replace("note", "value") for name, note in notes.items())
        assert all(keys.digest == keys.key == content(NAMES[name]) for name, keys in files.items())
        for vectors, numbers in found:
            kept = {content(number): vector(number) for number in numbers}
            assert all((vectors[key] == kept[key]).all() for key in vectors)
    return sum(len(vectors) for vectors, _ in found)


def parts(cache: EmbeddingCache) -> list[tuple[VectorNamespace, range]]:
    """The namespaces, and the numbers of what they hold."""
    return [(cache.texts, TEXTS), (cache.images, IMAGES)]


@pytest.fixture
def notices() -> Callable[[], list[str]]:
    """The notices since the last call, of all databases that were opened."""
    OPENED.clear()

    def take() -> list[str]:
        messages = []
        for database in OPENED:
            messages += database.notices
            database.notices.clear()
        return messages

    return take


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """A folder in memory where the system has one: hundreds of databases are written to the disk otherwise."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="clipsim-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole cache, all of it in the database's own file."""
    folder = tmp_path_factory.mktemp("sound")
    cache = open_cache(folder)
    fill(cache)
    cache.files.database.run_alone("PRAGMA wal_checkpoint(TRUNCATE)")
    cache.close()
    return folder


@pytest.fixture(scope="module")
def sound_with_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, its last changes in the journal, as a killed process leaves it."""
    folder = tmp_path_factory.mktemp("journal")
    cache = open_cache(folder)
    fill(cache)
    cache.files.database.run_alone("PRAGMA wal_checkpoint(TRUNCATE)")
    fill(cache)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    cache.close()
    (copy / f"{FILE}-shm").unlink()
    return copy


def damaged_files(folder: Path) -> list[Path]:
    """The databases that were set aside, without their journals."""
    return [path for path in folder.glob(f"{FILE}.damaged-*") if not path.name.endswith(("-wal", "-shm"))]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is no database at all" * 100,
        lambda data: data[:5000],
        lambda data: data[:PAGE_BYTES] + random.Random(0).randbytes(len(data) - PAGE_BYTES),
    ],
    ids=["text", "truncated", "noise"],
)
def test_a_damaged_file_is_set_aside(
    sound: Path, cache_folder: Path, damage: Callable[[bytes], bytes], notices: Callable[[], list[str]]
) -> None:
    """One notice that says where it is, a new database, and nothing served from the old one."""
    shutil.copytree(sound, cache_folder)
    (cache_folder / FILE).write_bytes(damage((cache_folder / FILE).read_bytes()))
    bad = (cache_folder / FILE).read_bytes()

    cache = open_cache(cache_folder)
    assert check(cache) == 0
    fill(cache)
    assert check(cache) == len(TEXTS) + len(IMAGES)

    (aside,) = damaged_files(cache_folder)
    assert aside.read_bytes()[PAGE_BYTES:] == bad[PAGE_BYTES:]
    (notice,) = notices()
    assert "was damaged" in notice
    assert str(aside) in notice
    assert cache.files.database.select("PRAGMA integrity_check") == [(b"ok",)]


@pytest.mark.parametrize(
    "value",
    [content(0), content(10), b"texts" * 6],
    ids=["text", "image", "namespace"],
)
def test_a_value_that_differs_between_a_table_and_its_index(
    sound: Path, cache_folder: Path, value: bytes, notices: Callable[[], list[str]]
) -> None:
    """A bit is flipped in one of the two places of a name or key: a row found by the one may hold the other.

    That is no error, and at most one notice.
    """
    data = (sound / FILE).read_bytes()
    places = [place for place in range(len(data)) if data.startswith(value, place)]
    assert len(places) >= 2
    for number, place in enumerate(places):
        folder = cache_folder / str(number)
        shutil.copytree(sound, folder)
        changed = bytearray(data)
        changed[place + len(value) - 1] ^= 1
        (folder / FILE).write_bytes(changed)

        cache = open_cache(folder)
        check(cache, exact=False)
        fill(cache)
        check(cache, exact=False)
        cache.close()
        assert len(notices()) == len(damaged_files(folder)) <= 1


def flipped(data: bytes, dice: random.Random) -> bytes:
    """A bit or some bytes changed in a random page: in its header, or where something is stored."""
    start = dice.randrange(max(1, len(data) // PAGE_BYTES)) * PAGE_BYTES
    page = data[start : start + PAGE_BYTES]
    stored = [place for place, byte in enumerate(page) if byte]
    place = start + (dice.randrange(100) if dice.random() < 0.4 else dice.choice(stored))
    changed = bytearray(data)
    if dice.random() < 0.6:
        changed[place] ^= 1 << dice.randrange(8)
    else:
        end = min(len(data), place + dice.choice([1, 2, 4, 8, 64]))
        changed[place:end] = dice.randbytes(end - place)
    return bytes(changed)


def use_after_flip(good: Path, folder: Path, file: str, dice: random.Random) -> Iterator[None]:
    """Use a copy of a cache, a file of which is damaged; yields when it is closed, after the first and second run."""
    shutil.copytree(good, folder)
    (folder / file).write_bytes(flipped((folder / file).read_bytes(), dice))
    for number in range(2):
        cache = open_cache(folder)
        check(cache, exact=False)
        if number == 0 and dice.random() < 0.2:
            describe(cache.files.database)
            prune(cache.files.database, older_than=dice.choice([0.0, 86_400.0 * 400]), max_bytes=100_000)
        elif number == 0 and dice.random() < 0.1:
            clear(cache.files.database)
        fill(cache)
        check(cache, exact=False)
        cache.close()
        yield


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("file", [FILE, f"{FILE}-wal"])
def test_flipped_bits_anywhere(
    sound: Path,
    sound_with_journal: Path,
    quick_folder: Path,
    file: str,
    seed: int,
    notices: Callable[[], list[str]],
) -> None:
    """No error; at most one notice, and then a new file, or a version that is too new to use."""
    dice = random.Random(f"{file} {seed}")
    for number in range(40 if file == FILE else 10):
        good = sound_with_journal if file != FILE or number % 4 == 0 else sound
        folder = quick_folder / str(number)
        replaced = 0
        for _ in use_after_flip(good, folder, file, dice):
            found = notices()
            assert len(found) <= 1
            assert "was damaged" in "".join(found) or "newer version" in "".join(found) or not found
            replaced += "was damaged" in "".join(found)
        assert len(damaged_files(folder)) == replaced <= 1
        shutil.rmtree(folder)


@pytest.mark.parametrize("field", [range(16, 24), range(44, 48), range(56, 60)], ids=["format", "schema", "encoding"])
def test_a_header_that_says_other_things(
    sound: Path, quick_folder: Path, field: range, notices: Callable[[], list[str]]
) -> None:
    """Each bit of the fields by which SQLite takes the file for one of another format, or refuses to write to it."""
    for place in field:
        for bit in range(8):
            folder = quick_folder / f"{place} {bit}"
            shutil.copytree(sound, folder)
            data = bytearray((folder / FILE).read_bytes())
            data[place] ^= 1 << bit
            (folder / FILE).write_bytes(data)

            cache = open_cache(folder)
            check(cache, exact=False)
            fill(cache)
            assert check(cache) == len(TEXTS) + len(IMAGES)
            cache.close()
            assert len(notices()) == len(damaged_files(folder)) <= 1


def test_rows_written_to_the_new_file_survive_the_recovery(
    sound: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch, notices: Callable[[], list[str]]
) -> None:
    """While one process sets the damaged file and its journal aside, another opens a new one and writes to it."""
    shutil.copytree(sound, cache_folder)
    (cache_folder / FILE).write_bytes(b"damaged" * 9999)
    written = threading.Event()
    others: list[threading.Thread] = []
    replace = Path.replace

    def write_elsewhere() -> None:
        other = open_cache(cache_folder)
        other.images.add({content(1): vector(1)})
        written.set()
        stay_open.append(other)

    stay_open: list[EmbeddingCache] = []

    def replace_and_let_others_run(path: Path, target: Path) -> Path:
        moved = replace(path, target)
        if path.name == FILE:  # the moment when there is no database of that name
            others.append(threading.Thread(target=write_elsewhere))
            others[0].start()
            written.wait(1)  # without the lock, the other has written by then
        return moved

    monkeypatch.setattr(Path, "replace", replace_and_let_others_run)
    first = open_cache(cache_folder)
    first.images.add({content(2): vector(2)})
    others[0].join()

    third = open_cache(cache_folder)
    assert sorted(third.images.find([content(1), content(2)])) == sorted([content(1), content(2)])
    assert len(notices()) == len(damaged_files(cache_folder)) == 1
    for cache in (first, third, *stay_open):
        cache.close()
    assert len(open_cache(cache_folder).images.find([content(1), content(2)])) == 2


def test_two_that_find_the_same_damage_replace_the_file_once(
    sound: Path, cache_folder: Path, notices: Callable[[], list[str]]
) -> None:
    """The second one goes on with the new file of the first, with the spaces that it had opened before."""
    shutil.copytree(sound, cache_folder)
    first, second = open_cache(cache_folder), open_cache(cache_folder)
    with (cache_folder / FILE).open("r+b") as file:  # in place, as a bad disk would
        noise = os.urandom(file.seek(0, os.SEEK_END) - PAGE_BYTES)
        file.seek(PAGE_BYTES)
        file.write(noise)

    assert check(first) == 0
    VectorNamespace(first.files.database, b"another model").add({content(number): vector(99) for number in IMAGES})
    first.images.add({content(10): vector(10)})
    assert check(second) == 1
    second.images.add({content(11): vector(11)})

    assert check(first) == check(second) == 2
    assert len(notices()) == len(damaged_files(cache_folder)) == 1


def test_threads_that_find_the_same_damage_replace_the_file_once(
    sound: Path, cache_folder: Path, notices: Callable[[], list[str]]
) -> None:
    """Short rows that one thread has read before another replaced the file say nothing about the new one."""
    shutil.copytree(sound, cache_folder)
    cache = open_cache(cache_folder)
    cache.files.database.run_alone("UPDATE vectors SET vector = x'00'")
    together = threading.Barrier(4)

    def find() -> None:
        together.wait()
        check(cache)

    threads = [threading.Thread(target=find) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    fill(cache)
    assert check(cache) == len(TEXTS) + len(IMAGES)
    assert len(notices()) == len(damaged_files(cache_folder)) == 1


@pytest.mark.parametrize("damaged", [False, True])
def test_closing_waits_while_a_file_is_set_aside(database: Database, damaged: bool) -> None:
    """SQLite deletes the journal of a file that it closes, by its name: that must not be another file's by then."""
    find_damage = partial(database.select, "SELECT 1", check=lambda *_: False)
    closing = threading.Thread(target=find_damage if damaged else database.close)
    with file_lock(database.path):
        closing.start()
        closing.join(0.3)
        assert closing.is_alive()
        assert database.usable
    closing.join(60)

    assert not database.usable
    assert len(damaged_files(database.path.parent)) == damaged
