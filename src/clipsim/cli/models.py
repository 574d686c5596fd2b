"""Facts of models → the table of `clipsim models`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.exit_status import word_option
from clipsim.cli.export import export_command, export_for_fast_starts
from clipsim.cli.output import NoticePrinter, print_message, print_table, progress_bar, table_width, write
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import flag, option
from clipsim.cli.parsing import FastCommand, FastGroup
from clipsim.engines.onnx.exports import list_exports
from clipsim.errors import ClipsimError, SettingsError, UsageError, printable
from clipsim.models.catalogue import BUNDLED, ModelInfo, find_model_info, list_models, read_catalogue
from clipsim.models.configs import find_settings
from clipsim.models.files import explain_model, find_files, find_weights, read_weights_config
from clipsim.models.names import ModelSpec, find_model
from clipsim.models.settings import choose_model, default_model, save_default
from clipsim.options import ModelOptions
from clipsim.render.json import to_json

if TYPE_CHECKING:
    from rich.console import RenderableType


SPARE_COLUMNS = ("dim", "M", "px")  # are left out of a narrow table, in this order
CELL_PADDING = 2  # cells at both sides of a column
MODEL_MARGIN = 4  # cells around the name of a model, and for the mark of the default
SortBy = Literal["top1", "size", "name"]
ORDERS: dict[SortBy, Callable[[ModelInfo], Any]] = {  # unknown values go last
    "top1": lambda info: -(info.imagenet_top1 or 0),
    "size": lambda info: info.download_bytes or float("inf"),
    "name": lambda info: info.name.lower(),
}


def build_model_table(
    models: Sequence[ModelInfo], here: Mapping[str, bool], default: str, width: int
) -> tuple[RenderableType, RenderableType]:
    """The table, and a sentence that explains its columns; `here` says which weights are on this machine.

    Where the names do not fit into `width` cells beside all columns, those of `SPARE_COLUMNS` are left out, and where
    that is not enough, names are broken behind the architecture.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    explanations = {
        "M": "millions of parameters",
        "MB": "of the download, about",
        "px": "side of the image",
        "dim": "length of the vectors",
        "top-1": f"ImageNet-1k, from {read_catalogue()['sources']['imagenet_top1']}",
    }
    rows = [_list_figures(info) for info in models]
    widths = {heading: max(len(heading), *(len(row[heading]) for row in rows)) + 3 for heading in explanations}
    widest = max(len(info.name) for info in models) + MODEL_MARGIN
    room = width - len("here") - 3 - sum(widths.values())
    for heading in SPARE_COLUMNS:
        if room < widest:
            del explanations[heading]
            room += widths[heading]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("model", overflow="fold")
    for heading in explanations:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("here", justify="center", no_wrap=True)
    for info, row in zip(models, rows, strict=True):
        architecture, slash, tag = info.name.partition("/")
        indent = " " * max(0, min(MODEL_MARGIN, room - CELL_PADDING - len(tag)))
        broken = info.name if len(info.name) + MODEL_MARGIN <= room else f"{architecture}{slash}\n{indent}{tag}"
        name = Text(("> " if default in (info.name, *info.aliases) else "  ") + broken)
        if info.aliases:
            aliases = f"({', '.join(info.aliases)})"
            beside = len(info.name) + 1 + len(aliases) + MODEL_MARGIN <= room
            name.append(f" {aliases}" if beside else f"\n    {aliases}", style="dim")
        table.add_row(
            name,
            *(row[heading] for heading in explanations),
            ("*" if here[info.name] else "") + ("t" if info.needs_transformers else ""),
            style="bold" if info.name == BUNDLED else "",
        )
    return table, Text(
        "; ".join(f"{heading}: {meaning}" for heading, meaning in explanations.items())
        + "; *: on this machine; t: needs pip install 'clipsim[transformers]'; >: the default. "
        "Also accepted: hf-hub:ORG/REPO, a model folder, a checkpoint file.",
        style="dim",
    )


def _list_figures(info: ModelInfo) -> dict[str, str]:
    """What the columns of a model say."""
    return {
        "M": _number(info.parameters_millions, ".0f" if (info.parameters_millions or 0) >= 10 else ".1f"),
        "MB": _number(None if info.download_bytes is None else info.download_bytes / 1e6, ",.0f"),
        "px": str(info.image_size),
        "dim": str(info.embed_dim),
        "top-1": _number(info.imagenet_top1, ".1%"),
    }


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


