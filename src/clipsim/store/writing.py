"""A folder before and after its shards are made: what it holds, how that differs from what is asked, final counts."""

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
    FACTS_FILE,
    STATE_FOLDER,
    DatasetFacts,
    FileFacts,
    Files,
    VectorFacts,
    shard_name,
    shard_names,
)
from clipsim.store.shards import read_record, record_name

ANOTHER = "give another folder"


def read_earlier(folder: Folder) -> DatasetFacts | None:
    """The facts of the data set in a folder, complete or not; None where the folder is empty.

    Temporary files of interrupted runs are removed, and what an interrupted one was replacing; the caller holds the
    folder's lock. Raises DatasetError for a folder of other files, and for damaged facts.
    """
    content = folder.read(FACTS_FILE)
    if content is not None:
        try:
            facts = DatasetFacts.from_json(content.decode())
        except ValueError as error:
            raise DatasetError(
                f"{folder.shown}: its {FACTS_FILE}, which says what is of the data set, is damaged, edited or of "
                f"another version; {ANOTHER}, or remove this one yourself"
            ) from error
        _remove_scratch(folder)
        return _remove_replaced(folder, facts) if facts.replaces else facts
    foreign = sorted(set(folder.list_names()) - {STATE_FOLDER})
    if foreign:
        raise DatasetError(f"{folder.shown}: the folder is not empty and holds no vectors of clipsim; {ANOTHER}")
    _remove_scratch(folder)
    return None


def find_own(folder: Folder, facts: DatasetFacts) -> set[str]:
    """The names of all files that belong to a data set, also its index, but for `clipsim.json` and its plan."""
    if facts.complete:
        named = set(facts.files)
    else:
        records = (read_record(folder, shard) for shard in range(facts.shards))
        named = {ERRORS_FILE, *chain.from_iterable(record.files for record in records if record is not None)}
    state = {record_name(shard) for shard in range(facts.shards)}
    return named | state | own_names(folder)


def check_room(folder: Folder, own: set[str], facts: DatasetFacts) -> None:
    """Raise DatasetError where a file of a new data set would take the place of one that is not in `own`."""
    there = {f"{kind}/{name}" for kind in ("img_emb", "text_emb", "metadata") for name in folder.list_names(kind)}
    there |= {ERRORS_FILE} & set(folder.list_names())
    wanted = chain.from_iterable(shard_names(shard, with_captions=facts.with_captions) for shard in range(facts.shards))
    for name in chain((ERRORS_FILE,), wanted):
        if name in there - own:
            raise DatasetError(f"{folder.shown}: {name} is not of the data set there and would be replaced; {ANOTHER}")


def start_again(folder: Folder, own: set[str], facts: DatasetFacts) -> None:
    """Put the facts of a new data set in place of another's, whose files are removed.

    After an interruption before the first step the old data set is there; after it, the new one, which goes on.
    """
    begun = replace(facts, replaces=tuple(sorted(own)))
    folder.write(FACTS_FILE, begun.to_json().encode())
    _remove_replaced(folder, begun)


def _remove_replaced(folder: Folder, facts: DatasetFacts) -> DatasetFacts:
    for name in facts.replaces:
        folder.remove(name)
    facts = replace(facts, replaces=())
    folder.write(FACTS_FILE, facts.to_json().encode())
    return facts


def find_differences(
    there: DatasetFacts, asked: VectorFacts, *, dtype: str, shard_size: int, with_captions: bool
) -> list[str]:
    """How a data set differs from what is asked, a phrase each; engine and device, which only round, are ignored."""
    found = []
    if _model(there) != _model(asked):
        found.append(f"model {_model(there)} there, {_model(asked)} now")
    elif there.digest != asked.digest:
        found.append("the files of the model have changed")
    for name, old, new in (
        ("precision", there.precision, asked.precision),
        ("dtype", there.dtype, dtype),
        ("shard_size", there.shard_size, shard_size),
    ):
        if old != new:
            found.append(f"{name} {old} there, {new} now")
    for name, was, now in (
        ("captions", there.with_captions, with_captions),
        ("exact decoding", bool(there.preprocessing.get("exact")), bool(asked.preprocessing.get("exact"))),
    ):
        if was != now:
            found.append(f"{'with' if was else 'without'} {name} there, {'with' if now else 'without'} now")
    return found


def errors_differ(folder: Folder, facts: DatasetFacts, digest: DigestFile | None = None) -> bool:
    """Whether the `errors.jsonl` of a complete data set is not the one that was written."""
    known, size = facts.files.get(ERRORS_FILE), folder.sizes("").get(ERRORS_FILE)
    if known is None or size != known.bytes:
        return True
    return digest is not None and folder.digest(ERRORS_FILE, digest) != known.sha256


def finish(folder: Folder, facts: DatasetFacts) -> DatasetFacts:
    """Write `errors.jsonl` and the counts of a data set with all its shards, and return the facts with the counts."""
    images = captions = errors = 0
    rows: list[int] = []
    files: Files = {}
    digest, size = hashlib.sha256(), 0
    _remove_scratch(folder)  # of workers that died
    with folder.scratch() as scratch:
        made = scratch / ERRORS_FILE
        try:
            with made.open("wb") as file:
                for shard in range(facts.shards):
                    record = read_record(folder, shard)
                    if record is None:
                        folder.remove(shard_name("metadata", shard))  # so that the shard is made again
                        raise DatasetError(
                            f"{folder.shown}: the record of shard {shard} is damaged; run the same command again"
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
            raise DatasetError(f"{folder.shown}: cannot write {ERRORS_FILE}: {error.strerror or error}") from error
        folder.publish(made, ERRORS_FILE)
    files[ERRORS_FILE] = FileFacts(size, digest.hexdigest())
    done = replace(
        facts,
        images=images,
        captions=captions if facts.with_captions else None,
        errors=errors,
        rows=tuple(rows),
        files=files,
    )
    folder.write(FACTS_FILE, done.to_json().encode())
    return done


def _remove_scratch(folder: Folder) -> None:
    for name in folder.list_names(STATE_FOLDER):
        if name.startswith("tmp-"):
            folder.remove(f"{STATE_FOLDER}/{name}")


def _model(facts: VectorFacts) -> str:
    return facts.model.name + (f"/{facts.model.pretrained}" if facts.model.pretrained else "")
