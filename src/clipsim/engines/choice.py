"""A model's files and `ModelOptions` → `EnginePlan`: which engine runs the model, and how to open it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec

from clipsim.engines.encoder import Encoder
from clipsim.engines.onnx.exports import Export, find_export, missing_export
from clipsim.errors import ModelError, install_command
from clipsim.files import digest_files
from clipsim.machine import usable_cores
from clipsim.models.files import ModelFiles
from clipsim.models.identity import DigestFiles
from clipsim.models.names import ModelSpec
from clipsim.options import ENGINES, ModelOptions, ModuleOptions
from clipsim.plugins import Plugin

REQUIRED_PACKAGES = ("onnxruntime", "tokenizers")
MAX_DEFAULT_WORKERS = 8
TENSOR_CORES = (7, 0)  # the compute capability from which on NVIDIA's GPUs have them


@dataclass(frozen=True)
class EnginePlan:
    """What runs a model, before it is opened.

    `device` is None where only torch can tell what "auto" stands for, `precision` where the device's default applies;
    `identity` is the model's digest where it is already known; `notices` say which exports are not used, and why.
    """

    engine: str
    device: str | None
    precision: str | None
    identity: str | None
    open_encoder: Callable[[], Encoder]
    notices: tuple[str, ...] = ()


def plan_engine(
    spec: ModelSpec,
    files: ModelFiles,
    options: ModelOptions,
    *,
    read_digests: DigestFiles = digest_files,
    own_process: bool = False,
) -> EnginePlan:
    """Choose the engine; nothing is loaded, and `read_digests` gives the digests of a model's files.

    Raises ModelError for an export that is requested and does not exist, PluginError where a package that adds the
    engine fails.
    """
    if options.engine not in ENGINES:
        return _plan_plugin(spec, files, options)
    notices: list[str] = []
    export = choose_export(spec, files, options, read_digests, notices.append)
    if export is None:
        device = guess_device(options.device)

        def open_torch() -> Encoder:
            if own_process:
                from clipsim.engines.torch.imports import import_for_one_model

                import_for_one_model(spec, files)
            from clipsim.engines.torch.encoder import ClipEncoder

            return ClipEncoder(spec, files, device=device or "auto", precision=options.precision)

        return EnginePlan("torch", device, options.precision, None, open_torch, tuple(notices))

    def open_onnx() -> Encoder:
        from clipsim.engines.onnx.encoder import OnnxEncoder

        return OnnxEncoder(spec, export)

    return EnginePlan(export.engine, "cpu", export.precision, export.identity, open_onnx, tuple(notices))


def _plan_plugin(spec: ModelSpec, files: ModelFiles, options: ModelOptions) -> EnginePlan:
    """The plan of an engine that an installed package adds."""
    plugin = Plugin("engine", options.engine)
    plan = plugin.run(spec, files, options, returns=EnginePlan)
    if not (isinstance(plan.device, str) and isinstance(plan.precision, str)):
        raise plugin.error("its plan names no device, or no precision")

    def open_encoder() -> Encoder:
        from clipsim.engines.plugin_encoder import PluginEncoder

        encoder = PluginEncoder(plugin.call(plan.open_encoder), plugin)
        runs = encoder.facts.device, encoder.facts.precision
        if runs != (plan.device, plan.precision):
            raise plugin.error(f"it runs on {' in '.join(runs)}, not on {plan.device} in {plan.precision} as planned")
        return encoder

    return replace(plan, engine=options.engine, open_encoder=open_encoder)


def plan_module(options: ModuleOptions) -> EnginePlan:
    """The plan of a model in hand, which is opened at once. Raises UsageError for one that clipsim cannot run."""
    from clipsim.engines.torch.modules import ModuleEncoder

    encoder = ModuleEncoder(options)
    facts = encoder.facts
    return EnginePlan("torch", facts.device, facts.precision, encoder.identity, lambda: encoder)


def choose_export(
    spec: ModelSpec,
    files: ModelFiles,
    options: ModelOptions,
    read_digests: DigestFiles,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Export | None:
    """The export that a run uses; None for torch.

    "auto" takes an fp32 export of exactly this model if torch would also run it on the CPU in fp32; it never takes an
    int8 export. `on_notice` is told of exports that cannot be used. Raises ModelError where an export is asked for that
    does not exist, or the packages that run it are missing.
    """
    engine = options.engine
    if engine == "torch":
        return None
    missing = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
    if engine == "auto":
        on_cpu = (guess_device(options.device) or "").partition(":")[0] == "cpu"
        usable = on_cpu and options.precision in (None, "fp32") and not missing
        return find_export(spec, files, "onnx", read_digests=read_digests, on_notice=on_notice) if usable else None
    if missing:
        raise ModelError(
            f"needs {' and '.join(missing)}", parameter="engine", value=engine, hint=install_command("onnx")
        )
    export = find_export(spec, files, engine, read_digests=read_digests, on_notice=on_notice)
    if export is None:
        raise missing_export(spec, engine)
    return export


# Device nodes of the GPU drivers that PyTorch supports: NVIDIA's, also on Jetson and in WSL, and AMD's.
_GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvmap", "/dev/dxg", "/dev/kfd")


def default_precision(device: str, capability: tuple[int, int] | None = None) -> str:
    """The precision where none is chosen: fp16 on CUDA GPUs that are fast in it, and fp32 elsewhere.

    Those have tensor cores, from compute capability 7.0 on.

    >>> default_precision("cuda:1", (7, 0)), default_precision("cuda:1", (6, 1)), default_precision("mps")
    ('fp16', 'fp32', 'fp32')
    """
    return "fp16" if device.startswith("cuda") and (capability or TENSOR_CORES) >= TENSOR_CORES else "fp32"


def default_batch_size(device: str) -> int:
    """Images or texts per step of the model where no number is chosen: CUDA needs larger batches than a CPU or MPS.

    On a CPU, 8 to 64 were equally fast within the noise of the measurements.

    >>> default_batch_size("cuda"), default_batch_size("cpu")
    (128, 32)
    """
    return 128 if device.startswith("cuda") else 32


def largest_mps_batch(heads: int, tokens: int) -> int:
    """The most images that MPS gets at once, by the heads and tokens of the model's attention (0: it has none).

    Its fp32 scores take heads × tokens² × 4 bytes an image. Where those of a batch pass 2³² bytes, which those of 128
    images of 378 pixels do, MPS aborts the process.

    >>> largest_mps_batch(16, 730), largest_mps_batch(16, 1297), largest_mps_batch(0, 0)
    (32, 19, 32)
    """
    return max(1, min(32, 2**31 // max(1, heads * tokens**2 * 4)))


def resizes_by_torch(device: str, precision: str, *, exact: bool) -> bool:
    """Whether images may be resized by torch instead of Pillow: on a GPU, which waits for them, in half precision.

    >>> resizes_by_torch("cuda:0", "fp16", exact=False), resizes_by_torch("cuda:0", "fp32", exact=False)
    (True, False)
    """
    return device.startswith("cuda") and precision in ("fp16", "bf16") and not exact


def default_workers() -> int:
    """The number of threads that decode images: one per core that this process may use, at most eight."""
    return min(MAX_DEFAULT_WORKERS, usable_cores())


def guess_device(name: str) -> str | None:
    """The device that a name stands for; None for "auto" on a machine with a GPU, where only torch can tell."""
    if name != "auto":
        return name
    return None if may_have_gpu() else "cpu"


def may_have_gpu() -> bool:
    """Whether torch may find a GPU: only on Linux the drivers tell."""
    return sys.platform != "linux" or has_gpu_driver()


def has_gpu_driver() -> bool:
    """Whether a GPU driver that PyTorch supports is loaded."""
    return any(map(os.path.exists, _GPU_NODES))


def explain_device(name: str, device: str) -> str | None:
    """A notice where "auto" stands for the CPU although a GPU is there and was not hidden; else None."""
    hidden = any(os.environ.get(name) in ("", "-1") for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"))
    if name != "auto" or device != "cpu" or hidden or not has_gpu_driver():
        return None
    return "this machine has a GPU driver, but torch finds no GPU that it can use: the model runs on the CPU"


def describe_gpus() -> str:
    """All that decides which device "auto" stands for, except torch's version, as one line to compare."""
    visible = [f"{name}={os.environ.get(name)}" for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")]
    return " ".join([sys.platform, *visible, *filter(os.path.exists, _GPU_NODES)])
