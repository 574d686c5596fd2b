"""What the commands over many images share: what they search, their progress and how they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import typer

from clipsim.cli.exit_status import NOTHING_DONE, SOME_SKIPPED
from clipsim.cli.output import Bar, NoticePrinter, print_message, progress_bar
from clipsim.errors import UsageError, pluralise, printable
from clipsim.inputs.paths import STANDARD_INPUT, read_path_list

if TYPE_CHECKING:
    from clipsim.cli.parameters import Run
    from clipsim.embedding.embedder import Embedder
    from clipsim.errors import Failure
    from clipsim.inputs.paths import NameFilter
    from clipsim.inputs.plan_file import SourcePlan
    from clipsim.inputs.sources import Source
    from clipsim.results.base import Result
    from clipsim.tasks.file_plans import FilePlan
    from clipsim.tasks.progress import Progress, ProgressCallback
    from clipsim.tasks.search_targets import Targets

Request = TypeVar("Request")
Answer = TypeVar("Answer", bound="Result | FilePlan")


def find_named_sources(
    names: Sequence[str],
    from_file: str | None = None,
    chosen: NameFilter | None = None,
    *,
    captions: bool = False,
    image_column: str | None = None,
    caption_column: str | None = None,
    plan: SourcePlan | None = None,
) -> Iterator[Source]:
    """The sources that arguments name, lazily; `-` is a list of paths on standard input, `from_file` one in a file.

    Without both, they are all those of the `plan`.
    """
    from clipsim.inputs.expand import find_sources
    from clipsim.inputs.shards import leave_out_sidecars
    from clipsim.inputs.sources import FailedSource

    if plan is not None and not names and from_file is None:
        for source in plan.read_all():
            if chosen is None or isinstance(source, FailedSource) or chosen.accepts(source.name):
                yield source
    names = leave_out_sidecars(names)
    find = partial(find_sources, captions=captions, image_column=image_column, caption_column=caption_column, plan=plan)
    for from_list, part in groupby(names, STANDARD_INPUT.__eq__):
        for group in map(read_path_list, part) if from_list else (part,):
            yield from find(group, chosen, listed=from_list)
    if from_file is not None:
        yield from find(read_path_list(from_file), chosen, listed=True)


def find_named_targets(
    names: Sequence[str],
    from_file: str | None = None,
    chosen: NameFilter | None = None,
    notices: NoticePrinter | None = None,
) -> Targets:
    """As `find_named_sources`, but a folder that `clipsim embed` wrote is a data set.

    Where nothing of it exists, each name is reported and the run ends, before a model is looked for. Raises UsageError
    where nothing is named.
    """
    if not names and from_file is None:
        raise UsageError("nothing to search: pass a folder, images, or a folder of vectors")
    from clipsim.inputs.shards import leave_out_sidecars
    from clipsim.inputs.sources import find_missing
    from clipsim.tasks.search_targets import find_targets

    def expand() -> Iterator[object]:
        for name in leave_out_sidecars(names):
            if name == STANDARD_INPUT:
                yield from find_named_sources([name], None, chosen)
            else:
                yield name
        yield from find_named_sources([], from_file, chosen)

    notices = notices or NoticePrinter(quiet=True)
    targets = find_targets(expand(), chosen, report=lambda line: notices.print([line]))
    sources = [source for target in targets if isinstance(target, list) for source in target]
    missing = find_missing(sources) if len(sources) == sum(map(len, targets)) else ()
    if missing and len(missing) == len(sources):
        report_failures(missing)
        end_with_failures(len(missing), 0)
    return targets


def run_task(
    task: Callable[[Embedder, Request, ProgressCallback], Answer],
    request: Request,
    run: Run,
    notices: NoticePrinter,
    model: str | None,
) -> Answer:
    """Open a model and run a task with it, with a progress bar, and the notices of its result."""
    from clipsim.embedding.embedder import Embedder

    (options,), run_options = run.options(model)
    with progress_bar(quiet=run.quiet) as bar:
        progress = report_progress(bar, notices)
        with Embedder(options, run_options, own_process=True) as embedder:
            result = task(embedder, request, progress)
    notices.print(result.warnings)
    return result


def report_progress(bar: Bar, notices: NoticePrinter, stage: str = "loading the model") -> ProgressCallback:
    """What a task calls as it runs: moves the bar, and prints notices and the inputs that are skipped as they come."""
    done = 0
    bar.step(stage)

    def report(progress: Progress) -> None:
        nonlocal stage, done
        if progress.stage != stage:
            stage, done = progress.stage, progress.done if progress.total is not None else 0
            bar.step(stage, progress.total, done)
        notices.print(progress.notices)
        failures = progress.failures
        report_failures(failures if notices.skipped is None else notices.skipped.choose_new(failures))
        bar.advance(progress.done - done, progress.node)
        done = progress.done

    return report


def report_failures(failures: Iterable[Failure]) -> None:
    """Print a line for each input that cannot be used."""
    for failure in failures:
        print_message("skipped", f"{printable(failure.image)}: {failure.error}")


def end_with_failures(failed: int, used: int) -> None:
    """End the run with the status that so many failed and so many used inputs have."""
    if failed and used:
        print_message("warning", f"{failed:,} of {pluralise(failed + used, 'input')} skipped")
        raise typer.Exit(SOME_SKIPPED)
    if not used:
        print_message("error", "none of the inputs could be used; the lines above say why")
        raise typer.Exit(NOTHING_DONE)


def multiply_in_one_thread() -> None:
    """Let a matrix product run in the thread that asks for it, unless the user has set another number.

    Commands that compare many vectors give each core a thread with blocks of its own; OpenBLAS would start as many
    again in each, which wait for each other.
    """
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
