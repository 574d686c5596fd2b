"""A caller's options → frozen, checked records: `ModelOptions` (which model, on what) and `RunOptions` (how to run it).

Both are checked where they are made, without importing torch; what the machine has is checked by `engines`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal, Protocol

from clipsim.errors import Setting, UsageError, printable
from clipsim.plugins import list_plugins

PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
EXPORT_ENGINES = ("onnx", "onnx-int8")
ENGINES = ("auto", "torch", *EXPORT_ENGINES)
MAX_BATCH_SIZE = 65_536
MAX_WORKERS = 256
OnError = Literal["skip", "raise", "fail", "nan"]
RAISING = ("raise", "fail")
_DEVICE = re.compile(r"auto|cpu(:0)?|mps(:0)?|cuda(:[0-9]{1,3})?")


@dataclass(frozen=True)
class ModelOptions:
    """Which model runs, on which device, in which precision, by which engine.

    Parameters
    ----------
    model
        A name, folder or checkpoint file; None for the user's default model.
    weights
        The file of an OpenCLIP state dict for the architecture in `model`.
    weights_key
        The state dict to read in a checkpoint that holds several; None for the usual one.
    adapter
        The folder of a LoRA adapter that is merged into the weights; None for no adapter.
    device
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    precision
        "fp32", "tf32", "fp16" or "bf16"; None for the device's default.
    engine
        "auto", "torch", "onnx", "onnx-int8", or an engine that an installed package adds.
    preprocess
        "tag", "default" or a JSON file; None for the model's own.

    Raises
    ------
    UsageError
        An unknown name, or options that contradict each other.
    """

    model: str | None = None
    weights: str | None = None
    weights_key: str | None = None
    adapter: str | None = None
    device: str = "auto"
    precision: str | None = None
    engine: str = "auto"
    preprocess: str | None = None

    def __post_init__(self) -> None:
        """Check the names and their combination."""
        for field in fields(ModelOptions):
            name, value = field.name, getattr(self, field.name)
            if is_module(value):
                raise UsageError(
                    "a module, which only clipsim.open takes, with preprocess and tokenizer", parameter=name
                )
            if not (isinstance(value, str) or (value is None and field.default is None)):
                raise UsageError("not a string", parameter=name, value=value)
        for name in ("weights_key", "adapter"):
            if getattr(self, name) == "":
                raise UsageError("empty", parameter=name, value="")
        check_device(self.device)
        if self.precision is not None:
            check_precision(self.precision)
        check_engine(self.engine, self.device, self.precision)


@dataclass(frozen=True, eq=False)
class ModuleOptions(ModelOptions):
    """The options of a model in hand, in place of `model`.

    Parameters
    ----------
    module
        A module of torch with `encode_image`, `encode_text` and `logit_scale`.
    transform
        A PIL image → the (3, h, w) tensor that the module takes.
    tokenizer
        A list of texts → the (n, k) tensor of token ids that the module takes.

    Raises
    ------
    UsageError
        One of these is missing, or options are given that go with names and files of models.
    """

    module: Any = None
    transform: Any = None
    tokenizer: Any = None

    def __post_init__(self) -> None:
        """Check that everything is there."""
        super().__post_init__()
        if not callable(self.transform):
            raise UsageError(
                "a module needs its transform: a function that makes a tensor of an image",
                parameter="preprocess",
                value=self.transform,
            )
        if not callable(self.tokenizer):
            raise UsageError(
                "a module needs its tokenizer: a function that makes a tensor of token ids of a list of texts",
                parameter="tokenizer",
                value=self.tokenizer,
            )
        for name in ("weights", "weights_key", "adapter", "preprocess"):
            if (value := getattr(self, name)) is not None:
                raise UsageError("goes with the name of a model, not with a module", parameter=name, value=value)
        if self.engine in EXPORT_ENGINES:
            raise UsageError("a module has no exports", parameter="engine", value=self.engine)

    def __reduce__(self) -> Any:
        """Refuse to be pickled, and so does a session of a module."""
        raise UsageError(
            "a session of a module in hand cannot be pickled: the module, its transform and its tokenizer are in this "
            "process only; save the model, and open its file in the other process"
        )


class Module(Protocol):
    """A model in hand: a module of torch with OpenAI's two methods, and a `logit_scale`."""

    logit_scale: Any

    def encode_image(self, image: Any) -> Any:
        """Images as its transform makes them, stacked → (n, d) vectors."""
        ...

    def encode_text(self, text: Any) -> Any:
        """Token ids as its tokenizer makes them → (n, d) vectors."""
        ...


def is_module(model: object) -> bool:
    """Whether a model is given as an object with OpenAI's two methods, and not by its name."""
    return callable(getattr(model, "encode_image", None)) and callable(getattr(model, "encode_text", None))


@dataclass(frozen=True)
class RunOptions:
    """How inputs are read, batched and kept.

    Parameters
    ----------
    batch_size
        Images or texts per step of the model, 1 to 65,536; None to choose by the device.
    workers
        Threads that decode images, 1 to 256; None to choose by the cores.
    exact
        Decode large JPEGs in full.
    truncate
        Cut texts that are too long for the model.
    on_error
        What to do with an input that cannot be used: "skip" leaves it out, "raise" (or "fail", the command line's word)
        raises its error, "nan" keeps its row.
    cache
        Read vectors from the user's cache, and add new ones.

    Raises
    ------
    UsageError
        A value out of range.
    """

    batch_size: int | None = None
    workers: int | None = None
    exact: bool = False
    truncate: bool = False
    on_error: OnError = "skip"
    cache: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, limit in (("batch_size", MAX_BATCH_SIZE), ("workers", MAX_WORKERS)):
            value = getattr(self, name)
            whole = as_whole(value)
            if value is not None and (whole is None or not 1 <= whole <= limit):
                raise UsageError(f"not a whole number from 1 to {limit:,}", parameter=name, value=value)
            object.__setattr__(self, name, whole)
        for name in ("exact", "truncate", "cache"):
            check_flag(name, getattr(self, name))
        check_on_error(self.on_error)

    @property
    def raises(self) -> bool:
        """Whether the first input that cannot be used ends the run."""
        return self.on_error in RAISING


