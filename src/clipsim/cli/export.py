"""`clipsim models export`: write a model in a form that starts without torch, or remove it."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import Annotated

import typer

from clipsim.cli.models import Name
from clipsim.cli.notices import listen
from clipsim.cli.output import exit_status, say
from clipsim.cli.progress import progress_bar
from clipsim.errors import ModelError
from clipsim.exports import EXTRA, Export, exports_folder, list_exports
from clipsim.hub import find_files
from clipsim.models import find_model
from clipsim.names import printable

NEEDED = ("onnx", "onnxruntime", "tokenizers")


def export_command(
    name: Name,
    weights: Annotated[
        str | None,
        typer.Option(help="An OpenCLIP state dict for the architecture NAME.", metavar="FILE", show_default=False),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise to 8 bits: faster and smaller, and other numbers.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the export instead.")] = False,
) -> None:
    """Export a model for ONNX Runtime, which starts and runs faster on a CPU; it is checked against torch first.

    Example: `clipsim models export ViT-B-32/openai`
    """
    with exit_status():
        spec = find_model(name, weights)
        engine = "onnx-int8" if int8 else "onnx"
        if remove:
            _remove([export for export in list_exports() if export.engine == engine and export.is_of(spec)])
            return
        if missing := [package for package in NEEDED if find_spec(package) is None]:
            raise ModelError(f"an export needs {' and '.join(missing)}: {EXTRA}")
        listen()
        files = find_files(spec)
        with progress_bar(quiet=False) as bar:
            bar.step("importing torch")
            from clipsim.encoder.export import export_model

            export = export_model(spec, files, exports_folder(), int8=int8, tell=bar.step)
        say("note", f"{printable(export.name)}: {export}")


def _remove(exports: list[Export]) -> None:
    if not exports:
        say("note", "there is no such export")
    for export in exports:
        try:
            shutil.rmtree(export.folder)
        except OSError as error:
            shown = printable(str(export.folder))
            raise ModelError(f"{shown}: cannot remove the export: {error.strerror or error}") from error
        say("note", f"removed {printable(str(export.folder))}, {export.bytes / 1e6:,.0f} MB")
