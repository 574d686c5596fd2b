"""A folder before and after its shards are made: what it holds, how that differs from what is asked, final counts."""

from __future__ import annotations

import json
from dataclasses import replace

from clipsim.errors import DatasetError
from clipsim.store.folders import Folder
from clipsim.store.layout import ERRORS_FILE, FACTS_FILE, STATE_FOLDER, DatasetFacts, VectorFacts, shard_name
from clipsim.store.shards import read_record

# What `clipsim embed` and `clipsim index` create; nothing else is removed.
_OWN = (FACTS_FILE, "metadata", "img_emb", "text_emb", ERRORS_FILE, "index", STATE_FOLDER)


def read_earlier(folder: Folder) -> DatasetFacts | None:
    """The facts of the data set in a folder, complete or not; None where the folder is empty.

    Temporary files of interrupted runs are removed. Raises DatasetError for a folder of other files.
    """
    content = folder.read(FACTS_FILE)
    if content is not None:
        _remove_scratch(folder)
        try:
            return DatasetFacts.from_json(content.decode())
        except (ValueError, TypeError, KeyError) as error:
            raise DatasetError(
                f"{folder.shown}: its {FACTS_FILE} is damaged or of another version; overwrite=True starts again"
            ) from error
    foreign = sorted(set(folder.list_names()) - {STATE_FOLDER})
    if foreign:
        raise DatasetError(f"{folder.shown}: the folder is not empty and holds no vectors of clipsim; give another one")
    _remove_scratch(folder)
    return None


def clear(folder: Folder) -> None:
    """Remove a data set. Raises DatasetError for a folder of other files."""
    foreign = set(folder.list_names()) - set(_OWN)
    if foreign and folder.read(FACTS_FILE) is None:
        raise DatasetError(f"{folder.shown}: the folder is not empty and holds no vectors of clipsim; give another one")
    there = set(folder.list_names())
    for name in _OWN[1:]:
        if name in there:
            folder.remove(name)
    folder.remove(FACTS_FILE)  # last, so that after an interruption the folder is still known as a data set


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


def finish(folder: Folder, facts: DatasetFacts) -> DatasetFacts:
    """Write `errors.jsonl` and the counts of a data set with all its shards, and return the facts with the counts."""
    images = captions = errors = 0
    _remove_scratch(folder)  # of workers that died
    with folder.scratch() as scratch:
        made = scratch / ERRORS_FILE
        with made.open("w", encoding="utf-8") as file:
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
                for name, cause in record.failures:
                    file.write(json.dumps({"path": name, "error": cause}) + "\n")
        folder.publish(made, ERRORS_FILE)
    done = replace(facts, images=images, captions=captions if facts.with_captions else None, errors=errors)
    folder.write(FACTS_FILE, done.to_json().encode())
    return done


def _remove_scratch(folder: Folder) -> None:
    for name in folder.list_names(STATE_FOLDER):
        if name.startswith("tmp-"):
            folder.remove(f"{STATE_FOLDER}/{name}")


def _model(facts: VectorFacts) -> str:
    return facts.model.name + (f"/{facts.model.pretrained}" if facts.model.pretrained else "")
