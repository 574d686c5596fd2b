"""`clipsim rank`: the options; `cli.run` does what they ask for."""

from __future__ import annotations

from typing import Annotated

import typer

from clipsim.cli.models import complete_model
from clipsim.cli.options import Format, OnError, Precision, RankRequest
from clipsim.cli.output import exit_status
from clipsim.errors import UsageError


def rank_command(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Image files, folders (searched for images) or quoted globs; `-` reads paths from standard input.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", "-t", help="A text to compare with; repeat it.", show_default=False)
    ] = None,
    text_file: Annotated[
        list[str] | None,
        typer.Option(help="A UTF-8 file with one text a line; `-` is standard input.", show_default=False),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            help="Put each text in place of the `{}`, as in 'a photo of a {}.'; several are averaged.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A name from `clipsim models`, hf-hub:ORG/REPO, a model folder or a checkpoint file.",
            envvar="CLIPSIM_MODEL",
            autocompletion=complete_model,
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="An OpenCLIP state dict for the architecture in --model.", metavar="FILE", show_default=False
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", envvar="CLIPSIM_DEVICE", metavar="DEVICE")
    ] = "auto",
    precision: Annotated[
        Precision | None,
        typer.Option(help="What the model computes in; fp16 on CUDA, else fp32, unless given.", show_default=False),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="auto, torch, onnx or onnx-int8: what runs the model. auto takes an fp32 export where there is one "
            "(`clipsim models export`).",
            metavar="ENGINE",
        ),
    ] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65536,
            help="Images or texts a step of the model; 32 unless given, 128 on a GPU.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="Threads that decode images; one a processor unless given.", show_default=False
        ),
    ] = None,
    from_file: Annotated[
        str | None, typer.Option(help="Read image paths from a file, one a line.", metavar="FILE", show_default=False)
    ] = None,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Paths that are read end in NUL, as `find -print0` writes them.")
    ] = False,
    output: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.table,
    as_json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Keep only the K best texts of each image.", metavar="K", show_default=False),
    ] = None,
    sort_by: Annotated[
        str | None,
        typer.Option(help="Order the images by this text, best first.", metavar="TEXT", show_default=False),
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="Skip an input that cannot be used, or fail at the first.")
    ] = OnError.skip,
    exact: Annotated[
        bool, typer.Option("--exact", help="Decode JPEGs of more than 4 megapixels in full: slower, hardly different.")
    ] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither find nor keep vectors in the cache.")] = False,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut texts that are too long for the model.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notices and no progress bar.")] = False,
) -> None:
    """Score images against texts: cosine similarities and probabilities.

    Example: `clipsim rank images/*.jpeg --text maze --text cat`

    In a pipeline: `find photos -print0 | clipsim rank - -0 -t maze -t cat --format jsonl`
    """
    with exit_status():
        if as_json and output not in (Format.json, Format.table):
            raise UsageError(f"--json and --format {output.value} contradict each other; give one")
        request = RankRequest(
            images=tuple(images or ()),
            texts=tuple(text or ()),
            text_files=tuple(text_file or ()),
            templates=tuple(template or ()),
            model=model,
            weights=weights,
            device=device,
            precision=precision.value if precision else None,
            engine=engine,
            batch_size=batch_size,
            workers=workers,
            from_file=from_file,
            null=null,
            format=Format.json if as_json else output,
            top=top,
            sort_by=sort_by,
            fail=on_error is OnError.fail,
            exact=exact,
            cache=not no_cache,
            truncate=truncate,
            quiet=quiet,
        )
        from clipsim.cli.run import run_rank  # NumPy and Pillow are for those who rank

        run_rank(request)
