"""A `RankRequest` → a run: paths found, model loaded, images ranked, results printed, status set."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import typer

from clipsim.api import NO_SHARE, check_request, open_cached, repeated_notices
from clipsim.cli.notices import listen
from clipsim.cli.options import Format, RankRequest
from clipsim.cli.output import NOTHING_DONE, SOME_SKIPPED, say
from clipsim.cli.progress import Bar, progress_bar
from clipsim.cli.results import Done, print_json_lines, print_result
from clipsim.devices import default_batch_size
from clipsim.embed import ImageFailure
from clipsim.errors import ImageError, UsageError
from clipsim.models import BUNDLED
from clipsim.names import printable
from clipsim.paths import STANDARD_INPUT, find_images, find_listed_images, read_path_list
from clipsim.ranking import ImageScores, collect, rank_sources
from clipsim.settings import choose_model
from clipsim.texts import distinct_prompts, read_prompts

Outcomes = Sequence[ImageScores | ImageFailure]

MINI_NOTICE = (
    f"using {BUNDLED}, the small bundled model: it knows simple drawings, not photographs; "
    "choose a real one with 'clipsim models use ViT-B-32/openai' or --model"
)


def run_rank(request: RankRequest) -> None:
    """Do what was asked; raises ClipsimError, or typer.Exit with the status of a run that skipped inputs."""
    _check_standard_input(request)
    listen(quiet=request.quiet)
    prompts, repeated = distinct_prompts(chain(request.texts, *map(read_prompts, request.text_files)))
    check_request(prompts, request.templates, request.sort_by)
    streamed = request.format is Format.jsonl and request.sort_by is None
    paths: Iterable[str] = _find_paths(request)
    total = None
    if not streamed:
        paths = list(paths)
        total = len(paths)
        if request.format is Format.table and not request.fail:
            _check_some_exist(paths)
    spec, chosen = choose_model(request.model, request.weights)
    notices = [*([] if chosen else [MINI_NOTICE]), *repeated_notices(repeated)]
    if request.top is not None and request.format is Format.json:
        notices.append("--top does not apply to --format json, whose matrices are whole")
    with progress_bar(quiet=request.quiet or (streamed and sys.stdout.isatty())) as bar:
        bar.step("loading the model")
        encoder, cache = open_cached(
            spec,
            request.device,
            request.precision,
            engine=request.engine,
            exact=request.exact,
            cache=request.cache,
            lean=True,
        )
        if len(prompts) == 1 and encoder.head == "softmax":
            notices.append(NO_SHARE)
        for notice in () if request.quiet else notices:
            say("note", notice)
        batches = _watch(
            rank_sources(
                encoder,
                paths,
                prompts,
                request.templates,
                batch_size=request.batch_size or default_batch_size(encoder.device),
                workers=request.workers,
                exact=request.exact,
                truncate=request.truncate,
                fail=request.fail,
                cache=cache,
                before_decoding=_lift_pillows_limit,
            ),
            bar,
            total,
        )
        if streamed:
            done = print_json_lines(batches, prompts, request.top)
        else:
            result = collect(
                encoder, prompts, batches, templates=request.templates, warnings=notices, sort_by=request.sort_by
            )
            done = Done(len(result.scores), len(result.errors))
        if cache is not None:
            cache.close()
    if not streamed:
        print_result(result, request.format, request.top)
    if done.failed:
        _end_with_failures(done)


def _lift_pillows_limit() -> None:
    from clipsim.images import lift_pillows_limit  # imports Pillow, which a run on cached vectors does without

    lift_pillows_limit()


def _check_standard_input(request: RankRequest) -> None:
    if [*request.images, *request.text_files, request.from_file].count(STANDARD_INPUT) > 1:
        raise UsageError("standard input (-) can be read only once: for images or for texts")


def _find_paths(request: RankRequest) -> Iterator[str]:
    """The paths to open, lazily: a list on a pipe may have no end."""
    if request.null and request.from_file is None and STANDARD_INPUT not in request.images:
        raise UsageError("--null goes with a list of paths: - or --from-file")
    if not request.images and request.from_file is None:
        raise UsageError("no images to rank; give files, folders or quoted globs, or - to read paths from a pipe")
    named = (
        find_listed_images(read_path_list(name, null=request.null)) if name == STANDARD_INPUT else find_images([name])
        for name in request.images
    )
    listed = find_listed_images(read_path_list(request.from_file, null=request.null)) if request.from_file else ()
    paths = chain(chain.from_iterable(named), listed)
    first = next(paths, None)
    if first is None:
        raise ImageError("no images to rank: the list of paths is empty")
    return chain((first,), paths)


def _check_some_exist(paths: Sequence[str]) -> None:
    """Tell at once, not after a model was loaded, when there is nothing to rank."""
    if not any(map(os.path.lexists, paths)):
        for path in paths:
            say("skipped", f"{printable(path)}: no such file")
        _end_with_failures(Done(0, len(paths)))


def _watch(batches: Iterable[Outcomes], bar: Bar, total: int | None) -> Iterator[Outcomes]:
    """Pass the batches on; tell each failure as it comes, and move the bar."""
    for number, batch in enumerate(batches):
        if number == 0:
            bar.step("ranking", total)
        for outcome in batch:
            if isinstance(outcome, ImageFailure):
                say("skipped", f"{printable(outcome.path)}: {outcome.error}")
        bar.advance(len(batch))
        yield batch


def _end_with_failures(done: Done) -> None:
    if done.scored:
        say("warning", f"{done.failed} of {done.scored + done.failed} inputs skipped")
        raise typer.Exit(SOME_SKIPPED)
    say("error", "none of the inputs could be used; the lines above say why")
    raise typer.Exit(NOTHING_DONE)
