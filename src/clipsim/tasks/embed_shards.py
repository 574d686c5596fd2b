"""The inputs of a shard → its files: `ShardWork` makes one, `LocalRunner` those of a data set in this process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

import numpy as np

import clipsim
from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.errors import FAILURE_KINDS, TRANSIENT_KINDS, Failure, ImageError
from clipsim.files import digest_stream
from clipsim.inputs.expand import from_record, to_record
from clipsim.inputs.sources import Source
from clipsim.inputs.urls import is_url
from clipsim.models.identity import package_version
from clipsim.store.folders import Folder
from clipsim.store.layout import DatasetInfo, VectorInfo
from clipsim.store.metadata import Row
from clipsim.store.plan import read_plan
from clipsim.store.shards import EarlierShard, FailedInput, ShardWriter, open_shard, read_earlier_shard
from clipsim.tasks.rank import describe_model
from clipsim.vectors.similarity import Vectors, unit_rows

OnBatch = Callable[[int, tuple[Failure, ...]], None]  # the inputs of a batch that are done, and those that failed
OnShard = Callable[[int, tuple[Failure, ...], str], None]  # likewise of a shard, and the machine or device that made it


def to_plan(source: Source) -> dict[str, Any]:
    """A source as the plan has it: its record, with the size and the time of the file that holds it."""
    record = to_record(source)
    path = container(record)
    if record["kind"] != "failed" and not is_url(path) and (stamp := read_stamp(path)):
        record["stamp"] = stamp
    return record


def read_stamp(path: str) -> list[int] | None:
    """The size and the time of a file; None where it has none."""
    try:
        stat_result = os.stat(path)  # noqa: PTH116 (called a million times; a Path costs more)
    except (OSError, ValueError):
        return None
    return [stat_result.st_size, stat_result.st_mtime_ns]


def container(record: dict[str, Any]) -> str:
    """The file of an input, or the tar or table that holds it."""
    return str(record.get("tar") or record.get("table") or record["name"])


def from_plan(record: dict[str, Any]) -> tuple[Source, tuple[int | None, int | None]]:
    """The source of a record of the plan, and the size and time of its file."""
    values = dict(record)
    size, modified = values.pop("stamp", (None, None))
    return from_record(values), (size, modified)


BATCHES_AHEAD = 2  # decoding of the next shard starts when this many batches are left, so that the model does not wait


class LocalRunner:
    """Makes shards with the model of this process; `ray.RayRunner` has the same methods."""

    def __init__(
        self, embedder: Embedder, folder: Folder, *, anew: bool = False, retried: frozenset[str] = TRANSIENT_KINDS
    ) -> None:
        self._embedder, self._folder, self._anew, self._retried = embedder, folder, anew, retried
        self.notices: list[str] = []  # none: those of the model are the embedder's

    def describe(self) -> VectorInfo:
        """What the vectors will depend on; loads the model."""
        return describe_vectors(self._embedder)

    def close(self) -> None:
        """Nothing: the embedder outlives the run."""

    def run(self, info: DatasetInfo, shards: Sequence[int], on_ready: Callable[[], None], on_batch: OnBatch) -> None:
        """Make the shards, in order; `on_ready` is called before the files of each are moved into place."""
        rest = (
            ShardWork(self._embedder, self._folder, info, shard, anew=self._anew, retried=self._retried)
            for shard in shards
        )
        opened = deque(islice(rest, 1))  # the shard that is made, and the next one while it is decoded

        def after_batch(done: int, failures: tuple[Failure, ...]) -> None:
            if len(opened) == 1 and opened[0].left <= BATCHES_AHEAD * self._embedder.batch_size:
                for following in islice(rest, 1):
                    opened.append(following)
                    following.start()
            on_batch(done, failures)

        try:
            while opened:
                opened[0].run(on_ready, after_batch)
                opened.popleft().close()
                opened.extend(islice(rest, 0 if opened else 1))
        finally:
            for work in opened:
                work.close()


class ShardWork:
    """The making of one shard. Raises DatasetError where the plan that lists its sources is missing.

    Of a shard that was made before, the rows of images that have not changed since are taken over, but not `anew`; and
    so are the failures, unless an input has changed since. Failures of the kinds `retried` are tried again, and all
    where the first one is to end the run.
    """

    def __init__(
        self,
        embedder: Embedder,
        folder: Folder,
        info: DatasetInfo,
        shard: int,
        *,
        anew: bool = False,
        retried: frozenset[str] = TRANSIENT_KINDS,
    ) -> None:
        self._embedder, self._folder, self._info, self._shard = embedder, folder, info, shard
        inputs = [from_plan(record) for record in read_plan(folder, shard, info.plan[shard])]
        self._sources, self._stamps = [source for source, _ in inputs], [stamp for _, stamp in inputs]
        self._earlier = EarlierShard() if anew else read_earlier_shard(folder, shard, info)
        self._taken = [self._find_earlier(position) for position in range(len(inputs))]
        retried = FAILURE_KINDS if embedder.run_options.raises else retried
        self._failed: dict[int, FailedInput] = {}  # those that are taken over
        for position, source in enumerate(self._sources):
            failure = self._earlier.failures.get(source.name)
            if self._taken[position] is None and failure is not None and failure.kind not in retried:
                self._failed[position] = failure
        self._computed = [
            position for position, taken in enumerate(self._taken) if taken is None and position not in self._failed
        ]
        self._pipeline = embedder.open_pipeline([self._sources[position] for position in self._computed], measure=True)
        self.left = len(self._computed)

    def start(self) -> None:
        """Begin to decode; the previous shard may still be encoding. Starting twice does nothing."""
        self._pipeline.start()

    def close(self) -> None:
        """Stop decoding, and drop what has been decoded."""
        self._pipeline.close()

    def run(self, on_ready: Callable[[], None], on_batch: OnBatch) -> None:
        """Make the shard; `on_ready` is called before its files are moved into place.

        The composition of the batches, and with it the rounding of the vectors, depends on the shard's sources alone,
        and on the rows that are taken over. Raises DatasetError where the shard cannot be written, and ImageError for a
        failed input where the embedder's `on_error` is "raise".
        """
        self.start()
        done = 0
        with open_shard(self._folder, self._shard, self._info, on_ready) as writer:
            for outcomes in self._embedder.embed_images(self._pipeline):
                start = len(self._computed) - self.left
                self.left -= len(outcomes)
                positions = self._computed[start : start + len(outcomes)]
                failures = tuple(outcome for outcome in outcomes if isinstance(outcome, Failure))
                self._add(writer, done, positions, outcomes)
                end = positions[-1] + 1
                on_batch(end - done, (*self._earlier_failures(done, end), *failures))
                done = end
            end = len(self._sources)
            self._take(writer, range(done, end))
            on_batch(end - done, self._earlier_failures(done, end))
            writer.publish()

    def _earlier_failures(self, start: int, end: int) -> tuple[Failure, ...]:
        """The failures that are taken over, of the positions from `start` to `end`."""
        taken = (self._failed[position] for position in range(start, end) if position in self._failed)
        return tuple(Failure(failure.name, failure.cause, kind=failure.kind) for failure in taken)

    def _find_earlier(self, position: int) -> int | None:
        """The row of an image in the earlier shard, where its file is the same."""
        source, (size, modified) = self._sources[position], self._stamps[position]
        found = self._earlier.find(source.name, source.caption)
        if found is None:
            return None
        row = self._earlier.row(found)
        if (row.file_size, row.modified_ns) != (size, modified):
            try:
                with source.open() as stream:
                    if digest_stream(stream) != row.sha256:
                        return None
            except (ImageError, OSError):
                return None
        return found

    def _add(self, writer: ShardWriter, done: int, positions: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        """Pass a batch to the writer, and the rows between its images that are taken over."""
        computed: list[tuple[int, ImageVector]] = []
        for position, outcome in zip(positions, outcomes, strict=True):
            if done < position:
                self._write(writer, computed)
                computed = []
                self._take(writer, range(done, position))
            done = position + 1
            if isinstance(outcome, Failure):
                writer.add_failure(FailedInput(outcome.image, outcome.error, outcome.kind))
            else:
                computed.append((position, outcome))
        self._write(writer, computed)

    def _write(self, writer: ShardWriter, computed: Sequence[tuple[int, ImageVector]]) -> None:
        if computed:
            rows = [self._describe(position, outcome) for position, outcome in computed]
            images = unit_rows(np.stack([outcome.features for _, outcome in computed]))
            captions = [self._sources[position].caption for position, _ in computed]
            writer.add(rows, images, self._embed(captions) if self._info.with_captions else None)

    def _take(self, writer: ShardWriter, positions: Sequence[int]) -> None:
        """Pass rows and failures of the earlier shard to the writer; a caption that has changed is embedded anew."""
        found: dict[int, int] = {}
        for position in positions:
            if position in self._failed:
                writer.add_failure(self._failed[position])
            elif (taken := self._taken[position]) is not None:
                found[position] = taken
        if not found:
            return
        earlier_rows = list(found.values())
        rows, images, texts = [], self._earlier.images(earlier_rows), self._earlier.texts(earlier_rows)
        for index, (position, taken) in enumerate(found.items()):
            source, (size, modified) = self._sources[position], self._stamps[position]
            row = self._earlier.row(taken)
            if texts is not None and row.caption != source.caption:
                texts[index] = self._embed([source.caption])[0]
            rows.append(replace(row, caption=source.caption, facts=source.facts, file_size=size, modified_ns=modified))
        writer.add(rows, images, texts)

    def _embed(self, captions: Sequence[str | None]) -> Vectors:
        """The unit vectors of captions, which are cut to the model's context; zeros where there is none."""
        vectors = np.zeros((len(captions), self._info.dimensions), np.float32)
        rows = [row for row, caption in enumerate(captions) if caption is not None]
        if rows:
            texts = [caption for caption in captions if caption is not None]
            vectors[rows] = unit_rows(self._embedder.encoder.encode_texts(texts, truncate=True))
        return vectors

    def _describe(self, position: int, vector: ImageVector) -> Row:
        source, (size, modified) = self._sources[position], self._stamps[position]
        width, height = vector.size or (None, None)
        digest = None if vector.digest is None else vector.digest.hex()
        return Row(source.name, source.caption, source.facts, width, height, digest, size, modified)


