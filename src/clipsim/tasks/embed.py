"""Sources → a data set of vectors on disk: `EmbedRequest` is the request, `run` makes it, in shards."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.errors import DatasetError, Failure, NoInputError, Setting, UsageError, printable
from clipsim.files import digest_file
from clipsim.inputs.expand import Repeats, from_record, to_record
from clipsim.inputs.sources import Source
from clipsim.inputs.urls import as_path, is_url
from clipsim.options import as_whole, check_flag
from clipsim.results.datasets import EmbedResult
from clipsim.store.folders import DigestFile, Folder, LocalFolder, open_folder
from clipsim.store.layout import INFO_FILE, DatasetInfo, VectorInfo, current_folder, import_parquet
from clipsim.store.lifecycle import (
    START_AGAIN,
    Plan,
    check_room,
    compare_plan,
    errors_differ,
    find_differences,
    find_own,
    finish,
    read_earlier,
    read_plan,
    start_again,
    write_plan,
)
from clipsim.store.shards import Row, ShardWriter, find_missing, open_shard
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import describe_model
from clipsim.vectors.similarity import Vectors, unit_rows

if TYPE_CHECKING:
    from clipsim.tasks.ray import RayRunner

MAX_SHARD_SIZE = 1_000_000
DTYPES = ("fp16", "fp32")
RUNNERS = ("local", "ray")
NO_CAPTIONS = (
    "no caption was found: they are looked for in text files beside images and in tars, in the columns caption, text "
    "and title of tables, and in the metadata.jsonl or metadata.csv of a folder"
)


@dataclass(frozen=True)
class EmbedRequest:
    """What is embedded, where the vectors go and how they are kept, checked before a model is opened.

    `sources` are read once, as the run goes. `output` is a folder, or the address of one in an object store. `runner`
    is "local" or "ray"; `ray_address` is a cluster's, None for Ray on this machine, and `actors` how many encoders Ray
    runs, None for one an accelerator. With `overwrite`, a data set that is there is replaced as soon as the first shard
    of the new one is ready. With `verify`, the content of every file that is there is compared with what was written.
    Raises UsageError for values out of range, and MissingPackageError without pyarrow.
    """

    sources: Iterable[Source]
    output: str
    captions: bool = False
    dtype: str = "fp16"
    shard_size: int = 10_000
    overwrite: bool = False
    runner: str = "local"
    ray_address: str | None = None
    actors: int | None = None
    verify: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.output:
            raise UsageError("empty", parameter="output", hint="name a folder")
        object.__setattr__(self, "output", as_path(self.output))
        for name, value, choices in (("dtype", self.dtype, DTYPES), ("runner", self.runner, RUNNERS)):
            if not isinstance(value, str) or value not in choices:
                raise UsageError(f"not {' or '.join(map(repr, choices))}", parameter=name, value=value)
        size, actors = as_whole(self.shard_size), as_whole(self.actors)
        if size is None or not 1 <= size <= MAX_SHARD_SIZE:
            raise UsageError(
                f"not a whole number from 1 to {MAX_SHARD_SIZE:,}", parameter="shard_size", value=self.shard_size
            )
        if self.runner != "ray" and (self.ray_address is not None or self.actors is not None):
            name = "actors" if self.ray_address is None else "ray_address"
            raise UsageError(
                "goes with Ray only",
                parameter=name,
                value=getattr(self, name),
                hint=("give ", Setting("runner", "ray")),
            )
        if self.actors is not None and (actors is None or actors < 1):
            raise UsageError("not a positive integer", parameter="actors", value=self.actors)
        for name in ("captions", "overwrite", "verify"):
            check_flag(name, getattr(self, name))
        object.__setattr__(self, "shard_size", size)
        object.__setattr__(self, "actors", actors)
        import_parquet()


OnBatch = Callable[[int, tuple[Failure, ...]], None]  # the inputs of a batch that are done, and those that failed


def run(embedder: Embedder, request: EmbedRequest, progress: ProgressCallback = ignore_progress) -> EmbedResult:
    """Write the vectors of the sources into a folder; the shards of an earlier run in it are kept.

    Raises DatasetError where the folder holds something else, NoInputError for no sources, and with `on_error="raise"`
    ImageError for the first that cannot be used.
    """
    return _Embedding(embedder, request, progress).run()


class _Embedding:
    """One run, and what it knows by now."""

    def __init__(self, embedder: Embedder, request: EmbedRequest, progress: ProgressCallback) -> None:
        self._embedder, self._progress = embedder, progress
        self._request = request
        self._repeats = Repeats()
        self._folder = open_folder(self._request.output)
        self._notices: list[str] = []
        self._replaced: set[str] | None = None  # the files of a data set that is to be overwritten

    def run(self) -> EmbedResult:
        """List the sources, then make the shards that are missing."""
        begun = time.monotonic()
        records = map(to_record, self._repeats.leave_out(self._request.sources, texts=True))
        first = next(records, None)
        if first is None:
            raise NoInputError("no images to embed")
        folder = self._folder
        self._report("listing the images", 0)
        with folder.lock():
            info = read_earlier(folder)
            if self._request.overwrite and info is not None:
                self._replaced, info = find_own(folder, info), None
            if info is not None:
                self._check(info, self._expected(info))
            plan = self._plan(chain((first,), records), info)
            self._notices += self._repeats.notices
            missing = failed = self._find_missing(info, plan)
            if missing or info is None:
                info = self._make(missing, info, plan)
                failed = list(find_missing(folder, info))
            else:
                self._notices += info.warnings
            if not failed and info.complete and errors_differ(folder, info, self._digest()):
                self._notices.append(f"{folder.label}: errors.jsonl was damaged, and is written again")
                info = finish(folder, info)
            elif not failed and not info.complete:
                info = finish(folder, info)
        return self._describe(info, len(missing) - len(failed), failed, time.monotonic() - begun)

    def _report(self, stage: str, done: int, total: int | None = None, failures: tuple[Failure, ...] = ()) -> None:
        self._progress(Progress(stage, done, total, failures, self._warnings()))

    def _warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now."""
        return tuple(dict.fromkeys((*self._embedder.notices, *self._notices)))

    def _make(self, missing: Sequence[int], existing: DatasetInfo | None, plan: Plan) -> DatasetInfo:
        """Make the shards that are missing."""
        self._report("loading the model", 0)
        with closing(self._open_runner()) as runner:
            info = self._begin(runner.describe(), existing, plan)
            self._notices += info.warnings
            size, total = info.shard_size, info.sources
            done = total - sum(min(size, total - shard * size) for shard in missing)
            self._report("embedding", done, total)

            def on_batch(count: int, failures: tuple[Failure, ...]) -> None:
                nonlocal done
                done += count
                self._report("embedding", done, total, failures)

            runner.run(info, missing, lambda: self._start_again(info), on_batch)
            self._notices += runner.notices
        return info

    def _plan(self, records: Iterable[dict[str, Any]], existing: DatasetInfo | None) -> Plan:
        """Write down which sources make up which shard, or compare them with what was written."""
        size, on_inputs = self._request.shard_size, partial(self._report, "listing the images")
        if existing is None:
            return write_plan(self._folder, records, size, on_inputs)
        if existing.base not in (None, current_folder()):
            records = map(self._check_base, records, repeat(existing.base))
        return compare_plan(self._folder, records, size, Plan(existing.sources, existing.sources_digest), on_inputs)

    def _check_base(self, record: dict[str, Any], base: str) -> dict[str, Any]:
        """Raise DatasetError for a relative name, which is another file's than it was in the folder `base`."""
        name = str(record.get("tar", record["name"]))
        if record["kind"] in ("file", "tar") and not (is_url(name) or os.path.isabs(name)):  # noqa: PTH117
            raise DatasetError(
                f"{self._folder.label}: its relative names start from {printable(base)}; run the command there, or "
                "give another folder"
            )
        return record

    def _find_missing(self, existing: DatasetInfo | None, plan: Plan) -> list[int]:
        """The shards that have to be made; what is wrong with those that are damaged becomes a notice."""
        if existing is None:
            return list(range(-(-plan.sources // self._request.shard_size)))
        missing = find_missing(self._folder, existing, self._digest())
        for shard, problem in missing.items():
            if problem:
                self._notices.append(f"{self._folder.label}: {problem}; shard {shard} is made again")
        return list(missing)

    def _digest(self) -> DigestFile | None:
        """How the content of files that are there is compared; None where only their sizes are."""
        if self._request.verify:
            return digest_file
        return self._embedder.digest_file if isinstance(self._folder, LocalFolder) else None

    def _expected(self, existing: DatasetInfo) -> VectorInfo:
        """What the vectors depend on, as far as known before the model is loaded; the rest as in `existing`."""
        embedder = self._embedder
        local = self._request.runner == "local"
        return VectorInfo(
            model=replace(existing.model, name=embedder.spec.reported_name, pretrained=embedder.spec.reported_tag),
            digest=embedder.identity,
            device=existing.device,
            engine=existing.engine,
            precision=embedder.precision if local else embedder.model_options.precision or existing.precision,
            preprocessing={**existing.preprocessing, "exact": embedder.decoding.exact},
        )

    def _check(self, existing: DatasetInfo, vectors: VectorInfo) -> None:
        """Raise DatasetError, saying what differs, where the folder holds other vectors than are asked for."""
        request = self._request
        differences = find_differences(
            existing, vectors, dtype=request.dtype, shard_size=request.shard_size, with_captions=request.captions
        )
        if differences:
            raise DatasetError(f"{self._folder.label} holds other vectors: {'; '.join(differences)}", hint=START_AGAIN)

    def _begin(self, vectors: VectorInfo, existing: DatasetInfo | None, plan: Plan) -> DatasetInfo:
        """Describe the data set before its first shard is written, or check what describes it against the model."""
        if existing is not None:
            self._check(existing, vectors)
            info = replace(existing, images=None, captions=None, errors=None, warnings=vectors.warnings)
        else:
            info = DatasetInfo(
                **vars(vectors),
                dtype=self._request.dtype,
                shard_size=self._request.shard_size,
                with_captions=self._request.captions,
                sources=plan.sources,
                sources_digest=plan.digest,
                base=current_folder(),
            )
        if self._replaced is None:
            self._folder.write(INFO_FILE, info.to_json().encode())
        else:
            check_room(self._folder, self._replaced, info)
        return info

    def _start_again(self, info: DatasetInfo) -> None:
        """Remove what is to be overwritten, once."""
        if self._replaced is not None:
            start_again(self._folder, self._replaced, info)
            self._replaced = None

    def _open_runner(self) -> LocalRunner | RayRunner:
        if self._request.runner == "local":
            return LocalRunner(self._embedder, self._folder)
        from clipsim.tasks.ray import RayRunner

        return RayRunner(self._embedder, self._folder, self._request)

    def _describe(self, info: DatasetInfo, made: int, failed: Sequence[int], seconds: float) -> EmbedResult:
        shared = EmbedResult.__dataclass_fields__.keys() - {"warnings"}
        described = {key: value for key, value in asdict(info).items() if key in shared}
        return EmbedResult(
            **{**described, "model": info.model},
            folder=self._request.output,
            dimensions=info.dimensions,
            shards=info.shards,
            made=made,
            failed_shards=tuple(failed),
            seconds=seconds,
            warnings=(*self._warnings(), *([NO_CAPTIONS] if info.captions == 0 and info.images else [])),
        )


BATCHES_AHEAD = 2  # decoding of the next shard starts when this many batches are left, so that the model does not wait


class LocalRunner:
    """Makes shards with the model of this process; `ray.RayRunner` has the same methods."""

    def __init__(self, embedder: Embedder, folder: Folder) -> None:
        self._embedder, self._folder = embedder, folder
        self.notices: list[str] = []  # none: those of the model are the embedder's

    def describe(self) -> VectorInfo:
        """What the vectors will depend on; loads the model."""
        return describe_vectors(self._embedder)

    def close(self) -> None:
        """Nothing: the embedder outlives the run."""

    def run(self, info: DatasetInfo, shards: Sequence[int], on_ready: Callable[[], None], on_batch: OnBatch) -> None:
        """Make the shards, in order; `on_ready` is called before the files of each are moved into place."""
        rest = (ShardWork(self._embedder, self._folder, info, shard) for shard in shards)
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
    """The making of one shard. Raises DatasetError where the plan that lists its sources is missing."""

    def __init__(self, embedder: Embedder, folder: Folder, info: DatasetInfo, shard: int) -> None:
        self._embedder, self._folder, self._info, self._shard = embedder, folder, info, shard
        self._sources: list[Source] = [from_record(record) for record in read_plan(folder, shard)]
        self._pipeline = embedder.open_pipeline(self._sources, measure=True)
        self.left = len(self._sources)

    def start(self) -> None:
        """Begin to decode; the previous shard may still be encoding. Starting twice does nothing."""
        self._pipeline.start()

    def close(self) -> None:
        """Stop decoding, and drop what has been decoded."""
        self._pipeline.close()

    def run(self, on_ready: Callable[[], None], on_batch: OnBatch) -> None:
        """Make the shard; `on_ready` is called before its files are moved into place.

        The composition of the batches, and with it the rounding of the vectors, depends on the shard's sources alone.
        Raises DatasetError where the shard cannot be written, and ImageError for a failed input where the embedder's
        `on_error` is "raise".
        """
        self.start()
        with open_shard(self._folder, self._shard, self._info, on_ready) as writer:
            for outcomes in self._embedder.embed_images(self._pipeline):
                start = len(self._sources) - self.left
                self.left -= len(outcomes)
                on_batch(len(outcomes), self._add(writer, self._sources[start : start + len(outcomes)], outcomes))
            writer.publish()

    def _add(self, writer: ShardWriter, sources: Sequence[Source], outcomes: Sequence[Outcome]) -> tuple[Failure, ...]:
        """Pass a batch to the writer, and return its failures."""
        rows, features, captions, failures = [], [], [], []
        for source, outcome in zip(sources, outcomes, strict=True):
            if isinstance(outcome, Failure):
                writer.add_failure(outcome.image, outcome.error, final=outcome.final)
                failures.append(outcome)
            else:
                rows.append(_describe(source, outcome))
                features.append(outcome.features)
                captions.append(source.caption)
        if rows:
            images = unit_rows(np.stack(features))
            writer.add(rows, images, self._embed(captions) if self._info.with_captions else None)
        return tuple(failures)

    def _embed(self, captions: Sequence[str | None]) -> Vectors:
        """The unit vectors of captions, which are cut to the model's context; zeros where there is none."""
        vectors = np.zeros((len(captions), self._info.dimensions), np.float32)
        rows = [row for row, caption in enumerate(captions) if caption is not None]
        if rows:
            texts = [caption for caption in captions if caption is not None]
            vectors[rows] = unit_rows(self._embedder.encoder.encode_texts(texts, truncate=True))
        return vectors


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


def _describe(source: Source, vector: ImageVector) -> Row:
    width, height = vector.size or (None, None)
    digest = None if vector.digest is None else vector.digest.hex()
    return Row(source.name, source.caption, source.facts, width, height, digest)