def make_options(
    model: str | os.PathLike[str] | None,
    weights: str | os.PathLike[str] | None,
    weights_key: str | None,
    adapter: str | os.PathLike[str] | None,
    device: str,
    precision: str | None,
    engine: str,
    preprocess: str | os.PathLike[str] | None,
    batch_size: int | None,
    workers: int | None,
    exact: bool,
    truncate: bool,
    on_error: OnError,
    cache: bool,
) -> tuple[ModelOptions, RunOptions]:
    """The options of `clipsim.open`, in its order → records. Raises UsageError."""
    return ModelOptions(
        os.fspath(model) if isinstance(model, os.PathLike) else model,
        os.fspath(weights) if isinstance(weights, os.PathLike) else weights,
        weights_key,
        None if adapter is None else check_path("adapter", adapter),
        str(device),  # a torch.device too
        precision,
        engine,
        None if preprocess is None else check_path("preprocess", preprocess),
    ), RunOptions(batch_size, workers, exact, truncate, on_error, cache)


def as_whole(value: object) -> int | None:
    """A whole number of Python or NumPy → an int; None for anything else, truth values too.

    >>> as_whole(3), as_whole(3.0), as_whole(True)
    (3, None, None)
    """
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def as_number(value: object) -> float | None:
    """A finite number of Python or NumPy → a float; None for anything else.

    >>> as_number(3), as_number("3"), as_number(float("nan"))
    (3.0, None, None)
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


def check_probability(value: float | None) -> None:
    """Raise UsageError for a `min_probability` that is not a probability."""
    number = as_number(value)
    if value is not None and (number is None or not 0 <= number <= 1):
        raise UsageError("not a probability, from 0 to 1", parameter="min_probability", value=value)


def check_cosine(name: str, value: object) -> float | None:
    """A cosine of Python or NumPy → a float; None for None. Raises UsageError for anything else, naming the parameter.

    >>> check_cosine("min_similarity", 1)
    1.0
    """
    cosine = as_number(value)
    if value is not None and (cosine is None or not -1 <= cosine <= 1):
        raise UsageError("not a cosine, from -1 to 1", parameter=name, value=value)
    return cosine


def check_flag(name: str, value: object) -> None:
    """Raise UsageError for what is not True or False."""
    if not isinstance(value, bool):
        raise UsageError("not True or False", parameter=name, value=value)


def check_path(name: str, value: object) -> str:
    """A path, as text or as an `os.PathLike` → its text. Raises UsageError, which names the parameter."""
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str):
        raise UsageError("not a path", parameter=name, value=value)
    return path


def check_on_error(value: object) -> None:
    """Raise UsageError for what `on_error` cannot be.

    >>> check_on_error("nan")
    """
    if not (isinstance(value, str) and value in ("skip", *RAISING, "nan")):
        raise UsageError("not 'skip', 'raise' or 'nan'", parameter="on_error", value=value)


def check_device(name: object) -> None:
    """Raise UsageError for what is not the name of a device.

    >>> check_device("cuda:1")
    """
    if not (isinstance(name, str) and _DEVICE.fullmatch(name)):
        raise UsageError("unknown device", parameter="device", value=name, hint="choose auto, cpu, cuda, cuda:N or mps")


def explain_unused_device(device: str, devices: Collection[str]) -> list[str]:
    """The notice of a device that is named beside those of the processes of `embed`; none where nothing is lost.

    >>> explain_unused_device("cuda:1", ["cuda:0"])
    ['the device cuda:1 is not used: each of the named devices has a process of its own']
    """
    if not devices or device in ("auto", "cpu", *devices):
        return []
    return [f"the device {device} is not used: each of the named devices has a process of its own"]


def check_precision(name: str) -> None:
    """Raise UsageError for a string that is not the name of a precision.

    >>> check_precision("fp16")
    """
    if name not in PRECISIONS:
        raise UsageError("unknown precision", parameter="precision", value=name, hint=f"choose {', '.join(PRECISIONS)}")


def check_engine(engine: str, device: str, precision: str | None) -> None:
    """Raise UsageError for a string that is not the name of an engine, or that contradicts the device or precision.

    >>> check_engine("onnx", "cpu", "fp32")
    """
    if engine not in ENGINES and engine not in (added := list_plugins("engine")):
        names = ", ".join((*ENGINES, *map(printable, added)))
        raise UsageError("unknown engine", parameter="engine", value=engine, hint=f"choose {names}")
    if engine in EXPORT_ENGINES:
        if device not in ("auto", "cpu", "cpu:0"):
            raise UsageError(
                "runs on the CPU only", parameter="engine", value=engine, hint=("leave out ", Setting("device", device))
            )
        if precision not in ((None, "fp32") if engine == "onnx" else (None,)):
            computes = "fp32" if engine == "onnx" else "int8"
            raise UsageError(
                f"computes in {computes} only",
                parameter="engine",
                value=engine,
                hint=("leave out ", Setting("precision", precision)),
            )
