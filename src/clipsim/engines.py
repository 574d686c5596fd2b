"""What was asked of --engine → the export to run, or None for torch."""

from __future__ import annotations

from importlib.util import find_spec

from clipsim.devices import guess_device
from clipsim.errors import ModelError, UsageError
from clipsim.exports import EXPORT_ENGINES, EXTRA, Export, find_export, missing_export
from clipsim.hub import ModelFiles
from clipsim.models import ModelSpec
from clipsim.names import printable

ENGINES = ("auto", "torch", *EXPORT_ENGINES)
PACKAGES = ("onnxruntime", "tokenizers")


def check_engine(engine: str, device: str, precision: str | None) -> None:
    """Raise UsageError for what is not the name of an engine, or contradicts the device or precision.

    >>> check_engine("onnx", "cpu", "fp32")
    """
    if engine not in ENGINES:
        raise UsageError(f"no engine is called '{printable(engine, 40)}'; there are {', '.join(ENGINES)}")
    if engine in EXPORT_ENGINES:
        if device not in ("auto", "cpu", "cpu:0"):
            raise UsageError(f"--engine {engine} runs on the CPU, and --device {printable(device, 40)} asks for more")
        if precision not in ((None, "fp32") if engine == "onnx" else (None,)):
            computes = "fp32" if engine == "onnx" else "int8"
            raise UsageError(f"--engine {engine} computes in {computes}, not in {printable(str(precision), 40)}")


def choose_export(
    spec: ModelSpec, files: ModelFiles, engine: str = "auto", device: str = "auto", precision: str | None = None
) -> Export | None:
    """The export that a run shall use; None for torch.

    "auto" takes an fp32 export of exactly this model where there is one, on a machine where the run would be on the
    CPU in fp32 anyway; never int8. Raises UsageError as `check_engine`, ModelError where there is no such export or
    nothing to run it with.
    """
    check_engine(engine, device, precision)
    if engine == "torch":
        return None
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if engine == "auto":
        on_cpu = (guess_device(device) or "").partition(":")[0] == "cpu"
        usable = on_cpu and precision in (None, "fp32") and not missing
        return find_export(spec, files, "onnx") if usable else None
    if missing:
        raise ModelError(f"--engine {engine} needs {' and '.join(missing)}: {EXTRA}")
    export = find_export(spec, files, engine)
    if export is None:
        raise missing_export(spec, engine)
    return export
