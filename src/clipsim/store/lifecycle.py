"""A data set from its plan to its end: which inputs make up which shard, what a folder holds, how it is finished.

A shard's inputs are the lines of `.clipsim/sources_000N.jsonl`, so that a resumed run and every worker of a distributed
one use the same inputs. The lines are written and compared as a stream: memory holds those of one shard.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

from clipsim.errors import DatasetError, Setting, printable
from clipsim.store.folders import DigestFile, Folder
from clipsim.store.index import own_names
from clipsim.store.layout import (
    ERRORS_FILE,
    INFO_FILE,
    STATE_FOLDER,
    DatasetInfo,
    FileInfo,
    Files,
    VectorInfo,
    shard_name,
    shard_names,
)
from clipsim.store.shards import read_record, record_name

START_AGAIN = ("give another folder, or ", Setting("overwrite"), " to start again")
_SOURCES_NAME = re.compile(r"sources_([0-9]+)\.jsonl")


@dataclass(frozen=True)
class Plan:
    """The number of inputs, and the SHA-256 of their lines."""

    sources: int
    digest: str


OnInputs = Callable[[int], None]  # the number of inputs so far, after each shard


def write_plan(folder: Folder, records: Iterable[dict[str, Any]], shard_size: int, on_inputs: OnInputs) -> Plan:
    """Write the inputs of every shard."""
    digest, sources, shards = hashlib.sha256(), 0, 0
    for shards, lines in enumerate(_chunks(records, shard_size), start=1):
        content = "".join(lines).encode()
        digest.update(content)
        name = sources_name(shards - 1)
        if folder.read(name) != content:
            folder.write(name, content)
        sources += len(lines)
        on_inputs(sources)
    for name in folder.list_names(STATE_FOLDER):  # of a plan that was interrupted
        if (match := _SOURCES_NAME.fullmatch(name)) and int(match[1]) >= shards:
            folder.remove(f"{STATE_FOLDER}/{name}")
    return Plan(sources, digest.hexdigest())


def compare_plan(
    folder: Folder, records: Iterable[dict[str, Any]], shard_size: int, recorded: Plan, on_inputs: OnInputs
) -> Plan:
    """Compare the inputs with the `recorded` plan; otherwise as `write_plan`. Files that were damaged are re-created.

    Raises DatasetError for other inputs, naming the first difference.
    """
    digest, sources = hashlib.sha256(), 0
    difference = ""
    changed = []
    with folder.scratch() as scratch:
        for shard, lines in enumerate(_chunks(records, shard_size)):
            content = "".join(lines).encode()
            digest.update(content)
            stored = folder.read(sources_name(shard))
            if stored != content:  # of other inputs, or damaged or missing; the digest of all decides
                difference = difference or _difference(folder, stored, content, sources)
                changed.append(shard)
                _keep(scratch / str(shard), content)
            sources += len(lines)
            on_inputs(sources)
        plan = Plan(sources, digest.hexdigest())
        if plan.digest != recorded.digest:
            if difference:
                raise DatasetError(difference, hint=START_AGAIN)
            counts = "" if plan.sources == recorded.sources else f": {recorded.sources:,} then, {plan.sources:,} now"
            raise DatasetError(f"{_other(folder)}{counts}", hint=START_AGAIN)
        for shard in changed:
            folder.publish(scratch / str(shard), sources_name(shard))
    return plan


def read_plan(folder: Folder, shard: int) -> list[dict[str, Any]]:
    """The records of one shard's inputs. Raises DatasetError where they are missing."""
    content = folder.read(sources_name(shard))
    if content is None:
        raise DatasetError(f"{folder.label}: {sources_name(shard)} is missing; run the same command again")
    try:
        return [dict(json.loads(line)) for line in content.splitlines()]
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{folder.label}: {sources_name(shard)} is damaged") from error


def sources_name(shard: int) -> str:
    """The name of the file of a shard's inputs.

    >>> sources_name(3)
    '.clipsim/sources_0003.jsonl'
    """
    return f"{STATE_FOLDER}/sources_{shard:04d}.jsonl"


def _chunks(records: Iterable[dict[str, Any]], size: int) -> Iterator[list[str]]:
    rest = iter(records)
    while chunk := [json.dumps(record) + "\n" for record in islice(rest, size)]:
        yield chunk


def _other(folder: Folder) -> str:
    return f"{folder.label} holds vectors of other inputs"


def _keep(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise DatasetError(f"{printable(str(path))}: cannot write it: {error.strerror or error}") from error


def _difference(folder: Folder, stored: bytes | None, content: bytes, before: int) -> str:
    """The first input that has changed."""
    if stored is None:
        return ""  # the earlier inputs are unknown
    pairs = zip_longest(stored.splitlines(), content.splitlines(), fillvalue=b"")
    for number, (old, new) in enumerate(pairs, start=before + 1):
        if old != new:
            was, now = _name_in(old), _name_in(new)
            if was == now:
                return f"{_other(folder)}: input {number:,}, {now}, has changed"
            return f"{_other(folder)}: input {number:,} was {was}, now it is {now}"
    return _other(folder)


def _name_in(line: bytes) -> str:
    try:
        return f"'{printable(str(json.loads(line)['name']), 80)}'"
    except (ValueError, KeyError, TypeError):
        return "missing"


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
    existing = {f"{kind}/{name}" for kind in ("img_emb", "text_emb", "metadata") for name in folder.list_names(kind)}
    existing |= {ERRORS_FILE} & set(folder.list_names())
    new_names = chain.from_iterable(
        shard_names(shard, with_captions=info.with_captions) for shard in range(info.shards)
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
    stored: DatasetInfo, requested: VectorInfo, *, dtype: str, shard_size: int, with_captions: bool
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
                    for name, cause in record.failures:
                        line = json.dumps({"path": name, "error": cause}).encode() + b"\n"
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
