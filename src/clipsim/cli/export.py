"""`clipsim models export`: write a model in a form that starts without torch, or remove it."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import Annotated

from clipsim.cli import parameters as shared
from clipsim.cli.exit_status import word_option
from clipsim.cli.output import NoticePrinter, print_message, progress_bar
from clipsim.cli.parameters import flag
from clipsim.cli.signals import clean_up_at_signal
from clipsim.engines.onnx.exports import UNFINISHED, Export, exports_folder, find_export, list_exports
from clipsim.errors import ClipsimError, ModelError, install_command, printable
from clipsim.models.files import ModelFiles, explain_model, find_files
from clipsim.models.names import ModelSpec
from clipsim.models.settings import choose_model
from clipsim.options import ModelOptions

NEEDED = ("onnx", "onnxruntime", "tokenizers")


def export_command(
    name: shared.ModelName,
    weights: shared.Weights = None,
    weights_key: shared.WeightsKey = None,
    adapter: shared.AdapterFolder = None,
    int8: Annotated[bool, flag("--int8", None, "Quantise to 8 bits: faster and smaller, and other numbers.")] = False,
    remove: Annotated[bool, flag("--remove", None, "Remove the export instead.")] = False,
) -> None:
    """Export a model for ONNX Runtime, which starts and runs faster on a CPU; it is checked against torch first.

    Example: `clipsim models export ViT-B-32/openai`
    """
    spec, _ = choose_model(ModelOptions(name, weights, weights_key=weights_key, adapter=adapter))
    engine = "onnx-int8" if int8 else "onnx"
    if remove:
        _remove([export for export in list_exports() if export.engine == engine and export.is_of(spec)])
        return
    if missing := _missing_packages():
        raise ModelError(f"an export needs {' and '.join(missing)}", hint=install_command("onnx"))
    export = _export(spec, find_files(spec), int8=int8)
    print_message("note", f"{printable(export.name)}: {export}")


def export_for_fast_starts(spec: ModelSpec) -> None:
    """Export a model that is on this machine, where runs would use an export and there is none; a failure is a note.

    Runs use one where "auto" stands for the CPU and the extra `onnx` is installed.
    """
    from clipsim.engines.choice import guess_device  # with NumPy

    if guess_device("auto") != "cpu" or _missing_packages():
        return
    try:
        files = find_files(spec)
        notices: list[str] = []
        there = find_export(spec, files, "onnx", on_notice=notices.append)
        NoticePrinter().print(notices)
        if there is not None:
            return
        export = _export(spec, files, int8=False)
        print_message("note", f"exported, so that runs start without PyTorch (--no-export leaves it): {export}")
    except ClipsimError as error:
        print_message("note", f"not exported, so runs start with PyTorch: {error.worded(word_option)}")


def _missing_packages() -> list[str]:
    return [package for package in NEEDED if find_spec(package) is None]


def _export(spec: ModelSpec, files: ModelFiles, *, int8: bool) -> Export:
    with progress_bar(quiet=False) as bar, clean_up_at_signal(_remove_unfinished):
        bar.step("importing torch")
        from clipsim.engines.torch.imports import import_for_one_model

        import_for_one_model(spec, files)
        from clipsim.engines.onnx.export import export_model

        export = export_model(spec, files, exports_folder(), int8=int8, on_step=bar.step)
    NoticePrinter().print((*explain_model(spec, files), *export.facts["notices"]))
    return export


def _remove_unfinished() -> None:
    """Remove what this process has written of an export."""
    for folder in exports_folder().glob(f"{UNFINISHED}{os.getpid()}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _remove(exports: list[Export]) -> None:
    if not exports:
        print_message("note", "there is no such export")
    for export in exports:
        try:
            shutil.rmtree(export.folder)
        except OSError as error:
            shown = printable(str(export.folder))
            raise ModelError(f"{shown}: cannot remove the export: {error.strerror or error}") from error
        print_message("note", f"removed {printable(str(export.folder))}, {export.bytes / 1e6:,.0f} MB")
