"""A data set in an object store → its copy on this machine, where vectors are mapped and searched."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from clipsim.errors import DatasetError, printable
from clipsim.files import digest_file
from clipsim.store.folders import LocalFolder, StoreFolder
from clipsim.store.index import FOLDER as INDEX_FOLDER
from clipsim.store.index import INFO_NAME as INDEX_RECORD
from clipsim.store.index import IndexInfo, remove_unused
from clipsim.store.layout import INFO_FILE, KINDS, STATE_FOLDER, DatasetInfo, FileInfo, Files
from clipsim.store.shards import find_made, read_record, record_name

COPIED_INDEX = f"{STATE_FOLDER}/copied-index.json"  # the record of the store's index that was copied last
_NOT_READ = "vectors/"  # tables for other tools, which hold the vectors once more
OnCopy = Callable[[int], None]  # called with the bytes that are to be copied, before they are


def copy_dataset(address: str, folder: Path, on_copy: OnCopy = lambda _: None) -> bool:
    """Bring the copy of a data set up to date; whether there is a data set at the address.

    Only what is new or has changed is read. The record of the data set is written last, so that an interrupted copy is
    continued. An index in the store is copied too, once: where one is then built or removed beside the copy, that stays
    so until the store has another. A copy that is up to date is not locked, so that it can be read while it is indexed.

    Raises DatasetError where the store cannot be read, the data set is damaged, or the disk has no room for it.
    """
    store, local = StoreFolder(address), LocalFolder(str(folder))
    text = store.read(INFO_FILE)
    if text is None:
        return False
    try:
        info = DatasetInfo.from_json(text.decode())
    except ValueError as error:
        raise DatasetError(f"{store.label}: its {INFO_FILE} is damaged, or of another version") from error
    if _is_up_to_date(store, local, info, text):
        return True
    with local.lock():
        _copy(store, local, info, on_copy)
        if local.read(INFO_FILE) != text:
            local.write(INFO_FILE, text)
    return True


def _is_up_to_date(store: StoreFolder, local: LocalFolder, info: DatasetInfo, text: bytes) -> bool:
    """Whether a copy has all files of a complete data set and of its index, by their sizes."""
    return (
        info.complete
        and local.read(INFO_FILE) == text
        and all(_is_there(local, name, known, info.files) for name, known in _choose_read(info.files).items())
        and not dict(_find_index(store, local))
    )


def _choose_read(files: Files) -> Files:
    """The files of a data set that are read here."""
    return {name: known for name, known in files.items() if not name.startswith(_NOT_READ)}


def _copy(store: StoreFolder, local: LocalFolder, info: DatasetInfo, on_copy: OnCopy) -> None:
    """Copy the files of all shards that are there, remove those of others, and copy the index."""
    made = {} if info.complete else find_made(store, info)
    files: Files = dict(info.files) if info.complete else {}
    for record in made.values():
        files |= record.files
    files = _choose_read(files)
    before = _find_copied(local, made)
    missing = {name: known for name, known in files.items() if not _is_there(local, name, known, before)}
    index = dict(_find_index(store, local))
    if needed := sum(known.bytes for known in missing.values()) + sum(index.values()):
        _check_room(store, local, needed)
        on_copy(needed)
    for name, known in missing.items():
        _fetch(store, local, name, known)
    for shard, record in made.items():
        local.write(record_name(shard), record.to_json().encode())
    for name in index:
        _fetch(store, local, name, None)
    if index:
        _finish_index(local)
    for kind in KINDS:
        for name in {f"{kind}/{name}" for name in local.list_names(kind)} - files.keys():
            local.remove(name)


def _find_copied(local: LocalFolder, shards: Iterable[int]) -> Files:
    """The files that the copy had when it was complete, by its own records."""
    try:
        files = dict(DatasetInfo.from_json((local.read(INFO_FILE) or b"").decode()).files)
    except ValueError:
        return {}
    for record in (read_record(local, shard) for shard in shards):
        files |= {} if record is None else record.files
    return files


def _is_there(local: LocalFolder, name: str, known: FileInfo, before: Files) -> bool:
    """Whether the copy has a file with that content, which is read only where the copy does not record it."""
    path = local.path / name
    if not path.is_file() or path.stat().st_size != known.bytes:
        return False
    return before.get(name) == known or digest_file(path) == known.sha256


def _find_index(store: StoreFolder, local: LocalFolder) -> Iterator[tuple[str, int]]:
    """The files of the store's index that the copy lacks, and their sizes; its record last, which names the others.

    The names of the other files are never used again, so that one of the same size is the same.
    """
    record = store.read(INDEX_RECORD)
    if record is None or record in (local.read(INDEX_RECORD), local.read(COPIED_INDEX)):
        return
    sizes = {f"{INDEX_FOLDER}/{name}": size for name, size in store.sizes(INDEX_FOLDER).items()}
    present = {f"{INDEX_FOLDER}/{name}": size for name, size in local.sizes(INDEX_FOLDER).items()}
    missing = {name: size for name, size in sizes.items() if name == INDEX_RECORD or present.get(name) != size}
    yield from sorted(missing.items(), key=lambda item: item[0] == INDEX_RECORD)


def _finish_index(local: LocalFolder) -> None:
    """Remember which index has been copied, and remove the files of the one before."""
    record = local.read(INDEX_RECORD) or b""
    with suppress(ValueError):  # of another version
        remove_unused(local, IndexInfo.from_json(record.decode()))
    local.write(COPIED_INDEX, record)


def _check_room(store: StoreFolder, local: LocalFolder, needed: int) -> None:
    """Raise DatasetError where the disk has less room than is needed."""
    free = shutil.disk_usage(local.path).free
    if needed > free:
        raise DatasetError(
            f"{store.label}: its copy needs {needed / 1e9:,.1f} GB, and {local.label} has {free / 1e9:,.1f}",
            hint="set CLIPSIM_CACHE_DIR to a larger disk, or mount or copy the data set and name that folder",
        )


def _fetch(store: StoreFolder, local: LocalFolder, name: str, known: FileInfo | None) -> None:
    with local.scratch() as scratch:
        made = scratch / "file"
        store.fetch(name, made)
        if known is not None and digest_file(made) != known.sha256:
            raise DatasetError(
                f"{store.label}: {printable(name)} is not what was written: damaged, or changed in the meantime"
            )
        local.publish(made, name)
