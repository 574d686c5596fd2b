"""What `embed` is to embed → which inputs make up which shard; what stores list is kept until it is embedded."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any

from clipsim.errors import DataError, DatasetError, NoInputError, pluralise, printable
from clipsim.files import current_folder
from clipsim.inputs.expand import Repeats
from clipsim.inputs.plan_file import SourcePlan, StoredPlan
from clipsim.inputs.urls import is_url
from clipsim.results.datasets import EmbedPlan
from clipsim.store.folders import Folder, LocalFolder, StoreFolder, open_folder
from clipsim.store.layout import STATE_FOLDER, DatasetInfo
from clipsim.store.lifecycle import read_earlier
from clipsim.store.metadata import ColumnTypes
from clipsim.store.plan import Inputs, PlanUpdate, settle_plan, update_plan, write_plan
from clipsim.tasks.embed_shards import container, to_plan
from clipsim.tasks.embed_updates import UnnamedInputs, describe_update, locate
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress

if TYPE_CHECKING:
    from typing_extensions import Self

    from clipsim.tasks.embed import EmbedRequest

PLAN_FILE = f"{STATE_FOLDER}/plan.jsonl.gz"


class Planner:
    """Lists the inputs of a run, or reads what an earlier one has listed; a context manager.

    Entering it finds the first input, before anything is written. Raises NoInputError where there is none, DataError
    for a plan that was named and cannot be read.
    """

    def __init__(
        self, request: EmbedRequest, folder: Folder, on_inputs: Callable[[int], None], *, everything: bool = False
    ) -> None:
        self._request, self._folder, self._on_inputs = request, folder, on_inputs
        self._everything = everything  # whether the plan is to have all inputs, also those that no store was asked for
        self._stack = ExitStack()
        self._repeats = Repeats()
        self._unnamed = UnnamedInputs(self._repeats)
        self._is_kept = False  # whether the folder has a plan
        self._plan = SourcePlan()
        self._records: Iterator[dict[str, Any]] = iter(())
        self.columns = ColumnTypes()
        self.notices: list[str] = []
        self.kinds = Counter[str]()  # of the inputs

    def __enter__(self) -> Self:
        """Find the first input."""
        try:
            self._on_inputs(0)
            self._plan = SourcePlan(self._read_stored(), everything=self._everything)
            sources = self._request.sources
            named = sources(plan=self._plan) if callable(sources) else sources
            unique = self._stack.enter_context(closing(self._repeats.leave_out(named, texts=True)))
            records = map(to_plan, unique)
            first = next(records, None)
            if first is None:
                raise NoInputError("no images to embed")
        except BaseException:
            self._stack.close()
            raise
        self._records = chain((first,), records)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the listing, and remove the copy of a plan from a store."""
        self._stack.close()

    def update(self, existing: DatasetInfo | None, *, stages: bool = True) -> PlanUpdate:
        """Stage which inputs make up which shard, or what differs in it from the plan of an `existing` data set.

        Addresses that were listed are kept in the folder, also where the run ends before all are. Without `stages`,
        the inputs of a new data set are only counted.
        """
        self.columns = ColumnTypes(() if existing is None else existing.columns)
        with ExitStack() as stack:
            path: list[Path] = []

            def make_path() -> Path:
                path.append(stack.enter_context(self._folder.scratch()) / "plan")
                return path[0]

            try:
                with self._plan.writing(make_path):
                    update = self._update(existing, stages)
            except BaseException:
                with suppress(DatasetError):
                    self._keep(path)
                raise
            self._keep(path)
        self.notices += [*self._repeats.notices, *self._describe_stored()]
        return update

    def remove(self) -> None:
        """Remove the plan from the folder, since all that it lists is embedded."""
        if self._is_kept:
            self._folder.remove(PLAN_FILE)

    def _update(self, existing: DatasetInfo | None, stages: bool) -> PlanUpdate:
        records: Iterator[dict[str, Any]] = map(self._note, self._records)
        size = self._request.shard_size
        if existing is None and not stages:
            for count, _ in enumerate(records, start=1):
                if count % size == 0:
                    self._on_inputs(count)
            return PlanUpdate((), added=self.kinds.total())
        if existing is None:
            shards = write_plan(self._folder, records, size, self._on_inputs)
            return PlanUpdate(shards)
        if existing.base not in (None, current_folder()):
            base = str(existing.base)
            records = (self._check_base(record, base) for record in records)
        inputs = Inputs(locate, self._unnamed.find)
        return update_plan(self._folder, records, size, existing.plan, self._on_inputs, inputs)

    def _note(self, record: dict[str, Any]) -> dict[str, Any]:
        self.columns.add(record.get("facts"))
        self.kinds[record["kind"]] += 1
        if record["kind"] == "url":
            self._unnamed.add_folders(record)
        return record

    def _check_base(self, record: dict[str, Any], base: str) -> dict[str, Any]:
        """Raise DatasetError for a relative name, which is another file's than it was in the folder `base`."""
        name = container(record)
        if record["kind"] not in ("failed", "url") and not (is_url(name) or os.path.isabs(name)):  # noqa: PTH117
            raise DatasetError(
                f"{self._folder.label}: its relative names start from {printable(base)}; run the command there, or "
                "give another folder"
            )
        return record

    def _read_stored(self) -> StoredPlan | None:
        """The plan that the request names, or the one in the folder."""
        self._is_kept = self._has_plan()
        if self._request.plan is not None:
            return StoredPlan(Path(self._request.plan))
        if not self._is_kept or self._request.overwrite or self._request.list_again:
            return None
        try:
            return StoredPlan(self._fetch_kept())
        except DataError:
            self.notices.append(f"{self._folder.label}: {PLAN_FILE} is damaged; what it had is listed again")
            return None

    def _has_plan(self) -> bool:
        """Whether there is a plan in the folder."""
        if isinstance(self._folder, LocalFolder):
            return os.path.isfile(self._folder.path / PLAN_FILE)  # noqa: PTH113 (a Path raises for names too long)
        return PLAN_FILE.rpartition("/")[2] in self._folder.list_names(STATE_FOLDER)

    def _fetch_kept(self) -> Path:
        """The plan in the folder, as a file of this machine."""
        if not isinstance(self._folder, StoreFolder):
            return Path(self._request.output) / PLAN_FILE
        path = Path(self._stack.enter_context(TemporaryDirectory(prefix="clipsim-"))) / "plan"
        self._folder.fetch(PLAN_FILE, path)
        return path

    def _keep(self, path: list[Path]) -> None:
        """Put a plan that has something new into the folder."""
        if path and self._plan.is_new:
            self._folder.publish(path[0], PLAN_FILE)
            self._is_kept = True

    def _describe_stored(self) -> list[str]:
        """One notice of what was not listed again; empty where all was."""
        plan = self._plan
        if plan.stored is None or plan.oldest is None:
            return []
        if self._request.plan is None:
            where = f"{self._folder.label}/{PLAN_FILE}"
            remedy = "; without that file, they are listed anew"
        else:
            where, remedy = printable(self._request.plan), ""
        are = "1 name is" if plan.names == 1 else f"{plan.names:,} names are"
        age = describe_age(time.time() - plan.oldest)
        inputs = pluralise(plan.sources, "input")
        return [f"{are} not listed again: {where} has {inputs}, listed {age} ago{remedy}"]