PACKAGES = {"torch": "torch", "pillow": "pillow", "open_clip": "open_clip_torch"}  # by their names in `clipsim.json`


def installed_versions() -> dict[str, str]:
    """The versions here of clipsim and of the packages that vectors depend on, but for those that are not installed."""
    found = {name: package_version(package) for name, package in PACKAGES.items()}
    return {"clipsim": clipsim.__version__, **{name: version for name, version in found.items() if version is not None}}


def compare_versions(one: Mapping[str, str], other: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The names and versions of packages that differ, of those in both; the kind of a build, as +cu128, does not count.

    >>> compare_versions({"torch": "2.9.0+cpu", "pillow": "11.0.0"}, {"torch": "2.9.0+cu128", "pillow": "12.0.0"})
    [('pillow', '11.0.0', '12.0.0')]
    """
    return [
        (name, one[name], other[name])
        for name in one
        if name in other and one[name].partition("+")[0] != other[name].partition("+")[0]
    ]


def describe_vectors(embedder: Embedder) -> VectorInfo:
    """What the vectors of a model depend on; loads the model where an earlier run has not left it in the cache."""
    facts = embedder.facts
    return VectorInfo(
        model=describe_model(facts),
        digest=embedder.identity,
        device=facts.device,
        engine=facts.engine,
        precision=facts.precision,
        preprocessing={**asdict(facts.preprocessing), "exact": embedder.decoding.exact},
        warnings=embedder.model_notices,
    )
