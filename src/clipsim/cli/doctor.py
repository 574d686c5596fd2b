"""`clipsim doctor`: the report of `diagnosis` → a table or JSON, and an exit status."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.exit_status import NOTHING_DONE
from clipsim.cli.output import print_message, print_table, progress_bar, write
from clipsim.cli.output_file import with_output_file
from clipsim.errors import ClipsimError, printable
from clipsim.models.catalogue import BUNDLED, BUNDLED_PATH, find_model_info, list_models
from clipsim.models.download import hub_cache
from clipsim.models.files import explain_model, find_files, find_weights
from clipsim.models.names import ModelSpec, find_model
from clipsim.models.settings import cache_folder, default_model, settings_path, state_folder
from clipsim.options import ModelOptions, RunOptions
from clipsim.render.json import to_json

if TYPE_CHECKING:
    from rich.table import Table


@with_output_file
def doctor_command(as_json: shared.AsJson = False) -> None:
    """Report what clipsim runs on, and check the bundled model against known answers.

    Example: `clipsim doctor` (its output is what a bug report needs)
    """
    with progress_bar(quiet=False) as bar:
        bar.step("checking")

        report = examine()
    if as_json:
        write(to_json(report) + "\n")
    else:
        print_table(_draw(report))
    if not report["passed"]:
        print_message("error", "a check failed; the report above says which")
        raise typer.Exit(NOTHING_DONE)


def _draw(report: dict[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    chosen = "chosen by you" if report["default_chosen"] else "the bundled one, as none was chosen"
    table = Table.grid(padding=(0, 2))
    sections: dict[str, Mapping[str, str]] = {
        "system": report["system"],
        "packages": {name: number or "not installed" for name, number in report["packages"].items()},
        "runs on": {
            "device": report["device"],
            "precision": report["precision"],
            "default model": f"{report['default_model']} ({chosen})",
        },
        "folders": report["folders"],
        "environment": report["environment"],
        "models here": {model["name"]: f"{model['bytes'] / 1e6:,.1f} MB" for model in report["models"]},
    }
    for title, rows in sections.items():
        table.add_row(Text(title, style="bold"), "")
        for name, value in rows.items():
            table.add_row(Text(f"  {name}"), Text(printable(value)))
    table.add_row(Text("checks", style="bold"), "")
    for check in report["checks"]:
        outcome = check["error"] or f"within {check['difference']:.0e} of the known cosines"
        mark = Text("ok  ", style="green") if check["passed"] else Text("FAILED  ", style="bold red")
        mark.append(printable(outcome, 200), style="default")
        table.add_row(Text(f"  {check['device']} {check['precision']}"), mark)
    for problem in report["problems"]:
        table.add_row(Text("  problem", style="bold red"), Text(problem))
    return table


SCHEMA = "clipsim.doctor/1"
PACKAGES = (
    "clipsim", "torch", "torchvision", "open_clip_torch", "timm", "huggingface_hub", "safetensors", "Pillow", "numpy",
    "typer", "rich", "pillow-heif", "rawpy", "transformers", "onnxruntime", "tokenizers", "onnx",
)  # fmt: skip
# The greatest difference from a known cosine: fp32 differs by the order of sums, the others by their rounding.
TOLERANCE = {"fp32": 1e-4, "tf32": 5e-3, "fp16": 5e-3, "bf16": 3e-2}


@dataclass(frozen=True)
class Check:
    """The bundled model on one device in one precision: its greatest difference from the known cosines, or an error."""

    device: str
    precision: str
    passed: bool
    difference: float | None
    error: str | None


def examine() -> dict[str, Any]:
    """The JSON object of the schema `clipsim.doctor/1`: what a bug report needs, and the checks.

    This takes as long as loading torch and a small model.
    """
    from clipsim.engines.torch.devices import choose_device, choose_precision, describe_devices, list_precisions

    problems = []
    name, chosen = BUNDLED, False
    try:
        name, chosen = default_model()
        _check_default(name)
    except ClipsimError as error:
        problems.append(f"default model: {error}")
    devices = describe_devices()
    device = choose_device("auto")
    checks = [check_machine(device, precision) for device in devices for precision in list_precisions(device)]
    here = {info.name: path for info in list_models() if (path := find_weights(info)) is not None}
    return {
        "schema": SCHEMA,
        "passed": not problems and all(check.passed for check in checks),
        "system": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processors": str(os.cpu_count()),
            **{f"device {key}": value for key, value in devices.items()},
        },
        "packages": {package: _version(package) for package in PACKAGES},
        "device": str(device),
        "precision": choose_precision(None, device)[0],
        "default_model": name,
        "default_chosen": chosen,
        "folders": {
            "settings": str(settings_path()),
            "weights": str(hub_cache()),
            "vectors": str(cache_folder()),
            "journals": str(state_folder() / "journals"),
            "bundled model": str(BUNDLED_PATH),
        },
        "environment": {
            # a token, or a password in an address, must not be reported
            key: "…" if key == "CLIPSIM_TOKEN" else re.sub(r"//[^/@]*@", "//…@", value)
            for key, value in sorted(os.environ.items())
            if key.startswith(("CLIPSIM_", "HF_H", "HF_E")) or key in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
        },
        "models": [{"name": name, "path": str(path), "bytes": path.stat().st_size} for name, path in here.items()],
        "checks": [vars(check) for check in checks],
        "problems": problems,
    }


def check_machine(device: str, precision: str) -> Check:
    """Compare the cosines of the bundled model with its known answers."""
    import numpy as np  # here, as all that follow: every start of the command line imports this module

    from clipsim.embedding.embedder import Embedder
    from clipsim.inputs.arguments import make_sources
    from clipsim.mini.probe import TEXTS, known_answers, probe_images
    from clipsim.tasks import rank

    try:
        options = ModelOptions(BUNDLED, device=device, precision=precision, engine="torch")
        request = rank.RankRequest.check(list(make_sources(probe_images())), TEXTS)
        with Embedder(options, RunOptions(cache=False, on_error="fail"), own_process=True) as embedder:
            result = rank.run(embedder, request)
    except Exception as error:  # whatever it is, the report names it
        return Check(device, precision, False, None, f"{type(error).__name__}: {error}")
    difference = float(np.abs(result.similarity - np.array(known_answers())).max())
    return Check(device, precision, difference <= TOLERANCE[precision], round(difference, 7), None)


def check_loads(spec: ModelSpec) -> tuple[str, ...]:
    """Load a model from its files and drop it; its notices. Raises ModelError and its family where that fails."""
    files = find_files(spec)  # before torch is imported
    from clipsim.engines.torch.imports import import_for_one_model

    import_for_one_model(spec, files)
    from clipsim.engines.torch.encoder import ClipEncoder

    return (*explain_model(spec, files), *ClipEncoder(spec, files, device="cpu", precision="fp32").facts.notices)


def _check_default(name: str) -> None:
    """Raise ClipsimError where the default model cannot be loaded; one that is not downloaded yet is not.

    The bundled one is run by the checks.
    """
    spec = find_model(name)
    if spec.name == BUNDLED:
        return
    facts = find_model_info(spec.name)
    if spec.kind in ("directory", "checkpoint") or (facts is not None and find_weights(facts) is not None):
        check_loads(spec)


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # too slow for the start of every command

    try:
        return version(package)
    except PackageNotFoundError:
        return None
