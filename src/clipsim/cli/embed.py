"""`clipsim embed`: its options, its run with a progress bar, and the summary."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.collections import find_named_sources, multiply_in_one_thread, report_progress
from clipsim.cli.exit_status import NOTHING_DONE, SOME_SKIPPED
from clipsim.cli.output import NoticePrinter, print_message, print_table, progress_bar, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import OUTPUT, RUN, TEXTS, argument, flag, option
from clipsim.errors import TRANSIENT_KINDS, UsageError, pluralise, printable
from clipsim.options import MAX_WORKERS, explain_unused_device

if TYPE_CHECKING:
    from clipsim.results.datasets import EmbedPlan, EmbedResult


@shared.with_run_options("truncate", "workers", "no_cache")
def embed_command(
    sources: Annotated[
        list[str] | None,
        argument(
            "SOURCES",
            "Image files, folders, quoted globs, tar shards (.tar), tables (.csv, .tsv, .jsonl, .parquet), or "
            "addresses of these; `-` reads paths from standard input.",
        ),
    ] = None,
    output: Annotated[
        str,
        option(
            "--output -o",
            "DIR",
            OUTPUT,
            "The folder of the vectors, or its address in an object store. [required]",
            show_default=False,
        ),
    ] = "",
    from_file: shared.FromFile = None,
    captions: Annotated[bool, flag("--captions", TEXTS, "Embed the caption of each image too.")] = False,
    image_column: shared.ImageColumn = None,
    caption_column: shared.CaptionColumn = None,
    dtype: Annotated[Literal["fp16", "fp32"], option("--dtype", None, OUTPUT, "How vectors are stored.")] = "fp16",
    vectors: Annotated[
        Literal["npy", "parquet"],
        option("--vectors", None, OUTPUT, "parquet: also tables of the metadata with a column of vectors."),
    ] = "npy",
    shard_size: Annotated[
        int, option("--shard-size", "N", OUTPUT, "Inputs per shard, the unit of resuming.", min=1, max=1_000_000)
    ] = 10_000,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    overwrite: Annotated[
        bool, flag("--overwrite", OUTPUT, "Start again; what DIR holds is removed when the first shard is ready.")
    ] = False,
    verify: Annotated[
        bool, flag("--verify", OUTPUT, "Read every file that DIR holds, and re-create what is damaged.")
    ] = False,
    plan_only: Annotated[
        bool, flag("--plan-only", RUN, "Only list what would be embedded, and keep the list in DIR for the next run.")
    ] = False,
    plan: Annotated[
        str | None,
        option("--plan", "FILE", RUN, "A list that --plan-only made: what it has is not listed again, or all of it."),
    ] = None,
    list_again: Annotated[
        bool,
        flag("--list-again", RUN, "List addresses anew of which an earlier run, that was not finished, kept a list."),
    ] = False,
    retry_failed: Annotated[
        Literal["transient", "all"] | None,
        option(
            "--retry-failed",
            "[transient|all]",
            RUN,
            "Inputs that failed before and are tried again: those that a store refused or did not answer, which always "
            "are, and those of which an earlier version did not say why [transient]; or all.",
        ),
    ] = None,
    max_failures: Annotated[
        str | None, option("--max-failures", "N%", RUN, "End the run once more than N% of the inputs have failed.")
    ] = None,
    runner: Annotated[
        Literal["local", "ray"],
        option("--runner", None, RUN, "local: this process; ray: Ray, here or on a cluster."),
    ] = "local",
    devices: Annotated[
        str | None,
        option(
            "--devices",
            "DEVICE,DEVICE",
            RUN,
            "Several GPUs of this machine, as cuda:0,cuda:1: a process for each makes shards.",
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        option("--ray-address", "ADDR", RUN, "The Ray cluster. [default: RAY_ADDRESS, or one on this machine]"),
    ] = None,
    workers: Annotated[
        str | None,
        option(
            "--workers",
            "N|MIN-MAX",
            RUN,
            "Number of decoding threads; with --runner ray of encoders, or the least and the most of them as nodes "
            "join. [default: one per core, at most 8; one per GPU]",
        ),
    ] = None,
    cpus_per_worker: Annotated[
        int | None,
        option(
            "--cpus-per-worker",
            "N",
            RUN,
            "Cores of each encoder with --runner ray. [default: about 8, or the node's share of a GPU]",
            min=1,
        ),
    ] = None,
    progress: Annotated[
        Literal["auto", "plain", "json"],
        option("--progress", None, RUN, "auto: a bar, on a terminal; plain, json: lines on standard error, anywhere."),
    ] = "auto",
    form: shared.WholeFormatOption = "table",
    as_json: shared.FormatJson = False,
    no_cache: Annotated[bool, flag("--no-cache", RUN, "Do not read vectors from the cache.")] = False,
    *,
    run: shared.Run,
) -> None:
    """Write the vectors of many images into a folder, in shards of NumPy and Parquet files.

    The same command again makes only what is missing, whatever stopped it.

    Example: `clipsim embed photos/ -o vectors/`

    With captions, from tar shards: `clipsim embed 'data/*.tar' --captions -o vectors/`
    """
    if not output:
        raise UsageError("no folder to write to; give --output DIR (-o)")
    notices = run.notices()
    chosen = shared.choose_names(include, exclude)
    if not sources and from_file is None and plan is None:
        raise UsageError("no images to embed; give files, folders, quoted globs, tars or tables, or - for a list")
    if plan is not None and list_again:
        raise UsageError("--list-again goes without --plan")
    if not sources and from_file is None and (image_column is not None or caption_column is not None):
        raise UsageError("--image-column and --caption-column go with sources; a plan has what was read in the tables")
    shared.check_standard_input(*(sources or ()), from_file)
    named_sources = partial(
        find_named_sources,
        sources or (),
        from_file,
        chosen,
        captions=captions,
        image_column=image_column,
        caption_column=caption_column,
    )
    on_ray = runner == "ray"
    actors = None if workers is None else parse_workers(workers, on_ray=on_ray)
    (model_options,), run_options = run.options(run.model)
    named_devices = () if devices is None else tuple(devices.split(","))
    if named_devices:
        notices.print(explain_unused_device(model_options.device, named_devices))  # it may be the environment's
        model_options = replace(model_options, device="cpu")  # of this process, which opens no GPU
    run_options = replace(
        run_options,
        workers=actors if isinstance(actors, int) and not on_ray else None,
        cache=on_ray or not no_cache,  # a session without a cache loads the model, which only workers need then
    )
    from clipsim.embedding.embedder import Embedder
    from clipsim.tasks import embed, embed_plan

    request = embed.EmbedRequest(
        named_sources,
        output,
        captions=captions,
        dtype=dtype,
        shard_size=shard_size,
        overwrite=overwrite,
        runner=runner,
        ray_address=ray_address,
        actors=actors if on_ray else None,
        cpus_per_worker=cpus_per_worker,
        verify=verify,
        vectors=vectors,
        devices=named_devices,
        retry_failed=retry_failed,
        max_failures=max_failures,
        plan=plan,
        list_again=list_again,
    )
    if plan_only:
        with progress_bar(quiet=run.quiet, form=progress) as bar:
            made = embed_plan.run(request, report_progress(bar, notices, "listing the images"))
        notices.print(made.warnings)
        _print_plan(made, as_json=shared.choose_format(form, as_json) == "json")
        return
    with progress_bar(quiet=run.quiet, rate=True, form=progress) as bar:
        bar.step("finding the model")
        with Embedder(model_options, run_options, own_process=True) as embedder:
            result = embed.run(embedder, request, report_progress(bar, notices))
    notices.print(result.warnings)
    _print_result(result, as_json=shared.choose_format(form, as_json) == "json")


def parse_workers(text: str, *, on_ray: bool) -> int | tuple[int, int]:
    """The value of `--workers`: a number, or with Ray the least and the most.

    >>> parse_workers("4", on_ray=False), parse_workers("2-8", on_ray=True)
    (4, (2, 8))
    """
    bounds = [int(part) if part.isdecimal() else 0 for part in text.split("-")]
    in_range = bounds == sorted(bounds) and all(1 <= bound <= MAX_WORKERS for bound in bounds)
    if not in_range or len(bounds) > (2 if on_ray else 1):
        also = ", or two of them as MIN-MAX" if on_ray else ""
        raise UsageError(f"not a whole number from 1 to {MAX_WORKERS}{also}", parameter="workers", value=text)
    return bounds[0] if len(bounds) == 1 else (bounds[0], bounds[1])


def _print_plan(plan: EmbedPlan, *, as_json: bool) -> None:
    if as_json:
        from clipsim.render.json import format_json

        write(format_json(plan))
    else:
        from clipsim.render.search import build_plan_table

        print_table(build_plan_table(plan))


def _print_result(result: EmbedResult, *, as_json: bool) -> None:
    if as_json:
        from clipsim.render.json import format_json

        write(format_json(result))
    else:
        from clipsim.render.search import build_embed_table

        print_table(build_embed_table(result))
    passing = {kind: count for kind, count in result.errors_by_class.items() if kind in TRANSIENT_KINDS}
    if passing:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in passing.items())
        print_message(
            "warning",
            f"{pluralise(sum(passing.values()), 'input')} failed for now ({kinds}); the same command again tries them "
            "once more",
        )
    if result.failed_shards:
        shown = ", ".join(map(str, result.failed_shards[:20])) + (", …" if len(result.failed_shards) > 20 else "")
        print_message("error", f"shards that are not finished: {shown}; the same command again tries them once more")
        raise typer.Exit(SOME_SKIPPED)
    if result.images == 0:
        print_message("error", f"none of the inputs could be used; errors.jsonl in {printable(result.folder)} says why")
        raise typer.Exit(NOTHING_DONE)
    if result.errors:
        print_message(
            "warning", f"{result.errors:,} of {pluralise(result.sources, 'input')} skipped; errors.jsonl lists them"
        )
        raise typer.Exit(SOME_SKIPPED)


@with_output_file
def index_command(
    folder: Annotated[str, argument("DIR", "A folder of vectors that `clipsim embed` wrote.")],
    kind: Annotated[
        Literal["auto", "exact", "ivf"],
        option(
            "--kind",
            None,
            None,
            "ivf: lists of near vectors, of which a search reads a few; exact: none, a search compares all; auto: ivf "
            "from a million vectors on, and where there is an index.",
        ),
    ] = "auto",
    rebuild: Annotated[
        bool, flag("--rebuild", None, "Build the index anew instead of adding the vectors that it lacks.")
    ] = False,
    remove: Annotated[bool, flag("--remove", None, "Remove the index instead.")] = False,
    form: shared.WholeFormatOption = "table",
    as_json: shared.FormatJson = False,
    quiet: shared.Quiet = False,
) -> None:
    """Build an index of many vectors, so that `clipsim search` need not compare all of them; or add new ones to it.

    It is measured against an exact search: recall@10 says how many of the ten nearest images it finds.

    Example: `clipsim index vectors/`
    """
    as_json = shared.choose_format(form, as_json) == "json"
    if remove and (as_json or rebuild or kind != "auto"):
        raise UsageError("--remove goes without --kind, --rebuild, --format and --json")
    multiply_in_one_thread()
    from clipsim.tasks import index

    if remove:
        removed = index.remove_index(folder)
        print_message("note", f"{printable(folder)}: {'the index is removed' if removed else 'there is no index'}")
        return
    notices = NoticePrinter(quiet=quiet)
    with progress_bar(quiet=quiet) as bar:
        result = index.run(index.IndexRequest(folder, kind, rebuild), report_progress(bar, notices))
    notices.print(result.warnings)
    if as_json:
        from clipsim.render.json import format_json

        write(format_json(result))
    else:
        from clipsim.render.search import build_index_table

        print_table(build_index_table(result))
