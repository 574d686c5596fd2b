"""A data set's folder before, between and after the shards: what is there, whether it is the same one, and its end."""

from __future__ import annotations

import json
from dataclasses import replace

from clipsim.errors import DatasetError
from clipsim.store.folders import Folder
from clipsim.store.layout import BOOKS, ERRORS_FILE, FACTS_FILE, DatasetFacts, VectorFacts
from clipsim.store.shards import read_record

# What `clipsim embed` and `clipsim index` may have made; nothing else is removed.
_MADE = (FACTS_FILE, "metadata", "img_emb", "text_emb", ERRORS_FILE, "index", BOOKS)


def read_earlier(folder: Folder) -> DatasetFacts | None:
    """The facts of the data set that a folder holds, complete or not; None where it is empty.

    What an interrupted run left half made is removed. Raises DatasetError for a folder of other things.
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
    foreign = sorted(set(folder.list_names()) - {BOOKS})
    if foreign:
        raise DatasetError(f"{folder.shown}: the folder is not empty and holds no vectors of clipsim; give another one")
    _remove_scratch(folder)
    return None


def clear(folder: Folder) -> None:
    """Remove a data set, so that it is made again. Raises DatasetError for a folder of other things."""
    foreign = set(folder.list_names()) - set(_MADE)
    if foreign and folder.read(FACTS_FILE) is None:
        raise DatasetError(f"{folder.shown}: the folder is not empty and holds no vectors of clipsim; give another one")
    there = set(folder.list_names())
    for name in _MADE[1:]:
        if name in there:
            folder.remove(name)
    folder.remove(FACTS_FILE)  # the last, so that an interruption leaves a folder that is known


def find_differences(
    there: DatasetFacts, asked: VectorFacts, *, dtype: str, shard_size: int, with_captions: bool
) -> list[str]:
    """How what is there differs from what is asked for, one phrase each; what only changes roundings is left out."""
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
    """Write `errors.jsonl` and the counts, once every shard is there; the facts with the counts."""
    images = captions = errors = 0
    _remove_scratch(folder)  # of workers that died
    with folder.scratch() as scratch:
        made = scratch / ERRORS_FILE
        with made.open("w", encoding="utf-8") as file:
            for shard in range(facts.shards):
                record = read_record(folder, shard)
                if record is None:
                    raise DatasetError(f"{folder.shown}: the record of shard {shard} is missing; run the command again")
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
    for name in folder.list_names(BOOKS):
        if name.startswith("tmp-"):
            folder.remove(f"{BOOKS}/{name}")


def _model(facts: VectorFacts) -> str:
    return facts.model.name + (f"/{facts.model.pretrained}" if facts.model.pretrained else "")
