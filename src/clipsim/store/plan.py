"""Which inputs make up which shard of a data set: written once, and changed when a later run names others.

A shard's inputs are the lines of `.clipsim/sources_000N.jsonl`, JSON objects with a `name`, so that a resumed run and
every worker of a distributed one use the same inputs. Memory holds the lines of one shard, until a run names other
inputs than before; from the first difference on, it holds a digest of every input.

A plan that changes is staged beside the files in use, as `.clipsim/next_000N.jsonl`, and takes their place once
`clipsim.json` has its digests (`settle_plan`), so that an interrupted run leaves one of the two, whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, BinaryIO

from clipsim.errors import DatasetError, Setting, system_cause
from clipsim.store.folders import Folder
from clipsim.store.layout import STATE_FOLDER, ShardPlan

START_AGAIN = ("give another folder, or ", Setting("overwrite"), " to start again")
_PLAN_FILE = re.compile(r"(sources|next)_([0-9]+)\.jsonl")
_LOCATION_KEYS = ("name", "tar", "table")  # how an input was named, which may differ for the same input

OnInputs = Callable[[int], None]  # the number of inputs so far, after each shard


@dataclass(frozen=True)
class Inputs:
    """What is known of inputs beyond their records: where a name leads, and what is there of one that is not named."""

    locate: Callable[[str], str]  # a name → the absolute path or the address, the same for all names of one input
    find_unnamed: Callable[[dict[str, Any]], dict[str, Any] | None]  # a record → the present one; None for what is gone


@dataclass(frozen=True)
class PlanUpdate:
    """The plan of a data set after a run has named its inputs, and how many of these differ from before.

    `kept` are inputs that were not named now and are still there.
    """

    shards: tuple[ShardPlan, ...]
    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0


def write_plan(
    folder: Folder, records: Iterable[dict[str, Any]], shard_size: int, on_inputs: OnInputs
) -> tuple[ShardPlan, ...]:
    """Stage the inputs of every shard of a new data set."""
    shards, sources = list[ShardPlan](), 0
    for lines in _chunks(map(_to_line, records), shard_size):
        folder.write(_staged_name(len(shards)), b"".join(lines))
        shards.append(_describe(lines))
        sources += len(lines)
        on_inputs(sources)
    return tuple(shards)


def update_plan(
    folder: Folder,
    records: Iterable[dict[str, Any]],
    shard_size: int,
    recorded: Sequence[ShardPlan],
    on_inputs: OnInputs,
    inputs: Inputs,
) -> PlanUpdate:
    """Compare the inputs with the plan that was `recorded`, and stage what differs.

    An input keeps its shard. What is new makes further shards; what has changed takes its own place; what is not named
    now stays where it exists, and is removed where it does not. Files of the plan that were damaged are written again
    where the inputs are the same, and raise DatasetError where they are not.
    """
    lines = map(_to_line, records)
    done = 0
    for shard, known in enumerate(recorded):
        chunk = list(islice(lines, known.sources))
        if _describe(chunk) != known:
            return _Update(folder, shard_size, recorded, shard, inputs).run(chain(chunk, lines), on_inputs, done)
        content = b"".join(chunk)
        if folder.read(sources_name(shard)) != content:  # damaged or missing
            folder.write(sources_name(shard), content)
        done += len(chunk)
        on_inputs(done)
    return _Update(folder, shard_size, recorded, len(recorded), inputs).run(lines, on_inputs, done)


class _Update:
    """The part of an update from the first shard on whose inputs are not those of the plan."""

    def __init__(
        self, folder: Folder, shard_size: int, recorded: Sequence[ShardPlan], first: int, inputs: Inputs
    ) -> None:
        self._folder, self._shard_size, self._recorded, self._first = folder, shard_size, recorded, first
        self._inputs = inputs
        # Positions are those among the inputs of the plan from `first` on.
        self._last: dict[bytes, int] = {}  # an input → the last position of its name
        self._previous = array("q")  # of each position, the one before of the same name; -1 for none
        self._contents = array("Q")  # of each position, a digest of all but the name
        self._named = bytearray()  # of each position, 1 once the run has named it
        self._changed: dict[int, bytes] = {}

    def run(self, lines: Iterator[bytes], on_inputs: OnInputs, done: int) -> PlanUpdate:
        """Find what differs, and stage it."""
        try:
            return self._run(lines, on_inputs, done)
        except OSError as error:  # of the file of what is new
            raise DatasetError(f"{self._folder.label}: cannot write to it: {system_cause(error)}") from error

    def _run(self, lines: Iterator[bytes], on_inputs: OnInputs, done: int) -> PlanUpdate:
        self._index()
        added = 0
        with self._folder.scratch() as scratch, (scratch / "added").open("w+b") as fresh:
            for count, line in enumerate(lines, start=1):
                position = self._take(line)
                if position is None:
                    fresh.write(line)
                    added += 1
                else:
                    self._named[position] = 1
                    if _content_digest(line) != self._contents[position]:
                        self._changed[position] = line
                if count % self._shard_size == 0:
                    on_inputs(done + count)
            shards = list(self._recorded)
            removed, kept = self._stage_known(shards)
            self._stage_added(shards, fresh)
        return PlanUpdate(tuple(shards), added, len(self._changed), removed, kept)

    def _index(self) -> None:
        for shard in range(self._first, len(self._recorded)):
            for line in self._read(shard):
                key, position = self._key(line), len(self._contents)
                self._contents.append(_content_digest(line))
                self._previous.append(self._last.get(key, -1))
                self._last[key] = position
        self._named = bytearray(len(self._contents))

    def _take(self, line: bytes) -> int | None:
        """The position of an input of this name that was not named yet, an equal one if there is one; or None."""
        positions = [position for position in self._find(line) if not self._named[position]]
        same = [position for position in positions if self._contents[position] == _content_digest(line)]
        return min(same or positions, default=None)

    def _find(self, line: bytes) -> Iterator[int]:
        """The positions of all inputs of the plan with the name of this one, the last first."""
        position = self._last.get(self._key(line), -1)
        while position >= 0:
            yield position
            position = self._previous[position]

    def _stage_known(self, shards: list[ShardPlan]) -> tuple[int, int]:
        """Stage the shards in which inputs have changed or are gone; how many were removed, and kept unnamed."""
        position = removed = kept = 0
        for shard in range(self._first, len(self._recorded)):
            lines = []
            for line in self._read(shard):
                if self._named[position]:
                    lines.append(_under_old_name(self._changed[position], line) if position in self._changed else line)
                elif record := self._find_unnamed(line):
                    lines.append(_to_line(record))
                    kept += 1
                else:
                    removed += 1
                position += 1
            if _describe(lines) != self._recorded[shard]:
                shards[shard] = self._stage(shard, lines)
        return removed, kept

    def _find_unnamed(self, line: bytes) -> dict[str, Any] | None:
        """The present record of an input that is not named now; None where it is gone, or its name was taken."""
        taken = any(self._named[position] for position in self._find(line))
        return None if taken else self._inputs.find_unnamed(json.loads(line))

    def _stage_added(self, shards: list[ShardPlan], fresh: BinaryIO) -> None:
        fresh.seek(0)
        for lines in _chunks(fresh, self._shard_size):
            shards.append(self._stage(len(shards), lines))

    def _stage(self, shard: int, lines: Sequence[bytes]) -> ShardPlan:
        self._folder.write(_staged_name(shard), b"".join(lines))
        return _describe(lines)

    def _key(self, line: bytes) -> bytes:
        """What tells an input from another, however it was named."""
        location = self._inputs.locate(str(json.loads(line)["name"]))
        return hashlib.blake2b(location.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def _read(self, shard: int) -> list[bytes]:
        content = self._folder.read(sources_name(shard))
        lines = (content or b"").splitlines(keepends=True)
        if content is None or _describe(lines) != self._recorded[shard]:
            what = "missing" if content is None else "damaged"
            raise DatasetError(
                f"{self._folder.label}: {sources_name(shard)} is {what}, and the inputs are not those of before; run "
                "the earlier command once more, which writes it again",
                hint=START_AGAIN,
            )
        return lines


def settle_plan(folder: Folder, recorded: Sequence[ShardPlan]) -> None:
    """Move the staged files that are `recorded` to their places, and remove all others but those in use."""
    for name in folder.list_names(STATE_FOLDER):
        if not (match := _PLAN_FILE.fullmatch(name)):
            continue
        shard = int(match[2])
        if match[1] == "next" and shard < len(recorded):
            content = folder.read(f"{STATE_FOLDER}/{name}") or b""
            if _describe(content.splitlines(keepends=True)) == recorded[shard]:
                folder.write(sources_name(shard), content)
        if match[1] == "next" or shard >= len(recorded):
            folder.remove(f"{STATE_FOLDER}/{name}")


def read_plan(folder: Folder, shard: int, recorded: ShardPlan) -> list[dict[str, Any]]:
    """The records of one shard's inputs, staged or in use. Raises DatasetError where those `recorded` are not there."""
    for name in (sources_name(shard), _staged_name(shard)):
        lines = (folder.read(name) or b"").splitlines(keepends=True)
        if _describe(lines) == recorded:
            return [dict(json.loads(line)) for line in lines]
    raise DatasetError(f"{folder.label}: {sources_name(shard)} is missing or damaged; run the same command again")


def sources_name(shard: int) -> str:
    """The name of the file of a shard's inputs.

    >>> sources_name(3)
    '.clipsim/sources_0003.jsonl'
    """
    return f"{STATE_FOLDER}/sources_{shard:04d}.jsonl"


def _staged_name(shard: int) -> str:
    return f"{STATE_FOLDER}/next_{shard:04d}.jsonl"


def _to_line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _chunks(lines: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    rest = iter(lines)
    while chunk := list(islice(rest, size)):
        yield chunk


def _describe(lines: Sequence[bytes]) -> ShardPlan:
    return ShardPlan(len(lines), hashlib.sha256(b"".join(lines)).hexdigest())


def _content_digest(line: bytes) -> int:
    """A digest of an input's record without its name."""
    record = {key: value for key, value in json.loads(line).items() if key not in _LOCATION_KEYS}
    digest = hashlib.blake2b(json.dumps(record, sort_keys=True).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _under_old_name(line: bytes, old: bytes) -> bytes:
    """The record of an input as it is now, under the name that it had."""
    before = json.loads(old)
    return _to_line({**json.loads(line), **{key: before[key] for key in _LOCATION_KEYS if key in before}})
