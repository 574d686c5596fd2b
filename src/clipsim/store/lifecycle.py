"""A data set from its beginning to its end: what a folder holds, how it is replaced, and how it is finished."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import chain

from clipsim.errors import DatasetError
from clipsim.store.folders import DigestFile, Folder
from clipsim.store.index import own_names
from clipsim.store.layout import (
    ERRORS_FILE,
    INFO_FILE,
    KINDS,
    STATE_FOLDER,
    DatasetInfo,
    FileInfo,
    Files,
    VectorInfo,
    shard_name,
    shard_names,
)
from clipsim.store.plan import settle_plan
from clipsim.store.shards import read_record, record_name

ANOTHER = "give another folder"


def read_earlier(folder: Folder) -> DatasetInfo | None:
    """The record of the data set in a folder, complete or not; None where the folder is empty.

    Temporary files of interrupted runs are removed, and what an interrupted one was replacing; the caller holds the
    folder's lock. Raises DatasetError for a folder of other files, and for a damaged record.
    """
    content = folder.read(INFO_FILE)
    if content is not None:
        try:
            info = DatasetInfo.from_json(content.decode())
        except ValueError as error:
            raise DatasetError(
                f"{folder.label}: its {INFO_FILE}, the record of the data set, is damaged, edited or of "
                f"another version; {ANOTHER}, or remove this one yourself"
            ) from error
        _remove_scratch(folder)
        settle_plan(folder, info.plan)
        return _remove_replaced(folder, info) if info.replaces else info
    foreign = sorted(set(folder.list_names()) - {STATE_FOLDER})
    if foreign:
        raise DatasetError(f"{folder.label}: the folder is not empty and holds no vectors of clipsim; {ANOTHER}")
    _remove_scratch(folder)
    return None


def find_own(folder: Folder, info: DatasetInfo) -> set[str]:
    """The names of all files that belong to a data set, also its index, but for `clipsim.json` and its plan."""
    if info.complete:
        named = set(info.files)
    else:
        records = (read_record(folder, shard) for shard in range(info.shards))
        named = {ERRORS_FILE, *chain.from_iterable(record.files for record in records if record is not None)}
    state = {record_name(shard) for shard in range(info.shards)}
    return named | state | own_names(folder)


def check_room(folder: Folder, own: set[str], info: DatasetInfo) -> None:
    """Raise DatasetError where a file of a new data set would take the place of one that is not in `own`."""
    existing = {f"{kind}/{name}" for kind in KINDS for name in folder.list_names(kind)}
    existing |= {ERRORS_FILE} & set(folder.list_names())
    new_names = chain.from_iterable(
        shard_names(shard, with_captions=info.with_captions, with_parquet=info.with_parquet)
        for shard in range(info.shards)
    )
    for name in chain((ERRORS_FILE,), new_names):
        if name in existing - own:
            raise DatasetError(
                f"{folder.label}: {name} does not belong to the data set there and would be replaced; {ANOTHER}"
            )


def start_again(folder: Folder, own: set[str], info: DatasetInfo) -> None:
    """Replace the record of a data set by that of a new one, and remove the old files.

    Interrupted before the first step, the folder has the old data set; after it, the new one, which can be resumed.
    """
    begun = replace(info, replaces=tuple(sorted(own)))
    folder.write(INFO_FILE, begun.to_json().encode())
    _remove_replaced(folder, begun)


def _remove_replaced(folder: Folder, info: DatasetInfo) -> DatasetInfo:
    for name in info.replaces:
        folder.remove(name)
    info = replace(info, replaces=())
    folder.write(INFO_FILE, info.to_json().encode())
    return info


def find_differences(
    stored: DatasetInfo,
    requested: VectorInfo,
    *,
    dtype: str,
    shard_size: int,
    with_captions: bool,
    with_parquet: bool,
) -> list[str]:
    """How a data set differs from the request, a phrase each; engine and device, which only round, are ignored."""
    differences = []
    if stored.model.full_name != requested.model.full_name:
        differences.append(f"model {stored.model.full_name} there, {requested.model.full_name} now")
    elif stored.digest != requested.digest:
        differences.append("the files of the model have changed")
    for name, old, new in (
        ("precision", stored.precision, requested.precision),
        ("dtype", stored.dtype, dtype),
        ("shard_size", stored.shard_size, shard_size),
    ):
        if old != new:
            differences.append(f"{name} {old} there, {new} now")
    for name, was, now in (
        ("captions", stored.with_captions, with_captions),
        ("a table of vectors", stored.with_parquet, with_parquet),
        ("exact decoding", bool(stored.preprocessing.get("exact")), bool(requested.preprocessing.get("exact"))),
    ):
        if was != now:
            differences.append(f"{'with' if was else 'without'} {name} there, {'with' if now else 'without'} now")
    return differences


def errors_differ(folder: Folder, info: DatasetInfo, digest: DigestFile | None = None) -> bool:
    """Whether the `errors.jsonl` of a complete data set is not the one that was written."""
    recorded, size = info.files.get(ERRORS_FILE), folder.sizes("").get(ERRORS_FILE)
    if recorded is None or size != recorded.bytes:
        return True
    return digest is not None and folder.digest(ERRORS_FILE, digest) != recorded.sha256


def finish(folder: Folder, info: DatasetInfo) -> DatasetInfo:
    """Write `errors.jsonl` and the counts of a data set with all its shards, and return the record with the counts."""
    images = captions = errors = 0
    rows: list[int] = []
    files: Files = {}
    digest, size = hashlib.sha256(), 0
    _remove_scratch(folder)  # of workers that died
    with folder.scratch() as scratch:
        made = scratch / ERRORS_FILE
        try:
            with made.open("wb") as file:
                for shard in range(info.shards):
                    record = read_record(folder, shard)
                    if record is None:
                        folder.remove(shard_name("metadata", shard))  # so that the shard is made again
                        raise DatasetError(
                            f"{folder.label}: the record of shard {shard} is damaged; run the same command again"
                        )
                    images += record.images
                    captions += record.captions
                    errors += len(record.failures)
                    rows.append(record.images)
                    files |= record.files
                    for name, cause, kind in record.failures:
                        line = json.dumps({"path": name, "error": cause, "class": kind}).encode() + b"\n"
                        digest.update(line)
                        size += file.write(line)
        except OSError as error:
            raise DatasetError(f"{folder.label}: cannot write {ERRORS_FILE}: {error.strerror or error}") from error
        folder.publish(made, ERRORS_FILE)
    files[ERRORS_FILE] = FileInfo(size, digest.hexdigest())
    done = replace(
        info,
        images=images,
        captions=captions if info.with_captions else None,
        errors=errors,
        rows=tuple(rows),
        files=files,
    )
    folder.write(INFO_FILE, done.to_json().encode())
    return done


def _remove_scratch(folder: Folder) -> None:
    for name in folder.list_names(STATE_FOLDER):
        if name.startswith("tmp-"):
            folder.remove(f"{STATE_FOLDER}/{name}")
