"""Sources → a data set of vectors on disk: `EmbedRequest`, what is asked, and `Embedding`, which makes it in shards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import chain, repeat
from typing import Any, Literal, Protocol

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.embedding.pipeline import Pipeline
from clipsim.errors import DatasetError, Failure, NoInputError, Setting, UsageError, printable
from clipsim.files import digest_file
from clipsim.inputs.expand import Repeats, from_record, to_record
from clipsim.inputs.sources import Source
from clipsim.inputs.urls import as_path, is_url
from clipsim.options import as_whole, check_flag, check_path
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
from clipsim.store.shards import Row, ShardWriter, find_missing
from clipsim.tasks.rank import describe_model
from clipsim.vectors.similarity import Vectors, unit_rows

MAX_SHARD_SIZE = 1_000_000
DTYPES = ("fp16", "fp32")
RUNNERS = ("local", "ray")
NO_CAPTIONS = (
    "no caption was found: they are looked for in text files beside pictures and in tars, in the columns caption, text "
    "and title of tables, and in the metadata.jsonl or metadata.csv of a folder"
)


@dataclass(frozen=True)
class EmbedRequest:
    """Where the vectors go and how they are kept, checked: everything that can be checked before a model is opened.

    `output` is a folder, or the address of one in an object store. `runner` is "local" or "ray"; `ray_address` is a
    cluster's, None for Ray on this machine, and `actors` how many encoders Ray runs, None for one an accelerator. With
    `overwrite`, a data set that is there is replaced as soon as the first shard of the new one is ready. With `verify`,
    the content of every file that is there is compared with what was written.
    Raises UsageError for values out of range, and MissingPackageError without pyarrow.
    """

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
        if not check_path("output", self.output):
            raise UsageError("empty", parameter="output", hint="name a folder")
        for name, value, known in (("dtype", self.dtype, DTYPES), ("runner", self.runner, RUNNERS)):
            if not isinstance(value, str) or value not in known:
                raise UsageError(f"not {' or '.join(map(repr, known))}", parameter=name, value=value)
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


@dataclass(frozen=True)
class EmbedProgress:
    """How far a run is: its phase, the inputs that are done in it, and those that just failed.

    The phases are "listing" (whose `total` is not known), "loading" the model, and "embedding".
    """

    phase: Literal["listing", "loading", "embedding"]
    done: int
    total: int | None = None
    failures: tuple[Failure, ...] = ()


class Runner(Protocol):
    """What makes shards: `local_runner.LocalRunner` or `ray_runner.RayRunner`; `notices` say what went wrong."""

    notices: list[str]

    def describe(self) -> VectorInfo:
        """What the vectors depend on, on the machine that makes them."""
        ...

    def run(
        self, facts: DatasetInfo, shards: Sequence[int], on_ready: Callable[[], None]
    ) -> Generator[Step, None, None]:
        """Make the shards, and yield steps; call `on_ready` before the first file is moved into place."""
        ...

    def close(self) -> None:
        """Release what was opened for the run."""
        ...


class Embedding:
    """A data set while it is made: iterate over its progress to the end; `result` is set then.

    Shards of an earlier run in the same folder are kept. Iterating raises DatasetError where the folder holds something
    else, NoInputError for no sources, and with `on_error="raise"` ImageError for the first that cannot be used.
    """

    def __init__(self, session: Embedder, sources: Iterable[Source], request: EmbedRequest) -> None:
        request = replace(request, output=as_path(os.fspath(request.output)))
        self._session, self._request = session, request
        self._repeats = Repeats()
        self._sources = self._repeats.leave_out(sources, texts=True)
        self._folder = open_folder(request.output)
        self._notices: list[str] = []
        self._replaced: set[str] | None = None  # the files of a data set that is to be overwritten
        self.result: EmbedResult | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now."""
        return tuple(dict.fromkeys((*self._session.notices, *self._notices)))

    def __iter__(self) -> Generator[EmbedProgress, None, None]:
        """List the sources, then make the shards that are missing."""
        begun = time.monotonic()
        records = map(to_record, self._sources)
        first = next(records, None)
        if first is None:
            raise NoInputError("no images to embed")
        folder, request = self._folder, self._request
        with folder.lock():
            facts = read_earlier(folder)
            if request.overwrite and facts is not None:
                self._replaced, facts = find_own(folder, facts), None
            if facts is not None:
                self._check(facts, self._expected(facts))
            plan = Plan()
            for done in self._plan(chain((first,), records), facts, plan):
                yield EmbedProgress("listing", done)
            self._notices += self._repeats.notices
            missing = failed = self._find_missing(facts, plan)
            if missing or facts is None:
                yield EmbedProgress("loading", 0)
                with closing(self._open_runner()) as runner:
                    facts = self._begin(runner.describe(), facts, plan)
                    self._notices += facts.warnings
                    with closing(self._watch(runner, facts, missing)) as steps:
                        yield from steps
                    self._notices += runner.notices
                failed = list(find_missing(folder, facts))
            else:
                self._notices += facts.warnings
            if not failed and facts.complete and errors_differ(folder, facts, self._digest()):
                self._notices.append(f"{folder.shown}: errors.jsonl was damaged, and is written again")
                facts = finish(folder, facts)
            elif not failed and not facts.complete:
                facts = finish(folder, facts)
        self.result = self._describe(facts, len(missing) - len(failed), failed, time.monotonic() - begun)

    def _plan(self, records: Iterable[dict[str, Any]], there: DatasetInfo | None, plan: Plan) -> Iterator[int]:
        """Write down which sources make up which shard, or compare them with what was written."""
        size = self._request.shard_size
        if there is None:
            return write_plan(self._folder, records, size, plan)
        if there.base not in (None, current_folder()):
            records = map(self._check_base, records, repeat(there.base))
        return compare_plan(self._folder, records, size, Plan(there.sources, there.sources_digest), plan)

    def _check_base(self, record: dict[str, Any], base: str) -> dict[str, Any]:
        """Raise DatasetError for a relative name, which is another file's than it was in the folder `base`."""
        name = str(record.get("tar", record["name"]))
        if record["kind"] in ("file", "tar") and not (is_url(name) or os.path.isabs(name)):  # noqa: PTH117
            raise DatasetError(
                f"{self._folder.shown}: its relative names start from {printable(base)}; run the command there, or "
                "give another folder"
            )
        return record

    def _find_missing(self, there: DatasetInfo | None, plan: Plan) -> list[int]:
        """The shards that have to be made; what is wrong with those that are damaged becomes a notice."""
        if there is None:
            return list(range(-(-plan.sources // self._request.shard_size)))
        found = find_missing(self._folder, there, self._digest())
        for shard, problem in found.items():
            if problem:
                self._notices.append(f"{self._folder.shown}: {problem}; shard {shard} is made again")
        return list(found)

    def _digest(self) -> DigestFile | None:
        """How the content of files that are there is compared; None where only their sizes are."""
        if self._request.verify:
            return digest_file
        return self._session.digest_file if isinstance(self._folder, LocalFolder) else None

    def _expected(self, there: DatasetInfo) -> VectorInfo:
        """What the vectors depend on, as far as known before the model is loaded; the rest as in `there`."""
        session = self._session
        encoder = session.encoder
        local = self._request.runner == "local"
        return VectorInfo(
            model=replace(there.model, name=encoder.name, pretrained=encoder.pretrained),
            digest=session.identity,
            device=there.device,
            engine=there.engine,
            precision=encoder.precision if local else session.model_options.precision or there.precision,
            preprocessing={**there.preprocessing, "exact": session.decoding.exact},
        )

    def _check(self, there: DatasetInfo, asked: VectorInfo) -> None:
        """Raise DatasetError, saying what differs, where the folder holds other vectors than are asked for."""
        request = self._request
        differences = find_differences(
            there, asked, dtype=request.dtype, shard_size=request.shard_size, with_captions=request.captions
        )
        if differences:
            raise DatasetError(f"{self._folder.shown} holds other vectors: {'; '.join(differences)}", hint=START_AGAIN)

    def _begin(self, vectors: VectorInfo, there: DatasetInfo | None, plan: Plan) -> DatasetInfo:
        """Write the facts of the data set before its first shard, or check those that are there against the model."""
        if there is not None:
            self._check(there, vectors)
            facts = replace(there, images=None, captions=None, errors=None, warnings=vectors.warnings)
        else:
            facts = DatasetInfo(
                **vars(vectors),
                dtype=self._request.dtype,
                shard_size=self._request.shard_size,
                with_captions=self._request.captions,
                sources=plan.sources,
                sources_digest=plan.digest,
                base=current_folder(),
            )
        if self._replaced is None:
            self._folder.write(INFO_FILE, facts.to_json().encode())
        else:
            check_room(self._folder, self._replaced, facts)
        return facts

    def _start_again(self, facts: DatasetInfo) -> None:
        """Remove what is to be overwritten, once."""
        if self._replaced is not None:
            start_again(self._folder, self._replaced, facts)
            self._replaced = None

    def _open_runner(self) -> Runner:
        if self._request.runner == "local":
            return LocalRunner(self._session, self._folder)
        from clipsim.tasks.ray import RayRunner

        return RayRunner(self._session, self._folder, self._request)

    def _watch(
        self, runner: Runner, facts: DatasetInfo, missing: Sequence[int]
    ) -> Generator[EmbedProgress, None, None]:
        size = facts.shard_size
        done = facts.sources - sum(min(size, facts.sources - shard * size) for shard in missing)
        yield EmbedProgress("embedding", done, facts.sources)
        with closing(runner.run(facts, missing, lambda: self._start_again(facts))) as steps:
            for count, failures in steps:
                done += count
                yield EmbedProgress("embedding", done, facts.sources, failures)

    def _describe(self, facts: DatasetInfo, made: int, failed: Sequence[int], seconds: float) -> EmbedResult:
        shared = EmbedResult.__dataclass_fields__.keys() - {"warnings"}
        known = {key: value for key, value in asdict(facts).items() if key in shared}
        return EmbedResult(
            **{**known, "model": facts.model},
            folder=self._request.output,
            dimensions=facts.dimensions,
            shards=facts.shards,
            made=made,
            failed_shards=tuple(failed),
            seconds=seconds,
            warnings=(*self.warnings, *([NO_CAPTIONS] if facts.captions == 0 and facts.images else [])),
        )


BATCHES_AHEAD = 2  # decoding of the next shard starts when this many batches are left, so that the model does not wait


class LocalRunner:
    """Runs the shards with the session's own model."""

    def __init__(self, session: Embedder, folder: Folder) -> None:
        self._session, self._folder = session, folder
        self.notices: list[str] = []  # none: what a model has to say is the session's

    def describe(self) -> VectorInfo:
        """What the vectors will depend on; loads the model."""
        return describe_vectors(self._session)

    def close(self) -> None:
        """Nothing: the session outlives the run."""

    def run(
        self, facts: DatasetInfo, shards: Sequence[int], on_ready: Callable[[], None] = lambda: None
    ) -> Generator[Step, None, None]:
        """Make the shards, in order; `on_ready` is called before the files of each are moved into place."""
        ahead = BATCHES_AHEAD * self._session.batch_size
        following: ShardWork | None = None
        try:
            for place, shard in enumerate(shards):
                work = following or ShardWork(self._session, self._folder, facts, shard)
                following = None
                with closing(work), closing(work.run(on_ready)) as steps:
                    for step in steps:
                        if following is None and work.left <= ahead and place + 1 < len(shards):
                            following = ShardWork(self._session, self._folder, facts, shards[place + 1])
                            following.start()
                        yield step
        finally:
            if following is not None:
                following.close()


Step = tuple[int, tuple[Failure, ...]]  # inputs that are done, and those among them that failed


class ShardWork:
    """The making of one shard. Raises DatasetError where the plan that lists its sources is missing."""

    def __init__(self, session: Embedder, folder: Folder, facts: DatasetInfo, shard: int) -> None:
        self._session, self._folder, self._facts, self._shard = session, folder, facts, shard
        self._sources: list[Source] = [from_record(record) for record in read_plan(folder, shard)]
        self._pipeline: Pipeline | None = None
        self.left = len(self._sources)

    def start(self) -> None:
        """Begin to decode; the previous shard may still be encoding."""
        if self._pipeline is None:
            self._pipeline = self._session.open_pipeline(self._sources, measure=True)
            self._pipeline.start()

    def close(self) -> None:
        """Stop decoding, and drop what has been decoded."""
        if self._pipeline is not None:
            self._pipeline.close()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> Generator[Step, None, None]:
        """Make the shard, and yield a step for each batch; `on_ready` is called before its files are moved into place.

        The composition of the batches, and with it the rounding of the vectors, depends on the shard's sources alone.
        Raises DatasetError where the shard cannot be written, and ImageError for a failed input where the session's
        `on_error` is "raise".
        """
        self.start()
        assert self._pipeline is not None
        facts = self._facts
        with ShardWriter(
            self._folder,
            self._shard,
            dimensions=facts.dimensions,
            dtype=facts.dtype,
            with_captions=facts.with_captions,
            on_ready=on_ready,
        ) as writer:
            for outcomes in self._session.embed_images(self._pipeline, keep=False):
                place = len(self._sources) - self.left
                self.left -= len(outcomes)
                yield len(outcomes), self._add(writer, self._sources[place : place + len(outcomes)], outcomes)
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
            writer.add(rows, images, self._embed(captions) if self._facts.with_captions else None)
        return tuple(failures)

    def _embed(self, captions: Sequence[str | None]) -> Vectors:
        """The unit vectors of captions, which are cut to the model's context; zeros where there is none."""
        vectors = np.zeros((len(captions), self._facts.dimensions), np.float32)
        places = [place for place, caption in enumerate(captions) if caption is not None]
        if places:
            texts = [caption for caption in captions if caption is not None]
            vectors[places] = unit_rows(self._session.encoder.encode_texts(texts, truncate=True))
        return vectors


def describe_vectors(session: Embedder) -> VectorInfo:
    """What a session's vectors depend on. Loads the model, so that the device and precision are certain."""
    session.load_model()
    encoder = session.encoder
    return VectorInfo(
        model=describe_model(encoder),
        digest=session.identity,
        device=encoder.device,
        engine=encoder.engine,
        precision=encoder.precision,
        preprocessing={**asdict(encoder.preprocessing), "exact": session.decoding.exact},
        warnings=session.model_notices,
    )


def _describe(source: Source, vector: ImageVector) -> Row:
    width, height = vector.size or (None, None)
    digest = None if vector.digest is None else vector.digest.hex()
    return Row(source.name, source.caption, source.facts, width, height, digest)
