"""The inputs of a data set, in order → which inputs make up which shard, written down before any is embedded.

A shard's inputs are the lines of `.clipsim/sources_000N.jsonl`, so that a resumed run and every worker of a distributed
one use the same inputs. The lines are written and compared as a stream: memory holds those of one shard.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from clipsim.errors import DatasetError, printable
from clipsim.store.folders import Folder
from clipsim.store.layout import STATE_FOLDER

_REMEDY = "give another folder, or overwrite=True to start again"
_SOURCES_NAME = re.compile(r"sources_([0-9]+)\.jsonl")


@dataclass
class Plan:
    """How many inputs there are, and the SHA-256 of their lines."""

    sources: int = 0
    digest: str = ""


def write_plan(folder: Folder, records: Iterable[dict[str, Any]], shard_size: int, plan: Plan) -> Iterator[int]:
    """Write the inputs of every shard, yield the number of inputs after each, and fill in `plan`."""
    digest = hashlib.sha256()
    shard = 0
    for shard, lines in enumerate(_chunks(records, shard_size), start=1):
        content = "".join(lines).encode()
        digest.update(content)
        plan.sources += len(lines)
        name = sources_name(shard - 1)
        if folder.read(name) != content:
            folder.write(name, content)
        yield plan.sources
    plan.digest = digest.hexdigest()
    for name in folder.list_names(STATE_FOLDER):  # of a plan that was interrupted
        if (match := _SOURCES_NAME.fullmatch(name)) and int(match[1]) >= shard:
            folder.remove(f"{STATE_FOLDER}/{name}")


def compare_plan(
    folder: Folder, records: Iterable[dict[str, Any]], shard_size: int, known: Plan, plan: Plan
) -> Iterator[int]:
    """Compare the inputs with an existing plan; otherwise as `write_plan`. Files that were damaged are written again.

    Raises DatasetError for other inputs, naming the first difference.
    """
    digest = hashlib.sha256()
    difference = ""
    changed = []
    with folder.scratch() as scratch:
        for shard, lines in enumerate(_chunks(records, shard_size)):
            content = "".join(lines).encode()
            digest.update(content)
            stored = folder.read(sources_name(shard))
            if stored != content:  # of other inputs, or damaged or missing; the digest of all decides
                difference = difference or _difference(folder, stored, content, plan.sources)
                changed.append(shard)
                _keep(scratch / str(shard), content)
            plan.sources += len(lines)
            yield plan.sources
        plan.digest = digest.hexdigest()
        if plan.digest != known.digest:
            if difference:
                raise DatasetError(difference)
            counts = "" if plan.sources == known.sources else f": {known.sources:,} then, {plan.sources:,} now"
            raise DatasetError(f"{_other(folder)}{counts}; {_REMEDY}")
        for shard in changed:
            folder.publish(scratch / str(shard), sources_name(shard))


def read_plan(folder: Folder, shard: int) -> list[dict[str, Any]]:
    """The records of one shard's inputs. Raises DatasetError where they are missing."""
    content = folder.read(sources_name(shard))
    if content is None:
        raise DatasetError(f"{folder.shown}: {sources_name(shard)} is missing; run the same command again")
    try:
        return [dict(json.loads(line)) for line in content.splitlines()]
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{folder.shown}: {sources_name(shard)} is damaged") from error


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
    return f"{folder.shown} holds vectors of other inputs"


def _keep(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise DatasetError(f"{printable(str(path))}: cannot write it: {error.strerror or error}") from error


def _difference(folder: Folder, stored: bytes | None, found: bytes, before: int) -> str:
    """The first input that is another one than it was."""
    if stored is None:
        return ""  # it is not known what it was
    pairs = zip_longest(stored.splitlines(), found.splitlines(), fillvalue=b"")
    for number, (old, new) in enumerate(pairs, start=before + 1):
        if old != new:
            was, now = _name_in(old), _name_in(new)
            if was == now:
                return f"{_other(folder)}: input {number:,}, {now}, has changed; {_REMEDY}"
            return f"{_other(folder)}: input {number:,} was {was}, now it is {now}; {_REMEDY}"
    return _other(folder)


def _name_in(line: bytes) -> str:
    try:
        return f"'{printable(str(json.loads(line)['name']), 80)}'"
    except (ValueError, KeyError, TypeError):
        return "missing"