models_app = typer.Typer(cls=FastGroup, context_settings={"help_option_names": ["-h", "--help"]})

NoExport = Annotated[bool, flag("--no-export", None, "Do not export the model for ONNX Runtime.")]
Filter = Annotated[str | None, option("--filter", "TEXT", None, "Only names that contain this text.")]
Cached = Annotated[bool, flag("--cached", None, "Only models whose weights are on this machine.")]
Order = Annotated[SortBy | None, option("--sort", None, None, "Order by this; OpenCLIP's order unless given.")]


@models_app.callback(invoke_without_command=True)
@with_output_file
def models_command(
    context: typer.Context,
    text: Filter = None,
    cached: Cached = False,
    sort: Order = None,
    as_json: shared.AsJson = False,
) -> None:
    """List the models that --model accepts; show, pull, use, export or remove one.

    Example: `clipsim models --filter ViT-B-32 --sort top1`
    """
    if context.invoked_subcommand is not None:
        _refuse_misplaced_options(context)
    else:
        list_command(text=text, cached=cached, sort=sort, as_json=as_json)


@models_app.command("list", cls=FastCommand)
@with_output_file
def list_command(
    text: Filter = None, cached: Cached = False, sort: Order = None, as_json: shared.AsJson = False
) -> None:
    """List the models that --model accepts, as `clipsim models` alone does.

    Example: `clipsim models list --cached`
    """
    here = {info.name: find_weights(info) is not None for info in list_models()}
    chosen = [
        info
        for info in list_models()
        if (here[info.name] or not cached)
        and any((text or "").lower() in name.lower() for name in (info.name, *info.aliases))
    ]
    if sort is not None:
        chosen.sort(key=ORDERS[sort])
    default = _default_or_warning()
    if as_json:
        write(to_json([_record(info, default) for info in chosen]) + "\n")
    elif chosen:
        print_table(*build_model_table(chosen, here, default, table_width()))
    else:
        print_message("note", "no model matches; 'clipsim models' lists them all")


def _refuse_misplaced_options(context: typer.Context) -> None:
    """Raise UsageError for an option of the list that stands before a subcommand that does not have it."""
    options = {"text": "--filter", "cached": "--cached", "sort": "--sort"}
    if context.invoked_subcommand != "show":
        options["as_json"] = "--json"
    for name, flags in options.items():
        if context.params.get(name):
            raise UsageError(f"{flags} goes with the list, not with 'clipsim models {context.invoked_subcommand}'")


def _default_or_warning() -> str:
    """The default model's name; where the settings cannot be read, a warning, and no name."""
    try:
        return default_model()[0]
    except SettingsError as error:
        print_message("warning", error.worded(word_option))
        return ""


def _record(info: ModelInfo, default: str) -> dict[str, Any]:
    return asdict(info) | {
        "aliases": list(info.aliases),
        "needs_transformers": info.needs_transformers,
        "download_bytes": info.download_bytes,
        "cached": find_weights(info) is not None,
        "default": default in (info.name, *info.aliases),
    }


@models_app.command("show", cls=FastCommand)
@with_output_file
def show_command(
    context: typer.Context,
    name: shared.ModelName,
    weights: shared.Weights = None,
    weights_key: shared.WeightsKey = None,
    adapter: shared.AdapterFolder = None,
    as_json: shared.AsJson = False,
) -> None:
    """Show the facts of one model.

    Example: `clipsim models show ViT-B/32`
    """
    spec, _ = choose_model(ModelOptions(name, weights, weights_key=weights_key, adapter=adapter))
    info = find_model_info(spec.name) if weights is None else None
    record = _record(info, _default_or_warning()) if info else _local_record(spec)
    exports = [export for export in list_exports() if export.is_of(spec)]
    if spec.weights_key is not None:
        record["weights_key"] = spec.weights_key
    if spec.adapter is not None:
        record |= {"adapter": spec.adapter.label, "adapter_of": spec.adapter.model, "adapter_rank": spec.adapter.rank}
    record["exports"] = [{"folder": str(export.folder), **export.to_dict()} for export in exports]
    NoticePrinter().print(record.get("warnings", ()))
    if as_json or (context.parent is not None and context.parent.params.get("as_json")):
        write(to_json(record) + "\n")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key, value in record.items():
        if key not in ("exports", "warnings") and value not in (None, [], ""):
            if isinstance(value, bool):
                value = "yes" if value else "no"
            words = ", ".join(value) if isinstance(value, list) else str(value)
            table.add_row(Text(key, style="bold"), Text(printable(words)))
    if info and info.imagenet_top1 is not None:
        table.add_row(Text("source", style="bold"), Text(read_catalogue()["sources"]["imagenet_top1"]))
    for export in exports:
        table.add_row(Text("export", style="bold"), Text(str(export)))
    print_table(table)


