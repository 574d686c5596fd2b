"""Sources → a data set of vectors on disk: `EmbedRequest` is the request, `run` makes it, in shards."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from clipsim.embedding.embedder import Embedder
from clipsim.errors import (
    FAILURE_KINDS,
    TRANSIENT_KINDS,
    DatasetError,
    Failure,
    Setting,
    UsageError,
    pluralise,
)
from clipsim.files import current_folder, digest_file
from clipsim.inputs.sources import Source
from clipsim.inputs.urls import as_path
from clipsim.options import as_whole, check_device, check_flag
from clipsim.results.datasets import EmbedResult
from clipsim.store.folders import DigestFile, LocalFolder, open_folder
from clipsim.store.layout import INFO_FILE, DatasetInfo, ShardPlan, VectorInfo, import_parquet
from clipsim.store.lifecycle import (
    check_room,
    errors_differ,
    find_differences,
    find_own,
    finish,
    read_earlier,
    start_again,
)
from clipsim.store.metadata import ColumnTypes
from clipsim.store.plan import START_AGAIN, settle_plan
from clipsim.store.shards import ShardState, check_shards
from clipsim.tasks.embed_plan import Planner
from clipsim.tasks.embed_shards import LocalRunner, installed_versions
from clipsim.tasks.embed_updates import add_versions, describe_update
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress

if TYPE_CHECKING:
    from clipsim.tasks.devices import DevicesRunner
    from clipsim.tasks.ray import RayRunner

MAX_SHARD_SIZE = 1_000_000
DTYPES = ("fp16", "fp32")
RUNNERS = ("local", "ray")
VECTOR_FILES = ("npy", "parquet")
RETRY_FAILED = ("transient", "all")
_PERCENTAGE = re.compile(r"[0-9]{1,3}(\.[0-9]+)?%")
NO_CAPTIONS = (
    "no caption was found: they are looked for in text files beside images and in tars, in the columns caption, text "
    "and title of tables, and in the metadata.jsonl or metadata.csv of a folder"
)


@dataclass(frozen=True)
class EmbedRequest:
    """What is embedded, where the vectors go and how they are kept, checked before a model is opened.

    `sources` are read once, as the run goes; a function that gives them is called with `plan=`, the `SourcePlan` of the
    run. It reads the file `plan`, or the plan that an earlier run has left in the folder, unless with `list_again`.
    `output` is a folder, or the address of one in an object store. `runner` is "local" or "ray"; `ray_address` is a
    cluster's, None for that of `RAY_ADDRESS`, or Ray on this machine. `actors` is how many encoders Ray runs, or the
    least and the most; None for one an accelerator, also of nodes that join late. `cpus_per_worker` is the cores of
    each. A process for each of `devices` makes shards, where there are any. With `overwrite`, a data set that is there
    is replaced as soon as the first shard of the new one is ready. `vectors` is "npy", or "parquet" for tables with a
    column of vectors beside these files. With `verify`, the content of every file that is there is compared with what
    was written. Inputs that failed for now are tried again; with `retry_failed` "transient" also those of which an
    earlier version did not record the kind, with "all" every one that failed. The run ends once more than
    `max_failures` ("5%") of the inputs have failed.
    Raises UsageError for values out of range, and MissingPackageError without pyarrow.
    """

    sources: Iterable[Source] | Callable[..., Iterable[Source]]
    output: str
    captions: bool = False
    dtype: str = "fp16"
    shard_size: int = 10_000
    overwrite: bool = False
    runner: str = "local"
    ray_address: str | None = None
    actors: int | tuple[int, int] | None = None
    verify: bool = False
    vectors: str = "npy"
    devices: tuple[str, ...] = ()
    retry_failed: str | None = None
    max_failures: str | None = None
    cpus_per_worker: int | None = None
    plan: str | None = None
    list_again: bool = False

    @property
    def encoders(self) -> tuple[int, int | None]:
        """The least and the most encoders of Ray; None where there is no limit."""
        if self.actors is None:
            return 0, None
        return self.actors if isinstance(self.actors, tuple) else (self.actors, self.actors)

    @property
    def retried_kinds(self) -> frozenset[str]:
        """The kinds of failures that are tried again."""
        kinds = {None: TRANSIENT_KINDS, "transient": TRANSIENT_KINDS | {"unknown"}, "all": FAILURE_KINDS}
        return kinds[self.retry_failed]

    @property
    def failure_share(self) -> float:
        """The share of the inputs that may fail."""
        return 1.0 if self.max_failures is None else float(self.max_failures.rstrip("%")) / 100

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.output:
            raise UsageError("empty", parameter="output", hint="name a folder")
        object.__setattr__(self, "output", as_path(self.output))
        for name, value, choices in (
            ("dtype", self.dtype, DTYPES),
            ("runner", self.runner, RUNNERS),
            ("vectors", self.vectors, VECTOR_FILES),
            *([] if self.retry_failed is None else [("retry_failed", self.retry_failed, RETRY_FAILED)]),
        ):
            if not isinstance(value, str) or value not in choices:
                raise UsageError(f"not {' or '.join(map(repr, choices))}", parameter=name, value=value)
        size = as_whole(self.shard_size)
        if size is None or not 1 <= size <= MAX_SHARD_SIZE:
            raise UsageError(
                f"not a whole number from 1 to {MAX_SHARD_SIZE:,}", parameter="shard_size", value=self.shard_size
            )
        for name in ("ray_address", "actors", "cpus_per_worker"):
            if self.runner != "ray" and getattr(self, name) is not None:
                raise UsageError(
                    "goes with Ray only",
                    parameter=name,
                    value=getattr(self, name),
                    hint=("give ", Setting("runner", "ray")),
                )
        if self.ray_address is not None and not (isinstance(self.ray_address, str) and self.ray_address):
            raise UsageError("not an address", parameter="ray_address", value=self.ray_address)
        if self.actors is not None:
            object.__setattr__(self, "actors", check_actors(self.actors))
        if self.cpus_per_worker is not None:
            cpus = as_whole(self.cpus_per_worker)
            if cpus is None or cpus < 1:
                raise UsageError("not a positive integer", parameter="cpus_per_worker", value=self.cpus_per_worker)
            object.__setattr__(self, "cpus_per_worker", cpus)
        for device in self.devices:
            check_device(device)
        if self.devices and self.runner != "local":
            raise UsageError(
                "goes without Ray, which finds the GPUs itself", parameter="devices", value=",".join(self.devices)
            )
        if self.max_failures is not None and not (
            isinstance(self.max_failures, str) and _PERCENTAGE.fullmatch(self.max_failures) and self.failure_share <= 1
        ):
            raise UsageError("not a percentage from 0% to 100%", parameter="max_failures", value=self.max_failures)
        for name in ("captions", "overwrite", "verify", "list_again"):
            check_flag(name, getattr(self, name))
        object.__setattr__(self, "shard_size", size)
        import_parquet()


def check_actors(actors: object) -> int | tuple[int, int]:
    """The number of Ray's encoders, or the least and the most. Raises UsageError for anything else.

    >>> check_actors(2), check_actors((2, 8))
    (2, (2, 8))
    """
    if isinstance(actors, tuple | list) and len(actors) == 2:
        minimum, maximum = map(as_whole, actors)
        if minimum is not None and maximum is not None and 1 <= minimum <= maximum:
            return minimum, maximum
        raise UsageError("not two positive integers, the smaller one first", parameter="actors", value=actors)
    number = as_whole(actors)
    if number is None or number < 1:
        raise UsageError("not a positive integer", parameter="actors", value=actors)
    return number


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
        self._folder = open_folder(self._request.output)
        self._notices: list[str] = []
        self._runner_notices: list[str] = []
        self._latest = Progress("", 0, None)
        self._replaced: set[str] | None = None  # the files of a data set that is to be overwritten
        self._columns = ColumnTypes()
        self._begun = False  # whether the plan of this run is that of the folder
        self._failures = Counter[str]()  # of the inputs that are done, by kind

    def run(self) -> EmbedResult:
        """List the sources, then make the shards that are missing."""
        begun = time.monotonic()
        folder = self._folder
        with Planner(self._request, folder, partial(self._report, "listing the images")) as planner, folder.lock():
            info = read_earlier(folder)
            recorded = () if info is None else info.plan
            if self._request.overwrite and info is not None:
                self._replaced, info = find_own(folder, info), None
            if info is not None:
                self._check(info, self._expected(info))
            try:
                update = planner.update(info)
                self._columns = planner.columns
                self._notices += [*planner.notices, *describe_update(update)]
                states = self._check_shards(info, update.shards)
                missing = [shard for shard, state in states.items() if self._is_made(state)]
                if missing or info is None:
                    for state in states.values():
                        self._failures.update({} if self._is_made(state) else state.failures)
                    info = self._make(missing, info, update.shards)
                    states |= check_shards(folder, info, missing)
                else:
                    self._notices += info.warnings
            finally:
                if not self._begun:  # drop the plan that was staged
                    settle_plan(folder, recorded)
            failed = [shard for shard, state in states.items() if state.problem is not None]
            if not failed and info.complete and errors_differ(folder, info, self._digest()):
                self._notices.append(f"{folder.label}: errors.jsonl was damaged, and is written again")
                info = finish(folder, info)
            elif not failed and not info.complete:
                info = finish(folder, info)
            self._failures = sum((Counter(state.failures) for state in states.values()), Counter[str]())
            self._limit_failures(info.sources)
            if not failed and TRANSIENT_KINDS.isdisjoint(self._failures):
                planner.remove()
        return self._describe(info, len(missing) - len(failed), failed, time.monotonic() - begun)

    def _report(
        self,
        stage: str,
        done: int,
        total: int | None = None,
        failures: tuple[Failure, ...] = (),
        node: str | None = None,
    ) -> None:
        self._latest = Progress(stage, done, total)
        self._progress(Progress(stage, done, total, failures, self._warnings(), node))

    def _report_notices(self) -> None:
        """Report that there are new notices, and nothing else."""
        self._progress(replace(self._latest, notices=self._warnings()))

    def _warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now."""
        return tuple(dict.fromkeys((*self._embedder.notices, *self._notices, *self._runner_notices)))

    def _make(self, missing: Sequence[int], existing: DatasetInfo | None, plan: tuple[ShardPlan, ...]) -> DatasetInfo:
        """Make the shards that are missing."""
        self._report("loading the model", 0)
        with closing(self._open_runner(len(missing), existing)) as runner:
            self._runner_notices = runner.notices
            info = self._begin(runner.describe(), existing, plan)
            self._notices += info.warnings
            total = info.sources
            done = total - sum(plan[shard].sources for shard in missing)
            self._report("embedding", done, total)
            self._limit_failures(total)

            def on_batch(count: int, failures: tuple[Failure, ...], node: str | None = None) -> None:
                nonlocal done
                done += count
                self._report("embedding", done, total, failures, node)
                self._failures.update(failure.kind for failure in failures)
                self._limit_failures(total)

            runner.run(info, missing, lambda: self._start_again(info), on_batch)
        return info

    def _check_shards(self, existing: DatasetInfo | None, plan: tuple[ShardPlan, ...]) -> dict[int, ShardState]:
        """The states of all shards; what is wrong with those that are damaged becomes a notice."""
        if existing is None:
            return dict.fromkeys(range(len(plan)), ShardState(""))
        if plan != existing.plan:
            existing = grow(existing, plan)
        states = check_shards(self._folder, existing, range(existing.shards), self._digest())
        for shard, state in states.items():
            if state.problem:
                self._notices.append(f"{self._folder.label}: {state.problem}; shard {shard} is made again")
        return states

    def _is_made(self, state: ShardState) -> bool:
        """Whether this run has to make a shard, or to try inputs of it again."""
        return state.problem is not None or not self._request.retried_kinds.isdisjoint(state.failures)

    def _limit_failures(self, total: int) -> None:
        """Raise DatasetError where more inputs have failed than may."""
        failed = self._failures.total()
        if failed > self._request.failure_share * total:
            raise DatasetError(
                f"{failed:,} of {pluralise(total, 'input')} failed ({describe_failures(self._failures)}), more than "
                f"{self._request.max_failures}; what is there stays, and the same command goes on from it"
            )

    def _digest(self) -> DigestFile | None:
        """How the content of files that are there is compared; None where only their sizes are."""
        if self._request.verify:
            return digest_file
        return self._embedder.digest_file if isinstance(self._folder, LocalFolder) else None

    def _expected(self, existing: DatasetInfo) -> VectorInfo:
        """What the vectors depend on, as far as known before the model is loaded; the rest as in `existing`."""
        embedder = self._embedder
        local = self._request.runner == "local" and not self._request.devices
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
            existing,
            vectors,
            dtype=request.dtype,
            shard_size=request.shard_size,
            with_captions=request.captions,
            with_parquet=request.vectors == "parquet",
        )
        if differences:
            raise DatasetError(f"{self._folder.label} holds other vectors: {'; '.join(differences)}", hint=START_AGAIN)

    def _begin(self, vectors: VectorInfo, existing: DatasetInfo | None, plan: tuple[ShardPlan, ...]) -> DatasetInfo:
        """Describe the data set before its first shard is written, or check what describes it against the model."""
        if existing is not None:
            self._check(existing, vectors)
            versions, notice = add_versions(existing.versions, installed_versions())
            self._notices += [] if notice is None else [f"{self._folder.label}: {notice}"]
            info = replace(
                grow(existing, plan), warnings=vectors.warnings, columns=self._columns.columns, versions=versions
            )
        else:
            info = DatasetInfo(
                **vars(vectors),
                dtype=self._request.dtype,
                shard_size=self._request.shard_size,
                with_captions=self._request.captions,
                with_parquet=self._request.vectors == "parquet",
                plan=plan,
                columns=self._columns.columns,
                base=current_folder(),
                versions=(installed_versions(),),
            )
        if self._replaced is None:
            self._folder.write(INFO_FILE, info.to_json().encode())
            self._settle(plan)
        else:
            check_room(self._folder, self._replaced, info)
        return info

    def _start_again(self, info: DatasetInfo) -> None:
        """Remove what is to be overwritten, once."""
        if self._replaced is not None:
            start_again(self._folder, self._replaced, info)
            self._settle(info.plan)
            self._replaced = None

    def _settle(self, plan: tuple[ShardPlan, ...]) -> None:
        """Put the plan that was staged into its place, now that the record of the data set has it."""
        self._begun = True
        settle_plan(self._folder, plan)

    def _open_runner(self, shards: int, existing: DatasetInfo | None) -> LocalRunner | DevicesRunner | RayRunner:
        if self._request.devices:
            from clipsim.tasks.devices import DevicesRunner

            return DevicesRunner(self._embedder, self._folder, self._request)
        if self._request.runner == "local":
            retried = self._request.retried_kinds
            return LocalRunner(self._embedder, self._folder, anew=self._replaced is not None, retried=retried)
        from clipsim.tasks.ray import RayRunner

        precision = None if existing is None else existing.precision
        return RayRunner(self._embedder, self._folder, self._request, shards, precision, self._report_notices)

    def _describe(self, info: DatasetInfo, made: int, failed: Sequence[int], seconds: float) -> EmbedResult:
        shared = EmbedResult.__dataclass_fields__.keys() - {"warnings"}
        described = {key: value for key, value in asdict(info).items() if key in shared}
        return EmbedResult(
            **{**described, "model": info.model},
            folder=self._request.output,
            dimensions=info.dimensions,
            sources=info.sources,
            shards=info.shards,
            made=made,
            failed_shards=tuple(failed),
            errors_by_class=dict(sorted(self._failures.items())),
            seconds=seconds,
            warnings=(*self._warnings(), *([NO_CAPTIONS] if info.captions == 0 and info.images else [])),
        )


def describe_failures(kinds: Mapping[str, int]) -> str:
    """How many inputs failed, by kind.

    >>> describe_failures({"denied": 120, "bad_image": 3})
    'denied 120, bad_image 3'
    """
    return ", ".join(f"{kind} {count:,}" for kind, count in kinds.items())


def grow(info: DatasetInfo, plan: tuple[ShardPlan, ...]) -> DatasetInfo:
    """The record of a data set that is not complete, since the inputs are others or some shards are to be made."""
    return replace(info, plan=plan, images=None, captions=None, errors=None, rows=(), files={})