def run(request: EmbedRequest, progress: ProgressCallback = ignore_progress) -> EmbedPlan:
    """List what is to be embedded, and keep it in the folder for the run that embeds it; no model is needed.

    Raises as `embed.run` does.
    """
    begun = time.monotonic()
    folder = open_folder(request.output)

    def report(count: int) -> None:
        progress(Progress("listing the images", count, None))

    with Planner(request, folder, report, everything=True) as planner, folder.lock():
        info = read_earlier(folder)
        replaced = request.overwrite and info is not None
        try:
            update = planner.update(None if replaced else info, stages=False)
        finally:
            settle_plan(folder, () if info is None else info.plan)
    sources = sum(shard.sources for shard in update.shards) or update.added
    return EmbedPlan(
        folder=request.output,
        plan=f"{request.output.rstrip('/')}/{PLAN_FILE}",
        sources=sources,
        kinds=dict(sorted(planner.kinds.items())),
        shards=len(update.shards) or -(-sources // request.shard_size),
        added=update.added,
        changed=update.changed,
        removed=update.removed,
        kept=update.kept,
        seconds=time.monotonic() - begun,
        warnings=(*planner.notices, *([] if info is None or replaced else describe_update(update))),
    )


def describe_age(seconds: float) -> str:
    """A time in its largest unit.

    >>> describe_age(30), describe_age(3700), describe_age(200_000)
    ('less than a minute', '1 hour', '2 days')
    """
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return pluralise(int(seconds // length), unit)
    return "less than a minute"