def _local_record(spec: ModelSpec) -> dict[str, Any]:
    """What is known of a model that the catalogue does not list; only the weights of a checkpoint are read."""
    record: dict[str, Any] = {
        "name": spec.name,
        "kind": spec.kind,
        "repository": spec.repository,
        "path": None if spec.path is None else str(spec.path),
        "warnings": [],
    }
    if spec.kind == "directory":
        files = find_files(spec)
        assert files.settings is not None
        model = files.settings["model_cfg"]
        record["image_size"] = model["vision_cfg"].get("image_size", 224)
        record["embed_dim"] = model["embed_dim"]
        record["context_length"] = model["text_cfg"].get("context_length", 77)
        record["weights"] = str(files.weights)
        record["warnings"] = explain_model(spec, files)
    if spec.kind == "weights":
        info = read_catalogue()["architectures"][spec.architecture]
        for name in ("image_size", "embed_dim", "context_length", "head"):
            record[name] = info[name]
        assert spec.path is not None
        config = read_weights_config(spec.path)
        settings = find_settings(spec, config)
        record["preprocess"] = to_json(settings) if settings else "OpenCLIP's default"
    if spec.kind in ("checkpoint", "weights"):
        from clipsim.cli.doctor import check_loads  # imports NumPy

        try:
            record["warnings"] = check_loads(spec)
        except ClipsimError as error:
            record["warnings"] = [error.worded(word_option)]
    return record


@models_app.command("pull", cls=FastCommand)
def pull_command(name: shared.ModelName, no_export: NoExport = False) -> None:
    """Download a model into the Hugging Face cache; an interrupted download is resumed.

    Where the extra `onnx` is installed, the model is exported too, for fast starts on a CPU.

    Example: `clipsim models pull ViT-B-32/laion2b_s34b_b79k`
    """
    spec = find_model(name)
    files = find_files(spec)
    print_message("note", f"{printable(spec.name)} is on this machine: {printable(str(files.weights))}")
    if not no_export:
        export_for_fast_starts(spec)


@models_app.command("use", cls=FastCommand)
def use_command(name: shared.ModelName, no_export: NoExport = False) -> None:
    """Make a model the default of `clipsim rank`.

    Where the extra `onnx` is installed and the model is on this machine, it is exported too, for fast starts on a CPU;
    many images may take less time with --engine torch.

    Example: `clipsim models use ViT-B-32/openai`
    """
    spec = find_model(name)
    if spec.kind in ("directory", "checkpoint") and spec.name != BUNDLED:
        with progress_bar(quiet=False) as bar:
            bar.step("loading the model")
            from clipsim.cli.doctor import check_loads  # imports NumPy

            notices = check_loads(spec)
        NoticePrinter().print(notices)
    path = save_default(name)
    print_message("note", f"the default model is now {printable(spec.name)} (kept in {printable(str(path))})")
    if os.environ.get("CLIPSIM_MODEL"):
        print_message("note", "CLIPSIM_MODEL is set and takes precedence; unset it to use this default")
    info = find_model_info(spec.name)
    if info is not None and find_weights(info) is None:
        pull = f"'clipsim models pull {printable(spec.name)}'"
        print_message("note", f"it is downloaded when first used, or now with {pull}")
    elif not no_export and spec.kind != "hub":  # whether a repository is here, only a download would tell
        export_for_fast_starts(spec)


models_app.command("export", cls=FastCommand)(export_command)


@models_app.command("rm", cls=FastCommand)
def remove_command(name: shared.ModelName) -> None:
    """Delete a model's weights from the Hugging Face cache.

    Example: `clipsim models rm ViT-B-32/laion2b_s34b_b79k`
    """
    from clipsim.models.download import remove_downloads

    spec = find_model(name)
    freed = remove_downloads(spec)
    print_message("note", f"removed {printable(spec.name)}, {freed / 1e6:,.0f} MB")
